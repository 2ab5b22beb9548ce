//! The index as lists and trends use it: always what the directories say.
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use perjury_store::{
    GoneRun, Index, Policy, Retention, RunDir, RunQuery, RunStatus, RunSummary, Sort, Store,
    StoreError,
};
use serde_json::json;
use std::fs;
use std::sync::Arc;

fn at(second: i64) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 23, 12, 0, 0).unwrap() + TimeDelta::seconds(second)
}

fn opened(dir: &tempfile::TempDir) -> (Arc<Store>, Index) {
    let store = Arc::new(Store::open(dir.path().join("store")).unwrap());
    let index = Index::open(Arc::clone(&store)).unwrap();
    (store, index)
}

/// A run that is over, of this verdict, on this version.
fn finished(store: &Store, name: &str, second: i64, verdict: &str, version: &str) -> RunDir {
    let run = store.create_run(name, at(second)).unwrap();
    let header = json!({
        "perjury": "history", "format": "1.0", "name": name, "seed": second, "workload": "queue",
        "nemesis": ["kill"], "cluster": {"driver": "testbed", "version": version},
    });
    fs::write(run.history_path(), format!("{header}\n")).unwrap();
    let anomalies = match verdict {
        "invalid" => json!({"lost-write": {"count": 3, "judgement": "violation"}}),
        _ => json!({"unseen": {"count": 1, "judgement": "allowed"}}),
    };
    run.write_report(&json!({
        "schema": "perjury.report/1", "verdict": verdict, "operations": 100 + second,
        "headline": format!("100% of orders_{second}"), "anomalies": anomalies,
    }))
    .unwrap();
    run.mark_complete(at(second + 1)).unwrap();
    run
}

fn agree(store: &Store, index: &Index) {
    index.refresh().unwrap();
    assert_eq!(index.all().unwrap(), store.list().unwrap());
}

fn found(index: &Index, query: RunQuery) -> Vec<String> {
    let page = index.list(&RunQuery { limit: 100, ..query }).unwrap();
    assert_eq!(page.total, page.runs.len());
    page.runs.into_iter().map(|r| r.id).collect()
}

#[test]
fn whatever_happens_to_the_directories_the_index_follows() {
    let dir = tempfile::tempdir().unwrap();
    let (store, index) = opened(&dir);
    agree(&store, &index);
    let run = store.create_run("a", at(0)).unwrap();
    agree(&store, &index);
    assert_eq!(index.all().unwrap()[0].status, RunStatus::Running);
    fs::write(run.history_path(), "{\"perjury\":\"history\",\"workload\":\"queue\"}\n").unwrap();
    agree(&store, &index);
    run.write_report(&json!({"schema": "perjury.report/1", "verdict": "valid"})).unwrap();
    run.mark_complete(at(9)).unwrap();
    agree(&store, &index);
    let other = finished(&store, "b", 20, "invalid", "1");
    agree(&store, &index);
    // A directory that is copied in appears, one that is moved away goes.
    let copy = store.root().join("c/copied");
    fs::create_dir_all(&copy).unwrap();
    agree(&store, &index);
    for file in ["history.jsonl", "report.json", "status.json"] {
        fs::copy(other.path().join(file), copy.join(file)).unwrap();
        agree(&store, &index);
    }
    fs::rename(other.path(), dir.path().join("away")).unwrap();
    agree(&store, &index);
    fs::remove_dir_all(store.root().join("c")).unwrap();
    agree(&store, &index);
    assert_eq!(index.all().unwrap().len(), 1);
}

#[test]
fn a_report_changed_in_place_is_found_by_a_look_at_everything() {
    let dir = tempfile::tempdir().unwrap();
    let (store, index) = opened(&dir);
    let run = finished(&store, "a", 0, "valid", "1");
    agree(&store, &index);
    fs::write(run.report_path(), "{\"schema\": \"perjury.report/1\", \"verdict\": \"invalid\"}")
        .unwrap();
    assert_eq!(index.refresh_all().unwrap().read, 1);
    assert_eq!(index.all().unwrap(), store.list().unwrap());
    assert_eq!(index.all().unwrap()[0].verdict.as_deref(), Some("invalid"));
}

