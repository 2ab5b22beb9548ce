//! The case that a search keeps, and how it is recognised in a smaller history.

use super::ShrinkError;
use crate::check::check;
use crate::options::Options;
use crate::report::{Anomaly, Example, Judgement, Report};
use perjury_history::{History, Scalar};
use serde_json::Value;

/// How many cases of a smaller history are looked at.
const EXAMPLES_MAX: usize = 256;

/// How far one search of a smaller history may go: a smaller history that is hard to decide is not one that helps.
const SEARCH_STEPS_MAX: u64 = 2_000_000;

/// How closely a smaller history must show the case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// The same case: the same operations saw the same.
    Same,
    /// A case about the same value of the same topic-partition.
    Value,
    /// Any case.
    Name,
}

/// One case of an anomaly.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// The anomaly.
    pub(super) name: String,
    /// Whether answers are wrong unless other operations explain them, so that removing these makes the anomaly.
    pub(super) needs_all: bool,
    judgement: Judgement,
    pub(super) key: Option<String>,
    pub(super) value: Option<Scalar>,
    offset: Option<i64>,
    /// The rows of the case, ascending.
    pub(super) rows: Vec<usize>,
    facts: Vec<(String, Value)>,
}

/// What a case says that does not change when other operations are removed.
const FACTS: [&str; 7] =
    ["values", "offsets", "rule", "attempts", "corrupt", "figure", "found_instead"];

impl Case {
    /// The most telling case of the anomaly of this name, else of the worst violation.
    pub(super) fn of(
        history: &History,
        options: &Options,
        wanted: Option<&str>,
    ) -> Result<Self, ShrinkError> {
        let report = check(history, options);
        let name = match wanted {
            Some(name) => name.to_owned(),
            None => {
                let ranked = crate::anomalies::all().map(|e| e.name);
                let violated = |n: &str| report.violations().any(|(name, _)| name == n);
                let found = ranked.into_iter().find(|n| violated(n)).map(str::to_owned);
                let other = || report.violations().next().map(|(name, _)| name.to_owned());
                found.or_else(other).ok_or(ShrinkError::NotInvalid(report.verdict))?
            }
        };
        let Some(anomaly) = report.anomalies.get(&name) else {
            let found = report.anomalies.keys().cloned().collect();
            return Err(ShrinkError::NotFound { wanted: name, found });
        };
        let Some(example) = anomaly.examples.first() else {
            return Err(ShrinkError::NoCase(name));
        };
        let row = |op: &u64| usize::try_from(*op).unwrap_or(usize::MAX);
        let mut rows: Vec<usize> = example.ops.iter().map(row).collect();
        rows.sort_unstable();
        rows.dedup();
        Ok(Case {
            needs_all: anomaly.analysis == "linearizability",
            judgement: anomaly.judgement,
            key: example.key.clone(),
            value: example.value.clone(),
            offset: example.offset,
            rows,
            facts: facts(example),
            name,
        })
    }

    /// The options for checks of smaller histories.
    pub(super) fn options(options: &Options) -> Options {
        let search_steps = options.search_steps.min(SEARCH_STEPS_MAX);
        Options { threads: 1, examples_max: EXAMPLES_MAX, search_steps, ..options.clone() }
    }

    /// Whether a report on the rows `rows` of the whole history shows the case.
    pub(super) fn is_in(&self, report: &Report, likeness: Likeness, rows: &[usize]) -> bool {
        let Some(anomaly) = report.anomalies.get(&self.name) else { return false };
        anomaly.judgement == self.judgement && self.is_among(anomaly, likeness, rows)
    }

    fn is_among(&self, anomaly: &Anomaly, likeness: Likeness, rows: &[usize]) -> bool {
        let about = |e: &&Example| e.key == self.key && e.value == self.value;
        let mut alike = anomaly.examples.iter().filter(about);
        match likeness {
            Likeness::Name => true,
            Likeness::Value => alike.next().is_some(),
            Likeness::Same => alike.any(|e| self.is(e, rows)),
        }
    }

    fn is(&self, example: &Example, rows: &[usize]) -> bool {
        let of = |op: &u64| usize::try_from(*op).ok().and_then(|at| rows.get(at).copied());
        let mut ops: Vec<usize> = example.ops.iter().filter_map(of).collect();
        ops.sort_unstable();
        ops.dedup();
        let facts = facts(example);
        example.offset == self.offset && ops == self.rows && facts == self.facts
    }
}

/// The lasting facts of an example. Rows inside of them are left out, since they are compared as operations.
fn facts(example: &Example) -> Vec<(String, Value)> {
    let known =
        FACTS.iter().filter_map(|name| Some(((*name).to_owned(), example.more.get(*name)?)));
    known.map(|(name, value)| (name, bare(value))).collect()
}

/// Of the attempts of a search only the states that they end in: the rest names rows.
fn bare(value: &Value) -> Value {
    let states = value.as_array().map(|items| items.iter().filter_map(|i| i.get("state")));
    match states.map(|s| s.cloned().collect::<Vec<Value>>()) {
        Some(states) if !states.is_empty() => Value::Array(states),
        _ => value.clone(),
    }
}
