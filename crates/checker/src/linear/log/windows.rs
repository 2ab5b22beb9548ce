//! The batch form: bounds for the moment at which each offset was filled, and whether they leave room.

use super::explain::{LogFault, LogRule};
use super::fill::{Fill, Job, Slot, Tail, fill};
use super::{Cell, Log, LogCall};
use crate::linear::budget::{Budget, Exhausted};
use crate::linear::op::{NEVER, Op, OpRef};
use rustc_hash::FxHashMap;

/// No operation, no offset.
const NOBODY: u32 = u32::MAX;
const NOWHERE: u64 = u64::MAX;

/// The answer of the batch form.
#[derive(Debug)]
pub(super) enum Judgement {
    /// Linearizable; with the invocations in order when that was asked for.
    Holds(Option<Vec<u64>>),
    /// Some answers exclude each other.
    Broken,
    /// Only the offsets without a known value show it.
    Unfilled(LogFault),
    /// This value was appended twice.
    NotUnique(i64),
    /// Holes and batches of unknown outcome: undecided.
    BatchHoles,
}

/// Where values were appended: the append in the upper half, the position within it in the lower half.
enum ByValue {
    Dense(i64, Vec<u64>),
    Hashed(FxHashMap<i64, u64>),
}

impl ByValue {
    fn of(log: &Log) -> Result<ByValue, i64> {
        let appended = || {
            let ops = (0u64..).zip(&log.ops).filter(|(_, o)| is_append(o));
            ops.flat_map(|(i, o)| {
                (0u64..)
                    .zip(log.cells_of(&o.call))
                    .map(move |(back, c)| (c.value, (i << 32) | back))
            })
        };
        let (mut low, mut high, mut count) = (i64::MAX, i64::MIN, 0usize);
        for (value, _) in appended() {
            low = low.min(value);
            high = high.max(value);
            count += 1;
        }
        let width = usize::try_from(high.wrapping_sub(low).wrapping_add(1)).unwrap_or(usize::MAX);
        if count > 0 && high.checked_sub(low).is_some() && width <= 4 * count + 1024 {
            let mut table = vec![NOWHERE; width];
            for (value, at) in appended() {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "below width"
                )]
                let slot = &mut table[(value - low) as usize];
                if *slot != NOWHERE {
                    return Err(value);
                }
                *slot = at;
            }
            return Ok(ByValue::Dense(low, table));
        }
        let mut map = FxHashMap::with_capacity_and_hasher(count, rustc_hash::FxBuildHasher);
        for (value, at) in appended() {
            if map.insert(value, at).is_some() {
                return Err(value);
            }
        }
        Ok(ByValue::Hashed(map))
    }

    /// The append of this value and how many records of its batch stand before it.
    fn get(&self, value: i64) -> Option<(usize, u64)> {
        let at = match self {
            ByValue::Dense(low, table) => {
                *table.get(usize::try_from(value.checked_sub(*low)?).ok()?)?
            }
            ByValue::Hashed(map) => *map.get(&value)?,
        };
        if at == NOWHERE {
            return None;
        }
        Some((usize::try_from(at >> 32).ok()?, at & u64::from(u32::MAX)))
    }
}

fn is_append(op: &Op<LogCall>) -> bool {
    matches!(op.call, LogCall::Append { .. })
}

/// The offsets that matter, numbered in order. In the sorted form an entry stands for all offsets up to the next.
enum Places {
    Dense(usize),
    Sorted(Vec<u64>),
}

