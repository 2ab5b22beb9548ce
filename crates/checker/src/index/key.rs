//! The tables of one key.

use super::NONE;
use super::tables::{NumberMap, Span};
use perjury_history::{Kind, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

/// A value of one key: the position in that key's per-value arrays, dense from 0 in order of first appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u32);

impl Slot {
    /// The position in per-value arrays.
    pub(crate) fn at(self) -> usize {
        self.0 as usize
    }
}

const SENT_OK: u8 = 1;
const SENT_FAIL: u8 = 1 << 1;
const SENT_INFO: u8 = 1 << 2;
const SENT_OPEN: u8 = 1 << 3;
const SENT_AGAIN: u8 = 1 << 4;
const POLLED: u8 = 1 << 5;
/// The value stands at several places, or at one where another value was picked: see `KeyIndex::odd`.
const ODD: u8 = 1 << 6;
/// An invocation that never completed sent the value, whatever else did.
const EVER_OPEN: u8 = 1 << 7;

/// What is known of one key.
#[derive(Debug, Default)]
pub(crate) struct KeyIndex {
    by_offset: NumberMap,
    by_value: NumberMap,
    values: Vec<i64>,
    writers: Vec<u32>,
    first_reads: Vec<u32>,
    indices: Vec<u32>,
    flags: Vec<u8>,
    /// The picked slot of each place, in offset order.
    picked: Vec<u32>,
    offsets: Vec<i64>,
    /// Places of the slots that are not simply at the one place where they were picked, ascending.
    odd: FxHashMap<u32, Vec<u32>>,
    /// Places with several values, ascending by place; the values ascend by slot.
    conflicts: Vec<(u32, Vec<u32>)>,
    /// Further values at offsets that `by_offset` gives another value for. Emptied by `finish`.
    extra: FxHashSet<(i64, u32)>,
    /// Sends of info operations: row, offset, slot. Emptied by `finish`.
    pending: Vec<(u32, i64, u32)>,
}

impl KeyIndex {
    /// All slots, ascending.
    pub(crate) fn slots(&self) -> impl ExactSizeIterator<Item = Slot> + use<> {
        let len = u32::try_from(self.values.len()).unwrap_or(NONE);
        (0..len).map(Slot)
    }

    /// The slot of a value, if the value appears for this key.
    pub(crate) fn slot_of(&self, value: ValueId) -> Option<Slot> {
        some(self.by_value.get(value.0)).map(Slot)
    }

    /// The slot of a polled record; the offset makes it quick.
    pub(crate) fn slot_of_record(&self, offset: Option<i64>, value: ValueId) -> Option<Slot> {
        if let Some(offset) = offset {
            let slot = self.by_offset.get(offset);
            if slot != NONE && self.values[slot as usize] == value.0 {
                return Some(Slot(slot));
            }
        }
        self.slot_of(value)
    }

    /// The value of a slot.
    pub(crate) fn value(&self, slot: Slot) -> ValueId {
        ValueId(self.values[slot.at()])
    }

    /// The row of the last completion that sent the value, whatever its type.
    pub(crate) fn writer(&self, slot: Slot) -> Option<usize> {
        if self.flags[slot.at()] & SENT_OPEN != 0 {
            return None;
        }
        some(self.writers[slot.at()]).map(|row| row as usize)
    }

    /// The row of the invocation that sent the value and never completed, if there is no completion.
    pub(crate) fn open_writer(&self, slot: Slot) -> Option<usize> {
        if self.flags[slot.at()] & SENT_OPEN == 0 {
            return None;
        }
        some(self.writers[slot.at()]).map(|row| row as usize)
    }

    /// The row of the first ok operation that polled the value.
    pub(crate) fn first_read(&self, slot: Slot) -> Option<usize> {
        some(self.first_reads[slot.at()]).map(|row| row as usize)
    }

    /// Whether any completion, of whatever type, polled the value.
    pub(crate) fn was_polled(&self, slot: Slot) -> bool {
        self.flags[slot.at()] & POLLED != 0
    }

    /// Whether a completion of this kind sent the value.
    pub(crate) fn was_sent(&self, slot: Slot, kind: Kind) -> bool {
        let bit = match kind {
            Kind::Ok => SENT_OK,
            Kind::Fail => SENT_FAIL,
            Kind::Info => SENT_INFO,
            Kind::Invoke => SENT_OPEN,
        };
        self.flags[slot.at()] & bit != 0
    }

    /// Whether several operations sent the value, against the rule that values are unique.
    pub(crate) fn was_sent_again(&self, slot: Slot) -> bool {
        self.flags[slot.at()] & SENT_AGAIN != 0
    }

    /// Whether every offset holds one value and every value stands at one offset at most. Then what was polled at
    /// consecutive offsets has consecutive indices.
    pub(crate) fn is_plain(&self) -> bool {
        self.conflicts.is_empty() && self.odd.is_empty()
    }

    /// The picked value at an offset.
    pub(crate) fn slot_at_offset(&self, offset: i64) -> Option<Slot> {
        some(self.by_offset.get(offset)).map(Slot)
    }

    /// How many places there are: the length of the version order.
    pub(crate) fn len(&self) -> usize {
        self.picked.len()
    }

    /// The picked value of each place: the version order.
    pub(crate) fn picked(&self) -> impl ExactSizeIterator<Item = Slot> + '_ {
        self.picked.iter().map(|s| Slot(*s))
    }

    /// The picked value of one place.
    pub(crate) fn picked_at(&self, index: u32) -> Slot {
        Slot(self.picked[index as usize])
    }

    /// The offset of a place.
    pub(crate) fn offset_at(&self, index: u32) -> i64 {
        self.offsets[index as usize]
    }

    /// The index of a value in the version order: the highest at which it was picked.
    pub(crate) fn index(&self, slot: Slot) -> Option<u32> {
        some(self.indices[slot.at()])
    }

    /// The first and the last place of a value in the log, picked or not.
    pub(crate) fn first_and_last(&self, slot: Slot) -> Option<(u32, u32)> {
        if self.flags[slot.at()] & ODD != 0 {
            let places = self.odd.get(&slot.0)?;
            return Some((*places.first()?, *places.last()?));
        }
        self.index(slot).map(|i| (i, i))
    }

    /// All places of a value in the log, ascending.
    pub(crate) fn places(&self, slot: Slot) -> Vec<u32> {
        match self.odd.get(&slot.0) {
            Some(places) => places.clone(),
            None => self.index(slot).into_iter().collect(),
        }
    }

    /// The values that stand at more than one place, ascending.
    pub(crate) fn duplicated(&self) -> Vec<Slot> {
        let several = self.odd.iter().filter(|(_, places)| places.len() > 1);
        let mut slots: Vec<Slot> = several.map(|(slot, _)| Slot(*slot)).collect();
        slots.sort_unstable();
        slots
    }

    /// The places with several values, ascending; the values ascend by slot.
    pub(crate) fn conflicts(&self) -> impl ExactSizeIterator<Item = (u32, &[u32])> + '_ {
        self.conflicts.iter().map(|(index, slots)| (*index, slots.as_slice()))
    }

    /// All values that stand at a place, ascending by slot.
    pub(crate) fn values_at(&self, index: u32) -> Vec<Slot> {
        match self.conflicts.binary_search_by_key(&index, |(i, _)| *i) {
            Ok(at) => self.conflicts[at].1.iter().map(|s| Slot(*s)).collect(),
            Err(_) => vec![self.picked_at(index)],
        }
    }

    /// The first index whose offset is at least `offset`.
    pub(crate) fn index_from(&self, offset: i64) -> u32 {
        u32::try_from(self.offsets.partition_point(|o| *o < offset)).unwrap_or(NONE)
    }
}

