//! # What it is
//! Records of a topic-partition were deleted up to an offset, and a consumer that was assigned the topic-partition
//! afterwards was given one of them.
//!
//! # Why it is bad
//! What was deleted on purpose, perhaps because the law demands it, is still there for whoever asks.
//!
//! # How it is found
//! From `delete-records` that are ok, each with the offsets below which nothing is left. A case is a record below such an
//! offset in a poll of a process whose last completed assign or subscribe was invoked after the deletion had ended. What
//! other consumers had fetched before they may still hand out.
//!
//! # Contract
//! A violation; allowed where unclean leader election is on.
//!
//! # Source
//! Ours; KIP-107.

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::index::Slot;
use crate::observed::Deletion;
use crate::tally::Tally;
use crate::words::capital;
use perjury_history::{F, KeyId, Process};
use std::collections::BTreeMap;

pub(super) const ENTRY: Entry = Entry {
    name: "deleted-record-read",
    counted: ("deleted record read", "deleted records read"),
    title: "a deleted record was read",
    origin: Origin::Perjury,
    clause: Clause::Deletion,
    meaning: "Records were deleted, and a consumer that came later was given one of them.",
    impact: "Data that was deleted on purpose is still handed out.",
    causes: &[
        "a replica that became leader without the new beginning of the log",
        "a beginning of the log that is forgotten at a restart",
        "an answer to DeleteRecords before all live replicas have moved",
    ],
    advice: "Compare the log start offsets of all replicas, and their checkpoints.",
    legal_if: "unclean leader election",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    let deletions = &ctx.observed().deletions;
    if deletions.is_empty() {
        return Found::default();
    }
    let mut by_key: BTreeMap<KeyId, Vec<&Deletion>> = BTreeMap::new();
    for deletion in deletions {
        if let Some(id) = ctx.key_named(&deletion.key) {
            by_key.entry(id).or_default().push(deletion);
        }
    }
    let mut tally = Tally::new(ctx.options.examples_max);
    let mut moved: BTreeMap<Process, usize> = BTreeMap::new();
    for row in 0..ctx.history.len() {
        let Some(process) = ctx.history.process(row).filter(|p| p.is_client()) else { continue };
        if !ctx.is_ok(row) {
            continue;
        }
        match ctx.history.f(row) {
            F::Assign | F::Subscribe => {
                moved.insert(process, ctx.invoked(row).unwrap_or(row));
            }
            F::Poll | F::Txn => {
                let Some(since) = moved.get(&process) else { continue };
                let at = u32::try_from(row).unwrap_or(u32::MAX);
                // One case for each deletion that a poll went below.
                let mut found: BTreeMap<(KeyId, usize), (Slot, i64)> = BTreeMap::new();
                ctx.index.for_each_read(row, |id, slot, offset| {
                    let deletions = by_key.get(&id).into_iter().flatten();
                    let before = deletions.filter(|d| d.row < *since);
                    if let (Some(offset), Some(most)) = (offset, before.max_by_key(|d| d.below))
                        && offset < most.below
                    {
                        found.entry((id, most.row)).or_insert((slot, offset));
                    }
                });
                for ((id, deletion), (slot, offset)) in found {
                    tally.add(true, 0, at, (id, slot, offset, deletion, *since, row));
                }
            }
            _ => {}
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|(id, slot, offset, deletion, since, row)| {
        let (around, fault) = ctx.fault_around(row);
        let key = ctx.key(id);
        let told = deletions.iter().find(|d| d.row == deletion && d.key == key);
        let below = told.map_or_else(String::new, |d| format!(" below offset {}", d.below));
        let text = format!(
            "{} deleted the records of {key}{below}; {}, whose consumer was assigned afterwards, was still given {}{around}.",
            capital(&ctx.op(deletion)),
            ctx.op(row),
            ctx.placed(id, slot, Some(offset)),
        );
        let assigned = ctx.history.pair(since).unwrap_or(since);
        let mut example = ctx.example(id, slot, Some(offset), [deletion, assigned, row], text);
        example.fault = fault;
        example
    });
    Found { count, sound, examples: examples.collect() }
}
