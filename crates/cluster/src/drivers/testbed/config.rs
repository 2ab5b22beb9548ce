//! The configuration file of one testbed node, as the testbed's `NodeConfig` reads it.

use crate::node::NodeId;
use serde::Serialize;
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The addresses of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) kafka: SocketAddr,
    pub(super) raft: SocketAddr,
}

#[derive(Debug, Serialize)]
struct PeerFile {
    id: NodeId,
    kafka: SocketAddr,
    raft: SocketAddr,
}

#[derive(Debug, Serialize)]
struct NodeFile {
    node_id: NodeId,
    data_dir: PathBuf,
    kafka_addr: SocketAddr,
    raft_addr: SocketAddr,
    peers: Vec<PeerFile>,
    bugs: Vec<String>,
    default_replication_factor: usize,
    min_insync_replicas: usize,
    exit_on_stdin_eof: bool,
    #[serde(flatten)]
    settings: Map<String, Value>,
}

/// The file of `node`. `settings` are further top-level fields; they may not repeat one of these.
pub(super) fn node_file(
    node: NodeId,
    data_dir: PathBuf,
    addresses: &[(NodeId, Addresses)],
    bugs: &[String],
    settings: &Map<String, Value>,
) -> serde_json::Result<Value> {
    // A node that is not among its peers is refused by itself, in its own words.
    let unset = Addresses { kafka: ([127, 0, 0, 1], 0).into(), raft: ([127, 0, 0, 1], 0).into() };
    let own = addresses.iter().find(|(id, _)| *id == node).map_or(unset, |(_, own)| *own);
    let peers = addresses
        .iter()
        .map(|(id, at)| PeerFile { id: *id, kafka: at.kafka, raft: at.raft })
        .collect();
    let mut settings = settings.clone();
    let mut number = |name: &str, default: usize| {
        let given = settings.remove(name).and_then(|value| value.as_u64());
        given.and_then(|value| usize::try_from(value).ok()).unwrap_or(default)
    };
    // Kafka's usual three replicas of which two must be in sync, as far as there are nodes.
    let default_replication_factor = number("default_replication_factor", addresses.len().min(3));
    let min_insync_replicas = number("min_insync_replicas", addresses.len().min(2));
    serde_json::to_value(NodeFile {
        node_id: node,
        data_dir,
        kafka_addr: own.kafka,
        raft_addr: own.raft,
        peers,
        bugs: bugs.to_vec(),
        default_replication_factor,
        min_insync_replicas,
        exit_on_stdin_eof: true,
        settings,
    })
}
