//! # What it is
//! An ok operation read a value at a place; a poll that was invoked afterwards returned records on both sides of that place
//! and nothing there, and no later ok operation read it again.
//!
//! # Why it is bad
//! What consumers acted upon does not exist any more: downstream copies hold records that the log denies.
//!
//! # How it is found
//! From the gaps that one answer to one poll shows (see `gaps`). Records on both sides rule out retention and DeleteRecords,
//! which remove from the beginning only; of compacted topics only what may not be gone is looked at.
//!
//! # Contract
//! A violation; allowed where unclean leader election is on.
//!
//! # Source
//! Ours; KIP-101 and KIP-320 describe how logs diverge and are cut.

use super::gaps::{self, Class, Passed};
use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::words::capital;

pub(super) const ENTRY: Entry = Entry {
    name: "truncated-log",
    counted: ("record gone after it was read", "records gone after they were read"),
    title: "a record that was read is gone",
    origin: Origin::Perjury,
    clause: Clause::StableLog,
    meaning: "A record was read, and a later poll went past its place without it.",
    impact: "Consumers have processed data that the log denies.",
    causes: &[
        "a leader that misses records and continues the log beyond them",
        "reads above the high watermark before a change of leader",
        "a log that was cut at the wrong place",
    ],
    advice: "Compare the replicas' logs at this offset with their leader epochs, and where each was cut.",
    legal_if: "unclean leader election",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    gaps::found(ctx, Class::Truncated, sentence)
}

fn sentence(ctx: &Context<'_>, case: &Passed) -> String {
    format!(
        "{} was read by {}, but {}, invoked afterwards, passed over its place, and nobody read it again",
        capital(&ctx.placed(case.key, case.slot, None)),
        ctx.op(case.proof),
        ctx.op(case.poll),
    )
}
