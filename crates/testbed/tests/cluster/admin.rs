//! More partitions, fewer records, descriptions, compaction.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{
    CreatePartitionsRequest, DeleteRecordsRequest, DescribeClusterRequest, DescribeConfigsRequest,
};
use kafka_protocol::protocol::StrBytes;

use crate::support::client::{records, topic_name};
use crate::support::eventually;
use crate::support::nodes::Cluster;

#[tokio::test]
async fn topics_grow_shrink_and_are_described() {
    let mut cluster = Cluster::start(&[]).await;
    let view = cluster.create_topic("queue", &[("delete.retention.ms", "5")]).await;
    for value in ["a", "b", "c", "d"] {
        cluster.produce_acked(1, "queue", &[value]).await;
    }
    let mut leader = cluster.client(view.leader).await.unwrap();

    let grow = |count| {
        let topic =
            CreatePartitionsTopic::default().with_name(topic_name("queue")).with_count(count);
        let topic = topic.with_assignments(None);
        CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(8_000)
    };
    let response = leader.call(&grow(4), 1).await.unwrap();
    assert_eq!(response.results[0].error_code, 0);
    let response = leader.call(&grow(2), 1).await.unwrap();
    assert_eq!(response.results[0].error_code, ResponseError::InvalidPartitions.code());

    let partition = DeleteRecordsPartition::default().with_offset(3);
    let topic = DeleteRecordsTopic::default()
        .with_name(topic_name("queue"))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(8_000);
    let response = leader.call(&request, 1).await.unwrap();
    let deleted = &response.topics[0].partitions[0];
    assert_eq!((deleted.error_code, deleted.low_watermark), (0, 3));
    assert_eq!(leader.list_offset("queue", -2).await.unwrap(), (0, 3));
    let early = leader.fetch("queue", 1, -1, 0).await.unwrap();
    assert_eq!(early.error_code, ResponseError::OffsetOutOfRange.code());

    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(StrBytes::from_static_str("queue"))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let response = leader.call(&request, 1).await.unwrap();
    let configs = &response.results[0].configs;
    let value = |name: &str| {
        let found = configs.iter().find(|config| *config.name == *name).unwrap();
        found.value.as_ref().unwrap().to_string()
    };
    assert_eq!(value("delete.retention.ms"), "5");
    assert_eq!(value("min.insync.replicas"), "2");
    let response = leader.call(&DescribeClusterRequest::default(), 0).await.unwrap();
    assert_eq!(response.brokers.len(), 3);

    // The log begins there on whoever leads next, too.
    cluster.kill(&[view.leader]);
    let survivor = view.leader % 3 + 1;
    let kept = eventually("a leader", || async {
        let now = cluster.view_from(survivor, "queue").await?;
        let mut client = cluster.client(now.leader).await.ok()?;
        let (code, start) = client.list_offset("queue", -2).await.ok()?;
        let data = client.fetch("queue", 3, -1, 0).await.ok()?;
        (code == 0 && start == 3 && data.error_code == 0).then(|| data.records.unwrap())
    })
    .await;
    assert_eq!(records(kept), [(3, "d".to_owned())]);
}
