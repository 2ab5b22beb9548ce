//! General histories: transactions over lists and registers, and a few small workloads ([`Workload`]).
//!
//! [`check`] recognises the workload, finds anomalies under the names that Elle gives them, and judges them by
//! consistency models (`strict-serializable` unless asked otherwise). Dependencies between transactions become a graph
//! whose circles [`crate::graph`] finds.

mod edges;
mod list;
mod models;
mod register;
mod report;
mod simple;
mod txns;
mod versions;

pub use models::{canonical_model, excluded_by, model_names, prohibited_by};
pub use report::{GeneralAnomaly, GeneralExample, GeneralReason, GeneralReport, GeneralVerdict};

use crate::graph::{self, Findings, Rel};
use crate::linear::budget::Budget;
use edges::{Explain, TxnGraph};
use list::{AppendedTwice, Lists};
use perjury_history::History;
use register::Registers;
use report::Cases;
use std::collections::BTreeSet;
use txns::{Shape, Txns};

/// A workload of general histories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Workload {
    /// Transactions over lists: `[["append", k, v], ["r", k, [v, …]]]`.
    ListAppend,
    /// Transactions over registers: `[["w", k, v], ["r", k, v]]`.
    RwRegister,
    /// `generate` answers ids.
    UniqueIds,
    /// `add` an element, `read` all of them.
    Set,
    /// `add` a number, `read` the sum.
    Counter,
    /// `transfer` between accounts, `read` all balances.
    Bank,
}

impl Workload {
    /// All workloads.
    pub const ALL: [Workload; 6] = [
        Workload::ListAppend,
        Workload::RwRegister,
        Workload::UniqueIds,
        Workload::Set,
        Workload::Counter,
        Workload::Bank,
    ];

    /// The name used on the command line and in reports, which is elle-cli's.
    pub fn as_str(self) -> &'static str {
        match self {
            Workload::ListAppend => "list-append",
            Workload::RwRegister => "rw-register",
            Workload::UniqueIds => "unique-ids",
            Workload::Set => "set",
            Workload::Counter => "counter",
            Workload::Bank => "bank",
        }
    }
}

impl std::str::FromStr for Workload {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let found = Workload::ALL.into_iter().find(|w| w.as_str() == s);
        found.ok_or_else(|| {
            let names: Vec<_> = Workload::ALL.iter().map(|w| w.as_str()).collect();
            format!("no workload is called {s:?}; there are {}", names.join(", "))
        })
    }
}

/// How a general history is to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The workload; recognised from the content when absent.
    pub workload: Option<Workload>,
    /// The consistency models that must hold, by any of their names.
    pub consistency_models: Vec<String>,
    /// Anomalies that are prohibited beside those that the models prohibit.
    pub anomalies: Vec<String>,
    /// Registers: a transaction that read and wrote a key wrote the later version.
    pub wfr_keys: bool,
    /// Registers: each process sees the versions of a key in order.
    pub sequential_keys: bool,
    /// Registers: the versions of a key follow real time.
    pub linearizable_keys: bool,
    /// How many examples to list for each anomaly.
    pub examples_max: usize,
    /// How many edges the search for one class of circles may look at in one component.
    pub work_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            workload: None,
            consistency_models: vec!["strict-serializable".to_owned()],
            anomalies: Vec::new(),
            wfr_keys: false,
            sequential_keys: false,
            linearizable_keys: false,
            examples_max: 32,
            work_max: graph::Options::default().work_max,
        }
    }
}

/// The workload that a history's operations fit.
pub fn recognise(history: &History) -> Option<Workload> {
    match txns::shape(history) {
        Some(Shape::Lists) => Some(Workload::ListAppend),
        Some(Shape::Registers) => Some(Workload::RwRegister),
        None => simple::recognise(history),
    }
}

/// Checks a general history.
pub fn check(history: &History, options: &Options, budget: &mut dyn Budget) -> GeneralReport {
    let Some(workload) = options.workload.or_else(|| recognise(history)) else {
        let message = "No general workload fits the operations of this history.";
        return GeneralReport::unknown("unrecognised", "unrecognised", message.to_owned());
    };
    for model in &options.consistency_models {
        if canonical_model(model).is_none() {
            let names: Vec<&str> = model_names().collect();
            let message = format!("No model is called {model}; there are {}.", names.join(", "));
            return GeneralReport::unknown(workload.as_str(), "unknown-model", message);
        }
    }
    match workload {
        Workload::ListAppend => check_lists(history, options, budget),
        Workload::RwRegister => check_registers(history, options, budget),
        small => simple::check(history, small, options.examples_max),
    }
}

