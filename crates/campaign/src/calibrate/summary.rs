//! What follows from the outcomes of a calibration.

use super::cells::{Cell, expected};
use super::design::{Design, Scope};
use super::outcome::Outcome;
use chrono::{DateTime, Utc};
use perjury_store::wilson;
use perjury_testbed::Bug;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The form of `calibration.json`.
pub const SCHEMA: &str = "perjury.calibration/1";

/// How many of so many runs accused the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recall {
    /// Runs whose verdict is *invalid*.
    pub found: u64,
    /// All runs, those with the verdict *unknown* and those without one among them.
    pub runs: u64,
    /// The probability to be accused, from 0 to 1, at 95 % (Wilson's score interval).
    pub interval: [f64; 2],
}

impl Recall {
    /// Of these counts.
    #[must_use]
    pub fn of(found: u64, runs: u64) -> Self {
        Recall { found, runs, interval: wilson(found, runs) }
    }
}

/// A bug under one workload and fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellResult {
    /// The bug.
    pub bug: Bug,
    /// The workload.
    pub workload: String,
    /// The fault.
    pub fault: String,
    /// Whom it was aimed at.
    pub target: String,
    /// Whether the bug needs no fault.
    pub at_rest: bool,
    /// How long clients worked in each run, in milliseconds.
    pub time_limit_ms: u64,
    /// How many faults a run had.
    pub faults_per_run: u64,
    /// How often it was found.
    pub recall: Recall,
    /// In how many of those runs an anomaly that is expected of the bug was among the violations.
    pub as_expected: u64,
    /// The seeds with which it was not found.
    pub missed: Vec<u64>,
    /// The median time until the violation showed, over the runs that found it, in milliseconds since clients began.
    pub median_ms: Option<u64>,
    /// The median number of operations until then.
    pub median_operations: Option<u64>,
    /// In how many runs each violation was found.
    pub anomalies: BTreeMap<String, u64>,
    /// In how many runs each other anomaly was reported.
    pub noted: BTreeMap<String, u64>,
}

/// A bug over all of its cells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BugResult {
    /// The bug.
    pub bug: Bug,
    /// What it does.
    pub summary: String,
    /// The real bug that it imitates.
    pub imitates: String,
    /// The anomalies under which it should appear, at least one of them.
    pub expected: Vec<String>,
    /// In how many of the runs that found it one of them was among the violations.
    pub as_expected: u64,
    /// The recall in its best cell.
    pub recall: Recall,
    /// Whether every run of its best cell found it.
    pub always: bool,
    /// Which of the cells is its best.
    pub best: usize,
}

/// A bug that was not tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRun {
    /// The bug.
    pub bug: Bug,
    /// Why.
    pub why: String,
}

/// The correct testbed under one workload and fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CleanResult {
    /// The workload.
    pub workload: String,
    /// The fault.
    pub fault: String,
    /// Whom it was aimed at.
    pub target: String,
    /// How often it was accused.
    pub accused: Recall,
    /// How many runs could not be judged.
    pub unknown: u64,
}

/// A run that accused the correct testbed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FalsePositive {
    /// Which run it was.
    pub key: String,
    /// Of what.
    pub anomalies: Vec<String>,
    /// Its directory below the calibration's.
    pub run: Option<String>,
}

