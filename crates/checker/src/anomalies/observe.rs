//! Who saw which value at which offset: looked up for the few places that an example speaks of.

use crate::context::Context;
use crate::index::{Slot, reads_count, writes_count};
use perjury_history::{KeyId, MopRef};
use rustc_hash::FxHashMap;

/// The rows that put one value at one offset.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// The completion whose send was answered with this offset.
    pub(super) sent: Option<usize>,
    /// The first completion that polled it there.
    pub(super) polled: Option<usize>,
}

impl Seen {
    /// The row that shows it best: a poll, else the acknowledgement.
    pub(super) fn row(self) -> Option<usize> {
        self.polled.or(self.sent)
    }
}

/// What was seen at the wanted places.
#[derive(Debug, Default)]
pub(super) struct Observations {
    seen: FxHashMap<(KeyId, i64, Slot), Seen>,
}

impl Observations {
    /// Walks the history once for these places, given as offsets by key.
    pub(super) fn collect(
        ctx: &Context<'_>,
        wanted: impl IntoIterator<Item = (KeyId, i64)>,
    ) -> Self {
        let mut by_key: Vec<Vec<i64>> = vec![Vec::new(); ctx.index.keys_len()];
        let mut any = false;
        for (key, offset) in wanted {
            by_key[key.index()].push(offset);
            any = true;
        }
        let mut found = Observations::default();
        if !any {
            return found;
        }
        by_key.iter_mut().for_each(|offsets| offsets.sort_unstable());
        let is_wanted = |key: KeyId, offset: i64| {
            let offsets = &by_key[key.index()];
            let inside = offsets.first().is_some_and(|o| *o <= offset)
                && offsets.last().is_some_and(|o| *o >= offset);
            inside && offsets.binary_search(&offset).is_ok()
        };
        for i in ctx.index.data_completions() {
            found.look(ctx, i, &is_wanted);
        }
        found
    }

    fn look(&mut self, ctx: &Context<'_>, i: usize, is_wanted: &impl Fn(KeyId, i64) -> bool) {
        let f = ctx.history.f(i);
        for mop in ctx.history.mops(i) {
            match mop {
                MopRef::Send { key, value, offset: Some(offset), .. }
                    if writes_count(f) && is_wanted(key, offset) =>
                {
                    if let Some(slot) = ctx.index.key(key).slot_of(value) {
                        self.seen.entry((key, offset, slot)).or_default().sent.get_or_insert(i);
                    }
                }
                MopRef::Poll(Some(poll)) if reads_count(f) => {
                    for group in poll.groups() {
                        let table = ctx.index.key(group.key);
                        let records = group.iter().filter_map(|(o, v)| Some((o?, v)));
                        for (offset, value) in records.filter(|(o, _)| is_wanted(group.key, *o)) {
                            if let Some(slot) = table.slot_of_record(Some(offset), value) {
                                let place = (group.key, offset, slot);
                                self.seen.entry(place).or_default().polled.get_or_insert(i);
                            }
                        }
                    }
                }
                MopRef::Send { .. } | MopRef::Poll(_) => {}
            }
        }
    }

    /// Who saw this value there.
    pub(super) fn get(&self, key: KeyId, offset: i64, slot: Slot) -> Seen {
        self.seen.get(&(key, offset, slot)).copied().unwrap_or_default()
    }

    /// How it was seen, in words: "acknowledged by send 12 and polled by poll 30".
    pub(super) fn words(&self, ctx: &Context<'_>, key: KeyId, offset: i64, slot: Slot) -> String {
        let seen = self.get(key, offset, slot);
        let sent = seen.sent.map(|row| {
            let verb = if ctx.is_ok(row) { "acknowledged by" } else { "written by" };
            format!("{verb} {}", ctx.op(row))
        });
        let polled = seen.polled.map(|row| format!("returned by {}", ctx.op(row)));
        let parts: Vec<String> = sent.into_iter().chain(polled).collect();
        crate::words::list(&parts)
    }
}
