//! Transactions while nodes are killed and stopped: the correct cluster keeps all its promises.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use crate::support::nodes::Cluster;

/// How long one step of a client may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the writers may take to settle, and the reader to read.
const LIMIT: Duration = Duration::from_secs(90);

/// One with a thread that serves delivery reports, for which an abort waits.
type Writer = ThreadedProducer<DefaultProducerContext>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Committed,
    Aborted,
    Unknown,
}

fn transactional(client: &ClientConfig, id: &str) -> Option<Writer> {
    let mut config = client.clone();
    config.set("transactional.id", id).set("transaction.timeout.ms", "10000");
    let producer: Writer = config.create().unwrap();
    producer.init_transactions(PATIENCE).ok().map(|()| producer)
}

/// One transaction on both topics; whether the producer can go on.
fn transact(producer: &Writer, value: &str, commit: bool) -> (Fate, bool) {
    let sent = producer.begin_transaction().is_ok()
        && ["left", "right"]
            .iter()
            .all(|topic| producer.send(BaseRecord::<(), str>::to(topic).payload(value)).is_ok());
    if !sent || !commit {
        return (Fate::Aborted, producer.abort_transaction(PATIENCE).is_ok());
    }
    let end = Instant::now() + PATIENCE;
    loop {
        match producer.commit_transaction(PATIENCE) {
            Ok(()) => return (Fate::Committed, true),
            Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                return (Fate::Aborted, producer.abort_transaction(PATIENCE).is_ok());
            }
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < end => {
            }
            Err(_) => return (Fate::Unknown, false),
        }
    }
}

/// Writes transactions until told to stop, then one that commits for certain.
fn write(client: &ClientConfig, id: &str, stop: &AtomicBool) -> BTreeMap<String, Fate> {
    let mut fates = BTreeMap::new();
    let mut producer = None;
    let mut number = 0;
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < LIMIT, "{id} cannot finish");
        let Some(ready) = producer.take().or_else(|| transactional(client, id)) else { continue };
        number += 1;
        let stopping = stop.load(Ordering::Relaxed);
        let value = if stopping { format!("{id}-end-{number}") } else { format!("{id}-{number}") };
        let (fate, usable) = transact(&ready, &value, stopping || number % 4 != 0);
        fates.insert(value, fate);
        if stopping && fate == Fate::Committed {
            return fates;
        }
        producer = usable.then_some(ready);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Everything that a `read_committed` consumer sees of a topic, up to the last transactions of all
/// writers.
fn read(client: &ClientConfig, topic: &str, ends: &[String]) -> BTreeMap<String, usize> {
    let mut config = client.clone();
    config
        .set("group.id", format!("reader-of-{topic}"))
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let begun = Instant::now();
    while !ends.iter().all(|end| found.contains_key(end)) {
        assert!(begun.elapsed() < LIMIT, "{topic} cannot be read to {ends:?}");
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
            *found.entry(value).or_default() += 1;
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_stay_whole_while_nodes_die_and_stop() {
    let mut cluster = Cluster::start(&[]).await;
    for topic in ["left", "right"] {
        cluster.create_topic(topic, &[]).await;
    }
    let brokers: Vec<String> =
        cluster.configs.values().map(|config| config.kafka_addr.to_string()).collect();
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers.join(",")).set("reconnect.backoff.max.ms", "300");
    client.set("socket.timeout.ms", "3000").set("linger.ms", "0");
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = ["one", "two", "three"]
        .map(|id| {
            let (client, stop) = (client.clone(), Arc::clone(&stop));
            tokio::task::spawn_blocking(move || write(&client, id, &stop))
        })
        .into();
    for (round, node) in [1, 2, 3, 1, 2, 3].into_iter().enumerate() {
        tokio::time::sleep(Duration::from_millis(700)).await;
        if round % 2 == 0 {
            cluster.kill(&[node]);
            tokio::time::sleep(Duration::from_millis(1_200)).await;
            cluster.run(node);
        } else {
            cluster.pause(node).await;
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            cluster.resume(node);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut fates = BTreeMap::new();
    for writer in writers {
        fates.extend(writer.await.unwrap());
    }
    let ends: Vec<String> = fates
        .iter()
        .filter(|(value, fate)| value.contains("-end-") && **fate == Fate::Committed)
        .map(|(value, _)| value.clone())
        .collect();
    let (left, right) = (read(&client, "left", &ends), read(&client, "right", &ends));
    let committed = fates.values().filter(|fate| **fate == Fate::Committed).count();
    assert!(committed > 20, "too little was tried: {fates:?}");
    for (value, fate) in &fates {
        let seen = (left.get(value).copied(), right.get(value).copied());
        match fate {
            Fate::Committed => assert_eq!(seen, (Some(1), Some(1)), "{value} was committed"),
            Fate::Aborted => assert_eq!(seen, (None, None), "{value} was aborted"),
            Fate::Unknown => assert_eq!(seen.0, seen.1, "{value} is torn"),
        }
    }
}
