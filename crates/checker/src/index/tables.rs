//! Maps from offsets and values to slots: an array where the numbers are dense, a hash map where they are not.

use super::NONE;
use rustc_hash::FxHashMap;

/// The smallest and largest of the numbers shown to it, and how many there were.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    min: i64,
    max: i64,
    count: u64,
}

impl Default for Span {
    fn default() -> Self {
        Span { min: i64::MAX, max: i64::MIN, count: 0 }
    }
}

impl Span {
    /// Takes one number into account.
    pub(super) fn show(&mut self, n: i64) {
        self.min = self.min.min(n);
        self.max = self.max.max(n);
        self.count += 1;
    }

    /// Counts numbers that lie inside of what was shown.
    pub(super) fn count(&mut self, n: u64) {
        self.count += n;
    }
}

/// From numbers to slots.
#[derive(Debug, Default)]
pub(super) struct NumberMap {
    base: i64,
    direct: Vec<u32>,
    sparse: FxHashMap<i64, u32>,
}

/// An array is chosen if at least one in this many of its entries will be used.
const ENTRIES_PER_NUMBER_MAX: u64 = 8;
/// An array of up to this many entries is always chosen.
const ENTRIES_FREE: u64 = 1024;

impl NumberMap {
    /// A map that suits numbers within `span`; others may be put in as well.
    pub(super) fn for_span(span: Span) -> Self {
        let width = (i128::from(span.max) - i128::from(span.min) + 1).max(0);
        let limit = span.count.saturating_mul(ENTRIES_PER_NUMBER_MAX).saturating_add(ENTRIES_FREE);
        match usize::try_from(width) {
            Ok(n) if n > 0 && width <= i128::from(limit) => {
                NumberMap { base: span.min, direct: vec![NONE; n], sparse: FxHashMap::default() }
            }
            _ => NumberMap::default(),
        }
    }

    fn place(&self, n: i64) -> Option<usize> {
        usize::try_from(n.checked_sub(self.base)?).ok().filter(|at| *at < self.direct.len())
    }

    /// The slot of this number, or [`NONE`].
    pub(super) fn get(&self, n: i64) -> u32 {
        match self.place(n) {
            Some(at) => self.direct[at],
            None if self.sparse.is_empty() => NONE,
            None => self.sparse.get(&n).copied().unwrap_or(NONE),
        }
    }

    /// Sets the slot of this number.
    pub(super) fn set(&mut self, n: i64, slot: u32) {
        match self.place(n) {
            Some(at) => self.direct[at] = slot,
            None => {
                self.sparse.insert(n, slot);
            }
        }
    }

    /// All numbers that have a slot, ascending.
    pub(super) fn sorted(&self) -> Vec<(i64, u32)> {
        // An inclusive range ends with the last number, where an open one would go beyond the greatest there is.
        let direct = (self.base..=i64::MAX).zip(&self.direct).filter(|(_, slot)| **slot != NONE);
        let mut all: Vec<(i64, u32)> = direct.map(|(n, slot)| (n, *slot)).collect();
        if !self.sparse.is_empty() {
            all.extend(self.sparse.iter().map(|(n, slot)| (*n, *slot)));
            all.sort_unstable();
        }
        all
    }
}