/// Building.
impl KeyIndex {
    /// An empty table that suits these spans of offsets and values.
    pub(super) fn new(offsets: Span, values: Span) -> Self {
        KeyIndex {
            by_offset: NumberMap::for_span(offsets),
            by_value: NumberMap::for_span(values),
            ..KeyIndex::default()
        }
    }

    fn intern(&mut self, value: ValueId) -> u32 {
        let known = self.by_value.get(value.0);
        if known != NONE {
            return known;
        }
        let slot = u32::try_from(self.values.len()).unwrap_or(NONE - 1);
        self.by_value.set(value.0, slot);
        self.values.push(value.0);
        self.writers.push(NONE);
        self.first_reads.push(NONE);
        self.indices.push(NONE);
        self.flags.push(0);
        slot
    }

    /// Takes in a send of an invocation that never completes.
    pub(super) fn send_open(&mut self, row: u32, value: ValueId) {
        let slot = self.intern(value);
        self.flags[slot as usize] |= EVER_OPEN;
        if self.writers[slot as usize] == NONE {
            self.writers[slot as usize] = row;
            self.flags[slot as usize] |= SENT_OPEN;
        } else {
            self.flags[slot as usize] |= SENT_AGAIN;
        }
    }

    /// Takes in a send of a completion.
    pub(super) fn send(&mut self, row: u32, kind: Kind, value: ValueId, offset: Option<i64>) {
        let slot = self.intern(value);
        let flags = &mut self.flags[slot as usize];
        if self.writers[slot as usize] != NONE && *flags & SENT_OPEN == 0 {
            *flags |= SENT_AGAIN;
        }
        *flags &= !SENT_OPEN;
        *flags |= match kind {
            Kind::Ok => SENT_OK,
            Kind::Fail => SENT_FAIL,
            Kind::Info | Kind::Invoke => SENT_INFO,
        };
        self.writers[slot as usize] = row;
        match (kind, offset) {
            (Kind::Ok, Some(offset)) => self.put(offset, slot),
            (Kind::Info, Some(offset)) => self.pending.push((row, offset, slot)),
            _ => {}
        }
    }

