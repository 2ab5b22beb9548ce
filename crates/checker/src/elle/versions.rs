//! The order of the versions of registers, as far as it can be inferred.

use super::Options;
use super::register::External;
use super::txns::{NIL, Txns};
use crate::graph::Digraph;
use perjury_history::Kind;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};

/// A rule from which the order of two versions follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Initial,
    WritesFollowReads,
    Process,
    Realtime,
}

impl Source {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Source::Initial => "the initial state",
            Source::WritesFollowReads => "writes that follow reads",
            Source::Process => "the order of processes",
            Source::Realtime => "real time",
        }
    }
}

type Pairs = BTreeSet<(u32, u32)>;

/// Versions of each key with their successors.
#[derive(Debug, Default)]
pub(super) struct Versions {
    after: BTreeMap<u32, Pairs>,
    /// Circles: the key, its versions, and the rules that were in use.
    pub(super) circles: Vec<(u32, Vec<u32>, Vec<Source>)>,
}

impl Versions {
    /// Adds the rules one after the other; one that puts versions into a circle is noted and left out.
    pub(super) fn infer(txns: &Txns, external: &[External], options: &Options) -> Self {
        let mut versions = Versions::default();
        let mut used = Vec::new();
        let rules = [
            (Source::Initial, true),
            (Source::WritesFollowReads, options.wfr_keys),
            (Source::Process, options.sequential_keys),
            (Source::Realtime, options.linearizable_keys),
        ];
        for (rule, _) in rules.into_iter().filter(|(_, on)| *on) {
            let more = match rule {
                Source::Initial => initial(txns, external),
                Source::WritesFollowReads => writes_follow_reads(txns, external),
                Source::Process => process(txns, external),
                Source::Realtime => realtime(txns, external),
            };
            versions.add(rule, more, &mut used);
        }
        versions
    }

    fn add(&mut self, rule: Source, more: Vec<(u32, u32, u32)>, used: &mut Vec<Source>) {
        let mut together = self.after.clone();
        for (k, v, next) in more {
            if v != next {
                together.entry(k).or_default().insert((v, next));
            }
        }
        let rules: Vec<Source> = used.iter().copied().chain([rule]).collect();
        let mut circles = Vec::new();
        for (k, pairs) in &together {
            circles.extend(components(pairs).into_iter().map(|c| (*k, c, rules.clone())));
        }
        if circles.is_empty() {
            self.after = together;
            *used = rules;
        } else {
            self.circles.extend(circles);
        }
    }

    /// Key, version and a later version.
    pub(super) fn edges(&self) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
        self.after.iter().flat_map(|(k, pairs)| pairs.iter().map(move |(v, next)| (*k, *v, *next)))
    }

    pub(super) fn has(&self, key: u32, version: u32, next: u32) -> bool {
        self.after.get(&key).is_some_and(|pairs| pairs.contains(&(version, next)))
    }
}

/// The circles of versions.
fn components(pairs: &Pairs) -> Vec<Vec<u32>> {
    let mut values: Vec<u32> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
    values.sort_unstable();
    values.dedup();
    let number =
        |v: u32| u32::try_from(values.partition_point(|known| *known < v)).unwrap_or(u32::MAX);
    let edges: Vec<(u32, u32)> = pairs.iter().map(|(a, b)| (number(*a), number(*b))).collect();
    let components = Digraph::new(values.len(), &edges).components();
    components.into_iter().map(|c| c.into_iter().map(|v| values[v as usize]).collect()).collect()
}

/// Nil comes before every other version.
fn initial(txns: &Txns, external: &[External]) -> Vec<(u32, u32, u32)> {
    let possible = txns.txns.iter().zip(external).filter(|(txn, _)| txn.is_possible());
    let accesses = possible.flat_map(|(_, e)| e.writes.iter().chain(&e.reads));
    accesses.filter(|(_, v)| *v != NIL).map(|(k, v)| (*k, NIL, *v)).collect()
}

/// A transaction wrote a later version than it read.
fn writes_follow_reads(txns: &Txns, external: &[External]) -> Vec<(u32, u32, u32)> {
    let mut order = Vec::new();
    for (_, e) in txns.txns.iter().zip(external).filter(|(txn, _)| txn.is_ok()) {
        for (k, v) in e.reads.iter().filter(|(_, v)| *v != NIL) {
            order.extend(External::value(&e.writes, *k).map(|next| (*k, *v, next)));
        }
    }
    order
}

/// The last version that a transaction touched, and the first, by key.
fn touched(txns: &Txns, external: &[External]) -> BTreeMap<u32, Vec<Touch>> {
    let mut by_key: BTreeMap<u32, Vec<Touch>> = BTreeMap::new();
    for (txn, e) in txns.txns.iter().zip(external) {
        if txn.kind == Kind::Fail {
            continue;
        }
        let mut keys: Vec<u32> = e.reads.iter().chain(&e.writes).map(|(k, _)| *k).collect();
        keys.sort_unstable();
        keys.dedup();
        for k in keys {
            let (read, write) = (External::value(&e.reads, k), External::value(&e.writes, k));
            let (Some(first), Some(last)) = (read.or(write), write.or(read)) else { continue };
            by_key.entry(k).or_default().push(Touch {
                first,
                last,
                invoke: txn.invoke.unwrap_or(txn.event),
                ret: txn.is_ok().then_some(txn.event),
                process: txn.process,
            });
        }
    }
    by_key
}

/// A transaction's access to a key.
#[derive(Debug, Clone, Copy)]
struct Touch {
    first: u32,
    last: u32,
    invoke: u64,
    ret: Option<u64>,
    process: Option<u32>,
}

/// Each process sees the versions of a key in order.
fn process(txns: &Txns, external: &[External]) -> Vec<(u32, u32, u32)> {
    let mut order = Vec::new();
    for (k, mut touches) in touched(txns, external) {
        touches.sort_unstable_by_key(|t| t.invoke);
        let mut last: FxHashMap<u32, Touch> = FxHashMap::default();
        for touch in touches {
            let Some(process) = touch.process else { continue };
            if let Some(before) = last.get(&process) {
                order.push((k, before.last, touch.first));
            }
            if touch.ret.is_some() {
                last.insert(process, touch);
            }
        }
    }
    order
}

/// A transaction that began after another had returned sees no earlier version. Only the transactions that returned last
/// are compared; what they followed follows.
fn realtime(txns: &Txns, external: &[External]) -> Vec<(u32, u32, u32)> {
    let mut order = Vec::new();
    for (k, touches) in touched(txns, external) {
        let mut events: Vec<(u64, bool, usize)> = Vec::new();
        for (i, touch) in touches.iter().enumerate() {
            events.push((touch.invoke, false, i));
            events.extend(touch.ret.map(|r| (r, true, i)));
        }
        events.sort_unstable();
        let mut front: Vec<usize> = Vec::new();
        for (_, returned, i) in events {
            if returned {
                // Those that returned before this one began are behind it.
                front.retain(|f| touches[*f].ret.is_none_or(|r| r > touches[i].invoke));
                front.push(i);
            } else {
                order.extend(front.iter().map(|f| (k, touches[*f].last, touches[i].first)));
            }
        }
    }
    order
}
