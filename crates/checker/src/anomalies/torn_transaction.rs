//! # What it is
//! A transaction that must have committed lost some of its records while others of them were read.
//!
//! # Why it is bad
//! All or nothing is what a transaction is for: an order without its payment, a debit without its credit.
//!
//! # How it is found
//! Only where the configuration says that operations are transactions. Every operation with at least one record that is a
//! lost write, and at least one that an ok operation read. One case for each operation.
//!
//! # Contract
//! As for `lost-write`.
//!
//! # Source
//! Ours; KIP-98 (atomic multi-partition writes), KIP-890 (the protocol hole that made it possible).

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::index::Slot;
use crate::report::Example;
use crate::tally::Tally;
use perjury_history::KeyId;
use serde_json::json;
use std::collections::BTreeMap;

pub(super) const ENTRY: Entry = Entry {
    name: "torn-transaction",
    counted: ("torn transaction", "torn transactions"),
    title: "a transaction took effect in part",
    origin: Origin::Perjury,
    clause: Clause::Atomicity,
    meaning: "Of one committed transaction's records some were read, and others are lost.",
    impact: "What must happen together happened in part.",
    causes: &[
        "a commit marker that did not reach every partition of the transaction",
        "a late abort or commit of an earlier transaction that ended this one (KIP-890)",
        "acknowledged records that were lost in one of the partitions",
    ],
    advice: "Compare the markers of the transaction in all of its partitions, and the producer epochs they carry.",
    legal_if: "sends outside of a transaction",
    run: Some(run),
};

/// Lost and read values of one operation.
#[derive(Debug, Clone)]
struct Case {
    writer: usize,
    lost: Vec<(KeyId, Slot)>,
    read: (KeyId, Slot, usize),
}

fn run(ctx: &Context<'_>) -> Found {
    if ctx.promises.config.transactional != Some(true) {
        return Found::default();
    }
    let mut by_writer: BTreeMap<usize, (bool, Vec<(KeyId, Slot)>)> = BTreeMap::new();
    for lost in ctx.lost() {
        let entry = by_writer.entry(lost.writer).or_default();
        entry.0 |= lost.sound;
        entry.1.push((lost.key, lost.slot));
    }
    let mut tally = Tally::new(ctx.options.examples_max);
    for (writer, (sound, lost)) in by_writer {
        let mut read = None;
        ctx.index.for_each_write(writer, |key, slot, _| {
            if let Some(row) = ctx.index.key(key).first_read(slot) {
                read.get_or_insert((key, slot, row));
            }
        });
        if let Some(read) = read {
            let row = u32::try_from(writer).unwrap_or(u32::MAX);
            tally.add(sound, 0, row, Case { writer, lost, read });
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().iter().map(|case| example(ctx, case)).collect();
    Found { count, sound, examples }
}

fn example(ctx: &Context<'_>, case: &Case) -> Example {
    const NAMED_MAX: usize = 4;
    let missing: Vec<String> =
        case.lost.iter().map(|(key, slot)| ctx.placed(*key, *slot, None)).collect();
    let (key, slot, reader) = case.read;
    let (around, fault) = ctx.fault_near(case.writer);
    let text = format!(
        "Of {}{around}, {} read {}, but {} {} lost.",
        ctx.op(case.writer),
        ctx.op(reader),
        ctx.placed(key, slot, None),
        crate::words::list_some(&missing, NAMED_MAX),
        if missing.len() == 1 { "is" } else { "are" },
    );
    let (lost_key, lost_slot) = case.lost[0];
    let mut example = ctx.example(lost_key, lost_slot, None, [case.writer, reader], text);
    example.more.insert("lost".into(), json!(missing));
    example.fault = fault;
    example
}
