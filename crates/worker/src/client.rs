//! One process's client: a producer and a consumer of librdkafka, alone with each other.

use crate::outcome;
use crate::payload;
use crate::plan::{ClientSettings, TopicSettings};
use crate::properties;
use crate::reader::{self, AskError, CLOSE_LIMIT, Reader, apart};
use perjury_history::{OpError, Record, RecordMeta};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::Duration;

/// Hands librdkafka's logs and errors to `tracing`, where they are silent unless asked for.
#[derive(Debug, Clone, Copy)]
pub struct LogContext;

impl ClientContext for LogContext {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, fac, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for LogContext {}

/// Where a newly assigned partition is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// The start of the log, which librdkafka has to ask for. Only for the first assignment of a client.
    Beginning,
    /// Some records before the last acknowledged one, as an offset that is known here.
    ///
    /// librdkafka's own "so many before the end" is not used: after two assignments in short succession a late answer
    /// to the question of the first one moves the consumer of the second one back.
    Recent,
}

/// What a poll brought.
#[derive(Debug, Default)]
pub struct Polled {
    /// Records by partition, in the order received.
    pub records: BTreeMap<i32, Vec<Record>>,
    /// Partitions whose end was reported.
    pub ends: Vec<i32>,
    /// Errors after which librdkafka goes on by itself.
    pub notes: Vec<String>,
    /// The error after which this consumer cannot go on.
    pub lost: Option<OpError>,
}

impl Polled {
    /// How many records.
    pub fn len(&self) -> usize {
        self.records.values().map(Vec::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The offset behind the last record of each partition.
    pub(crate) fn next_offsets(&self) -> impl Iterator<Item = (i32, i64)> {
        let last = |records: &Vec<Record>| records.last().and_then(|record| record.offset);
        self.records.iter().filter_map(move |(p, records)| Some((*p, last(records)? + 1)))
    }

    /// A poll that brought nothing but the end of its consumer.
    pub(crate) fn lost_by(error: AskError) -> Self {
        Polled { lost: Some(error.into()), ..Polled::default() }
    }
}

/// Common librdkafka properties: quick reconnects, since brokers come and go here by design.
pub fn base_config(bootstrap: &str, settings: &ClientSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "perjury")
        .set("socket.timeout.ms", "5000")
        .set("socket.connection.setup.timeout.ms", "2000")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "250")
        .set("retry.backoff.ms", "20")
        .set("retry.backoff.max.ms", "200")
        .set("topic.metadata.refresh.interval.ms", "5000")
        .set("topic.metadata.refresh.fast.interval.ms", "50")
        .set("allow.auto.create.topics", "false")
        // Clients' own metrics (KIP-714) are histograms of some 100 KB for each broker of each client, and clients come
        // and go with every fault.
        .set("enable.metrics.push", "false");
    for (name, value) in &settings.properties {
        // What a value refers to was readable when the plan was made; a client without it fails by itself.
        match properties::resolve(name, value) {
            Ok(value) => config.set(name, value),
            Err(error) => {
                tracing::error!(%error, "a client property is left out");
                &mut config
            }
        };
    }
    config
}

/// What makes a client's producer transactional.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transactional {
    /// The `transactional.id`.
    pub id: String,
    /// The `transaction.timeout.ms`.
    pub timeout_ms: u64,
    /// The group for which transactions commit consumed offsets.
    pub group: String,
}

/// A producer and a consumer for one process.
pub struct Client {
    topic: String,
    pub(crate) producer: FutureProducer<LogContext>,
    pub(crate) consumer: Reader<LogContext>,
    send_limit: Duration,
    /// The next offset to read of each assigned partition, once known.
    positions: BTreeMap<i32, Option<i64>>,
    sequence: u64,
}

impl Client {
    /// Creates both clients. No connection is made yet.
    ///
    /// # Errors
    /// When librdkafka refuses a property.
    pub fn new(
        bootstrap: &str,
        topic: &TopicSettings,
        settings: &ClientSettings,
    ) -> KafkaResult<Self> {
        Client::with(bootstrap, topic, settings, None)
    }

