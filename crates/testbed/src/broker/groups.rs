//! FindCoordinator and the requests of consumer groups.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, GroupId, HeartbeatRequest,
    HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
    SyncGroupRequest, SyncGroupResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::dispatch::Answer;
use super::{Context, Reply};
use crate::control::image::broker_id;
use crate::coordinator::groups::{Caller, FetchedOffset};
use crate::coordinator::membership::JoinRequest;
use crate::coordinator::offsets::{Commit, OffsetKey};
use crate::coordinator::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC};

/// Key types of FindCoordinator.
const GROUP_KEY: i8 = 0;
const TRANSACTION_KEY: i8 = 1;

pub(super) fn text(value: String) -> StrBytes {
    StrBytes::from_string(value)
}

pub(super) fn code(result: Result<(), ResponseError>) -> i16 {
    result.err().map_or(0, |error| error.code())
}

/// Answers FindCoordinator.
pub(super) async fn find_coordinator(
    context: Arc<Context>,
    request: FindCoordinatorRequest,
    answer: Answer,
) -> Reply {
    let topic = match request.key_type {
        GROUP_KEY => Ok(OFFSETS_TOPIC),
        TRANSACTION_KEY => Ok(TRANSACTIONS_TOPIC),
        _ => Err(ResponseError::InvalidRequest),
    };
    let found = match topic {
        Ok(topic) => context.coordinators.find(topic, &request.key).await,
        Err(error) => Err(error),
    };
    let response = match found {
        Ok((id, host, port)) => FindCoordinatorResponse::default()
            .with_node_id(BrokerId(broker_id(id)))
            .with_host(text(host))
            .with_port(i32::from(port)),
        Err(error) => FindCoordinatorResponse::default()
            .with_error_code(error.code())
            .with_node_id(BrokerId(-1))
            .with_port(-1),
    };
    answer.with(&response)
}

fn caller(group: &GroupId, member_id: &StrBytes, generation: i32) -> Caller {
    Caller { group: group.to_string(), member_id: member_id.to_string(), generation }
}

/// Answers JoinGroup when the join phase ends. A client without a member id gets one; from version 4
/// on it has to come back with it (KIP-394).
pub(super) async fn join(
    context: Arc<Context>,
    request: JoinGroupRequest,
    answer: Answer,
) -> Reply {
    let group = request.group_id.to_string();
    let mut member_id = request.member_id.to_string();
    let failed = |error: ResponseError, member_id: String| {
        JoinGroupResponse::default()
            .with_error_code(error.code())
            .with_generation_id(-1)
            .with_protocol_name((answer.version < 7).then(StrBytes::default))
            .with_member_id(text(member_id))
    };
    if member_id.is_empty() {
        member_id = format!("member-{}", Uuid::new_v4());
        let promised = context.coordinators.promise_member(&group, &member_id).await;
        match promised {
            Err(error) => return answer.with(&failed(error, String::new())),
            Ok(()) if answer.version >= 4 => {
                return answer.with(&failed(ResponseError::MemberIdRequired, member_id));
            }
            Ok(()) => {}
        }
    }
    let millis = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let session_timeout = millis(request.session_timeout_ms);
    let wanted = JoinRequest {
        member_id: member_id.clone(),
        session_timeout,
        rebalance_timeout: millis(request.rebalance_timeout_ms).max(session_timeout),
        protocol_type: request.protocol_type.to_string(),
        protocols: request
            .protocols
            .iter()
            .map(|protocol| (protocol.name.to_string(), protocol.metadata.clone()))
            .collect(),
    };
    let response = match context.coordinators.join_group(&group, wanted).await {
        Err(error) => failed(error, member_id),
        Ok(joined) => {
            let members = joined.members.into_iter().map(|(id, metadata)| {
                JoinGroupResponseMember::default().with_member_id(text(id)).with_metadata(metadata)
            });
            let response = JoinGroupResponse::default()
                .with_generation_id(joined.generation)
                .with_protocol_name(Some(text(joined.protocol)))
                .with_leader(text(joined.leader))
                .with_member_id(text(joined.member_id))
                .with_members(members.collect());
            if answer.version >= 7 {
                response.with_protocol_type(Some(text(joined.protocol_type)))
            } else {
                response
            }
        }
    };
    answer.with(&response)
}

/// Answers SyncGroup when the leader has assigned partitions.
pub(super) async fn sync(
    context: Arc<Context>,
    request: SyncGroupRequest,
    answer: Answer,
) -> Reply {
    let caller = caller(&request.group_id, &request.member_id, request.generation_id);
    let assignments: BTreeMap<String, _> = request
        .assignments
        .iter()
        .map(|one| (one.member_id.to_string(), one.assignment.clone()))
        .collect();
    let response = match context.coordinators.sync_group(&caller, &assignments).await {
        Err(error) => SyncGroupResponse::default().with_error_code(error.code()),
        Ok(synced) => {
            let response = SyncGroupResponse::default().with_assignment(synced.assignment);
            if answer.version >= 5 {
                response
                    .with_protocol_type(Some(text(synced.protocol_type)))
                    .with_protocol_name(Some(text(synced.protocol)))
            } else {
                response
            }
        }
    };
    answer.with(&response)
}

/// Answers Heartbeat.
pub(super) async fn heartbeat(
    context: Arc<Context>,
    request: HeartbeatRequest,
    answer: Answer,
) -> Reply {
    let caller = caller(&request.group_id, &request.member_id, request.generation_id);
    let result = context.coordinators.heartbeat(&caller).await;
    answer.with(&HeartbeatResponse::default().with_error_code(code(result)))
}

