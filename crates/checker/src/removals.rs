//! What may be gone from a log without anything being lost: superseded records of compacted topics, tombstones, and
//! records that somebody asked to delete.
//!
//! On a compacted topic (`compacted` in the header's configuration) sends say beside their values which record key they
//! carry (`record_key`) and whether they are a tombstone (`tombstone`).

use crate::context::Context;
use crate::index::{KeyIndex, Slot};
use crate::observed::{beside, word};
use perjury_history::{KeyId, Kind};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// One send to a record key of a compacted topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keyed {
    /// The value.
    pub(crate) slot: Slot,
    /// Its last offset in the log, if anybody saw one.
    pub(crate) offset: Option<i64>,
    /// Whether it deletes the key.
    pub(crate) tombstone: bool,
    /// The row of the completion, else of the invocation.
    pub(crate) row: usize,
    /// Whether it was acknowledged.
    pub(crate) acknowledged: bool,
}

/// All sends to one record key that happened or may have.
#[derive(Debug, Default)]
pub(crate) struct Register {
    /// By offset; those without one come first.
    pub(crate) sends: Vec<Keyed>,
}

/// What may be gone.
#[derive(Debug, Default)]
pub(crate) struct Removals {
    /// For compacted topics: the sends by topic-partition and record key.
    pub(crate) registers: BTreeMap<(KeyId, String), Register>,
    superseded: FxHashMap<(KeyId, Slot), bool>,
    deleted: FxHashMap<KeyId, i64>,
}

impl Removals {
    /// Reads what the history says of keys and deletions.
    pub(crate) fn find(ctx: &Context<'_>) -> Self {
        let mut all = Removals::default();
        for (key, below) in &ctx.observed().deleted {
            if let Some(id) = ctx.key_named(key) {
                all.deleted.insert(id, *below);
            }
        }
        if ctx.promises.config.compacted != Some(true) {
            return all;
        }
        for (id, key) in ctx.index.keys() {
            for slot in key.slots() {
                if let Some((name, send)) = keyed(ctx, key, slot) {
                    all.registers.entry((id, name)).or_default().sends.push(send);
                }
            }
        }
        for ((id, _), register) in &mut all.registers {
            register.sends.sort_by_key(|send| send.offset);
            let highest = register.sends.last().and_then(|send| send.offset);
            let anywhere = register.sends.iter().filter(|send| send.offset.is_none()).count();
            for send in &register.sends {
                let others = anywhere - usize::from(send.offset.is_none());
                let gone = send.tombstone || others > 0 || send.offset < highest;
                all.superseded.insert((*id, send.slot), gone);
            }
        }
        all
    }

    /// Whether the record may be gone although it was in the log: it was superseded, or may have been; it is a tombstone;
    /// or records up to beyond it were to be deleted. A record of a compacted topic of whose key nothing is known stays.
    pub(crate) fn may_be_gone(&self, id: KeyId, key: &KeyIndex, slot: Slot) -> bool {
        if self.superseded.get(&(id, slot)).copied().unwrap_or(false) {
            return true;
        }
        let Some(below) = self.deleted.get(&id) else { return false };
        // Where it stood is not known: it may have been anywhere.
        key.first_and_last(slot).is_none_or(|(first, _)| key.offset_at(first) < *below)
    }
}

/// The record key of a value that was sent and did not fail, and what is known of it.
fn keyed(ctx: &Context<'_>, key: &KeyIndex, slot: Slot) -> Option<(String, Keyed)> {
    let completion = key.writer(slot);
    let row = completion.or_else(|| key.open_writer(slot))?;
    let offset = key.first_and_last(slot).map(|(_, last)| key.offset_at(last));
    let kind = ctx.history.kind(row);
    if kind == Kind::Fail && offset.is_none() {
        return None;
    }
    let name = word(beside(ctx.history, row, "record_key")?);
    let tombstone = beside(ctx.history, row, "tombstone").is_some_and(|t| t == true);
    let acknowledged = kind == Kind::Ok;
    Some((name, Keyed { slot, offset, tombstone, row, acknowledged }))
}
