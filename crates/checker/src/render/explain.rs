//! The report as a story that stands on its own: what was promised, what happened event by event, why that breaks the
//! promise, what would have made it legal, what usually causes it; or what was checked, and what is missing.

use super::{judged, plain, ranked};
use crate::anomalies::{self, Counsel};
use crate::observed::{Observed, word};
use crate::report::{Anomaly, Example, Judgement, Report, Verdict};
use crate::words;
use perjury_history::{Event, F, History, Kind, Mop, Payload, PolledKey, Process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// How many cases of each anomaly are told.
const CASES_MAX: usize = 2;
/// How many events of a case are shown.
const EVENTS_MAX: usize = 12;
/// How many records of one answer are shown at each end.
const RECORDS_MAX: usize = 4;
/// How wide lines are.
const WIDTH: usize = 110;

/// The whole story, as plain text that ends with a newline. `history` is the one that was reported on.
pub fn explain(report: &Report, history: &History) -> String {
    let mut out = String::new();
    para(&mut out, "", &plain(&report.headline));
    out.push('\n');
    for sentence in report.story.iter().take(2) {
        para(&mut out, "", &plain(&sentence.text));
    }
    match report.verdict {
        Verdict::Invalid => {}
        Verdict::Valid => kept(&mut out, report, history),
        Verdict::Unknown => missing(&mut out, report),
    }
    let (broken, other): (Vec<_>, Vec<_>) =
        ranked(report).into_iter().partition(|(_, a)| a.judgement == Judgement::Violation);
    for (n, (name, anomaly)) in broken.iter().enumerate() {
        out.push('\n');
        violation(&mut out, n + 1, (name, anomaly), report, history);
    }
    if !other.is_empty() {
        out.push_str("\nSeen, and no violation here:\n");
    }
    for (name, anomaly) in other {
        harmless(&mut out, name, anomaly);
    }
    if report.verdict == Verdict::Invalid && !report.reasons.is_empty() {
        missing(&mut out, report);
    }
    for note in &report.notes {
        para(&mut out, "", &format!("Note: {}", plain(note)));
    }
    out
}

/// A paragraph, broken into lines of at most [`WIDTH`] characters; all but the first are indented as the text is.
fn para(out: &mut String, indent: &str, text: &str) {
    let hang = indent.len() + text.find(". ").filter(|at| *at < 4).map_or(0, |at| at + 2);
    let hang = if text.starts_with(['-', '[']) { indent.len() + 2 } else { hang };
    let mut column = 0;
    for word in text.split_whitespace() {
        let len = word.chars().count();
        if column > 0 && column + 1 + len > WIDTH {
            let _ = write!(out, "\n{:hang$}", "");
            column = hang;
        } else if column == 0 {
            out.push_str(indent);
            column = indent.len();
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += len;
    }
    out.push('\n');
}

fn violation(
    out: &mut String,
    n: usize,
    (name, anomaly): (&str, &Anomaly),
    report: &Report,
    history: &History,
) {
    let entry = anomalies::entry(name);
    let count = words::counted(anomaly.violations, "case", "cases");
    para(out, "", &format!("Violation {n}: {} ({name}, {count})", anomaly.title));
    if let Some(entry) = entry {
        para(out, "  ", &format!("{} {}", entry.meaning, entry.impact));
    }
    para(out, "  ", &format!("The promise: {}", plain(&anomaly.rule)));
    for (n, example) in anomaly.examples.iter().take(CASES_MAX).enumerate() {
        para(out, "  ", &format!("{}. {}", n + 1, plain(&example.sentence)));
        events(out, example, history);
    }
    let told = anomaly.examples.len().min(CASES_MAX) as u64;
    if anomaly.count > told {
        let more = words::counted(anomaly.count - told, "more case", "more cases");
        para(out, "  ", &format!("There are {more} like this."));
    }
    if let Some(entry) = entry {
        consequences(out, &anomalies::counsel(entry, report.contract.models.is_empty()));
    }
}

fn consequences(out: &mut String, counsel: &Counsel) {
    let legal = match counsel.legal_if {
        "" => "What would have made it legal: nothing; no configuration permits it.".to_owned(),
        legal => format!("What would have made it legal: {legal}."),
    };
    para(out, "  ", &legal);
    para(out, "  ", "Usual causes, the most likely first:");
    for cause in counsel.causes {
        para(out, "    ", &format!("- {cause}"));
    }
    para(out, "  ", &format!("Where to look next: {}", counsel.advice));
}

fn harmless(out: &mut String, name: &str, anomaly: &Anomaly) {
    let how = judged(anomaly.judgement);
    let count = words::count(anomaly.count);
    para(
        out,
        "  ",
        &format!("- {} ({name} × {count}, {how}). {}", anomaly.title, plain(&anomaly.rule)),
    );
    if let Some(example) = anomaly.examples.first() {
        para(out, "    ", &format!("For instance: {}", plain(&example.sentence)));
    }
}

/// What was looked for, and why nothing of it counts.
fn kept(out: &mut String, report: &Report, history: &History) {
    let names: Vec<&String> = report.analyses.keys().collect();
    out.push_str("\nNo promise was seen to be broken. What was checked:\n");
    if report.contract.models.is_empty() {
        for (what, found) in checked(report, history) {
            para(out, "  ", &format!("- {what}: {found}"));
        }
    } else {
        let models = words::list(&report.contract.models);
        para(out, "  ", &format!("- every operation, against {models} ({}).", words::list(&names)));
    }
    if let Some(confidence) = &report.confidence {
        para(out, "", &format!("How far this reaches: {}.", plain(&confidence.statement)));
    }
}

/// Whether the history holds anything that this anomaly could show in: what it does not speak of was not checked.
fn was_tried(observed: &Observed, report: &Report, name: &str) -> bool {
    match name {
        "commit-regression" => !observed.committed.is_empty(),
        "skipped-past-commit" | "redelivery-outside-window" => !observed.starts.is_empty(),
        "double-ownership" => observed.assignments.iter().any(|a| a.generation.is_some()),
        "zombie-commit" => !observed.claims.is_empty(),
        "deleted-record-read" => !observed.deletions.is_empty(),
        "lost-last-value" => report.contract.config.compacted == Some(true),
        "zombie-write" => !observed.inits.is_empty(),
        "exactly-once-violation" => !observed.derived.is_empty(),
        "offset-regression" | "hanging-transaction" => !observed.ends.is_empty(),
        "precommitted-read" | "torn-transaction" => {
            let txns = report.counts.txns;
            txns.ok + txns.fail + txns.info > 0
        }
        _ => true,
    }
}

/// The promises that were held against the history, each with the anomalies that would have broken it.
fn checked(report: &Report, history: &History) -> Vec<(String, String)> {
    let observed = Observed::read(history);
    let mut by_promise: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rule in report.contract.rules.iter().filter(|r| r.judgement == Judgement::Violation) {
        let Some(entry) = anomalies::entry(&rule.anomaly) else { continue };
        if entry.run.is_some() && was_tried(&observed, report, entry.name) {
            by_promise.entry(entry.clause.promise()).or_default().push(entry.name);
        }
    }
    let looked = |names: Vec<&str>| format!("no {}.", words::list(&names).replace(" and ", " or "));
    by_promise
        .into_iter()
        .map(|(promise, names)| (words::capital(promise), looked(names)))
        .collect()
}

fn missing(out: &mut String, report: &Report) {
    let count = words::counted(report.reason_details.len() as u64, "reason", "reasons");
    let head = match report.verdict {
        Verdict::Unknown => format!("Why nothing can be concluded ({count}):"),
        _ => format!("What else is missing ({count}):"),
    };
    let _ = write!(out, "\n{head}\n");
    for reason in &report.reason_details {
        para(out, "  ", &format!("- {} ({})", plain(&reason.message), reason.code));
    }
    if report.verdict == Verdict::Unknown && report.anomalies.is_empty() {
        para(
            out,
            "",
            "Nothing that breaks a promise was seen either; the run shows too little to say more.",
        );
    }
}

/// The events of a case, each in one line.
fn events(out: &mut String, example: &Example, history: &History) {
    let mut rows: Vec<usize> = Vec::new();
    for row in example.ops.iter().filter_map(|op| usize::try_from(*op).ok()) {
        if row < history.len() {
            rows.extend(history.pair(row).filter(|pair| *pair < row));
            rows.push(row);
        }
    }
    rows.sort_unstable();
    rows.dedup();
    for row in rows.iter().take(EVENTS_MAX) {
        para(out, "       ", &line(history, *row));
    }
    if rows.len() > EVENTS_MAX {
        let more = words::counted((rows.len() - EVENTS_MAX) as u64, "more event", "more events");
        para(out, "       ", &format!("and {more}"));
    }
}

/// One event: "[4] 1.2 s, process 0 invoked send: value 2 to orders-0".
fn line(history: &History, row: usize) -> String {
    let event = history.event(row);
    let time = event.time.map_or_else(String::new, |t| format!(" at {},", seconds(t)));
    let who = match event.process {
        Some(Process::Client(n)) => format!("process {n}"),
        Some(other) => other.to_string(),
        None => "a client".into(),
    };
    let f = match &event.f {
        F::Txn => "transaction",
        other => other.as_str(),
    };
    let how = match (event.kind, &event.f) {
        (Kind::Invoke, _) => "began",
        (Kind::Ok, _) => "completed",
        (Kind::Fail, F::Txn) => "aborted",
        (Kind::Fail, _) => "failed",
        (Kind::Info, _) => "ended with unknown outcome",
    };
    let what = match &event.value {
        Payload::None => String::new(),
        Payload::Mops(mops) if mops == &[Mop::Poll(None)] => String::new(),
        Payload::Mops(mops) => {
            let ok = event.kind == Kind::Ok;
            mops.iter().map(|m| mop(m, ok)).collect::<Vec<_>>().join("; ")
        }
        Payload::Keys(keys) => words::list_some(keys, 8),
        Payload::Json(value) => value.to_string().chars().take(160).collect(),
    };
    let parts: Vec<String> =
        [what].into_iter().chain(beside(&event)).filter(|part| !part.is_empty()).collect();
    let what = if parts.is_empty() { String::new() } else { format!(": {}", parts.join("; ")) };
    let error = event.error.map_or_else(String::new, |e| format!(" ({})", e.code));
    plain(&format!("[{row}]{time} {who}: {f} {how}{what}{error}"))
}

/// What an operation says beside its value that proofs about groups, transactions and seeks rest on.
fn beside(event: &Event) -> Vec<String> {
    let mut said = Vec::new();
    let field = |name: &str| event.ext.get(name);
    for entry in field("rebalance_log").and_then(Value::as_array).into_iter().flatten() {
        let keys = entry.get("keys").and_then(Value::as_array).into_iter().flatten();
        let keys: Vec<String> = keys.map(word).collect();
        let how = entry.get("type").or_else(|| entry.get("op")).map_or_else(String::new, word);
        let generation = entry.get("generation").map(word);
        let generation = generation.map_or_else(String::new, |g| format!(" in generation {g}"));
        if !how.is_empty() && !keys.is_empty() {
            said.push(format!("{how} {}{generation}", words::list_some(&keys, 8)));
        }
    }
    if let Some(offsets) = field("offsets").and_then(Value::as_object) {
        let places: Vec<String> =
            offsets.iter().map(|(key, at)| format!("position {at} of {key}")).collect();
        if !places.is_empty() {
            said.push(format!("with {}", words::list_some(&places, 8)));
        }
    }
    for name in ["member", "generation", "transactional_id"] {
        if let Some(value) = field(name) {
            said.push(format!("{} {}", name.replace('_', " "), word(value)));
        }
    }
    if field("seek_to_beginning").and_then(Value::as_bool) == Some(true) {
        said.push("from the beginning".into());
    }
    said
}

/// A time with milliseconds, so that events can be told apart: `0.150 s`.
fn seconds(ns: i64) -> String {
    let ms = ns / 1_000_000;
    format!("{}.{:03} s", ms / 1_000, (ms % 1_000).abs())
}

fn mop(mop: &Mop, ok: bool) -> String {
    match mop {
        Mop::Send { key, value, offset: None } => format!("value {value} to {key}"),
        Mop::Send { key, value, offset: Some(offset) } => {
            let how = if ok { "acknowledged" } else { "answered" };
            match offset {
                Some(offset) => format!("value {value} {how} at offset {offset} of {key}"),
                None => format!("value {value} {how} in {key} without an offset"),
            }
        }
        Mop::Poll(None) => "poll".into(),
        Mop::Poll(Some(groups)) if groups.iter().all(|(_, records)| records.is_empty()) => {
            "polled nothing".into()
        }
        Mop::Poll(Some(groups)) => groups.iter().map(group).collect::<Vec<_>>().join("; "),
    }
}

/// The records of one answer, the middle of long ones left out.
fn group((key, records): &PolledKey) -> String {
    let one = |r: &perjury_history::Record| match r.offset {
        Some(offset) => format!("{offset}→{}", r.value),
        None => format!("?→{}", r.value),
    };
    let mut shown: Vec<String> = records.iter().map(one).collect();
    if shown.len() > 2 * RECORDS_MAX + 1 {
        let left_out = shown.len() - 2 * RECORDS_MAX;
        let more = format!("… {left_out} more …");
        shown.splice(RECORDS_MAX..RECORDS_MAX + left_out, [more]);
    }
    format!("polled {key} (offset→value): {}", shown.join(", "))
}
