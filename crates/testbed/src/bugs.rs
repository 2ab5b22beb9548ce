//! The switchable bugs. Each has one switch at one place; all are off by default.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a follower waits before each fetch under the bugs that need a window between a leader's
/// append and its replication. On a loopback without it the window is well under a millisecond and
/// a kill would almost never fall into it.
const REPLICATION_DELAY: Duration = Duration::from_millis(50);

/// Every how many produce requests a node swallows an answer under [`Bug::DuplicateOnRetry`]. Prime,
/// so that it does not lock onto a client's round over partitions.
const WITHHELD_ANSWER_PERIOD: u64 = 97;

/// Time between two real fsyncs under [`Bug::ForgetUnsynced`].
const LAZY_SYNC_PERIOD: Duration = Duration::from_secs(2);

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
    ///
    /// Imitates what Jepsen found in Kafka 0.8 beta, where the in-sync set could shrink to the
    /// leader and acknowledged writes vanished with it, and systems that acknowledge `acks=all`
    /// from the leader's page cache.
    AckBeforeReplication,
    /// The duplicate and sequence check of idempotent producers is skipped, so a retried batch is
    /// appended again at another offset.
    ///
    /// Switch: the sequence check in `log/producers.rs`. Every 97th produce request of a node is
    /// appended and replicated, then its connection is closed without an answer, so that retries
    /// happen.
    ///
    /// Imitates a broker that accepts idempotent producers without keeping their sequence state;
    /// KIP-98 describes the duplicates that retries cause without it.
    DuplicateOnRetry,
    /// Consumers are served up to the log end instead of the high watermark. After a leader dies,
    /// records that were read vanish or are replaced by others at the same offsets.
    ///
    /// Switch: the consumer's read bound in `replica/partition.rs`. Followers also wait 50 ms before
    /// each fetch, so that uncommitted records stay visible for a while.
    ///
    /// Imitates the class that Jepsen reported for Redpanda 21.10.1 as inconsistent offsets: clients
    /// that disagree about what an offset holds.
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
    ///
    /// Imitates Apache Kafka's default of acknowledging without fsync when all replicas lose power
    /// together, and systems whose sync call does nothing.
    ForgetUnsynced,
}

impl Bug {
    /// Every bug, in the order of the documentation.
    pub const ALL: [Self; 4] = [
        Self::AckBeforeReplication,
        Self::DuplicateOnRetry,
        Self::ExposeUncommitted,
        Self::ForgetUnsynced,
    ];

    /// The kebab-case name that flags and configuration files use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AckBeforeReplication => "ack-before-replication",
            Self::DuplicateOnRetry => "duplicate-on-retry",
            Self::ExposeUncommitted => "expose-uncommitted",
            Self::ForgetUnsynced => "forget-unsynced",
        }
    }
}

impl Bug {
    /// What it does, in one line.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Self::AckBeforeReplication => {
                "acknowledges acks=all when only the leader has the record"
            }
            Self::DuplicateOnRetry => "appends a retried batch again at another offset",
            Self::ExposeUncommitted => "serves consumers records above the high watermark",
            Self::ForgetUnsynced => {
                "acknowledges before the fsync, and forgets the unsynced tail at a crash"
            }
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

/// The switches as the code asks for them, one method for each place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Switches(BTreeSet<Bug>);

impl Switches {
    /// Turns on the given bugs.
    pub(crate) fn new(bugs: &BTreeSet<Bug>) -> Self {
        Self(bugs.clone())
    }

    /// Whether `acks=all` is answered without waiting for the high watermark.
    pub(crate) fn ack_without_replication(&self) -> bool {
        self.0.contains(&Bug::AckBeforeReplication)
    }

    /// Whether consumers are bounded by the log end instead of the high watermark.
    pub(crate) fn read_uncommitted_tail(&self) -> bool {
        self.0.contains(&Bug::ExposeUncommitted)
    }

    /// Whether sequence numbers of idempotent producers are ignored.
    pub(crate) fn skip_sequence_check(&self) -> bool {
        self.0.contains(&Bug::DuplicateOnRetry)
    }

    /// Whether the answer to this node's `ordinal`-th produce request (from 1) is swallowed.
    pub(crate) fn withhold_answer(&self, ordinal: u64) -> bool {
        self.skip_sequence_check() && ordinal.is_multiple_of(WITHHELD_ANSWER_PERIOD)
    }

    /// The pause before each replica fetch, if any.
    pub(crate) fn replication_delay(&self) -> Option<Duration> {
        (self.ack_without_replication() || self.read_uncommitted_tail())
            .then_some(REPLICATION_DELAY)
    }

    /// The period of real fsyncs when records count as synced without one.
    pub(crate) fn lazy_sync_period(&self) -> Option<Duration> {
        self.0.contains(&Bug::ForgetUnsynced).then_some(LAZY_SYNC_PERIOD)
    }
}

#[cfg(test)]
mod tests {
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
    fn everything_is_off_by_default() {
        let off = Switches::default();
        assert!(!off.ack_without_replication());
        assert!(!off.read_uncommitted_tail());
        assert!(!off.withhold_answer(WITHHELD_ANSWER_PERIOD));
        assert_eq!(off.replication_delay(), None);
        assert_eq!(off.lazy_sync_period(), None);
    }
}
