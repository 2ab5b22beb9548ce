//! Which runs a calibration makes.

use super::cells::Cell;
use crate::plan::RunPlan;
use crate::settings::{Clients, Settings, Span};
use perjury_testbed::Bug;
use perjury_worker::plan::Workload;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Seeds of clean runs begin so far behind the others', so that no two runs share one.
const CLEAN_SEEDS: u64 = 1_000_000;
/// No calibration makes more runs.
const TRIALS_MAX: usize = 20_000;
/// How long the final reads of a run may take, and the cluster to come back, in seconds.
const PATIENCE_S: f64 = 20.0;

/// Which cells of a bug are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The one that says most.
    Quick,
    /// Each workload with each fault that can show it.
    Full,
}

/// What to calibrate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Design {
    /// Which cells of a bug are tried.
    pub scope: Scope,
    /// The bugs.
    pub bugs: Vec<Bug>,
    /// The workloads.
    pub workloads: Vec<String>,
    /// The first seed.
    pub seed: u64,
    /// How many seeds each cell is tried with.
    pub seeds: u64,
    /// How many runs the correct testbed gets.
    pub clean: usize,
    /// How long runs take, in percent of what a machine needs that has nothing else to do.
    pub pace: u32,
}

/// Why a calibration cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DesignError(pub String);

/// One run of a calibration.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Its place, from 0.
    pub index: usize,
    /// The bug that is switched on; none for a clean run.
    pub bug: Option<Bug>,
    /// What is done.
    pub cell: Cell,
    /// Everything random in it.
    pub seed: u64,
}

impl Trial {
    /// What it is, in words that name it among all of its calibration.
    #[must_use]
    pub fn key(&self) -> String {
        let bug = self.bug.map_or("clean", Bug::name);
        let Cell { workload, fault, target, .. } = self.cell;
        format!("{bug} {workload} {fault} {target} {}", self.seed)
    }

    /// The plan of its run.
    ///
    /// # Errors
    /// When the cell makes no plan, which names the cell.
    pub fn plan(&self) -> Result<RunPlan, DesignError> {
        let Cell { workload, fault, target, shape, .. } = self.cell;
        let millis = |ms: u64| Span::Text(format!("{ms}ms"));
        let extra = json!({"schedule": self.cell.schedule(self.seed)});
        let settings = Settings {
            bugs: self.bug.map(|bug| vec![bug.name().to_owned()]),
            workload: Some(workload.into()),
            nemesis: Some(vec![fault.into()]),
            target: Some(vec![target.into()]),
            time_limit: Some(millis(self.cell.time_limit_ms())),
            recovery_time_limit: Some(Span::Seconds(PATIENCE_S)),
            final_time_limit: Some(Span::Seconds(PATIENCE_S)),
            rate: Some(shape.rate),
            concurrency: Some(Clients::Number(shape.clients)),
            poll_ratio: Some(shape.polls),
            partitions: Some(shape.partitions),
            plan: match extra {
                Value::Object(map) => Some(map),
                _ => Some(Map::new()),
            },
            ..Settings::default()
        };
        let name = self.bug.map_or("clean", Bug::name);
        settings
            .resolve(name, self.seed)
            .map_err(|why| DesignError(format!("{} makes no plan: {why}", self.key())))
    }
}

