//! librdkafka against the cluster: transactions, consumer groups, and coordinators that die.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::support::nodes::Cluster;
use crate::support::txn::Coordinated;

/// How long a librdkafka call may take; generous, because many tests share the machine.
const PATIENCE: Duration = Duration::from_secs(40);

fn client(cluster: &Cluster) -> ClientConfig {
    let brokers: Vec<String> =
        cluster.configs.values().map(|config| config.kafka_addr.to_string()).collect();
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers.join(","));
    client.set("check.crcs", "true");
    client.set("reconnect.backoff.max.ms", "500");
    client.set("topic.metadata.refresh.interval.ms", "1000");
    client
}

fn transactional(cluster: &Cluster, id: &str) -> BaseProducer {
    let mut config = client(cluster);
    config.set("transactional.id", id).set("transaction.timeout.ms", "30000");
    let producer: BaseProducer = config.create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

fn send(producer: &BaseProducer, topic: &str, value: &str) {
    producer.send(BaseRecord::<(), str>::to(topic).payload(value)).unwrap();
}

fn consumer(cluster: &Cluster, group: &str, isolation: &str) -> BaseConsumer {
    let mut config = client(cluster);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "300")
        .set("isolation.level", isolation);
    config.create().unwrap()
}

/// Polls until so many records came, or the time is up.
fn read(consumer: &BaseConsumer, count: usize) -> Vec<String> {
    let end = Instant::now() + PATIENCE;
    let mut found = Vec::new();
    while found.len() < count && Instant::now() < end {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            found.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
        }
    }
    found
}

