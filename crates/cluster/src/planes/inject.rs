//! Injecting and healing the faults that are not signals.

use super::{PlaneError, Stage, beside, clock, files, sight};
use crate::driver::DriverError;
use crate::fault::{FaultKind, FaultSettings, FaultSpec, Plane, Sight};
use crate::local::LocalProcesses;
use crate::node::NodeId;
use crate::sync::locked;
use crate::witness::FaultWitness;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What came of a fault on each of its nodes.
pub type Outcomes = Vec<(NodeId, Result<FaultWitness, DriverError>)>;

/// How often a slow disk is tried, since a try may fall between two stops.
const SLOW_TRIES: u32 = 4;
/// How much later than asked a clock may show its skew, in seconds.
const CLOCK_TOLERANCE_S: u64 = 2;

impl LocalProcesses {
    /// Injects a fault that is not a signal. The results come in the order of `nodes`.
    pub async fn apply(&self, fault: &FaultSpec, nodes: &[NodeId]) -> Outcomes {
        match fault.kind.plane() {
            Plane::Network => self.apply_network(fault, nodes).await,
            _ => {
                let each = nodes.iter().map(|node| async move {
                    let witness = FaultWitness::new(fault.kind, *node, self.now_ns());
                    (*node, self.apply_one(fault, *node, witness).await)
                });
                futures::future::join_all(each).await
            }
        }
    }

    /// Heals such a fault. A node whose disk failed is stopped on the way, and has to be started
    /// then. The results come in the order of `nodes`.
    pub async fn heal(&self, fault: &FaultSpec, nodes: &[NodeId]) -> Outcomes {
        match fault.kind.plane() {
            Plane::Network => self.heal_network(fault, nodes).await,
            _ => {
                let each = nodes.iter().map(|node| async move {
                    let witness = FaultWitness::new(fault.kind, *node, self.now_ns());
                    (*node, self.heal_one(fault, *node, witness).await)
                });
                futures::future::join_all(each).await
            }
        }
    }

    async fn apply_one(
        &self,
        fault: &FaultSpec,
        node: NodeId,
        mut witness: FaultWitness,
    ) -> Result<FaultWitness, DriverError> {
        self.supports(fault.kind).map_err(|why| unsupported(fault.kind, why))?;
        let stage = self.stage()?;
        let settings = &fault.settings;
        match fault.kind.plane() {
            Plane::Files => return self.damage(&stage, fault, node).await,
            Plane::Frames => witness.sights = self.apply_frames(&stage, fault, node).await?,
            Plane::Disk => {
                witness.sights = self.apply_disk(&stage, fault.kind, settings, node).await?;
            }
            Plane::Clock => witness.sights = self.skew(&stage, node, settings.skew_ms).await?,
            Plane::Process | Plane::Network => {
                return Err(unsupported(fault.kind, "it is no fault of a node's plane".to_owned()));
            }
        }
        Ok(witness.judge())
    }

    async fn heal_one(
        &self,
        fault: &FaultSpec,
        node: NodeId,
        mut witness: FaultWitness,
    ) -> Result<FaultWitness, DriverError> {
        let stage = self.stage()?;
        match fault.kind.plane() {
            Plane::Frames => witness.sights = self.heal_frames(&stage, fault, node).await?,
            Plane::Disk => witness.sights = self.heal_disk(&stage, fault.kind, node).await?,
            Plane::Clock => witness.sights = self.skew(&stage, node, 0).await?,
            Plane::Files | Plane::Process | Plane::Network => {
                return Err(unsupported(fault.kind, "a start heals it".to_owned()));
            }
        }
        Ok(witness.judge())
    }

    /// Kills a node and damages its log files.
    async fn damage(
        &self,
        stage: &Arc<Stage>,
        fault: &FaultSpec,
        node: NodeId,
    ) -> Result<FaultWitness, DriverError> {
        let mut witness = self.kill(node).await?;
        witness.fault = fault.kind;
        let data = self.data_dir(node);
        let originals = {
            let mut damages = locked(&stage.damages);
            *damages += 1;
            self.context().node_dir(node).join(format!("originals-{}", *damages))
        };
        let (kind, settings, forced) =
            (fault.kind, fault.settings.clone(), self.context().forced_logs);
        let damage = move || damage_files(kind, &settings, data, forced, originals);
        let damage = beside(damage).await?;
        let damage = damage.map_err(PlaneError::Files)?;
        let at_ns = self.now_ns();
        witness.sights = damage.into_iter().map(|damage| damage_sight(&damage, at_ns)).collect();
        Ok(witness.judge())
    }

