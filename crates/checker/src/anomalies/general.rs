//! # What it is
//! The anomalies of transactional histories that are no circles: reads of aborted or intermediate values, reads that
//! contradict the transaction's own writes or each other, updates that were lost.
//!
//! # Why it is bad
//! Transactions acted on values that no order of committed transactions explains.
//!
//! # How it is found
//! From the transactions' own words: which appended or wrote each value (every value once), whether that transaction
//! aborted, which of its values was its last for the key, and what it had read or written of the key before. Lists show the
//! order of their versions; registers show it where a transaction read a value before it wrote the next. See the crate's
//! `elle` module.
//!
//! # Contract
//! Follows from the consistency models that were asked for, `strict-serializable` unless said otherwise.
//!
//! # Source
//! Elle (Kingsbury and Alvaro, 2020); Adya, "Weak Consistency" (1999).

use super::{Entry, Origin};
use crate::contract::Clause;

const fn entry(
    name: &'static str,
    counted: (&'static str, &'static str),
    title: &'static str,
    meaning: &'static str,
) -> Entry {
    Entry {
        name,
        counted,
        title,
        origin: Origin::Elle,
        clause: Clause::Serializability,
        meaning,
        impact: "Transactions acted on values that no order of committed transactions explains.",
        causes: &[
            "reads from a replica that lags",
            "an isolation level weaker than the one that was asked for",
            "a conflict between transactions that was not noticed",
        ],
        advice: "Look at the transactions of the example, and at what the store did with each of them.",
        legal_if: "a weaker consistency model",
        run: None,
    }
}

/// Anomalies of list-append and rw-register histories.
pub(super) const ENTRIES: [Entry; 8] = [
    entry(
        "G1b",
        ("intermediate read", "intermediate reads"),
        "intermediate value was read",
        "A transaction read a value that another transaction overwrote before it committed.",
    ),
    entry(
        "internal",
        ("internal contradiction", "internal contradictions"),
        "a transaction contradicts itself",
        "A transaction read something else than what it had read or written itself before.",
    ),
    entry(
        "incompatible-order",
        ("incompatible order", "incompatible orders"),
        "two reads disagree about the order",
        "Two reads of one list are not prefixes of one order.",
    ),
    entry(
        "duplicate-elements",
        ("read with repeated elements", "reads with repeated elements"),
        "an element stands in a list twice",
        "A list holds one element more than once.",
    ),
    entry(
        "dirty-update",
        ("update of an aborted value", "updates of aborted values"),
        "a committed write builds on an aborted one",
        "A committed transaction wrote on top of what an aborted transaction had written.",
    ),
    entry(
        "lost-update",
        ("lost update", "lost updates"),
        "an update was lost",
        "Several transactions read one version of a key and each wrote the next one.",
    ),
    entry(
        "cyclic-versions",
        ("key with circular versions", "keys with circular versions"),
        "a key's versions form a circle",
        "What is known of the order of a key's versions contradicts itself.",
    ),
    entry(
        "future-read",
        ("read of a later write", "reads of later writes"),
        "a transaction read its own later write",
        "A transaction read a value before it wrote it itself.",
    ),
];