/// Polls through a pause, for whatever else comes.
fn read_more(consumer: &BaseConsumer) -> Vec<String> {
    let polls = (0..15).filter_map(|_| consumer.poll(Duration::from_millis(100)));
    let messages = polls.filter_map(Result::ok);
    messages.map(|m| String::from_utf8(m.payload().unwrap().to_vec()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_commit_and_abort_and_survive_their_coordinator() {
    let mut cluster = Cluster::start(&[]).await;
    cluster.create_topic("queue", &[]).await;
    let producer = transactional(&cluster, "writer");
    for (value, commit) in [("a", true), ("b", false), ("c", true)] {
        producer.begin_transaction().unwrap();
        send(&producer, "queue", value);
        if commit {
            producer.commit_transaction(PATIENCE).unwrap();
        } else {
            producer.flush(PATIENCE).unwrap();
            producer.abort_transaction(PATIENCE).unwrap();
        }
    }
    let committed = consumer(&cluster, "committed", "read_committed");
    committed.subscribe(&["queue"]).unwrap();
    assert_eq!(read(&committed, 2), ["a", "c"]);
    let everything = consumer(&cluster, "everything", "read_uncommitted");
    everything.subscribe(&["queue"]).unwrap();
    assert_eq!(read(&everything, 3), ["a", "b", "c"]);

    producer.begin_transaction().unwrap();
    send(&producer, "queue", "d");
    producer.flush(PATIENCE).unwrap();
    let coordinator = cluster.coordinator("writer", Coordinated::Transaction).await;
    cluster.kill(&[coordinator]);
    producer.commit_transaction(PATIENCE).unwrap();
    cluster.run(coordinator);
    producer.begin_transaction().unwrap();
    send(&producer, "queue", "e");
    producer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(read(&committed, 2), ["d", "e"]);
    assert_eq!(read_more(&committed), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn consume_transform_produce_moves_offsets_with_its_transactions() {
    let mut cluster = Cluster::start(&[]).await;
    cluster.create_topic("in", &[]).await;
    cluster.create_topic("out", &[]).await;
    let feed: BaseProducer = client(&cluster).create().unwrap();
    for number in 0..10 {
        send(&feed, "in", &number.to_string());
    }
    feed.flush(PATIENCE).unwrap();

    let producer = transactional(&cluster, "pipe");
    let input = consumer(&cluster, "pipe-group", "read_committed");
    input.subscribe(&["in"]).unwrap();
    // Every batch of two is tried twice: aborted first, then committed.
    let mut position = 0;
    for round in 0..10 {
        if round == 5 {
            let coordinator = cluster.coordinator("pipe-group", Coordinated::Group).await;
            cluster.kill(&[coordinator]);
            cluster.run(coordinator);
        }
        let values = read(&input, 2);
        let expected: Vec<String> = (position..position + 2).map(|n| n.to_string()).collect();
        assert_eq!(values, expected, "round {round}");
        producer.begin_transaction().unwrap();
        for value in &values {
            send(&producer, "out", &format!("{value}!"));
        }
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset("in", 0, Offset::Offset(position + 2)).unwrap();
        let metadata = input.group_metadata().unwrap();
        producer.send_offsets_to_transaction(&offsets, &metadata, PATIENCE).unwrap();
        let commit = round % 2 == 1;
        if commit {
            producer.commit_transaction(PATIENCE).unwrap();
            position += 2;
        } else {
            producer.flush(PATIENCE).unwrap();
            producer.abort_transaction(PATIENCE).unwrap();
            input.seek("in", 0, Offset::Offset(position), PATIENCE).unwrap();
        }
    }
    let committed = input.committed(PATIENCE).unwrap();
    assert_eq!(committed.find_partition("in", 0).unwrap().offset(), Offset::Offset(10));
    let output = consumer(&cluster, "check", "read_committed");
    output.subscribe(&["out"]).unwrap();
    let expected: Vec<String> = (0..10).map(|number| format!("{number}!")).collect();
    assert_eq!(read(&output, 10), expected);
    assert_eq!(read_more(&output), Vec::<String>::new());
}

fn assigned(consumer: &BaseConsumer) -> Vec<i32> {
    let list = consumer.assignment().unwrap();
    let mut found: Vec<i32> = list.elements().iter().map(|one| one.partition()).collect();
    found.sort_unstable();
    found
}

/// Polls all until each has an assignment of this size.
fn wait_assigned(consumers: &[&BaseConsumer], size: usize) -> Vec<Vec<i32>> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        for consumer in consumers {
            // Errors tell of the node that was killed.
            let _ = consumer.poll(Duration::from_millis(50));
        }
        let found: Vec<Vec<i32>> = consumers.iter().map(|one| assigned(one)).collect();
        if found.iter().all(|partitions| partitions.len() == size) {
            return found;
        }
    }
    panic!("never assigned");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_shares_partitions_and_keeps_its_offsets_when_the_coordinator_dies() {
    let mut cluster = Cluster::start(&[]).await;
    let (code, _) = cluster.try_create("work", 4, 3, &[]).await;
    assert_eq!(code, 0);
    let first = consumer(&cluster, "team", "read_committed");
    first.subscribe(&["work"]).unwrap();
    assert_eq!(wait_assigned(&[&first], 4), [[0, 1, 2, 3]]);
    let second = consumer(&cluster, "team", "read_committed");
    second.subscribe(&["work"]).unwrap();
    let mut shares = wait_assigned(&[&first, &second], 2).concat();
    shares.sort_unstable();
    assert_eq!(shares, [0, 1, 2, 3]);

    let mut offsets = TopicPartitionList::new();
    let own = assigned(&first);
    for partition in &own {
        let offset = Offset::Offset(i64::from(*partition) + 1);
        offsets.add_partition_offset("work", *partition, offset).unwrap();
    }
    first.commit(&offsets, CommitMode::Sync).unwrap();
    let coordinator = cluster.coordinator("team", Coordinated::Group).await;
    cluster.kill(&[coordinator]);
    let committed: BTreeMap<i32, Offset> = first
        .committed_offsets(offsets, PATIENCE)
        .unwrap()
        .elements()
        .iter()
        .map(|one| (one.partition(), one.offset()))
        .collect();
    let expected: BTreeMap<i32, Offset> =
        own.iter().map(|index| (*index, Offset::Offset(i64::from(*index) + 1))).collect();
    assert_eq!(committed, expected);
    drop(first);
    assert_eq!(wait_assigned(&[&second], 4), [[0, 1, 2, 3]]);
}

/// Keys and values of a whole partition, read by a new consumer up to a value.
fn read_pairs(cluster: &Cluster, topic: &str, last: &str) -> Vec<(String, String)> {
    let consumer = consumer(cluster, &format!("all-{last}"), "read_committed");
    consumer.subscribe(&[topic]).unwrap();
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().into()).unwrap();
    let end = Instant::now() + PATIENCE;
    let mut found: Vec<(String, String)> = Vec::new();
    while found.last().is_none_or(|(_, value)| value != last) && Instant::now() < end {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            found.push((text(message.key()), text(message.payload())));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_keeps_the_last_value_of_each_key() {
    let cluster = Cluster::start(&[]).await;
    cluster.create_topic("table", &[("cleanup.policy", "compact")]).await;
    let producer: BaseProducer = client(&cluster).create().unwrap();
    let put = |key: &str, value: &str| {
        producer.send(BaseRecord::to("table").key(key).payload(value)).unwrap();
        producer.flush(PATIENCE).unwrap();
    };
    for number in 0..30 {
        put(&format!("key-{}", number % 3), &number.to_string());
    }
    let end = Instant::now() + PATIENCE;
    let pair = |number: i32| (format!("key-{}", number % 3), number.to_string());
    let expected: Vec<(String, String)> = [27, 28, 29].map(pair).into();
    for try_number in 0.. {
        // A new last record, so that the reader knows where to stop.
        let last = format!("end-{try_number}");
        put("end", &last);
        let mut found = read_pairs(&cluster, "table", &last);
        found.retain(|(key, _)| key != "end");
        if found == expected {
            return;
        }
        assert!(found.ends_with(&expected), "the last values are always there: {found:?}");
        assert!(Instant::now() < end, "never compacted: {found:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
