//! Which faults this machine lets this user inject, found by trying.

use crate::fault::{FaultKind, Plane};
use crate::net::{Cut, Member, Namespaces, NetError};
use crate::node::NodeId;
use crate::planes::{Disk, library};
use crate::tool::{self, ToolError};
use crate::undo::{FILE_NAME, UndoJournal};
use nix::unistd::geteuid;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Counts the trials of this process, so that each has another folder.
static TRIALS: AtomicU32 = AtomicU32::new(0);
/// The size of the disk that is tried, in MiB.
const TRIAL_MIB: u32 = 16;

/// For each fault that breaks something, whether this user can inject it on this machine, and if
/// not, why, with what to do about it. Namespaces, rules, buckets and disks are tried and removed
/// again. Blocks for about half a second.
#[must_use]
pub fn privileges() -> Vec<(FaultKind, Result<(), String>)> {
    let root = if geteuid().is_root() { Ok(()) } else { Err("it needs root".to_owned()) };
    let trial = Trial::new();
    let network = root.clone().and_then(|()| trial.network());
    let loss = network.and_then(|network| network.loss);
    let disk = root.and_then(|()| trial.disk());
    FaultKind::BREAKING
        .into_iter()
        .map(|fault| {
            let outcome = match (fault.plane(), fault) {
                (Plane::Process | Plane::Files | Plane::Frames, _) => Ok(()),
                (Plane::Network, FaultKind::Loss) => loss.clone(),
                // Without namespaces the proxy splits and narrows what passes through it.
                (Plane::Network, _) => Ok(()),
                (Plane::Disk, _) => disk.clone(),
                (Plane::Clock, _) => library().map(drop),
            };
            (fault, outcome)
        })
        .collect()
}

/// Whether nodes can have network namespaces of their own, with rules and limits. Blocks.
///
/// # Errors
/// The reason why not, and what to do.
pub fn namespaces() -> Result<(), String> {
    if !geteuid().is_root() {
        return Err("network namespaces need root".to_owned());
    }
    let network = Trial::new().network()?;
    network.loss.and(network.bucket)
}

/// What a trial of a network showed.
#[derive(Clone, Debug)]
struct Network {
    loss: Result<(), String>,
    bucket: Result<(), String>,
}

/// A folder for trials. Dropping it removes it.
struct Trial {
    dir: PathBuf,
}

impl Trial {
    fn new() -> Self {
        let (process, trial) = (std::process::id(), TRIALS.fetch_add(1, Ordering::Relaxed));
        Self { dir: std::env::temp_dir().join(format!("perjury-trial-{process}-{trial}")) }
    }

    fn journal(&self) -> Result<Arc<UndoJournal>, String> {
        std::fs::create_dir_all(&self.dir)
            .map_err(|error| format!("{}: {error}", self.dir.display()))?;
        let journal = UndoJournal::open(&self.dir.join(FILE_NAME));
        journal.map(Arc::new).map_err(|error| error.to_string())
    }

    fn network(&self) -> Result<Network, String> {
        tool::run("ip", &["-Version"], "")
            .map_err(|error| format!("{error}; install Debian's package iproute2"))?;
        tool::run("nft", &["--version"], "")
            .map_err(|error| format!("{error}; install Debian's package nftables"))?;
        let node = NodeId(1);
        let said = |error: NetError| format!("a network namespace was tried, and {error}");
        let namespaces = Namespaces::create(&[node], self.journal()?).map_err(said)?;
        let cut = Cut { from: Member::Clients, to: Member::Node(node) };
        namespaces.cut(&BTreeSet::from([cut])).map_err(said)?;
        let loss = namespaces.lose(&[node], 50).map_err(said);
        let bucket = namespaces.shape(&[node], 1000).map_err(said);
        Ok(Network { loss, bucket })
    }

    fn disk(&self) -> Result<(), String> {
        let missing = |error: ToolError, package: &str| {
            format!("{error}; install Debian's package {package}")
        };
        tool::run("mkfs.ext4", &["-V"], "").map_err(|error| missing(error, "e2fsprogs"))?;
        tool::run("fsfreeze", &["--version"], "").map_err(|e| missing(e, "util-linux"))?;
        let disk = Disk::create(NodeId(1), &self.dir, TRIAL_MIB, self.journal()?);
        let disk = disk.map_err(|error| format!("a disk was tried, and {error}"))?;
        disk.probe().map(drop).map_err(|error| format!("a disk was tried, and {error}"))
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_judged_and_a_refusal_says_why() {
        let all = privileges();
        assert_eq!(all.len(), FaultKind::BREAKING.len());
        for (fault, outcome) in &all {
            let possible = matches!(fault.plane(), Plane::Process | Plane::Files | Plane::Frames);
            assert!(outcome.is_ok() || !possible, "{fault}");
            assert!(outcome.as_ref().err().is_none_or(|why| why.len() > 5), "{fault}");
        }
    }
}
