//! What polls passed over: the common ground of truncated-log, stale-read and resurrected-write.
//!
//! A [`Gap`] says that one answer to one poll held records on both sides of some places and nothing at them: at that
//! moment the log had nothing there, for good, since offsets are filled in order. Each value whose place a gap covers, and
//! that an ok operation read at some time, is put into one class:
//! - *truncated*: an ok operation that ended before the poll was invoked had read it, and none that was invoked after the
//!   poll had ended did;
//! - otherwise *stale*: its send was acknowledged before the poll was invoked;
//! - otherwise *resurrected*: an ok operation that was invoked after a poll had passed over it read it.
//!
//! Only the picked value of a place takes part, and only if it stands nowhere else and may not be gone (see `removals`). Of all gaps over a place the one
//! invoked last (truncated, stale) or ended first (resurrected) is the witness; both are found by sweeping the gaps once,
//! each place being assigned once.

use super::Found;
use crate::context::Context;
use crate::index::{KeyIndex, NONE, Slot};
use crate::report::Example;
use crate::tally::Tally;
use crate::walk::Gap;
use perjury_history::{KeyId, Kind};
use rustc_hash::FxHashMap;

/// The class of a passed-over value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Read before, and gone.
    Truncated,
    /// Acknowledged before, and not visible.
    Stale,
    /// Not there, and there later.
    Resurrected,
}

/// One passed-over value with its witnesses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passed {
    /// What became of it.
    pub(crate) class: Class,
    /// The topic-partition.
    pub(crate) key: KeyId,
    /// The value.
    pub(crate) slot: Slot,
    /// The row that proves that the value was there, or was to be there.
    pub(crate) proof: usize,
    /// The poll that passed over it.
    pub(crate) poll: usize,
}

/// The cases of this class, each with its sentence.
pub(super) fn found(
    ctx: &Context<'_>,
    class: Class,
    sentence: fn(&Context<'_>, &Passed) -> String,
) -> Found {
    let tally = of_class(ctx, class);
    let (count, sound) = (tally.count, tally.sound);
    let cases = tally.cases();
    let examples = cases.iter().map(|case| example(ctx, case, sentence(ctx, case)));
    Found { count, sound, examples: examples.collect() }
}

/// All values of one class.
fn of_class(ctx: &Context<'_>, class: Class) -> Tally<Passed> {
    let mut tally = Tally::new(ctx.options.examples_max);
    for passed in ctx.passed().iter().copied().filter(|p| p.class == class) {
        tally.add(true, 0, u32::try_from(passed.poll).unwrap_or(u32::MAX), passed);
    }
    tally
}

/// A value that a poll passed over, before it is known who read it when.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// The completion of the passing poll that was invoked last, and its invocation.
    last: usize,
    last_invoked: usize,
    /// The completion of the passing poll that ended first.
    first: usize,
    /// The ok read that was invoked last, and its invocation.
    read: Option<(usize, usize)>,
}

/// Every value that a poll passed over although an ok operation read it, with its class, by key and value.
pub(crate) fn classify(ctx: &Context<'_>) -> Vec<Passed> {
    let mut candidates: FxHashMap<(KeyId, Slot), Candidate> = FxHashMap::default();
    for (id, key) in ctx.index.keys() {
        let gaps = ctx.walk.gaps.get(id.index()).map(Vec::as_slice).unwrap_or_default();
        if !gaps.is_empty() {
            collect(ctx, id, key, gaps, &mut candidates);
        }
    }
    if candidates.is_empty() {
        return Vec::new();
    }
    for i in ctx.index.data_completions().filter(|i| ctx.is_ok(*i)) {
        let Some(invoked) = ctx.invoked(i) else { continue };
        ctx.index.for_each_read(i, |key, slot, _| {
            if let Some(c) = candidates.get_mut(&(key, slot)) {
                let later = c.read.is_none_or(|(before, _)| before < invoked);
                c.read = if later { Some((invoked, i)) } else { c.read };
            }
        });
    }
    let mut all: Vec<Passed> =
        candidates.into_iter().filter_map(|(at, c)| judge(ctx, at, c)).collect();
    all.sort_unstable_by_key(|p| (p.key, p.slot));
    all
}

