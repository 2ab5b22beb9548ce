//! The definitions of the Kafka anomalies, word for word and slow: what the simulator's truth is measured against.

use perjury_history::{F, History, KeyId, Kind, MopRef, Process, Scalar};
use std::collections::{BTreeMap, BTreeSet};

type Key = u32;
type Value = i64;

/// A completion with micro-operations, or an invocation that never completed is left out.
#[derive(Debug, Clone)]
struct Op {
    row: usize,
    invoked: usize,
    process: u32,
    kind: Kind,
    sends: Vec<(Key, Value, Option<i64>)>,
    reads: BTreeMap<Key, Vec<(Option<i64>, Value)>>,
    rebalanced: BTreeSet<Key>,
    /// Set for assign and subscribe.
    keeps: Option<BTreeSet<Key>>,
}

pub(crate) type Found = BTreeMap<&'static str, u64>;

fn ops(history: &History) -> Vec<Op> {
    let mut ops = Vec::new();
    for row in 0..history.len() {
        let Some(Process::Client(process)) = history.process(row) else { continue };
        if history.kind(row) == Kind::Invoke {
            continue;
        }
        let mut op = Op {
            row,
            invoked: history.pair(row).expect("completions are paired"),
            process,
            kind: history.kind(row),
            sends: Vec::new(),
            reads: BTreeMap::new(),
            rebalanced: BTreeSet::new(),
            keeps: None,
        };
        for mop in history.mops(row) {
            match mop {
                MopRef::Send { key, value, offset, .. } => op.sends.push((key.0, value.0, offset)),
                MopRef::Poll(None) => {}
                MopRef::Poll(Some(poll)) => {
                    for group in poll.groups() {
                        let reads = op.reads.entry(group.key.0).or_default();
                        reads.extend(group.iter().map(|(o, v)| (o, v.0)));
                    }
                }
            }
        }
        let key_set = |keys: &[Scalar]| {
            keys.iter().filter_map(|k| history.key_id(k)).map(|KeyId(k)| k).collect()
        };
        if matches!(history.f(row), F::Assign | F::Subscribe) {
            op.keeps = history.keys_of(row).map(key_set);
        }
        if let Some(log) = history.extra(row).and_then(|e| e.ext.get("rebalance_log")) {
            for entry in log.as_array().expect("a list") {
                let keys = entry["keys"].as_array().expect("a list").iter();
                let keys: Vec<Scalar> =
                    keys.map(|k| serde_json::from_value(k.clone()).expect("a key")).collect();
                op.rebalanced.extend::<BTreeSet<Key>>(key_set(&keys));
            }
        }
        ops.push(op);
    }
    ops
}

struct Index {
    ops: Vec<Op>,
    /// key → offset → values.
    logs: BTreeMap<Key, BTreeMap<i64, BTreeSet<Value>>>,
    /// key → value → index.
    by_value: BTreeMap<Key, BTreeMap<Value, i64>>,
    ok_reads: BTreeSet<(Key, Value)>,
    committed: Vec<bool>,
    /// Everything that was ever asked to be sent.
    invoked: BTreeSet<(Key, Value)>,
}

impl Index {
    fn new(history: &History) -> Index {
        let ops = ops(history);
        let ok_reads: BTreeSet<(Key, Value)> =
            ops.iter().filter(|o| o.kind == Kind::Ok).flat_map(pairs).collect();
        let committed: Vec<bool> = ops
            .iter()
            .map(|o| match o.kind {
                Kind::Ok => true,
                Kind::Info => o.sends.iter().any(|(k, v, _)| ok_reads.contains(&(*k, *v))),
                _ => false,
            })
            .collect();
        let mut logs: BTreeMap<Key, BTreeMap<i64, BTreeSet<Value>>> = BTreeMap::new();
        for (op, committed) in ops.iter().zip(&committed) {
            let sends = op.sends.iter().filter(|_| *committed);
            let sends = sends.map(|(k, v, o)| (*k, *o, *v));
            let reads =
                op.reads.iter().flat_map(|(k, reads)| reads.iter().map(|(o, v)| (*k, *o, *v)));
            for (key, offset, value) in sends.chain(reads) {
                if let Some(offset) = offset {
                    logs.entry(key).or_default().entry(offset).or_default().insert(value);
                }
            }
        }
        let by_value = logs
            .iter()
            .map(|(key, log)| {
                // One value stands for each offset: the least; a value at several has its highest index.
                let chosen = log.values().map(|values| *values.first().expect("no empty set"));
                (*key, chosen.zip(0..).collect())
            })
            .collect();
        let mut invoked = BTreeSet::new();
        for row in 0..history.len() {
            for mop in history.mops(row) {
                if let MopRef::Send { key, value, .. } = mop {
                    invoked.insert((key.0, value.0));
                }
            }
        }
        Index { ops, logs, by_value, ok_reads, committed, invoked }
    }