impl Places {
    fn of(log: &Log, base: &[u64]) -> Places {
        let mut high = 0;
        each_claimed(log, base, |o| high = high.max(o));
        let budget = 4 * (log.ops.len() + log.cells.len()) + 1024;
        match usize::try_from(high) {
            Ok(high) if high < budget => Places::Dense(high + 2),
            _ => {
                let mut offsets = vec![0];
                each_claimed(log, base, |o| offsets.extend([o, o.saturating_add(1)]));
                offsets.sort_unstable();
                offsets.dedup();
                Places::Sorted(offsets)
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Places::Dense(n) => *n,
            Places::Sorted(offsets) => offsets.len(),
        }
    }

    /// The number of an offset that was claimed.
    fn at(&self, offset: u64) -> usize {
        match self {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "dense offsets are below the length"
            )]
            Places::Dense(_) => offset as usize,
            Places::Sorted(offsets) => offsets.partition_point(|o| *o < offset),
        }
    }

    fn offset(&self, at: usize) -> u64 {
        match self {
            Places::Dense(_) => at as u64,
            Places::Sorted(offsets) => offsets[at],
        }
    }

    /// How many offsets the entry stands for.
    fn run(&self, at: usize) -> u64 {
        match self {
            Places::Dense(_) => 1,
            Places::Sorted(offsets) => offsets.get(at + 1).map_or(1, |n| n - offsets[at]),
        }
    }
}

/// Calls `each` with the ends of every range of offsets that an answer speaks of.
fn each_claimed(log: &Log, base: &[u64], mut each: impl FnMut(u64)) {
    for (op, base) in log.ops.iter().zip(base) {
        match op.call {
            LogCall::Append { len, .. } if *base != NOWHERE => {
                (0..u64::from(len)).for_each(|i| each(base.saturating_add(i)));
            }
            LogCall::Append { .. } => {}
            LogCall::Fetch { .. } => log.cells_of(&op.call).iter().for_each(|c| each(c.offset)),
            LogCall::Empty { offset, .. } | LogCall::Gone { offset } => each(offset),
            LogCall::End { end, .. } => {
                each(end);
                each(end.saturating_sub(1));
            }
        }
    }
}

/// Bounds by place. A lower bound is stored as the event plus one, so that 0 is none and `lower > upper` is a crossing.
struct Windows {
    places: Places,
    owner: Vec<u32>,
    lower: Vec<u64>,
    upper: Vec<u64>,
    /// Lower bounds of the moments of deletion; empty when nothing was deleted.
    gone: Vec<u64>,
}

/// Decides a log in the batch form.
pub(super) fn judge(
    log: &Log,
    certificate: bool,
    budget: &mut dyn Budget,
) -> Result<Judgement, Exhausted> {
    let bytes = i64::try_from(48 * log.ops.len() + 32 * log.cells.len()).unwrap_or(i64::MAX);
    budget.step(bytes)?;
    let judgement = judge_within(log, certificate, budget);
    budget.step(-bytes)?;
    judgement
}

fn judge_within(
    log: &Log,
    certificate: bool,
    budget: &mut dyn Budget,
) -> Result<Judgement, Exhausted> {
    let by_value = match ByValue::of(log) {
        Ok(map) => map,
        Err(value) => return Ok(Judgement::NotUnique(value)),
    };
    let Some(base) = bind(log, &by_value, budget)? else { return Ok(Judgement::Broken) };
    let Some(windows) = Windows::of(log, &by_value, &base) else { return Ok(Judgement::Broken) };
    budget.step(0)?;
    let placed = match windows.fill(log, &base) {
        Ok(placed) => placed,
        Err(judgement) => return Ok(judgement),
    };
    if !certificate {
        return Ok(Judgement::Holds(None));
    }
    if placed.is_empty() {
        return Ok(Judgement::Holds(Some(windows.order(log, &base))));
    }
    let mut base = base;
    for (op, offset) in placed {
        base[op as usize] = offset;
    }
    let Some(windows) = Windows::of(log, &by_value, &base) else { return Ok(Judgement::Broken) };
    Ok(Judgement::Holds(Some(windows.order(log, &base))))
}

