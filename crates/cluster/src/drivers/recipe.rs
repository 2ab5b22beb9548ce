//! The driver of any cluster whose nodes are processes of this machine, given how they are configured.

use crate::diagnosis::{LikelyCause, Symptoms};
use crate::doctor::{self, Finding};
use crate::driver::{Driver, DriverError, NodeStatus};
use crate::drivers::ports;
use crate::events::EventBus;
use crate::fault::FaultKind;
use crate::local::{LocalProcesses, RunContext};
use crate::logs::MilestoneReader;
use crate::node::NodeId;
use crate::process::ProcessSpec;
use crate::procfs::{ExitInfo, ProcessIdentity};
use crate::sync::locked;
use crate::witness::FaultWitness;
use async_trait::async_trait;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::net::TcpSocket;

/// How much disk space a run needs at least, in MiB.
const LEAST_SPACE_MIB: u64 = 256;

/// A node that is ready to be started.
#[derive(Clone, Debug)]
pub struct PreparedNode {
    /// Its number, which is its Kafka broker id.
    pub node: NodeId,
    /// Where clients reach it: `host:port`.
    pub address: String,
    /// All TCP ports that it is going to listen on.
    pub ports: Vec<u16>,
    /// Its process.
    pub spec: ProcessSpec,
    /// Its configuration without secrets, for the history.
    pub config: Value,
}

/// What a recipe's places have in common from one preparation to the next.
#[derive(Debug, Default)]
struct Kept {
    /// The folders that were made here, which may be emptied again.
    made: Mutex<Vec<PathBuf>>,
    /// What keeps the chosen ports this cluster's own.
    locks: Mutex<Vec<TcpSocket>>,
}

/// Where a recipe puts its files and gets its addresses.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    local: &'a LocalProcesses,
    kept: &'a Kept,
}

impl Place<'_> {
    /// The folder of a node: `<run>/nodes/<n>`, as an absolute path.
    ///
    /// # Errors
    /// [`DriverError::Write`].
    pub fn node_dir(&self, node: NodeId) -> Result<PathBuf, DriverError> {
        let dir = self.local.context().node_dir(node);
        let failed = |source| DriverError::Write { path: dir.clone(), source };
        std::fs::create_dir_all(&dir).map_err(failed)?;
        std::path::absolute(&dir).map_err(failed)
    }

    /// The data folder of a node. One that an earlier preparation of this run made holds a cluster with other ports and
    /// is emptied; one that was there before is left as it is.
    ///
    /// # Errors
    /// [`DriverError::Write`].
    pub fn data_dir(&self, node: NodeId) -> Result<PathBuf, DriverError> {
        let dir = self.local.data_dir(node);
        let failed = |source| DriverError::Write { path: dir.clone(), source };
        let mut made = locked(&self.kept.made);
        if made.contains(&dir) {
            std::fs::remove_dir_all(&dir).map_err(failed)?;
        } else if !dir.exists() {
            made.push(dir.clone());
        }
        std::fs::create_dir_all(&dir).map_err(failed)?;
        std::path::absolute(&dir).map_err(failed)
    }

    /// Writes a file of a node into its folder and gives its absolute path.
    ///
    /// # Errors
    /// [`DriverError::Write`].
    pub fn write(&self, node: NodeId, name: &str, text: &str) -> Result<PathBuf, DriverError> {
        let path = self.node_dir(node)?.join(name);
        std::fs::write(&path, text)
            .map_err(|source| DriverError::Write { path: path.clone(), source })?;
        Ok(path)
    }

    /// The address that a node has to bind its listeners to.
    #[must_use]
    pub fn host(&self, node: NodeId) -> IpAddr {
        self.local.bind_address(node)
    }

    /// The address that node `from` has to be given for a listener of node `to`: the listener's own, or that of the link
    /// of the proxy before it.
    ///
    /// # Errors
    /// [`DriverError::Plane`] when no port can be had.
    pub fn peer_address(
        &self,
        from: NodeId,
        to: NodeId,
        listener: SocketAddr,
    ) -> Result<SocketAddr, DriverError> {
        self.local.peer_address(from, to, listener)
    }

    /// An address for each of several listeners of every node. A node with a network of its own gets `ports` there; on
    /// the host all get free ports of 127.0.0.1 that stay this cluster's own until it is shut down.
    ///
    /// # Errors
    /// [`DriverError::Ports`].
    pub fn addresses(
        &self,
        nodes: &[NodeId],
        ports: &[u16],
    ) -> Result<Vec<(NodeId, Vec<SocketAddr>)>, DriverError> {
        if self.local.has_own_ports() {
            let at = |node| ports.iter().map(|port| (self.host(node), *port).into()).collect();
            return Ok(nodes.iter().map(|node| (*node, at(*node))).collect());
        }
        let reserved = ports::reserve(nodes.len() * ports.len()).map_err(DriverError::Ports)?;
        *locked(&self.kept.locks) = reserved.locks;
        let chunks = reserved.addresses.chunks_exact(ports.len().max(1)).map(<[_]>::to_vec);
        Ok(nodes.iter().copied().zip(chunks).collect())
    }
}

