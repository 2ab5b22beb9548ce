//! A linearization of a queue in which no bad pattern occurs.
//!
//! Dequeues that found nothing are put at instants at which the queue may be empty; every value then stays between two
//! such instants. Between them, values leave in the order in which they enter: one is next when no other must enter or
//! leave before it.

use super::patterns::{Stay, occupied};
use super::{Queue, QueueCall};
use crate::linear::op::NEVER;
use std::collections::BTreeSet;

/// Invocations in the order of the moments at which the operations took effect.
pub(super) fn linearize(queue: &Queue, stays: &[Stay]) -> Vec<u64> {
    let occupied = occupied(stays);
    let mut empties: Vec<(u64, u64)> = Vec::new();
    for op in queue.ops.iter().filter(|o| o.call == QueueCall::Empty) {
        let at = occupied.partition_point(|(from, _)| *from <= op.invoke);
        let gap = at.checked_sub(1).map_or(0, |i| occupied[i].1);
        // A stretch without end covers no dequeue that found nothing.
        empties.push((if gap == NEVER { op.invoke } else { gap.max(op.invoke) }, op.invoke));
    }
    empties.sort_unstable();
    let slab = |s: &Stay| empties.partition_point(|(gap, _)| *gap < s.enq.1);
    let mut slabs: Vec<(usize, &Stay)> = stays.iter().map(|s| (slab(s), s)).collect();
    slabs.sort_by_key(|(slab, _)| *slab);
    let mut order = Vec::with_capacity(queue.ops.len());
    let mut next = 0;
    for group in slabs.chunk_by(|a, b| a.0 == b.0) {
        while next < group[0].0 {
            order.push(empties[next].1);
            next += 1;
        }
        let values: Vec<&Stay> = group.iter().map(|(_, s)| *s).collect();
        order.extend(within(&values));
    }
    order.extend(empties[next..].iter().map(|(_, invoke)| *invoke));
    order
}

/// Orders the enqueues and dequeues of values that no empty instant separates.
fn within(stays: &[&Stay]) -> Vec<u64> {
    let sequence = sequence(stays);
    let mut moments: Vec<(u64, usize, u8, u64)> = Vec::with_capacity(2 * stays.len());
    let (mut entered, mut left) = (0, 0);
    for (i, at) in sequence.into_iter().enumerate() {
        let s = stays[at];
        entered = s.enq.0.max(entered);
        moments.push((entered, i, 0, s.enqueue.invoke));
        if let Some(d) = s.dequeue {
            left = s.deq.0.max(entered).max(left);
            moments.push((left, i, 1, d.invoke));
        }
    }
    moments.sort_unstable();
    moments.into_iter().map(|m| m.3).collect()
}

/// The order in which values pass through the queue: repeatedly one that begins to enter, and begins to leave, before
/// any remaining value has finished doing so.
fn sequence(stays: &[&Stay]) -> Vec<usize> {
    let n = stays.len();
    let mut by_enter: Vec<usize> = (0..n).collect();
    by_enter.sort_unstable_by_key(|i| (stays[*i].enq.0, *i));
    let mut by_leave: Vec<usize> = (0..n).collect();
    by_leave.sort_unstable_by_key(|i| (stays[*i].deq.0, *i));
    let mut entering: BTreeSet<(u64, usize)> = (0..n).map(|i| (stays[i].enq.1, i)).collect();
    let mut leaving: BTreeSet<(u64, usize)> = (0..n).map(|i| (stays[i].deq.1, i)).collect();
    let mut marks = vec![0u8; n];
    let mut ready = Vec::new();
    let (mut e, mut d) = (0, 0);
    let mut sequence = Vec::with_capacity(n);
    while sequence.len() < n {
        let first_in = entering.first().map_or(NEVER, |f| f.0);
        while e < n && (stays[by_enter[e]].enq.0 < first_in) {
            mark(by_enter[e], &mut marks, &mut ready);
            e += 1;
        }
        let first_out = leaving.first().map_or(NEVER, |f| f.0);
        while d < n && (stays[by_leave[d]].deq.0 < first_out || first_out == NEVER) {
            mark(by_leave[d], &mut marks, &mut ready);
            d += 1;
        }
        // Without a bad pattern one is always ready.
        let Some(at) = ready.pop() else { break };
        entering.remove(&(stays[at].enq.1, at));
        leaving.remove(&(stays[at].deq.1, at));
        sequence.push(at);
    }
    sequence
}

fn mark(at: usize, marks: &mut [u8], ready: &mut Vec<usize>) {
    marks[at] += 1;
    if marks[at] == 2 {
        ready.push(at);
    }
}
