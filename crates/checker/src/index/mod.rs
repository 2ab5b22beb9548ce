//! The tables that every Kafka analysis and the dependency graph share, built once.
//!
//! # What is in it
//! For every key (topic-partition), a [`KeyIndex`]:
//! - **Slots.** Every value that a key was asked to hold, or that was read from it, has a [`Slot`], dense from 0 in
//!   order of first appearance. All per-value facts are arrays by slot.
//! - **The log.** Which values were seen at which offset. An offset that anybody saw is a *place*; places are
//!   numbered densely in offset order, so that holes (transaction markers, compaction) vanish. That number is the
//!   *index* of JEPSEN's definitions. Each place has one *picked* value: the only one, or with conflicting values the
//!   one that appeared first in the history.
//! - **The version order.** [`KeyIndex::picked`] by index. [`KeyIndex::index`] is the inverse: the highest index at
//!   which the value was picked, and nothing for a value that was never picked (or never placed).
//! - **Writers and readers.** [`KeyIndex::writer`]: the row of the last completion that sent the value.
//!   [`KeyIndex::first_read`]: the row of the first *ok* operation that polled it.
//!
//! # What counts (Jepsen `tests.kafka`)
//! The log takes the polls of *every* completion, whatever its type, and the sends with a known offset of operations
//! that *must have committed*: those that are ok, and those that are info with at least one of their sends read by an
//! ok operation. Sends count in rows of `send` and `txn`, polls in rows of `poll` and `txn`. Rows of the nemesis and of
//! the cluster never count.
//!
//! # How to walk the reads of an operation
//! ```text
//! for mop in index.history.mops(row) {
//!     if let MopRef::Poll(Some(poll)) = mop {
//!         for group in poll.groups() {                       // a key may repeat
//!             let key = index.key(group.key);
//!             for (offset, value) in group.iter() {
//!                 let slot = key.slot_of_record(offset, value);  // never None for rows that count
//!             }
//!         }
//!     }
//! }
//! ```
//! [`Index::for_each_read`] and [`Index::for_each_write`] do this.
//!
//! # Cost
//! One walk over the rows; three loads a polled record. About 45 bytes for each distinct value, nothing for each
//! record. Keys are dealt out to threads; every key is built by one thread in row order, so the tables do not depend on
//! the number of threads.

mod build;
mod key;
mod tables;

pub(crate) use key::{KeyIndex, Slot};

use crate::par;
use perjury_history::{F, History, KeyId, Kind, MopRef, Process};
use std::ops::Range;

/// Stands for "no slot", "no row", "no index" in the arrays.
pub(crate) const NONE: u32 = u32::MAX;

/// The shared tables of one history.
#[derive(Debug)]
pub(crate) struct Index<'h> {
    /// The history that was indexed.
    pub(crate) history: &'h History,
    keys: Vec<KeyIndex>,
    /// One bit a row: an info completion that must have committed.
    proved: Vec<u64>,
}

impl<'h> Index<'h> {
    /// Builds the tables with at most `threads` threads.
    pub(crate) fn build(history: &'h History, threads: usize) -> Self {
        build::index(history, threads)
    }

    /// The tables of these rows alone, by key.
    pub(crate) fn tables(history: &History, rows: Range<usize>, threads: usize) -> Vec<KeyIndex> {
        build::tables(history, rows, threads)
    }

    /// The index from the tables of all rows.
    pub(crate) fn complete(history: &'h History, tables: Vec<KeyIndex>, threads: usize) -> Self {
        build::complete(history, tables, threads)
    }

    /// How many keys there are. Their ids are dense from 0.
    pub(crate) fn keys_len(&self) -> usize {
        self.keys.len()
    }

    /// The tables of one key.
    pub(crate) fn key(&self, key: KeyId) -> &KeyIndex {
        &self.keys[key.index()]
    }

    /// All keys with their tables, in order of their ids.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (KeyId, &KeyIndex)> {
        (0u32..).map(KeyId).zip(self.keys.iter())
    }

    /// Whether row `i` belongs to a client and is a send, poll or txn, in whatever state.
    pub(crate) fn is_data(&self, i: usize) -> bool {
        is_data(self.history, i)
    }

    /// Whether row `i` is the completion of a client's send, poll or txn.
    pub(crate) fn is_data_completion(&self, i: usize) -> bool {
        self.history.kind(i).is_completion() && self.is_data(i)
    }

    /// The rows of completions of clients' sends, polls and txns, in order.
    pub(crate) fn data_completions(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.history.len()).filter(|i| self.is_data_completion(*i))
    }

    /// Whether the operation that completed at row `i` definitely took effect: it is ok, or it is info and an ok
    /// operation read at least one of its sends.
    pub(crate) fn must_have_committed(&self, i: usize) -> bool {
        match self.history.kind(i) {
            Kind::Ok => true,
            Kind::Info => self.proved[i / 64] >> (i % 64) & 1 == 1,
            Kind::Fail | Kind::Invoke => false,
        }
    }

    /// Calls `each` with key, slot and offset for every record that the operation at row `i` polled, in order. A row
    /// whose polls do not count gives nothing.
    pub(crate) fn for_each_read(&self, i: usize, mut each: impl FnMut(KeyId, Slot, Option<i64>)) {
        if !reads_count(self.history.f(i)) || !self.is_data_completion(i) {
            return;
        }
        for mop in self.history.mops(i) {
            let MopRef::Poll(Some(poll)) = mop else { continue };
            for group in poll.groups() {
                let key = self.key(group.key);
                for (offset, value) in group.iter() {
                    if let Some(slot) = key.slot_of_record(offset, value) {
                        each(group.key, slot, offset);
                    }
                }
            }
        }
    }

    /// Calls `each` with key, slot and acknowledged offset for every send of the operation at row `i`, in order. A row
    /// whose sends do not count gives nothing.
    pub(crate) fn for_each_write(&self, i: usize, mut each: impl FnMut(KeyId, Slot, Option<i64>)) {
        if !writes_count(self.history.f(i)) || !self.is_data_completion(i) {
            return;
        }
        for mop in self.history.mops(i) {
            let MopRef::Send { key, value, offset, .. } = mop else { continue };
            if let Some(slot) = self.key(key).slot_of(value) {
                each(key, slot, offset);
            }
        }
    }

    /// Runs `work` for every key on at most `threads` threads; the results are in order of the key ids.
    pub(crate) fn map_keys<T: Send>(
        &self,
        threads: usize,
        work: impl Fn(KeyId, &KeyIndex) -> T + Sync,
    ) -> Vec<T> {
        par::map(self.keys.len(), threads, |k| {
            let id = KeyId(u32::try_from(k).unwrap_or(u32::MAX));
            work(id, &self.keys[k])
        })
    }
}

/// Whether row `i` belongs to a client. Foreign rows without a process are clients' rows.
pub(crate) fn is_client(history: &History, i: usize) -> bool {
    history.process(i).is_none_or(Process::is_client)
}

fn is_data(history: &History, i: usize) -> bool {
    matches!(history.f(i), F::Send | F::Poll | F::Txn) && is_client(history, i)
}

/// Whether polls in rows of this function count.
pub(crate) fn reads_count(f: &F) -> bool {
    matches!(f, F::Poll | F::Txn)
}

/// Whether sends in rows of this function count.
pub(crate) fn writes_count(f: &F) -> bool {
    matches!(f, F::Send | F::Txn)
}
