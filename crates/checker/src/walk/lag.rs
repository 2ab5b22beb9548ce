//! Real-time lag: for how long, at least, the newest record that a consumer had polled had not been the newest.
//!
//! # Definition (Jepsen `tests.kafka`)
//! For every key, the first completion (ok or info) that shows an offset of at least `i` proves that offset `i - 1` was
//! not the last one any more. A process's offset for a key starts at -1 when the key is assigned, is kept for keys that
//! stay assigned, is dropped for all keys when it subscribes, and is raised by its own polls and sends. At every ok poll
//! the lag of each key that the process follows is the time from that proof to the poll's invocation, or 0.
//!
//! # How it is measured
//! While an offset does not change, the lag only grows with the time of the poll, so that it is enough to look at the
//! last poll before each change.

use perjury_history::KeyId;
use rustc_hash::FxHashMap;

/// The lag of one process for one key at one poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lag {
    /// How long, in nanoseconds.
    pub(crate) ns: i64,
    /// When the poll was invoked.
    pub(crate) time: i64,
    /// Who polled.
    pub(crate) process: u32,
    /// The topic-partition.
    pub(crate) key: KeyId,
}

impl Lag {
    /// The longer of both; of equal ones the earlier, then that of the smaller process and key.
    pub(crate) fn longer(a: Option<Lag>, b: Option<Lag>) -> Option<Lag> {
        let rank = |l: &Lag| {
            (
                l.ns,
                std::cmp::Reverse(l.time),
                std::cmp::Reverse(l.process),
                std::cmp::Reverse(l.key),
            )
        };
        a.into_iter().chain(b).max_by_key(rank)
    }
}

/// From when on it was known that the log of a key reaches an offset: ascending in both.
#[derive(Debug, Default)]
pub(super) struct Reach {
    steps: Vec<(i64, i64)>,
}

impl Reach {
    /// A completion at `time` showed `offset`.
    pub(super) fn show(&mut self, offset: i64, time: i64) {
        if self.steps.last().is_none_or(|(o, _)| *o < offset) {
            self.steps.push((offset, time));
        }
    }

    /// The first time at which the log was known to reach `offset`.
    fn reached(&self, offset: i64) -> Option<i64> {
        let at = self.steps.partition_point(|(o, _)| *o < offset);
        self.steps.get(at).map(|(_, time)| *time)
    }
}

#[derive(Debug, Clone, Copy)]
struct Followed {
    offset: i64,
    /// How many ok polls the process had completed when this offset was set.
    since: u32,
}

/// What one process follows.
#[derive(Debug, Default)]
pub(super) struct Follower {
    keys: FxHashMap<u32, Followed>,
    polls: u32,
    last_poll: i64,
}

impl Follower {
    /// The process completed an ok poll that it had invoked at `time`.
    pub(super) fn polled(&mut self, time: i64) {
        self.polls += 1;
        self.last_poll = time;
    }

    fn lag(&self, followed: Followed, reach: &Reach) -> i64 {
        if self.polls <= followed.since {
            return 0;
        }
        let expired = reach.reached(followed.offset.saturating_add(1));
        expired.map_or(0, |t| self.last_poll.saturating_sub(t).max(0))
    }

    /// The process is assigned `key`; it starts before the first record unless it follows the key already.
    pub(super) fn assign(&mut self, key: u32) {
        let since = self.polls;
        self.keys.entry(key).or_insert(Followed { offset: -1, since });
    }

    /// The process's own operation showed `offset`. Gives the lag that the change ends, and when it was felt.
    pub(super) fn raise(&mut self, key: u32, offset: i64, reach: &Reach) -> Option<(i64, i64)> {
        let since = self.polls;
        match self.keys.get(&key).copied() {
            Some(old) if old.offset >= offset => None,
            old => {
                self.keys.insert(key, Followed { offset, since });
                old.map(|old| (self.lag(old, reach), self.last_poll))
            }
        }
    }

    /// Keeps only the keys for which `keep` holds. Gives the longest lag that this ends, by key.
    pub(super) fn retain<'r>(
        &mut self,
        keep: impl Fn(u32) -> bool,
        reach: impl Fn(u32) -> &'r Reach,
    ) -> Vec<(u32, i64, i64)> {
        let mut gone: Vec<u32> = self.keys.keys().copied().filter(|k| !keep(*k)).collect();
        gone.sort_unstable();
        let ended = gone.into_iter().filter_map(|k| {
            let old = self.keys.remove(&k)?;
            Some((k, self.lag(old, reach(k)), self.last_poll))
        });
        ended.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_felt_at_the_last_poll_before_the_offset_changes() {
        let mut reach = Reach::default();
        let mut follower = Follower::default();
        follower.assign(0);
        reach.show(0, 100);
        follower.polled(150);
        reach.show(1, 200);
        follower.polled(400);
        assert_eq!(follower.raise(0, 1, &reach), Some((300, 400)));
        follower.polled(900);
        assert_eq!(follower.retain(|_| false, |_| &reach), vec![(0, 0, 900)]);
    }
}
