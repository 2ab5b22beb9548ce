//! What is kept of runs, and the index that windows of a long history are read from.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use chrono::{DateTime, TimeDelta, Utc};
use perjury_campaign::{Shelf, expired, parse_plan, policy, prune, windows};
use perjury_store::{Index, Retention, RunId, Store};
use perjury_view::filter::{Filter, search};
use serde_json::json;
use std::fs;
use std::sync::Arc;

fn row(i: u64) -> String {
    format!(
        "{{\"index\":{i},\"time\":{i},\"process\":{i},\"type\":\"invoke\",\"f\":\"poll\",\"value\":[[\"poll\"]]}}\n"
    )
}

#[test]
fn an_index_is_made_once_and_anew_for_a_changed_history() {
    let root = tempfile::tempdir().unwrap();
    let run = Store::open(root.path()).unwrap().create_run("a", chrono::Utc::now()).unwrap();
    let total = || search(&windows(&run).unwrap(), &Filter::default(), 0, 9).unwrap().total;
    assert!(windows(&run).is_err(), "there is no history");
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
    assert!(windows(&run).unwrap_err().to_string().contains("line 3"));
    let names = fs::read_dir(run.path()).unwrap().map(|e| e.unwrap().file_name());
    let left: Vec<String> = names.map(|n| n.into_string().unwrap()).collect();
    assert!(!left.iter().any(|n| n.starts_with(".windows")), "no temporary file stays: {left:?}");
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
    assert_eq!(prune(&index, &kept, now).unwrap(), [gone.clone()]);
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