/// The offset of every append that an answer attributes; `None` when a value stands at two offsets or has no append
/// that may have happened, as when the only one failed.
fn bind(
    log: &Log,
    by_value: &ByValue,
    budget: &mut dyn Budget,
) -> Result<Option<Vec<u64>>, Exhausted> {
    let mut base: Vec<u64> = log
        .ops
        .iter()
        .map(|o| match o.call {
            LogCall::Append { offset, len, .. } if len > 0 => offset.unwrap_or(NOWHERE),
            _ => NOWHERE,
        })
        .collect();
    for (i, op) in log.ops.iter().enumerate() {
        if i % 4096 == 0 {
            budget.step(0)?;
        }
        if is_append(op) {
            continue;
        }
        for cell in log.cells_of(&op.call) {
            let Some((writer, back)) = by_value.get(cell.value) else { return Ok(None) };
            let Some(start) = cell.offset.checked_sub(back) else { return Ok(None) };
            let known = &mut base[writer];
            if *known == NOWHERE {
                *known = start;
            } else if *known != start {
                return Ok(None);
            }
        }
    }
    Ok(Some(base))
}

impl Windows {
    /// The bounds with their prefix maxima and suffix minima; `None` when they cross or an offset holds two values.
    fn of(log: &Log, by_value: &ByValue, base: &[u64]) -> Option<Windows> {
        let places = Places::of(log, base);
        let n = places.len();
        let mut w = Windows {
            places,
            owner: vec![NOBODY; n],
            lower: vec![0; n],
            upper: vec![NEVER; n],
            gone: Vec::new(),
        };
        let has_batches =
            log.ops.iter().any(|o| matches!(o.call, LogCall::Append { len, .. } if len > 1));
        for ((i, op), base) in (0u32..).zip(&log.ops).zip(base) {
            if is_append(op) && *base != NOWHERE {
                w.append(i, op, *base)?;
            }
        }
        for op in &log.ops {
            w.observe(log, op, has_batches.then_some((by_value, base)))?;
        }
        let mut latest = 0;
        for lower in &mut w.lower {
            latest = latest.max(*lower);
            *lower = latest;
        }
        if log.ops.iter().any(|o| matches!(o.call, LogCall::Gone { .. })) {
            w.deletions(log)?;
        }
        let mut earliest = NEVER;
        for (lower, upper) in w.lower.iter().zip(&mut w.upper).rev() {
            earliest = earliest.min(*upper);
            *upper = earliest;
            if *lower > earliest {
                return None;
            }
        }
        Some(w)
    }

    fn append(&mut self, i: u32, op: &Op<LogCall>, base: u64) -> Option<()> {
        let LogCall::Append { len, .. } = op.call else { return Some(()) };
        for offset in (base..).take(len as usize) {
            let at = self.places.at(offset);
            if self.owner[at] != NOBODY {
                return None;
            }
            self.owner[at] = i;
            self.after(at, op.invoke);
            self.before(at, op.returned());
        }
        Some(())
    }

    fn after(&mut self, at: usize, event: u64) {
        self.lower[at] = self.lower[at].max(event + 1);
    }

    fn before(&mut self, at: usize, event: u64) {
        self.upper[at] = self.upper[at].min(event);
    }

    /// Takes in the answer of a read. `batches` is given when an offset may belong to a larger whole.
    fn observe(
        &mut self,
        log: &Log,
        op: &Op<LogCall>,
        batches: Option<(&ByValue, &[u64])>,
    ) -> Option<()> {
        match op.call {
            LogCall::Append { .. } => {}
            LogCall::Fetch { .. } => {
                for Cell { offset, value } in log.cells_of(&op.call) {
                    let mut last = *offset;
                    if let Some((by_value, base)) = batches {
                        let (writer, _) = by_value.get(*value)?;
                        let len = log.cells_of(&log.ops[writer].call).len() as u64;
                        last = base[writer] + len - 1;
                    }
                    let at = self.places.at(last);
                    self.before(at, op.returned());
                }
            }
            LogCall::Empty { offset, strict } => {
                if strict {
                    let at = self.places.at(offset);
                    self.after(at, op.invoke);
                }
            }
            LogCall::End { end, strict } => {
                let at = self.places.at(end);
                if strict {
                    self.after(at, op.invoke);
                }
                if let Some(last) = end.checked_sub(1) {
                    let last = self.places.at(last);
                    let owner = self.owner[last];
                    if owner != NOBODY && owner == self.owner[at] {
                        if strict {
                            return None;
                        }
                        // A part of a batch shows all of it.
                        let len = log.cells_of(&log.ops[owner as usize].call).len() as u64;
                        let whole = batches.map_or(end, |(_, base)| base[owner as usize] + len);
                        let whole = self.places.at(whole - 1);
                        self.before(whole, op.returned());
                    }
                    self.before(last, op.returned());
                }
            }
            LogCall::Gone { offset } => {
                let at = self.places.at(offset);
                self.before(at, op.returned());
            }
        }
        Some(())
    }

