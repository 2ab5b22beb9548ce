//! Transactions in a few characters, and histories of them.
use perjury_checker::elle::{GeneralReport, GeneralVerdict, Options, check};
use perjury_checker::linear::Unlimited;
use perjury_history::{Event, F, Header, History, HistoryBuilder, Kind, Payload, Process};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How a transaction ended.
pub(crate) use perjury_history::Kind::{Fail, Info, Ok as Okay};

/// A transaction: when it was invoked, when it completed, how, and what it did.
///
/// `ax1` appends 1 to x, `rx12` reads x as the list 1 2, `wx1` writes 1 to x; with registers `rx1` reads 1, and `rx`
/// reads nothing in both.
pub(crate) type Txn<'t> = (u64, u64, Kind, &'t str);

/// Lists or registers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Lists,
    Registers,
}

fn mop(text: &str, on: On, asked: bool) -> Value {
    let mut chars = text.chars();
    let f = chars.next().expect("a function");
    let key = chars.next().expect("a key").to_string();
    let values: Vec<i64> =
        chars.map(|c| i64::from(c.to_digit(36).expect("a digit or a letter"))).collect();
    match (f, on) {
        ('a', _) => json!(["append", key, values[0]]),
        ('w', _) => json!(["w", key, values[0]]),
        ('r', _) if asked => json!(["r", key, null]),
        ('r', On::Lists) if values.is_empty() => json!([":r", key, null]),
        ('r', On::Lists) => json!([":r", key, values]),
        ('r', On::Registers) => json!(["r", key, values.first()]),
        _ => panic!("{text}"),
    }
}

fn mops(text: &str, on: On, asked: bool) -> Value {
    text.split_whitespace().map(|m| mop(m, on, asked)).collect()
}

fn event(process: u32, kind: Kind, value: Value) -> Event {
    Event {
        index: 0,
        time: None,
        process: Some(Process::Client(process)),
        kind,
        f: F::Txn,
        value: Payload::Json(value),
        error: None,
        ext: serde_json::Map::new(),
    }
}

/// The history of these transactions, each by its own process.
pub(crate) fn history(txns: &[Txn<'_>], on: On) -> History {
    by_processes(&(0..).zip(txns.iter().copied()).collect::<Vec<_>>(), on)
}

/// The history of these transactions with their processes.
pub(crate) fn by_processes(txns: &[(u32, Txn<'_>)], on: On) -> History {
    let mut rows: Vec<(u64, Event)> = Vec::new();
    for (process, (invoke, complete, kind, text)) in txns {
        rows.push((*invoke, event(*process, Kind::Invoke, mops(text, on, true))));
        let known = *kind != Kind::Info;
        rows.push((*complete, event(*process, *kind, mops(text, on, !known))));
    }
    rows.sort_by_key(|(at, _)| *at);
    let mut builder = HistoryBuilder::new(Header::default());
    rows.iter().for_each(|(_, event)| builder.push(event));
    builder.finish()
}

/// Checks under the named models.
pub(crate) fn under(history: &History, models: &[&str]) -> GeneralReport {
    let models = models.iter().map(|m| (*m).to_owned()).collect();
    let options = Options { consistency_models: models, ..Options::default() };
    check(history, &options, &mut Unlimited)
}

/// The names of what was found.
pub(crate) fn names(report: &GeneralReport) -> BTreeSet<&str> {
    report.anomalies.keys().map(String::as_str).collect()
}

/// Exactly these anomalies are found, and the history is invalid if there are any.
#[track_caller]
pub(crate) fn finds(txns: &[Txn<'_>], on: On, expected: &[&str]) -> GeneralReport {
    let report = under(&history(txns, on), &["strict-serializable"]);
    let expected: BTreeSet<&str> = expected.iter().copied().collect();
    assert_eq!(names(&report), expected, "{report:#?}");
    for anomaly in report.anomalies.values() {
        for example in &anomaly.examples {
            assert!(example.sentence.ends_with('.'), "{}", example.sentence);
        }
    }
    // Few transactions may not depend on each other at all, which is unknown.
    let invalid = report.verdict == GeneralVerdict::Invalid;
    assert_eq!(invalid, !expected.is_empty(), "{report:#?}");
    report
}