/// Answers LeaveGroup; from version 3 on it names several members.
pub(super) async fn leave(
    context: Arc<Context>,
    request: LeaveGroupRequest,
    answer: Answer,
) -> Reply {
    let group = request.group_id.to_string();
    if answer.version < 3 {
        let result = context.coordinators.leave_group(&group, &request.member_id).await;
        return answer.with(&LeaveGroupResponse::default().with_error_code(code(result)));
    }
    let mut members = Vec::new();
    for MemberIdentity { member_id, group_instance_id, .. } in request.members {
        let result = context.coordinators.leave_group(&group, &member_id).await;
        members.push(
            MemberResponse::default()
                .with_member_id(member_id)
                .with_group_instance_id(group_instance_id)
                .with_error_code(code(result)),
        );
    }
    answer.with(&LeaveGroupResponse::default().with_members(members))
}

/// Answers OffsetCommit when the commit is on enough replicas.
pub(super) async fn commit(
    context: Arc<Context>,
    request: OffsetCommitRequest,
    answer: Answer,
) -> Reply {
    let generation = request.generation_id_or_member_epoch;
    let caller = caller(&request.group_id, &request.member_id, generation);
    let image = context.plane.image();
    let mut commits = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let index = partition.partition_index;
            if image.partition(&topic.name, index).is_some() {
                let commit = Commit {
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.committed_metadata.as_ref().map(ToString::to_string),
                };
                commits.push(((caller.group.clone(), topic.name.to_string(), index), commit));
            }
        }
    }
    let result = code(context.coordinators.commit_offsets(&caller, commits, None).await);
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let index = partition.partition_index;
            let known = image.partition(&topic.name, index).is_some();
            let unknown = ResponseError::UnknownTopicOrPartition.code();
            OffsetCommitResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(if known { result } else { unknown })
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    answer.with(&OffsetCommitResponse::default().with_topics(topics.collect()))
}

/// The keys of the partitions that an OffsetFetch names.
fn keys<'a>(
    group: &str,
    topics: Option<impl Iterator<Item = (&'a TopicName, &'a Vec<i32>)>>,
) -> Option<Vec<OffsetKey>> {
    topics.map(|topics| {
        let one = |(name, indexes): (&TopicName, &Vec<i32>)| {
            let (group, name) = (group.to_owned(), name.to_string());
            let key = move |index: &i32| (group.clone(), name.clone(), *index);
            indexes.iter().map(key).collect::<Vec<_>>()
        };
        topics.flat_map(one).collect()
    })
}

/// What was found, by topic.
fn by_topic(found: Vec<FetchedOffset>) -> Vec<(TopicName, Vec<OffsetFetchResponsePartition>)> {
    let mut topics: BTreeMap<String, Vec<OffsetFetchResponsePartition>> = BTreeMap::new();
    for ((_, topic, index), result) in found {
        let mut response = OffsetFetchResponsePartition::default()
            .with_partition_index(index)
            .with_committed_offset(-1)
            .with_committed_leader_epoch(-1)
            .with_metadata(Some(StrBytes::default()));
        match result {
            Ok(Some(commit)) => {
                response = response
                    .with_committed_offset(commit.offset)
                    .with_committed_leader_epoch(commit.leader_epoch)
                    .with_metadata(Some(text(commit.metadata.unwrap_or_default())));
            }
            Ok(None) => {}
            Err(error) => response = response.with_error_code(error.code()),
        }
        topics.entry(topic).or_default().push(response);
    }
    topics.into_iter().map(|(name, partitions)| (TopicName(text(name)), partitions)).collect()
}

/// Answers OffsetFetch; from version 8 on it names several groups.
pub(super) async fn fetch_offsets(
    context: Arc<Context>,
    request: OffsetFetchRequest,
    answer: Answer,
) -> Reply {
    let (coordinators, stable) = (&context.coordinators, request.require_stable);
    if answer.version < 8 {
        let group = request.group_id.to_string();
        let topics = request.topics.as_ref();
        let topics = topics.map(|all| all.iter().map(|t| (&t.name, &t.partition_indexes)));
        let found = coordinators.fetch_offsets(&group, keys(&group, topics), stable).await;
        let response = match found {
            Err(error) => OffsetFetchResponse::default().with_error_code(error.code()),
            Ok(found) => {
                let topics = by_topic(found).into_iter().map(|(name, partitions)| {
                    OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions)
                });
                OffsetFetchResponse::default().with_topics(topics.collect())
            }
        };
        return answer.with(&response);
    }
    let mut groups = Vec::new();
    for wanted in request.groups {
        let group = wanted.group_id.to_string();
        let topics = wanted.topics.as_ref();
        let topics = topics.map(|all| all.iter().map(|t| (&t.name, &t.partition_indexes)));
        let found = coordinators.fetch_offsets(&group, keys(&group, topics), stable).await;
        let response = OffsetFetchResponseGroup::default().with_group_id(wanted.group_id);
        groups.push(match found {
            Err(error) => response.with_error_code(error.code()),
            Ok(found) => {
                let topics = by_topic(found).into_iter().map(|(name, partitions)| {
                    let partitions = partitions.into_iter().map(|one| {
                        OffsetFetchResponsePartitions::default()
                            .with_partition_index(one.partition_index)
                            .with_committed_offset(one.committed_offset)
                            .with_committed_leader_epoch(one.committed_leader_epoch)
                            .with_metadata(one.metadata)
                            .with_error_code(one.error_code)
                    });
                    OffsetFetchResponseTopics::default()
                        .with_name(name)
                        .with_partitions(partitions.collect())
                });
                response.with_topics(topics.collect())
            }
        });
    }
    answer.with(&OffsetFetchResponse::default().with_groups(groups))
}
