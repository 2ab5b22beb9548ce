//! # What it is
//! A send was acknowledged; a poll that was invoked afterwards returned records on both sides of its place and nothing
//! there, although other operations did read it.
//!
//! # Why it is bad
//! A consumer passes over a record that exists, and never comes back for it.
//!
//! # How it is found
//! From the gaps that one answer to one poll shows (see `gaps`). That a poll does not reach the record yet is no case:
//! consumers may lag.
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
use crate::words::capital;

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
    gaps::found(ctx, Class::Stale, sentence)
}

fn sentence(ctx: &Context<'_>, case: &Passed) -> String {
    format!(
        "{} was acknowledged by {}, but {}, invoked afterwards, passed over its place",
        capital(&ctx.placed(case.key, case.slot, None)),
        ctx.op(case.proof),
        ctx.op(case.poll),
    )
}
