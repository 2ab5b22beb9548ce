//! Histories that are not Kafka's find their model by themselves and come out as the same kind of report.

mod support;

use perjury_checker::{Judgement, Model, Options, Report, Verdict, check, render};
use perjury_history::{Event, Header, HistoryBuilder};
use serde_json::{Value, json};

fn report(rows: &[Value]) -> Report {
    let mut builder = HistoryBuilder::new(Header::default());
    for row in rows {
        let event: Event = serde_json::from_value(row.clone()).expect("a row");
        builder.push(&event);
    }
    support::judge(&builder.finish())
}

fn row(process: u32, kind: &str, f: &str, value: Value) -> Value {
    json!({"process": process, "type": kind, "f": f, "value": value})
}

#[test]
fn a_stale_read_of_a_register_is_not_linearizable() {
    let report = report(&[
        row(0, "invoke", "write", json!(1)),
        row(0, "ok", "write", json!(1)),
        row(0, "invoke", "write", json!(2)),
        row(0, "ok", "write", json!(2)),
        row(1, "invoke", "read", Value::Null),
        row(1, "ok", "read", json!(1)),
    ]);
    assert_eq!((report.verdict, report.model.as_str()), (Verdict::Invalid, "cas-register"));
    let found = &report.anomalies["nonlinearizable"];
    assert_eq!((found.count, found.judgement), (1, Judgement::Violation));
    assert!(found.examples[0].ops.contains(&5), "{:?}", found.examples[0]);
    assert!(report.headline.starts_with("INVALID · "), "{}", report.headline);
}

#[test]
fn a_register_that_is_one_copy_is_valid() {
    let report = report(&[
        row(0, "invoke", "write", json!(1)),
        row(1, "invoke", "read", Value::Null),
        row(1, "ok", "read", json!(1)),
        row(0, "ok", "write", json!(1)),
    ]);
    assert_eq!((report.verdict, report.reasons.len()), (Verdict::Valid, 0));
    assert!(report.anomalies.is_empty());
    assert!(report.headline.starts_with("VALID · 2 operations"), "{}", report.headline);
}

#[test]
fn appends_that_two_reads_order_differently_are_found() {
    let read = |p, list: Value| {
        let open = row(p, "invoke", "txn", json!([["r", "x", null]]));
        [open, row(p, "ok", "txn", json!([["r", "x", list]]))]
    };
    let append = |p, v: i64| {
        let mop = json!([["append", "x", v]]);
        [row(p, "invoke", "txn", mop.clone()), row(p, "ok", "txn", mop)]
    };
    let rows =
        [append(0, 1), append(1, 2), read(2, json!([1, 2])), read(3, json!([2, 1]))].concat();
    let found = report(&rows);
    assert_eq!((found.verdict, found.model.as_str()), (Verdict::Invalid, "list-append"));
    assert!(found.anomalies.contains_key("incompatible-order"), "{:?}", found.anomalies);
    assert!(render::text(&found).contains("strict-serializable"));
    let rows = [append(0, 1), append(1, 2), read(2, json!([1, 2]))].concat();
    assert_eq!(report(&rows).verdict, Verdict::Valid);
}

#[test]
fn models_have_names() {
    for name in ["kafka", "list-append", "rw-register", "cas-register", "kv", "mutex", "queue"] {
        let model: Model = name.parse().expect("a model");
        assert_eq!(model.as_str(), name);
    }
    let error = "quagga".parse::<Model>().expect_err("no model");
    assert!(error.contains("list-append") && error.contains("kafka"), "{error}");
}

#[test]
fn a_history_without_operations_is_unknown() {
    let report = check(&HistoryBuilder::default().finish(), &Options::default());
    assert_eq!(report.verdict, Verdict::Unknown);
    assert_eq!(report.reasons, ["empty-history"]);
}