    /// The second chain: when offsets vanish. A fetch bounds it from below, a finding that it is gone from above. A
    /// fetch of several offsets happens between the filling of its last and the vanishing of its first.
    fn deletions(&mut self, log: &Log) -> Option<()> {
        let mut found = vec![NEVER; self.places.len()];
        for op in &log.ops {
            if let LogCall::Gone { offset } = op.call {
                let at = self.places.at(offset);
                found[at] = op.returned().min(found[at]);
            }
        }
        let mut earliest = NEVER;
        for upper in found.iter_mut().rev() {
            earliest = earliest.min(*upper);
            *upper = earliest;
        }
        let mut gone = vec![0; self.places.len()];
        for op in &log.ops {
            if !matches!(op.call, LogCall::Fetch { .. }) {
                continue;
            }
            let offsets = || log.cells_of(&op.call).iter().map(|c| c.offset);
            let (Some(first), Some(last)) = (offsets().min(), offsets().max()) else { continue };
            let (first, last) = (self.places.at(first), self.places.at(last));
            gone[first] = gone[first].max(op.invoke + 1).max(self.lower[last]);
            self.before(last, found[first]);
        }
        let mut latest = 0;
        for ((gone, lower), found) in gone.iter_mut().zip(&self.lower).zip(&found) {
            latest = latest.max(*gone).max(*lower);
            *gone = latest;
            if latest > *found {
                return None;
            }
        }
        self.gone = gone;
        Some(())
    }

    /// Finds offsets for the appends that need one or that a hole needs.
    fn fill(&self, log: &Log, base: &[u64]) -> Result<Vec<(u32, u64)>, Judgement> {
        let mut loose = (0u32..).zip(log.ops.iter().zip(base)).filter(|(_, (op, base))| {
            is_append(op) && **base == NOWHERE && !log.cells_of(&op.call).is_empty()
        });
        let last = self.upper.iter().rposition(|u| *u != NEVER);
        let shown = last.map_or(0, |at| at + 1);
        let has_hole = self.owner[..shown].contains(&NOBODY);
        let (mut jobs, mut batch) = (Vec::new(), false);
        if has_hole || loose.clone().any(|(_, (op, _))| op.ret.is_some()) {
            for (i, (op, _)) in loose.by_ref() {
                batch |= log.cells_of(&op.call).len() > 1;
                jobs.push(Job { ret: op.returned(), invoke: op.invoke, op: i });
            }
        }
        if batch {
            return Err(Judgement::BatchHoles);
        }
        if !has_hole && jobs.is_empty() {
            return Ok(Vec::new());
        }
        let slots = (0..shown).filter(|at| self.owner[*at] == NOBODY).map(|at| Slot {
            offset: self.places.offset(at),
            count: self.places.run(at).min(jobs.len() as u64 + 1),
            lower: self.lower[at],
            upper: self.upper[at],
        });
        let slots: Vec<Slot> = slots.collect();
        let tail = Tail {
            start: last.map_or(0, |at| self.places.offset(at) + 1),
            lowers: (0..self.places.len())
                .map(|at| (self.places.offset(at), self.lower[at]))
                .collect(),
        };
        match fill(&slots, &tail, jobs, log.holes) {
            Fill::Assigned(placed) => Ok(placed),
            Fill::Unfilled { offset, holes } => {
                let at = slots.iter().rfind(|s| s.offset <= offset).map_or(0, |s| s.upper);
                let op = log.ops.iter().find(|o| o.ret == Some(at)).map(Op::id);
                let op = op.unwrap_or(OpRef { invoke: 0, ret: None });
                let rule = LogRule::Unfilled { offset, holes };
                Err(Judgement::Unfilled(LogFault { rule, op, others: Vec::new(), event: NEVER }))
            }
            Fill::NoRoom(i) => {
                let op = log.ops[i as usize].id();
                let rule = LogRule::NoRoom;
                Err(Judgement::Unfilled(LogFault { rule, op, others: Vec::new(), event: NEVER }))
            }
        }
    }

