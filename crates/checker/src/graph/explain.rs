//! What was found, as data and as sentences.

use super::classes::{Class, Variant};
use serde::Serialize;

/// Why one operation comes before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rel {
    /// It wrote the version before.
    Ww,
    /// It wrote what the other read.
    Wr,
    /// It read the version before the one that the other wrote.
    Rw,
    /// The same client did it earlier.
    Process,
    /// It returned before the other was invoked.
    Realtime,
}

/// What an edge rests on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Reason {
    /// The key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The value that the first operation wrote or read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The value that the second operation wrote or read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The reason as a clause: "T2 polled 4 from key x, which T1 sent".
    pub text: String,
}

/// One edge of a circle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The event of the operation that comes first.
    pub from: u64,
    /// The event of the operation that follows.
    pub to: u64,
    /// The kind of dependency.
    #[serde(rename = "type")]
    pub rel: Rel,
    /// What it rests on.
    #[serde(flatten)]
    pub reason: Reason,
}

/// A circle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cycle {
    /// The anomaly's name, for instance `G1c-realtime`.
    pub name: &'static str,
    /// The events of its operations in order, the first not repeated.
    pub ops: Vec<u64>,
    /// Its edges in order.
    pub steps: Vec<Step>,
    /// The proof: "Let T1 be operation 3 …: a contradiction."
    pub sentence: String,
}

/// A component that some model excludes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CycleExists {
    /// The anomaly's name, for instance `PL-2-cycle-exists`.
    pub name: &'static str,
    /// The weakest model that excludes it.
    pub not: &'static str,
    /// How many operations the smallest such component has.
    pub size: usize,
    /// Their events, ascending; at most the first 32.
    pub ops: Vec<u64>,
    /// A sentence for people.
    pub sentence: String,
}

/// A search that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GivenUp {
    /// The class that was searched.
    pub name: &'static str,
    /// How many operations the component has.
    pub size: usize,
    /// The event of its first operation.
    pub first: u64,
}

/// Everything that a search for circles gives.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Findings {
    /// Circles: components in order, within one in the order of the search.
    pub cycles: Vec<Cycle>,
    /// Components that models exclude.
    pub exists: Vec<CycleExists>,
    /// Searches that ran out of work.
    pub given_up: Vec<GivenUp>,
    /// How many components with a circle there are.
    pub components: usize,
    /// Whether there is no edge at all, not even of real time (`empty-transaction-graph`).
    pub is_empty: bool,
}

/// The proof of a circle as a sentence.
pub(super) fn sentence(ops: &[u64], steps: &[Step]) -> String {
    let names: Vec<String> =
        ops.iter().enumerate().map(|(i, op)| format!("T{} be operation {op}", i + 1)).collect();
    let last = steps.len().saturating_sub(1);
    let clauses: Vec<String> = steps
        .iter()
        .enumerate()
        .map(|(i, step)| {
            let (a, b) = (i + 1, (i + 1) % steps.len() + 1);
            let turn = if i == last && i > 0 { "however, " } else { "" };
            format!("{turn}T{a} < T{b}, because {}", step.reason.text)
        })
        .collect();
    format!("Let {}. Then {}: a contradiction.", join(&names), clauses.join("; "))
}

/// Joins the parts of an enumeration.
pub(super) fn join(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

/// The class and variant of a circle by the kinds of its edges.
pub fn classify(rels: &[Rel]) -> (Class, Variant) {
    let has = |rel: Rel| rels.contains(&rel);
    let variant = if has(Rel::Realtime) {
        Variant::Realtime
    } else if has(Rel::Process) {
        Variant::Process
    } else {
        Variant::Plain
    };
    let antis = rels.iter().filter(|r| **r == Rel::Rw).count();
    let adjacent =
        (0..rels.len()).any(|i| rels[i] == Rel::Rw && rels[(i + 1) % rels.len()] == Rel::Rw);
    let class = match antis {
        0 if has(Rel::Wr) => Class::G1c,
        0 => Class::G0,
        1 => Class::GSingle,
        _ if adjacent => Class::G2Item,
        _ => Class::GNonadjacent,
    };
    (class, variant)
}
