//! What each bug does, what it imitates, and what it takes to show it.

use std::fmt;

use super::Bug;

/// What it takes to show a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Workloads that show it, each by itself.
    pub workloads: &'static [&'static str],
    /// Faults that show it, each by itself; empty if none is needed.
    pub faults: &'static [&'static str],
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.workloads.join(" or "))?;
        if self.faults.is_empty() {
            return f.write_str(", no fault");
        }
        write!(f, " with {}", self.faults.join(" or "))
    }
}

/// One bug's facts.
struct Facts {
    summary: &'static str,
    imitates: &'static str,
    needs: Needs,
}

const fn facts(
    summary: &'static str,
    imitates: &'static str,
    workloads: &'static [&'static str],
    faults: &'static [&'static str],
) -> Facts {
    Facts { summary, imitates, needs: Needs { workloads, faults } }
}

impl Bug {
    /// What it does, in one line.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        self.facts().summary
    }

    /// The real bug that it imitates: an issue or proposal of Apache Kafka, a published finding, or a
    /// known pitfall.
    #[must_use]
    pub const fn imitates(self) -> &'static str {
        self.facts().imitates
    }

    /// Which workload shows it, and under which fault.
    #[must_use]
    pub const fn needs(self) -> Needs {
        self.facts().needs
    }

    const fn facts(self) -> Facts {
        match self {
            Self::AbortedVisible
            | Self::LsoTooFar
            | Self::TornEndTxn
            | Self::UnorderedEndTxn
            | Self::FencingIgnored
            | Self::CommitLost
            | Self::CommitRegression
            | Self::DoubleAssignment
            | Self::SkipAfterRebalance
            | Self::HangingTransaction
            | Self::ZombieCommit
            | Self::OffsetsOutsideTxn => self.coordinator_facts(),
            _ => self.log_facts(),
        }
    }

    /// Of the bugs in replication.
    const fn log_facts(self) -> Facts {
        match self {
            Self::AckBeforeReplication => facts(
                "acknowledges acks=all when only the leader has the record",
                "Kafka 0.8 beta as Jepsen found it: the in-sync set shrank to the leader and acknowledged writes vanished with it",
                &["queue"],
                &["kill"],
            ),
            Self::DuplicateOnRetry => facts(
                "appends a retried batch again at another offset",
                "brokers that accept idempotent producers without keeping their sequence numbers (KIP-98 describes the duplicates)",
                &["queue"],
                &[],
            ),
            Self::ExposeUncommitted => facts(
                "serves consumers records above the high watermark",
                "Redpanda 21.10.1 as Jepsen found it: clients that disagree about what an offset holds",
                &["queue"],
                &["kill", "pause"],
            ),
            Self::ForgetUnsynced => facts(
                "acknowledges before the fsync, and forgets the unsynced tail at a crash",
                "Kafka's default of acknowledging without fsync when all replicas lose power together; sync calls that do nothing",
                &["queue"],
                &["kill-all"],
            ),
            Self::UncleanFailover => facts(
                "lets a replica lead that is not in sync",
                "Kafka with unclean.leader.election.enable (KIP-106 turned it off by default); Raft without the rule that a leader's log must be up to date",
                &["queue"],
                &["kill"],
            ),
            Self::DivergentLogs => facts(
                "a follower keeps the tail that its new leader does not have",
                "KAFKA-6361 (KIP-279): logs diverge after fast failovers",
                &["queue"],
                &["kill"],
            ),
            Self::OffsetReuse => facts(
                "a new leader cuts its log to its own high watermark and gives the offsets to other records",
                "KAFKA-1211 (KIP-101): truncation to the high watermark loses acknowledged records",
                &["queue"],
                &["kill"],
            ),
            Self::SequenceTableLost => facts(
                "a new leader forgets the sequence numbers of idempotent producers",
                "brokers that keep producer state in the leader's memory only, against KIP-98",
                &["queue"],
                &["kill"],
            ),
            Self::SequenceWrap => facts(
                "takes every batch that crosses sequence 128 for a retry and does not write it",
                "sequence arithmetic that wraps elsewhere than behind 2147483647, as KIP-98 has it",
                &["queue"],
                &[],
            ),
            _ => self.storage_facts(),
        }
    }

    /// Of the other bugs in logs; the last one for all others.
    const fn storage_facts(self) -> Facts {
        match self {
            Self::StaleLeader => facts(
                "a deposed leader goes on serving reads",
                "Raft's reads without a quorum (section 8 of the Raft paper), for Kafka the zombie leader of KIP-320",
                // To consumers an old answer is only a late one.
                &["list-offsets"],
                &["pause", "isolate-leader"],
            ),
            Self::ListOffsetsRegression => facts(
                "a new leader tells an end offset below the one that was told before",
                "KAFKA-2334 (KIP-207): the high watermark goes back during a failover",
                &["list-offsets"],
                &["kill"],
            ),
            Self::CorruptRecord => facts(
                "flips a bit in a record's value under a valid checksum",
                "brokers that rewrite batches (recompression, down-conversion, tiered storage) and damage them",
                &["queue"],
                &[],
            ),
            Self::IndexMixup => facts(
                "looks offsets up one index entry too far",
                "offset indexes that do not fit their segment after a crash, which Kafka's recovery rebuilds",
                &["queue"],
                &[],
            ),
            _ => facts(
                "compaction keeps the first value of a key",
                "compaction that orders a key's records wrongly",
                &["compacted"],
                &[],
            ),
        }
    }

    /// Of the bugs in transactions; those in groups are the others.
    const fn coordinator_facts(self) -> Facts {
        match self {
            Self::AbortedVisible => facts(
                "does not tell read_committed consumers which transactions were aborted",
                "Redpanda 21.10.1 as Jepsen found it: aborted reads; librdkafka's mock cluster behaves so",
                &["txn"],
                &[],
            ),
            Self::LsoTooFar => facts(
                "serves read_committed consumers up to the high watermark",
                "KAFKA-9807: a race lets read_committed consumers read above the last stable offset",
                &["txn"],
                &[],
            ),
            Self::TornEndTxn => facts(
                "commits a transaction on some partitions and aborts it on another",
                "the torn transactions of Jepsen's Bufstream 0.1.0 report (KAFKA-17754)",
                &["txn"],
                &[],
            ),
            Self::UnorderedEndTxn => facts(
                "a delayed EndTxn ends the producer's next transaction",
                "KAFKA-17754, closed by the epoch bump of KIP-890",
                &["txn"],
                &[],
            ),
            Self::FencingIgnored => facts(
                "two producers with one transactional id both stay valid",
                "transactions without the zombie fencing of KIP-98",
                &["fencing"],
                &["pause"],
            ),
            Self::HangingTransaction => facts(
                "leaves a transaction without its marker on one partition",
                "KAFKA-9777 and KIP-664: hanging transactions block the last stable offset",
                &["txn"],
                &[],
            ),
            Self::OffsetsOutsideTxn => facts(
                "offsets that a transaction commits stay when it is aborted",
                "coordinators that take TxnOffsetCommit when it comes instead of with the commit's marker, against KIP-98 (KAFKA-5247 was about that moment)",
                &["exactly-once"],
                &[],
            ),
            _ => self.group_facts(),
        }
    }

    /// Of the bugs in groups; the last one for all others.
    const fn group_facts(self) -> Facts {
        match self {
            Self::CommitLost => facts(
                "keeps committed offsets in the coordinator's memory only",
                "group coordinators that acknowledge before replication; Redpanda and Kafka both wait for it",
                &["group"],
                &["kill"],
            ),
            Self::CommitRegression => facts(
                "OffsetFetch answers an older commit",
                "KAFKA-5600: a group reload leaves a stale offset cache",
                &["group"],
                &[],
            ),
            Self::DoubleAssignment => facts(
                "a rebalance does not wait for members that still own partitions",
                "consumers that miss a rebalance and keep what they own, the case that generations exist for",
                &["group"],
                &[],
            ),
            Self::SkipAfterRebalance => facts(
                "after a rebalance consumers start one record too late",
                "off-by-one handling of committed offsets, which name the next record and not the last one",
                &["group"],
                &[],
            ),
            _ => facts(
                "accepts offset commits of members that were replaced",
                "coordinators that do not check generation and member of OffsetCommit",
                &["group"],
                &[],
            ),
        }
    }
}
