//! # What it is
//! The end offset, high watermark, last stable offset or leader epoch of a topic-partition was told, and a question asked
//! afterwards was answered with a lower one.
//!
//! # Why it is bad
//! Whoever computes lag, or decides from an end offset that everything was read, decides wrongly; behind it often stands
//! a log that was cut.
//!
//! # How it is found
//! From the answers to `list-offsets`: each figure of each answer is held against the highest of all answers that ended
//! before this one was asked. One case for each such figure. A case is sound if one client saw both, or if the lower
//! answer names a leader epoch that is not below the other's: a former leader that was cut off may go on telling others
//! what it last knew.
//!
//! # Contract
//! A violation; allowed where unclean leader election is on.
//!
//! # Source
//! Ours; KIP-207 (offsets that ListOffsets returns must not go backwards).

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::observed::{Ends, FIGURES, LEADER_EPOCH};
use crate::report::Example;
use crate::tally::Tally;
use crate::words::capital;
use serde_json::json;
use std::collections::BTreeMap;

pub(super) const ENTRY: Entry = Entry {
    name: "offset-regression",
    counted: ("offset that went back", "offsets that went back"),
    title: "an end of a log went back",
    origin: Origin::Perjury,
    clause: Clause::StableLog,
    meaning: "A later answer about the end of a partition was lower than an earlier one.",
    impact: "Consumers that stop at the end stop too early; lag is computed wrongly.",
    causes: &[
        "a new leader that answers before it knows its own high watermark (KIP-207)",
        "an answer from a replica that is not the leader any more",
        "a log that was cut",
    ],
    advice: "Find out which node gave each answer, and whether it was the leader at that time.",
    legal_if: "unclean leader election",
    run: Some(run),
};

type Case<'a> = (&'a Ends, &'a Ends, usize);

fn run(ctx: &Context<'_>) -> Found {
    let mut by_key: BTreeMap<&str, Vec<&Ends>> = BTreeMap::new();
    for ends in &ctx.observed().ends {
        by_key.entry(&ends.key).or_default().push(ends);
    }
    let mut tally = Tally::new(ctx.options.examples_max);
    for ends in by_key.values() {
        for figure in 0..FIGURES.len() {
            backwards(ends, figure, &mut tally);
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|case| example(ctx, case)).collect();
    Found { count, sound, examples }
}

/// Holds every answer against the highest that ended before it was asked: the client's own, and anybody's. Answers come
/// in order of their rows.
fn backwards<'a>(ends: &[&'a Ends], figure: usize, tally: &mut Tally<Case<'a>>) {
    let mut asked: Vec<&Ends> = ends.to_vec();
    asked.sort_by_key(|e| e.invoked);
    let mut answered = ends.iter().copied().peekable();
    let mut highest: Option<&Ends> = None;
    let mut own: BTreeMap<Option<u32>, &Ends> = BTreeMap::new();
    let above = |a: &Ends, b: Option<&Ends>| {
        a.figures[figure].is_some() && b.is_none_or(|b| b.figures[figure] < a.figures[figure])
    };
    for later in asked {
        while let Some(earlier) = answered.next_if(|e| e.row < later.invoked) {
            if above(earlier, highest) {
                highest = Some(earlier);
            }
            if above(earlier, own.get(&earlier.process).copied()) {
                own.insert(earlier.process, earlier);
            }
        }
        let lower = |earlier: &&Ends| {
            later.figures[figure].is_some() && later.figures[figure] < earlier.figures[figure]
        };
        let mine = later.process.and_then(|_| own.get(&later.process).copied()).filter(lower);
        let row = u32::try_from(later.row).unwrap_or(u32::MAX);
        if let Some(earlier) = mine {
            tally.add(true, 0, row, (earlier, later, figure));
        } else if let Some(earlier) = highest.filter(lower) {
            let epoch = |e: &Ends| e.figures[LEADER_EPOCH];
            let newer = figure != LEADER_EPOCH
                && epoch(later).is_some()
                && epoch(earlier).is_some()
                && epoch(later) >= epoch(earlier);
            tally.add(newer, 0, row, (earlier, later, figure));
        }
    }
}

fn example(ctx: &Context<'_>, (earlier, later, figure): Case<'_>) -> Example {
    let told = |e: &Ends| e.figures[figure].unwrap_or_default();
    let (around, fault) = ctx.fault_around(later.row);
    let text = format!(
        "{} was told that the {} of {} is {}; {}, asked afterwards, was told {}{around}.",
        capital(&ctx.op(earlier.row)),
        FIGURES[figure],
        earlier.key,
        told(earlier),
        ctx.op(later.row),
        told(later),
    );
    let mut example = ctx.note(Some(&later.key), Some(told(later)), [earlier.row, later.row], text);
    example.more.insert("figure".into(), json!(FIGURES[figure]));
    example.fault = fault;
    example
}
