//! The Kafka probe against a stand-in broker, and against what is no broker.

use crate::support::{LONG, Rig};
use perjury_cluster::probe::{self, NewTopic, ProbeError};
use perjury_cluster::{Driver, FaultKind, KafkaProbe, MetadataProbe, NodeId};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

const SHORT: Duration = Duration::from_millis(300);

/// A server that reads one request and answers with these bytes, or hangs up if there are none.
async fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 64];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_is_asked_for_all_that_is_served() {
    let rig = Rig::new(&[]);
    rig.cluster.form(LONG).await.unwrap();
    rig.play(2, 3, 9, &[3, 1]);
    let address = rig.driver.address(NodeId(1)).unwrap();
    let versions = probe::api_versions(&address, LONG).await.unwrap();
    assert_eq!(versions[&3], (4, 12));
    let metadata = probe::metadata(&address, None, LONG).await.unwrap();
    assert_eq!(metadata.controller, Some(NodeId(2)));
    assert_eq!(metadata.broker_ids(), [NodeId(1), NodeId(2), NodeId(3)]);
    let partition = metadata.partition("t", 0).unwrap();
    assert_eq!((partition.leader, partition.leader_epoch), (Some(NodeId(3)), Some(9)));
    assert_eq!(partition.isr, [NodeId(1), NodeId(3)], "ascending");
    let topics = ["t".to_owned()];
    let named = probe::metadata(&address, Some(&topics), LONG).await.unwrap();
    assert_eq!(named.partitions.len(), 1);
    let described = probe::describe_cluster(&address, LONG).await.unwrap();
    assert_eq!((described.controller, described.brokers.len()), (Some(NodeId(2)), 3));
    let topic = NewTopic {
        name: "t".into(),
        partitions: 1,
        replication_factor: 1,
        configs: BTreeMap::new(),
    };
    let refused = probe::create_topic(&address, &topic, LONG).await.unwrap_err();
    assert!(matches!(refused, ProbeError::Refused { code: 36, .. }), "{refused}");
    rig.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_survives_the_restart_of_its_broker() {
    let rig = Rig::new(&[]);
    rig.cluster.form(LONG).await.unwrap();
    let probe = KafkaProbe::new(LONG);
    let address = rig.driver.address(NodeId(2)).unwrap();
    probe.metadata(&address).await.unwrap();
    let restarted = rig.cluster.inject(FaultKind::Restart, &[NodeId(2)]).await;
    assert!(restarted[0].1.as_ref().unwrap().witnessed);
    assert_eq!(probe.metadata(&address).await.unwrap().brokers.len(), 3);
    rig.cluster.shutdown().await;
}

#[tokio::test]
async fn what_is_no_broker_is_told_apart() {
    let http = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let error = probe::metadata(&http, None, LONG).await.unwrap_err();
    assert!(matches!(error, ProbeError::Malformed { .. }), "{error}");
    let closing = answering(b"").await;
    let error = probe::metadata(&closing, None, LONG).await.unwrap_err();
    assert!(matches!(error, ProbeError::Closed { .. }), "{error}");
    // A frame of 8 bytes with a correlation id that nobody sent.
    let mixed = answering(b"\0\0\0\x08\0\0\x30\x39\0\0\0\0").await;
    let error = probe::metadata(&mixed, None, LONG).await.unwrap_err();
    assert!(error.to_string().contains("correlation id 12345"), "{error}");
    // Correlation id 1, no error, no APIs at all.
    let poor = answering(b"\0\0\0\x0a\0\0\0\x01\0\0\0\0\0\0").await;
    let error = probe::metadata(&poor, None, LONG).await.unwrap_err();
    assert!(matches!(error, ProbeError::Version { api: 3, .. }), "{error}");
}

#[tokio::test]
async fn silence_ends_with_the_time_and_nobody_means_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let error = probe::metadata(&address, None, SHORT).await.unwrap_err();
    assert!(matches!(error, ProbeError::Timeout { .. }), "{error}");
    // A port that is bound but not listened on refuses for certain.
    let held = TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = held.local_addr().unwrap().to_string();
    let error = probe::metadata(&address, None, LONG).await.unwrap_err();
    assert!(error.is_connection_refused(), "{error}");
}
