//! Transactions and committed offsets, seen through the protocol alone.

use kafka_protocol::error::ResponseError;

use crate::support::eventually;
use crate::support::nodes::Cluster;
use crate::support::txn::{Coordinated, end_request};

#[tokio::test]
async fn read_committed_stops_at_the_open_transaction_and_skips_the_aborted() {
    let mut cluster = Cluster::start(&[]).await;
    cluster.create_topic("queue", &[]).await;
    let producer = cluster.init_producer("writer", 60_000).await;
    cluster.transact(&producer, &["queue"], 0, "kept", true).await;
    eventually("the commit marker", || async {
        (cluster.read_committed("queue", 0).await == (2, vec!["kept".to_owned()])).then_some(())
    })
    .await;
    cluster.begin(&producer, &["queue"]).await;
    assert_eq!(cluster.produce_in(&producer, "queue", 1, "open").await, 2);
    assert_eq!(cluster.read_committed("queue", 0).await, (2, vec!["kept".to_owned()]));

    // The leader dies: its successor derives the same from its log, and the transaction goes on.
    let view = cluster.view_from(1, "queue").await.unwrap();
    cluster.kill(&[view.leader]);
    let stable = cluster.read_committed("queue", 0).await;
    assert_eq!(stable, (2, vec!["kept".to_owned()]));
    cluster.produce_in(&producer, "queue", 2, "more").await;
    eventually("the end of the transaction", || async {
        let what = Coordinated::Transaction;
        let mut client = cluster.coordinator_client("writer", what).await;
        let code = client.end_transaction(&producer, false).await.ok()?;
        (code == 0).then_some(())
    })
    .await;
    eventually("the abort marker", || async {
        (cluster.read_committed("queue", 0).await == (5, vec!["kept".to_owned()])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_new_incarnation_ends_what_the_old_one_left_and_fences_it() {
    let cluster = Cluster::start(&[]).await;
    let view = cluster.create_topic("queue", &[]).await;
    let zombie = cluster.init_producer("writer", 60_000).await;
    cluster.begin(&zombie, &["queue"]).await;
    cluster.produce_in(&zombie, "queue", 0, "left").await;
    let heir = cluster.init_producer("writer", 60_000).await;
    assert_eq!(heir.producer_id, zombie.producer_id);
    assert!(heir.epoch > zombie.epoch);
    assert_eq!(cluster.read_committed("queue", 0).await, (2, vec![]));

    let mut leader = cluster.client(view.leader).await.unwrap();
    let (code, _) = leader.produce_in(&zombie, "queue", 1, &["zombie"]).await.unwrap();
    assert_eq!(code, ResponseError::InvalidProducerEpoch.code());
    let fenced = ResponseError::InvalidProducerEpoch.code();
    assert_eq!(cluster.end(&zombie, true).await, fenced);
    // Nobody began a transaction for this one.
    let (code, _) = leader.produce_in(&heir, "queue", 0, &["early"]).await.unwrap();
    assert_eq!(code, ResponseError::InvalidTxnState.code());
    cluster.transact(&heir, &["queue"], 0, "mine", true).await;
    // Ending it again is answered alike, and the other way refused.
    eventually("the end", || async { (cluster.end(&heir, true).await == 0).then_some(()) }).await;
    assert_eq!(cluster.end(&heir, false).await, ResponseError::InvalidTxnState.code());
    assert_eq!(cluster.read_committed("queue", 2).await.1, ["mine"]);
}

#[tokio::test]
async fn transactions_time_out_and_late_ends_are_not_taken_for_the_next_one() {
    let cluster = Cluster::start(&[]).await;
    cluster.create_topic("queue", &[]).await;
    let slow = cluster.init_producer("slow", 3_000).await;
    cluster.begin(&slow, &["queue"]).await;
    cluster.produce_in(&slow, "queue", 0, "late").await;
    eventually("the timeout", || async {
        (cluster.read_committed("queue", 0).await == (2, vec![])).then_some(())
    })
    .await;
    assert_eq!(cluster.end(&slow, true).await, ResponseError::InvalidProducerEpoch.code());

    // An EndTxn waits on an old connection while the client goes on with a new one.
    let producer = cluster.init_producer("writer", 60_000).await;
    let mut old = cluster.coordinator_client("writer", Coordinated::Transaction).await;
    cluster.transact(&producer, &["queue"], 0, "first", true).await;
    cluster.begin(&producer, &["queue"]).await;
    cluster.produce_in(&producer, "queue", 1, "second").await;
    let late = old.call(&end_request(&producer, false), 1).await;
    assert!(late.is_err(), "the connection is closed without an answer");
    assert_eq!(cluster.end(&producer, true).await, 0);
    eventually("both commits", || async {
        (cluster.read_committed("queue", 2).await.1 == ["first", "second"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn committed_offsets_survive_their_coordinator() {
    let mut cluster = Cluster::start(&[]).await;
    cluster.create_topic("queue", &[]).await;
    let nobody = ("", -1);
    let commit = async |cluster: &Cluster, offset| {
        eventually("a commit", || async {
            let mut client = cluster.coordinator_client("team", Coordinated::Group).await;
            let code = client.commit_offset("team", nobody, "queue", offset).await.ok()?;
            (code == 0).then_some(())
        })
        .await;
    };
    let committed = async |cluster: &Cluster| {
        eventually("an offset", || async {
            let mut client = cluster.coordinator_client("team", Coordinated::Group).await;
            let (code, offset) = client.committed_offset("team", "queue").await.ok()?;
            (code == 0).then_some(offset)
        })
        .await
    };
    assert_eq!(committed(&cluster).await, -1);
    for offset in [3, 5, 8] {
        commit(&cluster, offset).await;
    }
    assert_eq!(committed(&cluster).await, 8);
    let mut client = cluster.coordinator_client("team", Coordinated::Group).await;
    let stranger = client.commit_offset("team", ("stranger", 4), "queue", 1).await.unwrap();
    assert_eq!(stranger, ResponseError::UnknownMemberId.code());
    let coordinator = cluster.coordinator("team", Coordinated::Group).await;
    cluster.kill(&[coordinator]);
    assert_eq!(committed(&cluster).await, 8);
    let other = coordinator % 3 + 1;
    let mut client = cluster.client(other).await.unwrap();
    if cluster.coordinator("team", Coordinated::Group).await != other {
        let (code, _) = client.committed_offset("team", "queue").await.unwrap();
        assert_eq!(code, ResponseError::NotCoordinator.code());
    }
}
