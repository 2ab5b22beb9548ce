//! Registers, string stores, locks and queues.

use super::codes::{Codes, NIL};
use super::{Malformed, Object, Row, event, function, process, rows, scalar};
use crate::linear::decide::FailedCas;
use crate::linear::models::{KvCall, MutexCall};
use crate::linear::op::{Op, OpRef};
use crate::linear::queue::{Queue, QueueCall};
use crate::linear::register::{Register, RegisterCall};
use perjury_history::{History, Scalar};
use rustc_hash::FxHashMap;
use serde_json::Value;

const NULL: &Value = &Value::Null;

/// The datum of a row, or nil.
fn datum(history: &History, i: usize) -> &Value {
    history.json(i).unwrap_or(NULL)
}

/// Objects by key, in order of first appearance.
struct Objects<T> {
    ids: FxHashMap<Option<Scalar>, usize>,
    list: Vec<Object<T>>,
}

impl<T: Default> Objects<T> {
    fn new() -> Self {
        Objects { ids: FxHashMap::default(), list: Vec::new() }
    }

    fn of(&mut self, key: Option<Scalar>) -> &mut T {
        let at = *self.ids.entry(key).or_insert_with_key(|key| {
            self.list.push(Object { key: key.clone(), body: T::default() });
            self.list.len() - 1
        });
        &mut self.list[at].body
    }
}

/// The key that a row names in a field of its own.
fn named_key(history: &History, i: usize) -> Option<Scalar> {
    Some(scalar(history.extra(i)?.ext.get("key")?))
}

/// Key and value of a row: the key stands in a field of its own, or first in a pair when `paired`.
fn split(history: &History, i: usize, paired: bool) -> (Option<Scalar>, &Value) {
    let value = datum(history, i);
    if let Some(key) = named_key(history, i) {
        return (Some(key), value);
    }
    match value.as_array().map(Vec::as_slice) {
        Some([key, value]) if paired => (Some(scalar(key)), value),
        Some([key]) if paired => (Some(scalar(key)), NULL),
        _ => (None, value),
    }
}

/// Whether values are pairs of a key and a value: some write has a pair, or some compare-and-set a pair with a pair.
fn is_paired(history: &History) -> bool {
    rows(history).any(|row| {
        let value = datum(history, row.invoke).as_array();
        match function(history, row.invoke) {
            "write" => value.is_some_and(|v| v.len() == 2),
            "cas" => value.is_some_and(|v| v.len() == 2 && v[1].is_array()),
            _ => false,
        }
    })
}

/// The registers of a history, with its values. Code 0 is nil.
pub(in crate::linear) fn registers(
    history: &History,
    failed_cas: FailedCas,
) -> Result<(Vec<Object<Register>>, Codes), Malformed> {
    let mut objects: Objects<Register> = Objects::new();
    let mut codes = Codes::new();
    let paired = is_paired(history);
    for row in rows(history) {
        let f = function(history, row.invoke);
        let (key, asked) = split(history, row.invoke, paired);
        let id = OpRef { invoke: event(row.invoke), ret: row.returned().map(event) };
        let call = match f {
            "read" => {
                let Some(end) = row.returned() else { continue };
                RegisterCall::Read(codes.code(split(history, end, paired).1))
            }
            "write" => {
                let value = codes.code(asked);
                if let Some(fail) = row.failed() {
                    let id = OpRef { ret: Some(event(fail)), ..id };
                    objects.of(key).aborted.push((value, id));
                    continue;
                }
                RegisterCall::Write(value)
            }
            "cas" => {
                let Some([from, to]) = asked.as_array().map(Vec::as_slice) else {
                    return Err(Malformed::new(row.invoke, "cas takes [from, to]"));
                };
                let (from, to) = (codes.code(from), codes.code(to));
                match row.failed() {
                    None => RegisterCall::Cas(from, to),
                    Some(fail) => {
                        let Some(call) = failed(history, fail, from, failed_cas, &mut codes) else {
                            continue;
                        };
                        let (process, ret) = (process(history, row.invoke), Some(event(fail)));
                        objects.of(key).ops.push(Op { process, invoke: id.invoke, ret, call });
                        continue;
                    }
                }
            }
            _ => continue,
        };
        let process = process(history, row.invoke);
        objects.of(key).ops.push(Op { process, invoke: id.invoke, ret: id.ret, call });
    }
    Ok((objects.list, codes))
}