/// The result of a calibration, as `calibration.json` holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// [`SCHEMA`].
    pub schema: String,
    /// Its identifier in the store.
    pub id: String,
    /// When this was written.
    pub made: DateTime<Utc>,
    /// The version of the program.
    pub perjury: String,
    /// Which cells were tried.
    pub scope: Scope,
    /// The first seed.
    pub seed: u64,
    /// How many seeds each cell was tried with.
    pub seeds: u64,
    /// Whether every run was made.
    pub complete: bool,
    /// How many runs were made.
    pub runs: u64,
    /// How long it took, in milliseconds, all its sittings together.
    pub took_ms: u64,
    /// How many runs were made at a time.
    pub parallel: u64,
    /// How long the runs were, in percent of what a machine needs that has nothing else to do.
    pub pace: u32,
    /// The bugs.
    pub bugs: Vec<BugResult>,
    /// Every bug under each workload and fault.
    pub cells: Vec<CellResult>,
    /// What was not tried.
    pub not_run: Vec<NotRun>,
    /// False positives over all clean runs.
    pub accused: Recall,
    /// Clean runs that could not be judged.
    pub clean_unknown: u64,
    /// Clean runs by workload and fault.
    pub clean: Vec<CleanResult>,
    /// The runs that accused the correct testbed.
    pub false_positives: Vec<FalsePositive>,
    /// Runs without a verdict, with what went wrong.
    pub failed: BTreeMap<String, String>,
    /// The result in a sentence.
    pub statement: String,
}

/// Puts the outcomes together. `id` and `made` are what the calibration is called and when this was asked.
#[must_use]
pub fn summarise(
    id: &str,
    design: &Design,
    outcomes: &[Outcome],
    made: DateTime<Utc>,
    (took_ms, parallel): (u64, usize),
) -> Calibration {
    let cells: Vec<CellResult> = design
        .bugs
        .iter()
        .flat_map(|bug| design.cells(*bug).into_iter().map(|cell| (*bug, cell)))
        .filter_map(|(bug, cell)| cell_result(bug, &cell, outcomes))
        .collect();
    let bugs: Vec<BugResult> =
        design.bugs.iter().filter_map(|bug| bug_result(*bug, &cells)).collect();
    let clean: Vec<&Outcome> = outcomes.iter().filter(|o| o.bug.is_none()).collect();
    let accused = accused(&clean);
    let failed = outcomes.iter().filter_map(|o| Some((o.key.clone(), o.problem.clone()?)));
    let total = design.trials().map_or(usize::MAX, |trials| trials.len());
    let mut calibration = Calibration {
        schema: SCHEMA.into(),
        id: id.into(),
        made,
        perjury: env!("CARGO_PKG_VERSION").into(),
        scope: design.scope,
        seed: design.seed,
        seeds: design.seeds,
        complete: outcomes.len() >= total,
        runs: outcomes.len() as u64,
        took_ms,
        parallel: parallel as u64,
        pace: design.pace,
        not_run: not_run(design),
        bugs,
        cells,
        accused,
        clean_unknown: unknown(&clean),
        clean: clean_results(&clean),
        false_positives: clean
            .iter()
            .filter(|o| o.found())
            .map(|o| FalsePositive {
                key: o.key.clone(),
                anomalies: o.anomalies.keys().cloned().collect(),
                run: o.run.clone(),
            })
            .collect(),
        failed: failed.collect(),
        statement: String::new(),
    };
    calibration.statement = statement(&calibration);
    calibration
}

fn statement(c: &Calibration) -> String {
    let always = c.bugs.iter().filter(|b| b.always).count();
    let interval = c.accused.interval;
    // A run that did too little is no evidence that correct clusters are left in peace.
    let idle = match c.clean_unknown {
        0 => String::new(),
        n => format!("; {n} of them did too little to be judged"),
    };
    format!(
        "{always} of {} bugs found in every run, {} in some; {} of {} runs of the correct cluster accused \
         (at 95 % confidence at most {:.1} %){idle}",
        c.bugs.len(),
        c.bugs.iter().filter(|b| !b.always && b.recall.found > 0).count(),
        c.accused.found,
        c.accused.runs,
        interval[1] * 100.0,
    )
}

fn not_run(design: &Design) -> Vec<NotRun> {
    let known = Design::workloads();
    let why = |bug: Bug| {
        let needed = bug.needs().workloads;
        let missing: Vec<&str> = needed.iter().copied().filter(|w| !known.contains(w)).collect();
        if missing.len() == needed.len() {
            format!(
                "it needs the workload {}, which this program does not have",
                missing.join(" or ")
            )
        } else {
            format!("the workload {} was not asked for", needed.join(" or "))
        }
    };
    let left = design.bugs.iter().filter(|bug| design.cells(**bug).is_empty());
    left.map(|bug| NotRun { bug: *bug, why: why(*bug) }).collect()
}