    async fn apply_disk(
        &self,
        stage: &Stage,
        kind: FaultKind,
        settings: &FaultSettings,
        node: NodeId,
    ) -> Result<Vec<Sight>, DriverError> {
        let disk = stage.disk(node)?;
        let stop = Duration::from_millis(settings.delay_ms.clamp(10, 5_000));
        let (before, after, free) = beside(move || {
            let before = disk.probe();
            let free = disk.free_bytes();
            match kind {
                FaultKind::DiskFull => disk.fill()?,
                FaultKind::DiskSlow => disk.slow(stop)?,
                _ => disk.fail()?,
            }
            let tries = if kind == FaultKind::DiskSlow { SLOW_TRIES } else { 1 };
            let mut after = disk.probe();
            for _ in 1..tries {
                let again = disk.probe();
                if again.as_ref().ok() > after.as_ref().ok() {
                    after = again;
                }
            }
            Ok::<_, PlaneError>((before, after, (free, disk.free_bytes())))
        })
        .await??;
        let shows = match kind {
            FaultKind::DiskSlow => match (&before, &after) {
                (Ok(before), Ok(after)) => *after >= stop / 2 && after > before,
                _ => false,
            },
            FaultKind::DiskFull => before.is_ok() && is(&after, std::io::ErrorKind::StorageFull),
            _ => before.is_ok() && after.is_err() && !is(&after, std::io::ErrorKind::StorageFull),
        };
        let what = format!("a write of 64 KiB to the disk of node {node}, forced");
        let at_ns = self.now_ns();
        let mut sights = vec![sight(what, outcome(&before), outcome(&after), at_ns, shows)];
        if kind == FaultKind::DiskFull {
            let what = format!("free bytes on the disk of node {node} (statvfs)");
            let full = free.1 < free.0 && free.1 < 64 * 1024;
            sights.push(sight(what, free.0.to_string(), free.1.to_string(), at_ns, full));
        }
        Ok(sights)
    }

    async fn heal_disk(
        &self,
        stage: &Stage,
        kind: FaultKind,
        node: NodeId,
    ) -> Result<Vec<Sight>, DriverError> {
        let disk = stage.disk(node)?;
        if kind == FaultKind::DiskError && self.exit_of(node).is_none() {
            // A file system that failed can only be mounted anew when nobody uses it.
            match self.kill(node).await {
                Ok(_) | Err(DriverError::NotRunning(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let after = beside(move || {
            match kind {
                FaultKind::DiskFull => disk.drain()?,
                FaultKind::DiskSlow => disk.quicken(),
                _ => disk.repair()?,
            }
            Ok::<_, PlaneError>(disk.probe())
        })
        .await??;
        let what = format!("a write of 64 KiB to the disk of node {node}, forced");
        let seen = Sight {
            what,
            before: None,
            after: outcome(&after),
            at_ns: self.now_ns(),
            shows: after.is_ok(),
        };
        Ok(vec![seen])
    }

    /// Moves a node's clock, and looks at it through another process with the same clock.
    async fn skew(
        &self,
        stage: &Stage,
        node: NodeId,
        skew_ms: i64,
    ) -> Result<Vec<Sight>, DriverError> {
        let clock = stage.clocks.get(&node).cloned().ok_or(DriverError::NotPrepared)?;
        let worn = self.process_of(node).is_some_and(super::SkewedClock::is_worn_by);
        let (before, after) = beside(move || {
            let before = clock.twin_skew_s();
            clock.move_by(skew_ms).map_err(PlaneError::Clock)?;
            // Until then the node may go on with what the file said before.
            std::thread::sleep(clock::CACHE + Duration::from_millis(100));
            Ok::<_, PlaneError>((before, clock.twin_skew_s()))
        })
        .await??;
        let wanted = skew_ms / 1000;
        let shows = after.as_ref().is_ok_and(|skew| skew.abs_diff(wanted) <= CLOCK_TOLERANCE_S)
            && before.as_ref().is_ok_and(|skew| skew.abs_diff(wanted) > CLOCK_TOLERANCE_S);
        let said = |skew: Result<i64, String>| match skew {
            Ok(skew) => format!("{skew} s off"),
            Err(error) => error,
        };
        let at_ns = self.now_ns();
        let loaded = if worn { "loaded" } else { "not loaded" };
        Ok(vec![
            sight(
                format!("the clock of a process started beside node {node}"),
                said(before),
                said(after),
                at_ns,
                shows,
            ),
            Sight {
                what: format!("libfaketime in the memory map of node {node}"),
                before: None,
                after: loaded.to_owned(),
                at_ns,
                shows: worn,
            },
        ])
    }
}

pub(super) fn unsupported(fault: FaultKind, why: String) -> DriverError {
    DriverError::Unsupported { fault, why }
}

fn is(outcome: &std::io::Result<Duration>, kind: std::io::ErrorKind) -> bool {
    outcome.as_ref().is_err_and(|error| error.kind() == kind)
}

fn outcome(outcome: &std::io::Result<Duration>) -> String {
    match outcome {
        Ok(took) => format!("done in {} ms", took.as_millis()),
        Err(error) => error.to_string(),
    }
}

fn damage_files(
    kind: FaultKind,
    settings: &FaultSettings,
    data: PathBuf,
    forced: &[&str],
    originals: PathBuf,
) -> std::io::Result<Vec<files::Damage>> {
    let suffix = settings.log_suffix.as_str();
    if kind == FaultKind::BitFlip {
        files::flip_bits(&data, suffix, settings.flips, settings.pick, &originals)
    } else {
        files::cut_tails(&data, suffix, settings.tail_percent, forced, &originals)
    }
}

fn damage_sight(damage: &files::Damage, at_ns: u64) -> Sight {
    let files::Damage { file, before, after, flipped } = damage;
    let what = file.display();
    if *flipped > 0 || before == after {
        let shows = *flipped > 0 && before == after;
        let seen = format!("{flipped} bits differ from the copy");
        return Sight { what: what.to_string(), before: None, after: seen, at_ns, shows };
    }
    sight(
        what.to_string(),
        format!("{before} bytes"),
        format!("{after} bytes"),
        at_ns,
        after < before,
    )
}
