//! From the rows of a history to operations on objects.
//!
//! Line order is the real-time order. An operation whose outcome is unknown, or that never completed, has no return. A
//! failed operation did not happen, except that a failed compare-and-set without an error observed that the value
//! differed. Objects are told apart by key, since linearizability is local (Herlihy and Wing 1990).

pub(crate) mod codes;
mod kafka;
mod keyed;
mod multi;

pub(super) use kafka::logs;
pub(super) use keyed::{kvs, mutexes, queues, registers};
pub(super) use multi::multi_register;

use super::outcome::ModelName;
use perjury_history::{F, History, Kind, MopRef, Process, Scalar};
use serde_json::Value;

/// The operations on one key.
#[derive(Debug, Clone)]
pub(super) struct Object<T> {
    /// The key, when the history has keys.
    pub(super) key: Option<Scalar>,
    /// The operations.
    pub(super) body: T,
}

/// A row whose value does not fit its function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) index: u64,
    pub(super) message: String,
}

impl Malformed {
    fn new(index: usize, message: impl Into<String>) -> Self {
        Malformed { index: index as u64, message: message.into() }
    }
}

/// How many client operations recognition looks at.
const LOOK: usize = 1000;

/// What the operations of a history look like.
pub(super) fn recognise(history: &History) -> Option<ModelName> {
    let rows = (0..history.len()).filter(|i| is_client(history, *i));
    let mut kafka_only = false;
    for i in rows.take(LOOK) {
        let name = match function(history, i) {
            "acquire" | "release" => ModelName::Mutex,
            "enqueue" | "dequeue" => ModelName::Queue,
            "get" | "put" => ModelName::Kv,
            "append" if keyed::is_string_append(history, i) => ModelName::Kv,
            "read" | "write" | "cas" => ModelName::CasRegister,
            "txn" if history.json(i).is_some_and(multi::is_transaction) => ModelName::MultiRegister,
            "send" | "poll" | "txn" if history.mops(i).next().is_some() => ModelName::Log,
            "list-offsets" | "fetch" => ModelName::Log,
            "assign" | "subscribe" => {
                kafka_only = true;
                continue;
            }
            _ => continue,
        };
        return Some(name);
    }
    kafka_only.then_some(ModelName::Log)
}

/// Whether any operation of a client is known to have happened.
pub(super) fn has_ok(history: &History) -> bool {
    (0..history.len()).any(|i| history.kind(i) == Kind::Ok && is_client(history, i))
}

/// Whether row `i` belongs to a client. Foreign histories may not name their processes.
fn is_client(history: &History, i: usize) -> bool {
    history.process(i).is_none_or(Process::is_client)
}

/// The name of a row's function without the colon of a keyword.
fn function(history: &History, i: usize) -> &str {
    history.f(i).as_str().trim_start_matches(':')
}

fn process(history: &History, i: usize) -> Option<u32> {
    match history.process(i) {
        Some(Process::Client(p)) => Some(p),
        _ => None,
    }
}

/// An invocation with how it ended.
#[derive(Debug, Clone, Copy)]
struct Row {
    invoke: usize,
    /// The completion and its kind, if there is one.
    end: Option<(usize, Kind)>,
}

impl Row {
    /// The event of the return; none when the outcome is unknown.
    fn returned(&self) -> Option<usize> {
        self.end.filter(|(_, kind)| *kind == Kind::Ok).map(|(i, _)| i)
    }

    fn failed(&self) -> Option<usize> {
        self.end.filter(|(_, kind)| *kind == Kind::Fail).map(|(i, _)| i)
    }
}

/// All operations of clients, in order of invocation.
fn rows(history: &History) -> impl Iterator<Item = Row> + '_ {
    let invocations =
        (0..history.len()).filter(|i| history.kind(*i) == Kind::Invoke && is_client(history, *i));
    invocations.map(|invoke| {
        let end = history.pair(invoke).map(|end| (end, history.kind(end)));
        Row { invoke, end }
    })
}

fn event(i: usize) -> u64 {
    i as u64
}

/// The scalar that a JSON value stands for.
fn scalar(value: &Value) -> Scalar {
    match value {
        Value::Number(n) => match n.as_i64() {
            Some(i) => Scalar::Int(i),
            None => Scalar::from(n.to_string()),
        },
        Value::String(s) => Scalar::from(s.as_str()),
        other => Scalar::from(other.to_string()),
    }
}

/// Whether a row is a send, poll or txn with micro-operations.
fn has_mops(history: &History, i: usize) -> bool {
    matches!(history.f(i), F::Send | F::Poll | F::Txn) && history.mops(i).len() > 0
}

/// Whether a micro-operation was answered.
fn is_answered(mop: &MopRef<'_>) -> bool {
    match mop {
        MopRef::Send { done, .. } => *done,
        MopRef::Poll(poll) => poll.is_some(),
    }
}