fn unknown(outcomes: &[&Outcome]) -> u64 {
    outcomes.iter().filter(|o| o.verdict == "unknown" || o.verdict == "none").count() as u64
}

fn accused(outcomes: &[&Outcome]) -> Recall {
    Recall::of(outcomes.iter().filter(|o| o.found()).count() as u64, outcomes.len() as u64)
}

fn clean_results(clean: &[&Outcome]) -> Vec<CleanResult> {
    let mut by_cell: BTreeMap<(&str, &str, &str), Vec<&Outcome>> = BTreeMap::new();
    for outcome in clean {
        let cell = (&*outcome.workload, &*outcome.fault, &*outcome.target);
        by_cell.entry(cell).or_default().push(outcome);
    }
    let result =
        |((workload, fault, target), of): ((&str, &str, &str), Vec<&Outcome>)| CleanResult {
            workload: workload.into(),
            fault: fault.into(),
            target: target.into(),
            accused: accused(&of),
            unknown: unknown(&of),
        };
    by_cell.into_iter().map(result).collect()
}

fn cell_result(bug: Bug, cell: &Cell, outcomes: &[Outcome]) -> Option<CellResult> {
    let of: Vec<&Outcome> = outcomes
        .iter()
        .filter(|o| o.bug == Some(bug) && o.workload == cell.workload && o.fault == cell.fault)
        .collect();
    if of.is_empty() {
        return None;
    }
    let found: Vec<&Outcome> = of.iter().copied().filter(|o| o.found()).collect();
    let missed: BTreeSet<u64> = of.iter().filter(|o| !o.found()).map(|o| o.seed).collect();
    let detections = found.iter().filter_map(|o| o.detection);
    Some(CellResult {
        bug,
        workload: cell.workload.into(),
        fault: cell.fault.into(),
        target: cell.target.into(),
        at_rest: cell.at_rest,
        time_limit_ms: cell.time_limit_ms(),
        faults_per_run: cell.shape.faults.len() as u64,
        recall: Recall::of(found.len() as u64, of.len() as u64),
        as_expected: found.iter().filter(|o| is_expected(bug, o)).count() as u64,
        missed: missed.into_iter().collect(),
        median_ms: median(detections.clone().map(|d| d.ms).collect()),
        median_operations: median(detections.map(|d| d.operations).collect()),
        anomalies: names(of.iter().map(|o| &o.anomalies)),
        noted: names(of.iter().map(|o| &o.noted)),
    })
}

fn is_expected(bug: Bug, outcome: &Outcome) -> bool {
    expected(bug).iter().any(|name| outcome.anomalies.contains_key(*name))
}

/// In how many of the runs each name stands.
fn names<'a>(runs: impl Iterator<Item = &'a BTreeMap<String, u64>>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for name in runs.flat_map(BTreeMap::keys) {
        *counts.entry(name.clone()).or_default() += 1;
    }
    counts
}

/// The lower median.
fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}

fn bug_result(bug: Bug, cells: &[CellResult]) -> Option<BugResult> {
    let own = cells.iter().enumerate().filter(|(_, cell)| cell.bug == bug);
    let (best, cell) = own.clone().reduce(|best, other| {
        // The first of equals: it is the one that says most.
        if other.1.recall.interval[0] > best.1.recall.interval[0] { other } else { best }
    })?;
    let expected = expected(bug);
    Some(BugResult {
        bug,
        summary: bug.summary().into(),
        imitates: bug.imitates().into(),
        expected: expected.iter().map(|&name| name.to_owned()).collect(),
        as_expected: own.map(|(_, cell)| cell.as_expected).sum(),
        recall: cell.recall,
        always: cell.recall.found == cell.recall.runs,
        best,
    })
}
