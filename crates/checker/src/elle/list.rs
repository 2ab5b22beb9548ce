//! Transactions over lists that are appended to (Elle's list-append).
//!
//! Every append adds a value that is unique for its list, and a read returns the whole list. A list therefore shows the
//! order of all versions before it, and every dependency can be inferred.
//!
//! # Anomalies beside circles
//! - `G1a`: an ok transaction read a value whose append failed.
//! - `G1b`: it read a list that ends with an append that its transaction followed by another one to the same list.
//! - `internal`: it read a list that contradicts what it itself read or appended before.
//! - `future-read`: it read a value that it itself appends only later.
//! - `duplicate-elements`: a list holds a value twice.
//! - `incompatible-order`: of two lists read from a key neither is a prefix of the other.
//! - `dirty-update`: a committed append builds upon one that failed.
//! - `lost-update`: several ok transactions read the same version of a list and appended to it.
//! - `phantom-read`: a value was read that nobody appended (ours).

use super::report::{Cases, GeneralExample};
use super::txns::{Mop, Txn, Txns, pair};
use crate::graph::{Reason, Rel};
use perjury_history::Kind;
use rustc_hash::{FxHashMap, FxHashSet};

/// What everybody else looks up.
pub(super) struct Lists<'t> {
    txns: &'t Txns,
    /// The transaction that appended a value, failed ones included; of several the one that may have happened.
    writers: FxHashMap<u64, u32>,
    /// Values that their transaction followed by another append to the same list.
    intermediate: FxHashSet<u64>,
    /// The longest list read of each key, as it was read.
    longest: FxHashMap<u32, (u32, u32)>,
    /// The same with every value once: the version order.
    orders: FxHashMap<u32, Vec<u32>>,
    /// The position of a value in it.
    positions: FxHashMap<u64, u32>,
}

/// A value that was appended to one list by two transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AppendedTwice {
    pub(super) key: String,
    pub(super) value: String,
}

impl<'t> Lists<'t> {
    pub(super) fn new(txns: &'t Txns) -> Result<Self, AppendedTwice> {
        let mut lists = Lists {
            txns,
            writers: FxHashMap::default(),
            intermediate: FxHashSet::default(),
            longest: FxHashMap::default(),
            orders: FxHashMap::default(),
            positions: FxHashMap::default(),
        };
        let mut last: FxHashMap<(u32, u32), u32> = FxHashMap::default();
        for (t, txn, mop) in txns.each() {
            match mop {
                Mop::Append(k, v) => {
                    if let Some(other) = lists.writers.insert(pair(k, v), t) {
                        let other_txn = &txns.txns[other as usize];
                        if other == t || (other_txn.is_possible() && txn.is_possible()) {
                            return Err(AppendedTwice { key: txns.key(k), value: txns.value(v) });
                        }
                        if other_txn.is_possible() {
                            lists.writers.insert(pair(k, v), other);
                        }
                    }
                    if let Some(before) = last.insert((t, k), v) {
                        lists.intermediate.insert(pair(k, before));
                    }
                }
                Mop::List(k, Some(range)) if txn.is_possible() => {
                    let longest = lists.longest.entry(k).or_insert(range);
                    if longest.1 - longest.0 < range.1 - range.0 {
                        *longest = range;
                    }
                }
                _ => {}
            }
        }
        for k in lists.keys() {
            let mut order = lists.longest(k).to_vec();
            let mut seen = FxHashSet::default();
            order.retain(|v| seen.insert(*v));
            for (at, v) in (0u32..).zip(order.iter()) {
                lists.positions.insert(pair(k, *v), at);
            }
            lists.orders.insert(k, order);
        }
        Ok(lists)
    }

