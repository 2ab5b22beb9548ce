//! # What it is
//! Acknowledged values that no ok operation had polled by the end of the history.
//!
//! # Why it is bad
//! It is not, by itself: consumers lag. If the number does not fall to zero although everything was read to the end, the
//! values are lost or stuck.
//!
//! # How it is found
//! One case for each key and value that an ok operation sent and no ok operation polled. The report's `unseen_series` shows
//! the number over time.
//!
//! Under the Jepsen contract one more effect of the reference counts: if the last ok operation is the first to poll a key
//! that no ok operation ever sent to, what it polled there counts as unseen.
//!
//! # Contract
//! Unspecified; under the Jepsen contract a violation.
//!
//! # Source
//! Jepsen `tests.kafka`, `unseen`.

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::index::{KeyIndex, Slot};
use crate::options::Contract;
use crate::report::Example;
use crate::tally::Tally;
use crate::words;
use perjury_history::{KeyId, Kind};
use serde_json::json;
use std::collections::BTreeSet;

pub(super) const ENTRY: Entry = Entry {
    name: "unseen",
    counted: ("acknowledged record not read yet", "acknowledged records not read yet"),
    title: "acknowledged records not read yet",
    origin: Origin::Jepsen,
    clause: Clause::EventuallyRead,
    meaning: "Records were acknowledged, and no consumer had read them when the history ended.",
    impact: "None if consumers were only behind; otherwise the records are lost or stuck.",
    causes: &[
        "the run ended before consumers had caught up",
        "records that are lost (see lost-write and lost-tail)",
        "a last stable offset that is stuck behind an open transaction",
    ],
    advice: "Let the final read complete: it decides whether the records are there.",
    legal_if: "every configuration",
    run: Some(run),
};

fn is_unseen(key: &KeyIndex, slot: Slot) -> bool {
    key.was_sent(slot, Kind::Ok) && key.first_read(slot).is_none()
}

fn run(ctx: &Context<'_>) -> Found {
    let mut tally = Tally::new(ctx.options.examples_max);
    let mut count = 0;
    for (id, key) in ctx.index.keys() {
        let unseen = key.slots().filter(|s| is_unseen(key, *s)).count() as u64;
        let unseen = unseen + never_sent(ctx, id);
        if unseen > 0 {
            let weight = i64::try_from(unseen).unwrap_or(i64::MAX);
            tally.add(true, -weight, id.0, (id, unseen));
            count += unseen;
        }
    }
    let examples = tally.cases().into_iter().map(|(id, n)| example(ctx, id, n)).collect();
    Found { count, sound: count, examples }
}

/// The values that the last ok operation polled of a key to which no ok operation sent, if nobody polled it before.
fn never_sent(ctx: &Context<'_>, id: KeyId) -> u64 {
    if ctx.promises.contract != Contract::Jepsen {
        return 0;
    }
    let key = ctx.index.key(id);
    if key.slots().any(|s| key.was_sent(s, Kind::Ok)) {
        return 0;
    }
    let last = (0..ctx.history.len()).rev().find(|i| ctx.is_ok(*i) && ctx.index.is_data(*i));
    let Some(last) = last else { return 0 };
    let mut polled = BTreeSet::new();
    ctx.index.for_each_read(last, |k, slot, _| {
        if k == id {
            polled.insert(slot);
        }
    });
    let first = key.slots().filter_map(|s| key.first_read(s)).min();
    if first == Some(last) { polled.len() as u64 } else { 0 }
}

fn example(ctx: &Context<'_>, id: KeyId, unseen: u64) -> Example {
    const VALUES_MAX: usize = 32;
    let key = ctx.index.key(id);
    let slots: Vec<Slot> = key.slots().filter(|s| is_unseen(key, *s)).take(VALUES_MAX).collect();
    let values: Vec<_> = slots.iter().map(|s| ctx.value(key, *s)).collect();
    let ops: Vec<usize> = slots.iter().filter_map(|s| key.writer(*s)).take(4).collect();
    let name = ctx.key(id);
    let text = match values.first() {
        None => format!(
            "{} of {name} were first polled by the last operation, and no ok operation sent to it.",
            words::counted(unseen, "value", "values")
        ),
        Some(first) => format!(
            "{} of {name} had been read by no ok operation at the end, for instance value {first}.",
            words::counted(unseen, "acknowledged record", "acknowledged records"),
        ),
    };
    let mut example = match slots.first() {
        Some(slot) => ctx.example(id, *slot, None, ops, text),
        None => ctx.example(id, Slot(0), None, [], text),
    };
    example.more.insert("unseen".into(), json!(unseen));
    example.more.insert("values".into(), json!(values));
    example
}
