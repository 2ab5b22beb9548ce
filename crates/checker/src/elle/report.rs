//! The result of checking a general history.

use crate::graph::Step;
use serde::Serialize;
use std::collections::BTreeMap;

/// A three-valued answer. Invalid beats unknown beats valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GeneralVerdict {
    /// Nothing that the requested models prohibit was found.
    Valid,
    /// The history did not allow an answer; `reasons` say why.
    Unknown,
    /// At least one prohibited anomaly was found.
    Invalid,
}

/// One case of an anomaly.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct GeneralExample {
    /// The proof in a sentence.
    pub sentence: String,
    /// The key, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The value, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The events of the operations that prove it: completions, or invocations where no completion exists.
    pub ops: Vec<u64>,
    /// The edges of a circle.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// All cases of one anomaly.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct GeneralAnomaly {
    /// How many cases there are, exactly.
    pub count: u64,
    /// Whether the requested models prohibit it.
    pub prohibited: bool,
    /// The first cases, at most as many as the options ask for.
    pub examples: Vec<GeneralExample>,
}

/// Why an answer is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GeneralReason {
    /// A stable code such as `cycle-search-timeout`, `values-not-unique`, `malformed-operation`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// The result of checking a general history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GeneralReport {
    /// What the history was taken for: `list-append`, `rw-register`, `bank`, ….
    pub model: String,
    /// The answer.
    pub verdict: GeneralVerdict,
    /// Why it is not complete.
    pub reasons: Vec<GeneralReason>,
    /// How many transactions or operations were looked at.
    pub operations: u64,
    /// What was found, by name.
    pub anomalies: BTreeMap<String, GeneralAnomaly>,
    /// The weakest consistency models that cannot hold.
    pub not: Vec<&'static str>,
    /// All stronger ones, which cannot hold either.
    pub also_not: Vec<&'static str>,
}

/// Collects cases by anomaly.
#[derive(Debug)]
pub(super) struct Cases {
    pub(super) examples_max: usize,
    pub(super) found: BTreeMap<String, GeneralAnomaly>,
}

impl Cases {
    pub(super) fn new(examples_max: usize) -> Self {
        Cases { examples_max, found: BTreeMap::new() }
    }

    /// Notes a case; the example is made only when it is kept.
    pub(super) fn add(&mut self, name: &str, example: impl FnOnce() -> GeneralExample) {
        if !self.found.contains_key(name) {
            self.found.insert(name.to_owned(), GeneralAnomaly::default());
        }
        if let Some(anomaly) = self.found.get_mut(name) {
            anomaly.count += 1;
            if anomaly.examples.len() < self.examples_max {
                anomaly.examples.push(example());
            }
        }
    }
}

impl GeneralReport {
    /// A report that only says why there is no answer.
    pub(super) fn unknown(model: &str, code: &str, message: String) -> Self {
        GeneralReport {
            model: model.to_owned(),
            verdict: GeneralVerdict::Unknown,
            reasons: vec![GeneralReason { code: code.to_owned(), message }],
            operations: 0,
            anomalies: BTreeMap::new(),
            not: Vec::new(),
            also_not: Vec::new(),
        }
    }
}
