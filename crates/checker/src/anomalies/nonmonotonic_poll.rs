//! # What it is
//! The first record that a process polls of a key is not above the last record of its last ok poll of that key in the
//! version order; the same record again counts.
//!
//! # Why it is bad
//! Records are processed twice, or in an order that is not the log's.
//!
//! # How it is found
//! The walk remembers for each process and key the last ok operation that polled it. A completed assign or subscribe keeps
//! only the keys that it names. A case is sound if the second offset is not above the first and neither a seek nor a
//! rebalance moved the consumer meanwhile.
//!
//! # Contract
//! A violation for assigned consumers. Allowed for consumers that subscribe, since a rebalance may move them.
//!
//! # Source
//! Jepsen `tests.kafka`, `nonmonotonic-poll`.

use super::{Entry, Found, Origin, jumps};
use crate::context::Context;
use crate::contract::Clause;

pub(super) const ENTRY: Entry = Entry {
    name: "nonmonotonic-poll",
    counted: ("step back of a consumer", "steps back of consumers"),
    title: "a consumer went back in the log",
    origin: Origin::Jepsen,
    clause: Clause::PositionBetweenPolls,
    meaning: "A consumer was given records that stand at or before what it had read already.",
    impact: "Records are processed twice; state built from them may go back in time.",
    causes: &[
        "the end of the log moved back below the consumer's position",
        "offsets that were given out again after a change of leader",
        "a position reset after an offset out of range",
    ],
    advice: "Check whether the values at the repeated offsets are the same: if not, the log was cut and written anew.",
    legal_if: "consumers that subscribe, or unclean leader election",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    jumps::polls(ctx, &ctx.walk.poll_back)
}
