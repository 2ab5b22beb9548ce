//! Apache Kafka in KRaft mode: each node is broker and controller in one JVM.
//!
//! A node's files are in `<run>/nodes/<n>/`: `server.properties`, `log4j2.properties`, `format.log`, `data/`,
//! `stdout.log`, `stderr.log`. The jars are in the cache ([`cache_dir`]).

mod jars;
mod knowledge;
mod properties;

pub use jars::{InstallError, cache_dir, install, installed, java, libs_dir};

use crate::diagnosis::{LikelyCause, Symptoms};
use crate::doctor::{Finding, Severity};
use crate::driver::DriverError;
use crate::drivers::recipe::{Place, PreparedNode, Recipe};
use crate::logs::MilestoneReader;
use crate::node::NodeId;
use crate::process::ProcessSpec;
use async_trait::async_trait;
use properties::Addresses;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// The version that is run unless told otherwise.
pub const DEFAULT_VERSION: &str = "4.4.0";
/// The id of every cluster that is formed here (16 bytes in URL-safe Base64).
const CLUSTER_ID: &str = "cGVyanVyeS1jbHVzdGVyMQ";
/// How long formatting the data folders may take on a busy machine.
const FORMAT_LIMIT: Duration = Duration::from_secs(120);
/// The ports of a node that has all ports for itself.
const KAFKA_PORT: u16 = 9092;
const CONTROLLER_PORT: u16 = 9093;
/// What a node's JVM takes in all, in MiB.
const NODE_MEMORY_MIB: u64 = 200;

/// What a cluster of Apache Kafka is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaOptions {
    /// The version, for the history.
    pub version: String,
    /// The folder that holds the jars.
    pub libs: PathBuf,
    /// The Java program.
    pub java: PathBuf,
    /// The number of nodes; they get the ids 1 to this.
    pub nodes: usize,
    /// Further lines of `server.properties`; they win over the driver's.
    pub settings: BTreeMap<String, String>,
    /// The JVM's flags.
    pub jvm: Vec<String>,
}

impl KafkaOptions {
    /// Three nodes of a version whose jars are in `libs`.
    #[must_use]
    pub fn new(version: &str, libs: PathBuf, java: PathBuf) -> Self {
        // A small heap and the first compiler only: three JVMs start within seconds on two cores.
        let jvm = [
            "-Xms64m",
            "-Xmx384m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xshare:auto",
            "-XX:-UsePerfData",
            "-Djava.awt.headless=true",
        ];
        Self {
            version: version.to_owned(),
            libs,
            java,
            nodes: 3,
            settings: BTreeMap::new(),
            jvm: jvm.map(str::to_owned).to_vec(),
        }
    }
}

/// The recipe of a cluster of Apache Kafka.
#[derive(Clone, Debug)]
pub struct Kafka {
    options: KafkaOptions,
}

impl Kafka {
    /// A recipe with all options.
    #[must_use]
    pub fn new(options: KafkaOptions) -> Self {
        Self { options }
    }

    fn class_path(&self) -> String {
        format!("{}/*", self.options.libs.display())
    }

    async fn prepare_node(
        &self,
        place: Place<'_>,
        cluster: &[(NodeId, Addresses)],
        node: NodeId,
        at: Addresses,
    ) -> Result<PreparedNode, DriverError> {
        let data_dir = place.data_dir(node)?;
        let settings = properties::of_node(node, cluster, &data_dir, &self.options.settings);
        let file = place.write(node, "server.properties", &properties::text(&settings))?;
        let logs = place.write(node, "log4j2.properties", LOG_SETTINGS)?;
        if !data_dir.join("meta.properties").exists() {
            self.format(place, node, &file).await?;
        }
        let mut args = self.options.jvm.clone();
        args.push(format!("-Dlog4j2.configurationFile={}", logs.display()));
        args.push(format!("-Dkafka.logs.dir={}", place.node_dir(node)?.display()));
        args.extend(["-cp".to_owned(), self.class_path(), "kafka.Kafka".to_owned()]);
        args.push(file.display().to_string());
        let program = self.options.java.clone();
        let spec = ProcessSpec { program, args, env: BTreeMap::new(), current_dir: None };
        Ok(PreparedNode {
            node,
            address: at.kafka.to_string(),
            ports: vec![at.kafka.port(), at.controller.port()],
            spec,
            config: json!(settings),
        })
    }

