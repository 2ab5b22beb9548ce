//! CreateTopics and DeleteTopics. Any broker takes them and forwards them to the controller.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::dispatch::Answer;
use super::{Context, Reply};
use crate::control::commands::{Command, CreateTopic, Outcome, Refusal};
use crate::control::image::{
    CLEANUP_POLICY, DELETE_RETENTION, Image, MIN_INSYNC_REPLICAS, UNCLEAN_ELECTION,
};
use crate::control::plane::Plane;
use crate::coordinator;

/// Longest topic name, as in Kafka.
const NAME_LIMIT: usize = 249;

/// Most partitions of one topic; each replica keeps a file and a task.
pub(super) const PARTITION_LIMIT: i32 = 1_000;

/// Settings that are taken because this broker behaves as they say anyhow.
const FIXED_SETTINGS: [(&str, &str); 2] = [("retention.ms", "-1"), ("retention.bytes", "-1")];

/// When Kafka closes a segment, in milliseconds.
const SEGMENT_MS: &str = "segment.ms";
/// How long a record may wait for Kafka's compaction, in milliseconds.
const MAX_COMPACTION_LAG: &str = "max.compaction.lag.ms";
/// The share of a log that must be uncompacted before Kafka compacts it.
const MIN_DIRTY_RATIO: &str = "min.cleanable.dirty.ratio";

/// An error of the protocol with a sentence for the user.
pub(super) type Problem = (ResponseError, String);

pub(super) fn deadline(timeout_ms: i32) -> Instant {
    Instant::now() + Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}

/// Answers CreateTopics when the new topics have leaders, as this node sees it.
pub(super) async fn create(
    context: Arc<Context>,
    request: CreateTopicsRequest,
    answer: Answer,
) -> Reply {
    let deadline = deadline(request.timeout_ms);
    let validate_only = request.validate_only;
    let results = request.topics.into_iter().map(|topic| {
        let context = &context;
        async move {
            let result = CreatableTopicResult::default().with_name(topic.name.clone());
            match create_one(context, &topic, validate_only, deadline).await {
                Ok((id, partitions, replication_factor)) if answer.version >= 5 => result
                    .with_topic_id(if answer.version >= 7 { id } else { Uuid::nil() })
                    .with_num_partitions(partitions)
                    .with_replication_factor(replication_factor)
                    .with_configs(Some(Vec::new())),
                Ok(_) => result,
                Err((error, message)) => result
                    .with_error_code(error.code())
                    .with_error_message(Some(StrBytes::from_string(message))),
            }
        }
    });
    answer.with(&CreateTopicsResponse::default().with_topics(join_all(results).await))
}

async fn create_one(
    context: &Context,
    topic: &CreatableTopic,
    validate_only: bool,
    deadline: Instant,
) -> Result<(Uuid, i32, i16), Problem> {
    let plane = &context.plane;
    let command = validate(plane, topic)?;
    let (id, name) = (command.id, command.name.clone());
    let partitions = i32::try_from(command.partitions).unwrap_or(i32::MAX);
    let factor = i16::try_from(command.replication_factor).unwrap_or(i16::MAX);
    if validate_only {
        let mut trial = Image::clone(&plane.image());
        let outcome = trial.apply(0, &Command::CreateTopic(command));
        return accept(outcome).map(|()| (Uuid::nil(), partitions, factor));
    }
    accept(propose(plane, &Command::CreateTopic(command), deadline).await?)?;
    wait_for(plane, deadline, |image| {
        image.topics.get(&name).is_some_and(|state| {
            state.id == id && state.partitions.iter().all(|partition| partition.leader.is_some())
        })
    })
    .await?;
    Ok((id, partitions, factor))
}

