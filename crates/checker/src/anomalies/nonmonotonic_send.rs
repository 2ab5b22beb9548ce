//! # What it is
//! The first value that a process sends to a key in one operation does not stand above the last value that it sent to
//! that key in its operation before.
//!
//! # Why it is bad
//! A producer that waits for each acknowledgement before it sends the next record finds them in the wrong order.
//!
//! # How it is found
//! The walk remembers for each process and key the last ok or info operation that sent to it. A completed assign or
//! subscribe keeps only the keys that it names. A case is sound if the acknowledged offsets say so, or if every place of
//! the later value is at or below every place of the earlier.
//!
//! # Contract
//! A violation; allowed where unclean leader election is on.
//!
//! # Source
//! Jepsen `tests.kafka`, `nonmonotonic-send`.

use super::{Entry, Found, Origin, jumps};
use crate::context::Context;
use crate::contract::Clause;

pub(super) const ENTRY: Entry = Entry {
    name: "nonmonotonic-send",
    counted: ("send out of order", "sends out of order"),
    title: "a process sends backwards",
    origin: Origin::Jepsen,
    clause: Clause::SendOrderBetween,
    meaning: "Records that one process sent in two operations, one after the other, stand in the log the other way round.",
    impact: "Consumers see the producer's records in the wrong order.",
    causes: &[
        "offsets that were given out again after a change of leader",
        "a record of a timed-out operation that was written much later",
    ],
    advice: "Compare with realtime-order and inconsistent-offsets: together they point to a log that was cut.",
    legal_if: "unclean leader election",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    jumps::sends(ctx, &ctx.walk.send_back)
}
