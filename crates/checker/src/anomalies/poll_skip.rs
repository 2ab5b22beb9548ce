//! # What it is
//! The first record that a process polls of a key is more than one index above the last record of its last ok poll of
//! that key.
//!
//! # Why it is bad
//! A consumer that processes what it is given misses records for good: it commits past them.
//!
//! # How it is found
//! The walk remembers for each process and key the last ok operation that polled it. A completed assign or subscribe keeps
//! only the keys that it names. A case is sound if a place lies strictly between the two offsets and neither a seek nor a
//! rebalance moved the consumer meanwhile.
//!
//! # Contract
//! A violation for assigned consumers. Allowed for consumers that subscribe, since a rebalance may move them.
//!
//! # Source
//! Jepsen `tests.kafka`, `poll-skip`.

use super::{Entry, Found, Origin, jumps};
use crate::context::Context;
use crate::contract::Clause;

pub(super) const ENTRY: Entry = Entry {
    name: "poll-skip",
    counted: ("skip between polls", "skips between polls"),
    title: "records left out between two polls",
    origin: Origin::Jepsen,
    clause: Clause::PositionBetweenPolls,
    meaning: "A consumer's next poll went on further than right behind its last one.",
    impact: "A consumer misses records without any error, and commits past them.",
    causes: &[
        "records that were lost and whose offsets stay empty",
        "a position reset after an offset out of range",
        "a high watermark that moved back and forth across a change of leader",
    ],
    advice: "Look for an offset reset in the client's log near the fault; read the partition again from the start.",
    legal_if: "consumers that subscribe, or unclean leader election",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    jumps::polls(ctx, &ctx.walk.poll_skip)
}
