//! # What it is
//! An application that consumes, transforms and produces within transactions: an input record has two visible outputs, or
//! the application's committed position is beyond an input that has none.
//!
//! # Why it is bad
//! Exactly once is what the transactions are for: an order is booked twice, or never.
//!
//! # How it is found
//! From operations that say which output they derived from which input (`derived`) and up to where they consumed
//! (`offsets`).
//! - *Twice*: two different outputs of one input whose operations must have committed, both read by ok operations.
//! - *Never*: below the highest position that an ok operation committed, and from the first input that any operation
//!   derived from on, an input that an ok operation read and whose own writer committed, from which no operation derived
//!   anything (those of unknown outcome count as having done so).
//!
//! # Contract
//! A violation for transactions that read committed; allowed otherwise, since then processing is at least once.
//!
//! # Source
//! Ours; KIP-98, KIP-447 (exactly-once processing).

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::index::Slot;
use crate::observed::{beside, word};
use crate::report::Example;
use crate::tally::Tally;
use perjury_history::{KeyId, Kind, Scalar};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ENTRY: Entry = Entry {
    name: "exactly-once-violation",
    counted: ("input not processed exactly once", "inputs not processed exactly once"),
    title: "an input was not processed exactly once",
    origin: Origin::Perjury,
    clause: Clause::ExactlyOnce,
    meaning: "Of one input record the application's output holds two results, or none.",
    impact: "An effect happens twice, or never.",
    causes: &[
        "offsets that were not committed with the transaction's records, or not at all",
        "a fenced instance that went on",
        "an aborted transaction whose records were visible",
    ],
    advice: "Look at both transactions: which offsets did each send with its records, and under which producer epoch?",
    legal_if: "processing outside of transactions, or isolation.level=read_uncommitted",
    run: Some(run),
};

type At = (KeyId, Slot);

/// An output with the row of the operation that derived it.
type Output = (At, usize);

#[derive(Debug)]
enum Case {
    Twice(At, Output, Output),
    /// The input, and the operation that committed this position beyond it.
    Never(At, usize, i64),
}

/// The outputs by input, and for each input topic-partition how far and by which operation it was consumed.
#[derive(Debug, Default)]
struct Flow {
    outputs: BTreeMap<At, Vec<Output>>,
    consumed: BTreeMap<KeyId, (i64, usize)>,
}

/// All values of the keys that operations derive from or to, so that they are found at once.
fn table(ctx: &Context<'_>, rows: &[usize]) -> BTreeMap<(String, Scalar), At> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    for pair in
        rows.iter().filter_map(|row| beside(ctx.history, *row, "derived")?.as_array()).flatten()
    {
        names.extend([&pair[0], &pair[2]].map(word));
    }
    let ids = names.into_iter().filter_map(|name| Some((ctx.key_named(&name)?, name)));
    ids.flat_map(|(id, name)| {
        let key = ctx.index.key(id);
        key.slots().map(move |slot| ((name.clone(), ctx.value(key, slot)), (id, slot)))
    })
    .collect()
}

fn flow(ctx: &Context<'_>) -> Flow {
    let rows = &ctx.observed().derived;
    let table = table(ctx, rows);
    let at = |key: &Value, value: &Value| {
        let value: Scalar = serde_json::from_value(value.clone()).ok()?;
        table.get(&(word(key), value)).copied()
    };
    let mut flow = Flow::default();
    for row in rows.iter().copied() {
        let pairs = beside(ctx.history, row, "derived").and_then(Value::as_array);
        for pair in pairs.into_iter().flatten() {
            let Some(input) = at(&pair[0], &pair[1]) else { continue };
            let outputs = flow.outputs.entry(input).or_default();
            outputs.extend(at(&pair[2], &pair[3]).map(|output| (output, row)));
        }
        let offsets = beside(ctx.history, row, "offsets").and_then(Value::as_object);
        let ok = ctx.history.kind(row) == Kind::Ok;
        for (key, offset) in offsets.into_iter().flatten().filter(|_| ok) {
            let (Some(id), Some(offset)) = (ctx.key_named(key), offset.as_i64()) else { continue };
            let consumed = flow.consumed.entry(id).or_insert((offset, row));
            if consumed.0 < offset {
                *consumed = (offset, row);
            }
        }
    }
    flow
}

fn run(ctx: &Context<'_>) -> Found {
    if ctx.observed().derived.is_empty() {
        return Found::default();
    }
    let flow = flow(ctx);
    let mut tally = Tally::new(ctx.options.examples_max);
    for (input, outputs) in &flow.outputs {
        let visible = |((id, slot), row): &&Output| {
            ctx.index.key(*id).first_read(*slot).is_some() && ctx.index.must_have_committed(*row)
        };
        let mut seen = outputs.iter().filter(visible);
        let Some(first) = seen.next() else { continue };
        if let Some(second) = seen.find(|other| other.0 != first.0) {
            let row = u32::try_from(second.1).unwrap_or(u32::MAX);
            tally.add(true, 0, row, Case::Twice(*input, *first, *second));
        }
    }
    for (id, (end, row)) in &flow.consumed {
        let key = ctx.index.key(*id);
        let places = flow.outputs.range((*id, Slot(0))..=(*id, Slot(u32::MAX)));
        let Some(from) = places.filter_map(|((_, slot), _)| key.index(*slot)).min() else {
            continue;
        };
        for slot in (from..key.index_from(*end)).map(|place| key.picked_at(place)) {
            let committed = key.writer(slot).is_some_and(|w| ctx.index.must_have_committed(w));
            let missing = !flow.outputs.contains_key(&(*id, slot));
            if missing && committed && key.first_read(slot).is_some() {
                let at = u32::try_from(*row).unwrap_or(u32::MAX);
                tally.add(true, 0, at, Case::Never((*id, slot), *row, *end));
            }
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().iter().map(|case| example(ctx, case)).collect();
    Found { count, sound, examples }
}

fn example(ctx: &Context<'_>, case: &Case) -> Example {
    let placed = |at: At| ctx.placed(at.0, at.1, None);
    let (input, rows, text) = match case {
        Case::Twice(input, one, other) => {
            let text = format!(
                "{} was processed twice: {} produced {} from it, and {} produced {}; consumers read both.",
                crate::words::capital(&placed(*input)),
                ctx.op(one.1),
                placed(one.0),
                ctx.op(other.1),
                placed(other.0),
            );
            (*input, vec![one.1, other.1], text)
        }
        Case::Never(input, row, end) => {
            let position = format!("position {end} of {}", ctx.key(input.0));
            let text = format!(
                "{} was skipped: {} committed {position}, which says that it was processed, but no operation produced \
                 anything from it.",
                crate::words::capital(&placed(*input)),
                ctx.op(*row),
            );
            (*input, vec![*row], text)
        }
    };
    let (_, fault) = ctx.fault_around(rows[0]);
    let mut example = ctx.example(input.0, input.1, None, rows, text);
    example.fault = fault;
    example
}