impl Design {
    /// The workloads, in the order in which clean runs take turns.
    #[must_use]
    pub fn workloads() -> Vec<&'static str> {
        Workload::ALL.into_iter().map(Workload::as_str).collect()
    }

    /// What `--quick` means: every bug in its best cell with five seeds, and 200 clean runs.
    #[must_use]
    pub fn quick(seed: u64) -> Design {
        Design {
            scope: Scope::Quick,
            bugs: Bug::ALL.to_vec(),
            workloads: Design::workloads().into_iter().map(str::to_owned).collect(),
            seed,
            seeds: 5,
            clean: 200,
            pace: 100,
        }
    }

    /// Every bug in all of its cells with twenty seeds, and 600 clean runs.
    #[must_use]
    pub fn full(seed: u64) -> Design {
        Design { scope: Scope::Full, seeds: 20, clean: 600, ..Design::quick(seed) }
    }

    /// The cells of a bug that are tried.
    #[must_use]
    pub fn cells(&self, bug: Bug) -> Vec<Cell> {
        let has = |cell: &Cell| self.workloads.iter().any(|name| name == cell.workload);
        let most = if self.scope == Scope::Quick { 1 } else { usize::MAX };
        let cells = Cell::of(bug).into_iter().filter(has).take(most);
        cells.map(|cell| cell.at_pace(self.pace)).collect()
    }

    /// All runs, in the order in which they are started: seed by seed, with clean runs spread between the others, so that
    /// a calibration that is cut short has tried a bit of everything.
    ///
    /// # Errors
    /// A workload that does not exist, or more runs than anybody waits for.
    pub fn trials(&self) -> Result<Vec<Trial>, DesignError> {
        let known = Design::workloads();
        if let Some(name) = self.workloads.iter().find(|name| !known.contains(&name.as_str())) {
            let known = known.join(", ");
            return Err(DesignError(format!("there is no workload {name:?}; they are: {known}")));
        }
        let cells: Vec<(Bug, Cell)> = self
            .bugs
            .iter()
            .flat_map(|bug| self.cells(*bug).into_iter().map(|cell| (*bug, cell)))
            .collect();
        if !(50..=2_000).contains(&self.pace) {
            return Err(DesignError("the pace is 50 to 2000 percent".into()));
        }
        let seeds = usize::try_from(self.seeds).unwrap_or(usize::MAX);
        if cells.len().saturating_mul(seeds).saturating_add(self.clean) > TRIALS_MAX {
            let message =
                format!("a calibration has at most {TRIALS_MAX} runs: give fewer --seeds");
            return Err(DesignError(message));
        }
        let wrong = (0..self.seeds).flat_map(|n| cells.iter().map(move |cell| (n, cell)));
        let mut wrong: Vec<Trial> = wrong
            .map(|(n, (bug, cell))| Trial {
                index: 0,
                bug: Some(*bug),
                cell: *cell,
                seed: self.seed.wrapping_add(n),
            })
            .collect();
        let clean = self.clean_trials(&known);
        let every = (wrong.len() / clean.len().max(1)).max(1);
        let mut trials = Vec::with_capacity(wrong.len() + clean.len());
        let (mut clean, share) = (clean.into_iter(), self.clean.div_ceil(wrong.len().max(1)));
        for (n, trial) in wrong.drain(..).enumerate() {
            trials.push(trial);
            if n % every == 0 {
                trials.extend(clean.by_ref().take(share));
            }
        }
        trials.extend(clean);
        for (index, trial) in trials.iter_mut().enumerate() {
            trial.index = index;
        }
        Ok(trials)
    }

    /// Runs of the correct testbed: workloads take turns, and in each its faults.
    fn clean_trials(&self, known: &[&'static str]) -> Vec<Trial> {
        let wanted = known.iter().filter(|name| self.workloads.iter().any(|w| w == *name));
        let cells: Vec<Vec<Cell>> = wanted.map(|name| Cell::clean(name)).collect();
        if cells.is_empty() {
            return Vec::new();
        }
        let trial = |n: usize| {
            let of_workload = &cells[n % cells.len()];
            let cell = of_workload[n / cells.len() % of_workload.len()].at_pace(self.pace);
            let seed = self.seed.wrapping_add(CLEAN_SEEDS).wrapping_add(n as u64);
            Trial { index: 0, bug: None, cell, seed }
        };
        (0..self.clean).map(trial).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_quick_calibration_tries_each_bug_once_a_seed_and_names_every_run_differently() {
        let design = Design::quick(7);
        let trials = design.trials().unwrap();
        let keys: BTreeSet<String> = trials.iter().map(Trial::key).collect();
        assert_eq!(keys.len(), trials.len());
        assert_eq!(trials.iter().filter(|t| t.bug.is_none()).count(), 200);
        let tried = Bug::ALL.iter().filter(|bug| !design.cells(**bug).is_empty()).count();
        assert_eq!(trials.iter().filter(|t| t.bug.is_some()).count(), 5 * tried);
        for trial in &trials {
            let plan = trial.plan().unwrap();
            assert_eq!(plan.worker.schedule.len(), trial.cell.shape.faults.len());
            assert_eq!(plan.worker.seed, trial.seed);
        }
    }

    #[test]
    fn the_first_part_of_a_calibration_has_clean_runs_and_all_bugs() {
        let design = Design::quick(7);
        let trials = design.trials().unwrap();
        let part = &trials[..trials.len() / 4];
        assert!(part.iter().filter(|t| t.bug.is_none()).count() >= 20);
        let bugs: BTreeSet<_> = part.iter().filter_map(|t| t.bug).collect();
        let tried = Bug::ALL.iter().filter(|bug| !design.cells(**bug).is_empty()).count();
        assert_eq!(bugs.len(), tried);
    }

    #[test]
    fn what_cannot_be_calibrated_is_named() {
        let mut design = Design::quick(1);
        design.workloads = vec!["juggling".into()];
        assert!(design.trials().unwrap_err().0.contains("juggling"));
        design = Design { seeds: u64::MAX, ..Design::full(1) };
        assert!(design.trials().unwrap_err().0.contains("--seeds"));
    }
}
