//! The main job on real processes: three nodes, librdkafka clients, real signals.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;
use std::time::Duration;
use support::{caught, kept, latest, perjury, processes_of, run, stdout, turn};

/// Enough load and faults for a verdict, little enough for two cores.
const LOAD: [&str; 6] = ["--rate", "400", "--concurrency", "12", "--nemesis-interval", "2s"];

fn with<'a>(args: &[&'a str]) -> Vec<&'a str> {
    LOAD.iter().chain(args).copied().collect()
}

#[test]
fn a_correct_cluster_keeps_its_promises_under_kills_and_pauses_of_every_role() {
    let args = with(&["--nemesis", "kill,pause", "--target", "leader,follower,all"]);
    kept(11, 20, &args, |store, ran| {
        assert!(ran.report["coverage"]["faults_witnessed"].as_u64().unwrap() >= 2);
        assert!(ran.report["availability"]["formation_ms"].as_u64().is_some());
        let counts = &ran.report["counts"];
        assert!(counts["acknowledged"].as_u64().unwrap() > 300, "{counts}");
        let again = perjury(&["check", latest(store).to_str().unwrap(), "--output", "json"]);
        let mut checked: serde_json::Value = serde_json::from_str(&stdout(&again)).unwrap();
        let mut first = ran.report.clone();
        for report in [&mut checked, &mut first] {
            report.as_object_mut().unwrap().retain(|k, _| k != "timings" && k != "path");
        }
        assert_eq!(checked, first, "check gives the report of the run");
    });
}

#[test]
fn ack_before_replication_is_caught() {
    caught("ack-before-replication", None, 15, &with(&["--nemesis", "kill", "--target", "leader"]));
}

#[test]
fn duplicate_on_retry_is_caught() {
    caught("duplicate-on-retry", None, 15, &with(&["--nemesis", "kill", "--target", "leader"]));
}

#[test]
fn expose_uncommitted_is_caught() {
    caught("expose-uncommitted", None, 15, &with(&["--nemesis", "kill", "--target", "leader"]));
}

#[test]
fn forget_unsynced_is_caught() {
    caught("forget-unsynced", None, 15, &with(&["--nemesis", "kill", "--target", "all"]));
}

#[test]
fn the_first_violation_ends_a_run_that_fails_fast() {
    let _turn = turn();
    let store = tempfile::tempdir().unwrap();
    let bug = ["--bug", "duplicate-on-retry", "--fail-fast", "--time-limit", "60s", "--seed", "5"];
    let ran = run(store.path(), &with(&bug));
    assert_eq!(ran.code, 1, "{}", ran.said);
    assert!(ran.said.contains("found   duplicate: "), "{}", ran.said);
    let history = std::fs::read_to_string(latest(store.path()).join("history.jsonl")).unwrap();
    let events = history.lines().skip(1).map(|l| serde_json::from_str(l).unwrap());
    let events: Vec<serde_json::Value> = events.collect();
    let ended = events.iter().find(|e| e["f"] == "fail-fast").unwrap();
    assert_eq!(ended["value"]["anomaly"], "duplicate");
    let recovery = events.iter().find(|e| e["value"]["phase"] == "recovery").unwrap();
    assert!(
        recovery["time"].as_i64().unwrap() < 60_000_000_000,
        "clients did not go on to the end"
    );
    assert_eq!(
        ran.report["coverage"]["final_read"], "completed",
        "what was promised was read back"
    );
}

#[test]
fn faults_that_do_nothing_give_unknown() {
    let _turn = turn();
    for nemesis in ["noop", "none"] {
        let store = tempfile::tempdir().unwrap();
        let ran =
            run(store.path(), &with(&["--nemesis", nemesis, "--time-limit", "6s", "--seed", "5"]));
        assert_eq!(ran.code, 2, "{nemesis}: {:#}", ran.report);
        assert!(ran.reasons().contains(&"no-fault-witnessed"), "{nemesis}: {:?}", ran.reasons());
    }
}

#[test]
fn a_run_that_read_nothing_is_unknown() {
    let _turn = turn();
    let store = tempfile::tempdir().unwrap();
    let args =
        ["--poll-ratio", "0", "--final-time-limit", "0", "--time-limit", "8s", "--seed", "6"];
    let ran = run(store.path(), &with(&args));
    assert_eq!(ran.code, 2, "{:#}", ran.report);
    assert!(ran.reasons().contains(&"no-successful-read"), "{:?}", ran.reasons());
}

/// Starts a run in the background, sends `signal` to it once faults were injected, and waits for its end.
fn signalled(store: &std::path::Path, signal: Signal) -> Option<i32> {
    let mut command = support::binary();
    let path = store.to_str().unwrap();
    command
        .args(["run", "--store", path, "--nemesis", "pause", "--time-limit", "120s", "--seed", "9"])
        .args(LOAD);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let history =
        |()| std::fs::read_to_string(latest(store).join("history.jsonl")).unwrap_or_default();
    let paused = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        store.join("latest").exists() && history(()).contains("\"phase\":\"injected\"")
    });
    assert!(paused, "no fault within a minute");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    child.wait().unwrap().code()
}

#[test]
fn sigkill_of_perjury_leaves_no_process_and_a_history_that_can_be_checked() {
    let _turn = turn();
    let store = tempfile::tempdir().unwrap();
    assert_eq!(signalled(store.path(), Signal::SIGKILL), None);
    let gone = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        processes_of(store.path()).is_empty()
    });
    assert!(gone, "still running: {:?}", processes_of(store.path()));
    let checked = perjury(&["check", latest(store.path()).to_str().unwrap(), "--output", "json"]);
    let report: serde_json::Value = serde_json::from_str(&stdout(&checked)).unwrap();
    assert_eq!(checked.status.code(), Some(2), "{report:#}");
    let reasons = report["reasons"].to_string();
    assert!(reasons.contains("no-final-read"), "{reasons}");
}

#[test]
fn ctrl_c_ends_the_cluster_and_keeps_what_was_recorded() {
    let _turn = turn();
    let store = tempfile::tempdir().unwrap();
    assert_eq!(signalled(store.path(), Signal::SIGINT), Some(2));
    assert_eq!(processes_of(store.path()), Vec::<i32>::new());
    let report = std::fs::read_to_string(latest(store.path()).join("report.json")).unwrap();
    assert!(report.contains("\"interrupted\""), "{report}");
}
