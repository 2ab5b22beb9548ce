//! Small workloads with an invariant of their own: unique ids, sets, counters and banks, as elle-cli knows them.
//!
//! - *unique-ids*: `generate` answers ids. `duplicate-id`: two ok operations were given the same.
//! - *set*: `add` puts an element in, `read` answers all of them. `lost-element`: an element was added, and a read that
//!   was invoked later does not have it. `unexpected-element`: a read has one that nobody tried to add, or whose add
//!   failed before the read was invoked.
//! - *counter*: `add` adds a number, `read` answers the sum. `out-of-bounds`: a read is below the sum of what had
//!   definitely been added and above nothing that could explain it, or above the sum of all that could have been.
//! - *bank*: `transfer` moves money between accounts, `read` answers all balances. `wrong-total`: a read's balances do
//!   not add up to the total of the first ok read; `negative-value`: a balance is below 0.

use super::Workload;
use super::report::{Cases, GeneralExample, GeneralReason, GeneralReport, GeneralVerdict};
use super::txns::word;
use perjury_history::{History, Kind, Process};
use rustc_hash::FxHashMap;
use serde_json::Value;

/// An operation with its outcome.
struct Row<'h> {
    f: &'h str,
    /// The event of its invocation; of its completion where the history has no invocations.
    invoke: u64,
    /// The event of its completion, and how it ended.
    end: Option<(u64, Kind)>,
    asked: &'h Value,
    answered: &'h Value,
}

impl Row<'_> {
    fn is_ok(&self) -> bool {
        self.end.is_some_and(|(_, kind)| kind == Kind::Ok)
    }

    fn is_failed(&self) -> bool {
        self.end.is_some_and(|(_, kind)| kind == Kind::Fail)
    }

    fn event(&self) -> u64 {
        self.end.map_or(self.invoke, |(event, _)| event)
    }
}

fn rows(history: &History) -> Vec<Row<'_>> {
    const NULL: &Value = &Value::Null;
    let datum = |i: usize| history.json(i).unwrap_or(NULL);
    let mut rows = Vec::new();
    for i in 0..history.len() {
        if !history.process(i).is_none_or(Process::is_client) {
            continue;
        }
        let f = history.f(i).as_str().trim_start_matches(':');
        if history.kind(i) == Kind::Invoke {
            let end = history.pair(i);
            rows.push(Row {
                f,
                invoke: i as u64,
                end: end.map(|e| (e as u64, history.kind(e))),
                asked: datum(i),
                answered: end.map_or(NULL, datum),
            });
        } else if history.pair(i).is_none() {
            let (at, kind) = (i as u64, history.kind(i));
            rows.push(Row {
                f,
                invoke: at,
                end: Some((at, kind)),
                asked: datum(i),
                answered: datum(i),
            });
        }
    }
    rows
}

/// The small workload that a history's operations fit.
pub(super) fn recognise(history: &History) -> Option<Workload> {
    let rows = rows(history);
    let has = |f: &str| rows.iter().any(|r| r.f == f);
    if has("generate") {
        return Some(Workload::UniqueIds);
    }
    if has("transfer") {
        return Some(Workload::Bank);
    }
    if !has("add") {
        return None;
    }
    let read = rows.iter().find(|r| r.f == "read" && r.is_ok())?;
    Some(if read.answered.is_array() { Workload::Set } else { Workload::Counter })
}

pub(super) fn check(history: &History, workload: Workload, examples_max: usize) -> GeneralReport {
    let rows = rows(history);
    let mut cases = Cases::new(examples_max);
    let enough = match workload {
        Workload::UniqueIds => unique_ids(&rows, &mut cases),
        Workload::Set => set(&rows, &mut cases),
        Workload::Counter => counter(&rows, &mut cases),
        _ => bank(&rows, &mut cases),
    };
    for anomaly in cases.found.values_mut() {
        anomaly.prohibited = true;
    }
    let mut reasons = Vec::new();
    let mut verdict = GeneralVerdict::Valid;
    if !enough {
        verdict = GeneralVerdict::Unknown;
        let message = "No ok operation of the history shows anything that could be judged.";
        reasons.push(GeneralReason { code: "no-successful-read".into(), message: message.into() });
    }
    if !cases.found.is_empty() {
        verdict = GeneralVerdict::Invalid;
    }
    GeneralReport {
        model: workload.as_str().to_owned(),
        verdict,
        reasons,
        operations: rows.len() as u64,
        anomalies: cases.found,
        not: Vec::new(),
        also_not: Vec::new(),
    }
}

/// A value for people and as a key of tables.
fn text(value: &Value) -> String {
    word(value).map_or_else(|| value.to_string(), str::to_owned)
}

fn case(sentence: String, value: Option<String>, ops: Vec<u64>) -> GeneralExample {
    GeneralExample { sentence, value, ops, ..GeneralExample::default() }
}

