//! The workloads of groups, compacted topics, ends of logs and administration on real processes: three nodes, librdkafka
//! clients, real signals.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use support::{Ran, latest, processes_of, run, turn};

/// Enough load for a verdict, little enough for two cores.
const LOAD: [&str; 4] = ["--rate", "150", "--concurrency", "9"];

fn made(store: &std::path::Path, workload: &str, args: &[&str]) -> Ran {
    let mut all = LOAD.to_vec();
    all.extend(["--workload", workload]);
    all.extend(args);
    let ran = run(store, &all);
    assert_eq!(processes_of(store), Vec::<i32>::new(), "nothing is left running");
    ran
}

/// A cluster with this bug is caught breaking this promise, by one of a few seeds.
fn caught(workload: &str, bug: &str, args: &[&str], anomaly: &str) {
    let _turn = turn();
    let mut found = Vec::new();
    for seed in ["1", "2", "3"] {
        let store = tempfile::tempdir().unwrap();
        let all = [&["--bug", bug, "--time-limit", "7s", "--seed", seed], args].concat();
        let ran = made(store.path(), workload, &all);
        if ran.code == 1 && ran.violations().contains(&anomaly) {
            return;
        }
        let (anomalies, reasons) = (ran.anomalies(), ran.reasons());
        found.push(format!("seed {seed}: exit {}, {anomalies:?}, {reasons:?}", ran.code));
    }
    panic!("{workload} did not find {anomaly} with {bug}: {found:#?}");
}

#[test]
fn a_group_of_a_correct_cluster_resumes_at_what_it_committed() {
    let _turn = turn();
    let store = tempfile::tempdir().unwrap();
    let faults = ["--nemesis", "kill,pause", "--nemesis-interval", "1s", "--fault-duration", "1s"];
    let all = [&faults[..], &["--time-limit", "14s", "--seed", "5"]].concat();
    let ran = made(store.path(), "group", &all);
    assert_eq!(ran.violations(), Vec::<&str>::new(), "{}\n{:#}", ran.said, ran.report);
    assert_eq!(ran.code, 0, "{}\n{:#}", ran.said, ran.report);
    assert_eq!(ran.report["coverage"]["final_read"], "completed");
    // Each rebalance names its generation; how many there are depends on how quickly the group came together.
    let history = std::fs::read_to_string(latest(store.path()).join("history.jsonl")).unwrap();
    let generations: std::collections::BTreeSet<i64> = history
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|row| row["f"] == "rebalance" && row["type"] == "ok")
        .flat_map(|row| row["value"].as_array().unwrap().clone())
        .map(|event| event["generation"].as_i64().unwrap())
        .collect();
    assert!(generations.first().is_some_and(|first| *first >= 1), "{generations:?}");
}

#[test]
fn a_committed_offset_that_is_one_too_high_skips_records() {
    caught("group", "skip-after-rebalance", &["--nemesis", "none"], "skipped-past-commit");
}

#[test]
fn compaction_that_keeps_first_values_loses_last_ones() {
    caught("compacted", "compaction-keeps-wrong", &["--nemesis", "none"], "lost-last-value");
}

#[test]
fn topics_come_and_go_while_a_node_is_killed() {
    let _turn = turn();
    let store = tempfile::tempdir().unwrap();
    let args = ["--nemesis", "kill", "--target", "follower", "--time-limit", "10s", "--seed", "5"];
    let ran = made(store.path(), "admin", &args);
    assert_eq!(ran.violations(), Vec::<&str>::new(), "{}\n{:#}", ran.said, ran.report);
    assert_eq!(ran.code, 0, "{}\n{:#}", ran.said, ran.report);
}
