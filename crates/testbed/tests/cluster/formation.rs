//! A cluster forms, topics are created, records go in and come out.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiVersionsRequest, DeleteTopicsRequest, FindCoordinatorRequest};
use kafka_protocol::protocol::StrBytes;

use crate::support::client::{produce_request, records, topic_name};
use crate::support::nodes::Cluster;

#[tokio::test]
async fn records_go_in_at_every_acks_and_come_out_in_order() {
    let cluster = Cluster::start(&[]).await;
    let view = cluster.create_topic("queue", &[]).await;
    let mut client = cluster.leader_client(1, "queue").await;
    assert_eq!(client.produce("queue", -1, None, &["a", "b"]).await.unwrap(), (0, 0));
    assert_eq!(client.produce("queue", 1, None, &["c"]).await.unwrap(), (0, 2));
    // Without acknowledgement there is no answer; the next request's answer comes behind it.
    client.send(&produce_request("queue", 0, None, &["d"]), 9).await.unwrap();
    assert_eq!(client.produce("queue", -1, None, &["e"]).await.unwrap(), (0, 4));

    let expected: Vec<(i64, String)> =
        (0..).zip(["a", "b", "c", "d", "e"].map(str::to_owned)).collect();
    assert_eq!(cluster.read_all(1, "queue").await, expected);
    assert_eq!(client.list_offset("queue", -1).await.unwrap(), (0, 5));
    assert_eq!(client.list_offset("queue", -2).await.unwrap(), (0, 0));
    assert_eq!(client.list_offset("queue", 1_000_001).await.unwrap(), (0, 1));
    assert_eq!(client.list_offset("queue", 2_000_000).await.unwrap(), (0, -1));
    let data = client.fetch("queue", 4, view.epoch, 0).await.unwrap();
    assert_eq!(records(data.records.unwrap()), [(4, "e".to_owned())]);
    assert_eq!(client.fetch("queue", 5, -1, 50).await.unwrap().records.unwrap().len(), 0);
    let beyond = client.fetch("queue", 6, -1, 50).await.unwrap();
    assert_eq!(beyond.error_code, ResponseError::OffsetOutOfRange.code());
    assert!(cluster.wait_identical("queue").await > 0);
}

#[tokio::test]
async fn refusals_name_their_reason() {
    let cluster = Cluster::start(&[]).await;
    let view = cluster.create_topic("queue", &[]).await;
    let created = [
        (cluster.try_create("queue", 1, 3, &[]).await, ResponseError::TopicAlreadyExists),
        (cluster.try_create("wide", 1, 4, &[]).await, ResponseError::InvalidReplicationFactor),
        (cluster.try_create("a b", 1, 3, &[]).await, ResponseError::InvalidTopicException),
        (cluster.try_create("none", 0, 3, &[]).await, ResponseError::InvalidPartitions),
        (cluster.try_create("odd", 1, 3, &[("colour", "red")]).await, ResponseError::InvalidConfig),
    ];
    for ((code, message), expected) in created {
        assert_eq!(code, expected.code(), "{message:?}");
        assert!(message.is_some());
    }
    let mut leader = cluster.client(view.leader).await.unwrap();
    let (code, _) = leader.produce("absent", -1, None, &["a"]).await.unwrap();
    assert_eq!(code, ResponseError::UnknownTopicOrPartition.code());
    let (code, _) = leader.produce("queue", 7, None, &["a"]).await.unwrap();
    assert_eq!(code, ResponseError::InvalidRequiredAcks.code());
    let mut torn = produce_request("queue", -1, None, &["a"]);
    let data = &mut torn.topic_data[0].partition_data[0];
    let mut bytes = data.records.take().unwrap().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    data.records = Some(bytes.into());
    let response = leader.call(&torn, 9).await.unwrap();
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(code, ResponseError::CorruptMessage.code());

    let other = (1..=3).find(|id| *id != view.leader).unwrap();
    let mut follower = cluster.client(other).await.unwrap();
    let (code, _) = follower.produce("queue", 1, None, &["a"]).await.unwrap();
    assert_eq!(code, ResponseError::NotLeaderOrFollower.code());
    let data = follower.fetch("queue", 0, -1, 0).await.unwrap();
    assert_eq!(data.error_code, ResponseError::NotLeaderOrFollower.code());
    let (code, _) = follower.list_offset("queue", -1).await.unwrap();
    assert_eq!(code, ResponseError::NotLeaderOrFollower.code());

    let request = FindCoordinatorRequest::default()
        .with_key(StrBytes::from_static_str("share"))
        .with_key_type(2);
    let response = follower.call(&request, 2).await.unwrap();
    assert_eq!(response.error_code, ResponseError::InvalidRequest.code());
    let (code, _) = cluster.try_create("__consumer_offsets", 9, 3, &[]).await;
    assert_eq!(code, ResponseError::InvalidTopicException.code());
    let (code, _) = follower.produce("__consumer_offsets", -1, None, &["a"]).await.unwrap();
    assert_eq!(code, ResponseError::InvalidTopicException.code());
}

