//! What was acknowledged with `acks=all` survives.

use kafka_protocol::error::ResponseError;

use crate::support::client::records;
use crate::support::eventually;
use crate::support::nodes::Cluster;

/// A node that is not `id`.
fn other_than(id: u32) -> u32 {
    id % 3 + 1
}

/// Produces numbered values one by one and returns what was acknowledged at which offset.
async fn produce_numbered(
    cluster: &Cluster,
    seen_from: u32,
    numbers: std::ops::Range<u32>,
) -> Vec<(i64, String)> {
    let mut acked = Vec::new();
    for number in numbers {
        let value = format!("value-{number}");
        let offset = cluster.produce_acked(seen_from, "queue", &[&value]).await;
        acked.push((offset, value));
    }
    acked
}

#[tokio::test]
async fn a_killed_leader_takes_nothing_acknowledged_with_it() {
    let mut cluster = Cluster::start(&[]).await;
    let before = cluster.create_topic("queue", &[]).await;
    let survivor = other_than(before.leader);
    let mut acked = produce_numbered(&cluster, survivor, 0..100).await;
    cluster.kill(&[before.leader]);
    acked.extend(produce_numbered(&cluster, survivor, 100..150).await);
    let elected = |view: &crate::support::nodes::View| view.leader != before.leader;
    let after = cluster.wait_view(survivor, "queue", "another leader", elected).await;
    assert!(after.epoch > before.epoch);
    assert!(!after.isr.contains(&before.leader));
    assert_eq!(cluster.read_all(survivor, "queue").await, acked);

    // Its return: it catches up, rejoins the in-sync set, and holds the same bytes.
    cluster.run(before.leader);
    cluster.wait_in_sync("queue", &[1, 2, 3]).await;
    cluster.wait_identical("queue").await;
    assert_eq!(cluster.read_all(survivor, "queue").await, acked);
}

#[tokio::test]
async fn a_killed_follower_disturbs_nothing() {
    let mut cluster = Cluster::start(&[]).await;
    let view = cluster.create_topic("queue", &[("min.insync.replicas", "3")]).await;
    let follower = other_than(view.leader);
    let mut acked = produce_numbered(&cluster, view.leader, 0..20).await;
    cluster.kill(&[follower]);
    let without = |view: &crate::support::nodes::View| !view.isr.contains(&follower);
    let after = cluster.wait_view(view.leader, "queue", "a smaller in-sync set", without).await;
    assert_eq!((after.leader, after.epoch), (view.leader, view.epoch));

    // Two in-sync replicas are too few for this topic's acks=all and enough for acks=1.
    let mut client = cluster.client(view.leader).await.unwrap();
    let (code, _) = client.produce("queue", -1, None, &["refused"]).await.unwrap();
    assert_eq!(code, ResponseError::NotEnoughReplicas.code());
    assert_eq!(client.produce("queue", 1, None, &["taken"]).await.unwrap(), (0, 20));
    acked.push((20, "taken".to_owned()));

    cluster.run(follower);
    cluster.wait_in_sync("queue", &[1, 2, 3]).await;
    let offset = cluster.produce_acked(view.leader, "queue", &["again"]).await;
    acked.push((offset, "again".to_owned()));
    assert_eq!(cluster.read_all(view.leader, "queue").await, acked);
    cluster.wait_identical("queue").await;
}

#[tokio::test]
async fn killing_all_three_loses_nothing_acknowledged() {
    let mut cluster = Cluster::start(&[]).await;
    cluster.create_topic("queue", &[]).await;
    let mut acked = Vec::new();
    for round in 0..3 {
        acked.extend(produce_numbered(&cluster, 1, round * 50..round * 50 + 50).await);
        cluster.kill(&[1, 2, 3]);
        for id in 1..=3 {
            cluster.run(id);
        }
    }
    cluster.wait_in_sync("queue", &[1, 2, 3]).await;
    assert_eq!(cluster.read_all(2, "queue").await, acked);
    cluster.wait_identical("queue").await;
}

/// The tail that only a dead leader has is cut when it returns (KIP-101), and its place is taken by
/// what the new leader wrote there.
#[tokio::test]
async fn a_divergent_tail_is_truncated() {
    let mut cluster = Cluster::start(&[]).await;
    let old = cluster.create_topic("queue", &[]).await;
    let followers: Vec<u32> = (1..=3).filter(|id| *id != old.leader).collect();
    let survivor = followers[0];
    let mut acked = produce_numbered(&cluster, survivor, 0..10).await;
    cluster.wait_in_sync("queue", &[1, 2, 3]).await;
    for id in &followers {
        cluster.pause(*id).await;
    }
    let mut client = cluster.client(old.leader).await.unwrap();
    // The answer to a fetch that waits already may still carry this one to a stopped follower.
    assert_eq!(client.produce("queue", 1, None, &["perhaps"]).await.unwrap(), (0, 10));
    for offset in 11..16 {
        assert_eq!(client.produce("queue", 1, None, &["lost"]).await.unwrap(), (0, offset));
    }
    // Not committed, so no consumer sees it.
    let data = client.fetch("queue", 10, -1, 100).await.unwrap();
    assert_eq!(records(data.records.unwrap()), []);
    cluster.kill(&[old.leader]);
    for id in &followers {
        cluster.resume(*id);
    }
    acked.extend(produce_numbered(&cluster, survivor, 10..20).await);
    let tail = cluster.log_bytes(old.leader, "queue");
    assert!(tail.windows(4).any(|bytes| bytes == b"lost"));
    cluster.run(old.leader);
    cluster.wait_in_sync("queue", &[1, 2, 3]).await;
    cluster.wait_identical("queue").await;
    let mut read = cluster.read_all(survivor, "queue").await;
    read.retain(|(_, value)| value != "perhaps");
    assert_eq!(read, acked);
    let log = std::fs::read_to_string(cluster.log_path(old.leader)).unwrap();
    assert!(log.contains(perjury_testbed::events::LOG_TRUNCATED));
}

/// A leader whose log ends inside a batch after a crash starts with what is whole.
#[tokio::test]
async fn a_torn_segment_is_repaired_from_the_leader() {
    let mut cluster = Cluster::start(&[]).await;
    let view = cluster.create_topic("queue", &[]).await;
    let follower = other_than(view.leader);
    let acked = produce_numbered(&cluster, view.leader, 0..20).await;
    cluster.wait_identical("queue").await;
    cluster.kill(&[follower]);
    let without = |view: &crate::support::nodes::View| !view.isr.contains(&follower);
    cluster.wait_view(view.leader, "queue", "a smaller in-sync set", without).await;
    cluster.tear_log(follower, "queue", 10);
    cluster.run(follower);
    cluster.wait_in_sync("queue", &[1, 2, 3]).await;
    cluster.wait_identical("queue").await;
    assert_eq!(cluster.read_all(follower, "queue").await, acked);
    eventually("the repair in the log", || async {
        let log = std::fs::read_to_string(cluster.log_path(follower)).unwrap();
        log.lines()
            .any(|line| line.contains("log recovered") && !line.contains("dropped_bytes=0"))
            .then_some(())
    })
    .await;
}
