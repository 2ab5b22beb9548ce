//! One key's log as the clients saw it: for each offset, who wrote what there and who read what.

use crate::filter::looks;
use crate::operation::{Op, client_operations};
use perjury_history::{History, KeyId, Kind, MopRef, Process, Scalar};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A value is read over and over by pollers that seek back; the first readings of a process tell the story.
const READS_OF_OFFSET_MAX: usize = 64;

/// Somebody put a value at an offset, or was told so.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// The index of the operation's completion, or of its invocation when it has none.
    i: usize,
    process: Option<Process>,
    #[serde(rename = "type")]
    kind: Kind,
    value: Scalar,
    /// When the operation ended, or began when it did not end; ns.
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
    let (scalar, id) =
        looks(key).into_iter().find_map(|s| Some((s.clone(), history.key_id(&s)?)))?;
    let mut window =
        Window { from, to, highest: None, rows: BTreeMap::new(), observers: BTreeSet::new() };
    for op in client_operations(history) {
        window.add(history, op, id);
    }
    Some(LogView {
        key: scalar,
        from,
        to,
        highest: window.highest,
        observers: window.observers.into_iter().collect(),
        rows: window.rows.into_values().collect(),
    })
}

struct Window {
    from: i64,
    to: i64,
    highest: Option<i64>,
    rows: BTreeMap<i64, Row>,
    observers: BTreeSet<Process>,
}

impl Window {
    fn add(&mut self, history: &History, op: Op, id: KeyId) {
        let at = op.row();
        for mop in history.mops(at) {
            match mop {
                MopRef::Send { key, value, offset: Some(offset), .. } if key == id => {
                    if let Some(row) = self.row(offset) {
                        row.writes.push(seen(history, op, history.value(value)));
                    }
                }
                MopRef::Poll(Some(poll)) => {
                    for group in poll.groups().filter(|g| g.key == id) {
                        self.observers.extend(history.process(at));
                        for (offset, value) in group.iter() {
                            let Some(row) = offset.and_then(|o| self.row(o)) else { continue };
                            if row.reads.len() < READS_OF_OFFSET_MAX {
                                row.reads.push(seen(history, op, history.value(value)));
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
}

fn seen(history: &History, op: Op, value: Scalar) -> Seen {
    let at = op.row();
    let is_final = history.extra(at).is_some_and(|e| e.ext.get("final").is_some_and(|f| f == true));
    Seen {
        i: at,
        process: history.process(at),
        kind: op.outcome(history),
        value,
        t: history.time(at),
        is_final,
    }
}
