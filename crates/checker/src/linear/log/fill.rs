//! Offsets that no answer attributes, matched to appends whose offset is not known.
//!
//! A hole at offset `o` can be filled by an append invoked before the hole was crossed (`invoke < D'(o)`) and, when the
//! append was acknowledged without an offset, only if nothing proves the log shorter than that after its return
//! (`R'(o) < ret`). Both limits grow with `o`, so the holes that an append can take form an interval, and taking the
//! append with the earliest return first is optimal (Glover's rule for convex bipartite graphs).

use super::Holes;
use crate::linear::op::NEVER;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A run of offsets without a known value and with equal limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// The first offset.
    pub(super) offset: u64,
    /// How many offsets.
    pub(super) count: u64,
    /// One more than the latest event after which the offset was filled; 0 when there is no such bound.
    pub(super) lower: u64,
    /// The earliest event before which it was filled.
    pub(super) upper: u64,
}

/// An append whose offset is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Job {
    /// Its return, or [`NEVER`]: only one that returned must stand somewhere.
    pub(super) ret: u64,
    /// Its invocation.
    pub(super) invoke: u64,
    /// Its number.
    pub(super) op: u32,
}

impl Job {
    fn is_due(&self) -> bool {
        self.ret != NEVER
    }
}

/// The result of matching.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// Appends with the offsets that they take.
    Assigned(Vec<(u32, u64)>),
    /// The hole at `offset`, the `holes`-th, cannot be filled.
    Unfilled {
        /// The offset.
        offset: u64,
        /// Its number among the holes, from 1.
        holes: u64,
    },
    /// An acknowledged append without a place.
    NoRoom(u32),
}

/// Lower bounds beyond the end of what was shown, ascending by offset, each at least as late as the one before.
pub(super) struct Tail {
    /// The first offset that nothing shows to exist.
    pub(super) start: u64,
    /// Offsets with the lower bound that holds from there on.
    pub(super) lowers: Vec<(u64, u64)>,
}

impl Tail {
    /// The lower bound that holds at `offset`.
    pub(super) fn lower(&self, offset: u64) -> u64 {
        let at = self.lowers.partition_point(|(o, _)| *o <= offset);
        at.checked_sub(1).map_or(0, |i| self.lowers[i].1)
    }
}

/// Matches `jobs` to `slots` (ascending by offset), and what is left and must stand somewhere to the tail.
pub(super) fn fill(slots: &[Slot], tail: &Tail, mut jobs: Vec<Job>, holes: Holes) -> Fill {
    if holes == Holes::Burned {
        jobs.retain(Job::is_due);
    }
    jobs.sort_unstable_by_key(|j| j.invoke);
    let mut assigned = Vec::new();
    let mut heap: BinaryHeap<Reverse<Job>> = BinaryHeap::new();
    let mut next = 0;
    let mut seen = 0;
    for slot in slots {
        while next < jobs.len() && jobs[next].invoke < slot.upper {
            heap.push(Reverse(jobs[next]));
            next += 1;
        }
        for at in 0..slot.count {
            seen += 1;
            let Some(Reverse(job)) = heap.pop() else {
                if holes == Holes::Filled {
                    return Fill::Unfilled { offset: slot.offset + at, holes: seen };
                }
                break;
            };
            if slot.lower > job.ret {
                return Fill::NoRoom(job.op);
            }
            assigned.push((job.op, slot.offset + at));
        }
    }
    heap.extend(jobs[next..].iter().map(|j| Reverse(*j)));
    let mut offset = tail.start;
    while let Some(Reverse(job)) = heap.pop() {
        if !job.is_due() {
            break;
        }
        if tail.lower(offset) > job.ret {
            return Fill::NoRoom(job.op);
        }
        assigned.push((job.op, offset));
        offset += 1;
    }
    Fill::Assigned(assigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(op: u32, invoke: u64, ret: u64) -> Job {
        Job { ret, invoke, op }
    }

    fn slot(offset: u64, lower: u64, upper: u64) -> Slot {
        Slot { offset, count: 1, lower, upper }
    }

    const NO_TAIL: Tail = Tail { start: 9, lowers: Vec::new() };

    #[test]
    fn the_append_that_must_return_first_is_placed_first() {
        let slots = [slot(3, 0, 10), slot(5, 6, 20)];
        let jobs = vec![job(0, 1, NEVER), job(1, 2, 5)];
        assert_eq!(
            fill(&slots, &NO_TAIL, jobs, Holes::Filled),
            Fill::Assigned(vec![(1, 3), (0, 5)])
        );
    }

    #[test]
    fn a_hole_crossed_before_every_append_stays_empty() {
        let slots = [slot(0, 0, 4)];
        let jobs = vec![job(0, 7, NEVER)];
        assert_eq!(
            fill(&slots, &NO_TAIL, jobs, Holes::Filled),
            Fill::Unfilled { offset: 0, holes: 1 }
        );
    }

    #[test]
    fn an_acknowledged_append_goes_to_the_tail_unless_the_log_was_shorter_later() {
        let jobs = || vec![job(0, 1, 5)];
        let tail = Tail { start: 2, lowers: vec![(0, 3)] };
        assert_eq!(fill(&[], &tail, jobs(), Holes::Filled), Fill::Assigned(vec![(0, 2)]));
        let tail = Tail { start: 2, lowers: vec![(2, 8)] };
        assert_eq!(fill(&[], &tail, jobs(), Holes::Filled), Fill::NoRoom(0));
    }
}
