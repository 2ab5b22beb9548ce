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
//! An edge from one completed operation to another says that the first must come before the second: write-write, it wrote
//! the version before; write-read, the second read what it wrote; read-write, the second wrote the version after the one
//! that it read; process, one client did the first before the second; real-time, the first returned before the second was
//! invoked. Where edges close a circle, the shortest circle of each class is searched, first without, then with the orders
//! of processes and of real time. One search over the graph finds them all; see the crate's `graph` module.
//!
//! # Contract
//! Kafka's transactions do not isolate writes (G0 is allowed) and are not serializable (read-write circles are
//! unspecified), but committed reads cannot be circular: G1c is a violation for transactions that read committed.
//!
//! # Source
//! Jepsen `tests.kafka` with Elle; Adya, "Weak Consistency" (1999); Kingsbury and Alvaro, "Elle" (2020).

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::graph::{self, KafkaOptions};
use crate::linear::Budget;
use crate::options::Contract;
use crate::report::Example;
use serde_json::{Map, json};
use std::collections::BTreeMap;

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
            "operations outside of transactions, or isolation.level=read_uncommitted",
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
pub(super) const ENTRIES: [Entry; 29] = [
    cycle("G1c", "circular reads", NoCircularReads),
    cycle("G1c-process", "circular reads against a process's order", NoCircularReads),
    cycle("G1c-realtime", "circular reads against real time", NoCircularReads),
    cycle("PL-2-cycle-exists", "a circle of reads and writes", NoCircularReads),
    cycle("strong-session-PL-2-cycle-exists", "a circle with a process's order", NoCircularReads),
    cycle("strong-PL-2-cycle-exists", "a circle with real time", NoCircularReads),
    cycle("G-single", "one missed write in a circle", Serializability),
    cycle("G-single-process", "one missed write, with processes", Serializability),
    cycle("G-single-realtime", "one missed write, with real time", Serializability),
    cycle("G-nonadjacent", "missed writes apart in a circle", Serializability),
    cycle("G-nonadjacent-process", "missed writes apart, with processes", Serializability),
    cycle("G-nonadjacent-realtime", "missed writes apart, with real time", Serializability),
    cycle("G2-item", "several missed writes in a circle", Serializability),
    cycle("G2-item-process", "several missed writes, with processes", Serializability),
    cycle("G2-item-realtime", "several missed writes, with real time", Serializability),
    cycle("PL-SI-cycle-exists", "a circle that snapshots exclude", Serializability),
    cycle("PL-3-cycle-exists", "a circle that serializability excludes", Serializability),
    cycle(
        "strong-session-snapshot-isolation-cycle-exists",
        "a circle that snapshots and processes exclude",
        Serializability,
    ),
    cycle(
        "strong-session-serializable-cycle-exists",
        "a circle that serializable sessions exclude",
        Serializability,
    ),
    cycle(
        "strong-snapshot-isolation-cycle-exists",
        "a circle that snapshots in real time exclude",
        Serializability,
    ),
    cycle("PL-SS-cycle-exists", "a circle that strict serializability excludes", Serializability),
    cycle("G0", "interleaved writes", WriteIsolation),
    cycle("G0-process", "interleaved writes against a process's order", WriteIsolation),
    cycle("G0-realtime", "interleaved writes against real time", WriteIsolation),
    cycle("PL-1-cycle-exists", "a circle of writes", WriteIsolation),
    cycle("strong-session-PL-1-cycle-exists", "a circle of writes with processes", WriteIsolation),
    cycle("strong-PL-1-cycle-exists", "a circle of writes with real time", WriteIsolation),
    cycle("empty-transaction-graph", "no operation depends on another", ReferenceOnly),
    cycle("cycle-search-timeout", "the search for circles was given up", ReferenceOnly),
];

/// Searches for circles and gives what was found, by name.
pub(crate) fn search(ctx: &Context<'_>, budget: &mut dyn Budget) -> Cycles {
    let options = KafkaOptions { ww: ctx.options.ww_deps, ..KafkaOptions::default() };
    let findings = graph::find_indexed(&ctx.index, &options, budget);
    let mut found: BTreeMap<&'static str, Found> = BTreeMap::new();
    // With a value that several operations sent, nobody knows which of them a poll saw.
    let sound = !ctx.index.keys().any(|(_, key)| key.slots().any(|s| key.was_sent_again(s)));
    let max = ctx.options.examples_max;
    for cycle in &findings.cycles {
        let mut example = example(ctx, &cycle.sentence, &cycle.ops);
        example.more.insert("steps".into(), json!(cycle.steps));
        note(found.entry(cycle.name).or_default(), example, sound, max);
    }
    for exists in &findings.exists {
        let mut example = example(ctx, &exists.sentence, &exists.ops);
        example.more.insert("not".into(), json!(exists.not));
        example.more.insert("size".into(), json!(exists.size));
        note(found.entry(exists.name).or_default(), example, sound, max);
    }
    if findings.is_empty && ctx.promises.contract == Contract::Jepsen {
        let text = "No operation depends on another or follows it in real time.";
        note(
            found.entry("empty-transaction-graph").or_default(),
            example(ctx, text, &[]),
            sound,
            max,
        );
    }
    let given_up = findings.given_up.first().map(|g| {
        format!(
            "The search for {} among {} operations that depend on each other was given up.",
            g.name, g.size
        )
    });
    Cycles { found, given_up }
}

/// What the search for circles gave.
#[derive(Debug)]
pub(crate) struct Cycles {
    /// Circles by name.
    pub(crate) found: BTreeMap<&'static str, Found>,
    /// Why the search is not complete.
    pub(crate) given_up: Option<String>,
}

fn note(found: &mut Found, example: Example, sound: bool, max: usize) {
    found.count += 1;
    found.sound += u64::from(sound);
    if found.examples.len() < max {
        found.examples.push(example);
    }
}

fn example(ctx: &Context<'_>, sentence: &str, ops: &[u64]) -> Example {
    let last = ops.iter().max().and_then(|op| usize::try_from(*op).ok());
    let fault = last.and_then(|row| ctx.fault_around(row).1);
    let ops = ops.to_vec();
    let sentence = sentence.to_owned();
    Example { sentence, key: None, offset: None, value: None, ops, fault, more: Map::new() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn every_name_of_the_search_is_explained() {
        let named: BTreeSet<&str> = crate::graph::ALL_NAMES.into_iter().collect();
        let explained: BTreeSet<&str> = super::ENTRIES.iter().map(|e| e.name).collect();
        assert_eq!(named, explained);
    }
}