fn unique_ids(rows: &[Row<'_>], cases: &mut Cases) -> bool {
    let mut seen: FxHashMap<String, u64> = FxHashMap::default();
    let mut any = false;
    for row in rows.iter().filter(|r| r.f == "generate" && r.is_ok()) {
        any = true;
        let id = text(row.answered);
        if let Some(first) = seen.get(&id) {
            cases.add("duplicate-id", || {
                let sentence = format!(
                    "Operation {} was given the id {id}, which operation {first} had been given.",
                    row.event()
                );
                case(sentence, Some(id.clone()), vec![*first, row.event()])
            });
        } else {
            seen.insert(id, row.event());
        }
    }
    any
}

fn set(rows: &[Row<'_>], cases: &mut Cases) -> bool {
    let adds: Vec<(String, &Row<'_>)> =
        rows.iter().filter(|r| r.f == "add").map(|r| (text(r.asked), r)).collect();
    let by_element: FxHashMap<&str, &Row<'_>> =
        adds.iter().map(|(element, row)| (element.as_str(), *row)).collect();
    let mut reads: Vec<&Row<'_>> = rows.iter().filter(|r| r.f == "read" && r.is_ok()).collect();
    reads.sort_by_key(|r| r.invoke);
    for read in &reads {
        for element in read.answered.as_array().into_iter().flatten().map(text) {
            let add = by_element.get(element.as_str()).copied();
            let failed = add.filter(|a| a.is_failed() && a.event() < read.invoke);
            if add.is_none() || failed.is_some() {
                cases.add("unexpected-element", || {
                    let why = match failed {
                        Some(add) => {
                            format!("the add of which had failed (operation {})", add.event())
                        }
                        None => "which nobody tried to add".to_owned(),
                    };
                    let sentence = format!("Operation {} read {element}, {why}.", read.event());
                    case(sentence, Some(element.clone()), vec![read.event()])
                });
            }
        }
    }
    // What the last read lacks is lost; earlier reads only say since when.
    if let Some(last) = reads.last() {
        let elements: std::collections::BTreeSet<String> =
            last.answered.as_array().into_iter().flatten().map(text).collect();
        let added = adds.iter().filter(|(_, a)| a.is_ok() && a.event() < last.invoke);
        for (element, add) in added.filter(|(element, _)| !elements.contains(element)) {
            cases.add("lost-element", || {
                let sentence = format!(
                    "Operation {} added {element}, but operation {}, invoked later, does not have it.",
                    add.event(),
                    last.event()
                );
                case(sentence, Some(element.clone()), vec![add.event(), last.event()])
            });
        }
    }
    !reads.is_empty()
}

fn counter(rows: &[Row<'_>], cases: &mut Cases) -> bool {
    // Every add moves the bounds twice: when it may begin to count and when it must count.
    let mut events: Vec<(u64, i64, i64)> = Vec::new();
    for add in rows.iter().filter(|r| r.f == "add" && !r.is_failed()) {
        let amount = add.asked.as_i64().unwrap_or_default();
        events.push((add.invoke, amount.min(0), amount.max(0)));
        if add.is_ok() {
            events.push((add.event(), amount.max(0), amount.min(0)));
        }
    }
    events.sort_unstable();
    let mut bounds: Vec<(u64, i64, i64)> = vec![(0, 0, 0)];
    for (at, lower, upper) in events {
        let (_, low, high) = bounds[bounds.len() - 1];
        bounds.push((at, low.saturating_add(lower), high.saturating_add(upper)));
    }
    let mut any = false;
    for read in rows.iter().filter(|r| r.f == "read" && r.is_ok()) {
        let Some(value) = read.answered.as_i64() else { continue };
        any = true;
        let from = bounds.partition_point(|(at, _, _)| *at < read.invoke).max(1) - 1;
        let to = bounds.partition_point(|(at, _, _)| *at <= read.event());
        let during = &bounds[from..to.max(from + 1)];
        let low = during.iter().map(|b| b.1).min().unwrap_or_default();
        let high = during.iter().map(|b| b.2).max().unwrap_or_default();
        if value < low || value > high {
            cases.add("out-of-bounds", || {
                let sentence = format!(
                    "Operation {} read {value}, but what had been added by then lies between {low} and {high}.",
                    read.event()
                );
                case(sentence, Some(value.to_string()), vec![read.event()])
            });
        }
    }
    any
}

/// The balances of a read, by account.
fn balances(value: &Value) -> Option<Vec<(&str, i64)>> {
    let accounts = value.as_object()?.iter();
    accounts.map(|(account, balance)| Some((account.as_str(), balance.as_i64()?))).collect()
}

fn bank(rows: &[Row<'_>], cases: &mut Cases) -> bool {
    let mut total: Option<(i64, u64)> = None;
    for read in rows.iter().filter(|r| r.f == "read" && r.is_ok()) {
        let Some(balances) = balances(read.answered) else { continue };
        let sum = balances.iter().fold(0i64, |sum, (_, b)| sum.saturating_add(*b));
        let (expected, first) = *total.get_or_insert((sum, read.event()));
        if sum != expected {
            cases.add("wrong-total", || {
                let sentence = format!(
                    "Operation {} read balances of {sum} in all, operation {first} of {expected}.",
                    read.event()
                );
                case(sentence, Some(sum.to_string()), vec![first, read.event()])
            });
        }
        if let Some((account, balance)) = balances.iter().find(|(_, b)| *b < 0) {
            cases.add("negative-value", || {
                let sentence = format!(
                    "Operation {} read a balance of {balance} for account {account}.",
                    read.event()
                );
                let example = case(sentence, Some(balance.to_string()), vec![read.event()]);
                GeneralExample { key: Some((*account).to_owned()), ..example }
            });
        }
    }
    total.is_some()
}
