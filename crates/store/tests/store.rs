//! A store as its users meet it: runs come, end, break, are copied in and taken away.
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

use chrono::{DateTime, TimeZone, Utc};
use perjury_store::{RunId, RunStatus, RunSummary, Store, StoreError};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn at(second: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 23, 12, 4, second).unwrap()
}

fn header(name: &str) -> String {
    let header = json!({
        "perjury": "history", "format": "1.0", "name": name, "seed": 7, "workload": "queue",
        "nemesis": ["kill"], "started": "2026-11-23T12:04:00Z",
        "cluster": {"driver": "testbed", "version": "0.1.0", "bugs": ["forget-unsynced"]},
    });
    format!("{header}\n")
}

fn report(verdict: &str) -> Value {
    json!({
        "schema": "perjury.report/1", "verdict": verdict, "reasons": [], "operations": 41230,
        "headline": "3 acknowledged records lost on orders-2",
        "anomalies": {
            "lost-write": {"count": 3, "judgement": "violation", "examples": [{"sentence": "…"}]},
            "unseen": {"count": 2, "judgement": "unspecified"},
            "poll-skip": {"count": 9, "violations": 4, "judgement": "violation"},
        },
        "a field of a newer version": {"x": 1},
    })
}

fn only(store: &Store) -> RunSummary {
    let mut runs = store.list().unwrap();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.remove(0)
}

#[test]
fn a_run_goes_from_running_to_complete() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("deep/store")).unwrap();
    assert!(store.list().unwrap().is_empty());

    let run = store.create_run("leader-kill", at(31)).unwrap();
    assert_eq!(run.id().to_string(), "leader-kill/20261123T120431.000Z");
    assert_eq!(only(&store).status, RunStatus::Running);

    fs::write(run.history_path(), header("leader-kill")).unwrap();
    let running = only(&store);
    assert_eq!((running.status, running.seed), (RunStatus::Running, Some(7)));
    assert_eq!(running.verdict, None);

    run.write_plan(&json!({"seed": 7})).unwrap();
    run.write_report(&report("invalid")).unwrap();
    run.mark_complete(at(59)).unwrap();

    let done = only(&store);
    assert_eq!(done.status, RunStatus::Complete);
    assert_eq!(done.verdict.as_deref(), Some("invalid"));
    assert_eq!((done.operations, done.violations), (Some(41230), 7));
    assert_eq!(done.anomalies["unseen"], 2);
    assert_eq!(done.cluster.as_deref(), Some("testbed 0.1.0"));
    assert_eq!(done.bugs, ["forget-unsynced"]);
    assert_eq!(done.started.as_deref(), Some("2026-11-23T12:04:31.000Z"));
    assert_eq!(done.finished.as_deref(), Some("2026-11-23T12:04:59.000Z"));
    assert_eq!(done.problem, None);

    let loaded = store.load(run.id()).unwrap();
    assert_eq!(loaded.plan, Some(json!({"seed": 7})));
    assert_eq!(loaded.report.unwrap()["a field of a newer version"]["x"], 1);
    assert_eq!(loaded.header.unwrap()["workload"], "queue");
}

#[test]
fn runs_of_one_instant_do_not_collide_and_latest_follows() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(matches!(store.latest(None), Err(StoreError::NoSuchRun { .. })));
    let first = store.create_run("a", at(1)).unwrap();
    let second = store.create_run("a", at(1)).unwrap();
    assert_eq!(second.id().time(), "20261123T120401.001Z");
    assert_ne!(first.path(), second.path());
    assert_eq!(store.latest(Some("a")).unwrap(), second);
    let other = store.create_run("b", at(2)).unwrap();
    assert_eq!(store.latest(None).unwrap(), other);
    assert_eq!(store.latest(Some("a")).unwrap(), second);
    assert!(dir.path().join("latest/status.json").is_file());
    assert_eq!(store.list().unwrap().len(), 3, "links are not runs");
}

