//! The options that name a cluster, for every command that has to do with one.

use crate::duration::{millis, parse as duration};
use crate::exit::usage;
use anyhow::Result;
use perjury_campaign::{ClusterPlan, DRIVERS};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Which cluster.
#[derive(clap::Args)]
pub(crate) struct ClusterArgs {
    /// The cluster's driver: testbed, kafka, chronik, tansu, attach (one that runs already), or command (nodes that are
    /// started and broken by commands of your own).
    #[arg(long, default_value = "testbed", value_parser = driver)]
    pub(crate) cluster: String,
    /// The version of Apache Kafka; fetched with Maven once.
    #[arg(long, value_name = "VERSION")]
    cluster_version: Option<String>,
    /// How many nodes the cluster has; 3 when absent, 1 for tansu.
    #[arg(long)]
    nodes: Option<u32>,
    /// The program of a node. For chronik the environment variable CHRONIK_SERVER names it too, for tansu TANSU_SERVER.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// A setting of the nodes, such as a line of Kafka's server.properties; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::run::property)]
    cluster_set: Vec<(String, String)>,
    /// A bug of the testbed to switch on; may be repeated. `perjury testbed bugs` lists them.
    #[arg(long)]
    bug: Vec<String>,
    /// The style in which chronik's nodes are configured: files (version 2), or variables (before it).
    #[arg(long, value_parser = ["files", "variables"])]
    profile: Option<String>,
    /// The addresses of a cluster that runs already, host:port,…; for --cluster attach.
    #[arg(short, long, value_name = "ADDRESSES", visible_alias = "bootstrap-servers")]
    bootstrap_server: Option<String>,
    /// A client property, in librdkafka's name or Java's; may be repeated. Secrets: KEY=env:NAME or KEY=file:PATH.
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = super::run::property)]
    properties: Vec<(String, String)>,
    /// A file of client properties, as Kafka's own tools take it. Secrets stay in it.
    #[arg(long, value_name = "FILE")]
    command_config: Option<PathBuf>,
    /// A TOML file that describes the nodes: their commands (--cluster command), or how they are started as it is
    /// (--cluster chronik).
    #[arg(long, value_name = "FILE")]
    layout: Option<PathBuf>,
    /// Faults may be injected into a cluster that Perjury did not start. Say so only of one that is yours to break.
    #[arg(long)]
    i_own_this_cluster: bool,
    /// What the names of topics begin with that are made in a cluster that was there before.
    #[arg(long, default_value = "perjury")]
    topic_prefix: String,
    /// How long the cluster may take to form.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    formation_limit: Option<Duration>,
}

fn driver(text: &str) -> Result<String, String> {
    if DRIVERS.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("there is no driver {text:?}; the drivers are: {}", DRIVERS.join(", ")))
}

impl ClusterArgs {
    /// How many nodes the cluster has.
    pub(crate) fn size(&self) -> u32 {
        self.nodes.unwrap_or(if self.cluster == "tansu" { 1 } else { 3 })
    }

    /// The program, if the command line names it.
    pub(crate) fn given_binary(&self) -> Option<PathBuf> {
        self.binary.clone()
    }

    /// The part of the plan that these options give.
    ///
    /// # Errors
    /// A bug that does not exist, a program that is not named.
    pub(crate) fn plan(&self) -> Result<ClusterPlan> {
        for bug in &self.bug {
            bug.parse::<perjury_testbed::Bug>()
                .map_err(|e| usage(format!("--bug: {e}; `perjury testbed bugs` lists them")))?;
        }
        let mut plan = ClusterPlan::new(&self.cluster, self.size());
        plan.binary = self.binary()?;
        plan.version.clone_from(&self.cluster_version);
        if self.cluster == "kafka" && plan.version.is_none() {
            let version = perjury_cluster::drivers::kafka::DEFAULT_VERSION;
            plan.version = Some(version.to_owned());
        }
        plan.settings = self.cluster_set.iter().cloned().collect::<BTreeMap<_, _>>();
        plan.bugs.clone_from(&self.bug);
        plan.profile.clone_from(&self.profile);
        plan.bootstrap.clone_from(&self.bootstrap_server);
        plan.layout.clone_from(&self.layout);
        plan.own = self.i_own_this_cluster;
        if let Some(limit) = self.formation_limit {
            plan.formation_limit_ms = millis(limit);
        }
        Ok(plan)
    }

    /// The client properties, in librdkafka's names, secrets by reference.
    ///
    /// # Errors
    /// A property that does not exist, or that cannot be used here.
    pub(crate) fn client_properties(&self) -> Result<BTreeMap<String, String>> {
        let file = self.command_config.as_deref().map(std::path::absolute).transpose()?;
        perjury_worker::properties::gather(&self.properties, file.as_deref())
            .map_err(|error| usage(error.to_string()))
    }

    /// The topic under test: in a cluster that was there before, a new one with our prefix.
    pub(crate) fn topic(&self, workload: &str) -> String {
        match self.cluster.as_str() {
            "attach" | "command" => {
                let millis = std::time::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_millis());
                format!("{}-{workload}-{millis:x}", self.topic_prefix)
            }
            _ => format!("perjury-{workload}"),
        }
    }

    fn binary(&self) -> Result<Option<PathBuf>> {
        let variable = match self.cluster.as_str() {
            "chronik" => "CHRONIK_SERVER",
            "tansu" => "TANSU_SERVER",
            "testbed" => return Ok(self.binary.clone()),
            driver if self.binary.is_some() => {
                let why = match driver {
                    "kafka" => {
                        "starts Apache Kafka from its jars; name another release with --cluster-version"
                    }
                    "attach" => "starts no nodes",
                    _ => "starts nodes by the commands of its --layout",
                };
                return Err(usage(format!("--binary: --cluster {driver} {why}")));
            }
            _ => return Ok(None),
        };
        let named = std::env::var_os(variable).filter(|v| !v.is_empty()).map(PathBuf::from);
        let found = self.binary.clone().or(named);
        if found.is_none() {
            return Err(usage(format!(
                "--cluster {} needs the server's program, which no package registry carries: give --binary PATH, or \
                 set {variable}",
                self.cluster
            )));
        }
        Ok(found)
    }
}