    /// Invocations in the order of the moments at which the operations took effect.
    ///
    /// An offset is filled right after its lower bound; the events between two positions share a gap, within which
    /// offsets order the fillings and every read stands after the last offset that it shows.
    fn order(&self, log: &Log, base: &[u64]) -> Vec<u64> {
        let mut moments: Vec<(u64, u64, u8, u64)> = Vec::with_capacity(log.ops.len());
        for (op, base) in log.ops.iter().zip(base) {
            let begin = op.invoke + 1;
            let after = |offset: u64, kind: u8| {
                let gap = self.lower[self.places.at(offset)].max(begin);
                (gap, offset + 1, kind, op.invoke)
            };
            let moment = match op.call {
                LogCall::Append { .. } if *base == NOWHERE => continue,
                LogCall::Append { .. } => {
                    (self.lower[self.places.at(*base)], *base + 1, 0, op.invoke)
                }
                LogCall::Fetch { .. } => {
                    let last = log.cells_of(&op.call).iter().map(|c| c.offset).max();
                    last.map_or((begin, 0, 0, op.invoke), |o| after(o, 1))
                }
                LogCall::End { end, .. } if end > 0 => after(end - 1, 1),
                LogCall::Empty { .. } | LogCall::End { .. } => (begin, 0, 0, op.invoke),
                LogCall::Gone { offset } => {
                    // Deletions stand at the end of their gap, in the order of offsets.
                    let gap = self.gone[self.places.at(offset)].max(begin);
                    (gap, (1 << 63) | offset, 3, op.invoke)
                }
            };
            moments.push(moment);
        }
        moments.sort_unstable();
        let mut order: Vec<u64> = moments.into_iter().map(|(_, _, _, invoke)| invoke).collect();
        order.dedup();
        order
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Aborted, Holes};
    use super::*;
    use crate::linear::budget::Unlimited;

    fn holds(log: &Log) -> bool {
        matches!(judge(log, true, &mut Unlimited), Ok(Judgement::Holds(_)))
    }

    #[test]
    fn a_hole_needs_an_append_that_began_before_it_was_crossed() {
        let mut log = Log { holes: Holes::Filled, ..Log::default() };
        log.push_append((Some(0), 0, Some(1)), [10], Some(1));
        assert!(!holes_hold(&mut log, 2));
        assert!(holes_hold(&mut log, 0));
    }

    fn holes_hold(log: &mut Log, invoke: u64) -> bool {
        let mut log = log.clone();
        log.push_append((Some(1), invoke, None), [11], None);
        holds(&log)
    }

    #[test]
    fn offsets_far_apart_cost_no_memory() {
        let mut log = Log::default();
        log.push_append((Some(0), 0, Some(1)), [10], Some(1 << 60));
        log.push_fetch((Some(0), 2, 3), [Cell { offset: 1 << 60, value: 10 }]);
        assert!(holds(&log));
        log.holes = Holes::Filled;
        assert!(!holds(&log));
    }

    #[test]
    fn an_aborted_value_must_not_be_read() {
        let mut log = Log::default();
        log.aborted.push(Aborted { value: 10, invoke: 0, fail: 1 });
        log.push_fetch((Some(0), 2, 3), [Cell { offset: 0, value: 10 }]);
        assert!(!holds(&log));
    }
}
