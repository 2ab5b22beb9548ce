//! # What it is
//! Within one operation, two consecutive polled records of a key are more than one index apart in the version order.
//!
//! # Why it is bad
//! A consumer that processes what it is given misses records for good: it commits past them.
//!
//! # How it is found
//! The walk compares neighbours of the concatenated reads of one operation. Keys in the operation's rebalance log are
//! excused. A case is sound if a place lies strictly between the two offsets.
//!
//! # Contract
//! A violation for every kind of consumer; allowed where unclean leader election is on.
//!
//! # Source
//! Jepsen `tests.kafka`, `int-poll-skip`.

use super::{Entry, Found, Origin, jumps};
use crate::context::Context;
use crate::contract::Clause;

pub(super) const ENTRY: Entry = Entry {
    name: "int-poll-skip",
    counted: ("skip within a poll", "skips within a poll"),
    title: "records left out within one poll",
    origin: Origin::Jepsen,
    clause: Clause::PositionWithinPoll,
    meaning: "One poll returned records of a partition and left out others that stand between them.",
    impact: "A consumer misses records without any error, and commits past them.",
    causes: &[
        "records that were lost and whose offsets stay empty",
        "a fetch served by a replica that lacks part of the log",
        "a client that drops a fetched batch",
    ],
    advice: "Read the partition again from the start: if the records are there, suspect the fetch path or the client, otherwise the log.",
    legal_if: "unclean leader election",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    jumps::polls(ctx, &ctx.walk.int_poll_skip)
}
