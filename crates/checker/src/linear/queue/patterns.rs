//! The patterns that no queue shows.

use super::{Queue, QueueCall};
use crate::linear::op::{NEVER, OpRef};

/// What is wrong, with the operations that show it.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) rule: Rule,
    pub(super) ops: Vec<OpRef>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Phantom(u32),
    Aborted(u32),
    Future(u32),
    Twice(u32),
    /// The first value was enqueued first and left last.
    Overtaken(u32, u32),
    NotEmpty,
}

impl Rule {
    pub(super) fn code(self) -> &'static str {
        match self {
            Rule::Phantom(_) => "phantom-value",
            Rule::Aborted(_) => "aborted-value",
            Rule::Future(_) => "dequeued-before-enqueued",
            Rule::Twice(_) => "dequeued-twice",
            Rule::Overtaken(_, _) => "overtaken",
            Rule::NotEmpty => "empty-while-not-empty",
        }
    }
}

impl Fault {
    pub(super) fn sentence(&self, name: &dyn Fn(u32) -> String) -> String {
        let op = |i: usize| self.ops.get(i).map_or_else(|| "nobody".to_owned(), |o| o.to_string());
        match self.rule {
            Rule::Phantom(v) => {
                format!("{} dequeued {}, but nobody was asked to enqueue it.", op(0), name(v))
            }
            Rule::Aborted(v) => {
                format!("{} dequeued {}, but the enqueue of it failed ({}).", op(0), name(v), op(1))
            }
            Rule::Future(v) => format!(
                "{} dequeued {} and returned before its enqueue began ({}).",
                op(0),
                name(v),
                op(1)
            ),
            Rule::Twice(v) => format!("{} and {} both dequeued {}.", op(0), op(1), name(v)),
            Rule::Overtaken(a, b) => {
                let later = match self.ops.get(3) {
                    Some(d) => format!("before the dequeue of {} began ({d})", name(a)),
                    None => format!("and {} was never dequeued", name(a)),
                };
                format!(
                    "{} was enqueued ({}) before the enqueue of {} began ({}), yet {} was dequeued ({}) {later}.",
                    name(a),
                    op(0),
                    name(b),
                    op(1),
                    name(b),
                    op(2)
                )
            }
            Rule::NotEmpty => format!(
                "{} found the queue empty, but at every instant of it a value that had been enqueued was not yet dequeued; see {} and {}.",
                op(0),
                op(1),
                op(2)
            ),
        }
    }
}

/// When a value entered and left, each as an interval of events.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stay {
    pub(super) value: u32,
    pub(super) enqueue: OpRef,
    /// Its dequeue; none when it stayed.
    pub(super) dequeue: Option<OpRef>,
    pub(super) enq: (u64, u64),
    pub(super) deq: (u64, u64),
}

pub(super) enum Judgement {
    /// Linearizable, with the values that were inside at any time.
    Holds(Vec<Stay>),
    Broken(Fault),
    /// The patterns do not decide.
    Open,
}

/// One more than the greatest value code.
pub(super) fn values_len(queue: &Queue) -> usize {
    let codes = queue.ops.iter().filter_map(|op| match op.call {
        QueueCall::Enqueue(v) | QueueCall::Dequeue(v) => Some(v),
        _ => None,
    });
    codes.max().map_or(0, |v| v as usize + 1)
}

pub(super) fn judge(queue: &Queue) -> Judgement {
    let mut stays = match stays(queue) {
        Ok(stays) => stays,
        Err(fault) => return Judgement::Broken(fault),
    };
    let mut takes: Vec<OpRef> =
        queue.ops.iter().filter(|o| o.call == QueueCall::Take).map(|o| o.id()).collect();
    takes.sort_unstable();
    let could_explain = !takes.is_empty() && stays.iter().any(|s| s.dequeue.is_none());
    stays.sort_unstable_by_key(|s| s.enq.0);
    take_overtaken(&mut stays, &takes);
    if let Some(fault) = overtaken(&stays) {
        return Judgement::Broken(fault);
    }
    match not_empty(queue, &stays) {
        None => Judgement::Holds(stays),
        Some(_) if could_explain => Judgement::Open,
        Some(fault) => Judgement::Broken(fault),
    }
}

