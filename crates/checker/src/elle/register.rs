//! Transactions over registers that are read and written (Elle's rw-register).
//!
//! Values written to a register are unique. A read shows which transaction wrote the value; the order of versions must
//! be inferred, by rules that can be switched on:
//! - The initial value, nil, comes before every other (always).
//! - `wfr_keys`: a transaction that read one value and wrote another wrote the later one.
//! - `sequential_keys`: each process sees versions in order.
//! - `linearizable_keys`: versions follow real time.
//!
//! # Anomalies beside circles
//! `G1a`, `G1b`, `internal` and `lost-update` as for lists; `cyclic-versions`: the rules put the versions of a register
//! into a circle; `phantom-read` (ours).

use super::Options;
use super::report::{Cases, GeneralExample};
use super::txns::{Mop, NIL, Txn, Txns, pair};
use super::versions::{Source as Rule, Versions};
use crate::graph::{Reason, Rel};
use perjury_history::Kind;
use rustc_hash::{FxHashMap, FxHashSet};

/// The external reads and writes of a transaction: the first read of each key that it had not written, and its last
/// write of each key. In order of keys.
#[derive(Debug, Clone, Default)]
pub(super) struct External {
    pub(super) reads: Vec<(u32, u32)>,
    pub(super) writes: Vec<(u32, u32)>,
}

impl External {
    fn of(txns: &Txns, txn: &Txn) -> External {
        let mut external = External::default();
        let mut touched: FxHashSet<u32> = FxHashSet::default();
        for mop in txns.mops(txn) {
            match *mop {
                Mop::Read(k, Some(v)) if touched.insert(k) => external.reads.push((k, v)),
                Mop::Write(k, v) => {
                    touched.insert(k);
                    external.writes.retain(|(key, _)| *key != k);
                    external.writes.push((k, v));
                }
                _ => {}
            }
        }
        if !txn.is_ok() {
            external.reads.clear();
        }
        external.reads.sort_unstable();
        external.writes.sort_unstable();
        external
    }

    /// The value in a list of external accesses.
    pub(super) fn value(accesses: &[(u32, u32)], key: u32) -> Option<u32> {
        let at = accesses.binary_search_by_key(&key, |(k, _)| *k).ok()?;
        Some(accesses[at].1)
    }
}

/// What everybody else looks up.
pub(super) struct Registers<'t> {
    txns: &'t Txns,
    pub(super) external: Vec<External>,
    writers: FxHashMap<u64, u32>,
    intermediate: FxHashMap<u64, u32>,
    versions: Versions,
}

impl<'t> Registers<'t> {
    pub(super) fn new(txns: &'t Txns, options: &Options) -> Self {
        let external: Vec<External> = txns.txns.iter().map(|txn| External::of(txns, txn)).collect();
        let (mut writers, mut intermediate) = (FxHashMap::default(), FxHashMap::default());
        let mut last: FxHashMap<(u32, u32), u32> = FxHashMap::default();
        for (t, txn, mop) in txns.each() {
            let Mop::Write(k, v) = mop else { continue };
            let known: Option<&u32> = writers.get(&pair(k, v));
            // A failed write gives way to one that may have happened.
            if known.is_none_or(|_| txn.is_possible()) {
                writers.insert(pair(k, v), t);
            }
            if let Some(before) = last.insert((t, k), v) {
                intermediate.insert(pair(k, before), t);
            }
        }
        let versions = Versions::infer(txns, &external, options);
        Registers { txns, external, writers, intermediate, versions }
    }

    pub(super) fn anomalies(&self, cases: &mut Cases) {
        for (t, txn) in (0u32..).zip(&self.txns.txns).filter(|(_, txn)| txn.is_ok()) {
            self.internal(txn, cases);
            self.reads(t, txn, cases);
        }
        self.lost_updates(cases);
        for (key, versions, rules) in &self.versions.circles {
            cases.add("cyclic-versions", || {
                let values: Vec<String> = versions.iter().map(|v| self.txns.value(*v)).collect();
                let rules: Vec<&str> = rules.iter().map(|r: &Rule| r.as_str()).collect();
                let sentence = format!(
                    "The versions {} of key {} precede each other in a circle by {}.",
                    values.join(", "),
                    self.txns.key(*key),
                    rules.join(", ")
                );
                let ops = self.events_of(*key, versions);
                let key = Some(self.txns.key(*key));
                GeneralExample { sentence, key, ops, ..GeneralExample::default() }
            });
        }
    }

    /// The writers of versions.
    fn events_of(&self, key: u32, versions: &[u32]) -> Vec<u64> {
        let writers = versions.iter().filter_map(|v| self.writers.get(&pair(key, *v)));
        let mut events: Vec<u64> = writers.map(|w| self.txns.event(*w)).collect();
        events.sort_unstable();
        events
    }

    fn example(&self, key: u32, value: u32, ops: Vec<u64>, sentence: String) -> GeneralExample {
        let (key, value) = (Some(self.txns.key(key)), Some(self.txns.value(value)));
        GeneralExample { sentence, key, value, ops, steps: Vec::new() }
    }

    fn internal(&self, txn: &Txn, cases: &mut Cases) {
        let mut expected: FxHashMap<u32, u32> = FxHashMap::default();
        for mop in self.txns.mops(txn) {
            let (k, v) = match *mop {
                Mop::Write(k, v) => (k, v),
                Mop::Read(k, Some(v)) => {
                    if let Some(e) = expected.get(&k).copied().filter(|e| *e != v) {
                        cases.add("internal", || {
                            let sentence = format!(
                                "Operation {} read key {} = {}, but by its own earlier reads and writes it is {}.",
                                txn.event,
                                self.txns.key(k),
                                self.txns.value(v),
                                self.txns.value(e)
                            );
                            self.example(k, v, vec![txn.event], sentence)
                        });
                        return;
                    }
                    (k, v)
                }
                _ => continue,
            };
            expected.insert(k, v);
        }
    }

