//! Operations of unknown outcome, and how many of them a configuration has used.
//!
//! Two such operations with the same call are interchangeable, so a configuration only counts how many of each kind it
//! has used. These counts are shared between configurations.

use super::table::small;
use rustc_hash::FxHashMap;

/// One kind of operation of unknown outcome.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    /// The number of its call.
    pub(super) call: u32,
    /// The operations in order of invocation.
    pub(super) ops: Vec<u32>,
    /// How many of them have been invoked.
    pub(super) open: usize,
}

/// Counts of used operations by kind, numbered; number 0 is none at all.
#[derive(Debug, Default)]
pub(super) struct Used {
    counts: Vec<Box<[(u32, u32)]>>,
    ids: FxHashMap<Box<[(u32, u32)]>, u32>,
    after: FxHashMap<(u32, u32), u32>,
    /// Bytes held.
    pub(super) bytes: i64,
}

impl Used {
    pub(super) fn new() -> Self {
        let mut used = Used::default();
        used.id(Box::default());
        used
    }

    fn id(&mut self, counts: Box<[(u32, u32)]>) -> u32 {
        if let Some(id) = self.ids.get(&counts) {
            return *id;
        }
        let id = small(self.counts.len());
        self.bytes += i64::try_from(16 * counts.len() + 64).unwrap_or(i64::MAX / 2);
        self.counts.push(counts.clone());
        self.ids.insert(counts, id);
        id
    }

    /// How many of a kind are used.
    pub(super) fn count(&self, id: u32, kind: u32) -> usize {
        let counts = &self.counts[id as usize];
        let at = counts.binary_search_by_key(&kind, |(k, _)| *k);
        at.map_or(0, |i| counts[i].1 as usize)
    }

    /// The counts with one more of a kind.
    pub(super) fn plus(&mut self, id: u32, kind: u32) -> u32 {
        if let Some(after) = self.after.get(&(id, kind)) {
            return *after;
        }
        let mut counts = self.counts[id as usize].to_vec();
        match counts.binary_search_by_key(&kind, |(k, _)| *k) {
            Ok(i) => counts[i].1 += 1,
            Err(i) => counts.insert(i, (kind, 1)),
        }
        let after = self.id(counts.into());
        self.bytes += 24;
        self.after.insert((id, kind), after);
        after
    }

    /// Whether `a` used no more of any kind than `b`.
    pub(super) fn is_within(&self, a: u32, b: u32) -> bool {
        a == b || self.counts[a as usize].iter().all(|(k, n)| self.count(b, *k) >= *n as usize)
    }

    /// How many are used altogether.
    pub(super) fn total(&self, id: u32) -> u32 {
        if id == 0 {
            return 0;
        }
        self.counts[id as usize].iter().map(|(_, n)| n).sum()
    }
}
