//! Produce: append first, in the order of arrival; wait for the acknowledgement afterwards.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::join_all;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};

use super::dispatch::Answer;
use super::{Context, Pending, Reply};
use crate::log::batch::{self, BatchError};
use crate::replica::partition::Partition;
use crate::replica::types::{Appended, ReplicaError};

/// Largest batch in bytes (Kafka's default `max.message.bytes`).
const MAX_BATCH_BYTES: usize = 1_048_588;

/// What became of the batch for one partition.
struct Attempt {
    index: i32,
    result: Result<(Arc<Partition>, Appended), ReplicaError>,
}

/// Appends what the request carries and returns its answer to come.
pub(super) fn handle(context: &Arc<Context>, request: ProduceRequest, answer: Answer) -> Pending {
    let acks = request.acks;
    let ordinal = context.produce_requests.fetch_add(1, Ordering::Relaxed) + 1;
    let withheld = context.switches.withhold_answer(ordinal);
    let transactional = request.transactional_id.is_some();
    let mut topics: Vec<(TopicName, Vec<Attempt>)> = Vec::new();
    for topic in request.topic_data {
        let attempts = topic.partition_data.into_iter().map(|data| {
            let index = data.index;
            let result = match acks {
                _ if transactional => Err(ResponseError::InvalidRequest.into()),
                -1..=1 => append(context, &topic.name, data, acks),
                _ => Err(ResponseError::InvalidRequiredAcks.into()),
            };
            Attempt { index, result }
        });
        let attempts = attempts.collect();
        topics.push((topic.name, attempts));
    }
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let deadline = Instant::now() + timeout;
    let context = Arc::clone(context);
    async move {
        if acks == 0 {
            // Without an answer, closing is the only way to say that something went wrong.
            let failed = topics.iter().any(|(_, all)| all.iter().any(|one| one.result.is_err()));
            return if failed { Reply::Close } else { Reply::Silent };
        }
        let responses = topics.into_iter().map(|(name, attempts)| {
            let context = &context;
            async move {
                let waiting = attempts
                    .into_iter()
                    .map(|attempt| acknowledge(context, attempt, acks == -1, deadline));
                let partitions = join_all(waiting).await;
                TopicProduceResponse::default().with_name(name).with_partition_responses(partitions)
            }
        });
        let responses = join_all(responses).await;
        if withheld {
            return Reply::Close;
        }
        answer.with(&ProduceResponse::default().with_responses(responses))
    }
    .boxed()
}

fn append(
    context: &Context,
    topic: &TopicName,
    data: PartitionProduceData,
    acks: i16,
) -> Result<(Arc<Partition>, Appended), ReplicaError> {
    let partition = context.serving(topic, data.index)?;
    let bytes: Bytes = data.records.unwrap_or_default();
    if bytes.len() > MAX_BATCH_BYTES {
        return Err(ResponseError::MessageTooLarge.into());
    }
    let header = batch::check_produced(&bytes).map_err(|error| match error {
        BatchError::Crc => ResponseError::CorruptMessage,
        BatchError::Magic(_) => ResponseError::UnsupportedForMessageFormat,
        BatchError::Truncated | BatchError::Malformed => ResponseError::InvalidRecord,
    })?;
    if header.is_transactional_or_control() {
        return Err(ResponseError::InvalidRecord.into());
    }
    let appended = partition.produce(&bytes, &header, acks == -1);
    if let Err(ReplicaError::Storage(source)) = &appended {
        context.replicas.storage_failed("partition log", source);
    }
    Ok((Arc::clone(&partition), appended?))
}

async fn acknowledge(
    context: &Context,
    attempt: Attempt,
    acks_all: bool,
    deadline: Instant,
) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default()
        .with_index(attempt.index)
        .with_log_append_time_ms(-1)
        .with_base_offset(-1);
    let (partition, appended) = match attempt.result {
        Ok(appended) => appended,
        Err(error) => return response.with_error_code(error.code()),
    };
    // The one switch of Bug::AckBeforeReplication.
    if acks_all && !context.switches.ack_without_replication() {
        let lease = &context.plane.lease;
        if let Err(error) = partition.committed(appended, lease, deadline).await {
            return response.with_error_code(error.code());
        }
    }
    response.with_base_offset(appended.base_offset).with_log_start_offset(0)
}

impl Context {
    /// The replica for a request of a client, if this broker may serve at all.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION`, or `NOT_LEADER_OR_FOLLOWER` if it is not here or this broker's
    /// lease is not valid.
    pub(super) fn serving(
        &self,
        topic: &TopicName,
        partition: i32,
    ) -> Result<Arc<Partition>, ResponseError> {
        let found = self.hosted(topic, partition)?;
        if self.plane.lease.is_valid() {
            Ok(found)
        } else {
            Err(ResponseError::NotLeaderOrFollower)
        }
    }

    /// The replica on this node, lease or not.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION`, or `NOT_LEADER_OR_FOLLOWER` if it is not here.
    pub(super) fn hosted(
        &self,
        topic: &TopicName,
        partition: i32,
    ) -> Result<Arc<Partition>, ResponseError> {
        self.replicas.get(topic, partition).ok_or_else(|| {
            if self.plane.image().partition(topic, partition).is_some() {
                ResponseError::NotLeaderOrFollower
            } else {
                ResponseError::UnknownTopicOrPartition
            }
        })
    }
}
