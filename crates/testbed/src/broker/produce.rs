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
use crate::coordinator;
use crate::coordinator::transactions::Producer;
use crate::log::batch::{self, BatchError, BatchHeader};
use crate::replica::partition::Partition;
use crate::replica::types::{Appended, Conditions, ReplicaError};

/// Largest batch in bytes (Kafka's default `max.message.bytes`).
const MAX_BATCH_BYTES: usize = 1_048_588;

/// What became of the batch for one partition.
struct Attempt {
    index: i32,
    result: Result<(Arc<Partition>, Appended), ReplicaError>,
}

/// Appends what the request carries and returns its answer to come. Only for the first batch of a
/// transaction this waits: for the coordinator, which confirms it.
pub(super) async fn handle(
    context: &Arc<Context>,
    request: ProduceRequest,
    answer: Answer,
) -> Pending {
    let acks = request.acks;
    let ordinal = context.produce_requests.fetch_add(1, Ordering::Relaxed) + 1;
    let withheld = context.switches.withhold_answer(ordinal);
    let id = request.transactional_id.as_ref().map(|id| id.to_string());
    let mut topics: Vec<(TopicName, Vec<Attempt>)> = Vec::new();
    for topic in request.topic_data {
        let mut attempts = Vec::new();
        for data in topic.partition_data {
            let index = data.index;
            let result = match acks {
                0 | 1 if id.is_some() => Err(ResponseError::InvalidRequiredAcks.into()),
                -1..=1 => append(context, &topic.name, data, acks, id.as_deref()).await,
                _ => Err(ResponseError::InvalidRequiredAcks.into()),
            };
            attempts.push(Attempt { index, result });
        }
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

async fn append(
    context: &Context,
    topic: &TopicName,
    data: PartitionProduceData,
    acks: i16,
    transactional_id: Option<&str>,
) -> Result<(Arc<Partition>, Appended), ReplicaError> {
    if coordinator::is_internal(topic) {
        return Err(ResponseError::InvalidTopicException.into());
    }
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
    if header.is_control() || header.is_transactional() != transactional_id.is_some() {
        return Err(ResponseError::InvalidRecord.into());
    }
    let last_ended = match transactional_id {
        Some(id) => confirm(context, &partition, id, &header).await?,
        None => None,
    };
    let conditions = Conditions { acks_all: acks == -1, last_ended, ..Conditions::default() };
    let appended = partition.produce(&bytes, &header, conditions);
    if let Err(ReplicaError::Storage(source)) = &appended {
        context.replicas.storage_failed("partition log", source);
    }
    Ok((Arc::clone(&partition), appended?))
}

/// Before the first batch of a transaction on a partition: asks the coordinator whether it is open
/// and includes the partition (KIP-890), so that a batch that comes after the transaction's end does
/// not begin one that nobody ends. Returns the ordinal of the producer's last transaction here, which
/// must still be so when the batch is appended.
async fn confirm(
    context: &Context,
    partition: &Partition,
    transactional_id: &str,
    header: &BatchHeader,
) -> Result<Option<i64>, ResponseError> {
    let (open, last_ended) = partition.transaction_of(header.producer_id);
    if open {
        return Ok(None);
    }
    let producer = Producer {
        transactional_id: transactional_id.to_owned(),
        producer_id: header.producer_id,
        epoch: header.producer_epoch,
        connection: 0,
    };
    let place = (partition.topic.clone(), partition.index);
    match context.coordinators.verify(&producer, &place).await {
        Ok(()) => Ok(Some(last_ended)),
        Err(
            error @ (ResponseError::InvalidTxnState
            | ResponseError::InvalidProducerEpoch
            | ResponseError::InvalidProducerIdMapping),
        ) => Err(error),
        // Clients know this one as a reason to try again.
        Err(_) => Err(ResponseError::NotEnoughReplicas),
    }
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
        if let Some(delay) = context.switches.answer_delay() {
            tokio::time::sleep(delay).await;
        }
    }
    response.with_base_offset(appended.base_offset).with_log_start_offset(partition.start_offset())
}

impl Context {
    /// Whether this broker may answer reads.
    pub(super) fn may_read(&self) -> bool {
        // The one switch of Bug::StaleLeader.
        self.switches.read_without_lease() || self.plane.lease.is_valid()
    }

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
