//! What clients say of groups, transactional ids and the ends of logs: everything that is neither a send nor a poll.
//! `perjury_history::event` says which rows these are.

mod commits;
mod members;

pub(crate) use commits::Commits;
pub(crate) use members::{Assignment, Overlap, Start};

use crate::index::is_client;
use members::Members;
use perjury_history::{F, History, Kind, Payload, Process, Scalar};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One answer about the end of a topic-partition.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    /// The topic-partition.
    pub(crate) key: String,
    /// The row of the invocation.
    pub(crate) invoked: usize,
    /// The row of the answer.
    pub(crate) row: usize,
    /// Who asked.
    pub(crate) process: Option<u32>,
    /// End offset, high watermark, last stable offset and leader epoch, as far as they were told.
    pub(crate) figures: [Option<i64>; 4],
}

/// The names of [`Ends::figures`] in words.
pub(crate) const FIGURES: [&str; 4] =
    ["end offset", "high watermark", "last stable offset", "leader epoch"];
/// The place of the high watermark in [`Ends::figures`].
pub(crate) const HIGH_WATERMARK: usize = 1;
/// The place of the last stable offset in [`Ends::figures`].
pub(crate) const LAST_STABLE: usize = 2;
/// The place of the leader epoch in [`Ends::figures`].
pub(crate) const LEADER_EPOCH: usize = 3;

/// One answer about a committed offset.
#[derive(Debug, Clone)]
pub(crate) struct Committed {
    /// Group and topic-partition.
    pub(crate) at: (String, String),
    /// The row of the invocation.
    pub(crate) invoked: usize,
    /// The row of the answer.
    pub(crate) row: usize,
    /// The offset; nothing if none was committed.
    pub(crate) offset: Option<i64>,
}

/// A commit that was accepted in some member's name.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// Group and topic-partition.
    pub(crate) at: (String, String),
    /// The member.
    pub(crate) member: String,
    /// The generation, or the member's epoch.
    pub(crate) generation: i64,
    /// The row of the invocation.
    pub(crate) invoked: usize,
    /// The row of the ok completion.
    pub(crate) row: usize,
    /// The offset.
    pub(crate) offset: i64,
}

/// Records of a topic-partition were deleted.
#[derive(Debug, Clone)]
pub(crate) struct Deletion {
    /// The topic-partition.
    pub(crate) key: String,
    /// All records below this offset.
    pub(crate) below: i64,
    /// The row of the ok completion.
    pub(crate) row: usize,
}

/// A process took over a transactional id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Init {
    /// Who.
    pub(crate) process: u32,
    /// The row of the invocation.
    pub(crate) invoked: usize,
    /// The row of the ok completion.
    pub(crate) row: usize,
}

/// All of it, in the order of the history.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// Answers about ends.
    pub(crate) ends: Vec<Ends>,
    /// Offsets committed, by group and topic-partition.
    pub(crate) commits: BTreeMap<(String, String), Commits>,
    /// Answers about committed offsets.
    pub(crate) committed: Vec<Committed>,
    /// Who was given which topic-partition.
    pub(crate) assignments: Vec<Assignment>,
    /// Who read on in what was another member's.
    pub(crate) overlaps: Vec<Overlap>,
    /// Where consumers of groups began to read.
    pub(crate) starts: Vec<Start>,
    /// Who took over which transactional id.
    pub(crate) inits: BTreeMap<String, Vec<Init>>,
    /// Commits that are ok and name their generation.
    pub(crate) claims: Vec<Claim>,
    /// Topic-partitions of which records were to be deleted, each with the offset of the first record that may stay.
    pub(crate) deleted: BTreeMap<String, i64>,
    /// Deletions of records that are ok.
    pub(crate) deletions: Vec<Deletion>,
    /// Operations that say from which inputs their outputs were derived.
    pub(crate) derived: Vec<usize>,
    /// Answers of looks at records that may be uncommitted.
    pub(crate) peeks: Vec<usize>,
}

/// A further field of the row, else of its invocation.
pub(crate) fn beside<'h>(history: &'h History, row: usize, name: &str) -> Option<&'h Value> {
    let said = |row: usize| history.extra(row)?.ext.get(name);
    said(row).or_else(|| history.pair(row).and_then(said))
}

/// The same as text.
pub(crate) fn text<'h>(history: &'h History, row: usize, name: &str) -> Option<&'h str> {
    beside(history, row, name).and_then(Value::as_str)
}

/// A key or value as people write it.
pub(crate) fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn object(history: &History, row: usize) -> Option<&Map<String, Value>> {
    let pair = || history.pair(row).and_then(|row| history.json(row));
    history.json(row).or_else(pair).and_then(Value::as_object)
}

/// The keys that a row's value names, as an array or below `keys`.
fn keys(history: &History, row: usize) -> Vec<String> {
    match history.extra(row).map(|e| &e.payload) {
        Some(Payload::Keys(keys)) => keys.iter().map(Scalar::to_string).collect(),
        Some(Payload::Json(value)) => {
            let keys = value.get("keys").unwrap_or(value).as_array();
            keys.into_iter().flatten().map(word).collect()
        }
        _ => Vec::new(),
    }
}

