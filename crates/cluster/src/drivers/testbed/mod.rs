//! The embedded testbed: three processes of a small Kafka-compatible broker on loopback ports.
//!
//! A node is started as `<program> <arguments> --config <file>`. Its files are in
//! `<run>/nodes/<n>/`: `config.json`, `data/`, `stdout.log`, `stderr.log`.

mod config;

use crate::doctor::{self, Finding};
use crate::driver::{Driver, DriverError, NodeStatus};
use crate::drivers::ports;
use crate::events::EventBus;
use crate::fault::FaultKind;
use crate::local::{LocalProcesses, RunContext};
use crate::node::NodeId;
use crate::process::ProcessSpec;
use crate::procfs::{ExitInfo, ProcessIdentity};
use crate::sync::locked;
use crate::witness::FaultWitness;
use async_trait::async_trait;
use config::{Addresses, node_file};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use tokio::net::TcpSocket;

/// How many nodes a cluster has unless told otherwise.
const DEFAULT_NODES: usize = 3;
/// How much disk space a run needs at least, in MiB.
const LEAST_SPACE_MIB: u64 = 256;
/// The ports of a node that has all ports for itself.
const KAFKA_PORT: u16 = 9092;
const RAFT_PORT: u16 = 9093;

/// What a testbed cluster is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestbedOptions {
    /// The program that runs a node.
    pub program: PathBuf,
    /// Its arguments before `--config <file>`, such as `testbed node`.
    pub args_prefix: Vec<String>,
    /// Environment variables for the nodes. They are left out of [`Driver::describe`].
    pub env: BTreeMap<String, String>,
    /// The number of nodes; they get the ids 1 to this.
    pub nodes: usize,
    /// The bugs to switch on, by their kebab-case names.
    pub bugs: Vec<String>,
    /// Further fields of the nodes' configuration, such as `timings`.
    pub settings: Map<String, Value>,
    /// The Kafka and Raft port of each node, when they must not be chosen.
    pub ports: Option<Vec<(u16, u16)>>,
    /// What [`Driver::version`] says.
    pub version: String,
}

