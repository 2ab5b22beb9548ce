//! Members of consumer groups: what they were given, and where they began to read it.

use super::{beside, text, word};
use perjury_history::{F, History, Kind, MopRef, Process, Scalar};
use serde_json::Value;
use std::collections::BTreeMap;

/// A member was given a topic-partition.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    /// The group.
    pub(crate) group: String,
    /// The generation, or the epoch of the group.
    pub(crate) generation: Option<i64>,
    /// The topic-partition.
    pub(crate) key: String,
    /// The member.
    pub(crate) member: String,
    /// The row that says so.
    pub(crate) row: usize,
}

/// The first record that a member read of a topic-partition since it was given it.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    /// Group and topic-partition.
    pub(crate) at: (String, String),
    /// The row before which the member did not have the topic-partition.
    pub(crate) assigned: usize,
    /// The poll that returned the record.
    pub(crate) row: usize,
    /// The record's offset.
    pub(crate) offset: i64,
}

/// A member read on in a topic-partition long after another one had been given it in a later generation.
#[derive(Debug, Clone)]
pub(crate) struct Overlap {
    /// The assignment to the other one, as a position among all.
    pub(crate) assignment: usize,
    /// The member that read on.
    pub(crate) member: String,
    /// Its generation.
    pub(crate) generation: i64,
    /// The poll.
    pub(crate) row: usize,
}

/// How long a member that was cut off may take to notice, in nanoseconds: it gives up by itself when its session ends,
/// which is when its group gives what it had to another one.
const NOTICE: i64 = 3_000_000_000;

#[derive(Debug, Default)]
struct Member {
    group: String,
    /// The topic-partitions that it has, each with the generation.
    owned: BTreeMap<String, Option<i64>>,
    /// Topic-partitions that were assigned and of which nothing was read yet, with the row before that.
    waiting: BTreeMap<String, usize>,
}

/// Follows all members through the history.
#[derive(Debug, Default)]
pub(super) struct Members {
    by_process: BTreeMap<u32, Member>,
    pub(super) assignments: Vec<Assignment>,
    pub(super) starts: Vec<Start>,
    pub(super) overlaps: Vec<Overlap>,
    /// By group and topic-partition the assignment of the highest generation, as a position among all.
    newest: BTreeMap<(String, String), usize>,
}

fn client(history: &History, row: usize) -> Option<u32> {
    match history.process(row) {
        Some(Process::Client(process)) => Some(process),
        _ => None,
    }
}

impl Members {
    /// The group for which the operation at `row` speaks.
    pub(super) fn group(&self, history: &History, row: usize) -> String {
        if let Some(group) = text(history, row, "group") {
            return group.to_owned();
        }
        let member = client(history, row).and_then(|process| self.by_process.get(&process));
        member.map_or_else(String::new, |member| member.group.clone())
    }

    /// The member for which the operation at `row` speaks.
    pub(super) fn name(history: &History, row: usize) -> String {
        let process = || client(history, row).map_or_else(String::new, |p| p.to_string());
        beside(history, row, "member").map_or_else(process, word)
    }

    /// A completed assign or subscribe: what was waited for does not come from the group any more.
    pub(super) fn subscribed(&mut self, history: &History, row: usize) {
        let Some(process) = client(history, row) else { return };
        let group = text(history, row, "group").map(str::to_owned);
        let member = self.by_process.entry(process).or_default();
        member.waiting.clear();
        if *history.f(row) == F::Assign {
            member.owned.clear();
        }
        if let Some(group) = group {
            member.group = group;
        }
    }

    /// Topic-partitions were assigned to the member or taken from it.
    pub(super) fn event(&mut self, history: &History, row: usize, what: &str, keys: Vec<String>) {
        let generation = beside(history, row, "generation").and_then(Value::as_i64);
        self.change(history, row, what, keys, generation);
    }

