//! The switchable bugs. Each has one switch at one place; all are off by default.

mod facts;
mod switches;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use facts::Needs;
pub(crate) use switches::Switches;

/// A defect that can be switched on in a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Bug {
    /// `acks=all` is answered after the leader's own append, before any follower has the record.
    /// When the leader dies, the new leader lacks the tail and the old one truncates it on return:
    /// acknowledged records are lost.
    ///
    /// Switch: the acknowledgement rule in `broker/produce.rs`. Followers also wait 50 ms before
    /// each fetch, so that the window exists on a loopback.
    AckBeforeReplication,
    /// The duplicate and sequence check of idempotent producers is skipped, so a retried batch is
    /// appended again at another offset.
    ///
    /// Switch: the sequence check in `log/producers.rs`. Every 97th produce request of a node is
    /// appended and replicated, then its connection is closed without an answer, so that retries
    /// happen.
    DuplicateOnRetry,
    /// Consumers are served up to the log end instead of the high watermark. After a leader dies,
    /// records that were read vanish or are replaced by others at the same offsets.
    ///
    /// Switch: the consumer's read bound in `replica/partition.rs`. Followers also wait 50 ms before
    /// each fetch, so that uncommitted records stay visible for a while.
    ExposeUncommitted,
    /// Replicas count a record as synced before `fdatasync`, which happens every 2 s only. A durable
    /// marker keeps the synced length, and a start-up drops what lies beyond it, as a power loss
    /// would drop the page cache.
    ///
    /// A crash of all nodes loses up to 2 s of acknowledged records. A crash of one node loses some
    /// only when that node leads again before it has fetched what it forgot, above all as the last
    /// in-sync replica; otherwise the survivors still hold everything.
    ///
    /// Switch: the group commit in `replica/flush.rs`; its other half is the truncation at start.
    ForgetUnsynced,
    /// A dead leader's successor is chosen from all live replicas, in sync or not, those that lag
    /// first. What only the in-sync replicas have is truncated away.
    ///
    /// Switch: the election that follows fencing in `control/image.rs`. The node with the highest id
    /// also fetches only every 3 s, so that there is a replica that lags.
    UncleanFailover,
    /// A follower does not compare its log with that of a new leader and keeps the tail that the
    /// leader does not have; replicas then hold different records at the same offsets.
    ///
    /// Switch: the truncation in `replica/partition.rs`. Followers also wait 50 ms before each fetch,
    /// so that leaders die with a tail of their own.
    DivergentLogs,
    /// A new leader begins at its own high watermark, which lags behind what its predecessor
    /// committed, and gives the offsets behind it to other records.
    ///
    /// Switch: the change of role in `replica/partition.rs`. Followers also wait 50 ms before each
    /// fetch and learn of a high watermark one fetch late, as Kafka's do, so that theirs lags.
    OffsetReuse,
    /// A new leader knows nothing of the sequence numbers of idempotent producers, so a batch that was
    /// replicated but not acknowledged when the old leader died is appended again by its retry.
    ///
    /// Switch: the change of role in `replica/partition.rs`. Answers to produce requests also wait
    /// 30 ms behind the commit, so that a leader dies between both.
    SequenceTableLost,
    /// Sequence numbers wrap far too early, at 128: the batch that crosses the end of the ring is taken
    /// for an old one and acknowledged at that one's offset, and is never written.
    ///
    /// Switch: the sequence check in `log/producers.rs`.
    SequenceWrap,
    /// A leader answers reads without a lease, and a node that was deposed leads on for readers until 1.5 s
    /// after it heard of that. As brokers before leader epochs were told to clients (KIP-320), it names
    /// itself the leader, and no client can know better: whoever asks it after its successor is told an
    /// old state as if it were current. Consumers alone only lag by that, which nothing forbids; the end
    /// of a log that goes back for one client does not fit with KIP-207.
    ///
    /// Switch: the lease check of reads in `broker/fetch.rs` and `broker/offsets.rs`, through
    /// `Context::may_read`; the delay is in `replica/manager.rs`. Metadata and ListOffsets tell no
    /// leader epochs.
    StaleLeader,
    /// Fetches of `read_committed` consumers do not name the aborted transactions, so their records
    /// are handed to the application.
    ///
    /// Switch: the list of aborted transactions in `broker/fetch.rs`.
    AbortedVisible,
    /// The last stable offset is the high watermark: `read_committed` consumers get records of
    /// transactions that are still open and may be aborted.
    ///
    /// Switch: the consumer's read bound in `replica/reading.rs`.
    LsoTooFar,
    /// Every third transaction with more than one partition that commits is aborted on the last of
    /// them.
    ///
    /// Switch: the choice of markers in `coordinator/completion.rs`.
    TornEndTxn,
    /// A delayed EndTxn ends whatever transaction is open when it takes effect. Every fifth EndTxn of a
    /// node loses its connection and takes effect 400 ms later, also when the client has retried it and
    /// has begun its next transaction meanwhile.
    ///
    /// Switch: the delay in `broker/transactions.rs`; the check that requests of an abandoned
    /// connection come too late, in `coordinator/transactions.rs`, is off.
    UnorderedEndTxn,
    /// Two producers with one transactional id both stay valid: InitProducerId does not end the open
    /// transaction, and older epochs are accepted everywhere.
    ///
    /// Switch: the epochs in `coordinator/transactions.rs` and the epoch check in `log/producers.rs`.
    FencingIgnored,
    /// OffsetCommit is acknowledged from memory; the committed offsets are gone when another
    /// coordinator takes over.
    ///
    /// Switch: the append in `coordinator/offsets.rs`.
    CommitLost,
    /// Every second commit of a group's offset for a partition does not reach the coordinator's cache,
    /// so OffsetFetch answers the one before.
    ///
    /// Switch: the cache in `coordinator/offsets.rs`.
    CommitRegression,
    /// A rebalance does not wait for the other members: the one that joins gets a generation of its own
    /// with all partitions, and the others are told that all is well and keep theirs.
    ///
    /// Switch: the end of the join phase in `coordinator/membership.rs`; heartbeats and commits of the
    /// members left behind are accepted.
    DoubleAssignment,
    /// In a group's second generation and later OffsetFetch answers one more than was committed, so the
    /// new owner of a partition never sees the record there.
    ///
    /// Switch: the answer in `coordinator/offsets.rs`.
    SkipAfterRebalance,
    /// A new leader tells its end offset before its high watermark has caught up with what its
    /// predecessor told.
    ///
    /// Switch: the check in `Partition::latest_offset`. Followers also wait 50 ms before each fetch and
    /// learn of a high watermark one fetch late, as Kafka's do, and a new leader's moves only 500 ms
    /// after its election.
    ListOffsetsRegression,
    /// About every 211th record has a bit of its value flipped by the leader, under a valid checksum.
    ///
    /// Switch: the append in `log/partition_log.rs`.
    CorruptRecord,
    /// The offset index is read one entry too far, so a consumer that reads from the middle of a log is
    /// given records behind those that it asked for. Fetches return 16 KiB at most, so that readers
    /// come to the middle of logs.
    ///
    /// Switch: the index lookup in `log/segment.rs`, asked for by `replica/reading.rs`.
    IndexMixup,
    /// Compaction keeps the first value of each key instead of the last.
    ///
    /// Switch: the choice in `log/compact.rs`.
    CompactionKeepsWrong,
    /// Every seventh transaction gets no marker on one of its partitions: the last stable offset there
    /// stands still for ever.
    ///
    /// Switch: the choice of markers in `coordinator/completion.rs`.
    HangingTransaction,
    /// OffsetCommit is accepted from members of older generations and from strangers, so a member that
    /// lost its partitions moves their committed offsets back.
    ///
    /// Switch: the member check in `coordinator/offsets.rs`.
    ZombieCommit,
    /// Offsets that a transaction commits for a group count as soon as they are written, whatever
    /// becomes of the transaction: after an abort the group goes on behind inputs without outputs.
    ///
    /// Switch: TxnOffsetCommit in `coordinator/groups.rs`. A successor that replays the log waits for
    /// the markers again.
    OffsetsOutsideTxn,
}

