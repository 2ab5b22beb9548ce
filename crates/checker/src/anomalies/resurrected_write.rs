//! # What it is
//! A poll returned records on both sides of a place and nothing there; an operation that was invoked after that poll had
//! ended read a value at that place.
//!
//! # Why it is bad
//! What was settled as absent, an aborted or failed send, comes to life; consumers that went past it never see it.
//!
//! # How it is found
//! From the gaps that one answer to one poll shows (see `gaps`), for values that were neither read nor acknowledged before
//! that poll.
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
    name: "resurrected-write",
    counted: ("record out of nowhere", "records out of nowhere"),
    title: "a record appeared where there was none",
    origin: Origin::Perjury,
    clause: Clause::StableLog,
    meaning: "A poll showed that nothing stands at a place, and later a record was read there.",
    impact: "Consumers disagree about the log for ever.",
    causes: &[
        "records of an open transaction that were skipped as if aborted",
        "a former leader whose unreplicated records came back",
        "a fetch served by a replica that lacks part of the log",
    ],
    advice: "Look at the state of the record's transaction, and which replica served each of the two fetches.",
    legal_if: "unclean leader election",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    gaps::found(ctx, Class::Resurrected, sentence)
}

fn sentence(ctx: &Context<'_>, case: &Passed) -> String {
    format!(
        "{} passed over the place at which {}, invoked afterwards, read {}",
        capital(&ctx.op(case.poll)),
        ctx.op(case.proof),
        ctx.placed(case.key, case.slot, None),
    )
}