/// How one kind of cluster is configured, started and understood.
#[async_trait]
pub trait Recipe: Send + Sync + fmt::Debug {
    /// The kind of cluster, such as `kafka`.
    fn name(&self) -> &'static str;

    /// The version of the cluster's software, as far as it is known.
    fn version(&self) -> String;

    /// The numbers of the nodes, ascending.
    fn nodes(&self) -> Vec<NodeId>;

    /// Whether another preparation chooses other ports.
    fn can_move_ports(&self) -> bool;

    /// Whether nodes are given the addresses of [`Place::peer_address`] for each other, so that a proxy can split them.
    fn peer_links(&self) -> bool {
        false
    }

    /// Whether the controller in a node's metadata means anything.
    fn names_controller(&self) -> bool {
        true
    }

    /// Looks for what would keep the cluster from forming. Changes nothing. The folder of the run is looked at by the
    /// driver itself. `own_ports` says that every node has all ports for itself.
    async fn preflight(&self, own_ports: bool) -> Vec<Finding>;

    /// Writes the nodes' configuration and data folders.
    ///
    /// # Errors
    /// [`DriverError`]; then no node can be started.
    async fn prepare(&self, place: Place<'_>) -> Result<Vec<PreparedNode>, DriverError>;

    /// Folders below a node's data whose log files are forced to the disk before anything follows from what is in them, so
    /// that a loss of power leaves them as they are.
    fn forced_logs(&self) -> &'static [&'static str] {
        &[]
    }

    /// Finds the milestones among the nodes' log lines.
    fn milestones(&self) -> Option<MilestoneReader> {
        None
    }

    /// What this kind of cluster is known for: symptoms → cause.
    fn explain(&self, _symptoms: &Symptoms<'_>) -> Option<LikelyCause> {
        None
    }

    /// What a line of a node's log complains of that does not keep the cluster from forming.
    fn complaint(&self, _node: NodeId, _log: &[String]) -> Vec<Finding> {
        Vec::new()
    }

    /// The leader of the metadata's Raft group, where the nodes tell: nodes that run, with their hosts.
    async fn raft_leader(&self, _alive: &[(NodeId, IpAddr)]) -> Option<NodeId> {
        None
    }

    /// Further fields of [`Driver::describe`].
    fn describe(&self) -> Value;
}

/// A [`Driver`] for the processes of a [`Recipe`].
#[derive(Debug)]
pub struct LocalDriver {
    recipe: Arc<dyn Recipe>,
    local: LocalProcesses,
    kept: Kept,
    prepared: Mutex<BTreeMap<NodeId, PreparedNode>>,
}

impl LocalDriver {
    /// Room for the processes of a recipe. Starts nothing.
    #[must_use]
    pub fn new(recipe: Arc<dyn Recipe>, mut context: RunContext) -> Self {
        context.milestones = recipe.milestones();
        context.forced_logs = recipe.forced_logs();
        let mut local = LocalProcesses::new(context, recipe.nodes());
        if recipe.peer_links() {
            local = local.with_peer_links();
        }
        Self { recipe, local, kept: Kept::default(), prepared: Mutex::default() }
    }

    fn spec(&self, node: NodeId) -> Result<ProcessSpec, DriverError> {
        if !self.local.nodes().contains(&node) {
            return Err(DriverError::UnknownNode(node));
        }
        let prepared = locked(&self.prepared);
        prepared.get(&node).map(|p| p.spec.clone()).ok_or(DriverError::NotPrepared)
    }

    /// The nodes whose process runs, with the hosts that they listen on.
    fn alive(&self) -> Vec<(NodeId, IpAddr)> {
        let running = |node: &NodeId| {
            self.local.process_of(*node).is_some() && self.local.exit_of(*node).is_none()
        };
        let nodes = self.local.nodes().into_iter().filter(running);
        nodes.map(|node| (node, self.local.bind_address(node))).collect()
    }
}

