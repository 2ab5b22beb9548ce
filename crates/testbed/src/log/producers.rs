//! What a log remembers of idempotent producers (KIP-98): the epoch and the last five batches of
//! each. Derived from the log alone, so every replica has it and a failover keeps it.

use std::collections::{BTreeMap, VecDeque};

use super::batch::{BatchHeader, Marker, advance_sequence};
use crate::bugs::Switches;

/// How many batches of a producer are remembered; a client may have as many in flight.
const REMEMBERED: usize = 5;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Remembered {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    last_offset: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    batches: VecDeque<Remembered>,
    /// The last transaction marker.
    marker: Option<Marker>,
}

/// What the sequence check says about a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SequenceCheck {
    /// To be appended.
    New,
    /// Appended before, at these offsets.
    Duplicate { base_offset: i64, last_offset: i64 },
    /// A batch before it is missing.
    OutOfOrder,
    /// A newer incarnation of the producer wrote already.
    StaleEpoch,
}

/// What the log says about a transaction marker that a coordinator sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MarkerCheck {
    /// To be appended.
    New,
    /// That transaction ended here before.
    Duplicate,
    /// A newer coordinator wrote here already.
    StaleCoordinator,
    /// A newer incarnation of the producer wrote already.
    StaleEpoch,
}

/// Sequence numbers that [`Bug::SequenceWrap`](crate::Bug::SequenceWrap) can tell apart.
const SMALL_RING: i32 = 128;

/// The producers of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProducerTable {
    producers: BTreeMap<i64, Producer>,
}

impl ProducerTable {
    /// Judges a batch that a client sent to the leader.
    ///
    /// A producer that is not in the table is taken at any sequence number, as Apache Kafka does.
    pub(crate) fn check(&self, header: &BatchHeader, switches: &Switches) -> SequenceCheck {
        // The one switch of Bug::DuplicateOnRetry.
        if switches.skip_sequence_check() || !header.has_producer() {
            return SequenceCheck::New;
        }
        let Some(producer) = self.producers.get(&header.producer_id) else {
            return SequenceCheck::New;
        };
        // One of the switches of Bug::FencingIgnored; the other is in the coordinator.
        if header.producer_epoch < producer.epoch && !switches.ignore_fencing() {
            return SequenceCheck::StaleEpoch;
        }
        if header.base_sequence < 0 || header.producer_epoch < producer.epoch {
            return SequenceCheck::New;
        }
        if header.producer_epoch > producer.epoch {
            return if header.base_sequence == 0 {
                SequenceCheck::New
            } else {
                SequenceCheck::OutOfOrder
            };
        }
        let known = producer.batches.iter().find(|batch| {
            batch.first_sequence == header.base_sequence
                && batch.last_sequence == header.last_sequence()
        });
        if let Some(known) = known {
            let (base_offset, last_offset) = (known.base_offset, known.last_offset);
            return SequenceCheck::Duplicate { base_offset, last_offset };
        }
        // The one switch of Bug::SequenceWrap: what crosses the end of the small ring looks old.
        if switches.small_sequence_ring() {
            let wraps =
                header.last_sequence() / SMALL_RING != (header.base_sequence - 1) / SMALL_RING;
            return match producer.batches.front().filter(|_| wraps && header.base_sequence > 0) {
                Some(oldest) => SequenceCheck::Duplicate {
                    base_offset: oldest.base_offset,
                    last_offset: oldest.last_offset,
                },
                None => SequenceCheck::New,
            };
        }
        let expected =
            producer.batches.back().map(|batch| advance_sequence(batch.last_sequence, 1));
        match expected {
            Some(expected) if expected != header.base_sequence => SequenceCheck::OutOfOrder,
            _ => SequenceCheck::New,
        }
    }

    /// Judges a transaction marker.
    pub(crate) fn check_marker(
        &self,
        producer_id: i64,
        producer_epoch: i16,
        marker: Marker,
    ) -> MarkerCheck {
        let Some(producer) = self.producers.get(&producer_id) else { return MarkerCheck::New };
        let last = producer.marker;
        if last.is_some_and(|last| marker.coordinator_epoch < last.coordinator_epoch) {
            return MarkerCheck::StaleCoordinator;
        }
        if last.is_some_and(|last| marker.ordinal <= last.ordinal) {
            return MarkerCheck::Duplicate;
        }
        if producer_epoch < producer.epoch {
            return MarkerCheck::StaleEpoch;
        }
        MarkerCheck::New
    }

