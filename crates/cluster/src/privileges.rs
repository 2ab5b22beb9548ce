//! Which faults this machine lets this user inject, found by trying.

use crate::fault::{FaultKind, Plane};
use crate::net::{Cut, Member, Namespaces, NetError};
use crate::node::NodeId;
use crate::placement::Placement;
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
    let machine = Machine::tried();
    FaultKind::BREAKING.into_iter().map(|fault| (fault, machine.allows(fault))).collect()
}

/// The same for local nodes, wherever they have to live for each fault. `peer_links` says whether
/// their driver can put the proxy between them: where it cannot, they are split only by namespaces.
#[must_use]
pub fn privileges_of_nodes(peer_links: bool) -> Vec<(FaultKind, Result<(), String>)> {
    let machine = Machine::tried();
    let judged = |fault| (fault, machine.allows_nodes(fault, peer_links));
    FaultKind::BREAKING.into_iter().map(judged).collect()
}

/// Whether nodes can have network namespaces of their own, with rules and limits. Blocks.
///
/// # Errors
/// The reason why not, and what to do.
pub fn namespaces() -> Result<(), String> {
    in_namespaces(&tried_network(&Trial::new()))
}

fn in_namespaces(network: &Result<Network, String>) -> Result<(), String> {
    network.clone().and_then(|network| network.loss.and(network.bucket))
}

fn tried_network(trial: &Trial) -> Result<Network, String> {
    if !geteuid().is_root() {
        return Err("network namespaces need root".to_owned());
    }
    trial.network()
}

fn tried_disk(trial: &Trial) -> Result<(), String> {
    if !geteuid().is_root() {
        return Err("a disk of a node's own needs root".to_owned());
    }
    trial.disk()
}

/// What trials on this machine showed.
struct Machine {
    network: Result<Network, String>,
    disk: Result<(), String>,
    clock: Result<(), String>,
}

impl Machine {
    fn tried() -> Self {
        let trial = Trial::new();
        let (network, disk) = (tried_network(&trial), tried_disk(&trial));
        Self { network, disk, clock: library().map(drop) }
    }

    fn allows(&self, fault: FaultKind) -> Result<(), String> {
        match (fault.plane(), fault) {
            (Plane::Process | Plane::Files | Plane::Frames, _) => Ok(()),
            (Plane::Network, FaultKind::Loss) => self.network.clone().and_then(|n| n.loss),
            // Without namespaces the proxy splits and narrows what passes through it.
            (Plane::Network, _) => Ok(()),
            (Plane::Disk, _) => self.disk.clone(),
            (Plane::Clock, _) => self.clock.clone(),
        }
    }

    fn allows_nodes(&self, fault: FaultKind, peer_links: bool) -> Result<(), String> {
        let namespaces = in_namespaces(&self.network);
        let placement = Placement::for_faults(&[fault], namespaces.is_ok());
        match (placement.supports(fault, peer_links), namespaces) {
            (Ok(()), _) => self.allows(fault),
            (Err(why), Ok(())) => Err(why),
            (Err(why), Err(reason)) => Err(format!("{why} ({reason})")),
        }
    }
}

/// What a trial of a network showed.
#[derive(Clone, Debug)]
struct Network {
    loss: Result<(), String>,
    bucket: Result<(), String>,
}

/// Says of a refusal that root met what it means.
fn explained(refusal: String) -> String {
    let denied = ["not permitted", "ermission denied"];
    if !denied.iter().any(|words| refusal.contains(words)) {
        return refusal;
    }
    format!(
        "{refusal}; this root lacks capabilities: a container has to be given CAP_NET_ADMIN and CAP_SYS_ADMIN"
    )
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
        let said =
            |error: NetError| explained(format!("a network namespace was tried, and {error}"));
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
        let disk = disk.map_err(|error| explained(format!("a disk was tried, and {error}")))?;
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

    fn machine(network: Result<(), &str>) -> Machine {
        let network =
            network.map(|()| Network { loss: Ok(()), bucket: Ok(()) }).map_err(str::to_owned);
        Machine { network, disk: Ok(()), clock: Ok(()) }
    }

    #[test]
    fn nodes_that_reach_each_other_past_the_proxy_are_split_by_namespaces_alone() {
        use FaultKind::{Delay, DropResponse, Isolate, Kill, OneWayIn, Partition, Ring};
        let poor = machine(Err("`nft` is missing: install nftables"));
        for fault in [Partition, Isolate, OneWayIn, Ring] {
            assert_eq!(poor.allows_nodes(fault, true), Ok(()), "{fault}");
            let why = poor.allows_nodes(fault, false).unwrap_err();
            assert!(why.contains("past the proxy") && why.contains("install nftables"), "{why}");
            assert_eq!(machine(Ok(())).allows_nodes(fault, false), Ok(()), "{fault}");
        }
        for fault in [Kill, Delay, DropResponse] {
            assert_eq!(poor.allows_nodes(fault, false), Ok(()), "{fault}");
        }
        let loss = poor.allows_nodes(FaultKind::Loss, true).unwrap_err();
        assert!(loss.contains("install nftables"), "{loss}");
    }

    #[test]
    fn a_root_without_capabilities_is_told_which() {
        let told = explained("`ip` failed: Operation not permitted".to_owned());
        assert!(told.contains("CAP_NET_ADMIN"), "{told}");
        assert_eq!(explained("no room".to_owned()), "no room");
    }
}
