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
use super::types::{Appended, Fetched, Identity, Progress, ReplicaError};
use crate::bugs::Switches;
use crate::control::commands::AlterPartition;
use crate::control::heartbeat::Lease;
use crate::control::image::PartitionState;
use crate::events;
use crate::log::batch::BatchHeader;
use crate::log::partition_log::{AppendError, LOG_START, PartitionLog, Produced, Unsynced};

/// How often a waiter looks again at a lease that is not valid.
const LEASE_POLL: Duration = Duration::from_millis(10);

#[derive(Debug)]
enum Role {
    /// No leader is known, or another broker leads.
    Follower,
    Leader(LeaderState),
}

#[derive(Debug)]
struct State {
    log: PartitionLog,
    /// Everything below is on this node's disk.
    synced: i64,
    watermark: i64,
    role: Role,
    /// The newest leader epoch that this replica heard of; -1 before the first.
    epoch: i32,
    min_insync: usize,
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A receiver that sees every change of [`Progress`] from now on.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Advances the high watermark if this replica leads, and wakes those who wait.
    fn publish(&self, state: &mut State) {
        if let Role::Leader(leader) = &state.role {
            state.watermark = state.watermark.max(leader.committed(state.synced));
        }
        let progress = Progress {
            end_offset: state.log.end_offset(),
            synced: state.synced,
            watermark: state.watermark,
            leading: match &state.role {
                Role::Leader(leader) => Some(leader.epoch),
                Role::Follower => None,
            },
        };
        self.progress.send_if_modified(|old| {
            let changed = *old != progress;
            *old = progress;
            changed
        });
    }

    /// Takes over what the metadata says about this partition.
    pub(crate) fn apply(&self, metadata: &PartitionState, min_insync: usize) {
        let mut state = self.lock();
        state.min_insync = min_insync;
        if metadata.leader_epoch < state.epoch {
            return;
        }
        let newer = metadata.leader_epoch > state.epoch;
        state.epoch = metadata.leader_epoch;
        if metadata.leader == Some(self.node) {
            match &mut state.role {
                Role::Leader(leader) if !newer => leader.update(metadata),
                _ => {
                    let start = state.log.end_offset();
                    state.log.epochs.assign(metadata.leader_epoch, start);
                    state.role = Role::Leader(LeaderState::new(self.node, metadata, start));
                }
            }
        } else {
            state.role = Role::Follower;
        }
        self.publish(&mut state);
    }

    /// Appends a client's batch. `bytes` and `header` are checked already.
    ///
    /// # Errors
    /// This replica does not lead, too few replicas are in sync for `acks=all`, the producer's
    /// sequence is wrong, or the disk failed.
    pub(crate) fn produce(
        &self,
        bytes: &Bytes,
        header: &BatchHeader,
        acks_all: bool,
    ) -> Result<Appended, ReplicaError> {
        let mut state = self.lock();
        let min_insync = state.min_insync;
        let Role::Leader(leader) = &state.role else {
            return Err(ResponseError::NotLeaderOrFollower.into());
        };
        if acks_all && leader.isr().len() < min_insync {
            return Err(ResponseError::NotEnoughReplicas.into());
        }
        let epoch = leader.epoch;
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

    /// Reads for a consumer: whole batches below the high watermark.
    ///
    /// # Errors
    /// This replica does not lead, the epoch that the client knows is not current, the offset is
    /// out of range, or the disk failed.
    pub(crate) fn read(
        &self,
        offset: i64,
        client_epoch: i32,
        max_bytes: usize,
    ) -> Result<Fetched, ReplicaError> {
        let state = self.lock();
        check_epoch(state.leader()?, client_epoch)?;
        if offset < 0 || offset > state.log.end_offset() {
            return Err(ResponseError::OffsetOutOfRange.into());
        }
        let bound = self.consumer_bound(&state);
        let records = state.log.read(offset, bound, max_bytes)?;
        Ok(Fetched { records, watermark: bound, news: false })
    }

    /// Behind the last record that consumers may see.
    fn consumer_bound(&self, state: &State) -> i64 {
        // The one switch of Bug::ExposeUncommitted.
        if self.switches.read_uncommitted_tail() { state.log.end_offset() } else { state.watermark }
    }

    /// Reads for a follower, whose fetch says that everything below `offset` is on its disk.
    ///
    /// # Errors
    /// This replica does not lead, the follower's epoch is not current, the sender is no replica,
    /// the offset is behind the log end, or the disk failed.
    pub(crate) fn read_as_follower(
        &self,
        follower: u32,
        offset: i64,
        epoch: i32,
        max_bytes: usize,
    ) -> Result<Fetched, ReplicaError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let end_offset = state.log.end_offset();
        let Role::Leader(leader) = &mut state.role else {
            return Err(ResponseError::NotLeaderOrFollower.into());
        };
        check_epoch(leader, epoch)?;
        if !leader.is_follower(follower) {
            return Err(ResponseError::ReplicaNotAvailable.into());
        }
        if offset < 0 || offset > end_offset {
            return Err(ResponseError::OffsetOutOfRange.into());
        }
        leader.on_fetch(follower, offset, end_offset);
        self.publish(state);
        let records = state.log.read(offset, end_offset, max_bytes)?;
        let watermark = state.watermark;
        let news = state.leader()?.told_watermark(follower) < watermark;
        Ok(Fetched { records, watermark, news })
    }

