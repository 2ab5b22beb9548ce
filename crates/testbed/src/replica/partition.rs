//! One replica of one partition.
//!
//! All state sits behind one mutex that is never held across an await. Whoever waits for progress
//! watches [`Progress`].

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::leader::LeaderState;
use super::types::{Appended, Conditions, Identity, Progress, ReplicaError};
use crate::bugs::Switches;
use crate::control::commands::AlterPartition;
use crate::control::heartbeat::Lease;
use crate::control::image::PartitionState;
use crate::events;
use crate::log::batch::{self, BatchHeader, Marker};
use crate::log::compact::Policy;
use crate::log::partition_log::{AppendError, PartitionLog, Produced, Unsynced};
use crate::log::producers::MarkerCheck;

/// How often a waiter looks again at a lease that is not valid.
const LEASE_POLL: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) enum Role {
    /// No leader is known, or another broker leads.
    Follower,
    Leader(LeaderState),
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) log: PartitionLog,
    /// Everything below is on this node's disk.
    pub(super) synced: i64,
    pub(super) watermark: i64,
    pub(super) role: Role,
    /// The newest leader epoch that this replica heard of; -1 before the first.
    pub(super) epoch: i32,
    min_insync: usize,
    /// When the role or the leader epoch last changed.
    since: Instant,
    /// The log is longer than the leader's, so that it has to be cut even under
    /// [`Bug::DivergentLogs`](crate::Bug::DivergentLogs).
    overlong: bool,
    /// This replica leads for readers only, see [`Bug::StaleLeader`](crate::Bug::StaleLeader).
    pub(super) zombie: bool,
}

/// A replica.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) topic: String,
    pub(crate) topic_id: Uuid,
    pub(crate) index: i32,
    node: u32,
    pub(crate) switches: Arc<Switches>,
    state: Mutex<State>,
    progress: watch::Sender<Progress>,
    /// Something was appended that is not synced.
    pub(crate) unsynced: Notify,
}