    /// The keys that were read, ascending.
    fn keys(&self) -> Vec<u32> {
        let mut keys: Vec<u32> = self.longest.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    fn writer(&self, key: u32, value: u32) -> Option<u32> {
        self.writers.get(&pair(key, value)).copied()
    }

    /// The writer, if it may have happened.
    fn possible_writer(&self, key: u32, value: u32) -> Option<u32> {
        self.writer(key, value).filter(|w| self.txns.txns[*w as usize].is_possible())
    }

    /// The value that stands directly before another in the version order. A value that nobody read stands after all
    /// that were read. `None` is the initial state.
    fn before(&self, key: u32, value: u32) -> Option<u32> {
        let order = self.orders.get(&key)?;
        match self.positions.get(&pair(key, value)) {
            Some(at) => at.checked_sub(1).map(|i| order[i as usize]),
            None => order.last().copied(),
        }
    }

    pub(super) fn anomalies(&self, cases: &mut Cases) {
        for (t, txn) in (0u32..).zip(&self.txns.txns) {
            if txn.is_ok() {
                self.internal(txn, cases);
                self.future(txn, cases);
                self.reads(t, txn, cases);
            }
        }
        self.incompatible(cases);
        self.dirty_updates(cases);
        self.lost_updates(cases);
    }

    fn example(&self, key: u32, value: u32, ops: Vec<u64>, sentence: String) -> GeneralExample {
        let (key, value) = (Some(self.txns.key(key)), Some(self.txns.value(value)));
        GeneralExample { sentence, key, value, ops, steps: Vec::new() }
    }

    /// What single lists show: aborted, intermediate and phantom values, and duplicates.
    fn reads(&self, t: u32, txn: &Txn, cases: &mut Cases) {
        let names = self.txns;
        for mop in names.mops(txn) {
            let Mop::List(k, Some(range)) = *mop else { continue };
            let list = names.list(range);
            for v in list {
                match self.writer(k, *v) {
                    None => cases.add("phantom-read", || {
                        let sentence = format!(
                            "Operation {} read {} from key {}, but nobody appended it.",
                            txn.event,
                            names.value(*v),
                            names.key(k)
                        );
                        self.example(k, *v, vec![txn.event], sentence)
                    }),
                    Some(w) if names.txns[w as usize].kind == Kind::Fail => {
                        cases.add("G1a", || {
                            let sentence = format!(
                                "Operation {} read {} from key {}, which operation {} appended before it failed.",
                                txn.event,
                                names.value(*v),
                                names.key(k),
                                names.event(w)
                            );
                            self.example(k, *v, vec![names.event(w), txn.event], sentence)
                        });
                    }
                    Some(_) => {}
                }
            }
            let Some(last) = list.last().copied() else { continue };
            let writer = self.writer(k, last).filter(|w| *w != t);
            if let Some(w) = writer.filter(|_| self.intermediate.contains(&pair(k, last))) {
                cases.add("G1b", || {
                    let sentence = format!(
                        "Operation {} read key {} ending with {}, but operation {} appended more to it in the same transaction.",
                        txn.event,
                        names.key(k),
                        names.value(last),
                        names.event(w)
                    );
                    self.example(k, last, vec![names.event(w), txn.event], sentence)
                });
            }
            let mut seen = FxHashSet::default();
            if let Some(twice) = list.iter().find(|v| !seen.insert(**v)) {
                cases.add("duplicate-elements", || {
                    let sentence = format!(
                        "Operation {} read key {} = {}, which holds {} more than once.",
                        txn.event,
                        names.key(k),
                        names.show(list),
                        names.value(*twice)
                    );
                    self.example(k, *twice, vec![txn.event], sentence)
                });
            }
        }
    }

    /// A read that contradicts the transaction's own earlier reads and appends.
    fn internal(&self, txn: &Txn, cases: &mut Cases) {
        // By key: whether everything before is known, and the values.
        let mut expected: FxHashMap<u32, (bool, Vec<u32>)> = FxHashMap::default();
        for mop in self.txns.mops(txn) {
            match *mop {
                Mop::Append(k, v) => expected.entry(k).or_default().1.push(v),
                Mop::List(k, Some(range)) => {
                    let list = self.txns.list(range);
                    let fits = match expected.get(&k) {
                        None => true,
                        Some((true, whole)) => whole == list,
                        Some((false, tail)) => list.ends_with(tail),
                    };
                    if !fits {
                        let Some((whole, values)) = expected.remove(&k) else { return };
                        cases.add("internal", || {
                            let prefix = if whole { "" } else { "a list that ends with " };
                            let sentence = format!(
                                "Operation {} read key {} = {}, but by its own earlier reads and appends it is {prefix}{}.",
                                txn.event,
                                self.txns.key(k),
                                self.txns.show(list),
                                self.txns.show(&values)
                            );
                            let key = Some(self.txns.key(k));
                            let ops = vec![txn.event];
                            GeneralExample { sentence, key, ops, ..GeneralExample::default() }
                        });
                        return;
                    }
                    expected.insert(k, (true, list.to_vec()));
                }
                _ => {}
            }
        }
    }

    /// A read of a value that the transaction appends only later.
    fn future(&self, txn: &Txn, cases: &mut Cases) {
        let mut seen: FxHashSet<u64> = FxHashSet::default();
        let mops = self.txns.mops(txn);
        if !mops.iter().any(|m| matches!(m, Mop::Append(_, _))) {
            return;
        }
        for mop in mops {
            match *mop {
                Mop::Append(k, v) if seen.contains(&pair(k, v)) => {
                    cases.add("future-read", || {
                        let sentence = format!(
                            "Operation {} read {} from key {} before it appended it.",
                            txn.event,
                            self.txns.value(v),
                            self.txns.key(k)
                        );
                        self.example(k, v, vec![txn.event], sentence)
                    });
                    return;
                }
                Mop::List(k, Some(range)) => {
                    seen.extend(self.txns.list(range).iter().map(|v| pair(k, *v)));
                }
                _ => {}
            }
        }
    }

    fn incompatible(&self, cases: &mut Cases) {
        let mut found: FxHashMap<u32, (u64, (u32, u32))> = FxHashMap::default();
        for (_, txn, mop) in self.txns.each().filter(|(_, t, _)| t.is_possible()) {
            let Mop::List(k, Some(range)) = mop else { continue };
            let (list, longest) = (self.txns.list(range), self.longest(k));
            if !longest.starts_with(list) {
                let known = found.entry(k).or_insert((txn.event, range));
                if list.len() < self.txns.list(known.1).len() {
                    *known = (txn.event, range);
                }
            }
        }
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_unstable_by_key(|(k, _)| *k);
        for (k, (event, range)) in found {
            cases.add("incompatible-order", || {
                let longest = self.longest(k);
                let other = self.reader_of(k, longest);
                let sentence = format!(
                    "Operation {event} read key {} = {}, operation {other} read {}: neither is a prefix of the other.",
                    self.txns.key(k),
                    self.txns.show(self.txns.list(range)),
                    self.txns.show(longest)
                );
                let key = Some(self.txns.key(k));
                let ops = vec![event.min(other), event.max(other)];
                GeneralExample { sentence, key, ops, ..GeneralExample::default() }
            });
        }
    }

    /// The longest list that was read of a key, as it was read.
    fn longest(&self, key: u32) -> &'t [u32] {
        self.longest.get(&key).map(|range| self.txns.list(*range)).unwrap_or_default()
    }

