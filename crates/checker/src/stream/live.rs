//! The bounded state of a verdict that runs along.

use super::clients::{Client, Open, Stand};
use super::keys::Keys;
use super::rules::Rules;
use crate::options::Options;
use perjury_history::{Event, F, Header, Kind, Mop, Payload, PolledKey, Process, Scalar};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Bounds of a [`Live`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveOptions {
    /// How many values are remembered, over all topic-partitions; about 200 bytes each. What is older is not judged any
    /// more: violations may be missed then, and none is made up.
    pub window: usize,
    /// How many violations are listed; all are counted.
    pub listed_max: usize,
}

impl Default for LiveOptions {
    fn default() -> Self {
        LiveOptions { window: 262_144, listed_max: 256 }
    }
}

/// A violation that no later event can undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LiveViolation {
    /// The anomaly's name.
    pub anomaly: &'static str,
    /// The index of the event with which it became definite.
    pub event: u64,
    /// The events that prove it, ascending.
    pub ops: Vec<u64>,
    /// The topic-partition.
    pub key: String,
    /// The offset, where there is one.
    pub offset: Option<i64>,
    /// The value.
    pub value: Option<Scalar>,
    /// The proof in a sentence.
    pub sentence: String,
}

/// How the run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Status {
    /// Events taken in.
    pub events: u64,
    /// Topic-partitions seen.
    pub keys: usize,
    /// Acknowledged sends.
    pub acknowledged: u64,
    /// Acknowledged values that no ok operation has read yet.
    pub unread: u64,
    /// Those of them that ok reads of their topic-partition went past. What is left of them at the end is lost.
    pub passed_over: u64,
    /// Violations so far.
    pub violations: u64,
    /// Values remembered.
    pub remembered: usize,
}

/// A verdict that runs along in bounded memory. See the module's text for what it can say.
#[derive(Debug)]
pub struct Live {
    rules: Rules,
    options: LiveOptions,
    pub(super) keys: Keys,
    clients: FxHashMap<u32, Client>,
    has_invocations: bool,
    at: u64,
    status: Status,
    counts: BTreeMap<&'static str, u64>,
    listed: Vec<LiveViolation>,
}

/// The first and the last offset that one operation handled of a topic-partition; nothing for one that is not known, or
/// lies where things were forgotten.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: Option<i64>,
    last: Option<i64>,
}

/// Notes the next offset, and gives the one before.
fn go_on(runs: &mut BTreeMap<usize, Run>, n: usize, offset: Option<i64>) -> Option<i64> {
    match runs.get_mut(&n) {
        Some(run) => std::mem::replace(&mut run.last, offset),
        None => {
            runs.insert(n, Run { first: offset, last: offset });
            None
        }
    }
}

impl Live {
    /// Nothing seen yet. What counts as a violation follows from the header's configuration and the options.
    pub fn new(header: &Header, options: &Options, bounds: LiveOptions) -> Self {
        Live {
            rules: Rules::new(header, options),
            options: bounds,
            keys: Keys::new(bounds.window),
            clients: FxHashMap::default(),
            has_invocations: false,
            at: 0,
            status: Status::default(),
            counts: BTreeMap::new(),
            listed: Vec::new(),
        }
    }

    /// The violations so far, in the order in which they became definite, as many as the bounds allow.
    pub fn violations(&self) -> &[LiveViolation] {
        &self.listed
    }

    /// How many violations of each name there are so far.
    pub fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    /// How the run stands.
    pub fn status(&self) -> Status {
        Status {
            events: self.at,
            keys: self.keys.len(),
            remembered: self.keys.remembered(),
            ..self.status
        }
    }

    /// Takes in the next event. Its position is its index.
    pub fn push(&mut self, event: &Event) {
        let process = match event.process {
            Some(Process::Client(process)) => Some(process),
            None => None,
            Some(_) => return self.at += 1,
        };
        match (event.kind, &event.f) {
            (Kind::Invoke, f) => self.invoked(process, f, event),
            (_, F::Send | F::Poll | F::Txn) => self.completed(process, event),
            (_, F::Assign | F::Subscribe) => self.assigned(process, event),
            _ => {}
        }
        if let Some(process) = process.filter(|_| event.kind != Kind::Invoke) {
            if event.kind == Kind::Info {
                self.clients.remove(&process);
            } else if let Some(client) = self.clients.get_mut(&process) {
                client.open = None;
            }
        }
        self.keys.forget();
        self.at += 1;
    }