impl Partition {
    /// A replica over a recovered log that is wholly on disk. `watermark` is the checkpointed one.
    pub(crate) fn new(
        identity: Identity,
        log: PartitionLog,
        watermark: i64,
        switches: Arc<Switches>,
    ) -> Self {
        let end_offset = log.end_offset();
        let watermark = watermark.clamp(0, end_offset);
        let state = State {
            log,
            synced: end_offset,
            watermark,
            role: Role::Follower,
            epoch: -1,
            min_insync: 1,
            since: Instant::now(),
            overlong: false,
            zombie: false,
        };
        let progress = Progress { end_offset, synced: end_offset, watermark, leading: None };
        Self {
            topic: identity.topic,
            topic_id: identity.topic_id,
            index: identity.index,
            node: identity.node,
            switches,
            state: Mutex::new(state),
            progress: watch::channel(progress).0,
            unsynced: Notify::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A receiver that sees every change of [`Progress`] from now on.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Advances the high watermark if this replica leads, and wakes those who wait.
    pub(super) fn publish(&self, state: &mut State) {
        let still =
            self.switches.still_watermark().is_some_and(|time| state.since.elapsed() < time);
        if let Role::Leader(leader) = &state.role
            && !still
        {
            state.watermark = state.watermark.max(leader.committed(state.synced));
            state.log.transactions.committed(state.watermark);
        }
        let progress = Progress {
            end_offset: state.log.end_offset(),
            synced: state.synced,
            watermark: state.watermark,
            leading: match &state.role {
                Role::Leader(leader) if !state.zombie => Some(leader.epoch),
                Role::Leader(_) | Role::Follower => None,
            },
        };
        self.progress.send_if_modified(|old| {
            let changed = *old != progress;
            *old = progress;
            changed
        });
    }

    /// Wakes those who wait for progress although there is none.
    pub(super) fn wake(&self) {
        self.progress.send_modify(|_| {});
    }

    /// Takes over what the metadata says about this partition.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn apply(&self, metadata: &PartitionState, min_insync: usize) -> io::Result<()> {
        let mut state = self.lock();
        state.min_insync = min_insync;
        if metadata.leader_epoch < state.epoch {
            return Ok(());
        }
        let newer = metadata.leader_epoch > state.epoch;
        state.epoch = metadata.leader_epoch;
        state.zombie = false;
        if newer {
            state.since = Instant::now();
        }
        if metadata.leader == Some(self.node) {
            match &mut state.role {
                Role::Leader(leader) if !newer => leader.update(metadata),
                _ => {
                    // The one switch of Bug::OffsetReuse.
                    if self.switches.lead_from_watermark() {
                        let to = state.watermark;
                        self.cut(&mut state, to, "reuse")?;
                    }
                    // The one switch of Bug::SequenceTableLost.
                    if self.switches.forget_producers() {
                        state.log.forget_producers();
                    }
                    let start = state.log.end_offset();
                    state.log.epochs.assign(metadata.leader_epoch, start);
                    state.role = Role::Leader(LeaderState::new(self.node, metadata, start));
                }
            }
        } else {
            state.role = Role::Follower;
        }
        self.publish(&mut state);
        Ok(())
    }

    /// From now on this replica, which was deposed, leads for readers only.
    pub(crate) fn haunt(&self) {
        let mut state = self.lock();
        state.zombie = matches!(state.role, Role::Leader(_));
        self.publish(&mut state);
    }

    /// Whether this replica was deposed and leads for readers only.
    pub(crate) fn is_zombie(&self) -> bool {
        self.lock().zombie
    }

    /// Appends a batch under conditions. `bytes` and `header` are checked already.
    ///
    /// # Errors
    /// This replica does not lead, too few replicas are in sync for `acks=all`, the producer's
    /// sequence is wrong, or the disk failed.
    pub(crate) fn produce(
        &self,
        bytes: &Bytes,
        header: &BatchHeader,
        conditions: Conditions,
    ) -> Result<Appended, ReplicaError> {
        let mut state = self.lock();
        let epoch = state.writable(conditions.acks_all, conditions.only_in)?;
        let last_ended = state.log.last_ended(header.producer_id);
        if conditions.last_ended.is_some_and(|expected| expected != last_ended) {
            return Err(ResponseError::InvalidTxnState.into());
        }
        let (base_offset, last_offset) =
            match state.log.produce(bytes, header, epoch, &self.switches)? {
                Produced::Appended { base_offset, last_offset }
                | Produced::Duplicate { base_offset, last_offset } => (base_offset, last_offset),
                Produced::OutOfOrder => {
                    return Err(ResponseError::OutOfOrderSequenceNumber.into());
                }
                Produced::StaleEpoch => return Err(ResponseError::InvalidProducerEpoch.into()),
            };
        self.publish(&mut state);
        drop(state);
        self.unsynced.notify_one();
        Ok(Appended { base_offset, last_offset, epoch })
    }

    /// Appends a transaction marker, unless that transaction ended here before; then what is waited
    /// for is everything in the log, and the second result is false.
    ///
    /// # Errors
    /// As [`Partition::produce`], or the marker comes from a deposed coordinator or for a fenced
    /// producer.
    pub(crate) fn end_transaction(
        &self,
        producer: (i64, i16),
        marker: Marker,
        timestamp: i64,
        only_in: Option<i32>,
    ) -> Result<(Appended, bool), ReplicaError> {
        let mut state = self.lock();
        let epoch = state.writable(true, only_in)?;
        let check = state.log.end_transaction(producer, marker, epoch, timestamp)?;
        match check {
            MarkerCheck::New | MarkerCheck::Duplicate => {}
            MarkerCheck::StaleCoordinator => {
                return Err(ResponseError::TransactionCoordinatorFenced.into());
            }
            MarkerCheck::StaleEpoch => return Err(ResponseError::InvalidProducerEpoch.into()),
        }
        self.publish(&mut state);
        let last_offset = state.log.end_offset() - 1;
        drop(state);
        self.unsynced.notify_one();
        let appended = Appended { base_offset: last_offset, last_offset, epoch };
        Ok((appended, check == MarkerCheck::New))
    }

    /// Whether a producer's transaction is open here, and the ordinal of its last one that ended.
    pub(crate) fn transaction_of(&self, producer_id: i64) -> (bool, i64) {
        let state = self.lock();
        (state.log.transactions.is_open(producer_id), state.log.last_ended(producer_id))
    }

    /// Waits until an appended batch is committed: below the high watermark, in the same leader
    /// epoch, confirmed by a valid lease.
    ///
    /// # Errors
    /// `NOT_LEADER_OR_FOLLOWER` when leadership was lost, `REQUEST_TIMED_OUT` at the deadline,
    /// `NOT_ENOUGH_REPLICAS_AFTER_APPEND` when the in-sync set had shrunk by then. After each of
    /// them the batch may or may not survive.
    pub(crate) async fn committed(
        &self,
        appended: Appended,
        lease: &Lease,
        deadline: Instant,
    ) -> Result<(), ResponseError> {
        let mut progress = self.progress();
        loop {
            let now = *progress.borrow_and_update();
            if now.leading != Some(appended.epoch) {
                return Err(ResponseError::NotLeaderOrFollower);
            }
            let reached = now.watermark > appended.last_offset;
            if reached && lease.is_valid() {
                return self.check_insync_size();
            }
            let wait = deadline.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Err(ResponseError::RequestTimedOut);
            }
            let wait = if reached { wait.min(LEASE_POLL) } else { wait };
            // Both outcomes lead to another look; the sender lives as long as `self`.
            let _ = tokio::time::timeout(wait, progress.changed()).await;
        }
    }

