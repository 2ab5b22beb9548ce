//! # What it is
//! Within one operation, a polled record of a key is not above the record polled before it in the version order.
//!
//! # Why it is bad
//! Per-partition order is what consumers of Kafka rely on: state built from the records becomes wrong.
//!
//! # How it is found
//! The walk compares neighbours of the concatenated reads of one operation. Keys in the operation's rebalance log are
//! excused. A case is sound if the second offset is not above the first.
//!
//! # Contract
//! A violation for every kind of consumer; allowed where unclean leader election is on.
//!
//! # Source
//! Jepsen `tests.kafka`, `int-nonmonotonic-poll`.

use super::{Entry, Found, Origin, jumps};
use crate::context::Context;
use crate::contract::Clause;

pub(super) const ENTRY: Entry = Entry {
    name: "int-nonmonotonic-poll",
    counted: ("step back within a poll", "steps back within a poll"),
    title: "records out of order within one poll",
    origin: Origin::Jepsen,
    clause: Clause::PositionWithinPoll,
    meaning: "One poll returned records of a partition in an order that is not the log's.",
    impact: "Consumers that apply records in the order received end in a wrong state.",
    causes: &[
        "a log that was cut and written anew between two fetches",
        "a fetch that returns a batch twice",
        "a client that mixes up buffered fetches",
    ],
    advice: "Compare the offsets in the witness: a repeat of the same offset points to the client, a different value to the log.",
    legal_if: "unclean leader election",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    jumps::polls(ctx, &ctx.walk.int_poll_back)
}
