//! The transactional workloads on real processes: three nodes, librdkafka clients, real signals.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use support::{processes_of, run, turn};

/// Enough load for a verdict, little enough for two cores.
const LOAD: [&str; 6] = ["--rate", "150", "--concurrency", "9", "--poll-ratio", "0.3"];

fn with<'a>(args: &[&'a str]) -> Vec<&'a str> {
    LOAD.iter().chain(args).copied().collect()
}

/// A correct cluster keeps its promises while nodes are killed and paused. A run in which a busy machine did too little to
/// say so is made again with another seed.
fn kept(workload: &str) {
    let _turn = turn();
    let faults = ["--nemesis", "kill,pause", "--nemesis-interval", "1500ms"];
    let mut said = String::new();
    for seed in ["5", "6", "7"] {
        let store = tempfile::tempdir().unwrap();
        let mut all = with(&["--workload", workload, "--time-limit", "9s", "--seed", seed]);
        all.extend(faults.into_iter().chain(["--fault-duration", "1500ms"]));
        let ran = run(store.path(), &all);
        assert_eq!(ran.violations(), Vec::<&str>::new(), "{}\n{:#}", ran.said, ran.report);
        assert_eq!(processes_of(store.path()), Vec::<i32>::new(), "nothing is left running");
        if ran.code == 0 {
            assert_eq!(ran.report["coverage"]["final_read"], "completed");
            return;
        }
        said = format!("exit {}, {:?}\n{}", ran.code, ran.reasons(), ran.said);
    }
    panic!("{workload} never came to a verdict: {said}");
}

/// A cluster with this bug is caught breaking this promise, by one of a few seeds.
fn caught(bug: &str, workload: &str, anomaly: &str) {
    let _turn = turn();
    let mut found = Vec::new();
    for seed in ["1", "2", "3"] {
        let store = tempfile::tempdir().unwrap();
        let args = ["--workload", workload, "--bug", bug, "--nemesis", "none"];
        let mut all = with(&args);
        all.extend(["--time-limit", "5s", "--seed", seed]);
        let ran = run(store.path(), &all);
        if ran.code == 1 && ran.violations().contains(&anomaly) {
            return;
        }
        let (anomalies, reasons) = (ran.anomalies(), ran.reasons());
        found.push(format!("seed {seed}: exit {}, {anomalies:?}, {reasons:?}", ran.code));
    }
    panic!("{workload} did not find {anomaly} with {bug}: {found:#?}");
}

#[test]
fn transactions_of_a_correct_cluster_are_all_or_nothing_under_kills_and_pauses() {
    kept("txn");
}

#[test]
fn a_correct_cluster_processes_exactly_once_under_kills_and_pauses() {
    kept("exactly-once");
}

#[test]
fn a_correct_cluster_refuses_fenced_producers_under_kills_and_pauses() {
    kept("fencing");
}

#[test]
fn aborted_records_that_consumers_are_shown_are_aborted_reads() {
    caught("aborted-visible", "txn", "G1a");
}

#[test]
fn a_transaction_committed_in_part_is_torn() {
    caught("torn-end-txn", "txn", "torn-transaction");
}

#[test]
fn a_producer_that_goes_on_after_it_was_replaced_is_a_zombie() {
    caught("fencing-ignored", "fencing", "zombie-write");
}

#[test]
fn a_workload_of_transactions_refuses_weaker_acknowledgements() {
    let store = tempfile::tempdir().unwrap();
    let path = store.path().to_str().unwrap();
    let args = ["run", "--workload", "txn", "--acks", "1", "--dry-run", "--store", path];
    let output = support::perjury(&args);
    let said = support::stderr(&output);
    assert_eq!(output.status.code(), Some(254), "{said}");
    assert!(said.contains("transactions need acks=all"), "{said}");
}