#[tokio::test]
async fn offered_versions_are_bounded_and_deleted_topics_are_gone() {
    let cluster = Cluster::start(&[]).await;
    let mut client = cluster.client(2).await.unwrap();
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("test"))
        .with_client_software_version(StrBytes::from_static_str("1"));
    let response = client.call(&request, 3).await.unwrap();
    let highest = |key: i16| {
        response.api_keys.iter().find(|api| api.api_key == key).map(|api| api.max_version)
    };
    assert_eq!((highest(0), highest(1)), (Some(9), Some(12)));

    cluster.create_topic("queue", &[]).await;
    cluster.produce_acked(1, "queue", &["a"]).await;
    let request = DeleteTopicsRequest::default()
        .with_topic_names(vec![topic_name("queue")])
        .with_timeout_ms(5_000);
    let response = client.call(&request, 5).await.unwrap();
    assert_eq!(response.responses[0].error_code, 0);
    let again = client.call(&request, 5).await.unwrap();
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(again.responses[0].error_code, unknown);
    // A new topic of the same name holds nothing of the old one.
    cluster.create_topic("queue", &[]).await;
    assert_eq!(cluster.read_all(1, "queue").await, []);
}

/// A node that was away for longer than the metadata log reaches back is sent a snapshot; and a
/// cluster that starts again knows everything from snapshots and logs.
#[tokio::test]
async fn metadata_outlives_its_log() {
    let mut cluster = Cluster::configure(&[]);
    for config in cluster.configs.values_mut() {
        config.metadata_snapshot_entries = 24;
    }
    for id in 1..=3 {
        cluster.run(id);
    }
    for id in 1..=3 {
        cluster.wait_for_brokers(id, 3).await;
    }
    cluster.kill(&[3]);
    cluster.wait_for_brokers(1, 2).await;
    let topics: Vec<String> = (0..40).map(|number| format!("topic-{number}")).collect();
    for topic in &topics {
        let (code, message) = cluster.try_create(topic, 1, 3, &[]).await;
        assert_eq!(code, 0, "{message:?}");
    }
    let snapshot = |id: u32| cluster.configs[&id].data_dir.join("metadata/raft.snapshot.json");
    assert!(snapshot(1).exists() && !snapshot(3).exists());
    let (first, third) = (snapshot(1), snapshot(3));
    cluster.run(3);
    for topic in &topics {
        cluster.wait_in_sync(topic, &[1, 2, 3]).await;
    }
    assert!(third.exists());
    cluster.produce_acked(3, "topic-7", &["a"]).await;
    cluster.kill(&[1, 2, 3]);
    assert!(first.exists());
    for id in 1..=3 {
        cluster.run(id);
    }
    for topic in &topics {
        cluster.wait_in_sync(topic, &[1, 2, 3]).await;
    }
    assert_eq!(cluster.read_all(2, "topic-7").await, [(0, "a".to_owned())]);
}