    /// The same; with `transactional`, whatever is sent must be sent in a transaction (see [`crate::transactions`]).
    ///
    /// # Errors
    /// When librdkafka refuses a property.
    pub fn with(
        bootstrap: &str,
        topic: &TopicSettings,
        settings: &ClientSettings,
        transactional: Option<&Transactional>,
    ) -> KafkaResult<Self> {
        let mut producer = base_config(bootstrap, settings);
        let mut send_limit = settings.send_timeout_ms;
        if let Some(transactional) = transactional {
            producer
                .set("transactional.id", &transactional.id)
                .set("transaction.timeout.ms", transactional.timeout_ms.to_string())
                .set("acks", "all")
                .set("enable.idempotence", "true");
            // librdkafka refuses a message that may wait for longer than its transaction.
            send_limit = send_limit.min(transactional.timeout_ms);
        }
        set_default(&mut producer, "acks", &settings.acks.to_string());
        set_default(&mut producer, "enable.idempotence", &settings.idempotence.to_string());
        set_default(&mut producer, "message.timeout.ms", &send_limit.to_string());
        set_default(&mut producer, "request.timeout.ms", "3000");
        set_default(&mut producer, "linger.ms", "0");
        let mut consumer = base_config(bootstrap, settings);
        let group = transactional.map_or("perjury-assign", |t| t.group.as_str());
        set_default(&mut consumer, "group.id", group);
        set_default(&mut consumer, "enable.auto.commit", "false");
        set_default(&mut consumer, "enable.partition.eof", "true");
        set_default(&mut consumer, "auto.offset.reset", "error");
        set_default(&mut consumer, "isolation.level", settings.isolation_level.as_str());
        set_default(&mut consumer, "fetch.wait.max.ms", "50");
        set_default(&mut consumer, "fetch.error.backoff.ms", "50");
        set_default(&mut consumer, "check.crcs", "true");
        Ok(Client {
            topic: topic.topic.clone(),
            producer: producer.create_with_context(LogContext)?,
            consumer: Reader::new(&consumer, LogContext)?,
            send_limit: Duration::from_millis(send_limit) + Duration::from_secs(5),
            positions: BTreeMap::new(),
            sequence: 0,
        })
    }

    /// Sends one value and waits for its acknowledgement: the offset, or what the error says.
    ///
    /// # Errors
    /// The outcome that the table gives to librdkafka's error.
    pub async fn send(
        &mut self,
        process: u32,
        partition: i32,
        value: i64,
    ) -> Result<Option<i64>, outcome::Outcome> {
        let topic = self.topic.clone();
        self.send_to(process, &topic, partition, value).await
    }

