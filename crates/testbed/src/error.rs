//! Why a node does not start or ends.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A configuration that cannot be used. The message names the field.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no valid JSON or TOML of this shape.
    #[error("configuration {path}: {message}", path = path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parser's message, which names the field or the position.
        message: String,
    },
    /// A field has a value that makes no sense.
    #[error("configuration field `{field}`: {message}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The node is not one of its own peers.
    #[error("configuration field `peers`: node_id {node_id} is not listed (peers: {listed:?})")]
    NotInPeers {
        /// The node's id.
        node_id: u32,
        /// The ids that are listed.
        listed: Vec<u32>,
    },
}

/// Why a node did not start or ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The configuration is bad.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A port cannot be bound.
    #[error("cannot listen on {what} address {addr}: {source}")]
    Listen {
        /// `kafka_addr` or `raft_addr`.
        what: &'static str,
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The data directory cannot be created or written.
    #[error("data directory {path} is not usable: {source}", path = path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process uses the data directory.
    #[error("data directory {path} is locked by another process", path = path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The Raft group could not be started or failed for good.
    #[error("raft: {0}")]
    Raft(String),
    /// A write or an fsync failed. The node ends, because what the disk holds is no longer known.
    #[error("storage of {what}: {source}")]
    Storage {
        /// What was being written.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The runtime's threads could not be started.
    #[error("cannot start threads: {0}")]
    Runtime(io::Error),
}
