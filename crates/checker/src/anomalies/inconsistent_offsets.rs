//! # What it is
//! One offset of a key holds two or more values.
//!
//! # Why it is bad
//! Two consumers, or one consumer and its own past, disagree about what the log says: replicas have diverged, and every
//! copy of the data downstream depends on when it was made.
//!
//! # How it is found
//! In the log of each key (every poll of any completion, and the known offsets of sends that must have committed). One
//! case for each key and offset.
//!
//! Consumers that read uncommitted see records whose transaction may be aborted, but at an offset they too see one record for
//! ever: what they saw (`peek`) is held against that log, and against what they saw before, one case for each key and offset.
//!
//! With acknowledgements that need not last, a lost record's offset is given out again, so there the case is sound only if
//! two of the values were *polled* at the offset: consumers are shown what every in-sync replica has.
//!
//! # Contract
//! A violation; allowed where unclean leader election is on.
//!
//! # Source
//! Jepsen `tests.kafka`, `inconsistent-offsets`.

use super::observe::Observations;
use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::index::Slot;
use crate::report::Example;
use crate::tally::Tally;
use crate::words;
use perjury_history::{KeyId, Scalar};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const ENTRY: Entry = Entry {
    name: "inconsistent-offsets",
    counted: ("offset with two records", "offsets with two or more records"),
    title: "two records at one offset",
    origin: Origin::Jepsen,
    clause: Clause::StableOffsets,
    meaning: "Different records were acknowledged or read at the same offset of a partition.",
    impact: "Copies of the data disagree: what a consumer knows depends on when and where it read.",
    causes: &[
        "a leader that misses records gave their offsets out again",
        "reads above the high watermark",
        "a former leader that did not cut its log back to where the new leader began",
    ],
    advice: "Compare the replicas' logs at this offset, with their leader epochs.",
    legal_if: "unclean leader election",
    run: Some(run),
};

#[derive(Debug, Clone)]
struct Case {
    key: KeyId,
    index: u32,
    slots: Vec<u32>,
}

fn run(ctx: &Context<'_>) -> Found {
    let durable = ctx.promises.durable(None);
    let all = || ctx.index.keys().flat_map(|(id, key)| key.conflicts().map(move |c| (id, c)));
    let offset = |id: KeyId, index: u32| ctx.index.key(id).offset_at(index);
    let mut seen = Observations::default();
    if !durable {
        seen = Observations::collect(ctx, all().map(|(id, (index, _))| (id, offset(id, index))));
    }
    let mut tally = Tally::new(ctx.options.examples_max);
    for (id, (index, slots)) in all() {
        let polled = |s: &&u32| seen.get(id, offset(id, index), Slot(**s)).polled.is_some();
        let sound = durable || slots.iter().filter(polled).count() > 1;
        let row = slots.iter().filter_map(|s| ctx.index.key(id).writer(Slot(*s))).min();
        let row = u32::try_from(row.unwrap_or_default()).unwrap_or(u32::MAX);
        tally.add(sound, 0, row, Case { key: id, index, slots: slots.to_vec() });
    }
    let (count, sound) = (tally.count, tally.sound);
    let cases = tally.cases();
    if durable {
        seen = Observations::collect(ctx, cases.iter().map(|c| (c.key, offset(c.key, c.index))));
    }
    let examples = cases.iter().map(|case| example(ctx, &seen, case)).collect();
    let mut found = Found { count, sound, examples };
    peeked(ctx, &mut found);
    found
}

/// Who was given another value than expected, and who expected it.
#[derive(Debug)]
struct Peeked {
    key: KeyId,
    offset: i64,
    /// What the log holds, or what an earlier look at this row was given.
    expected: (Scalar, Option<usize>),
    given: (Scalar, usize),
}

