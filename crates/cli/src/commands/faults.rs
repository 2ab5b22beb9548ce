//! The options of `perjury run` that say what faults are made of, and what a crash left behind.

use crate::exit::usage;
use anyhow::Result;
use perjury_campaign::Say;
use perjury_cluster::undo::{self, UndoOutcome};
use perjury_cluster::{DISK_MIB, FaultSettings, Placement};
use perjury_worker::plan::FaultKind;
use perjury_worker::script::{strength, strengthen};
use std::path::Path;

/// Where nodes live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Network {
    /// What the faults need: namespaces where root allows them, else the proxy, else the host.
    Auto,
    /// All on the host's network.
    Host,
    /// Each in a network namespace of its own. Needs root.
    Namespaces,
    /// Behind a proxy that knows Kafka's frames.
    Proxy,
    /// Both.
    Both,
}

#[derive(clap::Args)]
pub(crate) struct FaultArgs {
    /// How the network between nodes and clients is made.
    #[arg(long, value_enum, default_value = "auto")]
    network: Network,
    /// Give each node a disk of its own with so many MiB (as root); faults of the disk do that by themselves.
    #[arg(long, value_name = "MIB", num_args = 0..=1, default_missing_value = "512")]
    own_disk: Option<u32>,
    /// Give each node a wall clock of its own (libfaketime); clock-skew does that by itself.
    #[arg(long)]
    own_clock: bool,
    /// How strong faults are, key=value; may be repeated: loss-percent, delay-ms, bandwidth-kbit, api (such as Produce
    /// or EndTxn), frames (0 for all), tail-percent, flips, log-suffix, skew-ms.
    #[arg(long, value_name = "KEY=VALUE")]
    fault_set: Vec<String>,
    /// Replace every fault by one that does nothing: the verdict must then be unknown.
    #[arg(long)]
    pub(crate) disarm: bool,
}

impl FaultArgs {
    /// Where the nodes have to live for these faults, and where they are asked to.
    pub(crate) fn placement(&self, driver: &str, nemesis: &[FaultKind]) -> Placement {
        let mut placement = perjury_campaign::placement(driver, nemesis);
        match self.network {
            Network::Auto => {}
            Network::Host => (placement.namespaces, placement.proxy) = (false, false),
            Network::Namespaces => (placement.namespaces, placement.proxy) = (true, false),
            Network::Proxy => (placement.namespaces, placement.proxy) = (false, true),
            Network::Both => (placement.namespaces, placement.proxy) = (true, true),
        }
        placement.disk_mib = self.own_disk.or(placement.disk_mib.map(|_| DISK_MIB));
        placement.clock |= self.own_clock;
        placement
    }

    /// The settings of faults that were given.
    pub(crate) fn settings(&self) -> Result<FaultSettings> {
        let pairs: Result<Vec<_>, _> = self.fault_set.iter().map(|text| strength(text)).collect();
        pairs
            .and_then(|pairs| strengthen(&FaultSettings::default(), pairs))
            .map_err(|error| usage(format!("--fault-set: {error}")))
    }
}

/// Takes back what runs of this store that were killed have left on the machine.
pub(crate) fn undo_leftovers(store: &Path, say: &dyn Say) {
    for (run, undone) in undo::replay_store(store) {
        for one in undone {
            let done = match one.outcome {
                UndoOutcome::NothingLeft | UndoOutcome::InUse => continue,
                UndoOutcome::Resumed => "goes on".to_owned(),
                UndoOutcome::Killed => "killed".to_owned(),
                UndoOutcome::Removed => "removed".to_owned(),
                UndoOutcome::Failed(error) => format!("cannot be taken back: {error}"),
            };
            say.say(&format!("left by {}: {}: {done}", run.display(), one.entry.deed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(given: &[&str]) -> FaultArgs {
        FaultArgs {
            network: Network::Host,
            own_disk: None,
            own_clock: false,
            fault_set: given.iter().map(ToString::to_string).collect(),
            disarm: false,
        }
    }

    #[test]
    fn settings_are_read_and_unknown_ones_are_named() {
        let settings = args(&["delay-ms=70", "api=EndTxn"]).settings().unwrap();
        assert_eq!((settings.delay_ms, settings.api.as_deref()), (70, Some("EndTxn")));
        let complaint = args(&["dealy-ms=70"]).settings().unwrap_err();
        assert!(complaint.to_string().contains("dealy-ms"), "{complaint}");
        assert!(args(&["delay-ms"]).settings().is_err());
        assert!(args(&["delay-ms=soon"]).settings().is_err());
    }
}
