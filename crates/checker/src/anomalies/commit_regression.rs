//! # What it is
//! A group committed an offset and was told so; a question asked afterwards was answered with a lower committed offset, or
//! with none, that no commit explains.
//!
//! # Why it is bad
//! After the next rebalance the group reads again, and does again, what it had done.
//!
//! # How it is found
//! For each answer to `committed`: the offsets that the group's commits can have left there while the question was open
//! (a commit is void once another that was invoked after its end has ended; one of unknown outcome may take effect at any
//! later time). A case is an answer below all of them. Commits that are not recorded, such as a client's automatic ones,
//! can only raise what is seen.
//!
//! # Contract
//! A violation; allowed where unclean leader election is on.
//!
//! # Source
//! Ours; Kafka consumer, offsets and consumer position. Apache Kafka's coordinator answers at the high watermark, and loads
//! its log behind one that may lag: KAFKA-14499 (OffsetFetch), KAFKA-15910 (loading).

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::observed::Committed;
use crate::tally::Tally;

pub(super) const ENTRY: Entry = Entry {
    name: "commit-regression",
    counted: ("committed offset that went back", "committed offsets that went back"),
    title: "a committed offset went back",
    origin: Origin::Perjury,
    clause: Clause::GroupPosition,
    meaning: "A group's committed offset is lower than what was committed before.",
    impact: "The group does again what it has done.",
    causes: &[
        "a group coordinator that moved without the newest commits",
        "commits acknowledged before they are replicated",
        "commits applied out of order",
        "a new coordinator that answers from below a high watermark which lags after a failover, as Apache Kafka's does \
         until followers have fetched (KAFKA-14499, KAFKA-15910)",
    ],
    advice: "Read the group's records in __consumer_offsets, on each replica.",
    legal_if: "unclean leader election",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    let observed = ctx.observed();
    let mut tally = Tally::new(ctx.options.examples_max);
    for seen in &observed.committed {
        let commits = observed.commits.get(&seen.at);
        let Some(range) = commits.and_then(|c| c.between(seen.invoked, seen.row)) else { continue };
        if seen.offset.is_none_or(|offset| offset < range.low) {
            let row = u32::try_from(seen.row).unwrap_or(u32::MAX);
            tally.add(true, 0, row, (seen, range.low, range.proof));
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|(seen, low, proof)| {
        let Committed { at: (group, key), row, offset, .. } = seen;
        let (around, fault) = ctx.fault_around(*row);
        let told = match offset {
            Some(offset) => format!("found offset {offset}"),
            None => "found no offset at all".into(),
        };
        let text = format!(
            "{} committed offset {low} of {key}{}; {}, asked afterwards, {told}{around}.",
            crate::words::capital(&ctx.op(proof)),
            super::of_group(group),
            ctx.op(*row),
        );
        let mut example = ctx.note(Some(key), *offset, [proof, *row], text);
        example.fault = fault;
        example
    });
    Found { count, sound, examples: examples.collect() }
}
