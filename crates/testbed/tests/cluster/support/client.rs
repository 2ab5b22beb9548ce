//! A raw Kafka client of a few lines, independent of the broker's own.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    BrokerId, FetchRequest, ListOffsetsRequest, ProduceRequest, RequestHeader, ResponseHeader,
    TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::{
    Compression, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record, RecordBatchDecoder,
    RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a call may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self { stream: TcpStream::connect(addr).await?, correlation_id: 0 })
    }

    /// Sends a request and returns its response.
    pub(crate) async fn call<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> io::Result<R::Response> {
        self.send(request, version).await?;
        tokio::time::timeout(PATIENCE, self.receive::<R>(version)).await?
    }

    pub(crate) async fn send<R: Request>(&mut self, request: &R, version: i16) -> io::Result<()> {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("test")));
        let mut body = BytesMut::new();
        header.encode(&mut body, R::header_version(version)).map_err(io::Error::other)?;
        request.encode(&mut body, version).map_err(io::Error::other)?;
        self.stream.write_i32(i32::try_from(body.len()).unwrap()).await?;
        self.stream.write_all(&body).await
    }

    async fn receive<R: Request>(&mut self, version: i16) -> io::Result<R::Response> {
        let length = self.stream.read_i32().await?;
        let mut frame = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut frame).await?;
        let mut frame = Bytes::from(frame);
        let header = ResponseHeader::decode(&mut frame, R::Response::header_version(version))
            .map_err(io::Error::other)?;
        assert_eq!(header.correlation_id, self.correlation_id);
        let response = R::Response::decode(&mut frame, version).map_err(io::Error::other)?;
        assert!(frame.is_empty(), "bytes behind the response");
        Ok(response)
    }

    /// Produces one batch; returns the error code and the base offset.
    pub(crate) async fn produce(
        &mut self,
        topic: &str,
        acks: i16,
        producer: Option<(i64, i16, i32)>,
        values: &[&str],
    ) -> io::Result<(i16, i64)> {
        let request = produce_request(topic, acks, producer, values);
        let response = self.call(&request, 9).await?;
        let partition = &response.responses[0].partition_responses[0];
        Ok((partition.error_code, partition.base_offset))
    }

    /// Fetches partition 0 of a topic once, as a consumer.
    pub(crate) async fn fetch(
        &mut self,
        topic: &str,
        offset: i64,
        epoch: i32,
        max_wait_ms: i32,
    ) -> io::Result<PartitionData> {
        self.fetch_as(topic, (offset, epoch), max_wait_ms, 0).await
    }

    /// Fetches partition 0 of a topic once, as a `read_committed` consumer, without waiting.
    pub(crate) async fn fetch_committed(
        &mut self,
        topic: &str,
        offset: i64,
    ) -> io::Result<PartitionData> {
        self.fetch_as(topic, (offset, -1), 0, 1).await
    }

    async fn fetch_as(
        &mut self,
        topic: &str,
        (offset, epoch): (i64, i32),
        max_wait_ms: i32,
        isolation_level: i8,
    ) -> io::Result<PartitionData> {
        let partition = FetchPartition::default()
            .with_partition(0)
            .with_current_leader_epoch(epoch)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(1 << 20);
        let wanted =
            FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(max_wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(1 << 22)
            .with_isolation_level(isolation_level)
            .with_topics(vec![wanted]);
        let mut response = self.call(&request, 12).await?;
        Ok(response.responses.remove(0).partitions.remove(0))
    }

    /// Error code and offset of ListOffsets for partition 0 at a (special) timestamp.
    pub(crate) async fn list_offset(&mut self, topic: &str, at: i64) -> io::Result<(i16, i64)> {
        let partition = ListOffsetsPartition::default().with_timestamp(at);
        let wanted = ListOffsetsTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![partition]);
        let request =
            ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![wanted]);
        let response = self.call(&request, 7).await?;
        let partition = &response.topics[0].partitions[0];
        Ok((partition.error_code, partition.offset))
    }
}

pub(crate) fn produce_request(
    topic: &str,
    acks: i16,
    producer: Option<(i64, i16, i32)>,
    values: &[&str],
) -> ProduceRequest {
    let data = PartitionProduceData::default().with_records(Some(batch(producer, values, false)));
    let topic =
        TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(5_000).with_topic_data(vec![topic])
}

/// One batch; `producer` is id, epoch and first sequence number.
pub(crate) fn batch(
    producer: Option<(i64, i16, i32)>,
    values: &[&str],
    transactional: bool,
) -> Bytes {
    let (producer_id, producer_epoch, sequence) =
        producer.unwrap_or((NO_PRODUCER_ID, NO_PRODUCER_EPOCH, NO_SEQUENCE));
    let records: Vec<Record> = (0..)
        .zip(values)
        .map(|(index, value)| Record {
            transactional,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id,
            producer_epoch,
            timestamp_type: TimestampType::Creation,
            offset: index,
            sequence: sequence + i32::try_from(index).unwrap(),
            timestamp: 1_000_000 + index,
            key: None,
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
            headers: Default::default(),
        })
        .collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
    bytes.freeze()
}

/// Offsets and values of fetched batches.
pub(crate) fn records(mut bytes: Bytes) -> Vec<(i64, String)> {
    let sets = RecordBatchDecoder::decode_all(&mut bytes).unwrap();
    let records = sets.into_iter().flat_map(|set| set.records);
    let text = |value: Option<Bytes>| String::from_utf8(value.unwrap().to_vec()).unwrap();
    records.map(|record| (record.offset, text(record.value))).collect()
}
