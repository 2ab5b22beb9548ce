//! What a calibration says of the runs of another plan.

use super::summary::{Calibration, CellResult};
use perjury_checker::Calibrated;
use perjury_checker::report::Coverage;
use perjury_worker::plan::WorkerPlan;
use std::collections::{BTreeMap, BTreeSet};

/// From here on a bug counts as one that the plan finds.
const SURE: f64 = 0.95;

/// The probability with which a run of this plan finds each known bug, with faults as independent trials: the chance of a
/// trial, which is as many faults as a calibration run has, is the lower end of the interval of the recall that was measured, so
/// that it grows with the calibration.
///
/// With the `coverage` of a run that was made, faults that were not witnessed do not count. A bug that needs no fault has
/// as many trials as calibration runs fit into the plan's time. The calibration's own rate and number of clients are taken
/// to be the plan's.
#[must_use]
pub fn power(
    calibration: &Calibration,
    plan: &WorkerPlan,
    coverage: Option<&Coverage>,
) -> Calibrated {
    let mut misses: BTreeMap<&str, f64> = BTreeMap::new();
    for cell in &calibration.cells {
        let trials = trials(cell, plan, coverage);
        if trials > 0.0 {
            let missed = (1.0 - cell.recall.interval[0]).powf(trials);
            *misses.entry(cell.bug.name()).or_insert(1.0) *= missed;
        }
    }
    let chances: BTreeMap<String, f64> =
        misses.iter().map(|(bug, missed)| ((*bug).to_owned(), 1.0 - missed)).collect();
    let known = (calibration.bugs.len() + calibration.not_run.len()) as u64;
    let sure = chances.values().filter(|chance| **chance >= SURE).count() as u64;
    let within: BTreeSet<&str> = calibration
        .cells
        .iter()
        .filter(|cell| trials(cell, plan, None) > 0.0)
        .map(|cell| cell.bug.name())
        .collect();
    let elsewhere = match calibration.bugs.len() - within.len() {
        0 => String::new(),
        n => {
            let were = if n == 1 { "was" } else { "were" };
            format!("{n} {were} calibrated with another workload, other faults or more time; ")
        }
    };
    let statement = format!(
        "this plan finds {sure} of {known} known bug classes with probability ≥ {SURE} in {}; {elsewhere}of {} runs on a \
         correct cluster {} were accused (calibration {})",
        humantime::format_duration(std::time::Duration::from_millis(plan.time_limit_ms)),
        calibration.accused.runs,
        calibration.accused.found,
        calibration.id,
    );
    Calibrated { calibration: calibration.id.clone(), known, sure, chances, statement }
}

