//! # What it is
//! A record that was acknowledged before the final read began is missing, although the final read reached the end of the
//! log: that end lies at or below the record's offset, or the read went past that offset without it, or the
//! acknowledgement named no offset and other records stand at every offset up to that end.
//!
//! # Why it is bad
//! It is a lost write that `lost-write` cannot see: nothing was read beyond it.
//!
//! # How it is found
//! Only if the history has a final read phase that completed. For each key whose target the final read reached: every
//! value whose ok send completed before the phase began, that no ok operation ever read, and whose acknowledged offset is at
//! or above the offset reached. An offset below it counts only if consumers read uncommitted: else an open transaction may
//! hide the record. A value without an offset counts if every offset from 0 to the one reached was read: one
//! that nobody read, such as that of a control record, might be its place. Values that are lost writes already are not
//! counted again, and neither are records that may be gone (see `removals`).
//!
//! # Contract
//! As for `lost-write`: a violation with acks=all and unclean leader election off; allowed with weaker acks.
//!
//! # Source
//! Ours; the bound of a completed final read replaces the bound of the highest read.

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::index::{KeyIndex, Slot};
use crate::report::Example;
use crate::tally::Tally;
use perjury_history::{IsolationLevel, KeyId, Kind};

pub(super) const ENTRY: Entry = Entry {
    name: "lost-tail",
    counted: ("acknowledged record missing at the end", "acknowledged records missing at the end"),
    title: "acknowledged write missing from the end of the log",
    origin: Origin::Perjury,
    clause: Clause::Durability,
    meaning: "A record was acknowledged, and the log read to its end afterwards ends before it.",
    impact: "Data is gone although the producer was told that it is safe.",
    causes: &[
        "acknowledging before the in-sync replicas have the record",
        "electing a leader that misses acknowledged records",
        "losing what was acknowledged but not yet on disk",
    ],
    advice: "Compare the end offsets of all replicas with the highest acknowledged offset.",
    legal_if: "acks=0 or acks=1, or unclean leader election",
    run: Some(run),
};

/// Whether the value is one, and if so whether the case is sound. `read_whole` keeps whether every offset of the key was
/// read, once that was asked.
fn missing(
    ctx: &Context<'_>,
    key: &KeyIndex,
    slot: Slot,
    begin: usize,
    reached: i64,
    read_whole: &mut Option<bool>,
) -> Option<bool> {
    if key.first_read(slot).is_some() || key.was_polled(slot) {
        return None;
    }
    let writer = key.writer(slot).filter(|w| *w < begin)?;
    let beyond_the_end = match key.first_and_last(slot) {
        Some((first, _)) => key.offset_at(first) >= reached || sees_all(ctx),
        None => *read_whole.get_or_insert_with(|| was_read_whole(key, reached)),
    };
    if !beyond_the_end || ctx.history.kind(writer) != Kind::Ok {
        return None;
    }
    Some(ctx.promises.durable(ctx.acks(writer)) && !key.was_sent_again(slot))
}

/// Whether consumers are shown every record, also those of open transactions.
fn sees_all(ctx: &Context<'_>) -> bool {
    let config = &ctx.history.header.config;
    config.isolation_level == Some(IsolationLevel::ReadUncommitted)
}

/// Whether a record was read at every offset from 0 up to `end`.
fn was_read_whole(key: &KeyIndex, end: i64) -> bool {
    let count = key.index_from(end);
    i64::from(count) == end
        && (0..count).all(|place| {
            let read = |slot: &Slot| key.first_read(*slot).is_some();
            read(&key.picked_at(place)) || key.values_at(place).iter().any(read)
        })
}

fn run(ctx: &Context<'_>) -> Found {
    let mut tally = Tally::new(ctx.options.examples_max);
    for (id, slot, reached, sound) in lost_tails(ctx) {
        let writer = ctx.index.key(id).writer(slot).unwrap_or_default();
        let row = u32::try_from(writer).unwrap_or(u32::MAX);
        tally.add(sound, 0, row, (id, slot, reached));
    }
    let (count, sound) = (tally.count, tally.sound);
    let cases = tally.cases().into_iter();
    let examples = cases.map(|(id, slot, reached)| example(ctx, id, slot, reached)).collect();
    Found { count, sound, examples }
}

/// Every value that is missing from the end of its log, with the offset reached and whether the case is sound.
pub(crate) fn lost_tails(ctx: &Context<'_>) -> Vec<(KeyId, Slot, i64, bool)> {
    let Some(read) = ctx.around.final_read.as_ref().filter(|r| r.completed) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    let lost: rustc_hash::FxHashSet<(KeyId, Slot)> =
        ctx.lost().iter().map(|l| (l.key, l.slot)).collect();
    for (id, key) in ctx.index.keys() {
        let name = ctx.key(id);
        let (Some(target), Some(reached)) = (read.targets.get(&name), read.reached.get(&name))
        else {
            continue;
        };
        if reached < target {
            continue;
        }
        let mut whole = None;
        for slot in key.slots() {
            if let Some(sound) = missing(ctx, key, slot, read.begin, *reached, &mut whole)
                && !lost.contains(&(id, slot))
                && !ctx.removals().may_be_gone(id, key, slot)
            {
                all.push((id, slot, *reached, sound));
            }
        }
    }
    all
}

fn example(ctx: &Context<'_>, id: KeyId, slot: Slot, reached: i64) -> Example {
    let key = ctx.index.key(id);
    let writer = key.writer(slot).unwrap_or_default();
    let offset = key.first_and_last(slot).map(|(first, _)| key.offset_at(first));
    let (around, fault) = ctx.fault_near(writer);
    let elsewhere = match offset {
        Some(offset) if offset < reached => " and went past that offset without it",
        Some(_) => "",
        None => " and other records at every offset before it",
    };
    let text = format!(
        "{} was acknowledged by {}{around}; the final read, which began later, found the end of the log at offset \
         {reached}{elsewhere}; no operation ever read it.",
        crate::words::capital(&ctx.placed(id, slot, offset)),
        ctx.op(writer),
    );
    let mut example = ctx.example(id, slot, offset, [writer], text);
    example.fault = fault;
    example
}
