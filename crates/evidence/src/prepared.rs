//! A source made fit to be given away: without secrets, redacted where wanted, judged, and cut down to what an anomaly
//! needs. Everything in a bundle comes from here, so nothing of the original can slip past.

use crate::error::EvidenceError;
use crate::judged::{Judged, Outcome};
use crate::redact::{Cleaner, Dictionary, Redaction};
use crate::shrunk::{Shrunk, shrunk};
use crate::source::Source;
use chrono::{DateTime, TimeDelta, Utc};
use perjury_checker::{Report, glossary};
use perjury_history::{History, jsonl};
use perjury_secrets::Secrets;
use perjury_store::{LogLine, LogQuery, RunDir, read_logs};
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;

/// How much of the nodes' logs is taken before and after each event of an anomaly, in nanoseconds.
const AROUND_NS: i64 = 2_000_000_000;
/// How many lines of logs a bundle holds at most.
const LINES_MAX: usize = 20_000;
/// How many windows of logs are cut out.
const WINDOWS_MAX: usize = 64;
/// A larger file of a node is no configuration.
const CONFIG_BYTES_MAX: u64 = 256 << 10;
/// How many files of nodes a bundle holds at most.
const CONFIGS_MAX: usize = 100;

/// What a bundle shall show, and how.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The anomaly to show, by name; `lost-write:2` is its second case. The worst one when absent.
    pub anomaly: Option<String>,
    /// What is redacted.
    pub redaction: Redaction,
}

/// The anomaly that a bundle is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Focus {
    pub(crate) anomaly: String,
    /// Which of the listed cases, from 0.
    pub(crate) example: usize,
}

/// A line that a node printed, with its time on the history's axis.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    #[serde(flatten)]
    pub(crate) line: LogLine,
    /// Nanoseconds since the start of the run.
    pub(crate) t: Option<i64>,
}

/// What goes into a bundle.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) id: String,
    pub(crate) text: Vec<u8>,
    pub(crate) history: History,
    pub(crate) report: Report,
    pub(crate) judged: Judged,
    pub(crate) summary: Value,
    pub(crate) plan: Value,
    pub(crate) header: Value,
    pub(crate) nodes: Vec<String>,
    pub(crate) redaction: Redaction,
    pub(crate) focus: Option<Focus>,
    pub(crate) shrunk: Option<Shrunk>,
    pub(crate) lines: Vec<Line>,
    /// Configurations of nodes: path and content.
    pub(crate) configs: Vec<(String, Vec<u8>)>,
}

impl Prepared {
    pub(crate) fn new(source: Source, wanted: &Wanted) -> Result<Prepared, EvidenceError> {
        let Source { id, text, history, mut summary, mut plan, judged, dir } = source;
        let before = judged.check(&history);
        let focus = focus(&id, &before, wanted.anomaly.as_deref())?;
        let lines = match &dir {
            Some(dir) => lines(dir, &history, &windows(&history, &before, focus.as_ref()))?,
            None => Vec::new(),
        };
        let configs = dir.as_ref().map(configs).unwrap_or_default();
        let cleaner = cleaner(&history, &before.model, &plan, &lines, &configs, wanted.redaction);
        let (text, history, report) = cleaned(&cleaner, text, history, before, &judged)?;
        cleaner.json(&mut plan);
        let mut header = serde_json::to_value(&history.header)
            .map_err(EvidenceError::json("the history's header"))?;
        cleaner.json(&mut header);
        cleaner.json(&mut summary);
        judge_summary(&mut summary, &report);
        let shrunk = focus.as_ref().and_then(|f| shrunk(&history, f, &judged.options()));
        Ok(Prepared {
            lines: lines.into_iter().map(|line| clean_line(&cleaner, line)).collect(),
            configs: configs.into_iter().map(|(p, c)| (p, clean_config(&cleaner, &c))).collect(),
            nodes: dir.map(|dir| dir.nodes()).unwrap_or_default(),
            redaction: wanted.redaction,
            id,
            text,
            history,
            report,
            judged,
            summary,
            plan,
            header,
            focus,
            shrunk,
        })
    }
}