/// The values of one key that its gaps cover.
fn collect(
    ctx: &Context<'_>,
    id: KeyId,
    key: &KeyIndex,
    gaps: &[Gap],
    candidates: &mut FxHashMap<(KeyId, Slot), Candidate>,
) {
    let mut timed: Vec<(usize, Gap)> =
        gaps.iter().filter_map(|gap| Some((ctx.invoked(gap.row as usize)?, *gap))).collect();
    timed.sort_unstable_by_key(|(_, gap)| gap.row);
    let ended_first = cover(key.len(), timed.iter().map(|(_, gap)| *gap));
    timed.sort_unstable_by_key(|(invoked, gap)| (std::cmp::Reverse(*invoked), gap.row));
    let invoked_last = cover(key.len(), timed.iter().map(|(_, gap)| *gap));
    for (place, slot) in (0u32..).zip(key.picked()) {
        let (last, first) = (invoked_last[place as usize], ended_first[place as usize]);
        let alone = key.first_and_last(slot) == Some((place, place));
        let stays = alone && last != NONE && key.first_read(slot).is_some();
        if !stays || ctx.removals().may_be_gone(id, key, slot) {
            continue;
        }
        let (last, first) = (last as usize, first as usize);
        let Some(last_invoked) = ctx.invoked(last) else { continue };
        candidates.insert((id, slot), Candidate { last, last_invoked, first, read: None });
    }
}

fn judge(ctx: &Context<'_>, (id, slot): (KeyId, Slot), c: Candidate) -> Option<Passed> {
    let key = ctx.index.key(id);
    let passed = |class, proof, poll| Some(Passed { class, key: id, slot, proof, poll });
    let read = key.first_read(slot)?;
    let (read_invoked, read_last) = c.read?;
    if read < c.last_invoked && read_invoked < c.last {
        return passed(Class::Truncated, read, c.last);
    }
    let acknowledged = key.writer(slot).filter(|w| ctx.history.kind(*w) == Kind::Ok);
    if let Some(writer) = acknowledged.filter(|w| *w < c.last_invoked) {
        return passed(Class::Stale, writer, c.last);
    }
    if c.first < read_invoked {
        return passed(Class::Resurrected, read_last, c.first);
    }
    None
}

/// For each place the row of the first of these gaps that covers it.
fn cover(places: usize, gaps: impl Iterator<Item = Gap>) -> Vec<u32> {
    let mut by = vec![NONE; places];
    let len = u32::try_from(places).unwrap_or(NONE);
    let mut next: Vec<u32> = (0..=len).collect();
    for gap in gaps {
        let mut at = free(&mut next, gap.first);
        while at < gap.end.min(len) {
            by[at as usize] = gap.row;
            next[at as usize] = at + 1;
            at = free(&mut next, at + 1);
        }
    }
    by
}

/// The first place from `at` on that no gap has taken, halving the paths on the way.
fn free(next: &mut [u32], at: u32) -> u32 {
    let mut at = (at as usize).min(next.len() - 1);
    while next[at] as usize != at {
        let beyond = next[next[at] as usize];
        next[at] = beyond;
        at = beyond as usize;
    }
    u32::try_from(at).unwrap_or(NONE)
}

/// An example whose sentence begins with these words.
fn example(ctx: &Context<'_>, passed: &Passed, text: String) -> Example {
    let (around, fault) = ctx.fault_around(passed.poll);
    let mut rows = [passed.proof, passed.poll];
    rows.sort_unstable();
    let mut example = ctx.example(passed.key, passed.slot, None, rows, format!("{text}{around}."));
    example.fault = fault;
    example
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_taken_by_the_first_gap_over_it() {
        let gap = |row, first, end| Gap { row, first, end };
        let by = cover(6, [gap(10, 1, 3), gap(11, 0, 5), gap(12, 2, 6)].into_iter());
        assert_eq!(by, vec![11, 10, 10, 11, 11, 12]);
    }
}
