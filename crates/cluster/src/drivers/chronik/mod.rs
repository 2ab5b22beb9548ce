//! chronik-server: brokers with a Raft group for their metadata, in the configuration style of version 2.
//!
//! A node's files are in `<run>/nodes/<n>/`: `node.toml`, `data/`, `stdout.log`, `stderr.log`. Its HTTP, admin and
//! metrics ports follow from its number and cannot be chosen, so one host has one cluster at a time.

mod check;
mod health;
mod knowledge;
mod layout;

pub use check::cross_check;
pub use layout::{Addresses, Declared, FIXED, GivenNode, Layout, NodeFile, Peer};

use crate::diagnosis::{LikelyCause, Symptoms};
use crate::doctor::{self, Finding, Severity};
use crate::driver::DriverError;
use crate::drivers::recipe::{Place, PreparedNode, Recipe};
use crate::logs::MilestoneReader;
use crate::node::NodeId;
use crate::process::ProcessSpec;
use async_trait::async_trait;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How long the server may take to print its help.
const HELP_LIMIT: Duration = Duration::from_secs(20);

/// How the nodes are told what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profile {
    /// One file for each node, `start --config FILE`.
    Files,
    /// Variables and the subcommand `standalone`, as versions before 2 read them.
    Variables,
    /// As a layout file says.
    Given(Layout),
}

/// What a cluster of chronik-server is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChronikOptions {
    /// The server's program.
    pub program: PathBuf,
    /// The number of nodes; they get the ids 1 to this. A layout decides by itself.
    pub nodes: usize,
    /// How they are told what they are.
    pub profile: Profile,
    /// Environment variables for all nodes.
    pub env: BTreeMap<String, String>,
}

/// The recipe of a cluster of chronik-server.
#[derive(Clone, Debug)]
pub struct Chronik {
    options: ChronikOptions,
    version: String,
}

impl Chronik {
    /// A recipe with all options. Asks the program for its version.
    pub async fn new(options: ChronikOptions) -> Self {
        let said = output(&options.program, &["--version"]).await.unwrap_or_default();
        let version = said.split_ascii_whitespace().last().unwrap_or("unknown").to_owned();
        Self { options, version }
    }

    fn given(&self) -> Option<Vec<Declared>> {
        match &self.options.profile {
            Profile::Given(layout) => Some(layout.nodes.iter().map(Declared::of).collect()),
            Profile::Files | Profile::Variables => None,
        }
    }

    /// Environment variables that every node has: plain log lines of all levels from info on.
    fn environment(&self) -> BTreeMap<String, String> {
        let own = [("NO_COLOR", "1"), ("RUST_LOG", "info")];
        let mut env: BTreeMap<String, String> =
            own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        env.extend(self.options.env.clone());
        env
    }

    /// A node that is told everything by a file.
    fn by_file(
        &self,
        place: Place<'_>,
        node: NodeId,
        peers: &[Peer],
    ) -> Result<PreparedNode, DriverError> {
        let id = u64::from(node.0.unsigned_abs());
        let at = peers.iter().find(|peer| peer.id == id).map(|peer| peer.at.clone());
        let file = NodeFile {
            enabled: true,
            node_id: Some(id),
            data_dir: Some(place.data_dir(node)?.display().to_string()),
            replication_factor: Some(peers.len().min(3) as u64),
            min_insync_replicas: Some(peers.len().min(2) as u64),
            bind: at.clone(),
            advertise: at.clone(),
            peers: peers.to_vec(),
        };
        let text =
            toml::to_string(&file).map_err(|error| DriverError::Settings(error.to_string()))?;
        let path = place.write(node, "node.toml", &text)?;
        let (path, host) = (path.display().to_string(), place.host(node).to_string());
        let args = ["start", "--config", &path, "--bind", &host].map(str::to_owned).to_vec();
        let declared = Declared::of(&GivenNode { id: node.0, args, env: BTreeMap::new() });
        self.prepared(place, &declared, json!(file))
    }

