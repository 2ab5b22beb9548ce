//! # What it is
//! A poll returned a value before the send of that value was invoked; or a consumer that reads committed was given a value
//! before the commit of its transaction was invoked, or above the last stable offset.
//!
//! # Why it is bad
//! Effects cannot precede their causes: either the cluster handed out what it could not have, or the recorder's order of
//! events is wrong, and then no other verdict can be trusted.
//!
//! # How it is found
//! For each value: the completion of the first ok operation that polled it comes before the invocation of the operation
//! that sent it, in the order of the history. Values that several operations sent are left out.
//!
//! Where the configuration says `read_committed`: the same with the time at which the transaction says that its commit
//! was invoked (`commit_at`); and for each answer to `list-offsets` the values that an ok operation had read, before it was
//! asked, at or above the last stable offset that it tells: that offset never goes back. Such a case is sound if the one
//! who asked had read the value itself, since a leader that was cut off may tell others what it last knew.
//!
//! # Contract
//! A violation.
//!
//! # Source
//! Ours; the shortest form of a real-time cycle (`G1c-realtime`).

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::index::{KeyIndex, Slot};
use crate::observed::{LAST_STABLE, beside};
use crate::report::Example;
use crate::tally::Tally;
use perjury_history::{IsolationLevel, KeyId, Process};
use std::collections::BTreeMap;

pub(super) const ENTRY: Entry = Entry {
    name: "early-read",
    counted: ("record read too early", "records read too early"),
    title: "a record was read too early",
    origin: Origin::Perjury,
    clause: Clause::Integrity,
    meaning: "A poll returned a record before it was sent, before its transaction's commit was asked for, or above the \
              last stable offset.",
    impact: "Consumers act on what may never come about.",
    causes: &[
        "a fetch with read_committed that is served beyond the last stable offset",
        "a last stable offset that moves before the transaction has ended",
        "where nobody had sent it yet: values that are not unique, a topic that was not empty, or a recorder that orders \
         events wrongly",
    ],
    advice: "Compare the record's offset with the last stable offset at the time of the fetch. Where the send itself began \
             later, check the recording first: a broker can hardly do that.",
    legal_if: "",
    run: Some(run),
};

/// Why a read came too early.
#[derive(Debug, Clone, Copy)]
enum Before {
    /// Before the send was invoked, at this row.
    Send(usize),
    /// Before the commit of the operation that completed at this row was invoked, by so many nanoseconds.
    Commit(usize, i64),
    /// Above the last stable offset that this row tells.
    Stable(usize, i64),
}

/// The rows of the read and of what comes only later.
fn reversed(ctx: &Context<'_>, key: &KeyIndex, slot: Slot) -> Option<(usize, Before)> {
    let read = key.first_read(slot).filter(|_| !key.was_sent_again(slot))?;
    let sent = ctx.sent_at(key, slot)?;
    if read < sent {
        return Some((read, Before::Send(sent)));
    }
    let writer = key.writer(slot).filter(|w| reads_committed(ctx) && *w != read)?;
    let commit = beside(ctx.history, writer, "commit_at")?.as_i64()?;
    let early = commit.saturating_sub(ctx.history.time(read)?);
    (early > 0).then_some((read, Before::Commit(writer, early)))
}

fn reads_committed(ctx: &Context<'_>) -> bool {
    ctx.promises.config.isolation_level == Some(IsolationLevel::ReadCommitted)
}

/// Values that were read at or above a last stable offset which was told afterwards; the first for each answer.
fn above_stable(ctx: &Context<'_>, tally: &mut Tally<Case>) {
    let mut asked: Vec<_> = ctx.observed().ends.iter().collect();
    asked.sort_by_key(|e| e.invoked);
    let mut reached: BTreeMap<KeyId, Reached> = BTreeMap::new();
    for ends in asked {
        let (Some(stable), Some(id)) = (ends.figures[LAST_STABLE], ctx.key_named(&ends.key)) else {
            continue;
        };
        let key = ctx.index.key(id);
        let reached = reached.entry(id).or_insert_with(|| {
            let read = key.slots().filter_map(|s| Some((key.first_read(s)?, s)));
            let mut reads: Vec<(usize, Slot)> = read.collect();
            reads.sort_unstable();
            Reached { reads, next: 0, highest: None }
        });
        while let Some((row, slot)) = reached.reads.get(reached.next).filter(|r| r.0 < ends.invoked)
        {
            let place = key.first_and_last(*slot).map(|(first, _)| first);
            if place.is_some() && reached.highest.is_none_or(|(best, ..)| Some(best) < place) {
                reached.highest = place.map(|place| (place, *row, *slot));
            }
            reached.next += 1;
        }
        let Some((place, read, slot)) = reached.highest else { continue };
        if key.offset_at(place) >= stable {
            let own = ends.process.is_some()
                && ctx.history.process(read) == ends.process.map(Process::Client);
            let row = u32::try_from(ends.row).unwrap_or(u32::MAX);
            tally.add(own, 0, row, (id, slot, read, Before::Stable(ends.row, stable)));
        }
    }
}

/// The reads of one topic-partition by row, how many were looked at, and the highest of these: place, row and value.
struct Reached {
    reads: Vec<(usize, Slot)>,
    next: usize,
    highest: Option<(u32, usize, Slot)>,
}

type Case = (KeyId, Slot, usize, Before);

fn run(ctx: &Context<'_>) -> Found {
    let mut tally = Tally::new(ctx.options.examples_max);
    for (id, key) in ctx.index.keys() {
        for slot in key.slots() {
            if let Some((read, before)) = reversed(ctx, key, slot) {
                let row = u32::try_from(read).unwrap_or(u32::MAX);
                tally.add(true, 0, row, (id, slot, read, before));
            }
        }
    }
    if reads_committed(ctx) {
        above_stable(ctx, &mut tally);
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|case| example(ctx, case)).collect();
    Found { count, sound, examples }
}

fn example(ctx: &Context<'_>, (id, slot, read, before): Case) -> Example {
    let (row, why) = match before {
        Before::Send(sent) => {
            (sent, format!("but {} invoked the send of it only afterwards", ctx.op(sent)))
        }
        Before::Commit(writer, early) => {
            let after = crate::words::duration(early);
            (writer, format!("but {} invoked its commit only {after} later", ctx.op(writer)))
        }
        Before::Stable(ends, stable) => {
            let asked = ctx.op(ends);
            (ends, format!("but {asked}, asked afterwards, told a last stable offset of {stable}"))
        }
    };
    let read_words = crate::words::capital(&ctx.op(read));
    let text = format!("{read_words} returned {}, {why}.", ctx.placed(id, slot, None));
    ctx.example(id, slot, None, [read, row], text)
}
