//! Counters of a run under way, for people who wait.

use perjury_history::Kind;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

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
    highest: Mutex<BTreeMap<i32, i64>>,
}

impl Progress {
    pub(crate) fn acknowledged(&self, partition: i32, offset: Option<i64>) {
        self.sends_ok.fetch_add(1, Ordering::Relaxed);
        if let Some(offset) = offset {
            let mut highest =
                self.highest.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let entry = highest.entry(partition).or_insert(offset);
            *entry = offset.max(*entry);
        }
    }

    pub(crate) fn not_acknowledged(&self, kind: Kind) {
        let counter = if kind == Kind::Fail { &self.sends_failed } else { &self.sends_unknown };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The highest offset of a partition that any acknowledgement carried.
    pub fn highest_acknowledged(&self, partition: i32) -> Option<i64> {
        let highest = self.highest.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        highest.get(&partition).copied()
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
