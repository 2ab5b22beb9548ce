//! The plan of one run: the cluster, and everything that operations and faults follow from.

use perjury_cluster::Placement;
use perjury_worker::plan::WorkerPlan;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

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
    /// The testbed's bugs that are switched on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bugs: Vec<String>,
    /// Where the nodes live, which decides what can be done to them.
    #[serde(default)]
    pub placement: Placement,
    /// How long the cluster may take to form, in milliseconds.
    pub formation_limit_ms: u64,
}

/// The resolved plan of one run, as `plan.json` holds it. The same plan asks the same operations and faults again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunPlan {
    /// The run's name: the folder in the store.
    pub name: String,
    /// The cluster.
    pub cluster: ClusterPlan,
    /// Operations and faults.
    #[serde(flatten)]
    pub worker: WorkerPlan,
}

impl RunPlan {
    /// Names what is wrong with the plan, if anything is.
    ///
    /// # Errors
    /// One sentence that names the setting and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        if self.cluster.driver != "testbed" {
            return Err(format!(
                "there is no cluster driver {:?}; the drivers are: testbed",
                self.cluster.driver
            ));
        }
        if self.cluster.nodes == 0 || self.cluster.nodes > 9 {
            return Err(format!("a testbed has 1 to 9 nodes, not {}", self.cluster.nodes));
        }
        if i64::from(self.worker.topic.replication_factor) > i64::from(self.cluster.nodes) {
            return Err(format!(
                "the replication factor {} needs as many nodes, and there are {}",
                self.worker.topic.replication_factor, self.cluster.nodes
            ));
        }
        self.worker.validate()
    }
}
