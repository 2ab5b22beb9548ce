//! Who was deposed notices, and who asks with an old epoch is told.

use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{BrokerId, FetchRequest, OffsetForLeaderEpochRequest};

use crate::support::client::{Client, topic_name};
use crate::support::nodes::Cluster;

async fn epoch_end(client: &mut Client, current: i32, requested: i32) -> (i16, i32, i64) {
    let partition = OffsetForLeaderPartition::default()
        .with_current_leader_epoch(current)
        .with_leader_epoch(requested);
    let topic = OffsetForLeaderTopic::default()
        .with_topic(topic_name("queue"))
        .with_partitions(vec![partition]);
    let request = OffsetForLeaderEpochRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic]);
    let response = client.call(&request, 4).await.unwrap();
    let answer = &response.topics[0].partitions[0];
    (answer.error_code, answer.leader_epoch, answer.end_offset)
}

/// The error code of a replica's fetch with the given epoch.
async fn replica_fetch(client: &mut Client, replica: u32, epoch: i32) -> i16 {
    let partition = FetchPartition::default()
        .with_current_leader_epoch(epoch)
        .with_partition_max_bytes(1 << 20);
    let topic =
        FetchTopic::default().with_topic(topic_name("queue")).with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(i32::try_from(replica).unwrap()))
        .with_max_bytes(1 << 20)
        .with_topics(vec![topic]);
    let response = client.call(&request, 11).await.unwrap();
    response.responses[0].partitions[0].error_code
}

#[tokio::test]
async fn requests_with_another_epoch_are_refused() {
    let mut cluster = Cluster::start(&[]).await;
    let first = cluster.create_topic("queue", &[]).await;
    cluster.produce_acked(first.leader, "queue", &["a", "b"]).await;
    cluster.kill(&[first.leader]);
    let survivor = first.leader % 3 + 1;
    cluster.produce_acked(survivor, "queue", &["c"]).await;
    let view = cluster.view_from(survivor, "queue").await.unwrap();
    assert!(view.epoch > first.epoch);
    let mut client = cluster.client(view.leader).await.unwrap();
    let (fenced, unknown) =
        (ResponseError::FencedLeaderEpoch.code(), ResponseError::UnknownLeaderEpoch.code());
    for (epoch, expected) in [(first.epoch, fenced), (view.epoch + 1, unknown), (view.epoch, 0)] {
        let data = client.fetch("queue", 0, epoch, 0).await.unwrap();
        assert_eq!(data.error_code, expected, "consumer at epoch {epoch}");
        let code = replica_fetch(&mut client, first.leader, epoch).await;
        assert_eq!(code, expected, "replica at epoch {epoch}");
        assert_eq!(epoch_end(&mut client, epoch, first.epoch).await.0, expected);
    }
    // The first epoch ends where the second began; the current one at the log end.
    assert_eq!(epoch_end(&mut client, -1, first.epoch).await, (0, first.epoch, 2));
    assert_eq!(epoch_end(&mut client, -1, view.epoch).await, (0, view.epoch, 3));
    assert_eq!(epoch_end(&mut client, -1, view.epoch + 5).await, (0, -1, -1));
    // Only replicas may fetch as such.
    let stranger = replica_fetch(&mut client, 77, view.epoch).await;
    assert_eq!(stranger, ResponseError::ReplicaNotAvailable.code());
}

/// A leader that was stopped while the others elected another one acknowledges and serves nothing
/// when it runs again, neither what waited in its sockets nor what comes later.
#[tokio::test]
async fn a_stopped_leader_serves_nothing_when_it_continues() {
    let cluster = Cluster::start(&[]).await;
    let old = cluster.create_topic("queue", &[]).await;
    let survivor = old.leader % 3 + 1;
    cluster.produce_acked(survivor, "queue", &["before"]).await;
    let mut waiting = cluster.client(old.leader).await.unwrap();
    let mut fresh = cluster.client(old.leader).await.unwrap();
    cluster.pause(old.leader).await;
    let elected = |view: &crate::support::nodes::View| view.leader != old.leader;
    cluster.wait_view(survivor, "queue", "another leader", elected).await;
    cluster.produce_acked(survivor, "queue", &["after"]).await;

    let stale = tokio::spawn(async move { waiting.produce("queue", -1, None, &["stale"]).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    cluster.resume(old.leader);
    let refused = ResponseError::NotLeaderOrFollower.code();
    for acks in [-1, 1] {
        for _ in 0..50 {
            let (code, _) = fresh.produce("queue", acks, None, &["stale"]).await.unwrap();
            assert_eq!(code, refused);
            let data = fresh.fetch("queue", 0, -1, 0).await.unwrap();
            assert_eq!(data.error_code, refused);
            let (code, _) = fresh.list_offset("queue", -1).await.unwrap();
            assert_eq!(code, refused);
        }
    }
    let (code, _) = stale.await.unwrap().unwrap();
    assert_eq!(code, refused);

    cluster.wait_in_sync("queue", &[1, 2, 3]).await;
    let expected = [(0, "before".to_owned()), (1, "after".to_owned())];
    assert_eq!(cluster.read_all(survivor, "queue").await, expected);
    cluster.wait_identical("queue").await;
}

/// Without a quorum nobody renews the leader's lease, and `acks=all` is not answered with success.
#[tokio::test]
async fn a_leader_without_a_quorum_stops_serving() {
    let mut cluster = Cluster::start(&[]).await;
    let view = cluster.create_topic("queue", &[]).await;
    cluster.produce_acked(view.leader, "queue", &["before"]).await;
    let others: Vec<u32> = (1..=3).filter(|id| *id != view.leader).collect();
    cluster.kill(&others);
    let mut client = cluster.client(view.leader).await.unwrap();
    let (code, _) = client.produce("queue", -1, None, &["alone"]).await.unwrap();
    assert_ne!(code, 0);
    let refused = ResponseError::NotLeaderOrFollower.code();
    crate::support::eventually("the leader's own refusal", || async {
        let mut client = cluster.client(view.leader).await.unwrap();
        let (code, _) = client.produce("queue", 1, None, &["alone"]).await.unwrap();
        (code == refused).then_some(())
    })
    .await;
    for id in others {
        cluster.run(id);
    }
    cluster.produce_acked(view.leader, "queue", &["together"]).await;
    let values: Vec<String> =
        cluster.read_all(view.leader, "queue").await.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values.first().map(String::as_str), Some("before"));
    assert_eq!(values.last().map(String::as_str), Some("together"));
}

#[tokio::test]
async fn a_follower_that_was_stopped_does_not_depose_the_controller() {
    let cluster = Cluster::start(&[]).await;
    let controller = cluster.controller(1).await;
    let follower = controller % 3 + 1;
    let elections = || {
        let log = std::fs::read_to_string(cluster.log_path(controller)).unwrap();
        log.matches("raft leader elected").count()
    };
    let before = elections();
    for _ in 0..3 {
        cluster.pause(follower).await;
        // Longer than any election timeout.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        cluster.resume(follower);
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        cluster.wait_for_brokers(controller, 3).await;
    }
    // A busy machine can cost one leader its quorum; each return of the follower would cost three.
    assert!(elections() <= before + 1, "{} elections", elections() - before);
}