    fn delta(&self, key: Key, from: Value, to: Value) -> i64 {
        let index = |v| self.by_value.get(&key)?.get(&v).copied();
        match (index(from), index(to)) {
            (Some(from), Some(to)) => to - from,
            _ => 1,
        }
    }
}

fn pairs(op: &Op) -> impl Iterator<Item = (Key, Value)> + '_ {
    op.reads.iter().flat_map(|(k, reads)| reads.iter().map(|(_, v)| (*k, *v)))
}

fn count(found: &mut Found, name: &'static str, n: usize) {
    if n > 0 {
        *found.entry(name).or_default() += n as u64;
    }
}

/// All anomalies of a history with their numbers. With `ww`, writes that follow each other are ordered as well.
pub(crate) fn check(history: &History, ww: bool) -> Found {
    let index = Index::new(history);
    let mut found = Found::new();
    offsets(&index, &mut found);
    lost(&index, &mut found);
    reads(&index, &mut found);
    internal(&index, &mut found);
    external_polls(&index, &mut found);
    external_sends(&index, &mut found);
    unseen(&index, &mut found);
    cycles(&index, ww, &mut found);
    found
}

fn offsets(index: &Index, found: &mut Found) {
    for log in index.logs.values() {
        let mut places: BTreeMap<Value, usize> = BTreeMap::new();
        log.values().flatten().for_each(|v| *places.entry(*v).or_default() += 1);
        count(found, "duplicate", places.values().filter(|n| **n > 1).count());
        count(found, "inconsistent-offsets", log.values().filter(|vs| vs.len() > 1).count());
    }
}

fn lost(index: &Index, found: &mut Found) {
    for (key, log) in &index.logs {
        let mut first: BTreeMap<Value, i64> = BTreeMap::new();
        let mut last: BTreeMap<Value, i64> = BTreeMap::new();
        for (i, values) in (0..).zip(log.values()) {
            for v in values {
                first.entry(*v).or_insert(i);
                last.insert(*v, i);
            }
        }
        let read = |v: &Value| index.ok_reads.contains(&(*key, *v));
        let bound = first.iter().filter(|(v, _)| read(v)).map(|(_, i)| *i).max().unwrap_or(-1);
        let must = last.iter().filter(|(v, i)| **i <= bound && !read(v));
        let written = |v: &Value| {
            let wrote = |o: &&(Op, bool)| o.0.sends.iter().any(|(k, w, _)| k == key && w == v);
            let ops: Vec<(Op, bool)> =
                index.ops.iter().cloned().zip(index.committed.iter().copied()).collect();
            ops.iter().rev().find(wrote).is_some_and(|(_, committed)| *committed)
        };
        count(found, "lost-write", must.filter(|(v, _)| written(v)).count());
    }
}

fn reads(index: &Index, found: &mut Found) {
    let failed: BTreeSet<(Key, Value)> = index
        .ops
        .iter()
        .filter(|o| o.kind == Kind::Fail)
        .flat_map(|o| o.sends.iter().map(|(k, v, _)| (*k, *v)))
        .collect();
    for op in &index.ops {
        if op.kind == Kind::Ok {
            count(found, "G1a", pairs(op).filter(|p| failed.contains(p)).count());
        }
        let own = |(k, v): (Key, Value)| op.sends.iter().any(|(k2, v2, _)| (*k2, *v2) == (k, v));
        count(found, "precommitted-read", usize::from(pairs(op).any(own)));
        count(found, "no-writer", pairs(op).filter(|p| !index.invoked.contains(p)).count());
    }
}

fn internal(index: &Index, found: &mut Found) {
    for op in &index.ops {
        for (key, reads) in &op.reads {
            if op.rebalanced.contains(key) {
                continue;
            }
            for pair in reads.windows(2) {
                let delta = index.delta(*key, pair[0].1, pair[1].1);
                count(found, "int-poll-skip", usize::from(delta > 1));
                count(found, "int-nonmonotonic-poll", usize::from(delta < 1));
            }
        }
        let mut last: BTreeMap<Key, Value> = BTreeMap::new();
        for (key, value, _) in &op.sends {
            if let Some(before) = last.insert(*key, *value) {
                let delta = index.delta(*key, before, *value);
                count(found, "int-send-skip", usize::from(delta > 1));
                count(found, "int-nonmonotonic-send", usize::from(delta < 1));
            }
        }
    }
}