/// What a failed compare-and-set says.
fn failed(
    history: &History,
    fail: usize,
    from: u32,
    failed_cas: FailedCas,
    codes: &mut Codes,
) -> Option<RegisterCall> {
    if let Some(current) = history.extra(fail).and_then(|e| e.ext.get("current")) {
        return Some(RegisterCall::Read(codes.code(current)));
    }
    let observed = failed_cas == FailedCas::Differs && history.error(fail).is_none();
    observed.then_some(RegisterCall::Differs(from))
}

/// Whether a row appends a string to a key, as in a string store.
pub(super) fn is_string_append(history: &History, i: usize) -> bool {
    named_key(history, i).is_some() && datum(history, i).is_string()
}

/// The keys of a string store.
pub(in crate::linear) fn kvs(history: &History) -> Result<Vec<Object<Vec<Op<KvCall>>>>, Malformed> {
    let mut objects: Objects<Vec<Op<KvCall>>> = Objects::new();
    for row in rows(history) {
        let f = function(history, row.invoke);
        let (mut key, asked) = split(history, row.invoke, true);
        if f == "get" && key.is_none() && !asked.is_null() {
            key = Some(scalar(asked));
        }
        let call = match f {
            "get" => match row.returned() {
                Some(end) => KvCall::Get(text(split(history, end, true).1)),
                None => continue,
            },
            "put" | "append" if row.failed().is_some() => continue,
            "put" => KvCall::Put(text(asked)),
            "append" => KvCall::Append(text(asked)),
            _ => continue,
        };
        let (process, invoke) = (process(history, row.invoke), event(row.invoke));
        objects.of(key).push(Op { process, invoke, ret: row.returned().map(event), call });
    }
    Ok(objects.list)
}

fn text(value: &Value) -> Box<str> {
    match value {
        Value::Null => Box::default(),
        Value::String(s) => s.as_str().into(),
        other => other.to_string().into(),
    }
}

/// The locks of a history.
pub(in crate::linear) fn mutexes(history: &History) -> Vec<Object<Vec<Op<MutexCall>>>> {
    let mut objects: Objects<Vec<Op<MutexCall>>> = Objects::new();
    for row in rows(history).filter(|r| r.failed().is_none()) {
        let call = match function(history, row.invoke) {
            "acquire" => MutexCall::Acquire,
            "release" => MutexCall::Release,
            _ => continue,
        };
        let key = named_key(history, row.invoke);
        let (process, invoke) = (process(history, row.invoke), event(row.invoke));
        objects.of(key).push(Op { process, invoke, ret: row.returned().map(event), call });
    }
    objects.list
}

/// The queues of a history, with its values. A dequeue that is ok without a value found the queue empty; one that
/// failed did not happen.
pub(in crate::linear) fn queues(history: &History) -> (Vec<Object<Queue>>, Codes) {
    let mut objects: Objects<Queue> = Objects::new();
    let mut codes = Codes::new();
    for row in rows(history) {
        let key = named_key(history, row.invoke);
        let id = OpRef { invoke: event(row.invoke), ret: row.returned().map(event) };
        let call = match function(history, row.invoke) {
            "enqueue" => {
                let value = codes.code(datum(history, row.invoke));
                if let Some(fail) = row.failed() {
                    let id = OpRef { ret: Some(event(fail)), ..id };
                    objects.of(key).aborted.push((value, id));
                    continue;
                }
                QueueCall::Enqueue(value)
            }
            "dequeue" if row.failed().is_some() => continue,
            "dequeue" => dequeued(history, &row, &mut codes),
            _ => continue,
        };
        let process = process(history, row.invoke);
        objects.of(key).ops.push(Op { process, invoke: id.invoke, ret: id.ret, call });
    }
    (objects.list, codes)
}

fn dequeued(history: &History, row: &Row, codes: &mut Codes) -> QueueCall {
    match row.returned().map(|end| codes.code(datum(history, end))) {
        None => QueueCall::Take,
        Some(NIL) => QueueCall::Empty,
        Some(value) => QueueCall::Dequeue(value),
    }
}
