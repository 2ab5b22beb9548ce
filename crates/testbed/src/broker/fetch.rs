//! Fetch, for consumers (replica id below 0) and followers, with the long poll.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::select_all;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, FetchableTopicResponse, PartitionData,
};
use kafka_protocol::messages::{FetchRequest, FetchResponse, ProducerId, TopicName};
use tokio::sync::watch;

use super::dispatch::Answer;
use super::{Context, Reply};
use crate::replica::types::{Fetched, Isolation, Progress, ReplicaError};

/// The longest long poll.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// One look at everything that was asked for.
#[derive(Default)]
struct Look {
    topics: Vec<FetchableTopicResponse>,
    bytes: usize,
    /// Something should be told at once: an error, or a new high watermark to a follower.
    urgent: bool,
}

/// Answers when there is enough to tell, or the time is up.
pub(super) async fn handle(context: Arc<Context>, request: FetchRequest, answer: Answer) -> Reply {
    let max_wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let deadline = Instant::now() + max_wait.min(MAX_WAIT);
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0);
    let mut receivers = subscribe(&context, &request);
    let look = loop {
        for receiver in &mut receivers {
            receiver.mark_unchanged();
        }
        let look = look(&context, &request);
        let wait = deadline.saturating_duration_since(Instant::now());
        if look.bytes >= min_bytes || look.urgent || wait.is_zero() || receivers.is_empty() {
            break look;
        }
        let changes = receivers.iter_mut().map(|receiver| receiver.changed().boxed());
        let _ = tokio::time::timeout(wait, select_all(changes)).await;
    };
    note_told(&context, &request, &look.topics);
    answer.with(&FetchResponse::default().with_responses(look.topics))
}

fn subscribe(context: &Context, request: &FetchRequest) -> Vec<watch::Receiver<Progress>> {
    let topics = request.topics.iter();
    let wanted = topics.flat_map(|topic| topic.partitions.iter().map(|p| (&topic.topic, p)));
    wanted
        .filter_map(|(topic, partition)| context.replicas.get(topic, partition.partition))
        .map(|partition| partition.progress())
        .collect()
}

fn look(context: &Context, request: &FetchRequest) -> Look {
    let mut look = Look::default();
    let mut room = usize::try_from(request.max_bytes).unwrap_or(0);
    for topic in &request.topics {
        let mut partitions = Vec::new();
        for wanted in &topic.partitions {
            let result = read(context, request, &topic.topic, wanted, room);
            let mut data = PartitionData::default()
                .with_partition_index(wanted.partition)
                .with_high_watermark(-1)
                .with_last_stable_offset(-1)
                .with_records(Some(Bytes::new()));
            match result {
                Ok(mut fetched) => {
                    // A batch is always whole; only the first may exceed what was asked for.
                    if look.bytes > 0 && fetched.records.len() > room {
                        fetched.records = Bytes::new();
                    }
                    look.bytes += fetched.records.len();
                    look.urgent |= fetched.news;
                    room = room.saturating_sub(fetched.records.len());
                    data = data
                        .with_high_watermark(fetched.watermark)
                        .with_last_stable_offset(fetched.stable)
                        .with_log_start_offset(fetched.start)
                        .with_aborted_transactions(aborted(context, request, &fetched))
                        .with_records(Some(fetched.records));
                }
                Err(error) => {
                    look.urgent = true;
                    data = data.with_error_code(error.code());
                }
            }
            partitions.push(data);
        }
        let topic = FetchableTopicResponse::default().with_topic(topic.topic.clone());
        look.topics.push(topic.with_partitions(partitions));
    }
    look
}

/// What a `read_committed` consumer has to skip; `None` for others.
fn aborted(
    context: &Context,
    request: &FetchRequest,
    fetched: &Fetched,
) -> Option<Vec<AbortedTransaction>> {
    if Isolation::from_wire(request.isolation_level) == Isolation::ReadUncommitted {
        return None;
    }
    // The one switch of Bug::AbortedVisible.
    if context.switches.hide_aborts() {
        return Some(Vec::new());
    }
    let listed = fetched.aborted.iter().map(|one| {
        AbortedTransaction::default()
            .with_producer_id(ProducerId(one.producer_id))
            .with_first_offset(one.first_offset)
    });
    Some(listed.collect())
}

/// Reads one partition. A consumer is served under a valid lease only, which is looked at after
/// reading: what was read while it held was current. Followers are fenced by their leader epoch.
fn read(
    context: &Context,
    request: &FetchRequest,
    topic: &TopicName,
    wanted: &FetchPartition,
    room: usize,
) -> Result<Fetched, ReplicaError> {
    let limit = usize::try_from(wanted.partition_max_bytes).unwrap_or(0).min(room);
    let (offset, epoch) = (wanted.fetch_offset, wanted.current_leader_epoch);
    let partition = context.hosted(topic, wanted.partition)?;
    let result = match u32::try_from(request.replica_id.0) {
        Ok(follower) => {
            let from = (wanted.log_start_offset, offset);
            partition.read_as_follower(follower, from, epoch, limit)
        }
        Err(_) => {
            let isolation = Isolation::from_wire(request.isolation_level);
            let fetched = partition.read(offset, epoch, limit, isolation)?;
            if context.may_read() {
                Ok(fetched)
            } else {
                Err(ResponseError::NotLeaderOrFollower.into())
            }
        }
    };
    if let Err(ReplicaError::Storage(source)) = &result {
        context.replicas.storage_failed("partition log", source);
    }
    result
}

/// Remembers which high watermark a follower is told, so that the next one is news.
fn note_told(context: &Context, request: &FetchRequest, topics: &[FetchableTopicResponse]) {
    let Ok(follower) = u32::try_from(request.replica_id.0) else { return };
    for topic in topics {
        for data in topic.partitions.iter().filter(|data| data.error_code == 0) {
            if let Some(partition) = context.replicas.get(&topic.topic, data.partition_index) {
                partition.tell_watermark(follower, data.high_watermark);
            }
        }
    }
}
