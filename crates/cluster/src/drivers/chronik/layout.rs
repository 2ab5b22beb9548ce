//! What each node of a cluster is told: by its arguments, its environment and its configuration file.

use crate::driver::DriverError;
use crate::node::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Three addresses of a node, each `host:port`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// For clients.
    #[serde(default)]
    pub kafka: String,
    /// For the replication of records.
    #[serde(default)]
    pub wal: String,
    /// For the Raft group of the metadata.
    #[serde(default)]
    pub raft: String,
}

impl Addresses {
    /// The addresses with their names.
    pub(super) fn named(&self) -> [(&'static str, &str); 3] {
        [("Kafka", &self.kafka), ("WAL", &self.wal), ("Raft", &self.raft)]
    }
}

/// One entry of a peers list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its number.
    pub id: u64,
    /// Where it is reached.
    #[serde(flatten)]
    pub at: Addresses,
}

/// The configuration file of a node, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFile {
    /// Whether it is a node of a cluster.
    #[serde(default)]
    pub enabled: bool,
    /// Its number.
    pub node_id: Option<u64>,
    /// Its data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<String>,
    /// Replicas of each partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication_factor: Option<u64>,
    /// Replicas that must have a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_insync_replicas: Option<u64>,
    /// Where it listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind: Option<Addresses>,
    /// Where others reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<Addresses>,
    /// All nodes, itself included.
    #[serde(default)]
    pub peers: Vec<Peer>,
}

/// How one node is started, as somebody wrote it down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenNode {
    /// Its number.
    pub id: i32,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Its environment variables beside the inherited ones.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// The nodes of a cluster, as somebody wrote them down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// The nodes.
    #[serde(rename = "node")]
    pub nodes: Vec<GivenNode>,
}

impl Layout {
    /// Reads a layout. Configuration files in it that are named by a relative path lie beside it.
    ///
    /// # Errors
    /// [`DriverError::Settings`], which names the file and the line.
    pub fn read(path: &Path) -> Result<Self, DriverError> {
        let failed = |why: String| {
            DriverError::Settings(format!("the layout {} cannot be used: {why}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let mut layout: Self = toml::from_str(&text).map_err(|error| failed(error.to_string()))?;
        if layout.nodes.is_empty() {
            return Err(failed("it has no [[node]]".to_owned()));
        }
        layout.nodes.sort_by_key(|node| node.id);
        let absolute = std::path::absolute(path).map_err(|error| failed(error.to_string()))?;
        let base = absolute.parent().unwrap_or(Path::new("/")).to_owned();
        for node in &mut layout.nodes {
            let mut before = String::new();
            for arg in &mut node.args {
                if ["-c", "--config"].contains(&before.as_str()) {
                    *arg = base.join(&arg).display().to_string();
                }
                before.clone_from(arg);
            }
        }
        Ok(layout)
    }
}

/// What one node is told, wherever it was told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The number that the layout gives it.
    pub node: NodeId,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment variables.
    pub env: BTreeMap<String, String>,
    /// Its configuration file, parsed, or why it cannot be.
    pub file: Option<Result<NodeFile, String>>,
    /// Where that file is.
    pub path: Option<PathBuf>,
}

impl Declared {
    /// Puts together what a node is told.
    #[must_use]
    pub fn of(given: &GivenNode) -> Self {
        let option = |names: &[&str]| {
            let at = given.args.iter().position(|arg| names.contains(&arg.as_str()))?;
            given.args.get(at + 1).cloned()
        };
        let path = option(&["-c", "--config"])
            .or_else(|| given.env.get("CHRONIK_CONFIG").cloned())
            .map(PathBuf::from);
        let file = path.as_deref().map(|path| {
            let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
            toml::from_str(&text).map_err(|error| error.message().to_owned())
        });
        let (args, env) = (given.args.clone(), given.env.clone());
        Self { node: NodeId(given.id), args, env, file, path }
    }

    /// The value of an option among the arguments.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        let at = self.args.iter().position(|arg| arg == name)?;
        self.args.get(at + 1).map(String::as_str)
    }

    /// The parsed configuration file.
    #[must_use]
    pub fn config(&self) -> Option<&NodeFile> {
        self.file.as_ref()?.as_ref().ok()
    }

    /// The number that the server takes itself to have.
    #[must_use]
    pub fn own_id(&self) -> Option<u64> {
        let variable = self.env.get("CHRONIK_NODE_ID").map(String::as_str);
        let told = self.option("--node-id").or(variable).and_then(|id| id.parse().ok());
        told.or_else(|| self.config()?.node_id)
    }

    /// The entries of the peers variable, each split at its colons.
    #[must_use]
    pub fn peers_variable(&self) -> Option<Vec<Vec<&str>>> {
        let text = self.env.get("CHRONIK_CLUSTER_PEERS")?;
        Some(text.split(',').map(|entry| entry.trim().split(':').collect()).collect())
    }

    /// Where it is going to listen.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        if let Some(config) = self.config() {
            let own = config.peers.iter().find(|peer| Some(peer.id) == self.own_id());
            let listed = || own.map(|peer| peer.at.clone()).unwrap_or_default();
            return config.bind.clone().unwrap_or_else(listed);
        }
        let index = usize::try_from(self.node.0 - 1).unwrap_or(0);
        let entry = self.peers_variable().and_then(|peers| peers.get(index).cloned());
        let host = entry.as_ref().and_then(|entry| entry.first().copied());
        let host = host.filter(|host| !host.is_empty()).unwrap_or("127.0.0.1");
        let at = |port: &str| format!("{host}:{port}");
        let mut addresses = Addresses::default();
        if let Some(entry) = &entry {
            let (kafka, wal, raft) = match entry.as_slice() {
                [_, kafka, wal, raft] => (Some(*kafka), Some(*wal), Some(*raft)),
                [_, kafka, raft] => (Some(*kafka), None, Some(*raft)),
                [_, kafka] => (Some(*kafka), None, None),
                _ => (None, None, None),
            };
            addresses.kafka = kafka.map(at).unwrap_or_default();
            addresses.wal = wal.map(at).unwrap_or_default();
            addresses.raft = raft.map(at).unwrap_or_default();
        }
        if let Some(port) = self.option("--kafka-port").or(self.variable("CHRONIK_KAFKA_PORT")) {
            addresses.kafka = at(port);
        }
        if let Some(port) = self.variable("CHRONIK_RAFT_PORT") {
            addresses.raft = at(port);
        }
        if addresses.kafka.is_empty() {
            addresses.kafka = at("9092");
        }
        addresses
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str)
    }

    /// All TCP ports that it is going to listen on, those that follow from its number included.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        let addresses = self.addresses();
        let named = addresses.named().into_iter().filter_map(|(_, address)| port_of(address));
        let mut ports: Vec<u16> = named.collect();
        if let Some(id) = self.own_id().and_then(|id| u16::try_from(id).ok()) {
            ports.extend(FIXED.iter().filter_map(|(_, base)| base.checked_add(id)));
        }
        ports
    }
}

/// The ports that follow from a node's number, whatever its configuration says: name, base.
pub const FIXED: [(&str, u16); 3] = [("HTTP", 6091), ("admin", 10_000), ("metrics", 13_000)];

/// The port of `host:port`.
pub(super) fn port_of(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok()
}
