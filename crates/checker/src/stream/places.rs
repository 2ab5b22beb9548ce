//! What stands at the offsets of one topic-partition.

use perjury_history::Scalar;
use std::collections::VecDeque;

/// What stands at one offset.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) value: Scalar,
    /// The event that shows it.
    pub(super) event: u64,
    pub(super) polled: bool,
    /// It is listed as holding two values.
    pub(super) torn: bool,
}

/// Places in ascending order of their offsets, in one block of memory: a tree's many small nodes, each kept for minutes,
/// would lie scattered among what clients allocate and free meanwhile, and hold its pages back. Offsets come almost in order,
/// and so a place is put at the end or near it.
#[derive(Debug, Default)]
pub(super) struct Places {
    ring: VecDeque<(i64, Place)>,
}

impl Places {
    /// The index of this offset, or where it would be put.
    fn find(&self, offset: i64) -> Result<usize, usize> {
        match self.ring.back() {
            Some((last, _)) if *last < offset => Err(self.ring.len()),
            _ => self.ring.binary_search_by_key(&offset, |(offset, _)| *offset),
        }
    }

    /// What stands there.
    pub(super) fn get(&self, offset: i64) -> Option<&Place> {
        self.find(offset).ok().map(|at| &self.ring[at].1)
    }

    /// What stands there; if nothing is known, `place` from now on.
    pub(super) fn get_or_insert(
        &mut self,
        offset: i64,
        place: impl FnOnce() -> Place,
    ) -> &mut Place {
        let at = self.find(offset).unwrap_or_else(|at| {
            // In a ring that doubled, the second half would fill while no more places are known than before.
            if self.ring.len() == self.ring.capacity() {
                self.ring.reserve_exact(self.ring.len() / 8 + 16);
            }
            self.ring.insert(at, (offset, place()));
            at
        });
        &mut self.ring[at].1
    }

    /// The places from an offset on and before another, ascending.
    pub(super) fn range(&self, from: i64, to: i64) -> impl Iterator<Item = (i64, &Place)> {
        let at = |offset| self.find(offset).unwrap_or_else(|at| at);
        let start = at(from);
        self.ring.range(start..at(to).max(start)).map(|(offset, place)| (*offset, place))
    }

    /// Forgets all places up to this offset.
    pub(super) fn forget(&mut self, floor: i64) {
        while self.ring.front().is_some_and(|(offset, _)| *offset <= floor) {
            self.ring.pop_front();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn place(event: u64) -> Place {
        Place { value: 0.into(), event, polled: false, torn: false }
    }

    proptest! {
        #[test]
        fn as_in_a_sorted_map(steps in prop::collection::vec((0..4u8, -40..40i64, 0..40i64), 1..200)) {
            let (mut places, mut known) = (Places::default(), BTreeMap::new());
            for (event, (step, offset, more)) in (0u64..).zip(steps) {
                match step {
                    0 | 1 => {
                        places.get_or_insert(offset, || place(event));
                        known.entry(offset).or_insert(event);
                    }
                    2 => prop_assert_eq!(
                        places.range(offset, offset + more).map(|(o, p)| (o, p.event)).collect::<Vec<_>>(),
                        known.range(offset..offset + more).map(|(o, e)| (*o, *e)).collect::<Vec<_>>()
                    ),
                    _ => {
                        places.forget(offset - 30);
                        known.retain(|o, _| *o > offset - 30);
                    }
                }
                prop_assert_eq!(places.len(), known.len());
                prop_assert_eq!(places.get(offset).map(|p| p.event), known.get(&offset).copied());
            }
        }
    }
}
