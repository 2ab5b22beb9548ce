//! Asking brokers about their cluster over the Kafka protocol, apart from the clients under test.
//!
//! The requests go over plain TCP with a deadline each, without librdkafka: an observer must not
//! share the retries, caches and back-off of the clients whose view it is compared with.

mod offsets;
mod types;
mod wire;

pub use offsets::{EndOffset, GroupCommit};
pub use types::{
    Broker, ClusterDescription, ClusterMetadata, NewTopic, PartitionMetadata, ProbeError,
};
pub use wire::Connection;

use crate::witness::{PortState, answer_state};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// Asks the broker at `address` (`host:port`) for the metadata of `topics`, or of all topics.
///
/// # Errors
/// [`ProbeError`]; the whole exchange takes at most `timeout`.
pub async fn metadata(
    address: &str,
    topics: Option<&[String]>,
    timeout: Duration,
) -> Result<ClusterMetadata, ProbeError> {
    let deadline = Instant::now() + timeout;
    Connection::open(address, deadline).await?.metadata(topics, deadline).await
}

/// Asks the broker at `address` for the API versions that it serves: API key → (lowest, highest).
/// This is the cheapest request that proves that a broker answers.
///
/// # Errors
/// [`ProbeError`]; the whole exchange takes at most `timeout`.
pub async fn api_versions(
    address: &str,
    timeout: Duration,
) -> Result<BTreeMap<i16, (i16, i16)>, ProbeError> {
    let connection = Connection::open(address, Instant::now() + timeout).await?;
    Ok(connection.versions().clone())
}

/// Asks the broker at `address` who is in the cluster (DescribeCluster, KIP-700).
///
/// # Errors
/// [`ProbeError`]; the whole exchange takes at most `timeout`.
pub async fn describe_cluster(
    address: &str,
    timeout: Duration,
) -> Result<ClusterDescription, ProbeError> {
    let deadline = Instant::now() + timeout;
    Connection::open(address, deadline).await?.describe_cluster(deadline).await
}

/// Creates a topic through the broker at `address`. The cluster may still be electing its leaders
/// when this returns.
///
/// # Errors
/// [`ProbeError::Refused`] with Kafka's error code, such as 36 when the topic exists or 41 when
/// another broker is the controller; otherwise as for the other requests.
pub async fn create_topic(
    address: &str,
    topic: &NewTopic,
    timeout: Duration,
) -> Result<(), ProbeError> {
    let deadline = Instant::now() + timeout;
    Connection::open(address, deadline).await?.create_topic(topic, deadline).await
}

/// Where the drivers and the observer get a node's view of the cluster from.
#[async_trait]
pub trait MetadataProbe: Send + Sync {
    /// The metadata that the node at `address` (`host:port`) has of its cluster, all topics.
    ///
    /// # Errors
    /// [`ProbeError`] when there is no usable answer within the probe's own bound.
    async fn metadata(&self, address: &str) -> Result<ClusterMetadata, ProbeError>;

    /// What the port of the node at `address` does: whether it takes connections within `bound`,
    /// and whether the node answers.
    async fn port(&self, address: &str, bound: Duration) -> (PortState, bool) {
        answer_state(address, bound).await
    }

    /// Creates a topic through the node at `address`.
    ///
    /// # Errors
    /// As [`create_topic`]; the whole takes at most `limit`.
    async fn create_topic(
        &self,
        address: &str,
        topic: &NewTopic,
        limit: Duration,
    ) -> Result<(), ProbeError> {
        create_topic(address, topic, limit).await
    }
}

type Slot = Arc<tokio::sync::Mutex<Option<Connection>>>;

/// A [`MetadataProbe`] over the Kafka protocol that keeps one connection per address open.
#[derive(Debug)]
pub struct KafkaProbe {
    timeout: Duration,
    slots: Mutex<BTreeMap<String, Slot>>,
}

impl KafkaProbe {
    /// A probe whose questions take at most `timeout` each.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, slots: Mutex::default() }
    }

    async fn ask(&self, address: &str, deadline: Instant) -> Result<ClusterMetadata, ProbeError> {
        let slot = Arc::clone(crate::sync::locked(&self.slots).entry(address.into()).or_default());
        let mut slot = tokio::time::timeout_at(deadline, slot.lock())
            .await
            .map_err(|_| ProbeError::timeout(address, "the connection's turn"))?;
        // The connection is put back only after a whole exchange: one that was given up halfway
        // would hand its late answer to the next question.
        let kept = slot.take();
        let reused = kept.is_some();
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(address, deadline).await?,
        };
        let answer = match connection.metadata(None, deadline).await {
            // A node that was restarted since has closed the kept connection.
            Err(ProbeError::Closed { .. } | ProbeError::Io { .. }) if reused => {
                connection = Connection::open(address, deadline).await?;
                connection.metadata(None, deadline).await
            }
            other => other,
        }?;
        *slot = Some(connection);
        Ok(answer)
    }
}

#[async_trait]
impl MetadataProbe for KafkaProbe {
    async fn metadata(&self, address: &str) -> Result<ClusterMetadata, ProbeError> {
        self.ask(address, Instant::now() + self.timeout).await
    }
}