impl TestbedOptions {
    /// Three nodes without bugs on ports of the driver's choice.
    #[must_use]
    pub fn new(program: PathBuf, args_prefix: Vec<String>) -> Self {
        Self {
            program,
            args_prefix,
            // Colour codes in a log file are in the way of whoever searches it.
            env: BTreeMap::from([("NO_COLOR".to_owned(), "1".to_owned())]),
            nodes: DEFAULT_NODES,
            bugs: Vec::new(),
            settings: Map::new(),
            ports: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// A node that is prepared.
#[derive(Debug)]
struct Prepared {
    addresses: Addresses,
    config: Value,
    spec: ProcessSpec,
}

/// The driver of the embedded testbed.
#[derive(Debug)]
pub struct TestbedDriver {
    options: TestbedOptions,
    local: LocalProcesses,
    prepared: Mutex<BTreeMap<NodeId, Prepared>>,
    /// What keeps the chosen ports this cluster's own.
    port_locks: Mutex<Vec<TcpSocket>>,
    /// The data folders that this driver made, which it may empty again.
    made: Mutex<Vec<PathBuf>>,
}

impl TestbedDriver {
    /// A three-node cluster that is started as `<program> <args_prefix> --config <file>`.
    #[must_use]
    pub fn new(program: PathBuf, args_prefix: Vec<String>, context: RunContext) -> Self {
        Self::with_options(TestbedOptions::new(program, args_prefix), context)
    }

    /// A cluster with all options.
    #[must_use]
    pub fn with_options(options: TestbedOptions, context: RunContext) -> Self {
        let ids = (1..).map(NodeId).take(options.nodes);
        let local = LocalProcesses::new(context, ids).with_peer_links();
        Self {
            options,
            local,
            prepared: Mutex::default(),
            port_locks: Mutex::default(),
            made: Mutex::default(),
        }
    }

    fn check_options(&self) -> Result<(), DriverError> {
        let complain = |text: String| Err(DriverError::Settings(text));
        let nodes = self.options.nodes;
        if nodes == 0 {
            return complain("a cluster needs at least one node".to_owned());
        }
        if let Some(ports) = &self.options.ports
            && ports.len() != nodes
        {
            return complain(format!("{} pairs of ports for {nodes} nodes", ports.len()));
        }
        let reserved = [
            "node_id",
            "data_dir",
            "kafka_addr",
            "raft_addr",
            "peers",
            "bugs",
            "exit_on_stdin_eof",
        ];
        match reserved.iter().find(|name| self.options.settings.contains_key(**name)) {
            Some(name) => complain(format!("the setting {name} is the driver's own")),
            None => Ok(()),
        }
    }

    /// The addresses of each node.
    fn choose_ports(&self) -> Result<Vec<(NodeId, Addresses)>, DriverError> {
        let nodes = self.local.nodes();
        if let Some(fixed) = &self.options.ports {
            let at = |port: u16| ([127, 0, 0, 1], port).into();
            let pairs = nodes.into_iter().zip(fixed);
            return Ok(pairs
                .map(|(node, (kafka, raft))| {
                    (node, Addresses { kafka: at(*kafka), raft: at(*raft) })
                })
                .collect());
        }
        if self.local.has_own_ports() {
            let at = |node, port| SocketAddr::new(self.local.bind_address(node), port);
            let own = |node| Addresses { kafka: at(node, KAFKA_PORT), raft: at(node, RAFT_PORT) };
            return Ok(nodes.into_iter().map(|node| (node, own(node))).collect());
        }
        let reserved = ports::reserve(nodes.len() * 2).map_err(DriverError::Ports)?;
        *locked(&self.port_locks) = reserved.locks;
        let pairs = nodes.into_iter().zip(reserved.addresses.chunks_exact(2));
        Ok(pairs.map(|(node, at)| (node, Addresses { kafka: at[0], raft: at[1] })).collect())
    }

    /// Makes a node's data folder. One that an earlier preparation made holds a cluster with other
    /// ports and is emptied; one that was there before is left as it is.
    fn make_data_dir(&self, node: NodeId) -> Result<PathBuf, DriverError> {
        let dir = self.local.data_dir(node);
        let failed = |source| DriverError::Write { path: dir.clone(), source };
        let mut made = locked(&self.made);
        if made.contains(&dir) {
            std::fs::remove_dir_all(&dir).map_err(failed)?;
        } else if !dir.exists() {
            made.push(dir.clone());
        }
        std::fs::create_dir_all(&dir).map_err(failed)?;
        // The node may have another working directory.
        std::path::absolute(&dir).map_err(failed)
    }

    /// Where `node` finds the others: at their listeners, or at the links before them.
    fn peers_of(
        &self,
        node: NodeId,
        addresses: &[(NodeId, Addresses)],
    ) -> Result<Vec<(NodeId, Addresses)>, DriverError> {
        let found = |(peer, at): &(NodeId, Addresses)| {
            let kafka = self.local.peer_address(node, *peer, at.kafka)?;
            let raft = self.local.peer_address(node, *peer, at.raft)?;
            Ok((*peer, Addresses { kafka, raft }))
        };
        addresses.iter().map(found).collect()
    }

    fn write_config(&self, node: NodeId, config: &Value) -> Result<PathBuf, DriverError> {
        let path = self.local.context().node_dir(node).join("config.json");
        let failed = |source| DriverError::Write { path: path.clone(), source };
        let text = serde_json::to_string_pretty(config).map_err(|error| failed(error.into()))?;
        std::fs::write(&path, text + "\n").map_err(failed)?;
        std::path::absolute(&path).map_err(failed)
    }

    fn spec(&self, node: NodeId) -> Result<ProcessSpec, DriverError> {
        if !self.local.nodes().contains(&node) {
            return Err(DriverError::UnknownNode(node));
        }
        let prepared = locked(&self.prepared);
        prepared.get(&node).map(|p| p.spec.clone()).ok_or(DriverError::NotPrepared)
    }
}

#[async_trait]
impl Driver for TestbedDriver {
    fn name(&self) -> &str {
        "testbed"
    }

    fn version(&self) -> String {
        self.options.version.clone()
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.local.nodes()
    }

    fn address(&self, node: NodeId) -> Option<String> {
        self.local.address(node)
    }

    fn ports(&self, node: NodeId) -> Vec<u16> {
        let prepared = locked(&self.prepared);
        let ports = |p: &Prepared| vec![p.addresses.kafka.port(), p.addresses.raft.port()];
        prepared.get(&node).map(ports).unwrap_or_default()
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
        self.options.ports.is_none()
    }

    async fn preflight(&self) -> Vec<Finding> {
        let run_dir = &self.local.context().run_dir;
        let ports = self.options.ports.iter().flatten().flat_map(|(kafka, raft)| [*kafka, *raft]);
        let mut findings: Vec<_> = [
            doctor::check_program(&self.options.program),
            doctor::check_writable(run_dir),
            doctor::check_space(run_dir, LEAST_SPACE_MIB),
        ]
        .into_iter()
        .flatten()
        .collect();
        findings.extend(ports.filter_map(doctor::check_port));
        findings
    }

    async fn prepare(&self) -> Result<(), DriverError> {
        self.check_options()?;
        self.local.arm().await?;
        let addresses = self.choose_ports()?;
        let mut prepared = BTreeMap::new();
        for (node, at) in addresses.iter().copied() {
            let data_dir = self.make_data_dir(node)?;
            let options = &self.options;
            let peers = self.peers_of(node, &addresses)?;
            let config = node_file(node, data_dir, &peers, &options.bugs, &options.settings)
                .map_err(|error| DriverError::Settings(error.to_string()))?;
            let file = self.write_config(node, &config)?;
            let mut args = options.args_prefix.clone();
            args.extend(["--config".to_owned(), file.to_string_lossy().into_owned()]);
            let program = options.program.clone();
            let spec = ProcessSpec { program, args, env: options.env.clone(), current_dir: None };
            self.local.set_address(node, at.kafka.to_string());
            prepared.insert(node, Prepared { addresses: at, config, spec });
        }
        *locked(&self.prepared) = prepared;
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
            .iter()
            .map(|(node, p)| {
                json!({ "id": node, "kafka": p.addresses.kafka, "raft": p.addresses.raft,
                        "config": p.config })
            })
            .collect();
        json!({
            "driver": self.name(),
            "version": self.version(),
            "program": self.options.program,
            "args": self.options.args_prefix,
            "bugs": self.options.bugs,
            "nodes": nodes,
        })
    }

    async fn shutdown(&self) {
        self.local.shutdown().await;
        locked(&self.port_locks).clear();
    }
}