/// The anomaly that is asked for, or the worst one that is there.
fn focus(id: &str, report: &Report, wanted: Option<&str>) -> Result<Option<Focus>, EvidenceError> {
    let Some(wanted) = wanted else {
        let names = glossary().into_iter().map(|entry| entry.name);
        let worst = names.filter_map(|n| report.anomalies.get_key_value(n));
        let worst = worst.min_by_key(|(_, a)| a.judgement).map(|(name, _)| name);
        return Ok(worst
            .or(report.anomalies.keys().next())
            .map(|name| Focus { anomaly: name.clone(), example: 0 }));
    };
    let (name, example) = match wanted.rsplit_once(':') {
        Some((name, n)) => (name, n.parse::<usize>().ok().and_then(|n| n.checked_sub(1))),
        None => (wanted, Some(0)),
    };
    let known = report
        .anomalies
        .get(name)
        .filter(|a| example.is_some_and(|example| example == 0 || example < a.examples.len()));
    match (known, example) {
        (Some(_), Some(example)) => Ok(Some(Focus { anomaly: name.to_owned(), example })),
        _ => Err(EvidenceError::NoSuchAnomaly {
            run: id.to_owned(),
            anomaly: wanted.to_owned(),
            found: report.anomalies.keys().cloned().collect(),
        }),
    }
}

/// Stretches of time round the events of the anomaly, or round the faults where there is none; merged and in order.
fn windows(history: &History, report: &Report, focus: Option<&Focus>) -> Vec<(i64, i64)> {
    let examples = focus.and_then(|f| report.anomalies.get(&f.anomaly)).map(|a| &a.examples);
    let mut times: Vec<i64> = match (examples, focus) {
        (Some(examples), Some(focus)) => {
            let first = examples.get(focus.example).into_iter();
            let events = first.chain(examples).flat_map(|e| e.ops.iter());
            let rows = events.filter_map(|i| usize::try_from(*i).ok());
            rows.filter(|i| *i < history.len()).filter_map(|i| history.time(i)).collect()
        }
        _ => report.availability.faults.iter().filter_map(|f| f.start).collect(),
    };
    times.truncate(WINDOWS_MAX);
    times.sort_unstable();
    let mut windows: Vec<(i64, i64)> = Vec::new();
    for t in times {
        let (from, to) = (t.saturating_sub(AROUND_NS), t.saturating_add(AROUND_NS));
        match windows.last_mut() {
            Some(last) if from <= last.1 => last.1 = to,
            _ => windows.push((from, to)),
        }
    }
    windows
}

/// The nodes' lines within the windows.
fn lines(
    dir: &RunDir,
    history: &History,
    windows: &[(i64, i64)],
) -> Result<Vec<Line>, EvidenceError> {
    let started = history.header.started.as_deref();
    let Some(started) = started.and_then(|s| DateTime::parse_from_rfc3339(s).ok()) else {
        return Ok(Vec::new());
    };
    let started = started.with_timezone(&Utc);
    let mut lines = Vec::new();
    for (from, to) in windows {
        let at = |ns: i64| Some(started + TimeDelta::nanoseconds(ns));
        let limit = LINES_MAX - lines.len();
        let query = LogQuery { node: None, from: at(*from), to: at(*to), limit };
        let found = read_logs(dir, &query)?.into_iter();
        let t = |line: &LogLine| (line.at? - started).num_nanoseconds();
        lines.extend(found.map(|line| Line { t: t(&line), line }));
    }
    Ok(lines)
}

/// What stands in the nodes' directories beside their logs: their configurations.
fn configs(dir: &RunDir) -> Vec<(String, Vec<u8>)> {
    let files = dir.files().into_iter().filter(|f| {
        let log = f.path.ends_with(".log");
        f.path.starts_with("nodes/") && !log && f.bytes <= CONFIG_BYTES_MAX
    });
    let read = files.filter_map(|f| {
        let path = dir.file(&f.path).ok().flatten()?;
        Some((f.path, std::fs::read(path).ok()?))
    });
    read.take(CONFIGS_MAX).collect()
}

/// Learns every secret and every original from all that will be written.
fn cleaner(
    history: &History,
    model: &str,
    plan: &Value,
    lines: &[Line],
    configs: &[(String, Vec<u8>)],
    redaction: Redaction,
) -> Cleaner {
    let mut dictionary = Dictionary::default();
    if !redaction.is_none() {
        dictionary = Dictionary::of(history, model, redaction);
    }
    let mut secrets = Secrets::new();
    let header = serde_json::to_value(&history.header).unwrap_or_default();
    let parsed = configs.iter().filter_map(|(_, c)| serde_json::from_slice::<Value>(c).ok());
    for settings in [header, plan.clone()].into_iter().chain(parsed) {
        secrets.learn(&settings);
        dictionary.cluster(&settings);
    }
    lines.iter().for_each(|line| dictionary.running_text(&line.line.text));
    for event in history.events().filter(|_| redaction.hosts) {
        if let Some(error) = event.error {
            dictionary.running_text(&error.message);
        }
    }
    Cleaner::new(secrets, dictionary)
}

