//! The configuration from which the contract follows: what clients and cluster were asked to promise.

use serde::{Deserialize, Serialize};

/// How many acknowledgements a producer asks for (Kafka's `acks`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Acks {
    /// `acks=0`: the producer does not wait.
    #[serde(rename = "0")]
    None,
    /// `acks=1`: the leader alone.
    #[serde(rename = "1")]
    Leader,
    /// `acks=all`: every in-sync replica.
    #[serde(rename = "all", alias = "-1")]
    All,
}

impl std::fmt::Display for Acks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Acks::None => "0",
            Acks::Leader => "1",
            Acks::All => "all",
        })
    }
}

impl std::str::FromStr for Acks {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "0" => Ok(Acks::None),
            "1" => Ok(Acks::Leader),
            "all" | "-1" => Ok(Acks::All),
            other => Err(format!("acks is 0, 1 or all, not {other:?}")),
        }
    }
}

/// What a consumer is shown of transactions (Kafka's `isolation.level`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IsolationLevel {
    /// Everything up to the high watermark.
    #[serde(rename = "read_uncommitted")]
    ReadUncommitted,
    /// Committed records up to the last stable offset.
    #[serde(rename = "read_committed")]
    ReadCommitted,
}

impl IsolationLevel {
    /// Kafka's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            IsolationLevel::ReadUncommitted => "read_uncommitted",
            IsolationLevel::ReadCommitted => "read_committed",
        }
    }
}

/// How consumers come by their topic-partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubVia {
    /// The client names its partitions.
    Assign,
    /// A consumer group hands them out.
    Subscribe,
}

impl std::str::FromStr for SubVia {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "assign" => Ok(SubVia::Assign),
            "subscribe" => Ok(SubVia::Subscribe),
            other => Err(format!("consumers assign or subscribe, not {other:?}")),
        }
    }
}

/// What clients and cluster were configured to promise. A field is absent when it is not known; the contract then
/// answers *unspecified* where it matters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Configuration {
    /// The producers' `acks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acks: Option<Acks>,
    /// The producers' `enable.idempotence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotence: Option<bool>,
    /// Whether sends and polls run inside Kafka transactions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactional: Option<bool>,
    /// The consumers' `isolation.level`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation_level: Option<IsolationLevel>,
    /// How consumers come by their partitions; empty when not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sub_via: Vec<SubVia>,
    /// The topics' replication factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_factor: Option<u32>,
    /// The topics' `min.insync.replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_insync_replicas: Option<u32>,
    /// The topics' `unclean.leader.election.enable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unclean_leader_election: Option<bool>,
    /// Whether the brokers fsync before they acknowledge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fsync_before_ack: Option<bool>,
    /// Whether the topics are compacted: of each record key only the last value has to stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compacted: Option<bool>,
}