#[test]
fn a_damaged_index_is_made_anew_and_reindexing_gives_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (store, index) = opened(&dir);
    for second in 0..5 {
        finished(&store, "a", second, "valid", "1");
    }
    agree(&store, &index);
    let before = (index.all().unwrap(), index.revision().unwrap());
    assert_eq!(index.reindex().unwrap().read, 5);
    assert_eq!(index.all().unwrap(), before.0);
    assert!(index.revision().unwrap() > before.1);
    drop(index);
    fs::write(store.root().join(".index/index.sqlite"), "no database at all, but long enough")
        .unwrap();
    let index = Index::open(Arc::clone(&store)).unwrap();
    agree(&store, &index);
    assert_eq!(index.all().unwrap().len(), 5);
}

#[test]
fn the_list_is_searched_filtered_sorted_and_grouped() {
    let dir = tempfile::tempdir().unwrap();
    let (store, index) = opened(&dir);
    finished(&store, "a", 1, "valid", "1");
    finished(&store, "a", 2, "invalid", "2");
    finished(&store, "b", 3, "unknown", "2");
    agree(&store, &index);
    let text = |t: &str| Some(t.to_owned());
    let of = |query: RunQuery| {
        let times = found(&index, query).into_iter();
        times.map(|id| id.split_at(id.len() - 6).1[..1].to_owned()).collect::<String>()
    };
    assert_eq!(of(RunQuery::default()), "321");
    assert_eq!(of(RunQuery { q: vec!["LOST".into(), "a/".into()], ..RunQuery::default() }), "2");
    // Percent and underscore stand for themselves.
    assert_eq!(
        of(RunQuery { q: vec!["100%".into(), "orders_1".into()], ..RunQuery::default() }),
        "1"
    );
    assert_eq!(of(RunQuery { q: vec!["1%o".into()], ..RunQuery::default() }), "");
    assert_eq!(
        of(RunQuery { verdict: vec!["invalid".into(), "valid".into()], ..RunQuery::default() }),
        "21"
    );
    assert_eq!(of(RunQuery { status: vec!["running".into()], ..RunQuery::default() }), "");
    assert_eq!(of(RunQuery { anomaly: text("lost-write"), ..RunQuery::default() }), "2");
    assert_eq!(
        of(RunQuery { nemesis: text("kill"), name: text("a"), ..RunQuery::default() }),
        "21"
    );
    assert_eq!(of(RunQuery { cluster: text("TESTBED 2"), ..RunQuery::default() }), "32");
    let since = at(2).timestamp_millis();
    assert_eq!(
        of(RunQuery { since_ms: Some(since), until_ms: Some(since), ..RunQuery::default() }),
        "2"
    );
    assert_eq!(of(RunQuery { sort: "operations".parse().unwrap(), ..RunQuery::default() }), "123");
    assert_eq!(of(RunQuery { sort: "verdict".parse().unwrap(), ..RunQuery::default() }), "231");
    assert!("-colour".parse::<Sort>().unwrap_err().contains("started"));

    let page = index.list(&RunQuery { limit: 1, offset: 1, ..RunQuery::default() }).unwrap();
    assert_eq!((page.runs.len(), page.total, page.stored), (1, 3, 3));
    assert_eq!((page.verdicts.invalid, page.verdicts.valid, page.verdicts.unknown), (1, 1, 1));
    let groups = index.groups(&RunQuery::default()).unwrap();
    let brief: Vec<_> = groups.iter().map(|g| (g.name.as_str(), g.runs, g.invalid)).collect();
    assert_eq!(brief, [("b", 1, 0), ("a", 2, 1)]);
    assert_eq!(groups[1].latest.verdict.as_deref(), Some("invalid"));
}