    pub(super) fn violate(
        &mut self,
        anomaly: &'static str,
        mut ops: Vec<u64>,
        (key, offset, value): (usize, Option<i64>, Option<&Scalar>),
        sentence: String,
    ) {
        if !self.rules.is_violation(anomaly) {
            return;
        }
        *self.counts.entry(anomaly).or_default() += 1;
        self.status.violations += 1;
        if self.listed.len() >= self.options.listed_max {
            return;
        }
        ops.sort_unstable();
        ops.dedup();
        self.listed.push(LiveViolation {
            anomaly,
            event: self.at,
            ops,
            key: self.keys.name(key).to_string(),
            offset,
            value: value.cloned(),
            sentence,
        });
    }

    fn invoked(&mut self, process: Option<u32>, f: &F, event: &Event) {
        self.has_invocations = true;
        let mut above = Vec::new();
        if let (F::Send | F::Txn, Payload::Mops(mops)) = (f, &event.value) {
            for mop in mops {
                let Mop::Send { key, value, .. } = mop else { continue };
                let n = self.keys.number(key);
                let at = self.at;
                let known = self.keys.value(n, value);
                known.again |= known.sent.is_some();
                known.sent.get_or_insert(at);
                if let Some((offset, event)) = self.keys.get(n).highest {
                    above.push((n, offset, event));
                }
            }
        }
        if let Some(process) = process {
            let client = self.clients.entry(process).or_default();
            client.open = Some(Open { event: self.at, f: f.clone(), above });
        }
    }

    fn completed(&mut self, process: Option<u32>, event: &Event) {
        let Payload::Mops(mops) = &event.value else { return };
        let open = process.and_then(|p| self.clients.get_mut(&p)?.open.take());
        let open = open.filter(|open| open.f == event.f);
        let writes = matches!(event.f, F::Send | F::Txn);
        let reads = matches!(event.f, F::Poll | F::Txn);
        let moved = rebalanced(event);
        let mut sent: BTreeMap<usize, Run> = BTreeMap::new();
        let mut polled: BTreeMap<usize, Run> = BTreeMap::new();
        let mut own: FxHashSet<(usize, &Scalar)> = FxHashSet::default();
        for mop in mops {
            match mop {
                Mop::Send { key, value, offset } if writes => {
                    let n = self.keys.number(key);
                    own.insert((n, value));
                    self.sent(event, open.as_ref(), n, value, offset.flatten(), &mut sent);
                }
                Mop::Poll(Some(groups)) if reads => {
                    for group in groups {
                        self.polled(event, group, &moved, &mut polled);
                    }
                }
                _ => {}
            }
        }
        if event.f == F::Txn && !own.is_empty() {
            self.own_reads(mops, &own);
        }
        if let Some(process) = process {
            self.follow(process, event, &moved, &sent, &polled);
        }
    }

    fn sent(
        &mut self,
        event: &Event,
        open: Option<&Open>,
        n: usize,
        value: &Scalar,
        offset: Option<i64>,
        runs: &mut BTreeMap<usize, Run>,
    ) {
        let at = self.at;
        let known = self.keys.value(n, value);
        // The same operation's invocation is no second send.
        known.again |= open.is_none() && known.sent.is_some();
        known.sent.get_or_insert(open.map_or(at, |open| open.event));
        let (read, again) = (known.read, known.again);
        match event.kind {
            Kind::Ok => {
                known.acknowledged = Some(at);
                self.status.acknowledged += 1;
                self.status.unread += u64::from(read.is_none());
            }
            Kind::Fail => {
                known.failed = Some(at);
                if let Some(read) = read.filter(|_| !again) {
                    self.aborted(n, value, read, at);
                }
            }
            Kind::Info | Kind::Invoke => {}
        }
        let before = match event.kind {
            Kind::Fail => None,
            _ => go_on(runs, n, offset),
        };
        let Some(offset) = offset else { return };
        if event.kind == Kind::Ok {
            self.place(n, offset, value, false);
            if let Some(above) = open.and_then(|o| o.above.iter().find(|(key, ..)| *key == n)) {
                self.real_time(n, value, offset, (above.1, above.2), again);
            }
            let durable = self.rules.is_durable(event);
            let key = self.keys.get_mut(n);
            if durable && key.highest.is_none_or(|(highest, _)| highest < offset) {
                key.highest = Some((offset, at));
            }
        }
        if let Some(before) = before.filter(|before| offset <= *before) {
            self.sends_back("int-nonmonotonic-send", n, (at, before), (value, offset));
        }
    }

