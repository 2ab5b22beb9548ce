//! What a history must satisfy before its analyses mean anything.

use crate::columns::History;
use crate::event::{Kind, Process};
use rustc_hash::FxHashMap;
use serde::Serialize;

/// The ways in which a history can be malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// A process invoked an operation while its previous one was still open.
    OverlappingInvoke,
    /// A completion without an open invocation of the same process.
    CompletionWithoutInvoke,
    /// A completion whose function differs from its invocation's.
    MismatchedFunction,
    /// A process went on after an operation of unknown outcome; it must be retired.
    RetiredProcess,
    /// Time went backwards.
    ReversedTime,
}

/// One place where a history is malformed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The kind of problem.
    pub kind: ProblemKind,
    /// The index of the event at which it shows.
    pub index: u64,
    /// A sentence that names what is wrong.
    pub message: String,
}

/// How many problems of a kind are listed; the rest repeats them.
const PROBLEMS_MAX: usize = 8;

/// Checks the alternation of invocations and completions of each client, and that time does not go back.
///
/// Histories without any invocation (Jepsen's unit-test style) and events without process or time are not judged on
/// what they lack. At most eight problems of each kind are returned, in history order.
pub fn check(history: &History) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut open: FxHashMap<u32, usize> = FxHashMap::default();
    let mut retired: FxHashMap<u32, usize> = FxHashMap::default();
    let mut last_time = i64::MIN;
    for i in 0..history.len() {
        if let Some(t) = history.time(i) {
            if t < last_time {
                push(&mut problems, ProblemKind::ReversedTime, i, || {
                    format!("time {t} ns is before {last_time} ns, the time of an earlier event")
                });
            }
            last_time = last_time.max(t);
        }
        let Some(Process::Client(p)) = history.process(i) else { continue };
        if history.kind(i) == Kind::Invoke {
            if let Some(j) = open.insert(p, i) {
                push(&mut problems, ProblemKind::OverlappingInvoke, i, || {
                    format!(
                        "process {p} invokes an operation while its operation {j} is still open"
                    )
                });
            }
            if let Some(j) = retired.get(&p) {
                push(&mut problems, ProblemKind::RetiredProcess, i, || {
                    format!("process {p} goes on although its operation {j} ended in info")
                });
            }
        } else if history.has_invocations() {
            completion(history, &mut open, &mut problems, p, i);
            if history.kind(i) == Kind::Info {
                retired.insert(p, i);
            }
        }
    }
    problems
}

fn completion(
    history: &History,
    open: &mut FxHashMap<u32, usize>,
    problems: &mut Vec<Problem>,
    p: u32,
    i: usize,
) {
    match open.remove(&p) {
        None => push(problems, ProblemKind::CompletionWithoutInvoke, i, || {
            format!("process {p} completes an operation that it did not invoke")
        }),
        Some(j) if history.f(j) != history.f(i) => {
            push(problems, ProblemKind::MismatchedFunction, i, || {
                format!(
                    "process {p} invoked {} at {j} and completes {}",
                    history.f(j).as_str(),
                    history.f(i).as_str()
                )
            })
        }
        Some(_) => {}
    }
}

fn push(
    problems: &mut Vec<Problem>,
    kind: ProblemKind,
    index: usize,
    message: impl FnOnce() -> String,
) {
    if problems.iter().filter(|p| p.kind == kind).count() < PROBLEMS_MAX {
        problems.push(Problem { kind, index: index as u64, message: message() });
    }
}
