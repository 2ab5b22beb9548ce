//! One key's log as the clients saw it: for each offset, who wrote what there and who read what.

use crate::filter::looks;
use perjury_history::{History, KeyId, Kind, MopRef, Process, Scalar};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A value is read over and over by pollers that seek back; the first readings of a process tell the story.
const READS_OF_OFFSET_MAX: usize = 64;

/// Somebody put a value at an offset, or was told so.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// The index of the operation's completion.
    i: usize,
    process: Option<Process>,
    #[serde(rename = "type")]
    kind: Kind,
    value: Scalar,
    /// When the operation ended, ns.
    t: Option<i64>,
    /// Whether it belongs to the final reads.
    #[serde(rename = "final", skip_serializing_if = "std::ops::Not::not")]
    is_final: bool,
}

/// One offset.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Row {
    offset: i64,
    writes: Vec<Seen>,
    reads: Vec<Seen>,
    /// How many readings were left out.
    hidden_reads: usize,
}

/// A window of the log of one key.
#[derive(Debug, PartialEq, Serialize)]
pub struct LogView {
    key: Scalar,
    from: i64,
    to: i64,
    /// The highest offset that any client saw.
    highest: Option<i64>,
    /// Those who read anything of this key, in order.
    observers: Vec<Process>,
    rows: Vec<Row>,
}

/// The offsets `from` to `to` (closed) of this key; `None` when the key is not in the history.
pub fn log(history: &History, key: &str, from: i64, to: i64) -> Option<LogView> {
    let key = looks(key).into_iter().find(|s| history.key_id(s).is_some())?;
    let mut window = Window::new(key, from, to);
    window.add(history, 0);
    Some(window.finish())
}

/// Gathers a window of a key's log, stretch by stretch of the history.
#[derive(Debug)]
pub(crate) struct Window {
    key: Scalar,
    from: i64,
    to: i64,
    pub(crate) highest: Option<i64>,
    pub(crate) observers: BTreeSet<Process>,
    rows: BTreeMap<i64, Row>,
}

impl Window {
    pub(crate) fn new(key: Scalar, from: i64, to: i64) -> Window {
        Window { key, from, to, highest: None, observers: BTreeSet::new(), rows: BTreeMap::new() }
    }

    /// The next stretch, whose first row is row `first` of the whole history. Only rows that tell how an operation ended
    /// hold offsets.
    pub(crate) fn add(&mut self, history: &History, first: usize) {
        let Some(id) = history.key_id(&self.key) else { return };
        for i in 0..history.len() {
            let is_client = history.process(i).is_none_or(Process::is_client);
            if is_client && history.kind(i).is_completion() {
                self.add_row(history, i, first, id);
            }
        }
    }

    fn add_row(&mut self, history: &History, i: usize, first: usize, id: KeyId) {
        for mop in history.mops(i) {
            match mop {
                MopRef::Send { key, value, offset: Some(offset), .. } if key == id => {
                    if let Some(row) = self.row(offset) {
                        row.writes.push(seen(history, i, first, history.value(value)));
                    }
                }
                MopRef::Poll(Some(poll)) => {
                    for group in poll.groups().filter(|g| g.key == id) {
                        self.observers.extend(history.process(i));
                        for (offset, value) in group.iter() {
                            let Some(row) = offset.and_then(|o| self.row(o)) else { continue };
                            if row.reads.len() < READS_OF_OFFSET_MAX {
                                row.reads.push(seen(history, i, first, history.value(value)));
                            } else {
                                row.hidden_reads += 1;
                            }
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn row(&mut self, offset: i64) -> Option<&mut Row> {
        self.highest = self.highest.max(Some(offset));
        if offset < self.from || offset > self.to {
            return None;
        }
        Some(self.rows.entry(offset).or_insert_with(|| Row { offset, ..Row::default() }))
    }

    pub(crate) fn finish(self) -> LogView {
        LogView {
            key: self.key,
            from: self.from,
            to: self.to,
            highest: self.highest,
            observers: self.observers.into_iter().collect(),
            rows: self.rows.into_values().collect(),
        }
    }
}

fn seen(history: &History, i: usize, first: usize, value: Scalar) -> Seen {
    let is_final = history.extra(i).is_some_and(|e| e.ext.get("final").is_some_and(|f| f == true));
    Seen {
        i: first + i,
        process: history.process(i),
        kind: history.kind(i),
        value,
        t: history.time(i),
        is_final,
    }
}
