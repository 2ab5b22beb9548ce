//! The dependencies of Kafka histories (Jepsen `tests.kafka`, section 3.1 of the project's account of it).
//!
//! - `wr`: the first sent a value that the second polled, every value of every poll, whatever became of either.
//! - `ww`, only if asked: the first sent the value that directly precedes, in the version order of a key, a value that
//!   the second sent.
//! - `rw` is not drawn: a poll returns some records, not all that there are, so it does not follow that a poll came
//!   before the sends that it did not see.
//! - Real time, which contains the order of each process.
//!
//! The phase of an operation that only sends is its invocation, that of one that only polls its completion. A history
//! of plain sends and polls then has no edge against the phases but a poll that saw a record before it was sent.

use super::explain::{Findings, Reason, Rel};
use super::{Options, Source, Span};
use crate::index::Index;
use crate::linear::budget::Budget;
use perjury_history::{F, History, KeyId, Kind};

/// Which dependencies are drawn.
#[derive(Debug, Clone, Copy, Default)]
pub struct KafkaOptions {
    /// Whether `ww` edges are drawn.
    pub ww: bool,
    /// What to search for.
    pub search: Options,
}

/// Finds the circles of a Kafka history. Vertices are the rows of completed sends, polls and txns.
pub fn find_kafka(history: &History, options: &KafkaOptions, budget: &mut dyn Budget) -> Findings {
    find_indexed(&Index::build(history, 1), options, budget)
}

/// [`find_kafka`] on tables that exist already.
pub(crate) fn find_indexed(
    index: &Index<'_>,
    options: &KafkaOptions,
    budget: &mut dyn Budget,
) -> Findings {
    let graph = Kafka { index, history: index.history, ww: options.ww };
    super::find(&graph, &options.search, budget)
}

struct Kafka<'i, 'h> {
    index: &'i Index<'h>,
    history: &'h History,
    ww: bool,
}

fn small(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}

impl Kafka<'_, '_> {
    /// The first value of a key that `from` sent and `to` polled.
    fn polled_of(&self, from: u32, to: u32) -> Option<(KeyId, crate::index::Slot)> {
        let mut found = None;
        self.index.for_each_read(to as usize, |key, slot, _| {
            if found.is_none() && self.index.key(key).writer(slot) == Some(from as usize) {
                found = Some((key, slot));
            }
        });
        found
    }

    /// The first value that `to` sent directly after one that `from` sent.
    fn sent_after(
        &self,
        from: u32,
        to: u32,
    ) -> Option<(KeyId, crate::index::Slot, crate::index::Slot)> {
        let mut found = None;
        self.index.for_each_write(to as usize, |key, slot, _| {
            let table = self.index.key(key);
            let before = table.index(slot).and_then(|i| i.checked_sub(1));
            let Some(before) = before.map(|i| table.picked_at(i)) else { return };
            if found.is_none() && table.writer(before) == Some(from as usize) {
                found = Some((key, before, slot));
            }
        });
        found
    }

    fn show(&self, key: KeyId, slot: crate::index::Slot) -> String {
        self.history.value(self.index.key(key).value(slot)).to_string()
    }
}

impl Source for Kafka<'_, '_> {
    fn vertices(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        Box::new(self.index.data_completions().map(small))
    }

    fn event(&self, vertex: u32) -> u64 {
        u64::from(vertex)
    }

    fn span(&self, vertex: u32) -> Span {
        let row = vertex as usize;
        let is_ok = self.history.kind(row) == Kind::Ok;
        Span {
            invoke: self.history.pair(row).map(|i| i as u64),
            ret: is_ok.then_some(u64::from(vertex)),
        }
    }

    fn phase(&self, vertex: u32) -> u64 {
        let row = vertex as usize;
        let kind = self.history.kind(row);
        let completion = u64::from(vertex);
        let invoke = self.history.pair(row).map_or(completion, |i| i as u64);
        match (self.history.f(row), kind) {
            (F::Poll, Kind::Ok) => completion,
            // Nothing follows a poll that is not ok.
            (F::Poll, _) => u64::MAX,
            (F::Send, _) | (F::Txn, Kind::Info) => invoke,
            _ => completion,
        }
    }

    fn each_edge_into(&self, vertex: u32, each: &mut dyn FnMut(u32, Rel)) {
        let row = vertex as usize;
        let mut last = usize::MAX;
        self.index.for_each_read(row, |key, slot, _| {
            // Records of one batch come in a row.
            if let Some(writer) = self.index.key(key).writer(slot).filter(|w| *w != last) {
                last = writer;
                each(small(writer), Rel::Wr);
            }
        });
        if !self.ww {
            return;
        }
        self.index.for_each_write(row, |key, slot, _| {
            let table = self.index.key(key);
            let before = table.index(slot).and_then(|i| i.checked_sub(1));
            if let Some(writer) = before.and_then(|i| table.writer(table.picked_at(i))) {
                each(small(writer), Rel::Ww);
            }
        });
    }

    fn explain(&self, from: u32, to: u32, rel: Rel, a: &str, b: &str) -> Reason {
        let name = |key: KeyId| self.history.key(key).to_string();
        match rel {
            Rel::Wr => match self.polled_of(from, to) {
                Some((key, slot)) => {
                    let (value, key) = (self.show(key, slot), name(key));
                    let text = format!("{b} polled {value} from key {key}, which {a} sent");
                    Reason { key: Some(key), value: Some(value), next: None, text }
                }
                None => Reason { text: format!("{b} polled what {a} sent"), ..Reason::default() },
            },
            _ => match self.sent_after(from, to) {
                Some((key, before, slot)) => {
                    let (value, next) = (self.show(key, before), self.show(key, slot));
                    let key = name(key);
                    let text = format!(
                        "{a} sent {value} to key {key}, and {b} sent {next}, which stands directly after it"
                    );
                    Reason { key: Some(key), value: Some(value), next: Some(next), text }
                }
                None => Reason { text: format!("{b} sent after {a}"), ..Reason::default() },
            },
        }
    }
}
