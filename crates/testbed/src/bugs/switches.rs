//! The switches as the code asks for them, one method for each place.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Bug;

/// How long a follower waits before each fetch under the bugs that need a window between a leader's
/// append and its replication. On a loopback without it the window is well under a millisecond and
/// a kill would almost never fall into it.
const REPLICATION_DELAY: Duration = Duration::from_millis(50);

/// Every how many produce requests a node swallows an answer under [`Bug::DuplicateOnRetry`]. Prime,
/// so that it does not lock onto a client's round over partitions.
const WITHHELD_ANSWER_PERIOD: u64 = 97;

/// Time between two real fsyncs under [`Bug::ForgetUnsynced`].
const LAZY_SYNC_PERIOD: Duration = Duration::from_secs(2);

/// How rarely the lagging replica of [`Bug::UncleanFailover`] fetches; longer than
/// `replica_lag_ms`, so that it leaves the in-sync set.
const LAGGARD_DELAY: Duration = Duration::from_secs(3);

/// How long answers wait behind the commit under [`Bug::SequenceTableLost`].
const LATE_ANSWER: Duration = Duration::from_millis(30);

/// How late a change of leaders is applied under [`Bug::StaleLeader`].
const LATE_METADATA: Duration = Duration::from_millis(1_500);

/// How long a new leader's high watermark stands still under [`Bug::ListOffsetsRegression`].
const STILL_WATERMARK: Duration = Duration::from_millis(500);

/// Most bytes of a fetch under [`Bug::IndexMixup`].
const SMALL_FETCH: usize = 16 * 1024;

/// Which transactions with several partitions are torn, see [`Bug::TornEndTxn`].
const TORN_PERIOD: i64 = 3;

/// Which transactions hang, see [`Bug::HangingTransaction`].
const HANGING_PERIOD: i64 = 7;

/// Which EndTxn requests of a node are late, see [`Bug::UnorderedEndTxn`].
const LATE_END_PERIOD: u64 = 5;

/// How late they are: longer than a client needs to connect again and to retry.
const LATE_END: Duration = Duration::from_millis(400);

/// What is switched on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Switches(BTreeSet<Bug>);

impl Switches {
    /// Turns on the given bugs.
    pub(crate) fn new(bugs: &BTreeSet<Bug>) -> Self {
        Self(bugs.clone())
    }

    fn on(&self, bug: Bug) -> bool {
        self.0.contains(&bug)
    }

    /// Whether `acks=all` is answered without waiting for the high watermark.
    pub(crate) fn ack_without_replication(&self) -> bool {
        self.on(Bug::AckBeforeReplication)
    }

    /// Whether consumers are bounded by the log end instead of the high watermark.
    pub(crate) fn read_uncommitted_tail(&self) -> bool {
        self.on(Bug::ExposeUncommitted)
    }

    /// Whether sequence numbers of idempotent producers are ignored.
    pub(crate) fn skip_sequence_check(&self) -> bool {
        self.on(Bug::DuplicateOnRetry)
    }

    /// Whether the answer to this node's `ordinal`-th produce request (from 1) is swallowed.
    pub(crate) fn withhold_answer(&self, ordinal: u64) -> bool {
        self.skip_sequence_check() && ordinal.is_multiple_of(WITHHELD_ANSWER_PERIOD)
    }

    /// The pause before each replica fetch of a node, if any. `last` says that no node of the cluster
    /// has a higher id.
    pub(crate) fn replication_delay(&self, last: bool) -> Option<Duration> {
        if last && self.ignore_in_sync_set() {
            return Some(LAGGARD_DELAY);
        }
        let windowed = self.ack_without_replication()
            || self.read_uncommitted_tail()
            || self.keep_divergent_tail()
            || self.lead_from_watermark()
            || self.tell_any_end();
        windowed.then_some(REPLICATION_DELAY)
    }

    /// The period of real fsyncs when records count as synced without one.
    pub(crate) fn lazy_sync_period(&self) -> Option<Duration> {
        self.on(Bug::ForgetUnsynced).then_some(LAZY_SYNC_PERIOD)
    }

    /// Whether elections after a fencing prefer replicas that are not in sync.
    pub(crate) fn ignore_in_sync_set(&self) -> bool {
        self.on(Bug::UncleanFailover)
    }

    /// Whether followers keep what diverges from their leader.
    pub(crate) fn keep_divergent_tail(&self) -> bool {
        self.on(Bug::DivergentLogs)
    }

    /// Whether a new leader cuts its log to its high watermark.
    pub(crate) fn lead_from_watermark(&self) -> bool {
        self.on(Bug::OffsetReuse)
    }

    /// Whether followers learn of a high watermark one fetch late, as Kafka's do.
    pub(crate) fn late_watermark(&self) -> bool {
        self.lead_from_watermark() || self.tell_any_end()
    }

    /// Whether a new leader forgets the producers.
    pub(crate) fn forget_producers(&self) -> bool {
        self.on(Bug::SequenceTableLost)
    }

