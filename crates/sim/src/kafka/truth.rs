//! What really happened in a simulated run.

use super::defect::Defect;
use perjury_history::Scalar;
use std::collections::{BTreeMap, BTreeSet};

/// One defect that took place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    /// What went wrong.
    pub defect: Defect,
    /// The topic-partition.
    pub key: Scalar,
    /// The offset, where one is to blame.
    pub offset: Option<i64>,
    /// The value, where one is to blame.
    pub value: Option<i64>,
    /// How many events the history had when it was complete: what shows it lies around there or later.
    pub at: u64,
}

/// What really happened in a simulated run: the ground truth for checkers.
///
/// A checker that is right finds every name in `must` at least that often, and no name outside of `must` and `may`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Truth {
    /// The defects that took place, in order.
    pub injections: Vec<Injection>,
    /// Defects asked for that found no opportunity.
    pub missed: Vec<Defect>,
    /// Anomalies that are in the history, with the least number of cases.
    pub must: BTreeMap<&'static str, u64>,
    /// As `must`, only for checkers that draw an edge between writes that follow each other (Jepsen's `ww-deps`).
    pub must_with_ww: BTreeMap<&'static str, u64>,
    /// Further anomalies that the defects or the options may cause.
    pub may: BTreeSet<&'static str>,
    /// Acknowledged writes.
    pub acknowledged: u64,
    /// Whether the final reads reached the last acknowledged write of each topic-partition.
    pub final_read_completed: bool,
}

impl Truth {
    pub(super) fn record(&mut self, injection: Injection, final_reads: bool) {
        let defect = injection.defect;
        let same_place = |i: &Injection| i.key == injection.key && i.offset == injection.offset;
        let again = self.injections.iter().any(same_place);
        for name in defect.must() {
            // One offset counts once, however many values it had.
            if *name == "inconsistent-offsets" && again {
                continue;
            }
            if final_reads {
                *self.must.entry(name).or_default() += 1;
            } else {
                self.may.insert(name);
            }
        }
        for name in defect.must_with_ww() {
            *self.must_with_ww.entry(name).or_default() += 1;
        }
        self.may.extend(defect.may());
        self.injections.push(injection);
    }

    /// An injection has begun: what it causes may show, whether or not it will be complete.
    pub(super) fn begun(&mut self, defect: Defect) {
        self.may.extend(defect.must());
        self.may.extend(defect.must_with_ww());
        self.may.extend(defect.may());
    }

    /// Whether a checker may report this name.
    pub fn permits(&self, name: &str) -> bool {
        self.must.contains_key(name)
            || self.must_with_ww.contains_key(name)
            || self.may.contains(name)
    }
}