impl Observed {
    /// Reads the rows of clients.
    pub(crate) fn read(history: &History) -> Self {
        let mut all = Observed::default();
        let mut members = Members::default();
        for row in (0..history.len()).filter(|i| is_client(history, *i)) {
            all.row(history, &mut members, row);
        }
        all.assignments = members.assignments;
        all.starts = members.starts;
        all.overlaps = members.overlaps;
        for (at, commits) in &mut all.commits {
            let given = all.assignments.iter().filter(|a| (&a.group, &a.key) == (&at.0, &at.1));
            commits.close(given.filter_map(|a| Some((a.row, a.generation?))));
            commits.finish();
        }
        all
    }

    fn row(&mut self, history: &History, members: &mut Members, row: usize) {
        let kind = history.kind(row);
        match history.f(row) {
            F::Send | F::Txn | F::Poll if kind.is_completion() => {
                if beside(history, row, "offsets").is_some() {
                    self.commit(history, members, row);
                }
                if kind != Kind::Fail && beside(history, row, "derived").is_some() {
                    self.derived.push(row);
                }
                members.operation(history, row);
            }
            F::Txn if history.pair(row).is_none() => self.commit(history, members, row),
            F::Subscribe | F::Assign if kind.is_completion() => members.subscribed(history, row),
            F::Other(f) => self.other(history, members, row, f),
            _ => {}
        }
    }

    fn other(&mut self, history: &History, members: &mut Members, row: usize, f: &str) {
        let kind = history.kind(row);
        match (f, kind) {
            ("list-offsets", Kind::Ok) => self.ends(history, row),
            ("commit", Kind::Ok | Kind::Info) => self.commit(history, members, row),
            ("commit", Kind::Invoke) if history.pair(row).is_none() => {
                self.commit(history, members, row);
            }
            ("committed", Kind::Ok) => {
                let group = members.group(history, row);
                let Some(invoked) = history.pair(row) else { return };
                for (key, offset) in object(history, row).into_iter().flatten() {
                    let at = (group.clone(), key.clone());
                    self.committed.push(Committed { at, invoked, row, offset: offset.as_i64() });
                }
            }
            ("assigned" | "revoked" | "lost", Kind::Ok | Kind::Info) => {
                members.event(history, row, f, keys(history, row));
            }
            ("init-transactions", Kind::Ok) => {
                let id = text(history, row, "transactional_id");
                let (Some(id), Some(invoked), Some(Process::Client(process))) =
                    (id, history.pair(row), history.process(row))
                else {
                    return;
                };
                self.inits.entry(id.into()).or_default().push(Init { process, invoked, row });
            }
            ("peek", Kind::Ok) => self.peeks.push(row),
            ("delete-records", _) => self.deletion(history, row),
            _ => {}
        }
    }

    fn ends(&mut self, history: &History, row: usize) {
        let Some(invoked) = history.pair(row) else { return };
        let process = match history.process(row) {
            Some(Process::Client(process)) => Some(process),
            _ => None,
        };
        for (key, told) in object(history, row).into_iter().flatten() {
            let one = |name: &str| told.get(name).and_then(Value::as_i64);
            let end = told.as_i64().or_else(|| one("end"));
            let figures = [end, one("high_watermark"), one("last_stable"), one("leader_epoch")];
            self.ends.push(Ends { key: key.clone(), invoked, row, process, figures });
        }
    }

    fn deletion(&mut self, history: &History, row: usize) {
        for (key, offset) in object(history, row).into_iter().flatten() {
            // An offset that is not said is the end of the log.
            let below = offset.as_i64().filter(|offset| *offset >= 0).unwrap_or(i64::MAX);
            let bound = self.deleted.entry(key.clone()).or_insert(0);
            *bound = below.max(*bound);
            if history.kind(row) == Kind::Ok && below < i64::MAX {
                self.deletions.push(Deletion { key: key.clone(), below, row });
            }
        }
    }

    /// The offsets that an operation committed, or may have committed.
    fn commit(&mut self, history: &History, members: &Members, row: usize) {
        let kind = history.kind(row);
        let asked = match history.f(row) {
            F::Other(_) => object(history, row),
            _ => beside(history, row, "offsets").and_then(Value::as_object),
        };
        if kind == Kind::Fail {
            return;
        }
        let group = members.group(history, row);
        let invoked = history.pair(row).filter(|_| kind.is_completion()).unwrap_or(row);
        let ended = (kind == Kind::Ok).then_some(row);
        let generation = beside(history, row, "generation").and_then(Value::as_i64);
        for (key, offset) in asked.into_iter().flatten() {
            let Some(offset) = offset.as_i64() else { continue };
            let at = (group.clone(), key.clone());
            let commits = self.commits.entry(at.clone()).or_default();
            commits.add(commits::Commit { offset, invoked, ended, generation, closed: None });
            if let (Some(row), Some(generation)) = (ended, generation) {
                let member = Members::name(history, row);
                self.claims.push(Claim { at, member, generation, invoked, row, offset });
            }
        }
    }
}
