//! A node's configuration and its file form.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bugs::Bug;
use crate::error::ConfigError;

/// A `host:port` as it is announced to others. IPv6 hosts stand in brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort {
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let complaint = || format!("{text:?} is not host:port");
        let (host, port) = text.rsplit_once(':').ok_or_else(complaint)?;
        let port: u16 = port.parse().map_err(|_| complaint())?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || port == 0 {
            return Err(complaint());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl TryFrom<String> for HostPort {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<HostPort> for String {
    fn from(value: HostPort) -> Self {
        value.to_string()
    }
}

impl From<SocketAddr> for HostPort {
    fn from(addr: SocketAddr) -> Self {
        Self { host: addr.ip().to_string(), port: addr.port() }
    }
}

/// One member of the cluster, this node included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// The node id, unique in the cluster.
    pub id: u32,
    /// Where other brokers reach its Kafka listener (replication fetches).
    pub kafka: HostPort,
    /// Where other nodes reach its Raft port (metadata and heartbeats).
    pub raft: HostPort,
}

/// Periods and timeouts, all in milliseconds.
///
/// With the defaults a Raft follower stands for election 0.8–1.0 s after the last message of its
/// leader (openraft waits for the leader's lease, which is `raft_election_max_ms`, and then for a
/// random time of `raft_election_min_ms` to `raft_election_max_ms`), and a silent broker is fenced
/// after 0.8 s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timings {
    /// Between two Raft heartbeats; also the timeout of one append request.
    pub raft_heartbeat_ms: u64,
    /// Smallest election timeout.
    pub raft_election_min_ms: u64,
    /// Largest election timeout, and the Raft leader's lease.
    pub raft_election_max_ms: u64,
    /// Between two heartbeats of a broker to each node.
    pub broker_heartbeat_ms: u64,
    /// How long a confirmed heartbeat lets a broker serve, and how long the controller waits.
    pub broker_lease_ms: u64,
    /// How long a follower may lag before its leader removes it from the in-sync set (Kafka's
    /// `replica.lag.time.max.ms`).
    pub replica_lag_ms: u64,
    /// How long a leader may hold a replica fetch (Kafka's `replica.fetch.wait.max.ms`).
    pub replica_fetch_wait_ms: u64,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            raft_heartbeat_ms: 150,
            raft_election_min_ms: 300,
            raft_election_max_ms: 500,
            broker_heartbeat_ms: 100,
            broker_lease_ms: 800,
            replica_lag_ms: 1_500,
            replica_fetch_wait_ms: 500,
        }
    }
}

impl Timings {
    pub(crate) fn broker_heartbeat(&self) -> Duration {
        Duration::from_millis(self.broker_heartbeat_ms)
    }

    pub(crate) fn broker_lease(&self) -> Duration {
        Duration::from_millis(self.broker_lease_ms)
    }

    pub(crate) fn replica_lag(&self) -> Duration {
        Duration::from_millis(self.replica_lag_ms)
    }

    /// How long an acknowledgement by a quorum proves that no other Raft leader exists. Shorter than
    /// the lease that followers grant, for the time that an answer travels.
    pub(crate) fn raft_lease(&self) -> Duration {
        Duration::from_millis(self.raft_election_max_ms.saturating_sub(50))
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let complain =
            |field, message: &str| Err(ConfigError::Field { field, message: message.to_owned() });
        if self.raft_heartbeat_ms == 0 {
            return complain("timings.raft_heartbeat_ms", "must be at least 1");
        }
        if self.raft_election_min_ms <= self.raft_heartbeat_ms {
            return complain("timings.raft_election_min_ms", "must exceed raft_heartbeat_ms");
        }
        if self.raft_election_max_ms <= self.raft_election_min_ms {
            return complain("timings.raft_election_max_ms", "must exceed raft_election_min_ms");
        }
        if self.broker_heartbeat_ms == 0 {
            return complain("timings.broker_heartbeat_ms", "must be at least 1");
        }
        if self.broker_lease_ms < 2 * self.broker_heartbeat_ms {
            return complain(
                "timings.broker_lease_ms",
                "must be twice broker_heartbeat_ms or more",
            );
        }
        Ok(())
    }
}

/// Everything that one node needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// This node's id; must be listed in `peers`.
    pub node_id: u32,
    /// The cluster's name. Nodes of another cluster are refused on the Raft port.
    #[serde(default = "default_cluster_id")]
    pub cluster_id: String,
    /// Where metadata and partition logs live; created if absent, locked while in use.
    pub data_dir: PathBuf,
    /// Where the Kafka listener binds.
    pub kafka_addr: SocketAddr,
    /// What metadata announces to clients; `kafka_addr` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertised: Option<HostPort>,
    /// Where the Raft listener binds.
    pub raft_addr: SocketAddr,
    /// All nodes of the cluster, this one included.
    pub peers: Vec<Peer>,
    /// Bugs to switch on.
    #[serde(default)]
    pub bugs: BTreeSet<Bug>,
    /// Periods and timeouts.
    #[serde(default)]
    pub timings: Timings,
    /// Replication factor of topics that do not state one.
    #[serde(default = "default_replication_factor")]
    pub default_replication_factor: u16,
    /// `min.insync.replicas` of topics that do not state one.
    #[serde(default = "default_min_insync_replicas")]
    pub min_insync_replicas: u16,
    /// Size in bytes at which a log segment is closed and the next one begun.
    #[serde(default = "default_segment_bytes")]
    pub segment_bytes: u64,
    /// Metadata commands between two Raft snapshots; a quarter of it stays in the log behind one.
    #[serde(default = "default_metadata_snapshot_entries")]
    pub metadata_snapshot_entries: u64,
    /// End the process when standard input reaches its end, i.e. when the parent died.
    #[serde(default)]
    pub exit_on_stdin_eof: bool,
}