impl Bug {
    /// Every bug, in the order of the documentation.
    pub const ALL: [Self; 26] = [
        Self::AckBeforeReplication,
        Self::DuplicateOnRetry,
        Self::ExposeUncommitted,
        Self::ForgetUnsynced,
        Self::UncleanFailover,
        Self::DivergentLogs,
        Self::OffsetReuse,
        Self::SequenceTableLost,
        Self::SequenceWrap,
        Self::StaleLeader,
        Self::AbortedVisible,
        Self::LsoTooFar,
        Self::TornEndTxn,
        Self::UnorderedEndTxn,
        Self::FencingIgnored,
        Self::CommitLost,
        Self::CommitRegression,
        Self::DoubleAssignment,
        Self::SkipAfterRebalance,
        Self::ListOffsetsRegression,
        Self::CorruptRecord,
        Self::IndexMixup,
        Self::CompactionKeepsWrong,
        Self::HangingTransaction,
        Self::ZombieCommit,
        Self::OffsetsOutsideTxn,
    ];

    /// The kebab-case name that flags and configuration files use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AckBeforeReplication => "ack-before-replication",
            Self::DuplicateOnRetry => "duplicate-on-retry",
            Self::ExposeUncommitted => "expose-uncommitted",
            Self::ForgetUnsynced => "forget-unsynced",
            Self::UncleanFailover => "unclean-failover",
            Self::DivergentLogs => "divergent-logs",
            Self::OffsetReuse => "offset-reuse",
            Self::SequenceTableLost => "sequence-table-lost",
            Self::SequenceWrap => "sequence-wrap",
            Self::StaleLeader => "stale-leader",
            Self::AbortedVisible => "aborted-visible",
            Self::LsoTooFar => "lso-too-far",
            Self::TornEndTxn => "torn-end-txn",
            Self::UnorderedEndTxn => "unordered-end-txn",
            Self::FencingIgnored => "fencing-ignored",
            Self::CommitLost => "commit-lost",
            Self::CommitRegression => "commit-regression",
            Self::DoubleAssignment => "double-assignment",
            Self::SkipAfterRebalance => "skip-after-rebalance",
            Self::ListOffsetsRegression => "list-offsets-regression",
            Self::CorruptRecord => "corrupt-record",
            Self::IndexMixup => "index-mixup",
            Self::CompactionKeepsWrong => "compaction-keeps-wrong",
            Self::HangingTransaction => "hanging-transaction",
            Self::ZombieCommit => "zombie-commit",
            Self::OffsetsOutsideTxn => "offsets-outside-txn",
        }
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no bug of the testbed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown bug {name:?}; known: {}", Bug::ALL.map(Bug::name).join(", "))]
pub struct UnknownBug {
    /// The name as given.
    pub name: String,
}

impl FromStr for Bug {
    type Err = UnknownBug;

    fn from_str(name: &str) -> Result<Self, UnknownBug> {
        Self::ALL
            .into_iter()
            .find(|bug| bug.name() == name)
            .ok_or_else(|| UnknownBug { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_round_trip_through_text_and_serde() {
        for bug in Bug::ALL {
            assert_eq!(bug.name().parse::<Bug>(), Ok(bug));
            let json = serde_json::to_string(&bug).expect("serialises");
            assert_eq!(json, format!("\"{bug}\""));
        }
        let error = "no-such".parse::<Bug>().expect_err("unknown name");
        assert!(error.to_string().contains("forget-unsynced"));
    }

    #[test]
    fn each_says_what_it_imitates_and_what_shows_it() {
        let mut summaries = BTreeSet::new();
        for bug in Bug::ALL {
            assert!(summaries.insert(bug.summary()), "{bug} has a summary of its own");
            assert!(!bug.imitates().is_empty());
            assert!(!bug.needs().workloads.is_empty());
        }
    }
}
