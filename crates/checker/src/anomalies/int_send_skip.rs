//! # What it is
//! Two consecutive sends of one operation to a key are more than one index apart in the version order.
//!
//! # Why it is bad
//! It is not: producers share partitions. It is counted because it shows that producers did interleave.
//!
//! # How it is found
//! The walk compares neighbours of the sends of one operation.
//!
//! # Contract
//! Always allowed.
//!
//! # Source
//! Jepsen `tests.kafka`, `int-send-skip`.

use super::{Entry, Found, Origin, jumps};
use crate::context::Context;
use crate::contract::Clause;

pub(super) const ENTRY: Entry = Entry {
    name: "int-send-skip",
    counted: ("interleaved send", "interleaved sends"),
    title: "other records between the sends of one operation",
    origin: Origin::Jepsen,
    clause: Clause::Interleaving,
    meaning: "Records of others stand between two records of one operation.",
    impact: "None: Kafka does not isolate writes.",
    causes: &["another producer wrote to the same partition at the same time"],
    advice: "Nothing to do.",
    legal_if: "every configuration",
    run: Some(run),
};

fn run(ctx: &Context<'_>) -> Found {
    jumps::sends(ctx, &ctx.walk.int_send_skip)
}
