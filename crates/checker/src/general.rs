//! Histories that are not Kafka's: held against a sequential object by the crate's `linear` module.

use crate::anomalies::{self, Found};
use crate::check::record;
use crate::contract::Promises;
use crate::linear::{self, Budget, ModelName, ObjectOutcome, Outcome, Violation};
use crate::options::{Model, Options};
use crate::report::{Example, ReasonDetail, Report, Verdict};
use perjury_history::History;
use serde_json::{Map, json};

/// The name of the analysis and of its anomaly.
const NONLINEARIZABLE: &str = "nonlinearizable";

/// Which model a history is judged by: the one that was asked for, or the one that its operations fit. A history without
/// any recognisable operation counts as Kafka's, whose gate says that nothing was seen.
pub(crate) fn model_of(history: &History, options: &Options) -> Model {
    if let Some(model) = options.model {
        return model;
    }
    if history.mops_len() > 0 {
        return Model::Kafka;
    }
    match linear::recognise(history) {
        Some(ModelName::Log) | None => Model::Kafka,
        Some(name) => Model::Linearizable(name),
    }
}

/// Decides linearizability and puts the answer into the report. Gives what stayed open.
pub(crate) fn decide(
    history: &History,
    model: ModelName,
    promises: &Promises,
    budget: &mut dyn Budget,
    examples_max: usize,
    report: &mut Report,
) -> Vec<ReasonDetail> {
    let options = linear::Options {
        model: Some(model),
        certificate: false,
        initial: linear::Initial::Infer,
        ..linear::Options::default()
    };
    let outcome = linear::decide(history, &options, budget);
    report.notes.extend(outcome.notes.iter().cloned());
    let mut verdict = match outcome.unknowns().next() {
        Some(_) => Verdict::Unknown,
        None => Verdict::Valid,
    };
    if let Some(entry) = anomalies::entry(NONLINEARIZABLE) {
        let found = found(&outcome, examples_max);
        verdict = verdict.and(record(promises, report, entry, "linearizability", found));
    }
    report.analyses.insert("linearizability".into(), verdict);
    let mut reasons: Vec<ReasonDetail> = Vec::new();
    for unknown in outcome.unknowns() {
        if !reasons.iter().any(|r| r.code == unknown.reason) {
            let (code, message) = (unknown.reason.to_owned(), unknown.sentence.clone());
            reasons.push(ReasonDetail { code, message });
        }
    }
    reasons
}

fn found(outcome: &Outcome, examples_max: usize) -> Found {
    let count = outcome.violations().count() as u64;
    let examples = outcome.violations().take(examples_max).map(|(object, v)| example(object, v));
    Found { count, sound: count, examples: examples.collect() }
}

fn example(object: &ObjectOutcome, violation: &Violation) -> Example {
    let refs = std::iter::once(&violation.op).chain(&violation.others);
    let mut more = Map::new();
    more.insert("rule".into(), json!(violation.rule));
    more.insert("prefix_end".into(), json!(violation.prefix_end));
    more.insert("attempts".into(), json!(violation.attempts));
    let mut sentence = violation.sentence.clone();
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    Example {
        sentence,
        key: object.key.as_ref().map(ToString::to_string),
        offset: None,
        value: None,
        ops: refs.map(|op| op.ret.unwrap_or(op.invoke)).collect(),
        fault: None,
        more,
    }
}
