//! Histories that are not Kafka's: held against consistency models by the crate's `elle` module, or against a sequential
//! object by its `linear` module.

use crate::anomalies::{self, Found};
use crate::check::record;
use crate::contract::Promises;
use crate::elle::{self, GeneralExample, GeneralVerdict, Workload};
use crate::linear::{self, Budget, ModelName, ObjectOutcome, Outcome, Violation};
use crate::options::{Model, Options};
use crate::report::{Anomaly, Example, Judgement, ReasonDetail, Report, Verdict};
use crate::words::{self, capital};
use perjury_history::{History, formats};
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
    if let Some(workload) = elle::recognise(history) {
        return Model::Transactions(workload);
    }
    match linear::recognise(history) {
        Some(ModelName::Log) | None => Model::Kafka,
        Some(name) => Model::Linearizable(name),
    }
}

/// What registers hold at first: nothing where the format says so, otherwise what the answers show.
fn initial(history: &History) -> linear::Initial {
    let source = history.header.other.get(formats::SOURCE).and_then(serde_json::Value::as_str);
    match source.and_then(|name| name.parse().ok()) {
        Some(formats::Format::EtcdLog) => linear::Initial::Nil,
        _ => linear::Initial::Infer,
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
        certificate: true,
        initial: initial(history),
        ..linear::Options::default()
    };
    let outcome = linear::decide(history, &options, budget);
    report.contract.name = "consistency".into();
    report.contract.models = vec!["linearizable".into()];
    report.contract.rules.clear();
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

/// Looks for anomalies of transactions and puts them into the report. Gives what stayed open.
pub(crate) fn transactions(
    history: &History,
    workload: Workload,
    options: &Options,
    budget: &mut dyn Budget,
    report: &mut Report,
) -> Vec<ReasonDetail> {
    let asked = elle::Options {
        workload: Some(workload),
        consistency_models: options.consistency_models.clone(),
        examples_max: options.examples_max,
        ..elle::Options::default()
    };
    let found = elle::check(history, &asked, budget);
    let models = words::list(&options.consistency_models);
    report.contract.name = "consistency".into();
    report.contract.models.clone_from(&options.consistency_models);
    report.contract.rules.clear();
    let mut prohibited = false;
    for (name, anomaly) in found.anomalies {
        if !options.rules.looks_for(&name) {
            continue;
        }
        prohibited |= anomaly.prohibited;
        let (judgement, rule) = if anomaly.prohibited {
            (Judgement::Violation, format!("{} excludes it (Adya 1999; Elle).", capital(&models)))
        } else {
            (Judgement::Unspecified, format!("{} does not exclude it.", capital(&models)))
        };
        let title = anomalies::entry(&name).map_or(name.as_str(), |e| e.title).to_owned();
        let anomaly = Anomaly {
            count: anomaly.count,
            violations: if anomaly.prohibited { anomaly.count } else { 0 },
            judgement,
            rule,
            title,
            analysis: workload.as_str().into(),
            examples: anomaly.examples.into_iter().map(transaction_example).collect(),
        };
        report.anomalies.insert(name, anomaly);
    }
    if !found.not.is_empty() {
        report.notes.push(format!("What cannot hold: {}.", words::list(&found.not)));
    }
    let verdict = match found.verdict {
        GeneralVerdict::Valid => Verdict::Valid,
        GeneralVerdict::Unknown => Verdict::Unknown,
        GeneralVerdict::Invalid if prohibited => Verdict::Invalid,
        // Everything that made it invalid was left out.
        GeneralVerdict::Invalid if found.reasons.is_empty() => Verdict::Valid,
        GeneralVerdict::Invalid => Verdict::Unknown,
    };
    report.analyses.insert(workload.as_str().into(), verdict);
    let reasons = found.reasons.into_iter();
    reasons.map(|r| ReasonDetail { code: r.code, message: r.message }).collect()
}

fn transaction_example(example: GeneralExample) -> Example {
    let mut more = Map::new();
    if !example.steps.is_empty() {
        more.insert("steps".into(), json!(example.steps));
    }
    Example {
        sentence: example.sentence,
        key: example.key,
        offset: None,
        value: example.value.map(Into::into),
        ops: example.ops,
        fault: None,
        more,
    }
}

fn found(outcome: &Outcome, examples_max: usize) -> Found {
    let count = outcome.violations().count() as u64;
    let examples = outcome.violations().take(examples_max).map(|(object, v)| example(object, v));
    Found { count, sound: count, examples: examples.collect() }
}

/// How much of the longest linearizable prefix a report names: its end, where the trouble is.
const PREFIX_MAX: usize = 64;

/// What is known of the longest linearizable prefix, as a sentence with a space before it.
fn prefix(violation: &Violation) -> String {
    let op = violation.op;
    let why = violation.attempts.first().map_or_else(String::new, |attempt| {
        let ends: Vec<String> = attempt.tail.iter().map(|o| o.shown().to_string()).collect();
        match ends.as_slice() {
            [] => String::new(),
            ends => format!(" One such order ends with {}.", words::list(ends)),
        }
    });
    let placed = words::counted(violation.prefix.len() as u64, "operation", "operations");
    format!(
        " The events before {} can be put into an order ({placed}); {op}, which returned there, is the first that fits \
         nowhere.{why}",
        violation.prefix_end,
    )
}

fn example(object: &ObjectOutcome, violation: &Violation) -> Example {
    let refs = std::iter::once(&violation.op).chain(&violation.others);
    let mut more = Map::new();
    more.insert("rule".into(), json!(violation.rule));
    more.insert("prefix_end".into(), json!(violation.prefix_end));
    more.insert("attempts".into(), json!(violation.attempts));
    let last = violation.prefix.iter().rev().take(PREFIX_MAX).rev().copied();
    more.insert("prefix".into(), json!(last.collect::<Vec<u64>>()));
    more.insert("prefix_length".into(), json!(violation.prefix.len()));
    let mut sentence = violation.sentence.clone();
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence.push_str(&prefix(violation));
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
