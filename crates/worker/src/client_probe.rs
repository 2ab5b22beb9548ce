//! Asking a secured cluster for its metadata: through librdkafka, which has the credentials.
//!
//! Clusters without TLS and SASL are asked by the observer's own requests, which share nothing with the clients under test.
//! A client that lived on from one question to the next would learn of the other brokers, any of which could then answer in
//! the place of the one that was asked; so each question has a client of its own.

use crate::client::base_config;
use crate::plan::ClientSettings;
use async_trait::async_trait;
use perjury_cluster::probe::{Broker, NewTopic, PartitionMetadata, ProbeError};
use perjury_cluster::{ClusterMetadata, MetadataProbe, NodeId, PortState, connect_state};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic as RdTopic, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a client is heard out about what went wrong.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// A probe that uses the clients' properties.
#[derive(Clone)]
pub struct ClientProbe {
    settings: ClientSettings,
    limit: Duration,
}

/// Keeps what a client complained of last. That all brokers are down only follows from the complaints before.
#[derive(Clone, Default)]
struct Complaints(Arc<Mutex<Option<String>>>);

impl ClientContext for Complaints {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, fac, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl ProducerContext for Complaints {
    type DeliveryOpaque = ();

    fn delivery(&self, _result: &DeliveryResult<'_>, (): ()) {}
}

impl ClientProbe {
    /// A probe whose questions take at most `limit` each.
    #[must_use]
    pub fn new(settings: ClientSettings, limit: Duration) -> Self {
        Self { settings, limit }
    }

    /// Asks the node at `address`. Blocks.
    fn ask(&self, address: &str) -> Result<ClusterMetadata, ProbeError> {
        let complaints = Complaints::default();
        // A producer that sends nothing is the least of librdkafka's clients.
        let client: BaseProducer<Complaints> = base_config(address, &self.settings)
            .create_with_context(complaints.clone())
            .map_err(|error| refused(address, &error))?;
        client.client().fetch_metadata(None, self.limit).map(|m| converted(&m)).map_err(|error| {
            client.poll(LAST_WORDS);
            let complaint = complaints.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            refused(address, &complaint.unwrap_or_else(|| error.to_string()))
        })
    }
}

fn refused(address: &str, detail: &dyn std::fmt::Display) -> ProbeError {
    ProbeError::Client { address: address.to_owned(), detail: detail.to_string() }
}

#[async_trait]
impl MetadataProbe for ClientProbe {
    async fn metadata(&self, address: &str) -> Result<ClusterMetadata, ProbeError> {
        let (probe, asked) = (self.clone(), address.to_owned());
        let answer = tokio::task::spawn_blocking(move || probe.ask(&asked)).await;
        answer.unwrap_or_else(|panic| Err(refused(address, &panic)))
    }

    async fn port(&self, address: &str, bound: Duration) -> (PortState, bool) {
        // A handshake and a login take their time, which this probe's own limit accounts for.
        match connect_state(address, bound).await {
            PortState::Accepted => (PortState::Accepted, self.metadata(address).await.is_ok()),
            state => (state, false),
        }
    }

    async fn create_topic(
        &self,
        address: &str,
        topic: &NewTopic,
        limit: Duration,
    ) -> Result<(), ProbeError> {
        let admin: AdminClient<Complaints> = base_config(address, &self.settings)
            .create_with_context(Complaints::default())
            .map_err(|error| refused(address, &error))?;
        let replication = TopicReplication::Fixed(i32::from(topic.replication_factor));
        let mut wanted = RdTopic::new(&topic.name, topic.partitions, replication);
        for (name, value) in &topic.configs {
            wanted = wanted.set(name, value);
        }
        let options =
            AdminOptions::new().operation_timeout(Some(limit)).request_timeout(Some(limit));
        let done = admin.create_topics([&wanted], &options).await;
        match done.map_err(|error| refused(address, &error))?.into_iter().next() {
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
