//! What follows from the kind of cluster and from the faults where nothing else is said.

use perjury_cluster::privileges::namespaces;
use perjury_cluster::{FaultKind as Kind, Placement};
use perjury_worker::plan::FaultKind;
use std::time::Duration;

/// How quickly faults may follow each other: a node that is started again has to be back, and a cluster that notices a
/// dead leader late has to have elected another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The mean time from a heal to the next fault.
    pub interval: Duration,
    /// How long a fault lasts.
    pub fault: Duration,
    /// How long the cluster has to come back after the last fault.
    pub recovery: Duration,
}

impl Pace {
    /// The pace of a driver's clusters.
    #[must_use]
    pub fn of(driver: &str) -> Self {
        let seconds = Duration::from_secs;
        match driver {
            "kafka" | "command" | "attach" => {
                Pace { interval: seconds(12), fault: seconds(10), recovery: seconds(60) }
            }
            _ => Pace {
                interval: seconds(3),
                fault: Duration::from_millis(2_500),
                recovery: seconds(20),
            },
        }
    }
}

/// Where the nodes have to live for these faults: on the host where that will do, else in network namespaces where root
/// allows them, else behind the proxy.
///
/// Nodes of chronik-server have a network each wherever root allows it: some of their ports follow from their numbers,
/// and would keep a second cluster off the host.
#[must_use]
pub fn placement(driver: &str, nemesis: &[FaultKind]) -> Placement {
    let kinds: Vec<Kind> = nemesis.iter().filter_map(|fault| fault.kind()).collect();
    // Asking tries it out, so it is asked only where it matters.
    let root = Placement::for_faults(&kinds, true).namespaces && namespaces().is_ok();
    let mut placement = Placement::for_faults(&kinds, root);
    if driver == "chronik" && !placement.proxy && !placement.namespaces {
        placement.namespaces = namespaces().is_ok();
    }
    placement
}