fn external_polls(index: &Index, found: &mut Found) {
    let mut memory: BTreeMap<(u32, Key), Value> = BTreeMap::new();
    for op in &index.ops {
        if let Some(keeps) = &op.keeps {
            if matches!(op.kind, Kind::Ok | Kind::Info) {
                memory.retain(|(p, k), _| *p != op.process || keeps.contains(k));
            }
            continue;
        }
        for (key, reads) in &op.reads {
            let (Some(first), Some(last)) = (reads.first(), reads.last()) else { continue };
            if let Some(before) = memory.get(&(op.process, *key)) {
                let delta = index.delta(*key, *before, first.1);
                count(found, "poll-skip", usize::from(delta > 1));
                count(found, "nonmonotonic-poll", usize::from(delta < 1));
            }
            if op.kind == Kind::Ok {
                memory.insert((op.process, *key), last.1);
            }
        }
    }
}

fn external_sends(index: &Index, found: &mut Found) {
    let mut memory: BTreeMap<(u32, Key), Value> = BTreeMap::new();
    for op in index.ops.iter().filter(|o| matches!(o.kind, Kind::Ok | Kind::Info)) {
        if let Some(keeps) = &op.keeps {
            memory.retain(|(p, k), _| *p != op.process || keeps.contains(k));
            continue;
        }
        let mut seen: BTreeSet<Key> = BTreeSet::new();
        for (key, value, _) in &op.sends {
            if seen.insert(*key)
                && let Some(before) = memory.get(&(op.process, *key))
            {
                let delta = index.delta(*key, *before, *value);
                count(found, "nonmonotonic-send", usize::from(delta < 1));
            }
        }
        memory.extend(op.sends.iter().map(|(k, v, _)| ((op.process, *k), *v)));
    }
}

fn unseen(index: &Index, found: &mut Found) {
    let acked: BTreeSet<(Key, Value)> = index
        .ops
        .iter()
        .filter(|o| o.kind == Kind::Ok)
        .flat_map(|o| o.sends.iter().map(|(k, v, _)| (*k, *v)))
        .collect();
    count(found, "unseen", acked.difference(&index.ok_reads).count());
}

/// Whether there is a cycle, and whether one goes through a given kind of edge: by reachability, edge by edge.
fn cycles(index: &Index, ww: bool, found: &mut Found) {
    let n = index.ops.len();
    let mut writer: BTreeMap<(Key, Value), usize> = BTreeMap::new();
    for (i, op) in index.ops.iter().enumerate() {
        writer.extend(op.sends.iter().map(|(k, v, _)| ((*k, *v), i)));
    }
    let mut data: Vec<Vec<(usize, bool)>> = vec![Vec::new(); n];
    for (i, op) in index.ops.iter().enumerate() {
        for pair in pairs(op) {
            if let Some(w) = writer.get(&pair).filter(|w| **w != i) {
                data[*w].push((i, true));
            }
        }
    }
    if ww {
        for (key, order) in &index.by_value {
            let mut order: Vec<(i64, Value)> = order.iter().map(|(v, i)| (*i, *v)).collect();
            order.sort_unstable();
            for pair in order.windows(2) {
                let ends = (writer.get(&(*key, pair[0].1)), writer.get(&(*key, pair[1].1)));
                if let (Some(a), Some(b)) = ends
                    && a != b
                    && pair[1].0 == pair[0].0 + 1
                {
                    data[*a].push((*b, false));
                }
            }
        }
    }
    let g1c = cyclic(n, |i, visit| data[i].iter().for_each(|(j, _)| visit(*j)));
    let g0 = cyclic(n, |i, visit| {
        data[i].iter().filter(|(_, wr)| !wr).for_each(|(j, _)| visit(*j));
    });
    let real = |i: usize, visit: &mut dyn FnMut(usize)| {
        data[i].iter().for_each(|(j, _)| visit(*j));
        if index.ops[i].kind == Kind::Ok || index.ops[i].kind == Kind::Fail {
            let after = |j: &usize| index.ops[*j].invoked > index.ops[i].row;
            (0..n).filter(after).for_each(visit);
        }
    };
    count(found, "G0", usize::from(g0));
    if g1c && !g0 {
        count(found, "G1c", 1);
    } else if !g1c && cyclic(n, real) {
        count(found, "G1c-realtime", 1);
    }
}

fn cyclic(n: usize, edges: impl Fn(usize, &mut dyn FnMut(usize))) -> bool {
    let mut degree = vec![0usize; n];
    (0..n).for_each(|i| edges(i, &mut |j| degree[j] += 1));
    let mut free: Vec<usize> = (0..n).filter(|i| degree[*i] == 0).collect();
    let mut removed = 0;
    while let Some(i) = free.pop() {
        removed += 1;
        edges(i, &mut |j| {
            degree[j] -= 1;
            if degree[j] == 0 {
                free.push(j);
            }
        });
    }
    removed < n
}
