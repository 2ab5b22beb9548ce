//! # What it is
//! Within one generation of a group, a topic-partition was assigned to two members; or a member reads on in it long after
//! another one was given it in a later generation.
//!
//! # Why it is bad
//! Both process the same records at the same time, and both may commit.
//!
//! # How it is found
//! Each assignment names the group's generation (or epoch). A case is a topic-partition with two different members in one
//! generation. That a member which was cut off believes to own what another one was given in a *later* generation is
//! normal for a moment: its commits are refused, and it gives up by itself when its session ends, which is when its group
//! gives away what it had. So a second kind of case, one for each such assignment, is a poll of the former owner that was
//! invoked more than 3 s after the assignment and returned records, without any revocation before.
//!
//! # Contract
//! A violation.
//!
//! # Source
//! Ours; Kafka protocol guide, group membership; KIP-848.

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::observed::Assignment;
use crate::tally::Tally;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ENTRY: Entry = Entry {
    name: "double-ownership",
    counted: ("double ownership", "double ownerships"),
    title: "a partition was assigned to two members of a group",
    origin: Origin::Perjury,
    clause: Clause::GroupOwnership,
    meaning: "Two members of a group were given one partition in the same generation.",
    impact: "Records are processed twice at the same time, and commits overwrite each other.",
    causes: &[
        "two coordinators of one group at the same time",
        "an assignor that assigns a partition twice",
        "a member that keeps what a cooperative rebalance revoked",
    ],
    advice: "Look at the assignment that the coordinator handed out in this generation.",
    legal_if: "",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    let mut first: BTreeMap<(&str, i64, &str), &Assignment> = BTreeMap::new();
    let mut tally = Tally::new(ctx.options.examples_max);
    let mut twice = BTreeSet::new();
    for assignment in &ctx.observed().assignments {
        let Some(generation) = assignment.generation else { continue };
        let at = (assignment.group.as_str(), generation, assignment.key.as_str());
        let before = *first.entry(at).or_insert(assignment);
        if before.member != assignment.member && twice.insert(at) {
            let row = u32::try_from(assignment.row).unwrap_or(u32::MAX);
            tally.add(true, 0, row, (before, assignment, generation));
        }
    }
    let mut found = overlapping(ctx);
    found.count += tally.count;
    found.sound += tally.sound;
    let examples = tally.cases().into_iter().map(|(one, other, generation)| {
        let (around, fault) = ctx.fault_around(other.row);
        let text = format!(
            "Within generation {generation}, {} was assigned both to member {} ({}) and to member {} ({}){}{around}.",
            one.key,
            one.member,
            ctx.op(one.row),
            other.member,
            ctx.op(other.row),
            super::of_group(&one.group),
        );
        let mut example = ctx.note(Some(&one.key), None, [one.row, other.row], text);
        example.fault = fault;
        example
    });
    found.examples.splice(0..0, examples);
    found.examples.truncate(ctx.options.examples_max.max(1));
    found
}

/// Members that read on in what had been given to another one.
fn overlapping(ctx: &Context<'_>) -> Found {
    let observed = ctx.observed();
    let mut tally = Tally::new(ctx.options.examples_max);
    let mut found = BTreeSet::new();
    for overlap in &observed.overlaps {
        if found.insert((overlap.assignment, &overlap.member)) {
            tally.add(true, 0, u32::try_from(overlap.row).unwrap_or(u32::MAX), overlap);
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|overlap| {
        let given = &observed.assignments[overlap.assignment];
        let (around, fault) = ctx.fault_around(overlap.row);
        let text = format!(
            "{} was assigned to member {} in generation {} ({}); {}, more than 3 s later, returned records of it to \
             member {}, which had it from generation {} and was not told otherwise{around}.",
            given.key,
            given.member,
            given.generation.unwrap_or_default(),
            ctx.op(given.row),
            ctx.op(overlap.row),
            overlap.member,
            overlap.generation,
        );
        let mut example = ctx.note(Some(&given.key), None, [given.row, overlap.row], text);
        example.fault = fault;
        example
    });
    Found { count, sound, examples: examples.collect() }
}