    /// Takes in a polled record of a completion.
    pub(super) fn record(&mut self, row: u32, ok: bool, offset: Option<i64>, value: ValueId) {
        let slot = match offset {
            None => self.intern(value),
            Some(offset) => {
                let known = self.by_offset.get(offset);
                if known != NONE && self.values[known as usize] == value.0 {
                    known
                } else {
                    let slot = self.intern(value);
                    self.put(offset, slot);
                    slot
                }
            }
        } as usize;
        self.flags[slot] |= POLLED;
        if ok && self.first_reads[slot] == NONE {
            self.first_reads[slot] = row;
        }
    }

    fn put(&mut self, offset: i64, slot: u32) {
        let there = self.by_offset.get(offset);
        if there == NONE {
            self.by_offset.set(offset, slot);
        } else if there != slot {
            self.extra.insert((offset, slot));
        }
    }

    /// Takes in the table of the same key over the rows that follow, as if this one had gone on there. Neither is ordered
    /// yet.
    pub(crate) fn absorb(&mut self, next: KeyIndex) {
        if self.values.is_empty() {
            *self = next;
            return;
        }
        let mut slots = Vec::with_capacity(next.values.len());
        for (at, value) in next.values.iter().enumerate() {
            let slot = self.intern(ValueId(*value));
            self.join(slot as usize, &next, at);
            slots.push(slot);
        }
        let slot_of = |slot: u32| slots[slot as usize];
        for (offset, slot) in next.by_offset.sorted() {
            self.put(offset, slot_of(slot));
        }
        let mut extra: Vec<(i64, u32)> = next.extra.into_iter().collect();
        extra.sort_unstable();
        for (offset, slot) in extra {
            self.put(offset, slot_of(slot));
        }
        self.pending
            .extend(next.pending.iter().map(|(row, offset, s)| (*row, *offset, slot_of(*s))));
    }

    /// What the rows that follow know of one value.
    fn join(&mut self, slot: usize, next: &KeyIndex, at: usize) {
        let flags = next.flags[at];
        let known = self.writers[slot] != NONE;
        if known && flags & EVER_OPEN != 0 {
            self.flags[slot] |= SENT_AGAIN;
        }
        self.flags[slot] |= flags & !SENT_OPEN;
        if flags & SENT_OPEN != 0 {
            if !known {
                self.writers[slot] = next.writers[at];
                self.flags[slot] |= SENT_OPEN;
            }
        } else if next.writers[at] != NONE {
            if known && self.flags[slot] & SENT_OPEN == 0 {
                self.flags[slot] |= SENT_AGAIN;
            }
            self.flags[slot] &= !SENT_OPEN;
            self.writers[slot] = next.writers[at];
        }
        if self.first_reads[slot] == NONE {
            self.first_reads[slot] = next.first_reads[at];
        }
    }

    /// Orders the log, once it is known which info operations (by row) must have committed.
    pub(super) fn finish(&mut self, committed: impl Fn(u32) -> bool) {
        for (row, offset, slot) in std::mem::take(&mut self.pending) {
            if committed(row) {
                self.put(offset, slot);
            }
        }
        let first = self.by_offset.sorted();
        let mut extra: Vec<(i64, u32)> = std::mem::take(&mut self.extra).into_iter().collect();
        extra.sort_unstable();
        self.picked.reserve_exact(first.len());
        self.offsets.reserve_exact(first.len());
        let mut extra = extra.as_slice();
        for (index, (offset, slot)) in (0u32..).zip(first) {
            self.offsets.push(offset);
            let here = extra.partition_point(|(o, _)| *o == offset);
            if here == 0 {
                self.picked.push(slot);
                self.stand(slot, index, true);
                continue;
            }
            let mut slots: Vec<u32> = extra[..here].iter().map(|(_, s)| *s).collect();
            extra = &extra[here..];
            slots.push(slot);
            slots.sort_unstable();
            self.picked.push(slots[0]);
            self.by_offset.set(offset, slots[0]);
            for slot in &slots {
                self.stand(*slot, index, *slot == slots[0]);
            }
            self.conflicts.push((index, slots));
        }
        self.values.shrink_to_fit();
    }

    /// Notes that a value stands at a place. Places come in ascending order.
    fn stand(&mut self, slot: u32, index: u32, picked: bool) {
        let at = slot as usize;
        let before = self.indices[at];
        if self.flags[at] & ODD != 0 {
            self.odd.entry(slot).or_default().push(index);
        } else if before != NONE || !picked {
            self.flags[at] |= ODD;
            self.odd.insert(slot, some(before).into_iter().chain([index]).collect());
        }
        if picked {
            self.indices[at] = index;
        }
    }
}

fn some(n: u32) -> Option<u32> {
    (n != NONE).then_some(n)
}
