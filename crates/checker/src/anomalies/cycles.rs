//! # What it is
//! Circles of operations in the dependency graph: each operation must come before the next, and the last before the first.
//! G0: by write-write edges alone. G1c: by write-read edges, with or without write-write edges. G-single, G-nonadjacent,
//! G2-item: with read-write edges. A suffix `-process` or `-realtime` says that the circle also needs the order of one
//! process, or of real time. The `…-cycle-exists` names stand for a whole class of circles.
//!
//! # Why it is bad
//! No order of the operations explains what they saw.
//!
//! # How it is found
//! One search over the dependency graph finds them all; see the crate's `graph` module.
//!
//! # Contract
//! Kafka's transactions do not isolate writes (G0 is allowed) and are not serializable (read-write circles are
//! unspecified), but committed reads cannot be circular: G1c is a violation for transactions that read committed.
//!
//! # Source
//! Jepsen `tests.kafka` with Elle; Adya, "Weak Consistency" (1999); Kingsbury and Alvaro, "Elle" (2020).

use super::{Entry, Origin};
use crate::contract::Clause;

const CAUSES: &[&str] = &[
    "consumers that are shown records of open transactions",
    "a last stable offset that moves too early",
    "two leaders of one partition at the same time",
];
const ADVICE: &str = "Follow the steps of the shortest circle; its first write-read step names the record that was visible too early.";

const fn cycle(name: &'static str, title: &'static str, clause: Clause) -> Entry {
    let (meaning, impact, legal_if) = match clause {
        Clause::WriteIsolation => (
            "Records of several operations interleave so that no order of the operations explains the log.",
            "None beyond Kafka's documented behaviour.",
            "every configuration",
        ),
        Clause::NoCircularReads => (
            "Operations read from each other in a circle.",
            "Transactions acted on each other's uncommitted data.",
            "operations that are no transactions, or isolation.level=read_uncommitted",
        ),
        _ => (
            "Operations depend on each other in a circle that includes what one of them did not see.",
            "The operations did not happen one after the other in any order.",
            "every configuration of Kafka",
        ),
    };
    Entry {
        name,
        counted: ("circle of operations", "circles of operations"),
        title,
        origin: Origin::Jepsen,
        clause,
        meaning,
        impact,
        causes: CAUSES,
        advice: ADVICE,
        legal_if,
        run: None,
    }
}

use Clause::{NoCircularReads, ReferenceOnly, Serializability, WriteIsolation};

/// Every name that the search for cycles can give.
pub(super) const ENTRIES: [Entry; 28] = [
    cycle("G1c", "circular reads", NoCircularReads),
    cycle("G1c-process", "circular reads against a process's order", NoCircularReads),
    cycle("G1c-realtime", "circular reads against real time", NoCircularReads),
    cycle("PL-2-cycle-exists", "a circle of reads and writes", NoCircularReads),
    cycle("strong-session-PL-2-cycle-exists", "a circle with a process's order", NoCircularReads),
    cycle("strong-PL-2-cycle-exists", "a circle with real time", NoCircularReads),
    cycle("G-single", "one missed write in a circle", Serializability),
    cycle("G-single-process", "one missed write in a circle of processes", Serializability),
    cycle("G-single-realtime", "one missed write in a circle of real time", Serializability),
    cycle("G-nonadjacent", "missed writes apart in a circle", Serializability),
    cycle("G-nonadjacent-process", "missed writes apart, with processes", Serializability),
    cycle("G-nonadjacent-realtime", "missed writes apart, with real time", Serializability),
    cycle("G2-item", "several missed writes in a circle", Serializability),
    cycle("G2-item-process", "several missed writes, with processes", Serializability),
    cycle("G2-item-realtime", "several missed writes, with real time", Serializability),
    cycle("PL-SI-cycle-exists", "a circle that snapshots exclude", Serializability),
    cycle("PL-2.99-cycle-exists", "a circle that repeatable reads exclude", Serializability),
    cycle("strong-PL-SI-cycle-exists", "the same with real time", Serializability),
    cycle("strong-PL-2.99-cycle-exists", "the same with real time", Serializability),
    cycle("strong-session-PL-SI-cycle-exists", "the same with processes", Serializability),
    cycle("strong-session-PL-2.99-cycle-exists", "the same with processes", Serializability),
    cycle("G0", "interleaved writes", WriteIsolation),
    cycle("G0-process", "interleaved writes against a process's order", WriteIsolation),
    cycle("G0-realtime", "interleaved writes against real time", WriteIsolation),
    cycle("PL-1-cycle-exists", "a circle of writes", WriteIsolation),
    cycle("strong-session-PL-1-cycle-exists", "the same with processes", WriteIsolation),
    cycle("strong-PL-1-cycle-exists", "the same with real time", WriteIsolation),
    cycle("empty-transaction-graph", "no operation depends on another", ReferenceOnly),
];