    /// Aborted, intermediate and phantom values.
    fn reads(&self, t: u32, txn: &Txn, cases: &mut Cases) {
        let names = self.txns;
        for mop in names.mops(txn) {
            let Mop::Read(k, Some(v)) = *mop else { continue };
            if v == NIL {
                continue;
            }
            let (key, value) = (names.key(k), names.value(v));
            let event = txn.event;
            match self.writers.get(&pair(k, v)) {
                None => cases.add("phantom-read", || {
                    let sentence =
                        format!("Operation {event} read key {key} = {value}, but nobody wrote it.");
                    self.example(k, v, vec![event], sentence)
                }),
                Some(w) if names.txns[*w as usize].kind == Kind::Fail => cases.add("G1a", || {
                    let writer = names.event(*w);
                    let sentence = format!(
                        "Operation {event} read key {key} = {value}, which operation {writer} wrote before it failed."
                    );
                    self.example(k, v, vec![writer, event], sentence)
                }),
                Some(_) => {}
            }
            let Some(w) = self.intermediate.get(&pair(k, v)).filter(|w| **w != t) else { continue };
            cases.add("G1b", || {
                let writer = names.event(*w);
                let sentence = format!(
                    "Operation {event} read key {key} = {value}, which operation {writer} overwrote in the same transaction."
                );
                self.example(k, v, vec![writer, event], sentence)
            });
        }
    }

    fn lost_updates(&self, cases: &mut Cases) {
        let mut groups: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
        for (t, (txn, external)) in (0u32..).zip(self.txns.txns.iter().zip(&self.external)) {
            for (k, v) in external.reads.iter().filter(|_| txn.is_ok()) {
                if External::value(&external.writes, *k).is_some() {
                    groups.entry(pair(*k, *v)).or_default().push(t);
                }
            }
        }
        let mut groups: Vec<_> = groups.into_iter().filter(|(_, g)| g.len() > 1).collect();
        groups.sort_unstable_by_key(|(at, group)| (group[0], *at));
        for (at, group) in groups {
            cases.add("lost-update", || {
                #[expect(clippy::cast_possible_truncation, reason = "the halves of a pair")]
                let (k, v) = ((at >> 32) as u32, at as u32);
                let ops: Vec<u64> = group.iter().map(|t| self.txns.event(*t)).collect();
                let names: Vec<String> = ops.iter().map(ToString::to_string).collect();
                let sentence = format!(
                    "Operations {} all read key {} = {} and then wrote it.",
                    names.join(", "),
                    self.txns.key(k),
                    self.txns.value(v)
                );
                self.example(k, v, ops, sentence)
            });
        }
    }

    /// All dependencies between ok transactions.
    pub(super) fn edges(&self) -> Vec<(u32, u32, Rel)> {
        let mut edges = Vec::new();
        let mut reads: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
        let mut writes: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
        let oks = || (0u32..).zip(self.txns.txns.iter().zip(&self.external));
        for (t, (_, external)) in oks().filter(|(_, (txn, _))| txn.is_ok()) {
            for (k, v) in &external.reads {
                reads.entry(pair(*k, *v)).or_default().push(t);
            }
            for (k, v) in &external.writes {
                writes.entry(pair(*k, *v)).or_default().push(t);
            }
        }
        let of = |table: &FxHashMap<u64, Vec<u32>>, k: u32, v: u32| {
            table.get(&pair(k, v)).cloned().unwrap_or_default()
        };
        for (t, (_, external)) in oks().filter(|(_, (txn, _))| txn.is_ok()) {
            for (k, v) in &external.reads {
                edges.extend(of(&writes, *k, *v).into_iter().map(|w| (w, t, Rel::Wr)));
            }
        }
        for (k, v, next) in self.versions.edges() {
            let after = of(&writes, k, next);
            for to in &after {
                edges.extend(of(&writes, k, v).into_iter().map(|w| (w, *to, Rel::Ww)));
                edges.extend(of(&reads, k, v).into_iter().map(|r| (r, *to, Rel::Rw)));
            }
        }
        edges
    }

    /// Why there is an edge.
    pub(super) fn explain(&self, rel: Rel, from: u32, to: u32, a: &str, b: &str) -> Reason {
        let (first, second) = (&self.external[from as usize], &self.external[to as usize]);
        let found = match rel {
            Rel::Wr => second.reads.iter().find_map(|(k, v)| {
                (External::value(&first.writes, *k) == Some(*v)).then_some((*k, *v, *v))
            }),
            _ => second.writes.iter().find_map(|(k, next)| {
                let from = if rel == Rel::Ww { &first.writes } else { &first.reads };
                let v = External::value(from, *k)?;
                self.versions.has(*k, v, *next).then_some((*k, v, *next))
            }),
        };
        let Some((k, v, next)) = found else {
            return Reason { text: format!("{b} depends on {a}"), ..Reason::default() };
        };
        let (key, value, next) = (self.txns.key(k), self.txns.value(v), self.txns.value(next));
        let text = match rel {
            Rel::Wr => format!("{a} wrote key {key} = {value}, which {b} read"),
            Rel::Ww => format!(
                "{a} set key {key} to {value}, and {b} set it to {next}, which came later in the version order"
            ),
            _ => format!(
                "{a} read key {key} = {value}, and {b} set it to {next}, which came later in the version order"
            ),
        };
        let next = (rel != Rel::Wr).then_some(next);
        Reason { key: Some(key), value: Some(value), next, text }
    }
}