fn validate(plane: &Plane, topic: &CreatableTopic) -> Result<CreateTopic, Problem> {
    let name = topic.name.to_string();
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > NAME_LIMIT || name == "." || name == ".." {
        return Err((ResponseError::InvalidTopicException, format!("bad topic name {name:?}")));
    }
    if coordinator::is_internal(&name) {
        let message = format!("{name} belongs to the coordinators, which create it when needed");
        return Err((ResponseError::InvalidTopicException, message));
    }
    if !name.chars().all(legal) {
        let message = format!("topic name {name:?} has characters other than a-z A-Z 0-9 . _ -");
        return Err((ResponseError::InvalidTopicException, message));
    }
    if !topic.assignments.is_empty() {
        let message = "replica assignments cannot be chosen".to_owned();
        return Err((ResponseError::InvalidReplicaAssignment, message));
    }
    let partitions = match topic.num_partitions {
        -1 => 1,
        count @ 1..=PARTITION_LIMIT => count.unsigned_abs(),
        count => {
            let message = format!("{count} partitions; 1 to {PARTITION_LIMIT} are possible");
            return Err((ResponseError::InvalidPartitions, message));
        }
    };
    let replication_factor = match topic.replication_factor {
        -1 => plane.config.default_replication_factor,
        factor => u16::try_from(factor).ok().filter(|factor| *factor > 0).ok_or_else(|| {
            (ResponseError::InvalidReplicationFactor, format!("replication factor {factor}"))
        })?,
    };
    let mut configs = BTreeMap::new();
    for config in &topic.configs {
        let value = config.value.as_ref().map(ToString::to_string).unwrap_or_default();
        check_setting(&config.name, &value)?;
        configs.insert(config.name.to_string(), value);
    }
    Ok(CreateTopic { name, id: Uuid::new_v4(), partitions, replication_factor, configs })
}

fn check_setting(name: &str, value: &str) -> Result<(), Problem> {
    let good = match name {
        MIN_INSYNC_REPLICAS => value.parse::<u16>().is_ok_and(|count| count > 0),
        UNCLEAN_ELECTION => matches!(value, "true" | "false"),
        CLEANUP_POLICY => matches!(value, "delete" | "compact"),
        // Logs of compacted topics are rolled and compacted every second, which is as soon as these can ask for.
        SEGMENT_MS | MAX_COMPACTION_LAG => value.parse::<i64>().is_ok_and(|ms| ms >= 1000),
        MIN_DIRTY_RATIO => value.parse::<f64>().is_ok_and(|share| (0.0..=1.0).contains(&share)),
        DELETE_RETENTION => value.parse::<i64>().is_ok_and(|ms| ms >= 0),
        name => FIXED_SETTINGS.contains(&(name, value)),
    };
    if good {
        return Ok(());
    }
    let message = format!("setting {name}={value} is not supported");
    Err((ResponseError::InvalidConfig, message))
}

pub(super) async fn propose(
    plane: &Plane,
    command: &Command,
    deadline: Instant,
) -> Result<Outcome, Problem> {
    let answer = plane.propose_until(command, deadline).await;
    answer.map_err(|error| (ResponseError::RequestTimedOut, error.to_string()))
}

pub(super) fn accept(outcome: Outcome) -> Result<(), Problem> {
    let Outcome::Refused(refusal) = outcome else { return Ok(()) };
    let error = match refusal {
        Refusal::TopicExists => ResponseError::TopicAlreadyExists,
        Refusal::ReplicationFactor { .. } => ResponseError::InvalidReplicationFactor,
        Refusal::Partitions => ResponseError::InvalidPartitions,
        Refusal::UnknownTopicOrPartition => ResponseError::UnknownTopicOrPartition,
        _ => ResponseError::UnknownServerError,
    };
    Err((error, refusal.to_string()))
}

pub(super) async fn wait_for(
    plane: &Plane,
    deadline: Instant,
    mut done: impl FnMut(&Image) -> bool,
) -> Result<(), Problem> {
    let wait = deadline.saturating_duration_since(Instant::now());
    let mut images = plane.images();
    match tokio::time::timeout(wait, images.wait_for(|image| done(image))).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err((ResponseError::RequestTimedOut, "not known everywhere in time".to_owned())),
    }
}

/// Answers DeleteTopics when this node has applied it.
pub(super) async fn delete(
    context: Arc<Context>,
    request: DeleteTopicsRequest,
    answer: Answer,
) -> Reply {
    let deadline = deadline(request.timeout_ms);
    let mut results = Vec::new();
    for topic in request.topic_names {
        let result = DeletableTopicResult::default().with_name(Some(topic.clone()));
        results.push(match delete_one(&context.plane, &topic, deadline).await {
            Ok(()) => result,
            Err((error, message)) if answer.version >= 5 => result
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(message))),
            Err((error, _)) => result.with_error_code(error.code()),
        });
    }
    answer.with(&DeleteTopicsResponse::default().with_responses(results))
}

async fn delete_one(plane: &Plane, name: &str, deadline: Instant) -> Result<(), Problem> {
    if coordinator::is_internal(name) {
        let message = format!("{name} belongs to the coordinators and cannot be deleted");
        return Err((ResponseError::InvalidTopicException, message));
    }
    let command = Command::DeleteTopic { name: name.to_owned() };
    accept(propose(plane, &command, deadline).await?)?;
    wait_for(plane, deadline, |image| !image.topics.contains_key(name)).await
}
