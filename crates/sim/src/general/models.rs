//! The state of each kind of object, and what operations do to it.

use super::objects::{Flaw, Model};
use std::collections::VecDeque;

/// What is asked of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    Read,
    Write(i64),
    Cas(Option<i64>, i64),
    Get,
    Put(String),
    Append(String),
    Enqueue(i64),
    Dequeue,
    Acquire,
    Release,
    Send(i64),
    /// Records from this offset on.
    Poll(usize),
    End,
}

impl Call {
    /// Whether it changes the object.
    pub(super) fn changes(&self) -> bool {
        !matches!(self, Call::Read | Call::Get | Call::Poll(_) | Call::End)
    }
}

/// What an object answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is done.
    Done,
    /// It was refused: a compare-and-set that found another value, a lock that is held.
    Refused,
    Value(Option<i64>),
    Text(String),
    Offset(usize),
    Records(Vec<(usize, i64)>),
}

/// How many records a poll returns at most.
const POLL_MAX: usize = 10;

/// One object. Only the part that its model uses is ever filled.
#[derive(Debug, Default)]
pub(super) struct Object {
    pub(super) value: Option<i64>,
    pub(super) text: String,
    pub(super) queue: VecDeque<i64>,
    pub(super) held: bool,
    pub(super) log: Vec<i64>,
}

impl Object {
    /// Carries the call out.
    pub(super) fn apply(&mut self, call: &Call) -> Answer {
        match call {
            Call::Read => Answer::Value(self.value),
            Call::Write(v) => {
                self.value = Some(*v);
                Answer::Done
            }
            Call::Cas(from, to) if self.value == *from => {
                self.value = Some(*to);
                Answer::Done
            }
            Call::Cas(..) => Answer::Refused,
            Call::Get => Answer::Text(self.text.clone()),
            Call::Put(s) => {
                self.text.clone_from(s);
                Answer::Done
            }
            Call::Append(s) => {
                self.text.push_str(s);
                Answer::Done
            }
            Call::Enqueue(v) => {
                self.queue.push_back(*v);
                Answer::Done
            }
            Call::Dequeue => Answer::Value(self.queue.pop_front()),
            Call::Acquire if self.held => Answer::Refused,
            Call::Acquire => {
                self.held = true;
                Answer::Done
            }
            Call::Release => {
                self.held = false;
                Answer::Done
            }
            Call::Send(v) => {
                self.log.push(*v);
                Answer::Offset(self.log.len() - 1)
            }
            Call::Poll(from) => {
                let end = self.log.len().min(from + POLL_MAX);
                Answer::Records((*from..end).map(|o| (o, self.log[o])).collect())
            }
            Call::End => Answer::Offset(self.log.len()),
        }
    }
}

/// The calls, all of one client and one object, whose last one is answered wrongly.
pub(super) fn scene(model: Model, flaw: Flaw, mut fresh: impl FnMut() -> i64) -> Vec<Call> {
    let mut text = || format!("[{}]", fresh());
    match (model, flaw) {
        (Model::Register | Model::CasRegister, Flaw::Phantom) => vec![Call::Read],
        (Model::Register | Model::CasRegister, Flaw::Stale) => {
            vec![Call::Write(fresh()), Call::Write(fresh()), Call::Read]
        }
        (Model::Kv, Flaw::Phantom) => vec![Call::Get],
        (Model::Kv, Flaw::Stale) => vec![Call::Put(text()), Call::Put(text()), Call::Get],
        (Model::Queue, _) => {
            vec![Call::Enqueue(fresh()), Call::Enqueue(fresh()), Call::Dequeue, Call::Dequeue]
        }
        (Model::Mutex, _) => vec![Call::Acquire, Call::Acquire],
        (Model::Log, Flaw::Phantom) => vec![Call::Send(fresh()), Call::Poll(0)],
        (Model::Log, Flaw::Stale) => vec![Call::Send(fresh()), Call::End],
    }
}

/// The wrong answer to the last call of a scene, from the calls before it and their answers.
pub(super) fn wrong(flaw: Flaw, last: &Call, before: &[(Call, Answer)], right: &Answer) -> Answer {
    // Values are counted upwards, so nobody writes a negative one.
    const NOBODYS: i64 = -1;
    match (last, flaw) {
        (Call::Read | Call::Dequeue, Flaw::Phantom) => Answer::Value(Some(NOBODYS)),
        (Call::Read, Flaw::Stale) => match before.first() {
            Some((Call::Write(v), _)) => Answer::Value(Some(*v)),
            _ => Answer::Value(Some(NOBODYS)),
        },
        // What was taken cannot be taken again; when others took everything, nobody's value will do.
        (Call::Dequeue, Flaw::Stale) => match before.last() {
            Some((_, Answer::Value(Some(v)))) => Answer::Value(Some(*v)),
            _ => Answer::Value(Some(NOBODYS)),
        },
        (Call::Get, Flaw::Phantom) => Answer::Text("[nobody's]".into()),
        (Call::Get, Flaw::Stale) => match before.first() {
            Some((Call::Put(s), _)) => Answer::Text(s.clone()),
            _ => Answer::Text("[nobody's]".into()),
        },
        (Call::Acquire, _) => Answer::Done,
        (Call::Poll(from), _) => Answer::Records(vec![(*from, NOBODYS)]),
        (Call::End, _) => match before.last() {
            Some((_, Answer::Offset(o))) => Answer::Offset(*o),
            _ => Answer::Offset(0),
        },
        _ => right.clone(),
    }
}
