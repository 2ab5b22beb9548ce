//! Offsets, asked of brokers directly: where logs end, and commits in the name of any member.
//!
//! An application's client hides what is wanted here: which leader epoch an answer had, and what a broker says to a
//! member that it should not know any more.

use super::types::ProbeError;
use super::wire::{Connection, topic_name};
use crate::node::NodeId;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    BrokerId, FindCoordinatorRequest, GroupId, ListOffsetsRequest, OffsetCommitRequest,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use tokio::time::Instant;

/// The timestamp that asks ListOffsets for the end of a log.
const LATEST: i64 = -1;

/// Where a log ends, as its leader says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndOffset {
    /// The offset behind the last record that a consumer of the isolation asked for may see.
    pub offset: i64,
    /// The leader epoch of the answer, where the broker tells one.
    pub leader_epoch: Option<i32>,
}

/// A commit of one offset in the name of a member.
#[derive(Clone, Copy, Debug)]
pub struct GroupCommit<'a> {
    /// The group.
    pub group: &'a str,
    /// The member's id, as the coordinator gave it.
    pub member: &'a str,
    /// The generation, or the member's epoch.
    pub generation: i32,
    /// The topic.
    pub topic: &'a str,
    /// For each partition the offset of the next record to read.
    pub offsets: &'a BTreeMap<i32, i64>,
}

impl Connection {
    /// The ends of partitions that this broker leads, each with the leader epoch that the asker knows (KIP-320), or -1.
    /// `committed` asks for the last stable offset instead of the high watermark. Gives for each partition that was
    /// answered its end, or Kafka's error code.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn list_ends(
        &mut self,
        topic: &str,
        partitions: &BTreeMap<i32, i32>,
        committed: bool,
        deadline: Instant,
    ) -> Result<BTreeMap<i32, Result<EndOffset, i16>>, ProbeError> {
        let version = self.version::<ListOffsetsRequest>(4, 7)?;
        let asked = partitions.iter().map(|(partition, epoch)| {
            ListOffsetsPartition::default()
                .with_partition_index(*partition)
                .with_current_leader_epoch(*epoch)
                .with_timestamp(LATEST)
        });
        let wanted = ListOffsetsTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(asked.collect());
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(i8::from(committed))
            .with_topics(vec![wanted]);
        let answer = self.request(&request, version, deadline).await?;
        let told = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|p| {
            let epoch = Some(p.leader_epoch).filter(|epoch| *epoch >= 0);
            let end = EndOffset { offset: p.offset, leader_epoch: epoch };
            (p.partition_index, if p.error_code == 0 { Ok(end) } else { Err(p.error_code) })
        });
        Ok(told.collect())
    }

    /// The group's coordinator: its node, and its `host:port`.
    ///
    /// # Errors
    /// [`ProbeError::Refused`] while there is none, and as for every request.
    pub async fn group_coordinator(
        &mut self,
        group: &str,
        deadline: Instant,
    ) -> Result<(NodeId, String), ProbeError> {
        let version = self.version::<FindCoordinatorRequest>(1, 3)?;
        let request =
            FindCoordinatorRequest::default().with_key(StrBytes::from_string(group.to_owned()));
        let answer = self.request(&request, version, deadline).await?;
        self.check(answer.error_code, answer.error_message.as_ref())?;
        Ok((NodeId(answer.node_id.0), format!("{}:{}", answer.host, answer.port)))
    }

    /// Commits offsets at this broker, which should be the group's coordinator.
    ///
    /// # Errors
    /// [`ProbeError::Refused`] with the first error code of any partition, after which none was committed; and as for
    /// every request, after which they may have been.
    pub async fn commit_offsets(
        &mut self,
        commit: GroupCommit<'_>,
        deadline: Instant,
    ) -> Result<(), ProbeError> {
        // Above 7 the request has tagged fields, which nothing here needs.
        let version = self.version::<OffsetCommitRequest>(5, 7)?;
        let partitions = commit.offsets.iter().map(|(partition, offset)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_leader_epoch(-1)
        });
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name(commit.topic))
            .with_partitions(partitions.collect());
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(commit.group.to_owned())))
            .with_generation_id_or_member_epoch(commit.generation)
            .with_member_id(StrBytes::from_string(commit.member.to_owned()))
            .with_topics(vec![topic]);
        let answer = self.request(&request, version, deadline).await?;
        let told = answer.topics.iter().flat_map(|topic| &topic.partitions);
        for partition in told {
            self.check(partition.error_code, None)?;
        }
        Ok(())
    }
}