    /// Formats a node's data folder with Kafka's own tool.
    async fn format(
        &self,
        place: Place<'_>,
        node: NodeId,
        file: &std::path::Path,
    ) -> Result<(), DriverError> {
        let run = Command::new(&self.options.java)
            .args(["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m"])
            .args(["-cp", &self.class_path(), "kafka.tools.StorageTool", "format"])
            .args(["--cluster-id", CLUSTER_ID, "--config"])
            .arg(file)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let failed = |text: String| {
            DriverError::Settings(format!(
                "the data folder of node {node} is not formatted: {text}"
            ))
        };
        let output = tokio::time::timeout(FORMAT_LIMIT, run)
            .await
            .map_err(|_| failed(format!("no end within {} s", FORMAT_LIMIT.as_secs())))?
            .map_err(|error| failed(error.to_string()))?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        place.write(node, "format.log", &said)?;
        if output.status.success() {
            return Ok(());
        }
        let complaint = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no word");
        Err(failed(complaint.to_owned()))
    }
}

/// Everything from info on, to the console.
const LOG_SETTINGS: &str = "status=ERROR
rootLogger.level=INFO
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %m (%c)%n
";

#[async_trait]
impl Recipe for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn version(&self) -> String {
        self.options.version.clone()
    }

    fn nodes(&self) -> Vec<NodeId> {
        (1..).map(NodeId).take(self.options.nodes).collect()
    }

    fn can_move_ports(&self) -> bool {
        true
    }

    fn names_controller(&self) -> bool {
        false
    }

    async fn preflight(&self, _own_ports: bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(crate::doctor::check_program(&self.options.java));
        if findings.is_empty() {
            findings.extend(knowledge::check_java(&self.options.java, &self.options.version).await);
        }
        if !self.options.libs.is_dir() {
            let cause = LikelyCause::known(
                "jars-missing",
                format!("{} has no jars of Apache Kafka", self.options.libs.display()),
                "`perjury run --cluster kafka` fetches them with Maven",
            );
            findings.push(Finding::new(Severity::Error, cause));
        }
        let needed = NODE_MEMORY_MIB * self.options.nodes as u64;
        findings.extend(crate::doctor::check_memory(needed));
        findings
    }

    async fn prepare(&self, place: Place<'_>) -> Result<Vec<PreparedNode>, DriverError> {
        properties::check(&self.options.settings)?;
        let nodes = self.nodes();
        if nodes.is_empty() {
            return Err(DriverError::Settings("a cluster needs at least one node".to_owned()));
        }
        let cluster: Vec<_> = place
            .addresses(&nodes, &[KAFKA_PORT, CONTROLLER_PORT])?
            .into_iter()
            .map(|(node, at)| (node, Addresses { kafka: at[0], controller: at[1] }))
            .collect();
        let each = cluster.iter().map(|(node, at)| self.prepare_node(place, &cluster, *node, *at));
        futures::future::try_join_all(each).await
    }

    fn forced_logs(&self) -> &'static [&'static str] {
        // KRaft forces its log before it answers (KIP-595); partitions' logs are left to the kernel.
        &["__cluster_metadata-0"]
    }

    fn milestones(&self) -> Option<MilestoneReader> {
        Some(knowledge::milestone)
    }

    fn explain(&self, symptoms: &Symptoms<'_>) -> Option<LikelyCause> {
        knowledge::explain(symptoms)
    }

    fn describe(&self) -> Value {
        json!({ "java": self.options.java, "jvm": self.options.jvm, "settings": self.options.settings })
    }
}
