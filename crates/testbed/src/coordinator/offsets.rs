//! Committed offsets, and with them the state of one partition of `__consumer_offsets`.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::membership::{Group, GroupRecord};
use super::shard::Replay;
use crate::bugs::Switches;
use crate::log::batch::BatchHeader;
use crate::log::records::{KeyValue, RecordView};

/// What an offset is committed for: group, topic, partition.
pub(crate) type OffsetKey = (String, String, i32);

/// A key in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "key", rename_all = "kebab-case")]
enum Key {
    Offset { group: String, topic: String, partition: i32 },
    Group { group: String },
}

/// A committed offset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Commit {
    /// Of the next record to process.
    pub(crate) offset: i64,
    /// Of the record before it; -1 if the client did not say.
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Option<String>,
}

/// What the cache holds for one key.
#[derive(Debug, Clone, Default)]
struct Cached {
    commit: Commit,
    /// How many commits there were.
    commits: u64,
}

/// The groups of one partition of `__consumer_offsets`.
#[derive(Debug, Default)]
pub(crate) struct GroupShard {
    pub(crate) groups: BTreeMap<String, Group>,
    offsets: BTreeMap<OffsetKey, Cached>,
    /// Commits of open transactions, by producer.
    pending: BTreeMap<i64, Vec<(OffsetKey, Commit)>>,
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    // The types have string keys and no fallible parts.
    serde_json::to_vec(value).unwrap_or_default()
}

/// The record of a commit.
pub(crate) fn commit_record((group, topic, partition): &OffsetKey, commit: &Commit) -> KeyValue {
    let (group, topic, partition) = (group.clone(), topic.clone(), *partition);
    (to_json(&Key::Offset { group, topic, partition }), Some(to_json(commit)))
}

/// The record of a group.
pub(crate) fn group_record(group: &str, record: &GroupRecord) -> KeyValue {
    (to_json(&Key::Group { group: group.to_owned() }), Some(to_json(record)))
}

impl GroupShard {
    /// Lets time pass for all groups.
    pub(crate) fn tick(&mut self, now: Instant) {
        for group in self.groups.values_mut() {
            group.tick(now);
        }
    }

    /// Takes over commits that are in the log, or with
    /// [`Bug::CommitLost`](crate::Bug::CommitLost) only here.
    pub(crate) fn commit(&mut self, commits: Vec<(OffsetKey, Commit)>, switches: &Switches) {
        for (key, commit) in commits {
            let cached = self.offsets.entry(key).or_default();
            cached.commits += 1;
            // The one switch of Bug::CommitRegression.
            if !(switches.stale_commit_cache() && cached.commits.is_multiple_of(2)) {
                cached.commit = commit;
            }
        }
    }

    /// Keeps commits of a transaction until it ends.
    pub(crate) fn commit_later(&mut self, producer_id: i64, commits: Vec<(OffsetKey, Commit)>) {
        self.pending.entry(producer_id).or_default().extend(commits);
    }

    /// A transaction ended: what it committed counts, or is forgotten.
    pub(crate) fn end_transaction(&mut self, producer_id: i64, committed: bool) {
        let commits = self.pending.remove(&producer_id).unwrap_or_default();
        if committed {
            self.commit(commits, &Switches::default());
        }
    }

    /// What a group committed for a partition.
    pub(crate) fn committed(&self, key: &OffsetKey, switches: &Switches) -> Option<Commit> {
        let generation = self.groups.get(&key.0).map_or(0, Group::generation);
        let mut commit = self.offsets.get(key)?.commit.clone();
        // The one switch of Bug::SkipAfterRebalance.
        commit.offset += switches.commit_skew(generation);
        Some(commit)
    }

    /// Whether an open transaction has committed for this key.
    pub(crate) fn is_unstable(&self, key: &OffsetKey) -> bool {
        self.pending.values().flatten().any(|(pending, _)| pending == key)
    }

