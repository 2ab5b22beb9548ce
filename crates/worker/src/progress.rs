//! Counters of a run under way, for people who wait.

use perjury_history::Kind;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Offsets that acknowledgements of one partition carried.
#[derive(Debug, Clone, Copy)]
struct Offsets {
    highest: i64,
    last: i64,
}

/// Counters that only grow.
#[derive(Debug, Default)]
pub struct Progress {
    /// Acknowledged sends.
    pub sends_ok: AtomicU64,
    /// Sends that definitely failed.
    pub sends_failed: AtomicU64,
    /// Sends of unknown outcome.
    pub sends_unknown: AtomicU64,
    /// Polled records.
    pub polled: AtomicU64,
    /// Faults that were injected.
    pub faults: AtomicU64,
    offsets: Mutex<BTreeMap<i32, Offsets>>,
}

impl Progress {
    pub(crate) fn acknowledged(&self, partition: i32, offset: Option<i64>) {
        self.sends_ok.fetch_add(1, Ordering::Relaxed);
        if let Some(offset) = offset {
            let mut offsets =
                self.offsets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let entry =
                offsets.entry(partition).or_insert(Offsets { highest: offset, last: offset });
            *entry = Offsets { highest: offset.max(entry.highest), last: offset };
        }
    }

    pub(crate) fn not_acknowledged(&self, kind: Kind) {
        let counter = if kind == Kind::Fail { &self.sends_failed } else { &self.sends_unknown };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The highest offset of a partition that any acknowledgement carried.
    pub fn highest_acknowledged(&self, partition: i32) -> Option<i64> {
        self.offsets_of(partition).map(|o| o.highest)
    }

    /// The offset of a partition that the newest acknowledgement carried: near the end of the log, also after the log
    /// lost its tail.
    pub fn last_acknowledged(&self, partition: i32) -> Option<i64> {
        self.offsets_of(partition).map(|o| o.last)
    }

    fn offsets_of(&self, partition: i32) -> Option<Offsets> {
        self.offsets
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .get(&partition)
            .copied()
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "{} acknowledged, {} failed, {} unknown, {} records polled, {} faults",
            get(&self.sends_ok),
            get(&self.sends_failed),
            get(&self.sends_unknown),
            get(&self.polled),
            get(&self.faults)
        )
    }
}
