//! # What it is
//! A poll returned a value before the send of that value was invoked.
//!
//! # Why it is bad
//! Effects cannot precede their causes: either the cluster handed out what it could not have, or the recorder's order of
//! events is wrong, and then no other verdict can be trusted.
//!
//! # How it is found
//! For each value: the completion of the first ok operation that polled it comes before the invocation of the operation
//! that sent it, in the order of the history. Values that several operations sent are left out.
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
use crate::report::Example;
use crate::tally::Tally;
use perjury_history::KeyId;

pub(super) const ENTRY: Entry = Entry {
    name: "early-read",
    counted: ("record read before it was sent", "records read before they were sent"),
    title: "a record was read before it was sent",
    origin: Origin::Perjury,
    clause: Clause::Integrity,
    meaning: "A poll ended with a record whose send began later.",
    impact: "Cause and effect are reversed; or the record of events cannot be trusted.",
    causes: &[
        "values that are not unique, so that an older record is taken for this one",
        "a recorder that orders events wrongly",
        "a topic that was not empty at the start",
    ],
    advice: "Check first how the history was recorded; a broker can hardly do this.",
    legal_if: "",
    run: Some(run),
};

/// The rows of the read and of the later invocation of the send.
fn reversed(ctx: &Context<'_>, key: &KeyIndex, slot: Slot) -> Option<(usize, usize)> {
    let read = key.first_read(slot)?;
    let sent = ctx.sent_at(key, slot)?;
    (read < sent && !key.was_sent_again(slot)).then_some((read, sent))
}

fn run(ctx: &Context<'_>) -> Found {
    let mut tally = Tally::new(ctx.options.examples_max);
    for (id, key) in ctx.index.keys() {
        for slot in key.slots() {
            if let Some((read, sent)) = reversed(ctx, key, slot) {
                let row = u32::try_from(read).unwrap_or(u32::MAX);
                tally.add(true, 0, row, (id, slot, read, sent));
            }
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|case| example(ctx, case)).collect();
    Found { count, sound, examples }
}

fn example(ctx: &Context<'_>, (id, slot, read, sent): (KeyId, Slot, usize, usize)) -> Example {
    let text = format!(
        "{} returned {}, but {} invoked the send of it only afterwards.",
        crate::words::capital(&ctx.op(read)),
        ctx.placed(id, slot, None),
        ctx.op(sent),
    );
    ctx.example(id, slot, None, [read, sent], text)
}