/// The history's text, the history and its report, cleaned; the same bytes where there is nothing to clean.
fn cleaned(
    cleaner: &Cleaner,
    text: Vec<u8>,
    history: History,
    before: Report,
    judged: &Judged,
) -> Result<(Vec<u8>, History, Report), EvidenceError> {
    let redaction = cleaner.dictionary().redaction;
    let new = if redaction.is_none() {
        match secretless(cleaner, &text) {
            None => return Ok((text, history, before)),
            Some(new) => new,
        }
    } else {
        pseudonymous(cleaner, &history)
    };
    let name = "the cleaned history";
    let history = jsonl::read(new.as_slice(), name, &jsonl::ReadOptions::default())?;
    let report = judged.check(&history);
    let (then, now) = (Outcome::of(&before), Outcome::of(&report));
    if then == now {
        return Ok((new, history, report));
    }
    let redaction = if redaction.is_none() { "secrets".into() } else { redaction.to_string() };
    Err(EvidenceError::VerdictChanged {
        redaction,
        before: then.to_string(),
        after: now.to_string(),
    })
}

/// The history's text without secrets; `None` when it holds none.
fn secretless(cleaner: &Cleaner, text: &[u8]) -> Option<Vec<u8>> {
    let whole = String::from_utf8_lossy(text);
    let mut out: Vec<u8> = Vec::new();
    let mut changed = false;
    for (n, line) in whole.split_inclusive('\n').enumerate() {
        let clean = if n == 0 { header_line(cleaner, line) } else { None };
        let clean = clean.map_or_else(|| cleaner.without_secrets(line), Cow::Owned);
        changed |= *clean != *line;
        out.extend_from_slice(clean.as_bytes());
    }
    changed.then_some(out)
}

/// The header without secrets; `None` when it is not JSON or holds none.
fn header_line(cleaner: &Cleaner, line: &str) -> Option<String> {
    let before: Value = serde_json::from_str(line).ok()?;
    let mut after = before.clone();
    cleaner.json(&mut after);
    (after != before).then(|| format!("{after}\n"))
}

/// The history written anew with pseudonyms. A torn last line stays one.
fn pseudonymous(cleaner: &Cleaner, history: &History) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing to memory cannot fail.
    let _ = jsonl::write_header(&mut out, &cleaner.header(&history.header));
    for event in history.events() {
        let _ = jsonl::write_event(&mut out, &cleaner.event(event));
    }
    if history.torn {
        out.extend_from_slice(b"{\"index\":");
    }
    out
}

/// The line of the list of runs, brought in line with the report.
fn judge_summary(summary: &mut Value, report: &Report) {
    let counts = report.anomalies.iter().map(|(name, a)| (name.clone(), Value::from(a.count)));
    summary["verdict"] = report.verdict.as_str().into();
    summary["reasons"] = report.reasons.clone().into();
    summary["operations"] = report.operations.into();
    summary["anomalies"] = Value::Object(counts.collect());
    summary["violations"] = report.anomalies.values().map(|a| a.violations).sum::<u64>().into();
    summary["headline"] = report.headline.clone().into();
}

fn clean_line(cleaner: &Cleaner, mut line: Line) -> Line {
    line.line.text = cleaner.text(&line.line.text);
    line
}

fn clean_config(cleaner: &Cleaner, content: &[u8]) -> Vec<u8> {
    if let Ok(mut value) = serde_json::from_slice::<Value>(content) {
        cleaner.json(&mut value);
        return format!("{value:#}\n").into_bytes();
    }
    let text = String::from_utf8_lossy(content);
    let lines: Vec<String> = text.lines().map(|line| property(cleaner, line)).collect();
    lines.join("\n").into_bytes()
}

/// A line of a properties file, whose value goes when its name is a secret's.
fn property(cleaner: &Cleaner, line: &str) -> String {
    match line.split_once('=') {
        Some((name, value))
            if perjury_secrets::is_secret_name(name.trim()) && !value.is_empty() =>
        {
            format!("{name}={}", perjury_secrets::REMOVED)
        }
        _ => cleaner.text(line),
    }
}
