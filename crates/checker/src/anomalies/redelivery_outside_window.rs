//! # What it is
//! A member of a group was given a topic-partition and began to read it below the offset that the group had committed.
//!
//! # Why it is bad
//! At-least-once delivery repeats what was not committed yet, and nothing else: an application that commits what it has
//! done does work again that it knows to be done.
//!
//! # How it is found
//! The first record that a member reads after an assignment is held against the offsets that the group can have committed
//! by then (see `observed::commits`). A case is a start below all of them. Consumers that were moved on purpose are left
//! out.
//!
//! # Contract
//! A violation; allowed where unclean leader election is on.
//!
//! # Source
//! Ours; Kafka consumer, offsets and consumer position.

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::observed::Start;
use crate::tally::Tally;

pub(super) const ENTRY: Entry = Entry {
    name: "redelivery-outside-window",
    counted: ("redelivery of committed records", "redeliveries of committed records"),
    title: "committed records were delivered to the group again",
    origin: Origin::Perjury,
    clause: Clause::GroupPosition,
    meaning: "After an assignment a member was given records that its group had committed as done.",
    impact: "The group does again what it has done.",
    causes: &[
        "a committed offset that was lost or went back",
        "a fetch of the committed offset that failed and fell back to the beginning of the log",
        "a coordinator that answers before it has loaded the newest commits",
    ],
    advice: "Compare the committed offset that the member was told with where it began; look at auto.offset.reset.",
    legal_if: "unclean leader election",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    let observed = ctx.observed();
    let mut tally = Tally::new(ctx.options.examples_max);
    for start in &observed.starts {
        let commits = observed.commits.get(&start.at);
        let range = commits.and_then(|c| c.between(start.assigned, start.row));
        if let Some(range) = range.filter(|range| start.offset < range.low) {
            let row = u32::try_from(start.row).unwrap_or(u32::MAX);
            tally.add(true, 0, row, (start, range.low, range.proof));
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|(start, low, proof)| {
        let Start { at: (group, key), row, offset, .. } = start;
        let (around, fault) = ctx.fault_around(*row);
        let text = format!(
            "{} committed offset {low} of {key}{}; {}, the first after an assignment, began at offset {offset}{around}.",
            crate::words::capital(&ctx.op(proof)),
            super::of_group(group),
            ctx.op(*row),
        );
        let mut example = ctx.note(Some(key), Some(*offset), [proof, *row], text);
        example.fault = fault;
        example
    });
    Found { count, sound, examples: examples.collect() }
}