    /// The pause between commit and answer of a produce request, if any.
    pub(crate) fn answer_delay(&self) -> Option<Duration> {
        self.forget_producers().then_some(LATE_ANSWER)
    }

    /// Whether sequence numbers wrap early.
    pub(crate) fn small_sequence_ring(&self) -> bool {
        self.on(Bug::SequenceWrap)
    }

    /// Whether reads are answered without a lease.
    pub(crate) fn read_without_lease(&self) -> bool {
        self.on(Bug::StaleLeader)
    }

    /// How late metadata is applied, if it is.
    pub(crate) fn metadata_delay(&self) -> Option<Duration> {
        self.read_without_lease().then_some(LATE_METADATA)
    }

    /// Whether fetches keep silent about aborted transactions.
    pub(crate) fn hide_aborts(&self) -> bool {
        self.on(Bug::AbortedVisible)
    }

    /// Whether the last stable offset is the high watermark.
    pub(crate) fn ignore_open_transactions(&self) -> bool {
        self.on(Bug::LsoTooFar)
    }

    /// Whether the last of a committing transaction's `partitions` gets an abort marker.
    pub(crate) fn tear(&self, ordinal: i64, partitions: usize) -> bool {
        self.on(Bug::TornEndTxn) && partitions > 1 && ordinal % TORN_PERIOD == 0
    }

    /// Whether the last partition of a transaction gets no marker.
    pub(crate) fn hang(&self, ordinal: i64) -> bool {
        self.on(Bug::HangingTransaction) && ordinal % HANGING_PERIOD == 0
    }

    /// Whether requests on abandoned connections take effect.
    pub(crate) fn accept_late_requests(&self) -> bool {
        self.on(Bug::UnorderedEndTxn)
    }

    /// How late this node's `ordinal`-th EndTxn (from 1) takes effect, if it does.
    pub(crate) fn late_end(&self, ordinal: u64) -> Option<Duration> {
        (self.accept_late_requests() && ordinal.is_multiple_of(LATE_END_PERIOD)).then_some(LATE_END)
    }

    /// Whether producer epochs fence nobody.
    pub(crate) fn ignore_fencing(&self) -> bool {
        self.on(Bug::FencingIgnored)
    }

    /// Whether committed offsets stay in memory.
    pub(crate) fn commit_in_memory(&self) -> bool {
        self.on(Bug::CommitLost)
    }

    /// Whether offsets that a transaction commits count before it ends.
    pub(crate) fn commit_before_marker(&self) -> bool {
        self.on(Bug::OffsetsOutsideTxn)
    }

    /// Whether every second commit misses the cache.
    pub(crate) fn stale_commit_cache(&self) -> bool {
        self.on(Bug::CommitRegression)
    }

    /// Whether a rebalance leaves the other members where they are.
    pub(crate) fn rebalance_alone(&self) -> bool {
        self.on(Bug::DoubleAssignment)
    }

    /// Added to the committed offsets that a group of this generation is told.
    pub(crate) fn commit_skew(&self, generation: i32) -> i64 {
        i64::from(self.on(Bug::SkipAfterRebalance) && generation > 1)
    }

    /// Whether a new leader tells its end offset at once.
    pub(crate) fn tell_any_end(&self) -> bool {
        self.on(Bug::ListOffsetsRegression)
    }

    /// How long a new leader's high watermark stands still, if it does.
    pub(crate) fn still_watermark(&self) -> Option<Duration> {
        self.tell_any_end().then_some(STILL_WATERMARK)
    }

    /// Whether leaders damage records now and then.
    pub(crate) fn corrupt_records(&self) -> bool {
        self.on(Bug::CorruptRecord)
    }

    /// Most bytes of a consumer's fetch through the mixed-up index; `None` if the index is sound.
    pub(crate) fn mixed_up_index(&self) -> Option<usize> {
        self.on(Bug::IndexMixup).then_some(SMALL_FETCH)
    }

    /// Whether compaction keeps the first value.
    pub(crate) fn compact_backwards(&self) -> bool {
        self.on(Bug::CompactionKeepsWrong)
    }

    /// Whether anybody may commit offsets.
    pub(crate) fn accept_any_committer(&self) -> bool {
        self.on(Bug::ZombieCommit) || self.rebalance_alone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_off_by_default() {
        let off = Switches::default();
        assert!(!off.ack_without_replication());
        assert!(!off.read_uncommitted_tail());
        assert!(!off.withhold_answer(WITHHELD_ANSWER_PERIOD));
        assert_eq!(off.replication_delay(true), None);
        assert_eq!(off.lazy_sync_period(), None);
        assert!(!off.tear(TORN_PERIOD, 2));
        assert!(!off.hang(HANGING_PERIOD));
        assert_eq!(off.late_end(LATE_END_PERIOD), None);
        assert_eq!(off.commit_skew(9), 0);
    }

    #[test]
    fn one_replica_lags_under_an_unclean_failover() {
        let on = Switches::new(&[Bug::UncleanFailover].into());
        assert_eq!(on.replication_delay(false), None);
        assert_eq!(on.replication_delay(true), Some(LAGGARD_DELAY));
    }
}