fn default_cluster_id() -> String {
    "perjury-testbed".to_owned()
}

fn default_replication_factor() -> u16 {
    3
}

fn default_min_insync_replicas() -> u16 {
    2
}

fn default_segment_bytes() -> u64 {
    64 * 1024 * 1024
}

fn default_metadata_snapshot_entries() -> u64 {
    2_000
}

impl NodeConfig {
    /// A configuration with defaults for everything that has one.
    #[must_use]
    pub fn new(
        node_id: u32,
        data_dir: PathBuf,
        kafka_addr: SocketAddr,
        raft_addr: SocketAddr,
        peers: Vec<Peer>,
    ) -> Self {
        Self {
            node_id,
            cluster_id: default_cluster_id(),
            data_dir,
            kafka_addr,
            advertised: None,
            raft_addr,
            peers,
            bugs: BTreeSet::new(),
            timings: Timings::default(),
            default_replication_factor: default_replication_factor(),
            min_insync_replicas: default_min_insync_replicas(),
            segment_bytes: default_segment_bytes(),
            metadata_snapshot_entries: default_metadata_snapshot_entries(),
            exit_on_stdin_eof: false,
        }
    }

    /// Reads a configuration file, TOML if its name ends in `.toml` and JSON otherwise, and checks
    /// it.
    ///
    /// # Errors
    /// The file cannot be read or parsed, or [`NodeConfig::validate`] complains.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let is_toml = path.extension().is_some_and(|extension| extension == "toml");
        let parsed: Result<Self, String> = if is_toml {
            toml::from_str(&text).map_err(|error| error.to_string().trim().replace('\n', " "))
        } else {
            serde_json::from_str(&text).map_err(|error| error.to_string())
        };
        let config =
            parsed.map_err(|message| ConfigError::Parse { path: path.to_owned(), message })?;
        config.validate()?;
        Ok(config)
    }

    /// Checks that the fields fit together.
    ///
    /// # Errors
    /// [`ConfigError::Field`] or [`ConfigError::NotInPeers`], naming the field.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let complain = |field, message: String| Err(ConfigError::Field { field, message });
        let mut ids = BTreeSet::new();
        for peer in &self.peers {
            if !ids.insert(peer.id) {
                return complain("peers", format!("node id {} is listed twice", peer.id));
            }
        }
        if !ids.contains(&self.node_id) {
            let listed = ids.into_iter().collect();
            return Err(ConfigError::NotInPeers { node_id: self.node_id, listed });
        }
        if i32::try_from(self.node_id).is_err() {
            return complain("node_id", "does not fit Kafka's 31-bit broker ids".to_owned());
        }
        if self.cluster_id.is_empty() {
            return complain("cluster_id", "must not be empty".to_owned());
        }
        if self.default_replication_factor == 0
            || usize::from(self.default_replication_factor) > self.peers.len()
        {
            return complain(
                "default_replication_factor",
                format!("must be between 1 and the number of peers ({})", self.peers.len()),
            );
        }
        if self.min_insync_replicas == 0 {
            return complain("min_insync_replicas", "must be at least 1".to_owned());
        }
        if self.segment_bytes < 1024 {
            return complain("segment_bytes", "must be at least 1024".to_owned());
        }
        if self.metadata_snapshot_entries < 4 {
            return complain("metadata_snapshot_entries", "must be at least 4".to_owned());
        }
        self.timings.validate()
    }

    /// What metadata announces for this node.
    #[must_use]
    pub fn announced(&self) -> HostPort {
        self.advertised.clone().unwrap_or_else(|| self.kafka_addr.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> NodeConfig {
        let peer = |id: u32| Peer {
            id,
            kafka: HostPort { host: "127.0.0.1".into(), port: 9000 + u16::try_from(id).unwrap() },
            raft: HostPort { host: "127.0.0.1".into(), port: 9100 + u16::try_from(id).unwrap() },
        };
        NodeConfig::new(
            1,
            "data".into(),
            "127.0.0.1:9001".parse().unwrap(),
            "127.0.0.1:9101".parse().unwrap(),
            vec![peer(1), peer(2), peer(3)],
        )
    }

    #[test]
    fn both_file_forms_round_trip() {
        let mut config = config();
        config.bugs.insert(Bug::ForgetUnsynced);
        let dir = tempfile::tempdir().unwrap();
        let json = dir.path().join("node.json");
        fs::write(&json, serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(NodeConfig::load(&json).unwrap(), config);
        let toml_file = dir.path().join("node.toml");
        fs::write(&toml_file, toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(NodeConfig::load(&toml_file).unwrap(), config);
    }

    #[test]
    fn complaints_name_the_field() {
        let mut stranger = config();
        stranger.node_id = 9;
        assert!(stranger.validate().unwrap_err().to_string().contains("node_id 9 is not listed"));
        let mut twice = config();
        twice.peers[1].id = 1;
        assert!(twice.validate().unwrap_err().to_string().contains("`peers`"));
        let mut hasty = config();
        hasty.timings.raft_election_min_ms = 10;
        assert!(hasty.validate().unwrap_err().to_string().contains("raft_election_min_ms"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.json");
        fs::write(&file, "{\"node_id\": 1, \"colour\": 3}").unwrap();
        assert!(NodeConfig::load(&file).unwrap_err().to_string().contains("colour"));
    }
}
