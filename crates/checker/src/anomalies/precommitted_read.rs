//! # What it is
//! A transaction polled a record that it sent itself.
//!
//! # Why it is bad
//! Consumers must be shown only committed records. If a transaction sees its own, the last stable offset is not where it
//! should be, and others may see uncommitted records as well.
//!
//! # How it is found
//! Every completion, of whatever type, that both sends and polls: does it poll a value of a key that it sent to that key?
//! One case at most for each operation.
//!
//! # Contract
//! A violation for transactions with `isolation.level=read_committed`; allowed without transactions and for
//! `read_uncommitted`.
//!
//! # Source
//! Jepsen `tests.kafka`, `precommitted-read`.

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::index::Slot;
use crate::tally::Tally;
use perjury_history::{F, KeyId, MopRef};

pub(super) const ENTRY: Entry = Entry {
    name: "precommitted-read",
    counted: ("transaction that read its own record", "transactions that read their own records"),
    title: "transaction read its own uncommitted record",
    origin: Origin::Jepsen,
    clause: Clause::NoOwnUncommitted,
    meaning: "A transaction polled a record that it had sent itself and not committed yet.",
    impact: "Uncommitted data leaks; a transaction that aborts has already been acted upon.",
    causes: &[
        "serving reads above the last stable offset",
        "a last stable offset that moves too early",
    ],
    advice: "Check the isolation.level that the fetch request carried, and the last stable offset in its response.",
    legal_if: "operations outside of transactions, or isolation.level=read_uncommitted",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    let mut tally = Tally::new(ctx.options.examples_max);
    let mut sent: Vec<(KeyId, Slot)> = Vec::new();
    for i in ctx.index.data_completions().filter(|i| *ctx.history.f(*i) == F::Txn) {
        let sends = ctx.history.mops(i).any(|m| matches!(m, MopRef::Send { .. }));
        let polls = ctx.history.mops(i).any(|m| matches!(m, MopRef::Poll(Some(_))));
        if !(sends && polls) {
            continue;
        }
        sent.clear();
        ctx.index.for_each_write(i, |key, slot, _| sent.push((key, slot)));
        sent.sort_unstable();
        let mut first = None;
        ctx.index.for_each_read(i, |key, slot, offset| {
            if first.is_none() && sent.binary_search(&(key, slot)).is_ok() {
                first = Some((key, slot, offset));
            }
        });
        if let Some(case) = first {
            let row = u32::try_from(i).unwrap_or(u32::MAX);
            tally.add(true, 0, row, (i, case));
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|(i, (key, slot, offset))| {
        let (around, fault) = ctx.fault_around(i);
        let text = format!(
            "{} polled {}, which it sent itself{around}.",
            crate::words::capital(&ctx.op(i)),
            ctx.placed(key, slot, offset),
        );
        let mut example = ctx.example(key, slot, offset, [i], text);
        example.fault = fault;
        example
    });
    Found { count, sound, examples: examples.collect() }
}
