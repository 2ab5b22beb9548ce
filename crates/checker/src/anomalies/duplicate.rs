//! # What it is
//! One value stands at two or more offsets of a key.
//!
//! # Why it is bad
//! A consumer processes the record twice: a payment is made twice, a counter is too high.
//!
//! # How it is found
//! In the log of each key (every poll of any completion, and the known offsets of sends that must have committed). One
//! case for each key and value. A case is sound if one operation alone sent the value: then the application did not ask
//! for two records.
//!
//! # Contract
//! A violation for idempotent and transactional producers; allowed with `enable.idempotence=false`.
//!
//! # Source
//! Jepsen `tests.kafka`, `duplicate`.

use super::observe::Observations;
use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::index::Slot;
use crate::report::Example;
use crate::tally::Tally;
use crate::words;
use perjury_history::KeyId;
use serde_json::json;

pub(super) const ENTRY: Entry = Entry {
    name: "duplicate",
    counted: ("record written twice", "records written twice or more"),
    title: "one record written twice",
    origin: Origin::Jepsen,
    clause: Clause::Once,
    meaning: "One send left its record at several offsets of the partition.",
    impact: "Consumers process the record more than once.",
    causes: &[
        "a retry after a lost acknowledgement that the broker did not recognise",
        "producer state (sequence numbers) that was lost in a change of leader",
        "a producer that started a new session in the middle of a retry",
    ],
    advice: "Look for a retry of the batch in the client's log, and at how the broker restores sequence numbers after a change of leader.",
    legal_if: "enable.idempotence=false",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    let mut tally = Tally::new(ctx.options.examples_max);
    for (id, key) in ctx.index.keys() {
        for slot in key.duplicated() {
            let row = key.writer(slot).or(key.first_read(slot)).unwrap_or_default();
            let row = u32::try_from(row).unwrap_or(u32::MAX);
            tally.add(!key.was_sent_again(slot), 0, row, (id, slot));
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let cases = tally.cases();
    let seen = Observations::collect(ctx, cases.iter().flat_map(|case| offsets(ctx, *case)));
    let examples = cases.into_iter().map(|case| example(ctx, &seen, case)).collect();
    Found { count, sound, examples }
}

fn offsets(ctx: &Context<'_>, (id, slot): (KeyId, Slot)) -> Vec<(KeyId, i64)> {
    let key = ctx.index.key(id);
    key.places(slot).into_iter().map(|p| (id, key.offset_at(p))).collect()
}

fn example(ctx: &Context<'_>, seen: &Observations, (id, slot): (KeyId, Slot)) -> Example {
    const NAMED_MAX: usize = 4;
    let key = ctx.index.key(id);
    let places: Vec<i64> = offsets(ctx, (id, slot)).into_iter().map(|(_, o)| o).collect();
    let named: Vec<String> = places
        .iter()
        .take(NAMED_MAX)
        .map(|o| format!("at offset {o} ({})", seen.words(ctx, id, *o, slot)))
        .collect();
    let sender = match key.writer(slot) {
        Some(row) => format!(", sent once by {}", ctx.op(row)),
        None => String::new(),
    };
    let row = key.writer(slot).or(key.first_read(slot));
    let (around, fault) = row.map_or((String::new(), None), |row| ctx.fault_around(row));
    let text = format!(
        "Value {} of {}{sender}{around}, stands {}{}.",
        ctx.value(key, slot),
        ctx.key(id),
        words::list(&named),
        if places.len() > NAMED_MAX { " and elsewhere" } else { "" },
    );
    let shown = places.iter().filter_map(|o| seen.get(id, *o, slot).row()).take(NAMED_MAX);
    let rows: Vec<usize> = key.writer(slot).into_iter().chain(shown).collect();
    let mut example = ctx.example(id, slot, places.first().copied(), rows, text);
    example.more.insert("offsets".into(), json!(places));
    example.fault = fault;
    example
}