    /// The same to any topic.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_to(
        &mut self,
        process: u32,
        topic: &str,
        partition: i32,
        value: i64,
    ) -> Result<Option<i64>, outcome::Outcome> {
        self.produce(process, topic, (partition, value), false).await
    }

    /// A send, as a tombstone (a record without a payload) if it is to be one.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_as(
        &mut self,
        process: u32,
        partition: i32,
        value: i64,
        tombstone: bool,
    ) -> Result<Option<i64>, outcome::Outcome> {
        let topic = self.topic.clone();
        self.produce(process, &topic, (partition, value), tombstone).await
    }

    async fn produce(
        &mut self,
        process: u32,
        topic: &str,
        (partition, value): (i32, i64),
        tombstone: bool,
    ) -> Result<Option<i64>, outcome::Outcome> {
        let key = format!("{topic}-{partition}");
        let body = payload::Payload { value, process, sequence: self.sequence, key: &key }.encode();
        self.sequence += 1;
        let record_key = payload::record_key(value);
        let mut record = FutureRecord::to(topic).partition(partition).key(&record_key);
        record = if tombstone {
            let header = Header { key: payload::HEADER, value: Some(&body) };
            record.headers(OwnedHeaders::new().insert(header))
        } else {
            record.payload(&body)
        };
        let sending = self.producer.send(record, Duration::ZERO);
        match tokio::time::timeout(self.send_limit, sending).await {
            Ok(Ok(delivery)) => Ok((delivery.offset >= 0).then_some(delivery.offset)),
            Ok(Err((error, _))) => Err(outcome::of_send(&error)),
            Err(_) => Err(outcome::Outcome {
                kind: perjury_history::Kind::Info,
                code: "client-stuck".into(),
                reason: "librdkafka reported no outcome within its own timeout and 5 s more".into(),
                mapped: true,
            }),
        }
    }

    /// Assigns exactly these partitions. Partitions that stay go on where they are; new ones start at the offset that
    /// `start` gives, or at the beginning of the log where it gives none.
    ///
    /// A beginning that librdkafka has to ask for may be answered late, after a retry that no later assignment calls off,
    /// and then moves whoever reads that partition by then. So a client whose assignment changes is given offsets.
    ///
    /// # Errors
    /// librdkafka's refusal, or none of its answers.
    pub async fn assign(
        &mut self,
        partitions: &[i32],
        start: impl Fn(i32) -> Option<i64>,
    ) -> Result<(), AskError> {
        let mut list = TopicPartitionList::new();
        let mut positions = BTreeMap::new();
        for &partition in partitions {
            let kept = self.positions.get(&partition).copied().flatten();
            let offset =
                kept.or_else(|| start(partition)).map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(&self.topic, partition, offset)?;
            positions.insert(partition, kept);
        }
        self.consumer.ask(Duration::ZERO, move |consumer| consumer.assign(&list)).await??;
        self.positions = positions;
        Ok(())
    }

    /// Reads these partitions again from these offsets; the others go on where they are, or begin where `start` says if
    /// nothing was read of them.
    ///
    /// # Errors
    /// As [`Client::assign`].
    pub async fn rewind(
        &mut self,
        offsets: &BTreeMap<i32, i64>,
        start: impl Fn(i32) -> Option<i64>,
    ) -> Result<(), AskError> {
        for (partition, offset) in offsets {
            self.positions.insert(*partition, Some(*offset));
        }
        let all: Vec<i32> = self.positions.keys().copied().collect();
        self.assign(&all, start).await
    }

    /// The partitions that librdkafka was given, each with the offset that it was told to begin at.
    #[cfg(test)]
    pub(crate) async fn assigned_offsets(&self) -> Vec<(i32, Option<i64>)> {
        let asked = self.consumer.ask(Duration::ZERO, |consumer| consumer.assignment()).await;
        let list = asked.unwrap().unwrap();
        let offset = |offset| if let Offset::Offset(at) = offset { Some(at) } else { None };
        list.elements().iter().map(|e| (e.partition(), offset(e.offset()))).collect()
    }

    /// The topic that is read.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Waits up to `wait` for a first record, then takes what is there, up to `most` records.
    pub async fn poll(&mut self, wait: Duration, most: usize) -> Polled {
        let topic = self.topic.clone();
        let asked = self.consumer.ask(wait, move |consumer| {
            let mut polled = Polled::default();
            reader::poll(consumer, &topic, &mut polled, (wait, most), || false);
            polled
        });
        let polled = asked.await.unwrap_or_else(Polled::lost_by);
        for (partition, offset) in polled.next_offsets() {
            self.positions.insert(partition, Some(offset));
        }
        polled
    }

    /// The next offset to read of a partition, if a record of it was read.
    pub fn position(&self, partition: i32) -> Option<i64> {
        self.positions.get(&partition).copied().flatten()
    }

    /// Whether its consumer does not come back from a call.
    pub fn is_stuck(&self) -> bool {
        self.consumer.is_stuck()
    }

    /// The low and the high watermark of a partition, from its leader.
    ///
    /// # Errors
    /// librdkafka's, a time-out among them.
    pub async fn watermarks(
        &self,
        partition: i32,
        limit: Duration,
    ) -> Result<(i64, i64), AskError> {
        let topic = self.topic.clone();
        let ask =
            move |consumer: &BaseConsumer<_>| consumer.fetch_watermarks(&topic, partition, limit);
        Ok(self.consumer.ask(limit, ask).await??)
    }

    /// Tears both clients down, off the async threads since librdkafka waits for its own.
    pub async fn close(self) {
        let Client { producer, consumer, .. } = self;
        let closing = apart("producer", move || drop(producer));
        consumer.close().await;
        // A client that does not end in time is left to its thread; the run goes on.
        if let Ok(closing) = closing {
            let _ = tokio::time::timeout(CLOSE_LIMIT, closing).await;
        }
    }
}

pub(crate) fn set_default(config: &mut ClientConfig, name: &str, value: &str) {
    if config.get(name).is_none() {
        config.set(name, value);
    }
}

/// Puts a message's record with the others of its partition.
pub(crate) fn take(polled: &mut Polled, topic: &str, message: &BorrowedMessage<'_>) {
    let partition = message.partition();
    let mut meta = RecordMeta {
        ts: message.timestamp().to_millis(),
        key: message.key().map(|k| String::from_utf8_lossy(k).into_owned()),
        ..RecordMeta::default()
    };
    let key = format!("{topic}-{partition}");
    // A tombstone has no payload; what it would carry stands in a header.
    let header = || {
        let headers = message.headers()?;
        headers.iter().find(|h| h.key == payload::HEADER).and_then(|h| h.value)
    };
    let bytes = message.payload().or_else(header).unwrap_or_default();
    let value = payload::decode(bytes, &key, &mut meta);
    let record = Record { offset: Some(message.offset()), value, meta: Some(Box::new(meta)) };
    polled.records.entry(partition).or_default().push(record);
}