/// How many calibration runs of this cell a run of the plan holds; a part of one where it holds fewer faults than those.
#[expect(clippy::cast_precision_loss, reason = "numbers of faults and of milliseconds are small")]
fn trials(cell: &CellResult, plan: &WorkerPlan, coverage: Option<&Coverage>) -> f64 {
    if cell.workload != plan.workload.as_str() {
        return 0.0;
    }
    if cell.at_rest {
        return (plan.time_limit_ms / cell.time_limit_ms.max(1)) as f64;
    }
    let hits = |target: &str| {
        target == cell.target || target == "all" || !matches!(&*cell.target, "leader" | "follower")
    };
    let faults = plan
        .schedule
        .iter()
        .filter(|fault| fault.f.as_str() == cell.fault && hits(&fault.target.to_string()));
    let faults = faults.count() as u64;
    let bit = match coverage {
        Some(seen) if seen.faults_injected > 0 => {
            faults * seen.faults_witnessed.min(seen.faults_injected) / seen.faults_injected
        }
        Some(_) => 0,
        None => faults,
    };
    bit as f64 / cell.faults_per_run.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::design::Design;
    use super::super::outcome::Outcome;
    use super::super::summary::summarise;
    use super::*;
    use crate::settings::Settings;
    use chrono::DateTime;
    use perjury_testbed::Bug;

    /// A calibration of two bugs and twenty clean runs: one bug is always found, the other in two of five runs.
    fn calibration() -> Calibration {
        let design = Design {
            bugs: vec![Bug::AckBeforeReplication, Bug::DuplicateOnRetry],
            workloads: vec!["queue".into()],
            clean: 20,
            ..Design::quick(1)
        };
        let outcome = |(n, trial): (usize, super::super::design::Trial)| {
            let invalid = trial.bug == Some(Bug::AckBeforeReplication)
                || trial.bug.is_some() && trial.seed < 3;
            Outcome {
                key: trial.key(),
                bug: trial.bug,
                workload: trial.cell.workload.into(),
                fault: trial.cell.fault.into(),
                target: trial.cell.target.into(),
                seed: trial.seed,
                verdict: if invalid { "invalid" } else { "valid" }.into(),
                reasons: Vec::new(),
                anomalies: [("duplicate".to_owned(), 1)].into_iter().filter(|_| invalid).collect(),
                noted: BTreeMap::new(),
                faults: 1,
                operations: 100,
                detection: invalid.then_some(super::super::detect::Detection {
                    ms: 100 * n as u64,
                    operations: n as u64,
                }),
                wall_ms: 1,
                run: None,
                problem: None,
            }
        };
        let outcomes: Vec<Outcome> =
            design.trials().unwrap().into_iter().enumerate().map(outcome).collect();
        summarise("c", &design, &outcomes, DateTime::UNIX_EPOCH, (1, 1))
    }

    #[test]
    fn recall_false_positives_and_anomalies_follow_from_the_outcomes() {
        let c = calibration();
        assert!(c.complete);
        let found: Vec<(u64, u64, bool)> =
            c.bugs.iter().map(|b| (b.recall.found, b.recall.runs, b.always)).collect();
        assert_eq!(found, [(5, 5, true), (2, 5, false)]);
        assert_eq!(c.bugs[1].as_expected, 2);
        assert_eq!(c.bugs[0].as_expected, 0, "a duplicate is not what a lost write looks like");
        assert_eq!(c.cells[1].missed, [3, 4, 5]);
        assert_eq!((c.accused.found, c.accused.runs), (0, 20));
        assert!(c.cells.iter().all(|cell| cell.median_ms.is_some()));
        assert!(c.statement.starts_with("1 of 2 bugs found in every run, 1 in some; 0 of 20 runs"));
        let text = super::super::table::text(&c);
        assert!(text.contains("ack-before-replication") && text.contains("5/5"), "{text}");
    }

    #[test]
    fn more_faults_make_a_plan_surer_and_faults_that_did_not_bite_do_not_count() {
        let plan = |text: &str| {
            let settings: Settings = toml::from_str(text).unwrap();
            settings.resolve("a", 7).unwrap().worker
        };
        let c = calibration();
        let short = plan("time_limit = \"6s\"\ntarget = [\"leader\"]");
        let long = plan("time_limit = \"180s\"\ntarget = [\"leader\"]");
        let chance = |calibrated: &Calibrated, bug: &str| {
            calibrated.chances.get(bug).copied().unwrap_or(0.0)
        };
        let (few, many) = (power(&c, &short, None), power(&c, &long, None));
        let bug = "ack-before-replication";
        assert!(chance(&few, bug) < SURE && chance(&many, bug) >= SURE, "{few:?} {many:?}");
        // The bug that needs no fault has its trials from the time alone.
        assert!(chance(&many, "duplicate-on-retry") > chance(&few, "duplicate-on-retry"));
        assert!(
            many.statement
                .contains("of 2 known bug classes with probability ≥ 0.95 in 3m; of 20 runs")
        );
        let unseen = Coverage {
            faults_injected: long.schedule.len() as u64,
            faults_witnessed: 0,
            ..Coverage::default()
        };
        let unseen = power(&c, &long, Some(&unseen));
        assert_eq!(chance(&unseen, bug), 0.0);
        assert!(!unseen.statement.contains("another workload"), "{}", unseen.statement);
        let elsewhere = plan("time_limit = \"60s\"\nnemesis = [\"pause\"]");
        let elsewhere = power(&c, &elsewhere, None);
        assert_eq!(chance(&elsewhere, bug), 0.0);
        let told = "1 was calibrated with another workload, other faults or more time; of 20 runs";
        assert!(elsewhere.statement.contains(told), "{}", elsewhere.statement);
    }
}
