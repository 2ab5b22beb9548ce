//! Faults beyond signals, on real processes with librdkafka clients: the verdicts that they must have.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use perjury_cluster::privileges;
use support::{Ran, latest, processes_of, run, turn};

/// Enough load and faults for a verdict, little enough for two cores.
const LOAD: [&str; 10] = [
    "--rate",
    "300",
    "--concurrency",
    "10",
    "--nemesis-interval",
    "2s",
    "--time-limit",
    "16s",
    "--target",
    "leader",
];

fn broken_by(nemesis: &str, seed: &str, args: &[&str]) -> Ran {
    let _turn = turn();
    let store = tempfile::tempdir().unwrap();
    let mut all = LOAD.to_vec();
    all.extend(["--nemesis", nemesis, "--seed", seed]);
    all.extend(args);
    let ran = run(store.path(), &all);
    assert_eq!(processes_of(store.path()), Vec::<i32>::new(), "nothing is left running");
    let journal = latest(store.path()).join(perjury_cluster::undo::FILE_NAME);
    assert_eq!(perjury_cluster::undo::pending(&journal).unwrap(), [], "all is taken back");
    ran
}

#[test]
fn a_lost_acknowledgement_makes_a_duplicate_unless_the_producer_is_idempotent() {
    let lossy = ["--fault-set", "frames=3"];
    let idempotent = broken_by("drop-response", "3", &lossy);
    assert_eq!(idempotent.code, 0, "{}\n{:#}", idempotent.said, idempotent.report);
    assert!(!idempotent.anomalies().contains(&"duplicate"), "{:?}", idempotent.anomalies());
    let plain =
        broken_by("drop-response", "3", &[&lossy[..], &["--idempotence", "false"]].concat());
    assert!(plain.anomalies().contains(&"duplicate"), "{}\n{:#}", plain.said, plain.report);
}

#[test]
fn what_a_forged_acknowledgement_promised_is_never_seen() {
    let forged = ["--fault-set", "frames=5", "--idempotence", "false"];
    let ran = broken_by("forge-response", "4", &forged);
    let unseen = ran.report["anomalies"]["unseen"]["count"].as_u64();
    assert!(unseen.is_some_and(|count| count > 0), "{}\n{:#}", ran.said, ran.report);
    assert_eq!(ran.report["coverage"]["final_read"], "completed");
    assert_eq!(ran.code, 1, "{}", ran.said);
    assert!(ran.violations().contains(&"lost-tail"), "{:?}", ran.anomalies());
}

#[test]
fn a_correct_cluster_keeps_its_promises_when_its_leaders_are_cut_off_by_the_proxy() {
    let ran = broken_by("isolate-leader,isolate", "5", &["--network", "proxy"]);
    assert_eq!(ran.code, 0, "{}\n{:#}", ran.said, ran.report);
}

#[test]
fn a_correct_cluster_keeps_its_promises_when_its_network_splits() {
    if let Err(why) = privileges::namespaces() {
        eprintln!("skipped: {why}");
        return;
    }
    let ran = broken_by("partition,one-way", "6", &["--network", "namespaces"]);
    assert_eq!(ran.code, 0, "{}\n{:#}", ran.said, ran.report);
}

#[test]
fn disarmed_faults_prove_nothing() {
    let ran = broken_by("partition,drop-response", "7", &["--disarm", "--network", "proxy"]);
    assert_eq!(ran.code, 2, "{}\n{:#}", ran.said, ran.report);
    assert_eq!(ran.report["verdict"], "unknown");
}