/// What is checked of the folder of a run before every start.
pub(crate) fn check_run_dir(run_dir: &Path) -> Vec<Finding> {
    let checks = [doctor::check_writable(run_dir), doctor::check_space(run_dir, LEAST_SPACE_MIB)];
    checks.into_iter().flatten().collect()
}

#[async_trait]
impl Driver for LocalDriver {
    fn name(&self) -> &str {
        self.recipe.name()
    }

    fn version(&self) -> String {
        self.recipe.version()
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.local.nodes()
    }

    fn address(&self, node: NodeId) -> Option<String> {
        self.local.address(node)
    }

    fn ports(&self, node: NodeId) -> Vec<u16> {
        locked(&self.prepared).get(&node).map(|p| p.ports.clone()).unwrap_or_default()
    }

    fn events(&self) -> &EventBus {
        &self.local.context().events
    }

    fn supports(&self, fault: FaultKind) -> Result<(), String> {
        self.local.supports(fault)
    }

    fn local(&self) -> Option<&LocalProcesses> {
        Some(&self.local)
    }

    fn can_move_ports(&self) -> bool {
        self.recipe.can_move_ports()
    }

    fn names_controller(&self) -> bool {
        self.recipe.names_controller()
    }

    fn explain(&self, symptoms: &Symptoms<'_>) -> Option<LikelyCause> {
        self.recipe.explain(symptoms)
    }

    fn complaints(&self) -> Vec<Finding> {
        let of_node = |node| self.recipe.complaint(node, &self.local.log_tail(node, usize::MAX));
        self.local.nodes().into_iter().flat_map(of_node).collect()
    }

    async fn raft_leader(&self) -> Option<NodeId> {
        self.recipe.raft_leader(&self.alive()).await
    }

    async fn preflight(&self) -> Vec<Finding> {
        let mut findings = check_run_dir(&self.local.context().run_dir);
        findings.extend(self.recipe.preflight(self.local.has_own_ports()).await);
        findings
    }

    async fn prepare(&self) -> Result<(), DriverError> {
        self.local.arm().await?;
        let place = Place { local: &self.local, kept: &self.kept };
        let nodes = self.recipe.prepare(place).await?;
        for node in &nodes {
            self.local.set_address(node.node, node.address.clone());
        }
        *locked(&self.prepared) = nodes.into_iter().map(|node| (node.node, node)).collect();
        Ok(())
    }

    async fn start(&self, node: NodeId) -> Result<FaultWitness, DriverError> {
        let spec = self.spec(node)?;
        self.local.start(node, &spec).await
    }

    async fn stop(&self, node: NodeId) -> Result<FaultWitness, DriverError> {
        self.local.stop(node).await
    }

    async fn kill(&self, node: NodeId) -> Result<FaultWitness, DriverError> {
        self.local.kill(node).await
    }

    async fn pause(&self, node: NodeId) -> Result<FaultWitness, DriverError> {
        self.local.pause(node).await
    }

    async fn resume(&self, node: NodeId) -> Result<FaultWitness, DriverError> {
        self.local.resume(node).await
    }

    async fn restart(&self, node: NodeId) -> Result<FaultWitness, DriverError> {
        let spec = self.spec(node)?;
        self.local.restart(node, &spec).await
    }

    fn process_of(&self, node: NodeId) -> Option<ProcessIdentity> {
        self.local.process_of(node)
    }

    fn exit_of(&self, node: NodeId) -> Option<ExitInfo> {
        self.local.exit_of(node)
    }

    fn log_tail(&self, node: NodeId, lines: usize) -> Vec<String> {
        self.local.log_tail(node, lines)
    }

    async fn node_status(&self, node: NodeId) -> Result<NodeStatus, DriverError> {
        self.local.status(node)
    }

    fn describe(&self) -> Value {
        let prepared = locked(&self.prepared);
        let nodes: Vec<_> = prepared
            .values()
            .map(|p| {
                json!({ "id": p.node, "kafka": p.address, "ports": p.ports,
                        "program": p.spec.program, "config": p.config })
            })
            .collect();
        let mut described = json!({ "driver": self.name(), "version": self.version() });
        if let (Some(described), Value::Object(more)) =
            (described.as_object_mut(), self.recipe.describe())
        {
            described.extend(more);
            described.insert("nodes".into(), nodes.into());
        }
        described
    }

    async fn shutdown(&self) {
        self.local.shutdown().await;
        locked(&self.kept.locks).clear();
    }
}
