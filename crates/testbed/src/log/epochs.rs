//! The leader-epoch cache (KIP-101, KIP-279): at which offset each leader epoch began.

/// Start offsets of leader epochs, ascending in both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EpochCache {
    entries: Vec<(i32, i64)>,
}

impl EpochCache {
    /// Notes that `epoch` begins at `start`. An epoch that is not newer than the last is known
    /// already. Earlier epochs that would start at or behind `start` hold no records and go.
    pub(crate) fn assign(&mut self, epoch: i32, start: i64) {
        if self.entries.last().is_some_and(|(last, _)| *last >= epoch) {
            return;
        }
        self.truncate_from_end(start);
        self.entries.push((epoch, start));
    }

    /// Forgets epochs that begin at or behind an offset at which the log was cut.
    pub(crate) fn truncate_from_end(&mut self, offset: i64) {
        while self.entries.last().is_some_and(|(_, start)| *start >= offset) {
            self.entries.pop();
        }
    }

    /// The newest epoch.
    pub(crate) fn latest(&self) -> Option<i32> {
        self.entries.last().map(|(epoch, _)| *epoch)
    }

    /// The epoch of the record at an offset.
    pub(crate) fn epoch_at(&self, offset: i64) -> Option<i32> {
        let behind = self.entries.partition_point(|(_, start)| *start <= offset);
        behind.checked_sub(1).map(|index| self.entries[index].0)
    }

    /// The largest epoch up to `requested` that this log has, and where it ends; `None` if it
    /// cannot be told (Kafka's `endOffsetFor`).
    pub(crate) fn end_offset_for(&self, requested: i32, log_end: i64) -> Option<(i32, i64)> {
        if requested < 0 {
            return None;
        }
        let latest = self.latest()?;
        if requested == latest {
            return Some((latest, log_end));
        }
        let higher = self.entries.partition_point(|(epoch, _)| *epoch <= requested);
        let (_, end) = *self.entries.get(higher)?;
        let epoch = higher.checked_sub(1).map_or(requested, |index| self.entries[index].0);
        Some((epoch, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> EpochCache {
        let mut cache = EpochCache::default();
        for (epoch, start) in [(0, 0), (2, 10), (5, 25)] {
            cache.assign(epoch, start);
        }
        cache
    }

    #[test]
    fn ends_of_known_missing_and_future_epochs() {
        let cache = cache();
        assert_eq!(cache.end_offset_for(5, 40), Some((5, 40)));
        assert_eq!(cache.end_offset_for(2, 40), Some((2, 25)));
        assert_eq!(cache.end_offset_for(1, 40), Some((0, 10)));
        assert_eq!(cache.end_offset_for(4, 40), Some((2, 25)));
        assert_eq!(cache.end_offset_for(6, 40), None);
        assert_eq!(cache.end_offset_for(-1, 40), None);
        assert_eq!(EpochCache::default().end_offset_for(0, 0), None);
    }

    #[test]
    fn an_epoch_below_the_first_ends_where_the_first_begins() {
        let mut cache = EpochCache::default();
        cache.assign(3, 7);
        assert_eq!(cache.end_offset_for(1, 40), Some((1, 7)));
    }

    #[test]
    fn empty_epochs_are_replaced_and_stale_ones_ignored() {
        let mut cache = cache();
        cache.assign(6, 40);
        cache.assign(7, 40);
        cache.assign(4, 50);
        assert_eq!(cache.latest(), Some(7));
        assert_eq!(cache.end_offset_for(6, 50), Some((5, 40)));
        assert_eq!(cache.epoch_at(39), Some(5));
        assert_eq!(cache.epoch_at(40), Some(7));
        cache.truncate_from_end(25);
        assert_eq!(cache.latest(), Some(2));
    }
}
