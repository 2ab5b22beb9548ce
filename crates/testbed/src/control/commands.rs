//! What can be asked of the metadata, and what it answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::image::PartitionState;
use crate::config::HostPort;

/// A change to the metadata, replicated through Raft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub(crate) enum Command {
    /// A broker process started. It begins fenced and with a new broker epoch.
    RegisterBroker { id: u32, incarnation: Uuid, kafka: HostPort },
    /// The lease of a broker ran out.
    FenceBroker {
        id: u32,
        broker_epoch: u64,
        /// Whether replicas out of sync are to lead in its place, see
        /// [`Bug::UncleanFailover`](crate::Bug::UncleanFailover).
        #[serde(default)]
        unclean: bool,
    },
    /// A registered broker sends heartbeats and knows the metadata.
    UnfenceBroker { id: u32, broker_epoch: u64 },
    /// A partition leader proposes another in-sync set (Kafka's AlterPartition, KIP-497).
    AlterPartition(AlterPartition),
    /// A new topic.
    CreateTopic(CreateTopic),
    /// Adds partitions to a topic until there are so many.
    CreatePartitions { name: String, total: u32 },
    /// Removes a topic.
    DeleteTopic { name: String },
    /// Reserves producer ids for one broker (Kafka's AllocateProducerIds, KIP-730).
    AllocateProducerIds { count: u32 },
}

/// The fields of [`Command::AlterPartition`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AlterPartition {
    pub(crate) topic: String,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
    /// Who proposes; must be the leader.
    pub(crate) leader: u32,
    /// Must be the current leader epoch.
    pub(crate) leader_epoch: i32,
    /// Must be the current partition epoch, so that of two proposals one wins.
    pub(crate) partition_epoch: i32,
    pub(crate) isr: Vec<u32>,
}

/// The fields of [`Command::CreateTopic`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CreateTopic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) partitions: u32,
    pub(crate) replication_factor: u16,
    pub(crate) configs: BTreeMap<String, String>,
}

/// What applying a command gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// Done, or was so already.
    Done,
    /// The broker epoch that a registration gave.
    Registered { broker_epoch: u64 },
    /// The new state of the partition.
    Altered { state: PartitionState },
    /// The first of the reserved producer ids.
    ProducerIds { first: i64 },
    /// Nothing was changed.
    Refused(Refusal),
}

/// Why a command changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub(crate) enum Refusal {
    #[error("unknown broker, or it registered again")]
    StaleBroker,
    #[error("unknown topic or partition")]
    UnknownTopicOrPartition,
    #[error("the proposer does not lead at this epoch")]
    NotLeader,
    #[error("the partition epoch is not current")]
    StalePartitionEpoch,
    #[error("the in-sync set names a broker that is fenced or no replica")]
    IneligibleReplica,
    #[error("topic exists")]
    TopicExists,
    #[error("replication factor {wanted} with {available} brokers registered")]
    ReplicationFactor { wanted: u16, available: usize },
    #[error("number of partitions must be positive")]
    Partitions,
}
