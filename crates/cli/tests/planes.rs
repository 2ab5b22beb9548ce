//! Faults beyond signals, on real processes with librdkafka clients: the verdicts that they must have.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use perjury_cluster::privileges;
use std::path::Path;
use support::{kept, latest, patiently, processes_of, run, turn};

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

/// How many runs with faults that do nothing are made, and how many of them at a time.
const DISARMED_RUNS: usize = 10;
const AT_A_TIME: usize = 5;

#[test]
fn with_every_nemesis_replaced_by_a_no_op_ten_of_ten_runs_are_unknown() {
    let _turn = turn();
    let possible: Vec<_> =
        privileges::privileges().into_iter().filter(|(_, can)| can.is_ok()).collect();
    // Every kind that can be injected here is in one of the runs.
    let share = |n: usize| possible.iter().map(|(kind, _)| *kind).skip(n).step_by(DISARMED_RUNS);
    let store = tempfile::tempdir().unwrap();
    let disarmed = |n: usize| {
        let mut args: Vec<String> = Vec::new();
        for (at, kind) in share(n).enumerate() {
            args.push("--schedule".to_owned());
            args.push(format!("{kind} leader at {}ms for 500ms", 500 + at * 1_000));
        }
        let more = ["--disarm", "--rate", "300", "--concurrency", "6", "--time-limit", "5s"];
        args.extend(more.map(str::to_owned));
        args.extend(["--seed".to_owned(), n.to_string()]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        run(&store.path().join(n.to_string()), &args)
    };
    let runs: Vec<usize> = (0..DISARMED_RUNS).collect();
    for some in runs.chunks(AT_A_TIME) {
        std::thread::scope(|scope| {
            let each = some.iter().map(|n| (*n, scope.spawn(move || disarmed(*n))));
            for (n, ran) in each.collect::<Vec<_>>() {
                let ran = ran.join().unwrap();
                assert_eq!(ran.code, 2, "{}\n{:#}", ran.said, ran.report);
                assert_eq!(ran.report["verdict"], "unknown");
                assert!(ran.reasons().contains(&"no-fault-witnessed"), "{:?}", ran.reasons());
                let latest = latest(&store.path().join(n.to_string()));
                let history = std::fs::read_to_string(latest.join("history.jsonl")).unwrap();
                let injected = history.matches("\"phase\":\"injected\"").count();
                assert_eq!(injected, share(n).count(), "{}", ran.said);
            }
        });
    }
    assert_eq!(processes_of(store.path()), Vec::<i32>::new());
}
