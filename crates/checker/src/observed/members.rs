//! Members of consumer groups: what they were given, and where they began to read it.

use super::{beside, text, word};
use perjury_history::{F, History, Kind, MopRef, Process, Scalar};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

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

#[derive(Debug, Default)]
struct Member {
    group: String,
    owned: BTreeSet<String>,
    /// Topic-partitions that were assigned and of which nothing was read yet, with the row before that.
    waiting: BTreeMap<String, usize>,
}

/// Follows all members through the history.
#[derive(Debug, Default)]
pub(super) struct Members {
    by_process: BTreeMap<u32, Member>,
    pub(super) assignments: Vec<Assignment>,
    pub(super) starts: Vec<Start>,
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
            if member.owned.insert(key.clone()) {
                member.waiting.insert(key.clone(), assigned);
            }
            let (group, member) = (group.clone(), name.clone());
            self.assignments.push(Assignment { group, generation, key, member, row });
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
            Some(times) => *times == 1 && !before.contains(key),
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
