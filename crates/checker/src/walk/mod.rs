//! The walk along every process and every operation: jumps between consecutive reads and sends.
//!
//! One pass in row order serves seven analyses (`poll-skip`, `nonmonotonic-poll`, their internal forms,
//! `nonmonotonic-send`, `int-nonmonotonic-send`, `int-send-skip`), collects the [`Gap`]s from which the analyses of
//! vanished and resurrected records start, and measures the real-time lag. Keys are dealt out to threads; each thread
//! walks all rows and looks at its own keys.
//!
//! # Jumps as Jepsen counts them
//! A jump's *delta* is the difference of the two values' indices in the version order, and 1 if either is unknown. Above
//! 1 is a skip, under 1 a step back (0: the same record again).
//!
//! # Sound jumps
//! The version order places a value that stands at several offsets at the last of them, so that a legal duplicate makes
//! other jumps appear. A jump is *sound* if the offsets say so as well: for reads, a place lies strictly between the two
//! offsets, or the second offset is not above the first; nothing moved the consumer meanwhile (a seek, a rebalance).
//! For sends the acknowledged offsets decide, or every place of the later value is at or below every place of the
//! earlier. Our own contract judges sound jumps alone.

mod lag;
mod shard;

pub(crate) use lag::Lag;

use crate::index::{Index, Slot};
use crate::par;
use crate::tally::Tally;
use perjury_history::KeyId;

/// Two consecutive reads or sends of one key that are not next to each other in the version order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jump {
    /// The topic-partition.
    pub(crate) key: KeyId,
    /// The row that holds the first of the two: the same as `row` within one operation.
    pub(crate) before: u32,
    /// The row that holds the second of the two.
    pub(crate) row: u32,
    /// The first value with its offset, if the row names one.
    pub(crate) from: (Slot, Option<i64>),
    /// The second value with its offset, if the row names one.
    pub(crate) to: (Slot, Option<i64>),
    /// The difference of the indices.
    pub(crate) delta: i64,
}

/// Two records next to each other in what one poll returned, between whose offsets there are places: the poll saw that
/// nothing stands there. Operations that polled the key out of order give none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gap {
    /// The completion of the poll.
    pub(crate) row: u32,
    /// The first place that was passed over.
    pub(crate) first: u32,
    /// The first place after those passed over.
    pub(crate) end: u32,
}

/// What the walk found for one key, or for all keys once merged.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Skips within one operation's polls.
    pub(crate) int_poll_skip: Tally<Jump>,
    /// Steps back within one operation's polls.
    pub(crate) int_poll_back: Tally<Jump>,
    /// Skips from a process's last ok poll to its next.
    pub(crate) poll_skip: Tally<Jump>,
    /// Steps back from a process's last ok poll to its next.
    pub(crate) poll_back: Tally<Jump>,
    /// Skips within one operation's sends.
    pub(crate) int_send_skip: Tally<Jump>,
    /// Steps back within one operation's sends.
    pub(crate) int_send_back: Tally<Jump>,
    /// Steps back from one operation's sends to the next operation's.
    pub(crate) send_back: Tally<Jump>,
    /// What polls passed over, by key.
    pub(crate) gaps: Vec<Vec<Gap>>,
    /// The longest lag.
    pub(crate) lag: Option<Lag>,
}

impl Walk {
    fn new(examples_max: usize) -> Self {
        let tally = || Tally::new(examples_max);
        Walk {
            int_poll_skip: tally(),
            int_poll_back: tally(),
            poll_skip: tally(),
            poll_back: tally(),
            int_send_skip: tally(),
            int_send_back: tally(),
            send_back: tally(),
            gaps: Vec::new(),
            lag: None,
        }
    }

    /// Walks the whole history.
    pub(crate) fn run(index: &Index<'_>, threads: usize, examples_max: usize) -> Self {
        let keys = index.keys_len();
        let parts = par::shards(keys, threads, |shard, shards| {
            shard::walk(index, shard, shards, examples_max)
        });
        let mut all = Walk::new(examples_max);
        for part in parts {
            all.int_poll_skip.merge(part.int_poll_skip);
            all.int_poll_back.merge(part.int_poll_back);
            all.poll_skip.merge(part.poll_skip);
            all.poll_back.merge(part.poll_back);
            all.int_send_skip.merge(part.int_send_skip);
            all.int_send_back.merge(part.int_send_back);
            all.send_back.merge(part.send_back);
            all.gaps.extend(part.gaps);
            all.lag = Lag::longer(all.lag, part.lag);
        }
        all
    }
}
