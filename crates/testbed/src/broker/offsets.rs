//! ListOffsets and OffsetForLeaderEpoch.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, TopicName,
};

use super::dispatch::Answer;
use super::{Context, Reply};
use crate::replica::types::{Isolation, ReplicaError};

/// Special timestamps of ListOffsets.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;

/// What a broker answers that knows no leader epochs.
const NO_EPOCH: i32 = -1;

/// Offset, timestamp (-1: none) and leader epoch (-1: none).
type Found = (i64, i64, i32);

/// Answers ListOffsets.
pub(super) fn list_offsets(
    context: &Context,
    request: &ListOffsetsRequest,
    answer: Answer,
) -> Reply {
    let isolation = Isolation::from_wire(request.isolation_level);
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let response = ListOffsetsPartitionResponse::default()
                .with_partition_index(wanted.partition_index);
            match list_one(context, &topic.name, wanted, isolation) {
                Ok((offset, timestamp, epoch)) => {
                    let response = response.with_offset(offset).with_timestamp(timestamp);
                    if answer.version >= 4 { response.with_leader_epoch(epoch) } else { response }
                }
                Err(error) => response.with_error_code(code(&error, answer.version)),
            }
        });
        ListOffsetsTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    answer.with(&ListOffsetsResponse::default().with_topics(topics.collect()))
}

/// Clients older than KIP-207 know `OFFSET_NOT_AVAILABLE` as `LEADER_NOT_AVAILABLE`.
fn code(error: &ReplicaError, version: i16) -> i16 {
    match error {
        ReplicaError::Kafka(ResponseError::OffsetNotAvailable) if version < 5 => {
            ResponseError::LeaderNotAvailable.code()
        }
        error => error.code(),
    }
}

fn list_one(
    context: &Context,
    topic: &TopicName,
    wanted: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Found, ReplicaError> {
    let partition = context.hosted(topic, wanted.partition_index)?;
    if !context.may_read() {
        return Err(ResponseError::NotLeaderOrFollower.into());
    }
    let client_epoch = wanted.current_leader_epoch;
    let none = (-1, -1, -1);
    match wanted.timestamp {
        LATEST => partition.latest_offset(client_epoch, isolation).map(|(epoch, offset)| {
            // One of the switches of Bug::StaleLeader.
            let epoch = if context.switches.read_without_lease() { NO_EPOCH } else { epoch };
            (offset, -1, epoch)
        }),
        EARLIEST => partition.earliest(client_epoch).map(|(epoch, offset)| (offset, -1, epoch)),
        at if at == MAX_TIMESTAMP || at >= 0 => {
            let at = (at >= 0).then_some(at);
            let found = partition.offset_by_time(at, client_epoch, isolation)?;
            Ok(found.unwrap_or(none))
        }
        _ => Err(ResponseError::InvalidRequest.into()),
    }
}

/// Answers OffsetForLeaderEpoch. Followers are fenced by their leader epoch and served without a
/// lease, consumers are not.
pub(super) fn offset_for_leader_epoch(
    context: &Context,
    request: &OffsetForLeaderEpochRequest,
    answer: Answer,
) -> Reply {
    // Version 2 has no replica id and is sent by consumers.
    let is_follower = answer.version >= 3 && request.replica_id.0 >= 0;
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let found = if is_follower {
                context.hosted(&topic.topic, wanted.partition)
            } else {
                context.serving(&topic.topic, wanted.partition)
            };
            let end = found.map_err(ReplicaError::from).and_then(|partition| {
                partition.epoch_end(wanted.current_leader_epoch, wanted.leader_epoch)
            });
            let response = EpochEndOffset::default().with_partition(wanted.partition);
            match end {
                Ok((epoch, offset)) => response.with_leader_epoch(epoch).with_end_offset(offset),
                Err(error) => response.with_error_code(error.code()),
            }
        });
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic.clone())
            .with_partitions(partitions.collect())
    });
    answer.with(&OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
}
