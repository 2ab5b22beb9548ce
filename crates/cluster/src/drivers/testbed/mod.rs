//! The embedded testbed: three processes of a small Kafka-compatible broker on loopback ports.
//!
//! A node is started as `<program> <arguments> --config <file>`. Its files are in
//! `<run>/nodes/<n>/`: `config.json`, `data/`, `stdout.log`, `stderr.log`.

mod config;

use crate::doctor::{self, Finding};
use crate::driver::DriverError;
use crate::drivers::recipe::{LocalDriver, Place, PreparedNode, Recipe};
use crate::local::RunContext;
use crate::node::NodeId;
use crate::process::ProcessSpec;
use async_trait::async_trait;
use config::{Addresses, node_file};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// How many nodes a cluster has unless told otherwise.
const DEFAULT_NODES: usize = 3;
/// The ports of a node that has all ports for itself.
const KAFKA_PORT: u16 = 9092;
const RAFT_PORT: u16 = 9093;
/// What of a node's configuration is not for others to set.
const RESERVED: [&str; 7] =
    ["node_id", "data_dir", "kafka_addr", "raft_addr", "peers", "bugs", "exit_on_stdin_eof"];

/// What a testbed cluster is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestbedOptions {
    /// The program that runs a node.
    pub program: PathBuf,
    /// Its arguments before `--config <file>`, such as `testbed node`.
    pub args_prefix: Vec<String>,
    /// Environment variables for the nodes. They are left out of descriptions.
    pub env: BTreeMap<String, String>,
    /// The number of nodes; they get the ids 1 to this.
    pub nodes: usize,
    /// The bugs to switch on, by their kebab-case names.
    pub bugs: Vec<String>,
    /// Further fields of the nodes' configuration, such as `timings`.
    pub settings: Map<String, Value>,
    /// The Kafka and Raft port of each node, when they must not be chosen.
    pub ports: Option<Vec<(u16, u16)>>,
    /// The version that is told of it.
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

/// The recipe of the embedded testbed.
#[derive(Clone, Debug)]
pub struct Testbed {
    options: TestbedOptions,
}

/// The driver of a cluster with these options.
#[must_use]
pub fn driver(options: TestbedOptions, context: RunContext) -> LocalDriver {
    LocalDriver::new(Arc::new(Testbed { options }), context)
}

impl Testbed {
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
        match RESERVED.iter().find(|name| self.options.settings.contains_key(**name)) {
            Some(name) => complain(format!("the setting {name} is the driver's own")),
            None => Ok(()),
        }
    }

    /// The addresses of each node.
    fn addresses(&self, place: Place<'_>) -> Result<Vec<(NodeId, Addresses)>, DriverError> {
        let nodes = self.nodes();
        if let Some(fixed) = &self.options.ports {
            let at = |port: u16| ([127, 0, 0, 1], port).into();
            let own = |(kafka, raft): &(u16, u16)| Addresses { kafka: at(*kafka), raft: at(*raft) };
            return Ok(nodes.into_iter().zip(fixed.iter().map(own)).collect());
        }
        let pairs = place.addresses(&nodes, &[KAFKA_PORT, RAFT_PORT])?;
        let own = |(node, at): (NodeId, Vec<_>)| (node, Addresses { kafka: at[0], raft: at[1] });
        Ok(pairs.into_iter().map(own).collect())
    }

    fn prepare_node(
        &self,
        place: Place<'_>,
        cluster: &[(NodeId, Addresses)],
        node: NodeId,
        at: Addresses,
    ) -> Result<PreparedNode, DriverError> {
        let options = &self.options;
        // It finds the others at their listeners, or at the links before them.
        let peer = |(peer, at): &(NodeId, Addresses)| {
            let kafka = place.peer_address(node, *peer, at.kafka)?;
            let raft = place.peer_address(node, *peer, at.raft)?;
            Ok((*peer, Addresses { kafka, raft }))
        };
        let peers: Vec<_> = cluster.iter().map(peer).collect::<Result<_, DriverError>>()?;
        let text = |error: serde_json::Error| DriverError::Settings(error.to_string());
        let data_dir = place.data_dir(node)?;
        let config = node_file(node, data_dir, &peers, &options.bugs, &options.settings);
        let config = config.map_err(text)?;
        let written = serde_json::to_string_pretty(&config).map_err(text)? + "\n";
        let file = place.write(node, "config.json", &written)?;
        let mut args = options.args_prefix.clone();
        args.extend(["--config".to_owned(), file.to_string_lossy().into_owned()]);
        let (program, env) = (options.program.clone(), options.env.clone());
        Ok(PreparedNode {
            node,
            address: at.kafka.to_string(),
            ports: vec![at.kafka.port(), at.raft.port()],
            spec: ProcessSpec { program, args, env, current_dir: None },
            config,
        })
    }
}

#[async_trait]
impl Recipe for Testbed {
    fn name(&self) -> &'static str {
        "testbed"
    }

    fn version(&self) -> String {
        self.options.version.clone()
    }

    fn nodes(&self) -> Vec<NodeId> {
        (1..).map(NodeId).take(self.options.nodes).collect()
    }

    fn can_move_ports(&self) -> bool {
        self.options.ports.is_none()
    }

    fn peer_links(&self) -> bool {
        true
    }

    async fn preflight(&self, _own_ports: bool) -> Vec<Finding> {
        let ports = self.options.ports.iter().flatten().flat_map(|(kafka, raft)| [*kafka, *raft]);
        let program = doctor::check_program(&self.options.program);
        program.into_iter().chain(ports.filter_map(doctor::check_port)).collect()
    }

    async fn prepare(&self, place: Place<'_>) -> Result<Vec<PreparedNode>, DriverError> {
        self.check_options()?;
        let cluster = self.addresses(place)?;
        let each = cluster.iter().map(|(node, at)| self.prepare_node(place, &cluster, *node, *at));
        each.collect()
    }

    fn describe(&self) -> Value {
        let TestbedOptions { args_prefix, bugs, .. } = &self.options;
        json!({ "args": args_prefix, "bugs": bugs })
    }
}
