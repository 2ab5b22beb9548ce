//! # What it is
//! A record that must have been committed is missing although reads went past its place.
//!
//! # Why it is bad
//! The producer was told that the record is safe, and nobody will ever be given it.
//!
//! # How it is found
//! Per key with ok reads: the *bound* is the highest index that an ok read reached, where a value that stands at several
//! offsets counts at its first; a value read at an unknown offset bounds nothing. Every value whose *last* place is at or
//! below the bound must have been read by an ok operation. What was not read, and whose writer must have committed (it is
//! ok, or info with another of its sends read), is lost.
//!
//! Records that may be gone are left out: those that compaction may have removed, and those below an offset up to which
//! records were to be deleted (see `removals`).
//!
//! A case is sound if the acknowledgement was one that lasts (the operation's own acks, where the history names them), if
//! it was given to this very operation or the operation is a transaction, and if no other operation sent the same value.
//!
//! # Contract
//! A violation with acks=all and unclean leader election off; allowed with weaker acks.
//!
//! # Source
//! Jepsen `tests.kafka`, `lost-write`.

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::index::{KeyIndex, Slot};
use crate::report::Example;
use crate::tally::Tally;
use crate::words::capital;
use perjury_history::{KeyId, Kind};
use serde_json::json;

pub(super) const ENTRY: Entry = Entry {
    name: "lost-write",
    counted: ("acknowledged record lost", "acknowledged records lost"),
    title: "acknowledged write lost",
    origin: Origin::Jepsen,
    clause: Clause::Durability,
    meaning: "A record was acknowledged, later records of its partition were read, and it was never read.",
    impact: "Data is gone although the producer was told that it is safe.",
    causes: &[
        "acknowledging before the in-sync replicas have the record",
        "electing a leader that misses acknowledged records",
        "cutting the log too far back when a former leader rejoins",
        "losing what was acknowledged but not yet on disk",
    ],
    advice: "Look at the broker's log around the fault: which replica became leader, at which offset, and where the old leader was cut.",
    legal_if: "acks=0 or acks=1, or unclean leader election",
    run: Some(run),
};

/// One lost value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost {
    /// The topic-partition.
    pub(crate) key: KeyId,
    /// The value.
    pub(crate) slot: Slot,
    /// The completion that sent it.
    pub(crate) writer: usize,
    /// Whether no legal behaviour explains it.
    pub(crate) sound: bool,
}

/// The highest index that ok reads of a key reached, and the value there.
fn bound(key: &KeyIndex) -> Option<(u32, Slot)> {
    let read = key.slots().filter(|s| key.first_read(*s).is_some());
    read.filter_map(|s| Some((key.first_and_last(s)?.0, s))).max()
}

/// Everything that is lost, by key and slot.
pub(crate) fn lost(ctx: &Context<'_>) -> Vec<Lost> {
    let per_key = ctx.index.map_keys(ctx.options.threads, |id, key| {
        let Some((bound, _)) = bound(key) else { return Vec::new() };
        let unread = key.slots().filter(|s| key.first_read(*s).is_none());
        let passed =
            unread.filter(|s| key.first_and_last(*s).is_some_and(|(_, last)| last <= bound));
        let lost = passed.filter_map(|slot| {
            let writer = key.writer(slot)?;
            let stays = !ctx.removals().may_be_gone(id, key, slot);
            let committed = stays && ctx.index.must_have_committed(writer);
            let sound = ctx.promises.durable(ctx.acks(writer))
                && !key.was_sent_again(slot)
                && (ctx.history.kind(writer) == Kind::Ok || ctx.promises.atomic());
            committed.then_some(Lost { key: id, slot, writer, sound })
        });
        lost.collect()
    });
    per_key.into_iter().flatten().collect()
}

fn run(ctx: &Context<'_>) -> Found {
    let mut tally = Tally::new(ctx.options.examples_max);
    for case in ctx.lost().iter().copied() {
        let row = u32::try_from(case.writer).unwrap_or(u32::MAX);
        tally.add(case.sound, 0, row, case);
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|case| example(ctx, case)).collect();
    Found { count, sound, examples }
}

fn example(ctx: &Context<'_>, case: Lost) -> Example {
    let key = ctx.index.key(case.key);
    let place = key.first_and_last(case.slot).map(|(first, _)| first);
    let offset = place.map(|p| key.offset_at(p));
    let (around, fault) = ctx.fault_near(case.writer);
    let writer = ctx.op(case.writer);
    let what = capital(&ctx.placed(case.key, case.slot, offset));
    let mut text = if ctx.is_ok(case.writer) {
        format!("{what} was acknowledged by {writer}{around}")
    } else {
        format!(
            "{what} belongs to {writer}{around}, which must have committed: another of its records was read"
        )
    };
    let mut ops = vec![case.writer];
    if let Some((index, reader)) = bound(key)
        && let Some(read) = key.first_read(reader)
    {
        let reached = key.offset_at(index);
        text.push_str(&format!("; {} read on to offset {reached}", ctx.op(read)));
        ops.push(read);
    }
    text.push_str("; no ok operation ever read it");
    let instead = place.and_then(|p| instead(key, p, case.slot));
    if let Some(other) = instead {
        let (value, at) = (ctx.value(key, other), offset.unwrap_or_default());
        match key.first_read(other) {
            Some(read) => {
                text.push_str(&format!(
                    ", and {} found value {value} at offset {at}",
                    ctx.op(read)
                ));
                ops.push(read);
            }
            None => text.push_str(&format!(", and value {value} stands at offset {at} as well")),
        }
    }
    text.push('.');
    let mut example = ctx.example(case.key, case.slot, offset, ops, text);
    if let Some(other) = instead {
        example.more.insert("found_instead".into(), json!(ctx.value(key, other)));
    }
    example.fault = fault;
    example
}

/// Another value that stands at this place: the one that was read, if any was.
fn instead(key: &KeyIndex, place: u32, slot: Slot) -> Option<Slot> {
    let others = key.values_at(place).into_iter().filter(|s| *s != slot);
    others.min_by_key(|s| (key.first_read(*s).is_none(), *s))
}
