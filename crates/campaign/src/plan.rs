//! The plan of one run: the cluster, and everything that operations and faults follow from.

use perjury_cluster::Placement;
use perjury_worker::plan::WorkerPlan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The drivers that exist.
pub const DRIVERS: [&str; 6] = ["testbed", "kafka", "chronik", "tansu", "attach", "command"];

/// The cluster under test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterPlan {
    /// The driver's name.
    pub driver: String,
    /// How many nodes.
    pub nodes: u32,
    /// The program of a node; the running `perjury` itself when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<PathBuf>,
    /// The version of the software, where the driver fetches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The nodes' own settings beside the driver's, such as lines of Kafka's `server.properties`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// The testbed's bugs that are switched on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bugs: Vec<String>,
    /// The style in which nodes are configured, where the driver has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// `host:port,…` of a cluster that runs already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<String>,
    /// A file that describes the nodes: their commands, or their configuration as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<PathBuf>,
    /// Whether faults may be injected into a cluster that was not started here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// Where the nodes live, which decides what can be done to them.
    #[serde(default)]
    pub placement: Placement,
    /// How long the cluster may take to form, in milliseconds.
    pub formation_limit_ms: u64,
}

impl ClusterPlan {
    /// A cluster of `nodes` nodes without further settings.
    #[must_use]
    pub fn new(driver: &str, nodes: u32) -> Self {
        ClusterPlan {
            driver: driver.to_owned(),
            nodes,
            binary: None,
            version: None,
            settings: BTreeMap::new(),
            bugs: Vec::new(),
            profile: None,
            bootstrap: None,
            layout: None,
            own: false,
            placement: Placement::default(),
            formation_limit_ms: Self::formation_limit_ms(driver),
        }
    }

    /// How long a cluster of this kind may take to form unless told otherwise, in milliseconds: three JVMs take most
    /// of half a minute on a busy machine of two cores.
    #[must_use]
    pub fn formation_limit_ms(driver: &str) -> u64 {
        match driver {
            "kafka" | "command" => 120_000,
            "attach" => 15_000,
            _ => 30_000,
        }
    }

    /// Whether a record is on the disk before it is acknowledged. Apache Kafka leaves it to the kernel (its
    /// `log.flush.interval.messages` is unlimited by default); of other clusters it is not known.
    #[must_use]
    pub fn fsync_before_ack(&self) -> Option<bool> {
        match self.driver.as_str() {
            "testbed" => Some(true),
            "kafka" => Some(
                self.settings.get("log.flush.interval.messages").is_some_and(|value| value == "1"),
            ),
            _ => None,
        }
    }

    /// Names what is wrong with it, if anything is.
    ///
    /// # Errors
    /// One sentence that names the setting and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        if !DRIVERS.contains(&self.driver.as_str()) {
            return Err(format!(
                "there is no cluster driver {:?}; the drivers are: {}",
                self.driver,
                DRIVERS.join(", ")
            ));
        }
        if self.nodes == 0 || self.nodes > 9 {
            return Err(format!("a cluster has 1 to 9 nodes, not {}", self.nodes));
        }
        if !self.bugs.is_empty() && self.driver != "testbed" {
            return Err("only the testbed has bugs to switch on".to_owned());
        }
        if self.driver == "tansu" && self.nodes != 1 {
            return Err("Tansu runs as one node here: give --nodes 1".to_owned());
        }
        let needs_bootstrap = self.driver == "attach";
        match (&self.bootstrap, needs_bootstrap) {
            (None, true) => {
                Err("--cluster attach needs the cluster's addresses: -b host:port,…".to_owned())
            }
            (Some(_), false) => Err("-b is for --cluster attach alone".to_owned()),
            _ if self.driver == "command" && self.layout.is_none() => {
                Err("--cluster command needs the nodes' commands: --layout FILE".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// The resolved plan of one run, as `plan.json` holds it. The same plan asks the same operations and faults again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunPlan {
    /// The run's name: the folder in the store.
    pub name: String,
    /// The named plan whose steps are gone through instead of the schedule, such as `raft-failover`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<Scenario>,
    /// The cluster.
    pub cluster: ClusterPlan,
    /// Operations and faults.
    #[serde(flatten)]
    pub worker: WorkerPlan,
    /// What times the cluster is held to, in milliseconds: `gap_ms`, `election_ms`, `recovery_ms`, `stuck_ms`.
    /// Exceeding one is a violation; where none is given, nothing was promised.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub budgets: BTreeMap<String, u64>,
    /// Whether clients and faults end with the first violation that no later event can undo. What was promised until then
    /// is read back all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fail_fast: bool,
}

/// The budgets that exist.
const BUDGETS: [&str; 4] = ["gap_ms", "election_ms", "recovery_ms", "stuck_ms"];
/// Named plans whose steps wait for each other, so that no schedule can say them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// Form and measure; 100 messages, all read back; 1,000 messages with a leader kill in the middle.
    RaftFailover,
}

impl RunPlan {
    /// Names what is wrong with the plan, if anything is.
    ///
    /// # Errors
    /// One sentence that names the setting and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        self.cluster.validate()?;
        if let Some(name) = self.budgets.keys().find(|name| !BUDGETS.contains(&name.as_str())) {
            return Err(format!("there is no budget {name:?}; they are: {}", BUDGETS.join(", ")));
        }
        let foreign = self.cluster.driver == "attach";
        if !foreign
            && i64::from(self.worker.topic.replication_factor) > i64::from(self.cluster.nodes)
        {
            return Err(format!(
                "the replication factor {} needs as many nodes, and there are {}",
                self.worker.topic.replication_factor, self.cluster.nodes
            ));
        }
        self.worker.validate()
    }
}