/// Every record of every look at uncommitted records: key, offset, value and row.
fn looks(ctx: &Context<'_>) -> impl Iterator<Item = (KeyId, i64, Scalar, usize)> {
    ctx.observed().peeks.iter().flat_map(move |row| {
        let seen = ctx.history.json(*row).and_then(Value::as_object);
        seen.into_iter().flatten().flat_map(move |(key, records)| {
            let key = ctx.key_named(key);
            records.as_array().into_iter().flatten().filter_map(move |record| {
                let value = serde_json::from_value(record.get(1)?.clone()).ok()?;
                Some((key?, record.get(0)?.as_i64()?, value, *row))
            })
        })
    })
}

fn peeked(ctx: &Context<'_>, found: &mut Found) {
    let mut tally = Tally::new(ctx.options.examples_max);
    // The value at each offset that anybody peeked at; nothing once the offset has a case.
    let mut known: BTreeMap<(KeyId, i64), Option<(Scalar, usize)>> = BTreeMap::new();
    for (id, offset, value, row) in looks(ctx) {
        let key = ctx.index.key(id);
        let place = key.index_from(offset);
        let there = (place as usize) < key.len() && key.offset_at(place) == offset;
        let log = if there { key.values_at(place) } else { Vec::new() };
        let differs = !log.is_empty() && log.iter().all(|slot| ctx.value(key, *slot) != value);
        let before = known.entry((id, offset)).or_insert_with(|| Some((value.clone(), row)));
        let Some((earlier, at)) = before.clone() else { continue };
        let expected = if earlier != value {
            (earlier, Some(at))
        } else if differs {
            (ctx.value(key, log[0]), None)
        } else {
            continue;
        };
        *before = None;
        let at = u32::try_from(row).unwrap_or(u32::MAX);
        tally.add(true, 0, at, Peeked { key: id, offset, expected, given: (value, row) });
    }
    found.count += tally.count;
    found.sound += tally.sound;
    found.examples.extend(tally.cases().iter().map(|case| peeked_example(ctx, case)));
    found.examples.truncate(ctx.options.examples_max.max(1));
}

fn peeked_example(ctx: &Context<'_>, case: &Peeked) -> Example {
    let (around, fault) = ctx.fault_around(case.given.1);
    let key = ctx.key(case.key);
    let before = match case.expected.1 {
        Some(row) => format!("{} had seen value {} there", ctx.op(row), case.expected.0),
        None => format!("the log has value {} there", case.expected.0),
    };
    let text = format!(
        "{} saw value {} at offset {} of {key}{around}, but {before}.",
        words::capital(&ctx.op(case.given.1)),
        case.given.0,
        case.offset,
    );
    let rows = case.expected.1.into_iter().chain([case.given.1]);
    let mut example = ctx.note(Some(&key), Some(case.offset), rows, text);
    example.more.insert("values".into(), json!([case.expected.0, case.given.0]));
    example.fault = fault;
    example
}

fn example(ctx: &Context<'_>, seen: &Observations, case: &Case) -> Example {
    const NAMED_MAX: usize = 4;
    let key = ctx.index.key(case.key);
    let offset = key.offset_at(case.index);
    let slots: Vec<Slot> = case.slots.iter().map(|s| Slot(*s)).collect();
    let named: Vec<String> = slots
        .iter()
        .take(NAMED_MAX)
        .map(|s| {
            format!("value {} ({})", ctx.value(key, *s), seen.words(ctx, case.key, offset, *s))
        })
        .collect();
    let rows: Vec<usize> = slots
        .iter()
        .take(NAMED_MAX)
        .flat_map(|s| {
            let seen = seen.get(case.key, offset, *s);
            seen.sent.into_iter().chain(seen.polled)
        })
        .collect();
    let (around, fault) = match rows.first() {
        Some(row) => ctx.fault_around(*row),
        None => (String::new(), None),
    };
    let text = format!(
        "Offset {offset} of {} holds {}{}{around}.",
        ctx.key(case.key),
        words::list(&named),
        if slots.len() > NAMED_MAX { ", among others" } else { "" },
    );
    let mut rows = rows;
    rows.sort_unstable();
    let values: Vec<_> = slots.iter().map(|s| ctx.value(key, *s)).collect();
    let mut example = ctx.example(case.key, slots[0], Some(offset), rows, text);
    example.more.insert("values".into(), json!(values));
    example.fault = fault;
    example
}