    /// The first transaction that read this list.
    fn reader_of(&self, key: u32, list: &[u32]) -> u64 {
        let reader = self.txns.each().find(|(_, txn, mop)| match mop {
            Mop::List(k, Some(range)) => {
                *k == key && txn.is_possible() && self.txns.list(*range) == list
            }
            _ => false,
        });
        reader.map_or(0, |(_, txn, _)| txn.event)
    }

    fn dirty_updates(&self, cases: &mut Cases) {
        for k in self.keys() {
            // The last transaction whose outcome is known, and the value that it appended.
            let mut dirty: Option<(u32, u32)> = None;
            for v in self.orders.get(&k).map(Vec::as_slice).unwrap_or_default() {
                let Some(w) = self.writer(k, *v) else { continue };
                match self.txns.txns[w as usize].kind {
                    Kind::Fail => dirty = dirty.or(Some((w, *v))),
                    Kind::Ok => {
                        if let Some((failed, value)) = dirty.take() {
                            cases.add("dirty-update", || {
                                let sentence = format!(
                                    "Operation {} appended {} to key {} after {}, which operation {} appended before it failed.",
                                    self.txns.event(w),
                                    self.txns.value(*v),
                                    self.txns.key(k),
                                    self.txns.value(value),
                                    self.txns.event(failed)
                                );
                                let ops = vec![self.txns.event(failed), self.txns.event(w)];
                                self.example(k, *v, ops, sentence)
                            });
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn lost_updates(&self, cases: &mut Cases) {
        let mut groups: FxHashMap<(u32, &[u32]), Vec<u32>> = FxHashMap::default();
        for (t, txn) in (0u32..).zip(&self.txns.txns).filter(|(_, txn)| txn.is_ok()) {
            let mut read: FxHashMap<u32, &[u32]> = FxHashMap::default();
            let mut written: FxHashSet<u32> = FxHashSet::default();
            for mop in self.txns.mops(txn) {
                match *mop {
                    Mop::List(k, Some(range)) => {
                        read.entry(k).or_insert_with(|| self.txns.list(range));
                    }
                    Mop::Append(k, _) if written.insert(k) => {
                        if let Some(list) = read.get(&k) {
                            groups.entry((k, list)).or_default().push(t);
                        }
                    }
                    _ => {}
                }
            }
        }
        let mut groups: Vec<_> = groups.into_iter().filter(|(_, g)| g.len() > 1).collect();
        groups.sort_unstable_by(|a, b| (a.1[0], a.0.0).cmp(&(b.1[0], b.0.0)));
        for ((k, list), group) in groups {
            cases.add("lost-update", || {
                let ops: Vec<u64> = group.iter().map(|t| self.txns.event(*t)).collect();
                let names: Vec<String> = ops.iter().map(ToString::to_string).collect();
                let sentence = format!(
                    "Operations {} all read key {} = {} and then appended to it.",
                    names.join(", "),
                    self.txns.key(k),
                    self.txns.show(list)
                );
                let key = Some(self.txns.key(k));
                GeneralExample { sentence, key, ops, ..GeneralExample::default() }
            });
        }
    }

    /// All dependencies between transactions that may have happened.
    pub(super) fn edges(&self) -> Vec<(u32, u32, Rel)> {
        let mut edges = Vec::new();
        // Who read a list that ends with this value; `None` stands for the empty list.
        let mut readers: FxHashMap<(u32, Option<u32>), Vec<u32>> = FxHashMap::default();
        for (t, txn, mop) in self.txns.each().filter(|(_, txn, _)| txn.is_possible()) {
            let Mop::List(k, Some(range)) = mop else { continue };
            let last = self.txns.list(range).last().copied();
            if last.is_some() || txn.is_ok() {
                readers.entry((k, last)).or_default().push(t);
            }
            if let Some(w) = last.and_then(|v| self.possible_writer(k, v)) {
                edges.push((w, t, Rel::Wr));
            }
        }
        for (t, _, mop) in self.txns.each().filter(|(_, txn, _)| txn.is_possible()) {
            let Mop::Append(k, v) = mop else { continue };
            let before = self.before(k, v);
            if let Some(w) = before.and_then(|v| self.possible_writer(k, v)) {
                edges.push((w, t, Rel::Ww));
            }
            for reader in readers.get(&(k, before)).map(Vec::as_slice).unwrap_or_default() {
                edges.push((*reader, t, Rel::Rw));
            }
        }
        edges
    }

    /// Why there is an edge.
    pub(super) fn explain(&self, rel: Rel, from: u32, to: u32, a: &str, b: &str) -> Reason {
        let names = self.txns;
        let mops = names.mops(&names.txns[to as usize]);
        let found = mops.iter().find_map(|mop| match (rel, *mop) {
            (Rel::Wr, Mop::List(k, Some(range))) => {
                let last = names.list(range).last().copied()?;
                (self.possible_writer(k, last) == Some(from)).then_some((k, Some(last), None))
            }
            (Rel::Ww, Mop::Append(k, v)) => {
                let before = self.before(k, v)?;
                (self.possible_writer(k, before) == Some(from)).then_some((
                    k,
                    Some(before),
                    Some(v),
                ))
            }
            (Rel::Rw, Mop::Append(k, v)) => {
                let before = self.before(k, v);
                let read = names.mops(&names.txns[from as usize]).iter().any(|m| match *m {
                    Mop::List(key, Some(range)) => {
                        key == k && names.list(range).last().copied() == before
                    }
                    _ => false,
                });
                read.then_some((k, before, Some(v)))
            }
            _ => None,
        });
        let Some((k, value, next)) = found else {
            return Reason { text: format!("{b} depends on {a}"), ..Reason::default() };
        };
        let key = names.key(k);
        let show = |v: Option<u32>| v.map(|v| names.value(v));
        let (value, next) = (show(value), show(next));
        let (v, n) = (value.clone().unwrap_or_default(), next.clone().unwrap_or_default());
        let text = match (rel, &value) {
            (Rel::Wr, _) => format!("{b} observed {a}'s append of {v} to key {key}"),
            (Rel::Ww, _) => format!("{b} appended {n} after {a} appended {v} to key {key}"),
            (_, None) => {
                format!("{a} observed the initial state of key {key}, to which {b} appended {n}")
            }
            _ => format!("{a} did not observe {b}'s append of {n} to key {key}"),
        };
        Reason { key: Some(key), value, next, text }
    }
}