    /// A node that is told everything by variables, as versions before 2 read them.
    fn by_variables(
        &self,
        place: Place<'_>,
        node: NodeId,
        peers: &[Peer],
    ) -> Result<PreparedNode, DriverError> {
        let port = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
        let entry = |peer: &Peer| format!("{}:{}", peer.at.kafka, port(&peer.at.raft));
        let list = peers.iter().map(entry).collect::<Vec<_>>().join(",");
        let id = u64::from(node.0.unsigned_abs());
        let kafka = peers.iter().find(|peer| peer.id == id).map(|peer| port(&peer.at.kafka));
        let env = BTreeMap::from([
            ("CHRONIK_CLUSTER_ENABLED".to_owned(), "true".to_owned()),
            ("CHRONIK_NODE_ID".to_owned(), node.to_string()),
            ("CHRONIK_CLUSTER_PEERS".to_owned(), list),
            ("CHRONIK_DATA_DIR".to_owned(), place.data_dir(node)?.display().to_string()),
        ]);
        let args =
            vec!["--kafka-port".to_owned(), kafka.unwrap_or_default(), "standalone".to_owned()];
        let declared = Declared::of(&GivenNode { id: node.0, args, env: env.clone() });
        self.prepared(place, &declared, json!(env))
    }

    fn prepared(
        &self,
        place: Place<'_>,
        declared: &Declared,
        config: Value,
    ) -> Result<PreparedNode, DriverError> {
        let mut env = self.environment();
        env.extend(declared.env.clone());
        let spec = ProcessSpec {
            program: self.options.program.clone(),
            args: declared.args.clone(),
            env,
            current_dir: Some(place.node_dir(declared.node)?),
        };
        let address = declared.addresses().kafka;
        Ok(PreparedNode { node: declared.node, address, ports: declared.ports(), spec, config })
    }

    /// The nodes' addresses on ports of this cluster's own.
    fn choose(&self, place: Place<'_>) -> Result<Vec<Peer>, DriverError> {
        let peer = |(node, at): (NodeId, Vec<SocketAddr>)| Peer {
            id: u64::from(node.0.unsigned_abs()),
            at: Addresses {
                kafka: at[0].to_string(),
                wal: at[1].to_string(),
                raft: at[2].to_string(),
            },
        };
        Ok(place.addresses(&self.nodes(), &[9092, 9093, 9094])?.into_iter().map(peer).collect())
    }

    /// Ports that follow from the nodes' numbers and that somebody holds.
    fn fixed_ports(&self) -> Vec<Finding> {
        let ports = self.nodes().into_iter().flat_map(|node| {
            let number = u16::try_from(node.0).unwrap_or_default();
            FIXED.map(|(name, base)| (node, name, base + number))
        });
        let explain = |(node, name, port): (NodeId, &str, u16)| {
            let held = doctor::check_port(port)?;
            let text = format!("node {node}'s {name} port follows from its id, and {}", held.what);
            let fix =
                "end that process; two clusters of chronik-server need a network namespace each";
            let cause = LikelyCause::known("fixed-port-taken", text, fix);
            Some(Finding::new(Severity::Error, cause))
        };
        ports.filter_map(explain).collect()
    }
}

/// What a program prints, both streams together; `None` when it does not run or does not end.
async fn output(program: &Path, args: &[&str]) -> Option<String> {
    let run = Command::new(program).args(args).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(HELP_LIMIT, run).await.ok()?.ok()?;
    let said = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&said).into_owned())
}

/// Whether the program knows the subcommand and the options of these arguments, by its own help.
async fn check_arguments(program: &Path, node: NodeId, args: &[String]) -> Option<Finding> {
    let explain = |rule: &str, what: String| {
        let text = format!("node {node}: {} {what}", program.display());
        let fix = "write a file for each node with node_id, data_dir, [bind] and [[peers]] and start it with \
                   `start --config FILE --bind ADDRESS`";
        Some(Finding::new(Severity::Error, LikelyCause::known(rule, text, fix)))
    };
    let general = output(program, &["--help"]).await?;
    let known = |name: &str| {
        let mut lines = general.lines().skip_while(|line| !line.starts_with("Commands:"));
        lines.any(|line| line.split_ascii_whitespace().next() == Some(name))
    };
    if !general.contains("Commands:") {
        return None;
    }
    let commands: Vec<_> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    if let Some(old) =
        commands.iter().find(|arg| ["standalone", "all", "ingest"].contains(&arg.as_str()))
        && !known(old)
    {
        return explain("unknown-subcommand", format!("has no subcommand {old:?}"));
    }
    let start = match args.first() {
        Some(first) if known(first) => {
            output(program, &[first, "--help"]).await.unwrap_or_default()
        }
        _ => String::new(),
    };
    let option =
        args.iter().filter_map(|arg| arg.strip_prefix("--")?.split('=').next()).find(|name| {
            let option = format!("--{name}");
            !general.contains(&option) && !start.contains(&option)
        })?;
    explain("unknown-option", format!("has no option --{option}"))
}

