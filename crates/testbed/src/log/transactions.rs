//! Which transactions a log holds: those that are open, and those that were aborted. Derived from the
//! log alone, so every replica has it.

use std::collections::{BTreeMap, VecDeque};

use super::batch::BatchHeader;

/// An aborted transaction of one producer on one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    /// The first record.
    pub(crate) first_offset: i64,
    /// The marker.
    pub(crate) last_offset: i64,
}

/// The transactions of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TransactionIndex {
    /// The first offset of each open transaction, by producer.
    open: BTreeMap<i64, i64>,
    /// First and marker offset of transactions whose marker may not be committed yet, oldest marker
    /// first.
    ended: VecDeque<(i64, i64)>,
    /// By marker offset.
    aborted: Vec<Aborted>,
}

impl TransactionIndex {
    /// Notes a batch that is in the log.
    pub(crate) fn record(&mut self, header: &BatchHeader) {
        if !header.is_transactional() {
            return;
        }
        let Some(marker) = header.marker else {
            self.open.entry(header.producer_id).or_insert(header.base_offset);
            return;
        };
        let Some(first_offset) = self.open.remove(&header.producer_id) else { return };
        self.ended.push_back((first_offset, header.base_offset));
        if !marker.commit {
            let (producer_id, last_offset) = (header.producer_id, header.base_offset);
            self.aborted.push(Aborted { producer_id, first_offset, last_offset });
        }
    }

    /// Whether this producer's transaction is open here.
    pub(crate) fn is_open(&self, producer_id: i64) -> bool {
        self.open.contains_key(&producer_id)
    }

    /// The last stable offset (KIP-98): everything below is decided, and decided for good, because
    /// the markers that say so are below the high watermark.
    pub(crate) fn last_stable(&self, watermark: i64) -> i64 {
        let undecided =
            self.ended.iter().filter(|(_, marker)| *marker >= watermark).map(|(first, _)| *first);
        self.open.values().copied().chain(undecided).min().unwrap_or(watermark).min(watermark)
    }

    /// Forgets what [`TransactionIndex::last_stable`] does not need any more.
    pub(crate) fn committed(&mut self, watermark: i64) {
        while self.ended.front().is_some_and(|(_, marker)| *marker < watermark) {
            self.ended.pop_front();
        }
    }

    /// The aborted transactions with records in `from..to`.
    pub(crate) fn aborted_in(&self, from: i64, to: i64) -> Vec<Aborted> {
        let begin = self.aborted.partition_point(|one| one.last_offset < from);
        self.aborted[begin..].iter().copied().filter(|one| one.first_offset < to).collect()
    }

    /// Whether a record of a producer belongs to an aborted transaction.
    pub(crate) fn is_aborted(&self, producer_id: i64, offset: i64) -> bool {
        let begin = self.aborted.partition_point(|one| one.last_offset < offset);
        self.aborted[begin..]
            .iter()
            .any(|one| one.producer_id == producer_id && one.first_offset <= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::{Marker, check, stamp};
    use super::super::records::{encode, marker};
    use super::*;

    fn data(offset: i64, producer: i64) -> BatchHeader {
        let mut bytes = encode(&[(b"k".to_vec(), None)], 0, Some((producer, 0))).to_vec();
        stamp(&mut bytes, offset, 0);
        check(&bytes).unwrap()
    }

    fn end(offset: i64, producer: i64, commit: bool) -> BatchHeader {
        let ended = Marker { commit, coordinator_epoch: 0, ordinal: 0 };
        let mut bytes = marker(producer, 0, ended, 0).to_vec();
        stamp(&mut bytes, offset, 0);
        check(&bytes).unwrap()
    }

    #[test]
    fn the_stable_offset_waits_for_open_transactions_and_uncommitted_markers() {
        let mut index = TransactionIndex::default();
        assert_eq!(index.last_stable(5), 5);
        index.record(&data(5, 1));
        index.record(&data(6, 2));
        assert_eq!(index.last_stable(7), 5);
        index.record(&end(7, 1, true));
        assert_eq!(index.last_stable(7), 5);
        assert_eq!(index.last_stable(8), 6);
        index.record(&end(8, 2, false));
        assert_eq!(index.last_stable(9), 9);
        index.committed(9);
        assert_eq!(index.last_stable(9), 9);
    }

    #[test]
    fn aborted_transactions_are_listed_where_they_lie() {
        let mut index = TransactionIndex::default();
        for header in [data(0, 1), data(1, 2), end(2, 1, false), end(3, 2, true), data(4, 1)] {
            index.record(&header);
        }
        let first = Aborted { producer_id: 1, first_offset: 0, last_offset: 2 };
        assert_eq!(index.aborted_in(0, 10), [first]);
        assert_eq!(index.aborted_in(3, 10), []);
        assert!(index.is_aborted(1, 0));
        assert!(!index.is_aborted(2, 1));
        assert!(!index.is_aborted(1, 4));
        assert!(index.is_open(1));
        index.record(&end(5, 3, false));
        assert_eq!(index.aborted_in(0, 10), [first], "a marker without a transaction ends none");
    }
}
