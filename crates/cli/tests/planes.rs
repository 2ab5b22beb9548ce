//! Faults beyond signals, on real processes with librdkafka clients: the verdicts that they must have.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use perjury_cluster::privileges;
use std::path::Path;
use support::{kept, latest, patiently, run, turn};

/// Enough load and faults for a verdict, little enough for two cores.
const LOAD: [&str; 8] =
    ["--rate", "300", "--concurrency", "10", "--nemesis-interval", "2s", "--target", "leader"];

fn with<'a>(nemesis: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [&LOAD[..], &["--nemesis", nemesis], args].concat()
}

fn all_is_taken_back(store: &Path) {
    let journal = latest(store).join(perjury_cluster::undo::FILE_NAME);
    assert_eq!(perjury_cluster::undo::pending(&journal).unwrap(), [], "all is taken back");
}

#[test]
fn a_lost_acknowledgement_makes_a_duplicate_unless_the_producer_is_idempotent() {
    let lossy = with("drop-response", &["--fault-set", "frames=3"]);
    kept(3, 12, &lossy, |store, idempotent| {
        assert!(!idempotent.anomalies().contains(&"duplicate"), "{:?}", idempotent.anomalies());
        all_is_taken_back(store);
    });
    patiently(3, 12, |store, tried| {
        let plain = run(store, &[&lossy[..], &["--idempotence", "false"], tried].concat());
        all_is_taken_back(store);
        let twice = plain.anomalies().contains(&"duplicate");
        if twice { Ok(()) } else { Err(format!("no duplicate: {}", plain.said)) }
    });
}

#[test]
fn what_a_forged_acknowledgement_promised_is_never_seen() {
    let forged = ["--fault-set", "frames=5", "--idempotence", "false"];
    patiently(4, 12, |store, tried| {
        let ran = run(store, &[&with("forge-response", &forged)[..], tried].concat());
        all_is_taken_back(store);
        ran.ended_with(1)?;
        let unseen = ran.report["anomalies"]["unseen"]["count"].as_u64();
        assert!(unseen.is_some_and(|count| count > 0), "{}\n{:#}", ran.said, ran.report);
        assert_eq!(ran.report["coverage"]["final_read"], "completed");
        assert!(ran.violations().contains(&"lost-tail"), "{:?}", ran.anomalies());
        Ok(())
    });
}

#[test]
fn a_correct_cluster_keeps_its_promises_when_its_leaders_are_cut_off_by_the_proxy() {
    let args = with("isolate-leader,isolate", &["--network", "proxy"]);
    kept(5, 14, &args, |store, _| all_is_taken_back(store));
}

#[test]
fn a_correct_cluster_keeps_its_promises_when_its_network_splits() {
    if let Err(why) = privileges::namespaces() {
        eprintln!("skipped: {why}");
        return;
    }
    let args = with("partition,one-way", &["--network", "namespaces"]);
    kept(6, 14, &args, |store, _| all_is_taken_back(store));
}

#[test]
fn disarmed_faults_prove_nothing() {
    let _turn = turn();
    let store = tempfile::tempdir().unwrap();
    let disarmed = ["--disarm", "--network", "proxy", "--time-limit", "10s", "--seed", "7"];
    let ran = run(store.path(), &with("partition,drop-response", &disarmed));
    assert_eq!(ran.code, 2, "{}\n{:#}", ran.said, ran.report);
    assert_eq!(ran.report["verdict"], "unknown");
}
