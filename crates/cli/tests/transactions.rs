//! The transactional workloads on real processes: three nodes, librdkafka clients, real signals.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

/// Enough load for a verdict, little enough for two cores.
const LOAD: [&str; 6] = ["--rate", "150", "--concurrency", "9", "--poll-ratio", "0.3"];

fn with<'a>(args: &[&'a str]) -> Vec<&'a str> {
    LOAD.iter().chain(args).copied().collect()
}

/// A correct cluster keeps its promises while nodes are killed and paused.
fn kept(workload: &str) {
    let faults = ["--nemesis", "kill,pause", "--nemesis-interval", "1500ms"];
    let all = [&with(&["--workload", workload, "--fault-duration", "1500ms"])[..], &faults];
    support::kept(5, 8, &all.concat(), |_, _| {});
}

/// A cluster with this bug is caught breaking this promise.
fn caught(bug: &str, workload: &str, anomaly: &str) {
    let all = with(&["--workload", workload, "--nemesis", "none"]);
    support::caught(bug, Some(anomaly), 4, &all);
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
fn offsets_that_survive_an_abort_leave_inputs_without_outputs() {
    // Few transactions are torn down between their offsets and their end, so there have to be many.
    let load = ["--rate", "800", "--concurrency", "12", "--poll-ratio", "0.3"];
    let asked = ["--workload", "exactly-once", "--nemesis", "none"];
    let all = [load.as_slice(), &asked].concat();
    support::caught("offsets-outside-txn", Some("exactly-once-violation"), 6, &all);
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
