//! What is remembered of each topic-partition: a window of values and places.

use perjury_history::Scalar;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, VecDeque};

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

/// One topic-partition.
#[derive(Debug, Default)]
pub(super) struct Key {
    pub(super) values: FxHashMap<Scalar, Known>,
    pub(super) places: BTreeMap<i64, Place>,
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
#[derive(Debug, Default)]
pub(super) struct Keys {
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
        let range = (first < to).then(|| self.places.range(first..to))?;
        range.map(|(offset, place)| (*offset, place)).next()
    }
}

impl Keys {
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

    /// Forgets the oldest values beyond `window`.
    pub(super) fn forget(&mut self, window: usize) {
        while self.order.len() > window.max(1) {
            let Some((n, value)) = self.order.pop_front() else { return };
            let key = &mut self.keys[n];
            let Some(known) = key.values.remove(&value) else { continue };
            key.is_hazy = true;
            if let Some(offset) = known.offset {
                key.places.remove(&offset);
                key.floor = key.floor.max(Some(offset));
            }
        }
    }
}
