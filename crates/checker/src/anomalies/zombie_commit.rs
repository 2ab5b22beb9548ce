//! # What it is
//! A member of a group committed an offset of a topic-partition that the group had given to another member in a later
//! generation, and the commit was accepted.
//!
//! # Why it is bad
//! The group's position is set by somebody who no longer knows it: records are processed twice, or never.
//!
//! # How it is found
//! Each commit that is ok and names its generation (or the member's epoch) is held against the assignments: a case is one
//! that was invoked after another member had been given the topic-partition in a higher generation. A commit of the
//! member's own that overlaps the rebalance is none.
//!
//! # Contract
//! A violation.
//!
//! # Source
//! Ours; Kafka protocol guide, group membership (ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID); KIP-848 (STALE_MEMBER_EPOCH).

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::observed::{Assignment, Claim};
use crate::tally::Tally;
use std::collections::BTreeMap;

pub(super) const ENTRY: Entry = Entry {
    name: "zombie-commit",
    counted: ("commit of a replaced member", "commits of replaced members"),
    title: "a commit of a replaced member was accepted",
    origin: Origin::Perjury,
    clause: Clause::GroupFencing,
    meaning: "A member committed for a partition that had been given to another one in a later generation.",
    impact: "The group reads again what it has done, or never reads what it should.",
    causes: &[
        "a coordinator that does not check member and generation of a commit",
        "a coordinator that moved without the newest generation",
        "two coordinators of one group at the same time",
    ],
    advice: "Compare the generation in the commit with the coordinator's log of rebalances.",
    legal_if: "",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    let observed = ctx.observed();
    let mut given: BTreeMap<(&str, &str), Vec<&Assignment>> = BTreeMap::new();
    for assignment in &observed.assignments {
        given.entry((&assignment.group, &assignment.key)).or_default().push(assignment);
    }
    let mut tally = Tally::new(ctx.options.examples_max);
    for claim in &observed.claims {
        let (group, key) = &claim.at;
        let given = given.get(&(group.as_str(), key.as_str())).into_iter().flatten();
        let replaced = |a: &&&Assignment| {
            a.row < claim.invoked
                && a.member != claim.member
                && a.generation.is_some_and(|generation| generation > claim.generation)
        };
        if let Some(by) = given.copied().find(|a| replaced(&a)) {
            let row = u32::try_from(claim.row).unwrap_or(u32::MAX);
            tally.add(true, 0, row, (claim, by));
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|(claim, by)| {
        let Claim { at: (group, key), member, generation, row, offset, .. } = claim;
        let (around, fault) = ctx.fault_around(*row);
        let text = format!(
            "{key} was given to member {}{} in generation {}, as {} shows; {}, invoked afterwards by member {member} of \
             generation {generation}, was accepted and committed offset {offset}{around}.",
            by.member,
            super::of_group(group),
            by.generation.unwrap_or_default(),
            ctx.op(by.row),
            ctx.op(*row),
        );
        let mut example = ctx.note(Some(key), Some(*offset), [by.row, *row], text);
        example.fault = fault;
        example
    });
    Found { count, sound, examples: examples.collect() }
}
