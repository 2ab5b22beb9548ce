//! # What it is
//! Of two consecutive sends of one operation to a key, the second does not stand above the first in the version order.
//!
//! # Why it is bad
//! A producer that counts on per-partition order writes a log that says something else.
//!
//! # How it is found
//! The walk compares neighbours of the sends of one operation, whatever became of it. A case is sound if the acknowledged
//! offsets say so, or if every place of the later value is at or below every place of the earlier.
//!
//! # Contract
//! A violation for idempotent producers. Allowed with `enable.idempotence=false`, where a retry may overtake.
//!
//! # Source
//! Jepsen `tests.kafka`, `int-nonmonotonic-send`.

use super::{Entry, Found, Origin, jumps};
use crate::context::Context;
use crate::contract::Clause;

pub(super) const ENTRY: Entry = Entry {
    name: "int-nonmonotonic-send",
    counted: ("send out of order within an operation", "sends out of order within an operation"),
    title: "sends of one operation out of order",
    origin: Origin::Jepsen,
    clause: Clause::SendOrderWithin,
    meaning: "Records that one operation sent one after the other stand in the log the other way round.",
    impact: "Consumers see the producer's records in the wrong order.",
    causes: &[
        "a retry that overtook a later batch",
        "sequence numbers that are not checked after a change of leader",
    ],
    advice: "Switch idempotence on; if it is on, look at how the broker restores producer state after a change of leader.",
    legal_if: "enable.idempotence=false",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    jumps::sends(ctx, &ctx.walk.int_send_back)
}
