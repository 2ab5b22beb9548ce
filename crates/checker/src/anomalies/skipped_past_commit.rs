//! # What it is
//! A member of a group was given a topic-partition and began to read it beyond the offset that the group had committed,
//! although records stand in between.
//!
//! # Why it is bad
//! The group never processes these records: they are lost to it without any error.
//!
//! # How it is found
//! The first record that a member reads after an assignment is held against the offsets that the group can have committed
//! by then (see `observed::commits`). A case is a start above all of them, if a record between was committed and an ok
//! operation read it at some time. Topic-partitions with deleted records are left out, and so are consumers that were
//! moved on purpose.
//!
//! # Contract
//! A violation; allowed where unclean leader election is on.
//!
//! # Source
//! Ours; Kafka consumer, offsets and consumer position.

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::index::Slot;
use crate::observed::Start;
use crate::tally::Tally;
use perjury_history::KeyId;

pub(super) const ENTRY: Entry = Entry {
    name: "skipped-past-commit",
    counted: ("start beyond the committed offset", "starts beyond the committed offset"),
    title: "a group skipped records at a rebalance",
    origin: Origin::Perjury,
    clause: Clause::GroupPosition,
    meaning: "After an assignment a member began to read beyond what its group had committed.",
    impact: "Records are never processed by the group.",
    causes: &[
        "a fetch of the committed offset that failed and fell back to the end of the log",
        "an old owner's commit that was let through after the rebalance",
        "a client that resumes at its own old position",
    ],
    advice: "Compare the committed offset that the member was told with where it began; look at auto.offset.reset.",
    legal_if: "unclean leader election",
    run: Some(run),
};

/// The first record from `from` on and below `to` that was committed and read.
fn between(ctx: &Context<'_>, id: KeyId, from: i64, to: i64) -> Option<(i64, Slot)> {
    let key = ctx.index.key(id);
    let places = key.index_from(from)..key.index_from(to);
    places.map(|place| (key.offset_at(place), key.picked_at(place))).find(|(_, slot)| {
        let committed = key.writer(*slot).is_some_and(|w| ctx.index.must_have_committed(w));
        committed && key.first_read(*slot).is_some()
    })
}

fn run(ctx: &Context<'_>) -> Found {
    let observed = ctx.observed();
    let mut tally = Tally::new(ctx.options.examples_max);
    for start in &observed.starts {
        let commits = observed.commits.get(&start.at);
        let range = commits.and_then(|c| c.between(start.assigned, start.row));
        let Some(range) = range.filter(|_| !observed.deleted.contains_key(&start.at.1)) else {
            continue;
        };
        let id = ctx.key_named(&start.at.1);
        let skipped = id.and_then(|id| between(ctx, id, range.high, start.offset).map(|s| (id, s)));
        if let Some(skipped) = skipped {
            let row = u32::try_from(start.row).unwrap_or(u32::MAX);
            tally.add(true, 0, row, (start, range.high, range.proof, skipped));
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|(start, high, proof, (id, (offset, slot)))| {
        let Start { at: (group, key), row, offset: first, .. } = start;
        let (around, fault) = ctx.fault_around(*row);
        let text = format!(
            "{} committed offset {high} of {key}{}; {}, the first after an assignment, began at offset {first}{around} \
             and left out {}.",
            crate::words::capital(&ctx.op(proof)),
            super::of_group(group),
            ctx.op(*row),
            ctx.placed(id, slot, Some(offset)),
        );
        let mut example = ctx.example(id, slot, Some(offset), [proof, *row], text);
        example.fault = fault;
        example
    });
    Found { count, sound, examples: examples.collect() }
}
