//! What is remembered of each topic-partition: a window of values and places.

use super::places::{Place, Places};
use indexmap::IndexMap;
use perjury_history::Scalar;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::collections::VecDeque;

/// What is known of one value of one topic-partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// The event of its invocation, or of its completion where there is no invocation.
    pub(super) sent: Option<u64>,
    /// The event of its ok acknowledgement.
    pub(super) acknowledged: Option<u64>,
    /// The event at which its send failed.
    pub(super) failed: Option<u64>,
    /// The first ok operation that read it.
    pub(super) read: Option<u64>,
    /// Where it stands.
    pub(super) offset: Option<i64>,
    /// Several operations sent it.
    pub(super) again: bool,
    /// It is listed as standing twice.
    pub(super) twice: bool,
    /// It is counted as passed over.
    pub(super) passed: bool,
}

/// One topic-partition.
#[derive(Debug, Default)]
pub(super) struct Key {
    /// Values come and go here at the same pace for hours. In a plain hash map what goes leaves marks behind, for which
    /// a map that is nearly full doubles in the end; here only its index of nine bytes an entry does.
    pub(super) values: IndexMap<Scalar, Known, FxBuildHasher>,
    pub(super) places: Places,
    /// The highest offset that was forgotten: what stands at or below it is not judged.
    pub(super) floor: Option<i64>,
    /// Something was forgotten: a value that is read now may be it.
    pub(super) is_hazy: bool,
    /// Some value stands twice or some offset holds two: then order is no matter of offsets alone.
    pub(super) is_odd: bool,
    /// The highest acknowledged offset, and its event.
    pub(super) highest: Option<(i64, u64)>,
    /// The highest offset that an ok operation read.
    pub(super) reached: Option<i64>,
}

/// All topic-partitions, with one window for all.
#[derive(Debug)]
pub(super) struct Keys {
    /// How many values are remembered between two events.
    window: usize,
    numbers: FxHashMap<Scalar, usize>,
    names: Vec<Scalar>,
    keys: Vec<Key>,
    order: VecDeque<(usize, Scalar)>,
}

impl Key {
    /// Whether an offset lies where things were forgotten.
    pub(super) fn is_forgotten(&self, offset: i64) -> bool {
        self.floor.is_some_and(|floor| offset <= floor)
    }

    /// A place strictly between two offsets, if one is known.
    pub(super) fn between(&self, from: i64, to: i64) -> Option<(i64, &Place)> {
        let first = from.checked_add(1)?;
        self.places.range(first, to).next()
    }
}

impl Keys {
    /// Nothing remembered yet, and at most `window` values between two events.
    pub(super) fn new(window: usize) -> Self {
        let window = window.max(1);
        // One event may bring many values before the oldest are forgotten. A ring that doubled for them would go on to
        // fill its new half while nothing more is remembered, which looks like a leak.
        let order = VecDeque::with_capacity(window + window / 8 + 1);
        Keys { window, numbers: FxHashMap::default(), names: Vec::new(), keys: Vec::new(), order }
    }

    /// The number of this topic-partition.
    pub(super) fn number(&mut self, key: &Scalar) -> usize {
        if let Some(n) = self.numbers.get(key) {
            return *n;
        }
        let n = self.keys.len();
        self.numbers.insert(key.clone(), n);
        self.names.push(key.clone());
        self.keys.push(Key::default());
        n
    }

    pub(super) fn name(&self, n: usize) -> &Scalar {
        &self.names[n]
    }

    pub(super) fn get(&self, n: usize) -> &Key {
        &self.keys[n]
    }

    pub(super) fn get_mut(&mut self, n: usize) -> &mut Key {
        &mut self.keys[n]
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// What is known of the value, remembered from now on.
    pub(super) fn value(&mut self, n: usize, value: &Scalar) -> &mut Known {
        if !self.keys[n].values.contains_key(value) {
            self.order.push_back((n, value.clone()));
        }
        self.keys[n].values.entry(value.clone()).or_default()
    }

    /// How many values are remembered.
    pub(super) fn remembered(&self) -> usize {
        self.order.len()
    }

    /// Forgets the oldest values beyond the window.
    pub(super) fn forget(&mut self) {
        while self.order.len() > self.window {
            let Some((n, value)) = self.order.pop_front() else { return };
            let key = &mut self.keys[n];
            let Some(known) = key.values.swap_remove(&value) else { continue };
            key.is_hazy = true;
            key.floor = key.floor.max(known.offset);
            // A value that stands twice is known by one of its offsets: all below the floor goes, not that one alone.
            if let Some(floor) = key.floor {
                key.places.forget(floor);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_takes_no_more_room_the_longer_it_goes_on() {
        // A hash map for 1,792 entries that is as good as full.
        const WINDOW: usize = 1_780;
        let mut keys = Keys::new(WINDOW);
        let n = keys.number(&"t-0".into());
        let mut room = [0, 0];
        for i in 0..200_000i64 {
            keys.value(n, &i.into()).offset = Some(i);
            keys.forget();
            assert!(keys.order.capacity() < WINDOW * 5 / 4);
            let most = &mut room[usize::from(i >= 1_800)];
            *most = keys.get(n).values.capacity().max(*most);
        }
        assert!(room[1] <= room[0], "{room:?}");
        assert_eq!(keys.remembered(), WINDOW);
    }

    #[test]
    fn values_that_stand_twice_are_forgotten_with_all_their_places() {
        let mut keys = Keys::new(10);
        let n = keys.number(&"t-0".into());
        for i in 0..100i64 {
            keys.value(n, &i.into()).offset = Some(2 * i);
            for offset in [2 * i, 2 * i + 1] {
                let place = Place { value: i.into(), event: 0, polled: true, torn: false };
                keys.get_mut(n).places.get_or_insert(offset, || place);
            }
            keys.forget();
        }
        assert_eq!(keys.remembered(), 10);
        // The ten remembered ones, and the second place of the one that was forgotten last.
        assert_eq!(keys.get(n).places.len(), 21);
    }
}
