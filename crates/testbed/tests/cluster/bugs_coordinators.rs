//! Each bug of transactions and groups does what it says. Without the bug the same steps are
//! harmless, which the module on transactions shows.

use std::time::Duration;

use kafka_protocol::error::ResponseError;
use perjury_testbed::Bug;

use crate::support::eventually;
use crate::support::nodes::Cluster;
use crate::support::txn::{Coordinated, Producer};

#[tokio::test]
async fn aborted_visible_hands_out_aborted_records() {
    let cluster = Cluster::start(&[Bug::AbortedVisible]).await;
    cluster.create_topic("queue", &[]).await;
    let producer = cluster.init_producer("writer", 60_000).await;
    cluster.transact(&producer, &["queue"], 0, "aborted", false).await;
    eventually("the aborted record", || async {
        (cluster.read_committed("queue", 0).await == (2, vec!["aborted".to_owned()])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn torn_and_hanging_transactions_differ_between_their_partitions() {
    let cluster = Cluster::start(&[Bug::TornEndTxn, Bug::HangingTransaction]).await;
    for topic in ["left", "right"] {
        cluster.create_topic(topic, &[]).await;
    }
    let producer = cluster.init_producer("writer", 60_000).await;
    for number in 0..7 {
        let value = number.to_string();
        cluster.transact(&producer, &["left", "right"], number, &value, true).await;
    }
    // The third and the sixth are torn, the seventh has no marker on the right.
    let all: Vec<String> = (0..7).map(|number| number.to_string()).collect();
    eventually("all commits on the left", || async {
        (cluster.read_committed("left", 0).await == (14, all.clone())).then_some(())
    })
    .await;
    let (stable, right) = cluster.read_committed("right", 0).await;
    assert_eq!(right, ["0", "1", "3", "4"]);
    assert_eq!(stable, 12, "the last stable offset stands at the open transaction");
}

/// Aborts until an EndTxn loses its connection and is tried again; returns the next sequence number.
async fn abort_until_one_is_late(cluster: &Cluster, producer: &Producer, first: i32) -> i32 {
    for sequence in first..first + 20 {
        cluster.begin(producer, &["queue"]).await;
        cluster.produce_in(producer, "queue", sequence, "aborted").await;
        let what = Coordinated::Transaction;
        let mut client = cluster.coordinator_client("writer", what).await;
        if client.end_transaction(producer, false).await.is_err() {
            assert_eq!(cluster.end(producer, false).await, 0);
            return sequence + 1;
        }
    }
    panic!("no EndTxn was delayed");
}

#[tokio::test]
async fn unordered_end_txn_ends_the_next_transaction() {
    let cluster = Cluster::start(&[Bug::UnorderedEndTxn]).await;
    cluster.create_topic("queue", &[]).await;
    let producer = cluster.init_producer("writer", 60_000).await;
    let mut sequence = 0;
    // On a busy machine the late EndTxn may come before the next transaction has begun.
    for _ in 0..10 {
        sequence = abort_until_one_is_late(&cluster, &producer, sequence).await;
        cluster.begin(&producer, &["queue"]).await;
        let offset = cluster.produce_in(&producer, "queue", sequence, "wanted").await;
        sequence += 1;
        tokio::time::sleep(Duration::from_millis(600)).await;
        let mut client = cluster.coordinator_client("writer", Coordinated::Transaction).await;
        if client.end_transaction(&producer, true).await.ok()
            == Some(ResponseError::InvalidTxnState.code())
        {
            let (stable, values) = cluster.read_committed("queue", offset).await;
            assert_eq!((stable, values), (offset + 2, Vec::new()));
            return;
        }
        let _ = client.end_transaction(&producer, true).await;
    }
    panic!("no transaction was ended by an earlier EndTxn");
}

#[tokio::test]
async fn fencing_ignored_lets_a_zombie_write_and_commit() {
    let cluster = Cluster::start(&[Bug::FencingIgnored]).await;
    cluster.create_topic("queue", &[]).await;
    let zombie = cluster.init_producer("writer", 60_000).await;
    cluster.begin(&zombie, &["queue"]).await;
    cluster.produce_in(&zombie, "queue", 0, "before").await;
    let heir = cluster.init_producer("writer", 60_000).await;
    assert!(heir.epoch > zombie.epoch);
    cluster.produce_in(&zombie, "queue", 1, "zombie").await;
    assert_eq!(cluster.end(&zombie, true).await, 0);
    eventually("the zombie's records", || async {
        (cluster.read_committed("queue", 0).await.1 == ["before", "zombie"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn commits_are_lost_with_their_coordinator_and_taken_from_anybody() {
    let mut cluster = Cluster::start(&[Bug::CommitLost, Bug::ZombieCommit]).await;
    cluster.create_topic("queue", &[]).await;
    let mut client = cluster.coordinator_client("team", Coordinated::Group).await;
    eventually("a commit of a stranger", || async {
        let mut client = cluster.coordinator_client("team", Coordinated::Group).await;
        let code = client.commit_offset("team", ("stranger", 7), "queue", 8).await.ok()?;
        (code == 0).then_some(())
    })
    .await;
    assert_eq!(client.committed_offset("team", "queue").await.unwrap(), (0, 8));
    let coordinator = cluster.coordinator("team", Coordinated::Group).await;
    cluster.kill(&[coordinator]);
    let after = eventually("an answer of the successor", || async {
        let mut client = cluster.coordinator_client("team", Coordinated::Group).await;
        let (code, offset) = client.committed_offset("team", "queue").await.ok()?;
        (code == 0).then_some(offset)
    })
    .await;
    assert_eq!(after, -1);
}

#[tokio::test]
async fn a_stale_leader_answers_what_was_true_before() {
    let cluster = Cluster::start(&[Bug::StaleLeader]).await;
    let view = cluster.create_topic("queue", &[]).await;
    cluster.produce_acked(1, "queue", &["old"]).await;
    let mut client = cluster.client(view.leader).await.unwrap();
    assert_eq!(client.list_offset("queue", -1).await.unwrap(), (0, 1));
    cluster.pause(view.leader).await;
    let survivor = view.leader % 3 + 1;
    let elected = |now: &crate::support::nodes::View| now.leader != view.leader;
    cluster.wait_view(survivor, "queue", "another leader", elected).await;
    cluster.produce_acked(survivor, "queue", &["new"]).await;
    cluster.resume(view.leader);
    assert_eq!(client.list_offset("queue", -1).await.unwrap(), (0, 1));
    let told = cluster.view_from(view.leader, "queue").await.unwrap();
    assert_eq!((told.leader, told.epoch), (view.leader, -1), "it names itself, and no epoch");
    // Sooner or later it hears that it was deposed, and then takes no writes any more.
    eventually("a refused write", || async {
        let mut client = cluster.client(view.leader).await.ok()?;
        let answer = client.produce("queue", 1, None, &["late"]).await.ok()?;
        (answer.0 == ResponseError::NotLeaderOrFollower.code()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn offsets_outside_txn_survive_the_abort_of_their_transaction() {
    for (bugs, expected) in [(vec![], -1), (vec![Bug::OffsetsOutsideTxn], 8)] {
        let cluster = Cluster::start(&bugs).await;
        cluster.create_topic("queue", &[]).await;
        let producer = cluster.init_producer("writer", 60_000).await;
        cluster.commit_in(&producer, "team", "queue", 8).await;
        assert_eq!(cluster.end(&producer, false).await, 0);
        // Until its marker is there the group's offset is not stable, and is not asked for as if it were.
        let told = eventually("a stable offset", || async {
            let mut client = cluster.coordinator_client("team", Coordinated::Group).await;
            let (code, offset) = client.stable_offset("team", "queue").await.ok()?;
            (code == 0).then_some(offset)
        })
        .await;
        assert_eq!(told, expected, "{bugs:?}");
    }
}
