//! The catalogue: one file for each anomaly, one table for all.
//!
//! Every file documents its anomaly under the same headings (What it is, Why it is bad, How it is found, Contract,
//! Source) and gives one [`Entry`]. Names and definitions of the reference (Jepsen `tests.kafka`) are kept exactly; what
//! is stricter and still sound has a name of its own.

mod availability;
mod commit_regression;
mod corrupt_record;
mod cycles;
mod deleted_record_read;
mod double_ownership;
mod duplicate;
mod early_read;
mod exactly_once_violation;
mod g1a;
mod gaps;
mod general;
mod hanging_transaction;
mod inconsistent_offsets;
mod int_nonmonotonic_poll;
mod int_nonmonotonic_send;
mod int_poll_skip;
mod int_send_skip;
mod jumps;
mod lost_last_value;
mod lost_tail;
mod lost_write;
mod nonlinearizable;
mod nonmonotonic_poll;
mod nonmonotonic_send;
mod observe;
mod offset_regression;
mod phantom_read;
mod poll_skip;
mod precommitted_read;
mod realtime_order;
mod redelivery_outside_window;
mod resurrected_write;
mod skipped_past_commit;
mod stale_read;
mod torn_transaction;
mod truncated_log;
mod unseen;
mod zombie_commit;
mod zombie_write;

pub(crate) use cycles::search as cycles;
pub(crate) use gaps::{Passed, classify};
pub(crate) use lost_tail::lost_tails;
pub(crate) use lost_write::{Lost, lost};

use crate::context::Context;
use crate::contract::Clause;
use crate::report::Example;
use serde::Serialize;

/// Where an anomaly's definition comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Jepsen's `tests.kafka`.
    Jepsen,
    /// Elle's checks of transactional histories.
    Elle,
    /// Ours.
    Perjury,
}

/// What an analysis found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// All cases.
    pub(crate) count: u64,
    /// The cases that no legal behaviour explains: only these can be violations of our own contract.
    pub(crate) sound: u64,
    /// The most telling cases first.
    pub(crate) examples: Vec<Example>,
}

/// One anomaly of the catalogue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) name: &'static str,
    /// How one case and several are counted: "record lost", "records lost".
    pub(crate) counted: (&'static str, &'static str),
    /// Its name in plain words.
    pub(crate) title: &'static str,
    /// Where its definition comes from.
    pub(crate) origin: Origin,
    /// The promise that it would break.
    pub(crate) clause: Clause,
    /// What it is.
    pub(crate) meaning: &'static str,
    /// What it does to an application.
    pub(crate) impact: &'static str,
    /// What usually causes it, most likely first.
    pub(crate) causes: &'static [&'static str],
    /// What to do.
    pub(crate) advice: &'static str,
    /// Which configuration would have made it legal; empty if none does.
    pub(crate) legal_if: &'static str,
    /// Finds it. Nothing for the cycles, which one search finds together.
    pub(crate) run: Option<fn(&Context<'_>) -> Found>,
}

/// All anomalies that have an analysis of their own, the worst first: the order in which a story is told.
pub(crate) const CATALOGUE: [Entry; 37] = [
    lost_write::ENTRY,
    lost_tail::ENTRY,
    lost_last_value::ENTRY,
    inconsistent_offsets::ENTRY,
    truncated_log::ENTRY,
    torn_transaction::ENTRY,
    g1a::ENTRY,
    zombie_write::ENTRY,
    exactly_once_violation::ENTRY,
    phantom_read::ENTRY,
    corrupt_record::ENTRY,
    resurrected_write::ENTRY,
    deleted_record_read::ENTRY,
    duplicate::ENTRY,
    early_read::ENTRY,
    stale_read::ENTRY,
    realtime_order::ENTRY,
    offset_regression::ENTRY,
    double_ownership::ENTRY,
    zombie_commit::ENTRY,
    skipped_past_commit::ENTRY,
    commit_regression::ENTRY,
    redelivery_outside_window::ENTRY,
    precommitted_read::ENTRY,
    nonmonotonic_poll::ENTRY,
    int_nonmonotonic_poll::ENTRY,
    poll_skip::ENTRY,
    int_poll_skip::ENTRY,
    nonmonotonic_send::ENTRY,
    int_nonmonotonic_send::ENTRY,
    unseen::ENTRY,
    hanging_transaction::ENTRY,
    availability::NEVER_RECOVERED,
    availability::STUCK_CLIENT,
    availability::AVAILABILITY_GAP,
    availability::SLOW_ELECTION,
    int_send_skip::ENTRY,
];

/// " for group payments", or nothing for a group without a name.
fn of_group(group: &str) -> String {
    if group.is_empty() { String::new() } else { format!(" for group {group}") }
}

/// All anomalies, those that one search for cycles finds included.
pub(crate) fn all() -> impl Iterator<Item = &'static Entry> {
    const OTHERS: [Entry; 1] = [nonlinearizable::ENTRY];
    CATALOGUE.iter().chain(&cycles::ENTRIES).chain(&general::ENTRIES).chain(&OTHERS)
}

/// What an entry says to whoever has to act on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counsel {
    /// Which configuration would have made it legal; empty if none does.
    pub(crate) legal_if: &'static str,
    /// What usually causes it, most likely first.
    pub(crate) causes: &'static [&'static str],
    /// What to do.
    pub(crate) advice: &'static str,
}

/// The counsel of an entry; circles and aborted reads mean something else in histories that are not Kafka's.
pub(crate) fn counsel(entry: &Entry, is_kafka: bool) -> Counsel {
    let own = Counsel { legal_if: entry.legal_if, causes: entry.causes, advice: entry.advice };
    let general = &general::ENTRIES[0];
    if is_kafka || entry.origin != Origin::Jepsen {
        return own;
    }
    Counsel { legal_if: general.legal_if, causes: general.causes, advice: general.advice }
}

/// The anomaly of this name.
pub(crate) fn entry(name: &str) -> Option<&'static Entry> {
    all().find(|e| e.name == name)
}

/// Whether the reference (Jepsen `tests.kafka`) has an anomaly of this name.
pub(crate) fn is_reference(name: &str) -> bool {
    entry(name).is_some_and(|e| e.origin == Origin::Jepsen)
}

/// What a reader of a report needs to know of an anomaly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GlossaryEntry {
    /// Its name.
    pub name: &'static str,
    /// Its name in plain words.
    pub title: &'static str,
    /// What it is.
    pub meaning: &'static str,
    /// What it does to an application.
    pub impact: &'static str,
    /// What usually causes it, most likely first.
    pub causes: &'static [&'static str],
    /// What to do.
    pub advice: &'static str,
    /// Which configuration would have made it legal; empty if none does.
    pub legal_if: &'static str,
    /// `jepsen` if Jepsen's `tests.kafka` defines it under this name, `elle` if Elle does, otherwise `perjury`.
    pub origin: &'static str,
}

/// Every anomaly in plain words, the worst first.
pub fn glossary() -> Vec<GlossaryEntry> {
    let explain = |e: &'static Entry| GlossaryEntry {
        name: e.name,
        title: e.title,
        meaning: e.meaning,
        impact: e.impact,
        causes: e.causes,
        advice: e.advice,
        legal_if: e.legal_if,
        origin: match e.origin {
            Origin::Jepsen => "jepsen",
            Origin::Elle => "elle",
            Origin::Perjury => "perjury",
        },
    };
    all().map(explain).collect()
}
