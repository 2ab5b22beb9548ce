//! One connection to a broker: length-prefixed frames, one request at a time.

use super::types::{
    Broker, ClusterDescription, ClusterMetadata, NewTopic, PartitionMetadata, ProbeError,
};
use crate::node::known;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, DescribeClusterRequest, MetadataRequest,
    MetadataResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// A larger answer is taken for something that is not Kafka (such as an HTTP server's text).
const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;
/// The name under which this probe shows up in a broker's request log.
const CLIENT_ID: &str = "perjury-probe";
/// The error code for "no error" in every response.
const NO_ERROR: i16 = 0;

/// A connection to one broker. After an error it must be dropped: an answer may still be under way.
#[derive(Debug)]
pub struct Connection {
    pub(super) address: String,
    stream: TcpStream,
    correlation: i32,
    versions: BTreeMap<i16, (i16, i16)>,
}

impl Connection {
    /// Connects to `address` (`host:port`) and asks for the API versions, until `deadline`.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn open(address: &str, deadline: Instant) -> Result<Self, ProbeError> {
        let stream = timeout_at(deadline, TcpStream::connect(address))
            .await
            .map_err(|_| ProbeError::timeout(address, "the TCP connection"))?
            .map_err(|source| ProbeError::Connect { address: address.to_owned(), source })?;
        // Small single requests: waiting to fill a segment would only add delay.
        let _ = stream.set_nodelay(true);
        let versions = BTreeMap::new();
        let mut connection = Self { address: address.to_owned(), stream, correlation: 0, versions };
        // Version 0 is understood by every broker and needs no negotiation (KIP-511).
        let answer = connection.request(&ApiVersionsRequest::default(), 0, deadline).await?;
        connection.check(answer.error_code, None)?;
        connection.versions = answer
            .api_keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect();
        Ok(connection)
    }

    /// The API versions that the broker serves: API key → (lowest, highest).
    #[must_use]
    pub fn versions(&self) -> &BTreeMap<i16, (i16, i16)> {
        &self.versions
    }

    /// The metadata of `topics`, or of all topics. Never creates a topic.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn metadata(
        &mut self,
        topics: Option<&[String]>,
        deadline: Instant,
    ) -> Result<ClusterMetadata, ProbeError> {
        // Version 4 brought the switch against creating topics by asking; 13 adds nothing used here.
        let version = self.version::<MetadataRequest>(4, 12)?;
        let wanted = topics.map(|names| {
            names
                .iter()
                .map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))))
                .collect()
        });
        let request =
            MetadataRequest::default().with_topics(wanted).with_allow_auto_topic_creation(false);
        let answer = self.request(&request, version, deadline).await?;
        Ok(cluster_metadata(&answer))
    }

    /// Who is in the cluster (DescribeCluster, KIP-700).
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn describe_cluster(
        &mut self,
        deadline: Instant,
    ) -> Result<ClusterDescription, ProbeError> {
        let version = self.version::<DescribeClusterRequest>(0, 0)?;
        let answer = self.request(&DescribeClusterRequest::default(), version, deadline).await?;
        self.check(answer.error_code, answer.error_message.as_ref())?;
        let mut brokers: Vec<_> = answer
            .brokers
            .iter()
            .filter_map(|b| {
                Some(Broker { id: known(b.broker_id.0)?, host: b.host.to_string(), port: b.port })
            })
            .collect();
        brokers.sort_by_key(|broker| broker.id);
        Ok(ClusterDescription {
            cluster_id: answer.cluster_id.to_string(),
            controller: known(answer.controller_id.0),
            brokers,
        })
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// [`ProbeError::Refused`] with Kafka's error code, and as for every request.
    pub async fn create_topic(
        &mut self,
        topic: &NewTopic,
        deadline: Instant,
    ) -> Result<(), ProbeError> {
        // The highest version without tagged fields: the most widely served one.
        let version = self.version::<CreateTopicsRequest>(2, 4)?;
        let configs = topic
            .configs
            .iter()
            .map(|(name, value)| {
                CreatableTopicConfig::default()
                    .with_name(StrBytes::from_string(name.clone()))
                    .with_value(Some(StrBytes::from_string(value.clone())))
            })
            .collect();
        let wanted = CreatableTopic::default()
            .with_name(topic_name(&topic.name))
            .with_num_partitions(topic.partitions)
            .with_replication_factor(topic.replication_factor)
            .with_configs(configs);
        let remaining = deadline.saturating_duration_since(Instant::now());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![wanted])
            .with_timeout_ms(i32::try_from(remaining.as_millis()).unwrap_or(i32::MAX));
        let answer = self.request(&request, version, deadline).await?;
        let Some(result) = answer.topics.first() else {
            return Err(ProbeError::malformed(&self.address, "no result for the topic"));
        };
        self.check(result.error_code, result.error_message.as_ref())
    }

    /// The highest version within `lowest..=highest` that the broker serves too.
    pub(super) fn version<Q: Request>(&self, lowest: i16, highest: i16) -> Result<i16, ProbeError> {
        let served = self.versions.get(&Q::KEY).copied();
        let common = served.map(|(min, max)| (min.max(lowest), max.min(highest)));
        match common {
            Some((min, max)) if min <= max => Ok(max),
            _ => Err(ProbeError::Version {
                address: self.address.clone(),
                api: Q::KEY,
                served: served.map_or("none".to_owned(), |(min, max)| format!("{min} to {max}")),
                spoken: format!("{lowest} to {highest}"),
            }),
        }
    }

    pub(super) fn check(&self, code: i16, message: Option<&StrBytes>) -> Result<(), ProbeError> {
        if code == NO_ERROR {
            return Ok(());
        }
        let message = message.map(ToString::to_string);
        Err(ProbeError::Refused { address: self.address.clone(), code, message })
    }

    pub(super) async fn request<Q: Request>(
        &mut self,
        request: &Q,
        version: i16,
        deadline: Instant,
    ) -> Result<Q::Response, ProbeError> {
        self.correlation = self.correlation.wrapping_add(1);
        let frame = self.encode(request, version)?;
        let exchange = async {
            self.stream.write_all(&frame).await?;
            let size = self.stream.read_u32().await? as usize;
            if size > MAX_FRAME_BYTES {
                return Ok(Err(size));
            }
            let mut answer = BytesMut::zeroed(size);
            self.stream.read_exact(&mut answer).await?;
            Ok(Ok(answer.freeze()))
        };
        let outcome = timeout_at(deadline, exchange)
            .await
            .map_err(|_| ProbeError::timeout(&self.address, "its answer"))?;
        let mut answer: Bytes = match outcome {
            Ok(Ok(answer)) => answer,
            Ok(Err(size)) => {
                let detail = format!("a frame of {size} bytes; this is not a Kafka broker");
                return Err(ProbeError::malformed(&self.address, detail));
            }
            Err(error) => return Err(self.broken(error)),
        };
        self.decode::<Q>(&mut answer, version)
    }

    fn broken(&self, source: std::io::Error) -> ProbeError {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        let address = self.address.clone();
        match source.kind() {
            UnexpectedEof | ConnectionReset | BrokenPipe => ProbeError::Closed { address },
            _ => ProbeError::Io { address, source },
        }
    }

    fn encode<Q: Request>(&self, request: &Q, version: i16) -> Result<Bytes, ProbeError> {
        let malformed = |detail: String| ProbeError::malformed(&self.address, detail);
        let header = RequestHeader::default()
            .with_request_api_key(Q::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
        let mut body = BytesMut::new();
        header
            .encode(&mut body, Q::header_version(version))
            .and_then(|()| request.encode(&mut body, version))
            .map_err(|error| malformed(error.to_string()))?;
        let size = u32::try_from(body.len()).map_err(|error| malformed(error.to_string()))?;
        let mut frame = BytesMut::with_capacity(body.len() + 4);
        frame.put_u32(size);
        frame.extend_from_slice(&body);
        Ok(frame.freeze())
    }

    fn decode<Q: Request>(
        &self,
        answer: &mut Bytes,
        version: i16,
    ) -> Result<Q::Response, ProbeError> {
        let malformed = |detail: String| ProbeError::malformed(&self.address, detail);
        let header_version = <Q::Response as HeaderVersion>::header_version(version);
        let header = ResponseHeader::decode(answer, header_version)
            .map_err(|error| malformed(error.to_string()))?;
        if header.correlation_id != self.correlation {
            let (got, sent) = (header.correlation_id, self.correlation);
            return Err(malformed(format!("correlation id {got} for request {sent}")));
        }
        let body =
            Q::Response::decode(answer, version).map_err(|error| malformed(error.to_string()))?;
        if answer.has_remaining() {
            let rest = answer.remaining();
            return Err(malformed(format!("{rest} bytes follow the end of the message")));
        }
        Ok(body)
    }
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn cluster_metadata(answer: &MetadataResponse) -> ClusterMetadata {
    let mut metadata = ClusterMetadata {
        cluster_id: answer.cluster_id.as_ref().map(ToString::to_string),
        controller: known(answer.controller_id.0),
        ..ClusterMetadata::default()
    };
    for broker in &answer.brokers {
        if let Some(id) = known(broker.node_id.0) {
            let host = broker.host.to_string();
            metadata.brokers.push(Broker { id, host, port: broker.port });
        }
    }
    for topic in &answer.topics {
        let name = topic.name.as_ref().map(|name| name.0.to_string()).unwrap_or_default();
        if topic.error_code != NO_ERROR {
            metadata.topic_errors.insert(name.clone(), topic.error_code);
        }
        add_partitions(&mut metadata, &name, topic);
    }
    metadata.sort();
    metadata
}

fn add_partitions(metadata: &mut ClusterMetadata, name: &str, topic: &MetadataResponseTopic) {
    for p in &topic.partitions {
        metadata.partitions.push(PartitionMetadata {
            topic: name.to_owned(),
            partition: p.partition_index,
            leader: known(p.leader_id.0),
            leader_epoch: (p.leader_epoch >= 0).then_some(p.leader_epoch),
            isr: p.isr_nodes.iter().filter_map(|id| known(id.0)).collect(),
            replicas: p.replica_nodes.iter().filter_map(|id| known(id.0)).collect(),
            offline: p.offline_replicas.iter().filter_map(|id| known(id.0)).collect(),
            error: p.error_code,
        });
    }
}
