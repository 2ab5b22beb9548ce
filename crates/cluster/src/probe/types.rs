//! What brokers say of their cluster, and why they could not be understood.

use crate::node::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A cluster as one broker sees it (Kafka's Metadata response).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterMetadata {
    /// The cluster's id, where it has one.
    pub cluster_id: Option<String>,
    /// The controller, where one is known.
    pub controller: Option<NodeId>,
    /// The brokers, ordered by id.
    pub brokers: Vec<Broker>,
    /// The partitions of all topics asked for, ordered by topic and index.
    pub partitions: Vec<PartitionMetadata>,
    /// The topics that the broker answered with an error instead, with Kafka's error code.
    pub topic_errors: BTreeMap<String, i16>,
}

impl ClusterMetadata {
    /// The ids of the brokers, ascending.
    #[must_use]
    pub fn broker_ids(&self) -> Vec<NodeId> {
        self.brokers.iter().map(|broker| broker.id).collect()
    }

    /// The partition with this topic and index.
    #[must_use]
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&PartitionMetadata> {
        self.partitions.iter().find(|p| p.partition == partition && p.topic == topic)
    }

    /// Brings brokers, partitions and member lists into their documented order.
    pub(crate) fn sort(&mut self) {
        self.brokers.sort_by_key(|broker| broker.id);
        for partition in &mut self.partitions {
            partition.isr.sort_unstable();
            partition.offline.sort_unstable();
        }
        self.partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    }
}

/// A broker as metadata announces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broker {
    /// Broker id.
    pub id: NodeId,
    /// Advertised host.
    pub host: String,
    /// Advertised port.
    pub port: i32,
}

/// A partition as metadata announces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionMetadata {
    /// Topic name.
    pub topic: String,
    /// Partition index.
    pub partition: i32,
    /// The leader; none while there is none.
    pub leader: Option<NodeId>,
    /// The leader epoch (KIP-101), which Metadata carries from version 7 on.
    pub leader_epoch: Option<i32>,
    /// The in-sync replicas, ascending.
    pub isr: Vec<NodeId>,
    /// All replicas in assignment order; the first is the preferred leader.
    pub replicas: Vec<NodeId>,
    /// The replicas on brokers that are offline (version 5 and later), ascending.
    pub offline: Vec<NodeId>,
    /// Kafka's error code of this partition, 0 when there is none.
    pub error: i16,
}

/// Who is in a cluster (Kafka's DescribeCluster response, KIP-700).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterDescription {
    /// The cluster's id.
    pub cluster_id: String,
    /// The controller, where one is known.
    pub controller: Option<NodeId>,
    /// The brokers, ordered by id.
    pub brokers: Vec<Broker>,
}

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTopic {
    /// Topic name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas of each partition.
    pub replication_factor: i16,
    /// Topic configuration, such as `min.insync.replicas`.
    pub configs: BTreeMap<String, String>,
}

/// A question to a broker without a usable answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// No connection came about.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The broker asked.
        address: String,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// The time for the exchange was over.
    #[error("{address} did not finish {what} in time")]
    Timeout {
        /// The broker asked.
        address: String,
        /// The step that was under way.
        what: &'static str,
    },
    /// The connection broke.
    #[error("the connection to {address} broke: {source}")]
    Io {
        /// The broker asked.
        address: String,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// The broker closed the connection instead of answering.
    #[error("{address} closed the connection without an answer")]
    Closed {
        /// The broker asked.
        address: String,
    },
    /// The answer is not in the form of the protocol.
    #[error("{address} sent a malformed answer: {detail}")]
    Malformed {
        /// The broker asked.
        address: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A client that was asked to ask did not get an answer.
    #[error("{address}: {detail}")]
    Client {
        /// The broker asked.
        address: String,
        /// What the client complained of.
        detail: String,
    },
    /// The broker and this probe have no version of a request in common.
    #[error("{address} serves versions {served} of API {api}, this probe speaks {spoken}")]
    Version {
        /// The broker asked.
        address: String,
        /// The request's API key.
        api: i16,
        /// What the broker offers, `none` when nothing.
        served: String,
        /// What this probe can use.
        spoken: String,
    },
    /// The broker refused the request.
    #[error("{address} refused: Kafka error {code}{}", message.as_ref().map(|m| format!(" ({m})")).unwrap_or_default())]
    Refused {
        /// The broker asked.
        address: String,
        /// Kafka's error code.
        code: i16,
        /// The broker's own words, where it sent any.
        message: Option<String>,
    },
}

impl ProbeError {
    pub(crate) fn timeout(address: &str, what: &'static str) -> Self {
        Self::Timeout { address: address.to_owned(), what }
    }

    pub(crate) fn malformed(address: &str, detail: impl ToString) -> Self {
        Self::Malformed { address: address.to_owned(), detail: detail.to_string() }
    }

    /// Whether the kernel said that nothing listens at the address.
    #[must_use]
    pub fn is_connection_refused(&self) -> bool {
        matches!(self, Self::Connect { source, .. }
            if source.kind() == std::io::ErrorKind::ConnectionRefused)
    }
}
