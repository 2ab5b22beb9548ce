//! # What it is
//! The last value of a record key is gone from a compacted topic; or a key that was deleted has an older value again.
//!
//! # Why it is bad
//! Whoever restores a table from the topic gets another table than the one that was written.
//!
//! # How it is found
//! Only if the topics are compacted and a final read reached the target of the topic-partition. Of each record key of the
//! topic-partition, the acknowledged send with the highest offset of all is its last value, if it was acknowledged before
//! the final read began, below the offset that it reached. Sends whose place nobody saw do not matter unless they are
//! tombstones: had one superseded the last value and stayed, the final read would have seen it, and had another one
//! superseded it in turn, that one. So, if none of them is a tombstone: a last value that no ok operation invoked in the
//! final read returned is a case. If the last one is a tombstone: a case is an older value that the final read returned
//! without the tombstone, since compaction keeps a tombstone for no less time than what it deletes.
//!
//! A case is sound if the acknowledgement was one that lasts.
//!
//! # Contract
//! A violation with acks=all and unclean leader election off; allowed with weaker acks.
//!
//! # Source
//! Ours; Kafka design, log compaction.

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::index::Slot;
use crate::removals::{Keyed, Register};
use crate::tally::Tally;
use crate::words::capital;
use perjury_history::KeyId;
use rustc_hash::FxHashMap;

pub(super) const ENTRY: Entry = Entry {
    name: "lost-last-value",
    counted: ("key with a wrong last value", "keys with a wrong last value"),
    title: "the last value of a key is gone",
    origin: Origin::Perjury,
    clause: Clause::LastValue,
    meaning: "Compaction removed the last value of a key, or a tombstone before what it deletes.",
    impact: "A table that is restored from the topic has old values, or keys that were deleted.",
    causes: &[
        "compaction that orders the records of a key wrongly",
        "compaction of a part of the log that replicas do not agree on yet",
        "tombstones that are removed too early",
    ],
    advice: "Compare the replicas' logs before and after the cleaner's run, at the offsets of this key.",
    legal_if: "acks=0 or acks=1, or unclean leader election",
    run: Some(run),
};

/// What the final read returned, and the first operation that did.
fn returned(ctx: &Context<'_>, begin: usize) -> FxHashMap<(KeyId, Slot), usize> {
    let mut all = FxHashMap::default();
    for row in ctx.index.data_completions().filter(|i| ctx.is_ok(*i)) {
        if ctx.invoked(row).is_some_and(|invoked| invoked > begin) {
            ctx.index.for_each_read(row, |id, slot, _| {
                all.entry((id, slot)).or_insert(row);
            });
        }
    }
    all
}

fn run(ctx: &Context<'_>) -> Found {
    let registers = &ctx.removals().registers;
    let read = ctx.around.final_read.as_ref().filter(|_| !registers.is_empty());
    let Some(read) = read else { return Found::default() };
    let seen = returned(ctx, read.begin);
    let mut tally = Tally::new(ctx.options.examples_max);
    for ((id, name), register) in registers {
        let key = ctx.key(*id);
        let (Some(target), Some(reached)) = (read.targets.get(&key), read.reached.get(&key)) else {
            continue;
        };
        let open = |send: &Keyed| send.offset.is_none() && send.tombstone;
        let Some(last) = register.sends.last() else { continue };
        let before = last.row < read.begin && last.offset.is_some_and(|o| o < *reached);
        if reached < target || !last.acknowledged || !before || register.sends.iter().any(open) {
            continue;
        }
        let sees = |send: &Keyed| seen.contains_key(&(*id, send.slot));
        let Some(instead) = wrong(register, last, sees) else { continue };
        let sound = ctx.promises.durable(ctx.acks(last.row));
        let row = u32::try_from(last.row).unwrap_or(u32::MAX);
        tally.add(sound, 0, row, (*id, name, *last, instead));
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|(id, name, last, instead)| {
        let (around, fault) = ctx.fault_near(last.row);
        let what = if last.tombstone { "a tombstone for" } else { "the last value of" };
        let placed = capital(&ctx.placed(id, last.slot, last.offset));
        let read = instead.and_then(|old| seen.get(&(id, old.slot)).copied());
        let found = instead.zip(read).map(|(old, read)| {
            let old = ctx.placed(id, old.slot, old.offset);
            let whose = if last.tombstone { "which it deletes" } else { "an older value of that key" };
            format!("{} returned {old}, {whose}", ctx.op(read))
        });
        let found = found.unwrap_or_else(|| "returned no value of that key at all".into());
        let text = format!(
            "{placed} is {what} key {name} and was acknowledged by {}{around}; the final read, which began afterwards and \
             went past that offset, did not return it, and {found}.",
            ctx.op(last.row),
        );
        let rows = [Some(last.row), instead.map(|old| old.row), read].into_iter().flatten();
        let mut example = ctx.example(id, last.slot, last.offset, rows, text);
        example.fault = fault;
        example
    });
    Found { count, sound, examples: examples.collect() }
}

/// Whether the last send to a key is missing where it must not be, and which older one was returned in its place.
fn wrong(
    register: &Register,
    last: &Keyed,
    sees: impl Fn(&Keyed) -> bool,
) -> Option<Option<Keyed>> {
    if sees(last) {
        return None;
    }
    let older = register.sends.iter().rev().skip(1).find(|send| sees(send)).copied();
    // A tombstone may go with all that it deletes.
    (!last.tombstone || older.is_some()).then_some(older)
}
