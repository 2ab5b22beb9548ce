//! # What it is
//! An ok poll returned a value whose send failed: an aborted read.
//!
//! # Why it is bad
//! A failed send was reported as not having happened; the application may have done something else instead. A consumer
//! acts on a record that does not exist.
//!
//! # How it is found
//! Every record that an ok operation polled and that an operation which completed as fail had sent. One case for each
//! such record of each operation. A case is sound if no other operation sent the same value.
//!
//! # Contract
//! A violation; allowed for transactional producers when consumers read uncommitted.
//!
//! # Source
//! Jepsen `tests.kafka`, `G1a`; Adya, "Weak Consistency" (1999).

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::index::Slot;
use crate::tally::Tally;
use perjury_history::{KeyId, Kind};

pub(super) const ENTRY: Entry = Entry {
    name: "G1a",
    counted: ("aborted record read", "aborted records read"),
    title: "aborted write was read",
    origin: Origin::Jepsen,
    clause: Clause::NoAbortedReads,
    meaning: "A consumer was given a record whose send had definitely failed or whose transaction was aborted.",
    impact: "Consumers act on data that its producer knows does not exist.",
    causes: &[
        "a transaction coordinator that lets a record through although it aborts the transaction",
        "an error that the client reports as definite although the record was written",
        "reading above the last stable offset",
    ],
    advice: "Find the error of the failed send in the witness: is it one after which the broker may still have written?",
    legal_if: "transactional producers with isolation.level=read_uncommitted",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    let mut tally = Tally::new(ctx.options.examples_max);
    let suspects: Vec<bool> = ctx.index.map_keys(ctx.options.threads, |_, key| {
        key.slots().any(|s| key.was_sent(s, Kind::Fail) && key.first_read(s).is_some())
    });
    if !suspects.contains(&true) {
        return Found::default();
    }
    for i in ctx.index.data_completions().filter(|i| ctx.is_ok(*i)) {
        let row = u32::try_from(i).unwrap_or(u32::MAX);
        ctx.index.for_each_read(i, |id, slot, offset| {
            let key = ctx.index.key(id);
            if suspects[id.index()] && key.was_sent(slot, Kind::Fail) {
                tally.add(!key.was_sent_again(slot), 0, row, (i, id, slot, offset));
            }
        });
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|case| example(ctx, case)).collect();
    Found { count, sound, examples }
}

type Case = (usize, KeyId, Slot, Option<i64>);

fn example(ctx: &Context<'_>, (reader, id, slot, offset): Case) -> crate::report::Example {
    let key = ctx.index.key(id);
    let writer = key.writer(slot);
    let failed = match writer {
        Some(row) => {
            let error = ctx.history.error(row).map(|e| format!(" with {}", e.code));
            format!("{} had failed{}", ctx.op(row), error.unwrap_or_default())
        }
        None => "its send had failed".into(),
    };
    let (around, fault) = ctx.fault_around(reader);
    let text = format!(
        "{} returned {}{around}, although {failed}.",
        crate::words::capital(&ctx.op(reader)),
        ctx.placed(id, slot, offset),
    );
    let mut example = ctx.example(id, slot, offset, writer.into_iter().chain([reader]), text);
    example.fault = fault;
    example
}