/// Pairs enqueues with dequeues. Values whose enqueue is unknown and that nobody dequeued are left out.
fn stays(queue: &Queue) -> Result<Vec<Stay>, Fault> {
    let n = values_len(queue);
    let mut enqueues: Vec<Option<OpRef>> = vec![None; n];
    let mut dequeues: Vec<Option<OpRef>> = vec![None; n];
    for op in &queue.ops {
        match op.call {
            QueueCall::Enqueue(v) => enqueues[v as usize] = Some(op.id()),
            QueueCall::Dequeue(v) => {
                if let Some(other) = dequeues[v as usize].replace(op.id()) {
                    return Err(Fault { rule: Rule::Twice(v), ops: vec![other, op.id()] });
                }
            }
            _ => {}
        }
    }
    let mut stays = Vec::with_capacity(n);
    for (value, (enqueue, dequeue)) in (0u32..).zip(enqueues.into_iter().zip(dequeues)) {
        match (enqueue, dequeue) {
            (None, None) => {}
            (None, Some(d)) => {
                let failed = queue.aborted.iter().find(|(v, _)| *v == value);
                let rule =
                    if failed.is_some() { Rule::Aborted(value) } else { Rule::Phantom(value) };
                let ops = [Some(d), failed.map(|(_, id)| *id)].into_iter().flatten().collect();
                return Err(Fault { rule, ops });
            }
            (Some(e), Some(d)) => {
                let left = d.ret.unwrap_or(NEVER);
                if left < e.invoke {
                    return Err(Fault { rule: Rule::Future(value), ops: vec![d, e] });
                }
                let enq = (e.invoke, e.ret.unwrap_or(NEVER).min(left));
                let deq = (d.invoke.max(e.invoke), left);
                stays.push(Stay { value, enqueue: e, dequeue, enq, deq });
            }
            (Some(e), None) => {
                let Some(ret) = e.ret else { continue };
                let (enq, deq) = ((e.invoke, ret), (NEVER, NEVER));
                stays.push(Stay { value, enqueue: e, dequeue: None, enq, deq });
            }
        }
    }
    Ok(stays)
}

/// Gives values that would be overtaken to dequeues of unknown outcome, the most urgent value first. `stays` are in
/// order of the invocations of their enqueues.
fn take_overtaken(stays: &mut [Stay], takes: &[OpRef]) {
    if takes.is_empty() {
        return;
    }
    let mut earliest = vec![NEVER; stays.len() + 1];
    for i in (0..stays.len()).rev() {
        earliest[i] = earliest[i + 1].min(stays[i].deq.1);
    }
    let starts: Vec<u64> = stays.iter().map(|s| s.enq.0).collect();
    let mut urgent: Vec<(u64, usize)> = (0..stays.len())
        .filter(|i| stays[*i].dequeue.is_none())
        .map(|i| (earliest[starts.partition_point(|s| *s <= stays[i].enq.1)], i))
        .filter(|(deadline, _)| *deadline != NEVER)
        .collect();
    urgent.sort_unstable();
    for ((deadline, i), take) in urgent.into_iter().zip(takes) {
        if take.invoke < deadline {
            stays[i].dequeue = Some(*take);
            stays[i].deq = (take.invoke.max(stays[i].enq.0), NEVER);
        }
    }
}

/// A value that was enqueued before another and left after it.
fn overtaken(stays: &[Stay]) -> Option<Fault> {
    let mut by_return: Vec<&Stay> = stays.iter().collect();
    by_return.sort_unstable_by_key(|s| s.enq.1);
    let mut earlier = by_return.into_iter().peekable();
    let mut last: Option<&Stay> = None;
    for b in stays {
        while let Some(a) = earlier.next_if(|a| a.enq.1 < b.enq.0) {
            if last.is_none_or(|l| a.deq.0 > l.deq.0) {
                last = Some(a);
            }
        }
        let Some(a) = last.filter(|a| a.deq.0 > b.deq.1) else { continue };
        let ops = [Some(a.enqueue), Some(b.enqueue), b.dequeue, a.dequeue];
        let ops = ops.into_iter().flatten().collect();
        return Some(Fault { rule: Rule::Overtaken(a.value, b.value), ops });
    }
    None
}

/// The stretches during which some value must be inside, in order: after the first event, before the second.
pub(super) fn occupied(stays: &[Stay]) -> Vec<(u64, u64)> {
    let mut spans: Vec<(u64, u64)> =
        stays.iter().filter(|s| s.enq.1 < s.deq.0).map(|s| (s.enq.1, s.deq.0)).collect();
    spans.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.0 < last.1 => last.1 = last.1.max(span.1),
            _ => merged.push(span),
        }
    }
    merged
}

fn not_empty(queue: &Queue, stays: &[Stay]) -> Option<Fault> {
    let occupied = occupied(stays);
    for op in queue.ops.iter().filter(|o| o.call == QueueCall::Empty) {
        let at = occupied.partition_point(|(from, _)| *from < op.invoke);
        let Some((from, to)) = at.checked_sub(1).map(|i| occupied[i]) else { continue };
        if op.returned() < to {
            let first = stays.iter().find(|s| s.enq.1 == from).map(|s| s.enqueue);
            let last = stays.iter().find(|s| s.deq.0 == to).map(|s| s.dequeue.unwrap_or(s.enqueue));
            let ops = [Some(op.id()), first, last].into_iter().flatten().collect();
            return Some(Fault { rule: Rule::NotEmpty, ops });
        }
    }
    None
}
