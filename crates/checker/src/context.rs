//! What every analysis is given, and the phrases that every sentence is made of.

use crate::anomalies::{self, Lost, Passed};
use crate::contract::Promises;
use crate::faults::Surroundings;
use crate::index::{Index, KeyIndex, Slot};
use crate::observed::Observed;
use crate::options::Options;
use crate::removals::Removals;
use crate::report::{Availability, Example};
use crate::walk::Walk;
use crate::words;
use perjury_history::{Acks, F, History, KeyId, Kind, Scalar};
use serde_json::Map;
use std::sync::OnceLock;

/// What every analysis is given.
pub(crate) struct Context<'a> {
    /// The history.
    pub(crate) history: &'a History,
    /// The shared tables.
    pub(crate) index: Index<'a>,
    /// The jumps of the walk.
    pub(crate) walk: Walk,
    /// Faults, leaders, final read.
    pub(crate) around: &'a Surroundings,
    /// What clients felt of the faults.
    pub(crate) availability: &'a Availability,
    /// The contract.
    pub(crate) promises: &'a Promises,
    /// What the caller chose.
    pub(crate) options: &'a Options,
    lost: OnceLock<Vec<Lost>>,
    passed: OnceLock<Vec<Passed>>,
    observed: OnceLock<Observed>,
    removals: OnceLock<Removals>,
}

impl<'a> Context<'a> {
    /// Builds the shared tables, or completes those that are given, and walks the history.
    pub(crate) fn new(
        history: &'a History,
        around: &'a Surroundings,
        availability: &'a Availability,
        promises: &'a Promises,
        options: &'a Options,
        tables: Option<Vec<KeyIndex>>,
    ) -> Self {
        let index = match tables {
            Some(tables) => Index::complete(history, tables, options.threads),
            None => Index::build(history, options.threads),
        };
        let walk = Walk::run(&index, options.threads, options.examples_max);
        Context {
            history,
            index,
            walk,
            around,
            availability,
            promises,
            options,
            lost: OnceLock::new(),
            passed: OnceLock::new(),
            observed: OnceLock::new(),
            removals: OnceLock::new(),
        }
    }

    /// All lost writes, found once.
    pub(crate) fn lost(&self) -> &[Lost] {
        self.lost.get_or_init(|| anomalies::lost(self))
    }

    /// All values that polls passed over, found once.
    pub(crate) fn passed(&self) -> &[Passed] {
        self.passed.get_or_init(|| anomalies::classify(self))
    }

    /// What clients said of groups, transactional ids and ends of logs, read once.
    pub(crate) fn observed(&self) -> &Observed {
        self.observed.get_or_init(|| Observed::read(self.history))
    }

    /// What may be gone from logs because it was superseded or deleted, found once.
    pub(crate) fn removals(&self) -> &Removals {
        self.removals.get_or_init(|| Removals::find(self))
    }

    /// The topic-partition of this name, if anything was sent to it or polled from it.
    pub(crate) fn key_named(&self, name: &str) -> Option<KeyId> {
        let text = || self.history.key_id(&name.into());
        match name.parse::<i64>() {
            Ok(n) if n.to_string() == name => self.history.key_id(&n.into()).or_else(text),
            _ => text(),
        }
    }

    /// The name of a topic-partition.
    pub(crate) fn key(&self, key: KeyId) -> String {
        self.history.key(key).to_string()
    }

    /// A value.
    pub(crate) fn value(&self, key: &KeyIndex, slot: Slot) -> Scalar {
        self.history.value(key.value(slot))
    }

    /// The row of the invocation of the operation that completed at `row`.
    pub(crate) fn invoked(&self, row: usize) -> Option<usize> {
        self.history.pair(row)
    }

    /// The row of the invocation that sent the value, completed or not.
    pub(crate) fn sent_at(&self, key: &KeyIndex, slot: Slot) -> Option<usize> {
        match key.writer(slot) {
            Some(row) => self.history.pair(row),
            None => key.open_writer(slot),
        }
    }

    /// The acks that the operation at `row` asked for, if the history says so for each operation.
    pub(crate) fn acks(&self, row: usize) -> Option<Acks> {
        let asked = |row: usize| {
            let acks = self.history.extra(row)?.ext.get("acks")?;
            match acks.as_i64() {
                Some(n) => n.to_string().parse().ok(),
                None => acks.as_str()?.parse().ok(),
            }
        };
        asked(row).or_else(|| self.history.pair(row).and_then(asked))
    }

    /// How the operation at `row` is spoken of: "send 4071", "poll 5120", "transaction 7".
    pub(crate) fn op(&self, row: usize) -> String {
        let what = match self.history.f(row) {
            F::Txn if self.promises.config.transactional == Some(false) => "operation",
            F::Txn => "transaction",
            other => other.as_str(),
        };
        format!("{what} {row}")
    }

    /// "(0.4 s after node 2 was killed while leading orders-2)" and the fault's number, if a fault is around `row`.
    pub(crate) fn fault_around(&self, row: usize) -> (String, Option<u64>) {
        self.related(self.history.time(row).and_then(|t| self.around.around(t)))
    }

    /// The same with the fault whose beginning is nearest to `row`, for what a fault destroys.
    pub(crate) fn fault_near(&self, row: usize) -> (String, Option<u64>) {
        self.related(self.history.time(row).and_then(|t| self.around.beginning_near(t)))
    }

    fn related(&self, found: Option<(&crate::faults::Fault, i64)>) -> (String, Option<u64>) {
        match found {
            None => (String::new(), None),
            Some((fault, after)) => {
                let side = if after < 0 { "before" } else { "after" };
                let text = format!(" ({} {side} {})", words::duration(after), fault.phrase());
                (text, Some(fault.id))
            }
        }
    }

    /// Whether the operation that completed at `row` is ok.
    pub(crate) fn is_ok(&self, row: usize) -> bool {
        self.history.kind(row) == Kind::Ok
    }

    /// The value with its place, for sentences: "value 17 at offset 118 of orders-2".
    pub(crate) fn placed(&self, key: KeyId, slot: Slot, offset: Option<i64>) -> String {
        let table = self.index.key(key);
        let value = self.value(table, slot);
        match offset.or_else(|| table.index(slot).map(|i| table.offset_at(i))) {
            Some(offset) => format!("value {value} at offset {offset} of {}", self.key(key)),
            None => format!("value {value} of {}", self.key(key)),
        }
    }

    /// An example about no value.
    pub(crate) fn note(
        &self,
        key: Option<&str>,
        offset: Option<i64>,
        ops: impl IntoIterator<Item = usize>,
        sentence: String,
    ) -> Example {
        let mut ops: Vec<u64> = ops.into_iter().map(|row| row as u64).collect();
        ops.dedup();
        let key = key.map(str::to_owned);
        Example { sentence, key, offset, value: None, ops, fault: None, more: Map::new() }
    }

    /// An example about one value.
    pub(crate) fn example(
        &self,
        key: KeyId,
        slot: Slot,
        offset: Option<i64>,
        ops: impl IntoIterator<Item = usize>,
        sentence: String,
    ) -> Example {
        let table = self.index.key(key);
        let mut ops: Vec<u64> = ops.into_iter().map(|row| row as u64).collect();
        ops.dedup();
        Example {
            sentence,
            key: Some(self.key(key)),
            offset: offset.or_else(|| table.index(slot).map(|i| table.offset_at(i))),
            value: Some(self.value(table, slot)),
            ops,
            fault: None,
            more: Map::new(),
        }
    }
}