    /// Notes that an answer with this high watermark goes to a follower.
    pub(crate) fn tell_watermark(&self, follower: u32, watermark: i64) {
        if let Role::Leader(leader) = &mut self.lock().role {
            leader.tell_watermark(follower, watermark);
        }
    }

    /// The leader epoch, and behind the last record that consumers may see. As in KIP-207, a new
    /// leader does not tell before its high watermark reached the start of its epoch, because what
    /// its predecessor told may lie ahead of its own.
    ///
    /// # Errors
    /// This replica does not lead, the epoch is not current, or `OFFSET_NOT_AVAILABLE`.
    pub(crate) fn latest_offset(&self, client_epoch: i32) -> Result<(i32, i64), ReplicaError> {
        let state = self.lock();
        let leader = state.leader()?;
        check_epoch(leader, client_epoch)?;
        let bound = self.consumer_bound(&state);
        if bound < leader.epoch_start {
            return Err(ResponseError::OffsetNotAvailable.into());
        }
        Ok((leader.epoch, bound))
    }

    /// The leader epoch of the first record, or the current one of an empty log.
    ///
    /// # Errors
    /// This replica does not lead, or the client's epoch is not current.
    pub(crate) fn earliest_epoch(&self, client_epoch: i32) -> Result<i32, ReplicaError> {
        let state = self.lock();
        check_epoch(state.leader()?, client_epoch)?;
        Ok(state.log.epochs.epoch_at(LOG_START).unwrap_or(state.epoch))
    }

    /// The first record at or after a timestamp in milliseconds, or with `None` the one with the
    /// largest: offset, timestamp and leader epoch.
    ///
    /// # Errors
    /// As [`Partition::latest_offset`], or the disk failed.
    pub(crate) fn offset_by_time(
        &self,
        timestamp: Option<i64>,
        client_epoch: i32,
    ) -> Result<Option<(i64, i64, i32)>, ReplicaError> {
        let (_, bound) = self.latest_offset(client_epoch)?;
        let state = self.lock();
        let found = match timestamp {
            Some(timestamp) => state.log.find_timestamp(timestamp, bound)?,
            None => state.log.find_max_timestamp(bound)?,
        };
        Ok(found.map(|(offset, at)| {
            (offset, at, state.log.epochs.epoch_at(offset).unwrap_or(state.epoch))
        }))
    }

    /// Answers `OffsetForLeaderEpoch`: the largest epoch up to `requested` and its end offset, or
    /// (-1, -1).
    ///
    /// # Errors
    /// This replica does not lead, or the asker's epoch is not current.
    pub(crate) fn epoch_end(
        &self,
        current_epoch: i32,
        requested: i32,
    ) -> Result<(i32, i64), ReplicaError> {
        let state = self.lock();
        check_epoch(state.leader()?, current_epoch)?;
        let end = state.log.epochs.end_offset_for(requested, state.log.end_offset());
        Ok(end.unwrap_or((-1, -1)))
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
            // The leader does not know either: what is committed is common to both.
            _ if leader_end < 0 => (state.watermark, true),
            Some((our_epoch, our_end)) if our_epoch == leader_epoch => {
                (our_end.min(leader_end), true)
            }
            Some((_, our_end)) => (our_end.min(leader_end), false),
            None => (end_offset.min(leader_end), true),
        };
        self.cut(&mut state, target, "divergent")?;
        Ok(agreed)
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
    ) -> Result<Option<i64>, AppendError> {
        let mut state = self.lock();
        if !state.follows(epoch) {
            return Ok(None);
        }
        let result = state.log.replicate(records);
        let end_offset = state.log.end_offset();
        let watermark = leader_watermark.min(end_offset);
        state.watermark = state.watermark.max(watermark);
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
    fn leader(&self) -> Result<&LeaderState, ReplicaError> {
        match &self.role {
            Role::Leader(leader) => Ok(leader),
            Role::Follower => Err(ResponseError::NotLeaderOrFollower.into()),
        }
    }

    fn follows(&self, epoch: i32) -> bool {
        self.epoch == epoch && matches!(self.role, Role::Follower)
    }
}

/// Compares the leader epoch that a request carries (-1: none) with the current one (KIP-320).
fn check_epoch(leader: &LeaderState, requested: i32) -> Result<(), ReplicaError> {
    if requested < 0 || requested == leader.epoch {
        Ok(())
    } else if requested < leader.epoch {
        Err(ResponseError::FencedLeaderEpoch.into())
    } else {
        Err(ResponseError::UnknownLeaderEpoch.into())
    }
}
