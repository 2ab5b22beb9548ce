//! The fault planes of a local cluster beyond signals: what its nodes live on, and what is done to
//! that.

mod clock;
mod disk;
mod files;
mod frames;
mod inject;
mod network;

pub use clock::{SkewedClock, library};
pub use disk::{Disk, DiskError};
pub use inject::Outcomes;

use crate::driver::DriverError;
use crate::fault::{FaultKind, Sight};
use crate::net::{Cut, Namespaces, NetError};
use crate::node::NodeId;
use crate::placement::Placement;
use crate::process::ProcessSpec;
use crate::proxy::Proxy;
use crate::sync::locked;
use crate::undo::UndoJournal;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// A fault plane cannot be set up or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaneError {
    /// The network.
    #[error("the nodes' network: {0}")]
    Net(#[from] NetError),
    /// A disk.
    #[error("a node's disk: {0}")]
    Disk(#[from] DiskError),
    /// The proxy has no port.
    #[error("the proxy before the nodes: {0}")]
    Proxy(#[source] std::io::Error),
    /// A clock.
    #[error("a node's clock: {0}")]
    Clock(#[source] std::io::Error),
    /// A node's log files.
    #[error("a node's log files: {0}")]
    Files(#[source] std::io::Error),
    /// The settings make no sense.
    #[error("{0}")]
    Settings(String),
    /// A helper thread panicked.
    #[error("a helper thread panicked")]
    Panicked,
}

/// What the nodes of one cluster live on. Dropping it removes all of it.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) namespaces: Option<Arc<Namespaces>>,
    pub(crate) proxy: Option<Arc<Proxy>>,
    disks: BTreeMap<NodeId, Arc<Disk>>,
    clocks: BTreeMap<NodeId, SkewedClock>,
    /// The splits of the network that are in force, in the order in which they came.
    splits: Mutex<Vec<Split>>,
    /// What the copies that are kept before a file is damaged are named by.
    damages: Mutex<u32>,
}

/// A split of the network that is in force. Several can be at the same time.
#[derive(Clone, Debug)]
struct Split {
    kind: FaultKind,
    victims: Vec<NodeId>,
    cuts: BTreeSet<Cut>,
}

impl Stage {
    /// Sets up what `placement` asks for. Blocks.
    pub(crate) fn set_up(
        placement: Placement,
        nodes: &[(NodeId, PathBuf)],
        journal: &Arc<UndoJournal>,
    ) -> Result<Self, PlaneError> {
        let ids: Vec<NodeId> = nodes.iter().map(|(node, _)| *node).collect();
        let namespaces = if placement.namespaces {
            Some(Arc::new(Namespaces::create(&ids, Arc::clone(journal))?))
        } else {
            None
        };
        let (mut disks, mut clocks) = (BTreeMap::new(), BTreeMap::new());
        for (node, dir) in nodes {
            if let Some(mib) = placement.disk_mib {
                let disk = Disk::create(*node, dir, mib, Arc::clone(journal))?;
                disks.insert(*node, Arc::new(disk));
            }
            if placement.clock {
                clocks.insert(*node, SkewedClock::create(dir).map_err(PlaneError::Clock)?);
            }
        }
        let proxy = placement.proxy.then(|| Arc::new(Proxy::new()));
        let (splits, damages) = (Mutex::default(), Mutex::default());
        Ok(Self { namespaces, proxy, disks, clocks, splits, damages })
    }

    /// The address that a node binds to.
    pub(crate) fn bind_address(&self, node: NodeId) -> IpAddr {
        let own = self.namespaces.as_ref().and_then(|namespaces| namespaces.address(node));
        own.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// Where a node's data belongs, if it has a disk of its own.
    pub(crate) fn data_dir(&self, node: NodeId) -> Option<PathBuf> {
        self.disks.get(&node).map(|disk| disk.data_dir())
    }

    /// How to start a node's process in its place.
    pub(crate) fn settle(&self, node: NodeId, spec: ProcessSpec) -> ProcessSpec {
        let spec = match self.clocks.get(&node) {
            Some(clock) => clock.wind(spec),
            None => spec,
        };
        match &self.namespaces {
            Some(namespaces) => namespaces.enter(node, spec),
            None => spec,
        }
    }

    /// The cuts of all splits that are in force.
    fn cuts(&self) -> BTreeSet<Cut> {
        locked(&self.splits).iter().flat_map(|split| split.cuts.iter().copied()).collect()
    }

    /// Ends one split and gives its cuts.
    fn end_split(&self, kind: FaultKind, victims: &[NodeId]) -> BTreeSet<Cut> {
        let mut splits = locked(&self.splits);
        let at = splits.iter().position(|s| s.kind == kind && s.victims == victims);
        at.map(|at| splits.remove(at).cuts).unwrap_or_default()
    }

    /// Takes back all that is in force and removes the rest. Blocks.
    pub(crate) fn tear_down(&self) {
        locked(&self.splits).clear();
        self.disks.values().for_each(|disk| disk.remove());
        if let Some(namespaces) = &self.namespaces {
            namespaces.remove();
        }
    }

    fn disk(&self, node: NodeId) -> Result<Arc<Disk>, DriverError> {
        self.disks.get(&node).map(Arc::clone).ok_or(DriverError::NotPrepared)
    }
}

/// A question that was asked before and after a fault.
fn sight(
    what: impl Into<String>,
    before: impl Into<String>,
    after: impl Into<String>,
    at_ns: u64,
    shows: bool,
) -> Sight {
    Sight { what: what.into(), before: Some(before.into()), after: after.into(), at_ns, shows }
}

/// Runs something that blocks beside the runtime.
async fn beside<T: Send + 'static>(
    f: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PlaneError> {
    tokio::task::spawn_blocking(f).await.map_err(|_| PlaneError::Panicked)
}
