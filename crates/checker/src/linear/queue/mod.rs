//! A first-in first-out queue whose values are unique, decided without search.
//!
//! # How it is decided
//! A history with unique values is linearizable exactly when none of these patterns occurs (Bouajjani, Emmi, Enea and
//! Hamza 2015): a value is dequeued that was not enqueued, or before it was; a value is dequeued twice; `a` was enqueued
//! before `b` but dequeued after it, or never; a dequeue found the queue empty while at every instant of it some value
//! must have been inside. Each is found by sorting.
//!
//! # Unknown outcomes
//! An enqueue of unknown outcome took effect only if its value was dequeued. A dequeue of unknown outcome may have taken
//! any value that nobody else dequeued: values that would otherwise be overtaken are matched to such dequeues by
//! earliest deadline. When dequeues that found nothing are present as well, a violation that such a dequeue might
//! explain is left to the general search.

mod order;
mod patterns;

use super::budget::Budget;
use super::models::Fifo;
use super::op::{NEVER, Op, OpRef, aborted_before, first_broken, returns};
use super::outcome::{Answer, Unknown, Violation};
use super::search;
use patterns::Judgement;

/// One operation on a queue, with its answer. Values are codes, dense from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueueCall {
    /// This value was appended.
    Enqueue(u32),
    /// This value was taken from the front.
    Dequeue(u32),
    /// The queue was empty.
    Empty,
    /// A dequeue whose answer nobody knows.
    Take,
}

/// The operations on one queue.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    /// The operations in order of invocation.
    pub ops: Vec<Op<QueueCall>>,
    /// Values whose enqueue failed, with its invocation and its failure.
    pub aborted: Vec<(u32, OpRef)>,
}

impl Queue {
    /// Whether no value is enqueued twice, which is what the patterns need.
    pub fn is_unique(&self) -> bool {
        let mut seen = vec![false; patterns::values_len(self)];
        self.ops.iter().all(|op| match op.call {
            QueueCall::Enqueue(v) => !std::mem::replace(&mut seen[v as usize], true),
            _ => true,
        })
    }

    fn before(&self, before: u64) -> Queue {
        let ops = self.ops.iter().filter(|op| op.invoke < before).map(|op| {
            let ret = op.ret.filter(|r| *r < before);
            let call = match op.call {
                QueueCall::Dequeue(_) | QueueCall::Empty if ret.is_none() => QueueCall::Take,
                call => call,
            };
            Op { ret, call, ..op.clone() }
        });
        let mut ops = ops.collect();
        let aborted = aborted_before(&self.aborted, before, &mut ops, QueueCall::Enqueue);
        Queue { ops, aborted }
    }
}

/// Decides a queue for which [`Queue::is_unique`] holds; `None` when only a search can. `name` shows a value's code.
///
/// Cost: a few sorts.
pub fn decide(
    queue: &Queue,
    certificate: bool,
    budget: &mut dyn Budget,
    name: &dyn Fn(u32) -> String,
) -> Option<Answer> {
    let bytes = i64::try_from(queue.ops.len() * 64).unwrap_or(i64::MAX);
    if let Err(what) = budget.step(bytes) {
        return Some(Answer::Unknown(Unknown::exhausted(what, 0)));
    }
    let fault = match patterns::judge(queue) {
        Judgement::Holds(values) => {
            let order = certificate.then(|| order::linearize(queue, &values));
            return budgeted(budget, bytes, Answer::Linearizable { order });
        }
        Judgement::Open => return None,
        Judgement::Broken(fault) => fault,
    };
    let returns = returns(&queue.ops, &queue.aborted);
    let upper = fault.ops.iter().map(|o| o.ret.unwrap_or(0)).max().unwrap_or(NEVER);
    let end = first_broken(upper, &returns, |before| prefix_order(queue, before, budget).is_some());
    let fault = match patterns::judge(&queue.before(end + 1)) {
        Judgement::Broken(fault) => fault,
        _ => fault,
    };
    let prefix = prefix_order(queue, end, budget).unwrap_or_default();
    let sentence = fault.sentence(name);
    let violation =
        Violation::found(&queue.ops, fault.ops, (end, prefix), fault.rule.code(), sentence);
    let answer = Answer::NotLinearizable(Box::new(violation));
    budgeted(budget, bytes, answer)
}

/// A linearization of the events before `before`, unless there is none. Empty when it could not be found within budget.
fn prefix_order(queue: &Queue, before: u64, budget: &mut dyn Budget) -> Option<Vec<u64>> {
    let prefix = queue.before(before);
    match patterns::judge(&prefix) {
        Judgement::Holds(values) => Some(order::linearize(&prefix, &values)),
        Judgement::Broken(_) => None,
        Judgement::Open => {
            let model = Fifo { name: &|v| v.to_string() };
            match search::decide(&model, &prefix.ops, true, budget) {
                Answer::Linearizable { order } => order,
                Answer::NotLinearizable(_) => None,
                Answer::Unknown(_) => Some(Vec::new()),
            }
        }
    }
}

fn budgeted(budget: &mut dyn Budget, bytes: i64, answer: Answer) -> Option<Answer> {
    match budget.step(-bytes) {
        Ok(()) => Some(answer),
        Err(what) => Some(Answer::Unknown(Unknown::exhausted(what, 0))),
    }
}
