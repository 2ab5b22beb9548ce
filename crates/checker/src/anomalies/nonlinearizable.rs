//! # What it is
//! No order of an object's operations that respects real time explains all of their answers.
//!
//! # Why it is bad
//! The object does not behave like one copy: clients see old values, lost updates, or values out of nowhere.
//!
//! # How it is found
//! See the crate's `linear` module: near-linear monitors where the structure allows, otherwise a search within hard
//! budgets. One case for each object.
//!
//! # Contract
//! A violation: whoever holds a history against an object asks for linearizability.
//!
//! # Source
//! Herlihy and Wing, "Linearizability" (1990).

use super::{Entry, Origin};
use crate::contract::Clause;

pub(super) const ENTRY: Entry = Entry {
    name: "nonlinearizable",
    counted: ("object that is not linearizable", "objects that are not linearizable"),
    title: "no order explains the answers",
    origin: Origin::Perjury,
    clause: Clause::Linearizability,
    meaning: "No order of the operations that respects real time explains what they returned.",
    impact: "Clients see old values, lost updates, or values out of nowhere.",
    causes: &[
        "reads from a replica that lags",
        "two leaders at the same time",
        "an update that was lost",
    ],
    advice: "Start at the operation that cannot be placed; the attempts show what each order contradicts.",
    legal_if: "a weaker consistency model",
    run: None,
};
