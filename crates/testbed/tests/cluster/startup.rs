//! A node that cannot run says why, in one line, and ends with a status.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, ExitStatus};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use perjury_testbed::{Bug, events};

use crate::support::eventually;
use crate::support::nodes::Cluster;

/// Runs a command that must end by itself; its status and the last line of the node's log.
fn ends(cluster: &Cluster, id: u32, mut command: Command) -> (ExitStatus, String) {
    let status = command.status().unwrap();
    let log = fs::read_to_string(cluster.log_path(id)).unwrap();
    (status, log.lines().last().unwrap_or_default().to_owned())
}

#[test]
fn a_taken_port_is_named() {
    let cluster = Cluster::configure(&[]);
    for (id, what) in [(1, "kafka_addr"), (2, "raft_addr")] {
        let config = &cluster.configs[&id];
        let addr = if id == 1 { config.kafka_addr } else { config.raft_addr };
        let _held = TcpListener::bind(addr).unwrap();
        let (status, line) = ends(&cluster, id, cluster.command(id));
        assert_eq!(status.code(), Some(1));
        assert!(line.contains(what) && line.contains(&addr.to_string()), "{line}");
    }
}

#[test]
fn an_unusable_data_directory_is_named() {
    let mut cluster = Cluster::configure(&[]);
    let file = cluster.config_path(9);
    fs::write(&file, "a file").unwrap();
    cluster.configs.get_mut(&1).unwrap().data_dir = file.join("below");
    let (status, line) = ends(&cluster, 1, cluster.command(1));
    assert_eq!(status.code(), Some(1));
    assert!(line.contains("data directory") && line.contains("below"), "{line}");
}

#[test]
fn a_bad_configuration_names_the_field() {
    let mut cluster = Cluster::configure(&[]);
    cluster.configs.get_mut(&1).unwrap().node_id = 7;
    let (status, line) = ends(&cluster, 1, cluster.command(1));
    assert_eq!(status.code(), Some(1));
    assert!(line.contains("`peers`") && line.contains("node_id 7"), "{line}");

    let command = cluster.command(2);
    fs::write(cluster.config_path(2), "{\"node_id\": \"two\"}").unwrap();
    let (status, line) = ends(&cluster, 2, command);
    assert_eq!(status.code(), Some(1));
    assert!(line.contains("node-2.json") && line.contains("line 1"), "{line}");
}

#[tokio::test]
async fn a_data_directory_serves_one_process() {
    let mut cluster = Cluster::configure(&[]);
    cluster.run(1);
    let lock = cluster.configs[&1].data_dir.join("lock");
    eventually("the first process", || async {
        let log = fs::read_to_string(cluster.log_path(1)).unwrap();
        (lock.exists() && log.contains(events::NODE_STARTED)).then_some(())
    })
    .await;
    let shared = cluster.configs[&1].data_dir.clone();
    cluster.configs.get_mut(&2).unwrap().data_dir = shared;
    let (status, line) = ends(&cluster, 2, cluster.command(2));
    assert_eq!(status.code(), Some(1));
    assert!(line.contains("locked by another process"), "{line}");
}

#[tokio::test]
async fn nodes_announce_themselves_and_end_when_told() {
    let mut cluster = Cluster::start(&[Bug::ForgetUnsynced]).await;
    let log = fs::read_to_string(cluster.log_path(1)).unwrap();
    for event in [
        events::NODE_STARTED,
        events::BUG_ENABLED,
        events::KAFKA_LISTENER_READY,
        events::RAFT_LEADER_ELECTED,
        events::BROKER_UNFENCED,
    ] {
        assert!(log.contains(event), "{event}");
    }
    assert!(log.contains("bug=forget-unsynced"));
    assert!(log.contains("ready brokers=3"));

    let mut first = cluster.take(1);
    kill(Pid::from_raw(i32::try_from(first.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(0));
    // The pipe's other end goes with the parent.
    let mut second = cluster.take(2);
    drop(second.stdin.take());
    assert_eq!(second.wait().unwrap().code(), Some(0));
    let log = fs::read_to_string(cluster.log_path(2)).unwrap();
    assert!(log.lines().last().unwrap().contains("stdin closed"));
}
