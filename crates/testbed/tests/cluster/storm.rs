//! Transactions and groups while nodes are killed and stopped: the correct cluster keeps all its
//! promises.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{
    BaseRecord, DefaultProducerContext, DeliveryResult, Producer, ProducerContext, ThreadedProducer,
};

use crate::support::eventually;
use crate::support::nodes::Cluster;
use crate::support::txn::Coordinated;

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

/// Sends values until told to stop, and returns those that were acknowledged.
fn feed(client: &ClientConfig, stop: &AtomicBool) -> BTreeSet<String> {
    let mut config = client.clone();
    config.set("enable.idempotence", "true").set("message.timeout.ms", "20000");
    let acknowledged = Acknowledged::default();
    let producer: ThreadedProducer<Acknowledged> =
        config.create_with_context(acknowledged.clone()).unwrap();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let value = number.to_string();
        producer.send(BaseRecord::<(), str>::to("work").payload(&value)).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    producer.flush(PATIENCE).unwrap();
    acknowledged.values.lock().unwrap().clone()
}

/// Keeps the values whose delivery was reported.
#[derive(Clone, Default)]
struct Acknowledged {
    values: Arc<Mutex<BTreeSet<String>>>,
}

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Ok(message) = result {
            let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
            self.values.lock().unwrap().insert(value);
        }
    }
}

/// One member of the group: takes records and commits behind them, until told to leave.
fn work(client: &ClientConfig, seen: &Mutex<BTreeSet<String>>, leave: &AtomicBool) {
    let mut config = client.clone();
    config
        .set("group.id", "team")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "500");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(&["work"]).unwrap();
    let mut taken = 0;
    while !leave.load(Ordering::Relaxed) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
        seen.lock().unwrap().insert(value);
        taken += 1;
        if taken % 10 == 0 {
            // A commit that fails is made good by the next.
            let _ = consumer.commit_consumer_state(CommitMode::Async);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_misses_no_record_while_coordinators_die_and_members_change() {
    let mut cluster = Cluster::start(&[]).await;
    let (code, _) = cluster.try_create("work", 4, 3, &[]).await;
    assert_eq!(code, 0);
    let brokers: Vec<String> =
        cluster.configs.values().map(|config| config.kafka_addr.to_string()).collect();
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers.join(",")).set("reconnect.backoff.max.ms", "300");
    client.set("socket.timeout.ms", "3000");
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let member = || {
        let leave = Arc::new(AtomicBool::new(false));
        let (client, seen, told) = (client.clone(), Arc::clone(&seen), Arc::clone(&leave));
        (leave, tokio::task::spawn_blocking(move || work(&client, &seen, &told)))
    };
    let stop = Arc::new(AtomicBool::new(false));
    let feeder = {
        let (client, stop) = (client.clone(), Arc::clone(&stop));
        tokio::task::spawn_blocking(move || feed(&client, &stop))
    };
    let mut members = vec![member(), member()];
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let coordinator = cluster.coordinator("team", Coordinated::Group).await;
        cluster.kill(&[coordinator]);
        members.push(member());
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        cluster.run(coordinator);
        let (leave, task) = members.remove(0);
        leave.store(true, Ordering::Relaxed);
        task.await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let acknowledged = feeder.await.unwrap();
    assert!(acknowledged.len() > 100, "too little was tried: {}", acknowledged.len());
    eventually("every record was seen", || async {
        acknowledged.is_subset(&seen.lock().unwrap()).then_some(())
    })
    .await;
    for (leave, task) in members {
        leave.store(true, Ordering::Relaxed);
        task.await.unwrap();
    }
}
