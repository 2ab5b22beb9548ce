//! The small workloads: each anomaly by hand, each with a near miss.

use perjury_checker::elle::{GeneralVerdict, Options, Workload, check, recognise};
use perjury_checker::linear::Unlimited;
use perjury_history::{Event, Header, History, HistoryBuilder};
use serde_json::{Value, json};

fn history(rows: &Value) -> History {
    let mut builder = HistoryBuilder::new(Header::default());
    for r in rows.as_array().expect("rows") {
        let row = json!({"process": r[0], "type": r[1], "f": r[2], "value": r[3]});
        let event: Event = serde_json::from_value(row).expect("a well-formed row");
        builder.push(&event);
    }
    builder.finish()
}

#[track_caller]
fn finds(workload: Workload, rows: &Value, expected: &[&str]) {
    let history = history(rows);
    assert_eq!(recognise(&history), Some(workload));
    let report = check(&history, &Options::default(), &mut Unlimited);
    let names: Vec<&str> = report.anomalies.keys().map(String::as_str).collect();
    assert_eq!(names, expected, "{report:#?}");
    let verdict = if expected.is_empty() { GeneralVerdict::Valid } else { GeneralVerdict::Invalid };
    assert_eq!(report.verdict, verdict);
    assert_eq!(report.model, workload.as_str());
}

#[test]
fn ids_are_unique() {
    let rows = |second: Value| {
        json!([
            [0, "invoke", "generate", null],
            [0, "ok", "generate", 1],
            [1, "invoke", "generate", null],
            [1, "ok", "generate", second],
        ])
    };
    finds(Workload::UniqueIds, &rows(json!(1)), &["duplicate-id"]);
    finds(Workload::UniqueIds, &rows(json!(2)), &[]);
}

#[test]
fn sets_keep_what_was_added_and_nothing_else() {
    let rows = |third: &str, read: Value| {
        json!([
            [0, "invoke", "add", 1],
            [0, "ok", "add", 1],
            [0, "invoke", "add", 2],
            [0, "info", "add", 2],
            [1, "invoke", "add", 3],
            [1, third, "add", 3],
            [2, "invoke", "read", null],
            [2, "ok", "read", read],
        ])
    };
    finds(Workload::Set, &rows("ok", json!([1, 3])), &[]);
    finds(Workload::Set, &rows("ok", json!([1, 2, 3])), &[]);
    finds(Workload::Set, &rows("ok", json!([1])), &["lost-element"]);
    finds(Workload::Set, &rows("fail", json!([1])), &[]);
    finds(Workload::Set, &rows("fail", json!([1, 3])), &["unexpected-element"]);
    finds(Workload::Set, &rows("ok", json!([1, 3, 9])), &["unexpected-element"]);
}

#[test]
fn an_add_that_a_read_overlaps_may_be_missed() {
    let rows = json!([
        [2, "invoke", "read", null],
        [0, "invoke", "add", 1],
        [0, "ok", "add", 1],
        [2, "ok", "read", []],
    ]);
    finds(Workload::Set, &rows, &[]);
}

#[test]
fn counters_stay_within_bounds() {
    let rows = |read: i64| {
        json!([
            [0, "invoke", "add", 2],
            [0, "ok", "add", 2],
            [1, "invoke", "add", 3],
            [2, "invoke", "read", null],
            [2, "ok", "read", read],
            [1, "info", "add", 3],
        ])
    };
    finds(Workload::Counter, &rows(2), &[]);
    finds(Workload::Counter, &rows(5), &[]);
    finds(Workload::Counter, &rows(1), &["out-of-bounds"]);
    finds(Workload::Counter, &rows(6), &["out-of-bounds"]);
}

#[test]
fn banks_neither_make_nor_lose_money() {
    let rows = |second: Value| {
        json!([
            [0, "invoke", "read", null], [0, "ok", "read", {"0": 10, "1": 0}],
            [1, "invoke", "transfer", {"from": 0, "to": 1, "amount": 4}],
            [1, "ok", "transfer", {"from": 0, "to": 1, "amount": 4}],
            [0, "invoke", "read", null], [0, "ok", "read", second],
        ])
    };
    finds(Workload::Bank, &rows(json!({"0": 6, "1": 4})), &[]);
    finds(Workload::Bank, &rows(json!({"0": 6, "1": 5})), &["wrong-total"]);
    finds(Workload::Bank, &rows(json!({"0": 12, "1": -2})), &["negative-value"]);
}

#[test]
fn without_an_ok_read_nothing_is_known() {
    let history = history(&json!([[0, "invoke", "generate", null], [0, "fail", "generate", null]]));
    let report = check(&history, &Options::default(), &mut Unlimited);
    assert_eq!(report.verdict, GeneralVerdict::Unknown);
    assert_eq!(report.reasons[0].code, "no-successful-read");
}

#[test]
fn names_of_workloads() {
    for workload in Workload::ALL {
        assert_eq!(workload.as_str().parse(), Ok(workload));
    }
    assert!("stack".parse::<Workload>().is_err());
}
