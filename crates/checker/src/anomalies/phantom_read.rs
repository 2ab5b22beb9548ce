//! # What it is
//! A value was polled that no operation of the history sent, completed or not.
//!
//! # Why it is bad
//! The log holds something that nobody wrote: garbage, another topic's data, or data of an earlier life of the topic.
//!
//! # How it is found
//! Every value of a key that any completion polled, and that neither a completion nor an open invocation sent to that key.
//! One case for each key and value.
//!
//! # Contract
//! A violation.
//!
//! # Source
//! Ours. Jepsen's `tests.kafka` raises an exception on such a history (no writer).

use super::observe::Observations;
use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::index::Slot;
use crate::report::Example;
use crate::tally::Tally;
use perjury_history::KeyId;

pub(super) const ENTRY: Entry = Entry {
    name: "phantom-read",
    counted: ("record read that nobody sent", "records read that nobody sent"),
    title: "a record that nobody sent",
    origin: Origin::Perjury,
    clause: Clause::Integrity,
    meaning: "A consumer was given a value that no operation sent to that partition.",
    impact: "Consumers process data that does not exist, or that belongs elsewhere.",
    causes: &[
        "records of another topic-partition, or of a deleted topic of the same name",
        "a payload that was damaged",
        "a producer outside of the test, or a history that is not complete",
    ],
    advice: "Make sure that the topic was new and that nobody else wrote to it; then look for the value in other partitions.",
    legal_if: "",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    let mut tally = Tally::new(ctx.options.examples_max);
    for (id, key) in ctx.index.keys() {
        for slot in key.slots() {
            let sent = key.writer(slot).or(key.open_writer(slot)).is_some();
            if !sent && key.was_polled(slot) {
                let row = key.first_read(slot).and_then(|row| u32::try_from(row).ok());
                tally.add(true, 0, row.unwrap_or(u32::MAX), (id, slot));
            }
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let cases = tally.cases();
    let place = |(id, slot): &(KeyId, Slot)| {
        let key = ctx.index.key(*id);
        key.first_and_last(*slot).map(|(first, _)| (*id, key.offset_at(first)))
    };
    let seen = Observations::collect(ctx, cases.iter().filter_map(place));
    let examples = cases.iter().map(|case| {
        let offset = place(case).map(|(_, offset)| offset);
        example(ctx, &seen, *case, offset)
    });
    Found { count, sound, examples: examples.collect() }
}

fn example(
    ctx: &Context<'_>,
    seen: &Observations,
    (id, slot): (KeyId, Slot),
    offset: Option<i64>,
) -> Example {
    let key = ctx.index.key(id);
    let polled = offset.and_then(|o| seen.get(id, o, slot).polled);
    let reader = key.first_read(slot).or(polled);
    let (around, fault) = reader.map_or((String::new(), None), |row| ctx.fault_around(row));
    let who = reader.map_or_else(|| "A poll".into(), |row| crate::words::capital(&ctx.op(row)));
    let text = format!(
        "{who} returned {}{around}, but no operation ever sent {} there.",
        ctx.placed(id, slot, offset),
        ctx.value(key, slot),
    );
    let mut example = ctx.example(id, slot, offset, reader, text);
    example.fault = fault;
    example
}