    fn change(
        &mut self,
        history: &History,
        row: usize,
        what: &str,
        keys: Vec<String>,
        generation: Option<i64>,
    ) {
        let Some(process) = client(history, row) else { return };
        let group = self.group(history, row);
        let name = Self::name(history, row);
        let member = self.by_process.entry(process).or_default();
        member.group.clone_from(&group);
        let assigned = history.pair(row).unwrap_or(row);
        for key in keys {
            if what != "assigned" {
                member.owned.remove(&key);
                member.waiting.remove(&key);
                continue;
            }
            if member.owned.insert(key.clone(), generation).is_none() {
                member.waiting.insert(key.clone(), assigned);
            }
            let newest = self.newest.entry((group.clone(), key.clone())).or_insert(usize::MAX);
            if self.assignments.get(*newest).is_none_or(|a| a.generation <= generation) {
                *newest = self.assignments.len();
            }
            let (group, member) = (group.clone(), name.clone());
            self.assignments.push(Assignment { group, generation, key, member, row });
        }
    }

    /// A poll that is ok returned records of this topic-partition: is it somebody else's by now?
    fn read(&mut self, history: &History, process: u32, row: usize, key: &str) {
        let Some(member) = self.by_process.get(&process) else { return };
        let Some(&Some(generation)) = member.owned.get(key) else { return };
        let at = (member.group.clone(), key.to_owned());
        let Some(&assignment) = self.newest.get(&at) else { return };
        let newest = &self.assignments[assignment];
        let name = Self::name(history, row);
        if newest.generation <= Some(generation) || newest.member == name {
            return;
        }
        let invoked = history.pair(row).and_then(|row| history.time(row));
        if let (Some(invoked), Some(given)) = (invoked, history.time(newest.row))
            && invoked - given > NOTICE
        {
            self.overlaps.push(Overlap { assignment, member: name, generation, row });
        }
    }

    /// A completed send, poll or txn: its rebalances, then what it read.
    ///
    /// A poll within which a topic-partition moved may have read before and after, so it begins nothing unless the member
    /// did not have the topic-partition before. One that is not ok may be repeated from where it began.
    pub(super) fn operation(&mut self, history: &History, row: usize) {
        let Some(process) = client(history, row) else { return };
        let before = self.by_process.get(&process).map(|m| m.owned.clone()).unwrap_or_default();
        let mut moved: BTreeMap<String, u32> = BTreeMap::new();
        for entry in rebalances(history, row) {
            let what = ["type", "event"].iter().find_map(|n| entry.get(*n)).and_then(Value::as_str);
            let what = what.unwrap_or("revoked").trim_start_matches(':').to_owned();
            let keys = entry.get("keys").and_then(Value::as_array);
            let keys: Vec<String> = keys.into_iter().flatten().map(word).collect();
            keys.iter().for_each(|key| *moved.entry(key.clone()).or_default() += 1);
            self.change(history, row, &what, keys, entry.get("generation").and_then(Value::as_i64));
        }
        if moved.is_empty() && history.kind(row) == Kind::Ok && !before.is_empty() {
            for mop in history.mops(row) {
                let MopRef::Poll(Some(poll)) = mop else { continue };
                for group in poll.groups().filter(|g| !g.is_empty()) {
                    self.read(history, process, row, &history.key(group.key).to_string());
                }
            }
        }
        let Some(member) = self.by_process.get_mut(&process) else { return };
        if member.waiting.is_empty() {
            return;
        }
        if history.kind(row) != Kind::Ok {
            member.waiting.clear();
            return;
        }
        let clear = |key: &String| match moved.get(key) {
            None => true,
            Some(times) => *times == 1 && !before.contains_key(key),
        };
        for mop in history.mops(row) {
            let MopRef::Poll(Some(poll)) = mop else { continue };
            for group in poll.groups().filter(|g| !g.is_empty()) {
                let key = Scalar::to_string(history.key(group.key));
                let Some(assigned) = member.waiting.remove(&key) else { continue };
                if let Some(offset) = group.offset(0).filter(|_| clear(&key)) {
                    let at = (member.group.clone(), key);
                    self.starts.push(Start { at, assigned, row, offset });
                }
            }
        }
    }
}

/// The entries of the operation's rebalance log.
fn rebalances(history: &History, row: usize) -> impl Iterator<Item = &Value> {
    let log = history.extra(row).and_then(|extra| {
        ["rebalance_log", "rebalance-log"].iter().find_map(|name| extra.ext.get(*name))
    });
    log.and_then(Value::as_array).into_iter().flatten()
}
