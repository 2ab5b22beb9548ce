//! What a log remembers of idempotent producers (KIP-98): the epoch and the last five batches of
//! each. Derived from the log alone, so every replica has it and a failover keeps it.

use std::collections::{BTreeMap, VecDeque};

use super::batch::{BatchHeader, advance_sequence};
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
        if header.producer_epoch < producer.epoch {
            return SequenceCheck::StaleEpoch;
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
        let expected =
            producer.batches.back().map(|batch| advance_sequence(batch.last_sequence, 1));
        match expected {
            Some(expected) if expected != header.base_sequence => SequenceCheck::OutOfOrder,
            _ => SequenceCheck::New,
        }
    }

    /// Notes a batch that is in the log.
    pub(crate) fn record(&mut self, header: &BatchHeader) {
        if !header.has_producer() {
            return;
        }
        let producer = self.producers.entry(header.producer_id).or_default();
        if header.producer_epoch != producer.epoch {
            *producer = Producer { epoch: header.producer_epoch, batches: VecDeque::new() };
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