#[test]
fn a_trend_keeps_flakes_apart_and_versions_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let (store, index) = opened(&dir);
    for (second, verdict, version) in
        [(1, "valid", "1"), (2, "valid", "1"), (3, "invalid", "2"), (4, "unknown", "2")]
    {
        finished(&store, "a", second, verdict, version);
    }
    finished(&store, "other", 5, "invalid", "2");
    store.create_run("a", at(6)).unwrap();
    agree(&store, &index);
    let trend = index.trend("a", &[]).unwrap();
    assert_eq!((trend.judged.violations, trend.judged.judged, trend.flakes), (1, 3, 1));
    assert_eq!(trend.points.len(), 5);
    let versions: Vec<_> = trend
        .by_version
        .iter()
        .map(|v| (v.version.as_deref(), v.judged.violations, v.judged.judged))
        .collect();
    assert_eq!(versions, [(None, 0, 0), (Some("testbed 1"), 0, 2), (Some("testbed 2"), 1, 1)]);
    assert_eq!(index.trend("nobody", &[]).unwrap().judged.interval, [0.0, 1.0]);
}

#[test]
fn runs_that_are_gone_still_count_in_a_trend_and_none_counts_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (store, index) = opened(&dir);
    let there = finished(&store, "a", 5, "invalid", "2");
    agree(&store, &index);
    let gone = |id: String, second: i64, verdict: Option<&str>, version: Option<&str>| GoneRun {
        id,
        started_ms: at(second).timestamp_millis(),
        verdict: verdict.map(str::to_owned),
        cluster: version.map(str::to_owned),
    };
    let records = [
        gone("a/first".into(), 1, Some("valid"), Some("testbed 1")),
        gone("a/later".into(), 9, Some("valid"), None),
        gone("a/cut".into(), 3, None, None),
        gone("b/other".into(), 2, Some("valid"), None),
        // What the directory says outweighs a record of the same run.
        gone(there.id().to_string(), 5, Some("valid"), Some("testbed 2")),
    ];
    let trend = index.trend("a", &records).unwrap();
    assert_eq!((trend.judged.violations, trend.judged.judged, trend.flakes), (1, 3, 1));
    let points: Vec<_> = trend.points.iter().map(|p| (p.verdict.as_str(), p.is_gone)).collect();
    assert_eq!(points, [("valid", true), ("none", true), ("invalid", false), ("valid", true)]);
    let versions: Vec<_> = trend
        .by_version
        .iter()
        .map(|v| (v.version.as_deref(), v.judged.violations, v.judged.judged))
        .collect();
    assert_eq!(versions, [(None, 0, 1), (Some("testbed 1"), 0, 1), (Some("testbed 2"), 1, 1)]);
}

#[test]
fn retention_never_takes_what_broke_a_promise_or_is_not_judged() {
    let dir = tempfile::tempdir().unwrap();
    let (store, index) = opened(&dir);
    finished(&store, "a", 1, "valid", "1");
    finished(&store, "a", 2, "invalid", "1");
    finished(&store, "a", 3, "valid", "1");
    fs::remove_file(finished(&store, "a", 4, "valid", "1").report_path()).unwrap();
    store.create_run("a", at(5)).unwrap();
    finished(&store, "a", 6, "valid", "1");
    agree(&store, &index);
    let runs: Vec<RunSummary> = index.all().unwrap();
    let later = at(10 * 86_400);
    let gone = |rules: Retention| -> Vec<String> {
        Policy::from(rules)
            .expired(&runs, later)
            .iter()
            .map(|id| id.time()[13..15].to_owned())
            .collect()
    };
    assert_eq!(gone(Retention::default()), Vec::<String>::new());
    assert_eq!(gone(Retention { days: Some(5), newest: None }), ["01", "03", "06"]);
    assert_eq!(gone(Retention { days: Some(5), newest: Some(1) }), ["01", "03"]);
    assert_eq!(gone(Retention { days: Some(20), newest: None }), Vec::<String>::new());
    for id in Policy::from(Retention { days: Some(5), newest: None }).expired(&runs, later) {
        store.remove_run(&id).unwrap();
        assert!(matches!(store.run_dir(&id), Err(StoreError::NoSuchRun { .. })));
    }
    agree(&store, &index);
    assert_eq!(index.all().unwrap().len(), 3);
    let newest = store.latest(Some("a")).unwrap();
    assert!(matches!(store.remove_run(newest.id()), Err(StoreError::Running { .. })));
}