#[test]
fn names_that_could_lead_out_of_the_store_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    for bad in ["", "..", "../x", "a/b", ".x", "latest", "a b", "/abs"] {
        assert!(matches!(store.create_run(bad, at(1)), Err(StoreError::BadId(_))), "{bad:?}");
        assert!(store.latest(Some(bad)).is_err(), "{bad:?}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_dead_writer_leaves_an_interrupted_run() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let run = store.create_run("a", at(1)).unwrap();
    fs::write(run.history_path(), header("a")).unwrap();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let status = json!({"status": "running", "pid": child.id(), "pid_start": 1, "started": at(1)});
    fs::write(run.path().join("status.json"), status.to_string()).unwrap();
    assert_eq!(only(&store).status, RunStatus::Interrupted);

    // A check of what is left gives it a verdict, and it stays marked.
    run.write_report(&report("unknown")).unwrap();
    let checked = only(&store);
    assert_eq!(checked.status, RunStatus::Interrupted);
    assert_eq!(checked.verdict.as_deref(), Some("unknown"));

    run.mark_interrupted(at(9), "Ctrl-C").unwrap();
    assert_eq!(only(&store).problem.as_deref(), Some("Interrupted: Ctrl-C"));
}

#[test]
fn broken_directories_are_listed_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let place = |name: &str| {
        let path = dir.path().join(name).join("20261123T120431.207Z");
        fs::create_dir_all(&path).unwrap();
        path
    };
    place("empty");
    let torn = place("torn-report");
    fs::write(torn.join("history.jsonl"), header("torn-report")).unwrap();
    fs::write(torn.join("report.json"), "{\"schema\": \"perjury.rep").unwrap();
    let newer = place("newer-report");
    fs::write(newer.join("history.jsonl"), header("newer-report")).unwrap();
    fs::write(newer.join("report.json"), "{\"schema\": \"perjury.report/9\"}").unwrap();
    let binary = place("binary-status");
    fs::write(binary.join("history.jsonl"), [0xff_u8, 0, 1]).unwrap();
    fs::write(binary.join("status.json"), [0xff_u8, 0, 1]).unwrap();
    let unchecked = place("unchecked");
    fs::write(unchecked.join("history.jsonl"), header("unchecked")).unwrap();
    let copied = place("copied");
    fs::write(copied.join("history.jsonl"), header("copied")).unwrap();
    fs::write(copied.join("report.json"), report("valid").to_string()).unwrap();
    // What is no run is passed over.
    fs::write(dir.path().join("README"), "x").unwrap();
    fs::create_dir_all(dir.path().join(".git/objects")).unwrap();

    let runs = store.list().unwrap();
    let of = |name: &str| runs.iter().find(|r| r.name == name).unwrap();
    assert_eq!(runs.len(), 6);
    for (name, named) in [
        ("empty", "history.jsonl"),
        ("torn-report", "report.json"),
        ("newer-report", "perjury check"),
        ("binary-status", "status.json"),
    ] {
        assert_eq!(of(name).status, RunStatus::Unreadable, "{name}");
        let problem = of(name).problem.as_deref().unwrap();
        assert!(problem.contains(named), "{name}: {problem}");
    }
    assert_eq!(of("unchecked").status, RunStatus::Unchecked);
    assert_eq!(of("copied").status, RunStatus::Complete);
    assert_eq!(of("copied").started.as_deref(), Some("2026-11-23T12:04:00.000Z"));

    for run in &runs {
        let id: RunId = run.id.parse().unwrap();
        assert_eq!(store.load(&id).unwrap().summary, *run);
    }
    fs::remove_dir_all(dir.path().join("torn-report")).unwrap();
    assert_eq!(store.list().unwrap().len(), 5);
}

#[test]
fn the_list_is_newest_first_and_sees_changes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for (name, second) in [("b", 5), ("a", 9), ("c", 1)] {
        let run = store.create_run(name, at(second)).unwrap();
        fs::write(run.history_path(), header(name)).unwrap();
    }
    let names = |store: &Store| -> Vec<String> {
        store.list().unwrap().into_iter().map(|r| r.name).collect()
    };
    assert_eq!(names(&store), ["a", "b", "c"]);
    let run = store.latest(Some("b")).unwrap();
    run.write_report(&report("valid")).unwrap();
    let line = |verdict: &str| {
        store.list().unwrap().into_iter().any(|r| r.verdict.as_deref() == Some(verdict))
    };
    assert!(line("valid"));
    run.write_report(&report("invalid")).unwrap();
    assert!(line("invalid") && !line("valid"));
}

#[test]
fn a_linked_run_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside/20261123T120431.207Z");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("history.jsonl"), header("outside")).unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let link = |target: &Path, link: &str| {
        std::os::unix::fs::symlink(target, store.root().join(link)).unwrap();
    };
    link(&dir.path().join("outside"), "linked");
    fs::create_dir(store.root().join("real")).unwrap();
    link(&outside, "real/20261123T120431.207Z");
    assert!(store.list().unwrap().is_empty());
    let id = RunId::new("real", "20261123T120431.207Z").unwrap();
    assert!(matches!(store.load(&id), Err(StoreError::NoSuchRun { .. })));
}
