//! Asking a secured cluster for its metadata: through librdkafka, which has the credentials.
//!
//! Clusters without TLS and SASL are asked by the observer's own requests, which share nothing with the clients under test.

use crate::client::{LogContext, base_config};
use crate::plan::ClientSettings;
use async_trait::async_trait;
use perjury_cluster::probe::{Broker, NewTopic, PartitionMetadata, ProbeError};
use perjury_cluster::{ClusterMetadata, MetadataProbe, NodeId};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic as RdTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::Metadata;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A probe that uses the clients' properties.
pub struct ClientProbe {
    settings: ClientSettings,
    limit: Duration,
    consumers: Mutex<BTreeMap<String, Arc<BaseConsumer<LogContext>>>>,
}

impl ClientProbe {
    /// A probe whose questions take at most `limit` each.
    #[must_use]
    pub fn new(settings: ClientSettings, limit: Duration) -> Self {
        Self { settings, limit, consumers: Mutex::default() }
    }

    fn consumer(&self, address: &str) -> Result<Arc<BaseConsumer<LogContext>>, ProbeError> {
        let mut consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(consumer) = consumers.get(address) {
            return Ok(consumer.clone());
        }
        let made: BaseConsumer<LogContext> = base_config(address, &self.settings)
            .create_with_context(LogContext)
            .map_err(|error| malformed(address, &error))?;
        let made = Arc::new(made);
        consumers.insert(address.to_owned(), made.clone());
        Ok(made)
    }
}

fn malformed(address: &str, detail: &dyn std::fmt::Display) -> ProbeError {
    ProbeError::Malformed { address: address.to_owned(), detail: detail.to_string() }
}

#[async_trait]
impl MetadataProbe for ClientProbe {
    async fn metadata(&self, address: &str) -> Result<ClusterMetadata, ProbeError> {
        let (consumer, limit) = (self.consumer(address)?, self.limit);
        let asked = tokio::task::spawn_blocking(move || {
            consumer.fetch_metadata(None, limit).map(|metadata| converted(&metadata))
        });
        match asked.await {
            Ok(answer) => answer.map_err(|error| malformed(address, &error)),
            Err(panic) => Err(malformed(address, &panic)),
        }
    }

    async fn create_topic(
        &self,
        address: &str,
        topic: &NewTopic,
        limit: Duration,
    ) -> Result<(), ProbeError> {
        let admin: AdminClient<LogContext> = base_config(address, &self.settings)
            .create_with_context(LogContext)
            .map_err(|error| malformed(address, &error))?;
        let replication = TopicReplication::Fixed(i32::from(topic.replication_factor));
        let mut wanted = RdTopic::new(&topic.name, topic.partitions, replication);
        for (name, value) in &topic.configs {
            wanted = wanted.set(name, value);
        }
        let options =
            AdminOptions::new().operation_timeout(Some(limit)).request_timeout(Some(limit));
        let done = admin.create_topics([&wanted], &options).await;
        match done.map_err(|error| malformed(address, &error))?.into_iter().next() {
            Some(Err((_, code))) => Err(ProbeError::Refused {
                address: address.to_owned(),
                code: number(code),
                message: Some(code.to_string()),
            }),
            _ => Ok(()),
        }
    }
}

/// Kafka's number of a broker's error.
fn number(code: RDKafkaErrorCode) -> i16 {
    i16::try_from(code as i32).unwrap_or(-1)
}

fn converted(metadata: &Metadata) -> ClusterMetadata {
    let ids = |ids: &[i32]| {
        let mut ids: Vec<_> = ids.iter().copied().map(NodeId).collect();
        ids.sort_unstable();
        ids
    };
    let mut brokers: Vec<Broker> = metadata
        .brokers()
        .iter()
        .map(|b| Broker { id: NodeId(b.id()), host: b.host().to_owned(), port: b.port() })
        .collect();
    brokers.sort_by_key(|broker| broker.id);
    let mut partitions: Vec<PartitionMetadata> = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions().iter().map(move |p| (topic, p)))
        .map(|(topic, p)| PartitionMetadata {
            topic: topic.name().to_owned(),
            partition: p.id(),
            leader: (p.leader() >= 0).then_some(NodeId(p.leader())),
            leader_epoch: None,
            isr: ids(p.isr()),
            replicas: p.replicas().iter().copied().map(NodeId).collect(),
            offline: Vec::new(),
            error: 0,
        })
        .collect();
    partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    // Any broker answers for its controller, which librdkafka does not pass on; the first broker stands in for it.
    let controller = brokers.first().map(|broker| broker.id);
    ClusterMetadata {
        cluster_id: None,
        controller,
        brokers,
        partitions,
        topic_errors: BTreeMap::new(),
    }
}
