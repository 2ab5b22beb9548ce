//! Each bug does what it says, seen through the protocol alone. Without the bug the same steps are
//! harmless, which the other modules show.

use std::collections::BTreeSet;

use perjury_testbed::Bug;

use crate::support::client::records;
use crate::support::eventually;
use crate::support::nodes::{Cluster, View};

/// Attempts at a crash that must fall into a window.
const ATTEMPTS: u32 = 10;

fn values(records: &[(i64, String)]) -> BTreeSet<&str> {
    records.iter().map(|(_, value)| value.as_str()).collect()
}

#[tokio::test]
async fn ack_before_replication_loses_what_it_acknowledged() {
    let mut cluster = Cluster::start(&[Bug::AckBeforeReplication]).await;
    let view = cluster.create_topic("queue", &[]).await;
    let survivor = view.leader % 3 + 1;
    let mut client = cluster.client(view.leader).await.unwrap();
    let mut acked = Vec::new();
    for number in 0..200 {
        let value = format!("value-{number}");
        let (code, _) = client.produce("queue", -1, None, &[&value]).await.unwrap();
        assert_eq!(code, 0);
        acked.push(value);
    }
    cluster.kill(&[view.leader]);
    let elected = |after: &View| after.leader != view.leader;
    cluster.wait_view(survivor, "queue", "another leader", elected).await;
    cluster.produce_acked(survivor, "queue", &["after"]).await;
    cluster.run(view.leader);
    cluster.wait_in_sync("queue", &[1, 2, 3]).await;
    let kept = cluster.read_all(survivor, "queue").await;
    let kept = values(&kept);
    let lost: Vec<&String> = acked.iter().filter(|value| !kept.contains(value.as_str())).collect();
    assert!(!lost.is_empty());
    // It is the tail that is lost.
    assert_eq!(lost.last(), Some(&&acked[199]));
}

#[tokio::test]
async fn duplicate_on_retry_swallows_an_answer_and_writes_twice() {
    let cluster = Cluster::start(&[Bug::DuplicateOnRetry]).await;
    let view = cluster.create_topic("queue", &[]).await;
    let id = cluster.producer_id(1).await;
    let mut client = cluster.client(view.leader).await.unwrap();
    let mut retried = Vec::new();
    for sequence in 0..200 {
        let value = format!("value-{sequence}");
        let producer = Some((id, 0, sequence));
        if client.produce("queue", -1, producer, &[&value]).await.is_ok() {
            continue;
        }
        client = cluster.client(view.leader).await.unwrap();
        let (code, _) = client.produce("queue", -1, producer, &[&value]).await.unwrap();
        assert_eq!(code, 0);
        retried.push(value);
    }
    assert_eq!(retried.len(), 2);
    let read = cluster.read_all(1, "queue").await;
    let twice: Vec<&String> = values(&read)
        .into_iter()
        .filter(|value| read.iter().filter(|(_, other)| other == value).count() == 2)
        .filter_map(|value| retried.iter().find(|retried| *retried == value))
        .collect();
    assert_eq!(twice.len(), 2);
    assert_eq!(read.len(), 202);
}

#[tokio::test]
async fn expose_uncommitted_shows_records_that_vanish() {
    let mut cluster = Cluster::start(&[Bug::ExposeUncommitted]).await;
    let view = cluster.create_topic("queue", &[]).await;
    let followers: Vec<u32> = (1..=3).filter(|id| *id != view.leader).collect();
    cluster.produce_acked(view.leader, "queue", &["kept"]).await;
    cluster.wait_in_sync("queue", &[1, 2, 3]).await;
    for id in &followers {
        cluster.pause(*id).await;
    }
    let mut client = cluster.client(view.leader).await.unwrap();
    // The answer to a fetch that waits already may still carry the first to a stopped follower.
    assert_eq!(client.produce("queue", 1, None, &["perhaps"]).await.unwrap(), (0, 1));
    assert_eq!(client.produce("queue", 1, None, &["dirty"]).await.unwrap(), (0, 2));
    let data = client.fetch("queue", 2, -1, 0).await.unwrap();
    assert_eq!(records(data.records.unwrap()), [(2, "dirty".to_owned())]);
    cluster.kill(&[view.leader]);
    for id in &followers {
        cluster.resume(*id);
    }
    for value in ["other", "another"] {
        cluster.produce_acked(followers[0], "queue", &[value]).await;
    }
    let read = cluster.read_all(followers[0], "queue").await;
    assert!(!values(&read).contains("dirty"));
    assert!(read.len() > 2, "offset 2 holds another record now");
}

#[tokio::test]
async fn forget_unsynced_loses_what_it_acknowledged_when_all_crash() {
    let mut cluster = Cluster::start(&[Bug::ForgetUnsynced]).await;
    cluster.create_topic("queue", &[]).await;
    let mut acked: Vec<String> = Vec::new();
    for attempt in 0..ATTEMPTS {
        for number in 0..20 {
            let value = format!("value-{attempt}-{number}");
            cluster.produce_acked(1, "queue", &[&value]).await;
            acked.push(value);
        }
        cluster.kill(&[1, 2, 3]);
        for id in 1..=3 {
            cluster.run(id);
        }
        cluster.wait_in_sync("queue", &[1, 2, 3]).await;
        let kept = eventually("a read of everything", || async {
            Some(cluster.read_all(1, "queue").await)
        })
        .await;
        let kept = values(&kept);
        if acked.iter().any(|value| !kept.contains(value.as_str())) {
            let log = std::fs::read_to_string(cluster.log_path(1)).unwrap();
            assert!(log.contains("unsynced"));
            return;
        }
    }
    panic!("nothing was lost in {ATTEMPTS} crashes of all nodes");
}
