//! What administrators ask for beside creating and deleting topics: more partitions, fewer records,
//! and descriptions.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreatePartitionsResponse, DeleteRecordsRequest,
    DeleteRecordsResponse, DescribeClusterResponse, DescribeConfigsRequest,
    DescribeConfigsResponse,
};

use super::dispatch::Answer;
use super::groups::text;
use super::topics::{PARTITION_LIMIT, Problem, accept, deadline, propose, wait_for};
use super::{Context, Reply};
use crate::control::commands::Command;
use crate::control::image::{
    CLEANUP_POLICY, DELETE_RETENTION, Image, MIN_INSYNC_REPLICAS, NO_LEADER, UNCLEAN_ELECTION,
    broker_id,
};
use crate::coordinator;
use crate::replica::types::ReplicaError;

/// Resource types of DescribeConfigs.
const TOPIC_RESOURCE: i8 = 2;
const BROKER_RESOURCE: i8 = 4;

/// Where a described setting comes from: set for the topic, or a default.
const FROM_TOPIC: i8 = 1;
const FROM_DEFAULT: i8 = 5;

/// Answers CreatePartitions when the new partitions have leaders, as this node sees it.
pub(super) async fn create_partitions(
    context: Arc<Context>,
    request: CreatePartitionsRequest,
    answer: Answer,
) -> Reply {
    let mut results = Vec::new();
    for topic in &request.topics {
        let result = grow(&context, topic, &request).await;
        let response = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
        results.push(match result {
            Ok(()) => response,
            Err((error, message)) => {
                response.with_error_code(error.code()).with_error_message(Some(text(message)))
            }
        });
    }
    answer.with(&CreatePartitionsResponse::default().with_results(results))
}

async fn grow(
    context: &Context,
    topic: &CreatePartitionsTopic,
    request: &CreatePartitionsRequest,
) -> Result<(), Problem> {
    let name = topic.name.to_string();
    let image = context.plane.image();
    let Some(state) = image.topics.get(&name) else {
        return Err((ResponseError::UnknownTopicOrPartition, format!("no topic {name:?}")));
    };
    if coordinator::is_internal(&name) {
        let message = format!("{name} belongs to the coordinators and cannot grow");
        return Err((ResponseError::InvalidTopicException, message));
    }
    if topic.assignments.is_some() {
        let message = "replica assignments cannot be chosen".to_owned();
        return Err((ResponseError::InvalidReplicaAssignment, message));
    }
    let present = state.partitions.len();
    let total = usize::try_from(topic.count).ok();
    let total = total.filter(|total| *total > present && topic.count <= PARTITION_LIMIT);
    let Some(total) = total else {
        let message = format!("{} partitions wanted, there are {present}", topic.count);
        return Err((ResponseError::InvalidPartitions, message));
    };
    if request.validate_only {
        return Ok(());
    }
    let deadline = deadline(request.timeout_ms);
    let command =
        Command::CreatePartitions { name: name.clone(), total: topic.count.unsigned_abs() };
    accept(propose(&context.plane, &command, deadline).await?)?;
    let grown = |image: &Image| {
        image.topics.get(&name).is_some_and(|state| {
            state.partitions.len() >= total && state.partitions.iter().all(|p| p.leader.is_some())
        })
    };
    wait_for(&context.plane, deadline, grown).await
}

/// Answers DeleteRecords when the in-sync replicas have deleted them.
pub(super) async fn delete_records(
    context: Arc<Context>,
    request: DeleteRecordsRequest,
    answer: Answer,
) -> Reply {
    let deadline = deadline(request.timeout_ms);
    let mut topics = Vec::new();
    for topic in request.topics {
        let mut partitions = Vec::new();
        for wanted in &topic.partitions {
            let deleted = match context.serving(&topic.name, wanted.partition_index) {
                Ok(partition) => partition.delete_records(wanted.offset, deadline).await,
                Err(error) => Err(ReplicaError::from(error)),
            };
            let response = DeleteRecordsPartitionResult::default()
                .with_partition_index(wanted.partition_index)
                .with_low_watermark(-1);
            partitions.push(match deleted {
                Ok(start) => response.with_low_watermark(start),
                Err(error) => response.with_error_code(error.code()),
            });
        }
        topics.push(
            DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions),
        );
    }
    answer.with(&DeleteRecordsResponse::default().with_topics(topics))
}

/// Answers DescribeCluster.
pub(super) fn describe_cluster(context: &Context, answer: Answer) -> Reply {
    let image = context.plane.image();
    let active = image.brokers.iter().filter(|(_, broker)| !broker.fenced);
    let brokers = active.map(|(id, broker)| {
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(broker_id(*id)))
            .with_host(text(broker.kafka.host.clone()))
            .with_port(i32::from(broker.kafka.port))
    });
    let controller = context.plane.controller_id().map_or(NO_LEADER, broker_id);
    let response = DescribeClusterResponse::default()
        .with_cluster_id(text(context.plane.config.cluster_id.clone()))
        .with_controller_id(BrokerId(controller))
        .with_brokers(brokers.collect());
    answer.with(&response)
}

/// Answers DescribeConfigs: for topics what they were created with and the defaults of what they
/// could have been, for brokers the defaults.
pub(super) fn describe_configs(
    context: &Context,
    request: &DescribeConfigsRequest,
    answer: Answer,
) -> Reply {
    let image = context.plane.image();
    let results = request.resources.iter().map(|resource| describe(context, &image, resource));
    answer.with(&DescribeConfigsResponse::default().with_results(results.collect()))
}

fn describe(
    context: &Context,
    image: &Image,
    resource: &DescribeConfigsResource,
) -> DescribeConfigsResult {
    let result = DescribeConfigsResult::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name.clone());
    let topic = match resource.resource_type {
        TOPIC_RESOURCE => match image.topics.get(resource.resource_name.as_str()) {
            Some(topic) => Some(topic),
            None => {
                let error = ResponseError::UnknownTopicOrPartition;
                return result.with_error_code(error.code());
            }
        },
        BROKER_RESOURCE => None,
        _ => return result.with_error_code(ResponseError::InvalidRequest.code()),
    };
    let min_insync = context.plane.config.min_insync_replicas.to_string();
    let defaults = [
        (MIN_INSYNC_REPLICAS, min_insync.as_str()),
        (UNCLEAN_ELECTION, "false"),
        (CLEANUP_POLICY, "delete"),
        (DELETE_RETENTION, "86400000"),
        ("retention.ms", "-1"),
        ("retention.bytes", "-1"),
    ];
    let asked = |name: &str| {
        let keys = resource.configuration_keys.as_ref();
        keys.is_none_or(|keys| keys.iter().any(|key| **key == *name))
    };
    let settings = defaults.into_iter().filter(|(name, _)| asked(name)).map(|(name, default)| {
        let set = topic.and_then(|topic| topic.configs.get(name));
        DescribeConfigsResourceResult::default()
            .with_name(text(name.to_owned()))
            .with_value(Some(text(set.map_or(default, String::as_str).to_owned())))
            .with_config_source(if set.is_some() { FROM_TOPIC } else { FROM_DEFAULT })
            .with_read_only(true)
    });
    result.with_configs(settings.collect())
}
