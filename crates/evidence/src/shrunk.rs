//! The few operations that show an anomaly, taken out of a whole history.

use crate::prepared::Focus;
use perjury_checker::{Options, Report, check};
use perjury_history::{Event, History, HistoryBuilder, Kind, MopRef, Process, jsonl};
use serde_json::json;
use std::collections::BTreeSet;

/// How many times parts of a history are checked before what is left is taken.
const CHECKS_MAX: usize = 400;
/// Larger parts are not cut down further: each check of them takes long.
const ROWS_MAX: usize = 20_000;

/// A part of a history that shows the same anomaly under the same judgement.
#[derive(Debug)]
pub(crate) struct Shrunk {
    /// The part, as a history of its own.
    pub(crate) history: History,
    /// The same in its native form.
    pub(crate) text: Vec<u8>,
    /// The events of the whole history that were kept, in order.
    pub(crate) rows: Vec<usize>,
}

/// Shrinks the history to operations that still show the anomaly; `None` when no part of it does.
///
/// It begins with the operations that prove the case, adds those on the same key until the anomaly shows, and then leaves
/// out whatever is not needed.
pub(crate) fn shrunk(
    history: &History,
    report: &Report,
    focus: &Focus,
    options: &Options,
) -> Option<Shrunk> {
    let anomaly = report.anomalies.get(&focus.anomaly)?;
    let mut search = Search {
        history,
        name: &focus.anomaly,
        options,
        violation: anomaly.violations > 0,
        left: CHECKS_MAX,
    };
    let example = anomaly.examples.get(focus.example)?;
    let mut seeds = BTreeSet::new();
    for row in example.ops.iter().filter_map(|i| usize::try_from(*i).ok()) {
        seeds.extend(
            (row < history.len()).then_some(row).into_iter().flat_map(|r| both(history, r)),
        );
    }
    let found = search.grow(seeds, example.key.as_deref())?;
    let kept = search.cut(found);
    let rows: Vec<usize> =
        kept.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect();
    let part = search.part(&rows);
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = jsonl::write(&part, &mut text);
    Some(Shrunk { history: part, text, rows })
}

/// An operation's rows.
fn both(history: &History, row: usize) -> impl Iterator<Item = usize> + use<> {
    history.pair(row).into_iter().chain([row])
}

struct Search<'a> {
    history: &'a History,
    name: &'a str,
    options: &'a Options,
    violation: bool,
    left: usize,
}

impl Search<'_> {
    /// Operations that show the anomaly: the seeds alone, or with their neighbours on the key, or with all of the key, or
    /// all there are.
    fn grow(&mut self, seeds: BTreeSet<usize>, key: Option<&str>) -> Option<Vec<Vec<usize>>> {
        let on_key = self.on_key(key);
        let near = |n: usize| -> BTreeSet<usize> {
            let mut rows = seeds.clone();
            for seed in &seeds {
                let at = on_key.partition_point(|r| r < seed);
                let range = at.saturating_sub(n)..(at + n).min(on_key.len());
                rows.extend(on_key[range].iter().flat_map(|r| both(self.history, *r)));
            }
            rows
        };
        let mut candidates: Vec<BTreeSet<usize>> = [0, 8, 64].into_iter().map(near).collect();
        candidates.push(
            seeds
                .iter()
                .copied()
                .chain(on_key.iter().flat_map(|r| both(self.history, *r)))
                .collect(),
        );
        candidates.push((0..self.history.len()).collect());
        candidates.into_iter().find_map(|rows| {
            let operations = self.operations(&rows);
            self.shows(&operations).then_some(operations)
        })
    }

    /// The rows of client operations that touch the key.
    fn on_key(&self, key: Option<&str>) -> Vec<usize> {
        let h = self.history;
        let touches = |row: usize| {
            h.mops(row).any(|mop| match mop {
                MopRef::Send { key: k, .. } => key.is_some_and(|key| h.key(k).to_string() == key),
                MopRef::Poll(poll) => poll.is_some_and(|p| {
                    p.groups().any(|g| key.is_some_and(|key| h.key(g.key).to_string() == key))
                }),
            })
        };
        (0..h.len()).filter(|row| h.kind(*row).is_completion() && touches(*row)).collect()
    }

    /// Groups rows to operations, so that an invocation is never kept without its completion.
    fn operations(&self, rows: &BTreeSet<usize>) -> Vec<Vec<usize>> {
        let h = self.history;
        let first = |row: usize| match h.kind(row) {
            Kind::Invoke => row,
            _ => h.pair(row).map_or(row, |pair| pair.min(row)),
        };
        let firsts: BTreeSet<usize> = rows.iter().map(|row| first(*row)).collect();
        firsts.into_iter().map(|row| both(h, row).collect()).collect()
    }

    /// Leaves out operations, by halves and then by ever smaller stretches, as long as the anomaly shows without them.
    fn cut(&mut self, mut kept: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
        if kept.len() > ROWS_MAX {
            return kept;
        }
        let mut stretch = kept.len().div_ceil(2);
        while stretch > 0 {
            let mut at = 0;
            let before = kept.len();
            while at < kept.len() && self.left > 0 {
                let end = (at + stretch).min(kept.len());
                let without: Vec<Vec<usize>> = [&kept[..at], &kept[end..]].concat();
                if self.shows(&without) {
                    kept = without;
                } else {
                    at = end;
                }
            }
            if stretch > 1 || kept.len() == before || self.left == 0 {
                stretch /= 2;
            }
        }
        kept
    }

    fn shows(&mut self, operations: &[Vec<usize>]) -> bool {
        if self.left == 0 || operations.is_empty() {
            return false;
        }
        self.left -= 1;
        let rows: BTreeSet<usize> = operations.iter().flatten().copied().collect();
        let rows: Vec<usize> = rows.into_iter().collect();
        let report = check(&self.part(&rows), self.options);
        let found = report.anomalies.get(self.name);
        found.is_some_and(|a| a.count > 0 && (a.violations > 0) == self.violation)
    }

    /// These rows as a history of their own: numbered anew, with their place in the whole one beside.
    fn part(&self, rows: &[usize]) -> History {
        let mut header = self.history.header.clone();
        let from = json!({"events": self.history.len(), "shows": self.name});
        header.other.insert("shrunk_from".into(), from);
        let mut builder = HistoryBuilder::new(header);
        for (index, row) in rows.iter().enumerate() {
            let mut event: Event = self.history.event(*row);
            event.index = index as u64;
            if event.process.is_none_or(Process::is_client) {
                event.ext.insert("original_index".into(), (*row as u64).into());
            }
            builder.push(&event);
        }
        builder.finish()
    }
}
