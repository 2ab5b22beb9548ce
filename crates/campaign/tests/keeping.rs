//! What is kept of runs, and the index that windows of a long history are read from.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use chrono::{DateTime, TimeDelta, Utc};
use perjury_campaign::{
    RunState, Shelf, expired, parse_plan, policy, prune, trend, windows, windows_so_far,
};
use perjury_store::{Index, Policy, Retention, RunId, Store};
use perjury_view::filter::{Filter, search};
use serde_json::json;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn row(i: u64) -> String {
    format!(
        "{{\"index\":{i},\"time\":{i},\"process\":{i},\"type\":\"invoke\",\"f\":\"poll\",\"value\":[[\"poll\"]]}}\n"
    )
}

#[test]
fn an_index_is_made_once_and_anew_for_a_changed_history() {
    let root = tempfile::tempdir().unwrap();
    let run = Store::open(root.path()).unwrap().create_run("a", chrono::Utc::now()).unwrap();
    let open = || windows(&run, &AtomicU64::new(0));
    let total = || search(&open().unwrap(), &Filter::default(), 0, 9).unwrap().total;
    assert!(open().is_err(), "there is no history");
    let head = "{\"perjury\":\"history\",\"format\":\"1.0\"}\n".to_owned();
    fs::write(run.history_path(), head.clone() + &row(0)).unwrap();
    assert_eq!(total(), 1);
    let made = fs::metadata(run.windows_path()).unwrap().modified().unwrap();
    assert_eq!(total(), 1);
    assert_eq!(fs::metadata(run.windows_path()).unwrap().modified().unwrap(), made);
    fs::write(run.history_path(), head.clone() + &row(0) + &row(1)).unwrap();
    assert_eq!(total(), 2);
    fs::write(run.windows_path(), "half an index").unwrap();
    assert_eq!(total(), 2);
    fs::write(run.history_path(), head + &row(0) + "{\"index\":1}\n").unwrap();
    assert!(open().unwrap_err().to_string().contains("line 3"));
    let names = fs::read_dir(run.path()).unwrap().map(|e| e.unwrap().file_name());
    let left: Vec<String> = names.map(|n| n.into_string().unwrap()).collect();
    assert!(!left.iter().any(|n| n.starts_with(".windows")), "no temporary file stays: {left:?}");
}

/// A run under way appends to its history while windows of what was there are read.
#[test]
fn windows_of_a_growing_history_are_those_of_its_beginning() {
    let root = tempfile::tempdir().unwrap();
    let run = Store::open(root.path()).unwrap().create_run("a", chrono::Utc::now()).unwrap();
    let mut text = "{\"perjury\":\"history\",\"format\":\"1.0\"}\n".to_owned() + &row(0) + &row(1);
    text.push_str("{\"index\":2,\"time\":2,\"proc");
    fs::write(run.history_path(), &text).unwrap();
    let read = AtomicU64::new(0);
    let so_far = windows_so_far(&run, text.len() as u64, &read).unwrap();
    assert_eq!(read.load(Ordering::Relaxed), text.len() as u64);
    fs::write(
        run.history_path(),
        text + "ess\":2,\"type\":\"invoke\",\"f\":\"poll\",\"value\":[[\"poll\"]]}\n",
    )
    .unwrap();
    assert_eq!(search(&so_far, &Filter::default(), 0, 9).unwrap().total, 2);
    let whole = windows(&run, &AtomicU64::new(0)).unwrap();
    assert_eq!(search(&whole, &Filter::default(), 0, 9).unwrap().total, 3);
    let names: Vec<_> = fs::read_dir(run.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!names.iter().any(|n| n.to_string_lossy().starts_with(".tmp")), "{names:?}");
}

fn place(store: &Store, name: &str, at: DateTime<Utc>, verdict: &str) -> RunId {
    let dir = store.create_run(name, at).unwrap();
    let found = if verdict == "invalid" { "violation" } else { "allowed" };
    dir.write_report(&json!({
        "schema": "perjury.report/1", "verdict": verdict,
        "anomalies": {"lost-write": {"count": 1, "judgement": found}},
    }))
    .unwrap();
    fs::write(dir.history_path(), "{\"perjury\":\"history\",\"format\":\"1.0\"}\n").unwrap();
    dir.mark_running(at).unwrap();
    dir.mark_complete(at).unwrap();
    dir.id().clone()
}

