//! Idempotent producers: a batch sent again is not written again.

use kafka_protocol::error::ResponseError;

use crate::support::eventually;
use crate::support::nodes::Cluster;

#[tokio::test]
async fn a_retried_batch_returns_its_first_offset_also_after_failover() {
    let mut cluster = Cluster::start(&[]).await;
    let view = cluster.create_topic("queue", &[]).await;
    let id = cluster.producer_id(1).await;
    assert_ne!(id, cluster.producer_id(1).await);
    assert_ne!(id, cluster.producer_id(2).await);
    let mut client = cluster.client(view.leader).await.unwrap();
    for (sequence, values) in [(0, ["a", "b"]), (2, ["c", "d"]), (4, ["e", "f"])] {
        let producer = Some((id, 0, sequence));
        let answer = client.produce("queue", -1, producer, &values).await.unwrap();
        assert_eq!(answer, (0, i64::from(sequence)));
    }
    let again = client.produce("queue", -1, Some((id, 0, 2)), &["c", "d"]).await.unwrap();
    assert_eq!(again, (0, 2));
    let (gap, _) = client.produce("queue", -1, Some((id, 0, 8)), &["x"]).await.unwrap();
    assert_eq!(gap, ResponseError::OutOfOrderSequenceNumber.code());

    cluster.kill(&[view.leader]);
    let survivor = view.leader % 3 + 1;
    let again = eventually("an answer of the new leader", || async {
        let view = cluster.view_from(survivor, "queue").await?;
        let mut client = cluster.client(view.leader).await.ok()?;
        let (code, offset) =
            client.produce("queue", -1, Some((id, 0, 4)), &["e", "f"]).await.ok()?;
        (code == 0).then_some(offset)
    })
    .await;
    assert_eq!(again, 4);
    let mut client = cluster.leader_client(survivor, "queue").await;
    let (gap, _) = client.produce("queue", -1, Some((id, 0, 8)), &["x"]).await.unwrap();
    assert_eq!(gap, ResponseError::OutOfOrderSequenceNumber.code());
    let next = client.produce("queue", -1, Some((id, 0, 6)), &["g"]).await.unwrap();
    assert_eq!(next, (0, 6));
    // A newer incarnation of the producer fences the older one.
    let newer = client.produce("queue", -1, Some((id, 1, 0)), &["h"]).await.unwrap();
    assert_eq!(newer, (0, 7));
    let (code, _) = client.produce("queue", -1, Some((id, 0, 7)), &["x"]).await.unwrap();
    assert_eq!(code, ResponseError::InvalidProducerEpoch.code());

    let values: Vec<String> =
        cluster.read_all(survivor, "queue").await.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["a", "b", "c", "d", "e", "f", "g", "h"]);
}

#[tokio::test]
async fn producer_ids_and_sequences_survive_a_restart_of_everything() {
    let mut cluster = Cluster::start(&[]).await;
    let view = cluster.create_topic("queue", &[]).await;
    let id = cluster.producer_id(1).await;
    let mut client = cluster.client(view.leader).await.unwrap();
    assert_eq!(client.produce("queue", -1, Some((id, 0, 0)), &["a"]).await.unwrap(), (0, 0));
    cluster.kill(&[1, 2, 3]);
    for node in 1..=3 {
        cluster.run(node);
    }
    for node in 1..=3 {
        cluster.wait_for_brokers(node, 3).await;
    }
    assert_ne!(cluster.producer_id(1).await, id);
    let again = eventually("an answer", || async {
        let view = cluster.view_from(1, "queue").await?;
        let mut client = cluster.client(view.leader).await.ok()?;
        let (code, offset) = client.produce("queue", -1, Some((id, 0, 0)), &["a"]).await.ok()?;
        (code == 0).then_some(offset)
    })
    .await;
    assert_eq!(again, 0);
    assert_eq!(cluster.read_all(1, "queue").await, [(0, "a".to_owned())]);
}
