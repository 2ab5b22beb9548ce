//! What one run of a calibration came to: a line of `outcomes.jsonl`.

use super::design::Trial;
use super::detect::{Detection, detect};
use perjury_checker::{Judgement, Report};
use perjury_store::RunDir;
use perjury_testbed::Bug;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which run it is, as [`Trial::key`] says.
    pub key: String,
    /// The bug that was switched on; none for a clean run.
    pub bug: Option<Bug>,
    /// The workload.
    pub workload: String,
    /// The fault.
    pub fault: String,
    /// Whom it was aimed at.
    pub target: String,
    /// The seed.
    pub seed: u64,
    /// `invalid`, `valid` or `unknown`; `none` for a run without a report.
    pub verdict: String,
    /// Why the verdict is unknown, or would have been.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// The violations, with their cases.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub anomalies: BTreeMap<String, u64>,
    /// What was reported without being a violation, with its cases.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub noted: BTreeMap<String, u64>,
    /// How many faults were witnessed.
    pub faults: u64,
    /// How many operations clients invoked.
    pub operations: u64,
    /// When the violation first showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection: Option<Detection>,
    /// How long the run took with everything, in milliseconds.
    pub wall_ms: u64,
    /// Its directory below that of the calibration, where it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Why there is no report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Outcome {
    /// What the run in this directory came to; `problem` is what kept it from a report.
    pub(super) fn of(trial: &Trial, dir: &RunDir, problem: Option<String>, wall_ms: u64) -> Self {
        let report: Option<Report> = dir.report().unwrap_or_default();
        let mut outcome = Outcome {
            key: trial.key(),
            bug: trial.bug,
            workload: trial.cell.workload.into(),
            fault: trial.cell.fault.into(),
            target: trial.cell.target.into(),
            seed: trial.seed,
            verdict: "none".into(),
            reasons: Vec::new(),
            anomalies: BTreeMap::new(),
            noted: BTreeMap::new(),
            faults: 0,
            operations: 0,
            detection: None,
            wall_ms,
            run: None,
            problem,
        };
        let Some(report) = report else {
            outcome.problem.get_or_insert_with(|| "the run left no report".into());
            return outcome;
        };
        outcome.verdict = report.verdict.to_string();
        outcome.reasons = report.reasons;
        outcome.faults = report.coverage.faults_witnessed;
        outcome.operations = report.operations;
        for (name, anomaly) in report.anomalies {
            let convicts = anomaly.judgement == Judgement::Violation;
            let list = if convicts { &mut outcome.anomalies } else { &mut outcome.noted };
            list.insert(name, if convicts { anomaly.violations } else { anomaly.count });
        }
        if outcome.found() {
            let text = std::fs::read_to_string(dir.history_path()).unwrap_or_default();
            outcome.detection = detect(&text);
        }
        outcome
    }

    /// Whether the run accuses the cluster.
    #[must_use]
    pub fn found(&self) -> bool {
        self.verdict == "invalid"
    }

    /// Whether the outcome is not what a perfect checker would have said.
    #[must_use]
    pub fn surprises(&self) -> bool {
        self.found() != self.bug.is_some() || self.verdict == "none"
    }
}