fn check_lists(history: &History, options: &Options, budget: &mut dyn Budget) -> GeneralReport {
    let txns = Txns::read(history, Shape::Lists);
    let lists = match Lists::new(&txns) {
        Ok(lists) => lists,
        Err(AppendedTwice { key, value }) => {
            let message =
                format!("Value {value} was appended to key {key} twice; appends must be unique.");
            return GeneralReport::unknown("list-append", "values-not-unique", message);
        }
    };
    let mut cases = Cases::new(options.examples_max);
    lists.anomalies(&mut cases);
    let explain =
        |rel: Rel, from: u32, to: u32, a: &str, b: &str| lists.explain(rel, from, to, a, b);
    let findings = circles(&txns, lists.edges(), &explain, options, budget);
    conclude(Workload::ListAppend, &txns, cases, &findings, options)
}

fn check_registers(history: &History, options: &Options, budget: &mut dyn Budget) -> GeneralReport {
    let txns = Txns::read(history, Shape::Registers);
    let registers = Registers::new(&txns, options);
    let mut cases = Cases::new(options.examples_max);
    registers.anomalies(&mut cases);
    let explain =
        |rel: Rel, from: u32, to: u32, a: &str, b: &str| registers.explain(rel, from, to, a, b);
    let findings = circles(&txns, registers.edges(), &explain, options, budget);
    conclude(Workload::RwRegister, &txns, cases, &findings, options)
}

/// What may not occur.
fn prohibited(options: &Options) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> =
        prohibited_by(options.consistency_models.iter().map(String::as_str));
    names.extend(options.anomalies.iter().map(String::as_str));
    names
}

/// Finds circles, with real-time edges if some prohibited anomaly is about them, else with those of processes.
fn circles(
    txns: &Txns,
    edges: Vec<(u32, u32, Rel)>,
    explain: &Explain<'_>,
    options: &Options,
    budget: &mut dyn Budget,
) -> Findings {
    let names = prohibited(options);
    let about = |suffix: &str| names.iter().any(|n| n.ends_with(suffix));
    let realtime = about("-realtime");
    let source = TxnGraph::new(txns, edges, !realtime && about("-process"), explain);
    let search = graph::Options { realtime, work_max: options.work_max };
    graph::find(&source, &search, budget)
}

/// Puts the report together. Which circles exist is only told where nothing more definite was found.
fn conclude(
    workload: Workload,
    txns: &Txns,
    mut cases: Cases,
    findings: &Findings,
    options: &Options,
) -> GeneralReport {
    for cycle in &findings.cycles {
        cases.add(cycle.name, || GeneralExample {
            sentence: cycle.sentence.clone(),
            ops: cycle.ops.clone(),
            steps: cycle.steps.clone(),
            ..GeneralExample::default()
        });
    }
    let (not, also) = excluded_by(cases.found.keys().map(String::as_str));
    for exists in &findings.exists {
        let model = models::model_of_cycle_exists(exists.name);
        if model.is_none_or(|m| !not.contains(&m) && !also.contains(&m)) {
            cases.add(exists.name, || GeneralExample {
                sentence: exists.sentence.clone(),
                ops: exists.ops.clone(),
                ..GeneralExample::default()
            });
        }
    }
    let mut reasons = Vec::new();
    if findings.is_empty {
        reasons.push(GeneralReason {
            code: "empty-transaction-graph".to_owned(),
            message: "No transaction depends on another, so the history proves nothing.".to_owned(),
        });
    }
    if let Some(given_up) = findings.given_up.first() {
        reasons.push(GeneralReason {
            code: "cycle-search-timeout".to_owned(),
            message: format!(
                "The search for {} among {} transactions that depend on each other was given up.",
                given_up.name, given_up.size
            ),
        });
    }
    let names = prohibited(options);
    let mut verdict =
        if reasons.is_empty() { GeneralVerdict::Valid } else { GeneralVerdict::Unknown };
    for (name, anomaly) in &mut cases.found {
        anomaly.prohibited = names.contains(name.as_str());
        if anomaly.prohibited {
            verdict = GeneralVerdict::Invalid;
        }
    }
    let (not, also_not) = excluded_by(cases.found.keys().map(String::as_str));
    GeneralReport {
        model: workload.as_str().to_owned(),
        verdict,
        reasons,
        operations: txns.txns.len() as u64,
        anomalies: cases.found,
        not,
        also_not,
    }
}
