//! What the list of runs says of each.

use crate::id::RunId;
use crate::run_dir::RunDir;
use crate::status::WriterState;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The report's schema that this store understands: name and major version.
const SCHEMA: &str = "perjury.report/1";

/// How complete a run directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// It has a history and a report.
    Complete,
    /// Its writer is alive.
    Running,
    /// Its writer was stopped or died; a report may have been made of what is left.
    Interrupted,
    /// It has a history and no report.
    Unchecked,
    /// What is there cannot be read; `problem` says what and what to do.
    Unreadable,
}

impl RunStatus {
    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            RunStatus::Complete => "complete",
            RunStatus::Running => "running",
            RunStatus::Interrupted => "interrupted",
            RunStatus::Unchecked => "unchecked",
            RunStatus::Unreadable => "unreadable",
        }
    }
}

/// The part of a report that a list needs. Unknown fields are skipped, absent ones are empty: a report of a newer
/// version still lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ReportView {
    /// Schema name and version.
    pub schema: String,
    /// `valid`, `invalid` or `unknown`.
    pub verdict: String,
    /// Reason codes of an unknown verdict.
    pub reasons: Vec<String>,
    /// How many operations were invoked.
    pub operations: u64,
    /// One line for people.
    pub headline: String,
    /// Each anomaly that was found, by name.
    pub anomalies: BTreeMap<String, AnomalyView>,
}

/// The part of an anomaly that a list needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AnomalyView {
    /// How many cases.
    pub count: u64,
    /// How many of them the contract prohibits; absent in reports that judge an anomaly as a whole.
    pub violations: Option<u64>,
    /// `violation`, `allowed` or `unspecified`.
    pub judgement: String,
}

impl AnomalyView {
    /// How many cases the contract prohibits.
    pub fn prohibited(&self) -> u64 {
        let whole = if self.judgement == "violation" { self.count } else { 0 };
        self.violations.unwrap_or(whole)
    }
}

/// One line of the list of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// `<name>/<time>`.
    pub id: String,
    /// The campaign's or run's name.
    pub name: String,
    /// The directory's name.
    pub time: String,
    /// How complete it is.
    pub status: RunStatus,
    /// `valid`, `invalid` or `unknown`; absent without a report.
    pub verdict: Option<String>,
    /// Reason codes of an unknown verdict.
    pub reasons: Vec<String>,
    /// How many operations were invoked; absent without a report.
    pub operations: Option<u64>,
    /// Each anomaly's name and count.
    pub anomalies: BTreeMap<String, u64>,
    /// How many cases of anomalies are violations of the contract.
    pub violations: u64,
    /// One line for people.
    pub headline: Option<String>,
    /// The workload's name.
    pub workload: Option<String>,
    /// The faults that were asked for.
    pub nemesis: Vec<String>,
    /// The seed.
    pub seed: Option<u64>,
    /// The cluster driver and its version, such as `testbed 0.1.0`.
    pub cluster: Option<String>,
    /// The bugs that were switched on.
    pub bugs: Vec<String>,
    /// Wall-clock start, RFC 3339.
    pub started: Option<String>,
    /// Wall-clock end, RFC 3339, when the writer noted it.
    pub finished: Option<String>,
    /// What is wrong with the directory and what to do about it.
    pub problem: Option<String>,
}

/// What one look at a run directory gave, before its status is judged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Look {
    report: Option<ReportView>,
    header: Option<Value>,
    state: Option<crate::status::StatusFile>,
    has_history: bool,
    problem: Option<String>,
}