    fn polled(
        &mut self,
        event: &Event,
        (key, records): &PolledKey,
        moved: &FxHashSet<String>,
        runs: &mut BTreeMap<usize, Run>,
    ) {
        let n = self.keys.number(key);
        let is_moved = !moved.is_empty() && moved.contains(&key.to_string());
        for record in records {
            let offset = record.offset.filter(|offset| !self.keys.get(n).is_forgotten(*offset));
            let before = go_on(runs, n, offset);
            let Some(offset) = offset else { continue };
            self.record(n, event.kind == Kind::Ok, record);
            if let Some(before) = before.filter(|_| !is_moved) {
                let names = ["int-poll-skip", "int-nonmonotonic-poll"];
                self.step(names, n, (self.at, before), (&record.value, offset));
            }
        }
    }

    /// Compares the operation with the process's last ones, and moves the process on.
    fn follow(
        &mut self,
        process: u32,
        event: &Event,
        moved: &FxHashSet<String>,
        sent: &BTreeMap<usize, Run>,
        polled: &BTreeMap<usize, Run>,
    ) {
        let mut client = self.clients.remove(&process).unwrap_or_default();
        let is_ok = event.kind == Kind::Ok;
        let stand = |at: u64, run: &Run| run.last.map(|offset| Stand { event: at, offset, is_ok });
        for (n, run) in polled {
            let still = moved.is_empty() || !moved.contains(&self.keys.name(*n).to_string());
            let before = client.polls.get(n).copied().filter(|_| still && self.rules.assigned);
            if let (Some(before), Some((value, offset))) = (before, self.first(*n, run)) {
                let names = ["poll-skip", "nonmonotonic-poll"];
                self.step(names, *n, (before.event, before.offset), (&value, offset));
            }
            match stand(self.at, run).filter(|_| is_ok) {
                Some(stand) => drop(client.polls.insert(*n, stand)),
                None if is_ok => drop(client.polls.remove(n)),
                None => {}
            }
        }
        for (n, run) in sent {
            let before = client.sends.remove(n).filter(|before| before.is_ok);
            client.sends.extend(stand(self.at, run).map(|stand| (*n, stand)));
            if let (Some(before), Some((value, offset))) = (before, self.first(*n, run))
                && offset <= before.offset
            {
                let from = (before.event, before.offset);
                self.sends_back("nonmonotonic-send", *n, from, (&value, offset));
            }
        }
        self.clients.insert(process, client);
    }

    /// The first value that an operation handled, with its offset.
    fn first(&self, n: usize, run: &Run) -> Option<(Scalar, i64)> {
        let offset = run.first?;
        Some((self.keys.get(n).places.get(offset)?.value.clone(), offset))
    }

    /// A completed assign or subscribe: the process keeps its place only in the topic-partitions that it names, and only
    /// if it was not sent elsewhere.
    fn assigned(&mut self, process: Option<u32>, event: &Event) {
        let (Some(process), false) = (process, event.kind == Kind::Fail) else { return };
        let keys = match &event.value {
            Payload::Keys(keys) => keys.as_slice(),
            _ => &[],
        };
        let named: FxHashSet<usize> = keys.iter().map(|key| self.keys.number(key)).collect();
        let names = ["seek_to_beginning", "seek-to-beginning?", "seek-to-beginning"];
        let sought = names.iter().any(|n| event.ext.contains_key(*n));
        let Some(client) = self.clients.get_mut(&process) else { return };
        client.polls.retain(|n, _| named.contains(n) && !sought);
        client.sends.retain(|n, _| named.contains(n));
    }

    pub(super) fn has_invocations(&self) -> bool {
        self.has_invocations
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn status_mut(&mut self) -> &mut Status {
        &mut self.status
    }
}

/// The topic-partitions that the operation's rebalance log names.
fn rebalanced(event: &Event) -> FxHashSet<String> {
    let log = ["rebalance_log", "rebalance-log"].iter().find_map(|name| event.ext.get(*name));
    let entries = log.and_then(Value::as_array).into_iter().flatten();
    let keys = entries.filter_map(|entry| entry.get("keys")?.as_array()).flatten();
    keys.map(crate::observed::word).collect()
}