    fn check_insync_size(&self) -> Result<(), ResponseError> {
        let state = self.lock();
        match &state.role {
            Role::Leader(leader) if leader.isr().len() < state.min_insync => {
                Err(ResponseError::NotEnoughReplicasAfterAppend)
            }
            _ => Ok(()),
        }
    }

    /// As follower of `epoch`: where to fetch next; `None` while something waits to be synced,
    /// because a fetch says that everything before it is on disk.
    pub(crate) fn fetch_position(&self, epoch: i32) -> Option<i64> {
        let state = self.lock();
        let all_synced = state.synced == state.log.end_offset();
        (state.follows(epoch) && all_synced).then_some(state.synced)
    }

    /// As follower of `epoch`: the newest epoch in the log, if it holds any record.
    pub(crate) fn newest_epoch(&self, epoch: i32) -> Option<i32> {
        let state = self.lock();
        state.follows(epoch).then(|| state.log.epochs.latest()).flatten()
    }

    /// As follower of `epoch`: cuts what diverges from the leader, which said that its largest
    /// epoch up to our newest is `leader_epoch` and ends at `leader_end` (KIP-101, KIP-279). Returns
    /// whether the logs now agree; if not, the leader is to be asked again.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn truncate_to_leader(
        &self,
        epoch: i32,
        (leader_epoch, leader_end): (i32, i64),
    ) -> io::Result<bool> {
        let mut state = self.lock();
        if !state.follows(epoch) {
            return Ok(false);
        }
        let end_offset = state.log.end_offset();
        let ours = state.log.epochs.end_offset_for(leader_epoch, end_offset);
        let (target, agreed) = match ours {
            // The one switch of Bug::DivergentLogs.
            _ if self.switches.keep_divergent_tail() && !state.overlong => (end_offset, true),
            // The leader does not know either: what is committed is common to both.
            _ if leader_end < 0 => (state.watermark, true),
            Some((our_epoch, our_end)) if our_epoch == leader_epoch => {
                (our_end.min(leader_end), true)
            }
            Some((_, our_end)) => (our_end.min(leader_end), false),
            None => (end_offset.min(leader_end), true),
        };
        self.cut(&mut state, target, "divergent")?;
        state.overlong = false;
        Ok(agreed)
    }

    /// As follower: the leader refused a fetch because its log ends before this one.
    pub(crate) fn note_overlong(&self) {
        self.lock().overlong = true;
    }

    /// As follower of `epoch`: appends what the leader sent. Returns the offset to be synced before
    /// the next fetch, or `None` if this replica does not follow that epoch any more.
    ///
    /// # Errors
    /// The batches do not continue the log, or the disk failed.
    pub(crate) fn replicate(
        &self,
        epoch: i32,
        records: &[u8],
        leader_watermark: i64,
        leader_start: i64,
    ) -> Result<Option<i64>, AppendError> {
        let mut state = self.lock();
        if !state.follows(epoch) {
            return Ok(None);
        }
        if self.switches.keep_divergent_tail()
            && let Ok(first) = batch::parse_header(records)
        {
            // What diverges is kept up to the leader's next batch, so that the logs go on.
            self.cut(&mut state, first.base_offset, "bug")?;
        }
        let result = state.log.replicate(records);
        let end_offset = state.log.end_offset();
        let watermark = leader_watermark.min(end_offset);
        state.watermark = state.watermark.max(watermark);
        let watermark = state.watermark;
        state.log.transactions.committed(watermark);
        state.log.advance_start(leader_start)?;
        self.publish(&mut state);
        drop(state);
        if !records.is_empty() {
            self.unsynced.notify_one();
        }
        result.map(|()| Some(end_offset))
    }

    /// Drops everything from an offset on.
    fn cut(&self, state: &mut State, to: i64, reason: &str) -> io::Result<()> {
        let from = state.log.end_offset();
        if to >= from {
            return Ok(());
        }
        state.log.truncate(to)?;
        let to = state.log.end_offset();
        let (topic, partition) = (&self.topic, self.index);
        tracing::warn!(topic, partition, from, to, reason, "{}", events::LOG_TRUNCATED);
        if to < state.watermark {
            let watermark = state.watermark;
            tracing::error!(topic, partition, watermark, to, "committed records were truncated");
        }
        state.synced = state.synced.min(to);
        state.watermark = state.watermark.min(to);
        self.publish(state);
        Ok(())
    }

    /// Compacts what is decided. Returns whether any record went.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn compact(&self, tombstones_before: i64) -> io::Result<bool> {
        let mut state = self.lock();
        let decided = state.log.transactions.last_stable(state.watermark);
        let keep_first = self.switches.compact_backwards();
        state.log.compact(decided, Policy { tombstones_before, keep_first })
    }

    /// What has to reach the disk now; `None` if everything is there.
    pub(crate) fn take_unsynced(&self) -> Option<Unsynced> {
        let mut state = self.lock();
        let pending = state.log.end_offset() > state.synced;
        pending.then(|| state.log.take_unsynced())
    }

    /// What was written since the last sync, whatever counts as synced.
    pub(crate) fn take_written(&self) -> Unsynced {
        self.lock().log.take_unsynced()
    }

    /// Believes a sync, unless the log was cut since.
    pub(crate) fn synced(&self, unsynced: &Unsynced) {
        let mut state = self.lock();
        if state.log.generation() == unsynced.generation {
            state.synced = state.synced.max(unsynced.end_offset);
            self.publish(&mut state);
        }
    }

    /// Claims that everything appended is on disk.
    pub(crate) fn count_as_synced(&self) {
        let mut state = self.lock();
        state.synced = state.log.end_offset();
        self.publish(&mut state);
    }

    /// Where the marker of lazy syncs stands.
    pub(crate) fn marker_path(&self) -> std::path::PathBuf {
        self.lock().log.marker_path()
    }

    /// The high watermark, for the checkpoint.
    pub(crate) fn watermark(&self) -> i64 {
        self.lock().watermark
    }

    /// A change of the in-sync set that should be proposed now; it counts as sent.
    pub(crate) fn isr_proposal(
        &self,
        lag: Duration,
        is_active: impl Fn(u32) -> bool,
    ) -> Option<AlterPartition> {
        let mut state = self.lock();
        let watermark = state.watermark;
        if state.zombie {
            return None;
        }
        let Role::Leader(leader) = &mut state.role else { return None };
        let isr = leader.wanted_isr(watermark, lag, is_active)?;
        leader.proposal_sent(&isr);
        Some(AlterPartition {
            topic: self.topic.clone(),
            topic_id: self.topic_id,
            partition: self.index,
            leader: self.node,
            leader_epoch: leader.epoch,
            partition_epoch: leader.partition_epoch(),
            isr,
        })
    }

    /// The answer to a proposal of this leader epoch.
    pub(crate) fn proposal_answered(&self, epoch: i32, refused: bool, unknown: bool) {
        let mut state = self.lock();
        if let Role::Leader(leader) = &mut state.role
            && leader.epoch == epoch
        {
            leader.proposal_answered(refused, unknown);
        }
        self.publish(&mut state);
    }
}

impl State {
    /// The leader epoch in which this replica may append.
    fn writable(&self, acks_all: bool, only_in: Option<i32>) -> Result<i32, ReplicaError> {
        let leader = self.leader()?;
        if self.zombie || only_in.is_some_and(|epoch| epoch != leader.epoch) {
            return Err(ResponseError::NotLeaderOrFollower.into());
        }
        if acks_all && leader.isr().len() < self.min_insync {
            return Err(ResponseError::NotEnoughReplicas.into());
        }
        Ok(leader.epoch)
    }

    pub(super) fn leader(&self) -> Result<&LeaderState, ReplicaError> {
        match &self.role {
            Role::Leader(leader) => Ok(leader),
            Role::Follower => Err(ResponseError::NotLeaderOrFollower.into()),
        }
    }

    fn follows(&self, epoch: i32) -> bool {
        self.epoch == epoch && matches!(self.role, Role::Follower)
    }
}

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;