    /// All partitions for which a group has committed.
    pub(crate) fn keys_of(&self, group: &str) -> Vec<OffsetKey> {
        self.offsets.keys().filter(|key| key.0 == group).cloned().collect()
    }
}

impl Replay for GroupShard {
    fn replay(&mut self, header: &BatchHeader, records: &[RecordView<'_>]) {
        if let Some(marker) = header.marker {
            self.end_transaction(header.producer_id, marker.commit);
            return;
        }
        let mut commits = Vec::new();
        for record in records {
            let (Some(key), Some(value)) = (record.key, record.value) else { continue };
            match serde_json::from_slice(key) {
                Ok(Key::Offset { group, topic, partition }) => {
                    if let Ok(commit) = serde_json::from_slice(value) {
                        commits.push(((group, topic, partition), commit));
                    }
                }
                Ok(Key::Group { group }) => {
                    if let Ok(record) = serde_json::from_slice(value) {
                        self.groups.insert(group, Group::from_record(record));
                    }
                }
                Err(error) => tracing::error!(%error, "unknown record in {}", super::OFFSETS_TOPIC),
            }
        }
        if header.is_transactional() {
            self.commit_later(header.producer_id, commits);
        } else {
            self.commit(commits, &Switches::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bugs::Bug;
    use crate::log::batch::{Marker, check};
    use crate::log::records::{encode, marker, records};

    fn key() -> OffsetKey {
        ("group".to_owned(), "topic".to_owned(), 3)
    }

    fn commit(offset: i64) -> Commit {
        Commit { offset, leader_epoch: 1, metadata: Some("m".to_owned()) }
    }

    fn replay(shard: &mut GroupShard, offset: i64, transaction: Option<(i64, i16)>) {
        let bytes = encode(&[commit_record(&key(), &commit(offset))], 0, transaction);
        shard.replay(&check(&bytes).unwrap(), &records(&bytes));
    }

    fn end(shard: &mut GroupShard, commit: bool) {
        let bytes = marker(9, 0, Marker { commit, coordinator_epoch: 0, ordinal: 1 }, 0);
        shard.replay(&check(&bytes).unwrap(), &[]);
    }

    #[test]
    fn commits_of_transactions_count_when_they_commit() {
        let off = Switches::default();
        let mut shard = GroupShard::default();
        replay(&mut shard, 5, None);
        replay(&mut shard, 8, Some((9, 0)));
        assert_eq!(shard.committed(&key(), &off), Some(commit(5)));
        assert!(shard.is_unstable(&key()));
        end(&mut shard, false);
        assert_eq!(shard.committed(&key(), &off), Some(commit(5)));
        replay(&mut shard, 9, Some((9, 0)));
        end(&mut shard, true);
        assert_eq!(shard.committed(&key(), &off), Some(commit(9)));
        assert!(!shard.is_unstable(&key()));
        assert_eq!(shard.keys_of("group"), [key()]);
    }

    #[test]
    fn skip_after_rebalance_answers_one_too_much_from_the_second_generation_on() {
        let on = Switches::new(&[Bug::SkipAfterRebalance].into());
        let mut shard = GroupShard::default();
        shard.commit(vec![(key(), commit(5))], &on);
        for (generation, expected) in [(1, 5), (2, 6)] {
            let record = GroupRecord::of_generation(generation);
            shard.groups.insert("group".to_owned(), Group::from_record(record));
            assert_eq!(shard.committed(&key(), &on).map(|c| c.offset), Some(expected));
        }
    }

    #[test]
    fn a_stale_cache_answers_the_commit_before() {
        let on = Switches::new(&[Bug::CommitRegression].into());
        let mut shard = GroupShard::default();
        for offset in [5, 6] {
            shard.commit(vec![(key(), commit(offset))], &on);
        }
        assert_eq!(shard.committed(&key(), &on), Some(commit(5)));
        shard.commit(vec![(key(), commit(7))], &on);
        assert_eq!(shard.committed(&key(), &on), Some(commit(7)));
    }
}