impl Look {
    /// Reads report, header and status. Every failure becomes a sentence, none an error.
    pub(crate) fn at(run: &RunDir) -> Look {
        let path = run.path().display().to_string();
        let has_history = matches!(run.file("history.jsonl"), Ok(Some(_)));
        let mut look = Look { has_history, ..Look::default() };
        match run.report::<ReportView>() {
            Ok(report) => look.report = report,
            Err(e) => {
                look.problem = Some(format!(
                    "{e}. Run `perjury check --save {path}` to check the history again and write the report anew."
                ));
            }
        }
        if let Some(schema) =
            look.report.as_ref().map(|r| r.schema.as_str()).filter(|s| *s != SCHEMA)
        {
            look.problem = Some(format!(
                "The report's schema is {schema:?}, and this version reads {SCHEMA:?}. Run `perjury check --save {path}` to write it anew."
            ));
            look.report = None;
        }
        match run.header() {
            Ok(header) => look.header = header,
            Err(e) => look.note(format!("{e}. Check the permissions of the file.")),
        }
        match run.status() {
            Ok(state) => look.state = state,
            Err(e) => look.note(format!("{e}. Remove the file if the run is over.")),
        }
        // A writer that says why it ended before its first event has said all that there is to say.
        let explained = look
            .state
            .as_ref()
            .is_some_and(|s| s.status == WriterState::Interrupted && s.reason.is_some());
        if !look.has_history && !explained {
            look.note(format!(
                "There is no history.jsonl in {path}: the run was copied without it, or ended before its first event. Copy the file in, or remove the directory."
            ));
        }
        look
    }

    /// Whether the history was there and its first line was not whole yet.
    pub(crate) fn is_early(&self) -> bool {
        self.has_history && self.header.is_none()
    }

    fn note(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    fn status(&self) -> RunStatus {
        let writer = self.state.as_ref().map(|s| (s.status, s.writer_lives()));
        match (writer, &self.report) {
            (Some((WriterState::Running, true)), _) => RunStatus::Running,
            (Some((WriterState::Running | WriterState::Interrupted, _)), Some(_)) => {
                RunStatus::Interrupted
            }
            (_, Some(_)) => RunStatus::Complete,
            (_, None) if self.problem.is_some() => RunStatus::Unreadable,
            (Some((WriterState::Running | WriterState::Interrupted, _)), None) => {
                RunStatus::Interrupted
            }
            (_, None) => RunStatus::Unchecked,
        }
    }

    /// The line of the list. The writer's life is looked at now, the rest is what was read.
    pub(crate) fn summary(&self, id: &RunId) -> RunSummary {
        let header = self.header.as_ref().unwrap_or(&Value::Null);
        let cluster = &header["cluster"];
        let report = self.report.clone().unwrap_or_default();
        let has_report = self.report.is_some();
        let violations = report.anomalies.values().map(AnomalyView::prohibited).sum();
        RunSummary {
            id: id.to_string(),
            name: id.name().to_owned(),
            time: id.time().to_owned(),
            status: self.status(),
            verdict: has_report.then(|| report.verdict.clone()),
            operations: has_report.then_some(report.operations),
            violations,
            anomalies: report.anomalies.iter().map(|(n, a)| (n.clone(), a.count)).collect(),
            reasons: report.reasons,
            headline: (!report.headline.is_empty()).then_some(report.headline),
            workload: text(&header["workload"]),
            nemesis: texts(&header["nemesis"]),
            seed: header["seed"].as_u64(),
            cluster: text(&cluster["driver"]).map(|driver| match text(&cluster["version"]) {
                Some(version) => format!("{driver} {version}"),
                None => driver,
            }),
            bugs: texts(&cluster["bugs"]),
            started: self.started(id).map(rfc3339),
            finished: self.state.as_ref().and_then(|s| s.finished).map(rfc3339),
            problem: self.problem(),
        }
    }

    fn problem(&self) -> Option<String> {
        self.problem.clone().or_else(|| {
            let reason = self.state.as_ref()?.reason.as_ref()?;
            Some(format!("Interrupted: {reason}"))
        })
    }

    /// The wall-clock start: the writer's word, else the header's, else what the directory's name says.
    pub(crate) fn started(&self, id: &RunId) -> Option<DateTime<Utc>> {
        let header = || {
            let text = self.header.as_ref()?["started"].as_str()?;
            Some(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc))
        };
        self.state.as_ref().map(|s| s.started).or_else(header).or_else(|| id.started())
    }
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().map(|a| a.iter().filter_map(text).collect()).unwrap_or_default()
}
