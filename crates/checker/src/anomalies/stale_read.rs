//! # What it is
//! A send was acknowledged, and a fetch that was invoked afterwards could not see it: a poll returned records on both sides
//! of its place and nothing there, although other operations did read it; or the log was said to end at or below it.
//!
//! # Why it is bad
//! A consumer passes over a record that exists, and never comes back for it.
//!
//! # How it is found
//! - From the gaps that one answer to one poll shows (see `gaps`). That a poll does not reach the record yet is no case:
//!   consumers may lag.
//! - From answers to `list-offsets`: the high watermark (else the end) is at or below an offset that was acknowledged
//!   before the question was asked. One case for each answer, and never a sound one: a leader that was cut off or
//!   paused may tell what it last knew, and nothing promises whoever asks it more.
//!
//! # Contract
//! A violation; allowed where unclean leader election is on.
//!
//! # Source
//! Ours.

use super::gaps::{self, Class, Passed};
use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::observed::{Ends, HIGH_WATERMARK};
use crate::tally::Tally;
use crate::words::capital;
use perjury_history::KeyId;
use std::collections::BTreeMap;

pub(super) const ENTRY: Entry = Entry {
    name: "stale-read",
    counted: ("acknowledged record passed over", "acknowledged records passed over"),
    title: "an acknowledged record was not visible",
    origin: Origin::Perjury,
    clause: Clause::StableLog,
    meaning: "A record was acknowledged, and a later poll went past its place without it, although it is there.",
    impact: "That consumer misses the record for good.",
    causes: &[
        "a fetch served by a replica that lacks part of the log",
        "a broker that filters out a batch it should return",
        "a client that drops a fetched batch",
    ],
    advice: "Find out which replica served the fetch, and whether its log has the record.",
    legal_if: "unclean leader election",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    let mut found = gaps::found(ctx, Class::Stale, sentence);
    let ends = ends(ctx);
    found.count += ends.count;
    found.sound += ends.sound;
    found.examples.extend(ends.examples);
    found.examples.truncate(ctx.options.examples_max.max(1));
    found
}

/// The row and the offset of each acknowledgement, in order.
type Acknowledged = Vec<(usize, i64)>;

/// The acknowledged offsets of the topic-partitions that anybody asked about, in order.
fn acknowledged(ctx: &Context<'_>) -> BTreeMap<KeyId, Acknowledged> {
    let asked = ctx.observed().ends.iter().filter_map(|e| ctx.key_named(&e.key));
    let mut all: BTreeMap<KeyId, Acknowledged> = asked.map(|id| (id, Vec::new())).collect();
    if all.is_empty() {
        return all;
    }
    for row in ctx.index.data_completions().filter(|i| ctx.is_ok(*i)) {
        ctx.index.for_each_write(row, |id, _, offset| {
            if let (Some(seen), Some(offset)) = (all.get_mut(&id), offset) {
                seen.push((row, offset));
            }
        });
    }
    all
}

fn ends(ctx: &Context<'_>) -> Found {
    let all = acknowledged(ctx);
    let mut tally = Tally::new(ctx.options.examples_max);
    let mut asked: Vec<&Ends> = ctx.observed().ends.iter().collect();
    asked.sort_by_key(|e| e.invoked);
    let mut reached: BTreeMap<KeyId, (usize, Option<(usize, i64)>)> = BTreeMap::new();
    for ends in asked {
        let Some(id) = ctx.key_named(&ends.key) else { continue };
        let Some(seen) = all.get(&id) else { continue };
        let (next, highest) = reached.entry(id).or_default();
        while let Some((row, offset)) = seen.get(*next).filter(|(row, _)| *row < ends.invoked) {
            if highest.is_none_or(|(_, best)| best < *offset) {
                *highest = Some((*row, *offset));
            }
            *next += 1;
        }
        let end = ends.figures[HIGH_WATERMARK].or(ends.figures[0]);
        let (Some(end), Some((row, offset))) = (end, *highest) else { continue };
        if end <= offset {
            let at = u32::try_from(ends.row).unwrap_or(u32::MAX);
            tally.add(false, 0, at, (ends, end, row, offset));
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|(ends, end, row, offset)| {
        let (around, fault) = ctx.fault_around(ends.row);
        let text = format!(
            "{} was acknowledged at offset {offset} of {}; {}, asked afterwards, was told that the log ends at \
             {end}{around}.",
            capital(&ctx.op(row)),
            ends.key,
            ctx.op(ends.row),
        );
        let mut example = ctx.note(Some(&ends.key), Some(offset), [row, ends.row], text);
        example.fault = fault;
        example
    });
    Found { count, sound, examples: examples.collect() }
}

fn sentence(ctx: &Context<'_>, case: &Passed) -> String {
    format!(
        "{} was acknowledged by {}, but {}, invoked afterwards, passed over its place",
        capital(&ctx.placed(case.key, case.slot, None)),
        ctx.op(case.proof),
        ctx.op(case.poll),
    )
}