    /// The ordinal of the last transaction of a producer that ended here; -1 before the first.
    pub(crate) fn last_ended(&self, producer_id: i64) -> i64 {
        let marker = self.producers.get(&producer_id).and_then(|producer| producer.marker);
        marker.map_or(-1, |marker| marker.ordinal)
    }

    /// Notes a batch that is in the log.
    pub(crate) fn record(&mut self, header: &BatchHeader) {
        if !header.has_producer() {
            return;
        }
        let producer = self.producers.entry(header.producer_id).or_default();
        if header.producer_epoch > producer.epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        if let Some(marker) = header.marker {
            producer.marker = Some(marker);
            return;
        }
        if header.base_sequence < 0 {
            return;
        }
        if producer.batches.len() == REMEMBERED {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Remembered {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::{parse_header, tests::batch};
    use super::*;

    fn header(offset: i64, epoch: i16, sequence: i32) -> BatchHeader {
        parse_header(&batch(offset, 0, (9, epoch, sequence), &["a", "b"])).unwrap()
    }

    fn table(sequences: &[i32]) -> ProducerTable {
        let mut table = ProducerTable::default();
        for (index, sequence) in sequences.iter().enumerate() {
            table.record(&header(2 * i64::try_from(index).unwrap(), 1, *sequence));
        }
        table
    }

    #[test]
    fn duplicates_of_the_last_five_batches_return_their_offsets() {
        let off = Switches::default();
        let table = table(&[0, 2, 4, 6, 8, 10]);
        let duplicate = SequenceCheck::Duplicate { base_offset: 2, last_offset: 3 };
        assert_eq!(table.check(&header(0, 1, 2), &off), duplicate);
        assert_eq!(table.check(&header(0, 1, 0), &off), SequenceCheck::OutOfOrder);
        assert_eq!(table.check(&header(0, 1, 12), &off), SequenceCheck::New);
        assert_eq!(table.check(&header(0, 1, 14), &off), SequenceCheck::OutOfOrder);
    }

    #[test]
    fn epochs_fence_and_restart_the_sequence() {
        let off = Switches::default();
        let table = table(&[0]);
        assert_eq!(table.check(&header(0, 0, 2), &off), SequenceCheck::StaleEpoch);
        assert_eq!(table.check(&header(0, 2, 0), &off), SequenceCheck::New);
        assert_eq!(table.check(&header(0, 2, 2), &off), SequenceCheck::OutOfOrder);
    }

    #[test]
    fn late_markers_are_recognised() {
        use super::super::records::marker;
        let ended = Marker { commit: true, coordinator_epoch: 2, ordinal: 5 };
        let mut table = table(&[0]);
        assert_eq!(table.check_marker(9, 1, ended), MarkerCheck::New);
        table.record(&parse_header(&marker(9, 1, ended, 0)).unwrap());
        assert_eq!(table.check_marker(9, 1, ended), MarkerCheck::Duplicate);
        assert_eq!(table.last_ended(9), 5);
        let next = Marker { ordinal: 6, ..ended };
        assert_eq!(table.check_marker(9, 0, next), MarkerCheck::StaleEpoch);
        assert_eq!(table.check_marker(9, 1, next), MarkerCheck::New);
        let zombie = Marker { coordinator_epoch: 1, ..next };
        assert_eq!(table.check_marker(9, 1, zombie), MarkerCheck::StaleCoordinator);
        // A marker says nothing about sequence numbers.
        assert_eq!(table.check(&header(0, 1, 2), &Switches::default()), SequenceCheck::New);
    }

    #[test]
    fn the_small_ring_takes_a_new_batch_for_an_old_one() {
        let on = Switches::new(&[crate::Bug::SequenceWrap].into());
        let table = table(&[122, 124]);
        assert_eq!(table.check(&header(0, 1, 126), &on), SequenceCheck::New);
        let swallowed = SequenceCheck::Duplicate { base_offset: 0, last_offset: 1 };
        assert_eq!(table.check(&header(0, 1, 127), &on), swallowed);
    }

    #[test]
    fn the_sequence_wraps() {
        let off = Switches::default();
        let table = table(&[i32::MAX - 1]);
        assert_eq!(table.check(&header(0, 1, 0), &off), SequenceCheck::New);
    }

    #[test]
    fn the_bug_takes_everything() {
        let on = Switches::new(&[crate::Bug::DuplicateOnRetry].into());
        assert_eq!(table(&[0]).check(&header(0, 1, 0), &on), SequenceCheck::New);
    }
}
