//! What every kind of cluster can be asked to do.

use crate::diagnosis::{LikelyCause, Symptoms};
use crate::doctor::Finding;
use crate::events::EventBus;
use crate::fault::{FaultKind, FaultSpec};
use crate::guard::GuardError;
use crate::local::LocalProcesses;
use crate::node::NodeId;
use crate::planes::{Outcomes, PlaneError};
use crate::process::SpawnError;
use crate::procfs::{ExitInfo, ProcessIdentity};
use crate::signal::SignalError;
use crate::undo::UndoError;
use crate::witness::FaultWitness;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Whether a node's process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum RunState {
    /// It was never started.
    NotStarted,
    /// It runs.
    Running,
    /// It is stopped by SIGSTOP.
    Paused,
    /// It has ended.
    Exited {
        /// How.
        exit: ExitInfo,
    },
}

/// A node's process as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The node.
    pub node: NodeId,
    /// Whether it runs.
    #[serde(flatten)]
    pub run: RunState,
    /// The process, also after its end; absent before the first start.
    pub process: Option<ProcessIdentity>,
    /// The TCP ports that it listens on, ascending.
    pub listening: Vec<u16>,
}

/// A driver could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// There is no such node.
    #[error("there is no node {0}")]
    UnknownNode(NodeId),
    /// The node must run for this.
    #[error("node {0} does not run")]
    NotRunning(NodeId),
    /// The node must not run for this.
    #[error("node {node} runs already as {process}")]
    AlreadyRunning {
        /// The node.
        node: NodeId,
        /// Its process.
        process: ProcessIdentity,
    },
    /// [`Driver::prepare`] has not been called.
    #[error("the cluster is not prepared")]
    NotPrepared,
    /// The cluster was shut down.
    #[error("the cluster is shut down")]
    Closed,
    /// This driver cannot inject this fault.
    #[error("cannot inject {fault}: {why}")]
    Unsupported {
        /// The fault.
        fault: FaultKind,
        /// The reason.
        why: String,
    },
    /// A process could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// A signal could not be sent.
    #[error(transparent)]
    Signal(#[from] SignalError),
    /// The guard process does not do its duty.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The undo journal cannot be written.
    #[error(transparent)]
    Undo(#[from] UndoError),
    /// What the nodes live on cannot be set up or changed.
    #[error(transparent)]
    Plane(#[from] PlaneError),
    /// A file of the run cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
    /// No free ports were found.
    #[error("cannot find free ports: {0}")]
    Ports(#[source] std::io::Error),
    /// The driver's own settings make no sense.
    #[error("{0}")]
    Settings(String),
}

/// Starts, watches, breaks and stops one cluster.
///
/// Every action on a process returns what was seen of it ([`FaultWitness`]); an action that was
/// carried out but left no trace comes back as not witnessed, not as an error. Actions on different
/// nodes may run at the same time, those on one node queue up. A driver reports starts, ends and
/// warnings of its processes through [`Driver::events`].
#[async_trait]
pub trait Driver: Send + Sync {
    /// The kind of cluster, such as `testbed`.
    fn name(&self) -> &str;

    /// The version of the cluster's software, as far as it is known.
    fn version(&self) -> String;

    /// The nodes, ascending. A node's number is its Kafka broker id.
    fn nodes(&self) -> Vec<NodeId>;

    /// Where clients reach a node: `host:port`. Absent before [`Driver::prepare`].
    fn address(&self, node: NodeId) -> Option<String>;

    /// The addresses of all nodes as clients take them: `host:port,host:port`.
    fn bootstrap_servers(&self) -> String {
        let addresses: Vec<_> =
            self.nodes().into_iter().filter_map(|node| self.address(node)).collect();
        addresses.join(",")
    }

    /// The TCP ports that a node is configured to listen on. Empty before [`Driver::prepare`].
    fn ports(&self, node: NodeId) -> Vec<u16>;

    /// Where this driver's events go.
    fn events(&self) -> &EventBus;

    /// Whether this driver can do this to a node.
    ///
    /// # Errors
    /// The reason why not, as a fragment that fits after "cannot inject …:".
    fn supports(&self, fault: FaultKind) -> Result<(), String>;

    /// Whether another [`Driver::prepare`] chooses other ports, so that a port that was taken in the
    /// meantime is worth another attempt.
    fn can_move_ports(&self) -> bool {
        false
    }

    /// Looks for what would keep the cluster from forming. Changes nothing.
    async fn preflight(&self) -> Vec<Finding>;

    /// Chooses ports and writes the nodes' configuration, data folders and journal. Must be called
    /// while no node runs.
    ///
    /// # Errors
    /// [`DriverError`]; then no node can be started.
    async fn prepare(&self) -> Result<(), DriverError>;

    /// Starts a node's process. Returns once the process exists, not once it is ready.
    ///
    /// # Errors
    /// [`DriverError`], such as [`DriverError::Spawn`] or [`DriverError::AlreadyRunning`].
    async fn start(&self, node: NodeId) -> Result<FaultWitness, DriverError>;

    /// Ends a node's process by SIGTERM, and by SIGKILL when it does not end within a bound.
    ///
    /// # Errors
    /// [`DriverError`].
    async fn stop(&self, node: NodeId) -> Result<FaultWitness, DriverError>;

    /// Ends a node's process by SIGKILL.
    ///
    /// # Errors
    /// [`DriverError`].
    async fn kill(&self, node: NodeId) -> Result<FaultWitness, DriverError>;

    /// Stops a node's process by SIGSTOP.
    ///
    /// # Errors
    /// [`DriverError`].
    async fn pause(&self, node: NodeId) -> Result<FaultWitness, DriverError>;

    /// Lets a paused process go on by SIGCONT.
    ///
    /// # Errors
    /// [`DriverError`].
    async fn resume(&self, node: NodeId) -> Result<FaultWitness, DriverError>;

    /// Stops and starts a node. Returns once the new process exists.
    ///
    /// # Errors
    /// [`DriverError`].
    async fn restart(&self, node: NodeId) -> Result<FaultWitness, DriverError>;

    /// The processes on this machine that the driver's nodes are, where they are such. A driver that
    /// has them inherits the faults beyond signals.
    fn local(&self) -> Option<&LocalProcesses> {
        None
    }

    /// Injects a fault that is not a signal (see [`FaultKind::plane`]) into `nodes` at the same time.
    /// The results come in the order of `nodes`.
    async fn apply(&self, fault: &FaultSpec, nodes: &[NodeId]) -> Outcomes {
        match self.local() {
            Some(local) => local.apply(fault, nodes).await,
            None => refused(fault.kind, nodes),
        }
    }

    /// Heals what [`Driver::apply`] injected. Nodes that do not run afterwards are to be started.
    async fn heal(&self, fault: &FaultSpec, nodes: &[NodeId]) -> Outcomes {
        match self.local() {
            Some(local) => local.heal(fault, nodes).await,
            None => refused(fault.kind, nodes),
        }
    }

    /// The node's process, also after its end; `None` before the first start. As cheap as
    /// [`Driver::exit_of`].
    fn process_of(&self, node: NodeId) -> Option<ProcessIdentity>;

    /// How the node's last process ended; `None` while it runs and before the first start. Cheap
    /// enough to be asked many times a second.
    fn exit_of(&self, node: NodeId) -> Option<ExitInfo>;

    /// The last `lines` lines that the node logged, oldest first.
    fn log_tail(&self, node: NodeId, lines: usize) -> Vec<String>;

    /// The node's process and its listening ports, as the kernel shows them now.
    ///
    /// # Errors
    /// [`DriverError::UnknownNode`].
    async fn node_status(&self, node: NodeId) -> Result<NodeStatus, DriverError>;

    /// The driver, its version and the whole configuration of every node, without secrets, for a
    /// history's header.
    fn describe(&self) -> serde_json::Value;

    /// Whether the controller in a node's metadata means anything. Brokers of Kafka in KRaft mode name any
    /// live broker there.
    fn names_controller(&self) -> bool {
        true
    }

    /// The likely cause of what is seen of a node that does not become ready, where this kind of cluster is
    /// known to behave so for one reason.
    fn explain(&self, _symptoms: &Symptoms<'_>) -> Option<LikelyCause> {
        None
    }

    /// What a cluster that has formed says that is wrong with it all the same.
    fn complaints(&self) -> Vec<Finding> {
        Vec::new()
    }

    /// The leader of the Raft group that keeps the cluster's metadata, where the cluster tells.
    async fn raft_leader(&self) -> Option<NodeId> {
        None
    }

    /// Lets paused nodes go on, stops all, dismisses the guard. Bounded in time, can be repeated, and
    /// refuses every later start.
    async fn shutdown(&self);
}

/// No node can have this fault, since this driver's nodes are not processes of ours.
fn refused(fault: FaultKind, nodes: &[NodeId]) -> Outcomes {
    let why = || "its process is not one of this machine's".to_owned();
    nodes.iter().map(|node| (*node, Err(DriverError::Unsupported { fault, why: why() }))).collect()
}