#[test]
fn violations_pins_and_unfinished_campaigns_stay_and_plans_have_their_own_rules() {
    let root = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(root.path()).unwrap());
    let index = Index::open(Arc::clone(&store)).unwrap();
    let shelf = Shelf::open(Arc::clone(&store)).unwrap();
    let now = Utc::now();
    let old = |days: i64| now - TimeDelta::days(days);
    let gone = place(&store, "night", old(9), "valid");
    let lost = place(&store, "night", old(8), "invalid");
    let pinned = place(&store, "night", old(7), "valid");
    let young = place(&store, "night", old(1), "valid");
    let own = place(&store, "release", old(6), "valid");
    store.run_dir(&pinned).unwrap().pin(true).unwrap();
    let rules = Retention { days: Some(5), newest: None };

    let none = expired(&index, &policy(&shelf, Retention::default()), now).unwrap();
    assert_eq!(none, []);
    assert_eq!(expired(&index, &policy(&shelf, rules), now).unwrap(), [gone.clone(), own.clone()]);

    let toml = "name = \"release\"\n[keep]\nnewest = 3\n";
    let runs = parse_plan(toml).unwrap().expand(&|_| Err("none".into())).unwrap();
    let campaign = shelf.create("release", toml, false, &runs, now).unwrap();
    let kept = policy(&shelf, rules);
    assert_eq!(kept.of_names["release"], Retention { days: None, newest: Some(3) });
    assert_eq!(prune(&index, &shelf, &kept, now).unwrap(), std::slice::from_ref(&gone));
    assert!(!store.run_dir(&gone).is_ok_and(|d| d.path().exists()));

    let mut under_way = campaign.clone();
    under_way.runs[0].run = Some(own.to_string());
    let file = root.path().join(".campaigns").join(&campaign.id).join("campaign.json");
    fs::write(file, serde_json::to_string(&under_way).unwrap()).unwrap();
    let none_of_it = Retention { days: Some(0), newest: None };
    let mut all = policy(&shelf, none_of_it);
    all.of_names.clear();
    assert_eq!(
        expired(&index, &all, now).unwrap(),
        [young],
        "{lost} broke a promise, {own} is wanted"
    );
}

/// What a rule deletes must not make violations look more likely: of a campaign's runs, and of runs of no campaign.
#[test]
fn retention_does_not_raise_the_probability_of_a_violation() {
    let root = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(root.path()).unwrap());
    let index = Index::open(Arc::clone(&store)).unwrap();
    let shelf = Shelf::open(Arc::clone(&store)).unwrap();
    let now = Utc::now();
    let day = |n: i64| now - TimeDelta::days(n);
    for (name, count) in [("single", 3), ("night-acks-1", 2)] {
        (0..count).for_each(|n| drop(place(&store, name, day(20 + n), "valid")));
        place(&store, name, day(10), "invalid");
        place(&store, name, day(9), "unknown");
    }
    let counted = |name: &str| {
        index.refresh_all().unwrap();
        let t = trend(&index, &shelf, name).unwrap();
        (t.judged.violations, t.judged.judged, t.flakes)
    };
    assert_eq!((counted("single"), counted("night-acks-1")), ((1, 4, 1), (1, 3, 1)));
    let policy = Policy::from(Retention { days: Some(5), newest: None });
    assert_eq!(prune(&index, &shelf, &policy, now).unwrap().len(), 7);
    assert_eq!(index.all().unwrap().len(), 2, "the violations");
    assert_eq!((counted("single"), counted("night-acks-1")), ((1, 4, 1), (1, 3, 1)));
    let gone = trend(&index, &shelf, "single").unwrap();
    assert_eq!(gone.points.iter().filter(|p| p.is_gone).count(), 4);
    for name in ["../.campaigns/gone/single", "/etc/passwd", ""] {
        assert_eq!(counted(name), (0, 0, 0), "{name}");
    }
}

/// A folder that somebody removed by hand: the campaign knows what came out of it.
#[test]
fn a_campaign_remembers_runs_whose_directories_are_gone() {
    let root = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(root.path()).unwrap());
    let index = Index::open(Arc::clone(&store)).unwrap();
    let shelf = Shelf::open(Arc::clone(&store)).unwrap();
    let now = Utc::now();
    let toml = "name = \"night\"\nseeds = [1, 2, 3, 4]\n";
    let runs = parse_plan(toml).unwrap().expand(&|_| Err("none".into())).unwrap();
    let mut campaign = shelf.create("night", toml, false, &runs, now).unwrap();
    let states = [RunState::Done, RunState::Done, RunState::Interrupted, RunState::Running];
    let verdicts = [Some("valid"), Some("invalid"), None, None];
    for ((run, state), verdict) in campaign.runs.iter_mut().zip(states).zip(verdicts) {
        let id = place(
            &store,
            "night",
            now - TimeDelta::days(i64::try_from(run.seed).unwrap()),
            "valid",
        );
        (run.run, run.state) = (Some(id.to_string()), state);
        run.verdict = verdict.map(str::to_owned);
    }
    let file = root.path().join(".campaigns").join(&campaign.id).join("campaign.json");
    fs::write(file, serde_json::to_string(&campaign).unwrap()).unwrap();
    fs::remove_dir_all(root.path().join("night")).unwrap();
    index.refresh_all().unwrap();
    let t = trend(&index, &shelf, "night").unwrap();
    assert_eq!((t.judged.violations, t.judged.judged, t.flakes), (1, 2, 1));
    assert!(t.points.iter().all(|p| p.is_gone && p.started_ms > 0), "{:?}", t.points);
}