#[async_trait]
impl Recipe for Chronik {
    fn name(&self) -> &'static str {
        "chronik"
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn nodes(&self) -> Vec<NodeId> {
        match &self.options.profile {
            Profile::Given(layout) => layout.nodes.iter().map(|node| NodeId(node.id)).collect(),
            Profile::Files | Profile::Variables => {
                (1..).map(NodeId).take(self.options.nodes).collect()
            }
        }
    }

    fn can_move_ports(&self) -> bool {
        !matches!(self.options.profile, Profile::Given(_))
    }

    fn names_controller(&self) -> bool {
        // Each node names itself.
        false
    }

    async fn preflight(&self, own_ports: bool) -> Vec<Finding> {
        let program = &self.options.program;
        if let Some(finding) = doctor::check_program(program) {
            return vec![finding];
        }
        let mut findings = Vec::new();
        if let Some(declared) = self.given() {
            findings.extend(cross_check(&declared));
            for node in &declared {
                findings.extend(check_arguments(program, node.node, &node.args).await);
                let ports = node.addresses();
                let ports = ports.named().into_iter().filter_map(|(_, at)| layout::port_of(at));
                findings.extend(ports.filter_map(doctor::check_port));
            }
        } else if self.options.profile == Profile::Variables {
            let args = ["--kafka-port", "0", "standalone"].map(str::to_owned);
            findings.extend(check_arguments(program, NodeId(1), &args).await);
        }
        let inherited = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for name in
            inherited.filter(|name| name.starts_with("CHRONIK_") && name != "CHRONIK_SERVER")
        {
            let text =
                format!("the nodes inherit the variable {name}, which may overrule their files");
            let cause = LikelyCause::known("inherited-variable", text, format!("unset {name}"));
            findings.push(Finding::new(Severity::Warning, cause));
        }
        if !own_ports {
            findings.extend(self.fixed_ports());
        }
        findings
    }

    async fn prepare(&self, place: Place<'_>) -> Result<Vec<PreparedNode>, DriverError> {
        if let Some(declared) = self.given() {
            let config = |node: &Declared| json!(node.config());
            return declared.iter().map(|node| self.prepared(place, node, config(node))).collect();
        }
        let peers = self.choose(place)?;
        let variables = self.options.profile == Profile::Variables;
        let prepare = |node| match variables {
            true => self.by_variables(place, node, &peers),
            false => self.by_file(place, node, &peers),
        };
        self.nodes().into_iter().map(prepare).collect()
    }

    fn milestones(&self) -> Option<MilestoneReader> {
        Some(knowledge::milestone)
    }

    fn explain(&self, symptoms: &Symptoms<'_>) -> Option<LikelyCause> {
        knowledge::explain(symptoms, self.nodes().len())
    }

    fn complaint(&self, node: NodeId, log: &[String]) -> Vec<Finding> {
        knowledge::complaints(node, log)
    }

    async fn raft_leader(&self, alive: &[(NodeId, IpAddr)]) -> Option<NodeId> {
        for (node, host) in alive {
            let port = 10_000 + u16::try_from(node.0).ok()?;
            let leads = health::ask((*host, port).into()).await.filter(|health| health.is_leader);
            if let Some(leader) = leads.and_then(|health| i32::try_from(health.node_id).ok()) {
                return Some(NodeId(leader));
            }
        }
        None
    }

    fn describe(&self) -> Value {
        let profile = match self.options.profile {
            Profile::Files => "files",
            Profile::Variables => "variables",
            Profile::Given(_) => "given",
        };
        json!({ "profile": profile })
    }
}
