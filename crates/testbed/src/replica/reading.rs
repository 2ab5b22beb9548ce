//! What clients and followers read of a replica, and where its log begins.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;

use super::leader::LeaderState;
use super::partition::{Partition, Role, State};
use super::types::{Fetched, Isolation, ReplicaError};

/// How often a waiter looks whether followers deleted what it asked for.
const DELETION_POLL: Duration = Duration::from_millis(10);

impl Partition {
    /// Reads for a consumer: whole batches below the high watermark or the last stable offset.
    ///
    /// # Errors
    /// This replica does not lead, the epoch that the client knows is not current, the offset is
    /// out of range, or the disk failed.
    pub(crate) fn read(
        &self,
        offset: i64,
        client_epoch: i32,
        max_bytes: usize,
        isolation: Isolation,
    ) -> Result<Fetched, ReplicaError> {
        let state = self.lock();
        check_epoch(state.leader()?, client_epoch)?;
        let start = state.log.start_offset();
        if offset < start || offset > state.log.end_offset() {
            return Err(ResponseError::OffsetOutOfRange.into());
        }
        let watermark = self.consumer_bound(&state);
        let stable = self.stable_bound(&state);
        let bound = if isolation == Isolation::ReadCommitted { stable } else { watermark };
        // The one switch of Bug::IndexMixup.
        let small = self.switches.mixed_up_index();
        let max_bytes = small.map_or(max_bytes, |small| small.min(max_bytes));
        let records = state.log.read_by_index(offset, bound, max_bytes, small.is_some())?;
        let aborted = if isolation == Isolation::ReadCommitted {
            state.log.transactions.aborted_in(offset, bound)
        } else {
            Vec::new()
        };
        Ok(Fetched { records, watermark, stable, start, aborted, news: false })
    }

    /// Behind the last record that consumers may see.
    fn consumer_bound(&self, state: &State) -> i64 {
        // The one switch of Bug::ExposeUncommitted.
        if self.switches.read_uncommitted_tail() { state.log.end_offset() } else { state.watermark }
    }

    /// Behind the last record that `read_committed` consumers may see.
    fn stable_bound(&self, state: &State) -> i64 {
        let bound = self.consumer_bound(state);
        // The one switch of Bug::LsoTooFar.
        if self.switches.ignore_open_transactions() {
            bound
        } else {
            state.log.transactions.last_stable(bound)
        }
    }

    /// Reads for a follower, whose fetch says that everything below `offset` is on its disk and that
    /// its log begins at `start`.
    ///
    /// # Errors
    /// This replica does not lead, the follower's epoch is not current, the sender is no replica,
    /// the offset is behind the log end, or the disk failed.
    pub(crate) fn read_as_follower(
        &self,
        follower: u32,
        (start, offset): (i64, i64),
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
        leader.note_start(follower, start);
        let before = state.watermark;
        self.publish(state);
        let records = state.log.read(offset, end_offset, max_bytes)?;
        // One of the switches of Bug::OffsetReuse and Bug::ListOffsetsRegression.
        let late = self.switches.late_watermark();
        let watermark = if late { before } else { state.watermark };
        let start = state.log.start_offset();
        let leader = state.leader()?;
        let unheard = !late && leader.told_watermark(follower) < watermark;
        let news = unheard || leader.start_of(follower) < start;
        Ok(Fetched { records, watermark, stable: watermark, start, aborted: Vec::new(), news })
    }

    /// Notes that an answer with this high watermark goes to a follower.
    pub(crate) fn tell_watermark(&self, follower: u32, watermark: i64) {
        if let Role::Leader(leader) = &mut self.lock().role {
            leader.tell_watermark(follower, watermark);
        }
    }

    /// The leader epoch, and behind the last record that consumers of this isolation may see. As in
    /// KIP-207, a new leader does not tell before its high watermark reached the start of its epoch,
    /// because what its predecessor told may lie ahead of its own.
    ///
    /// # Errors
    /// This replica does not lead, the epoch is not current, or `OFFSET_NOT_AVAILABLE`.
    pub(crate) fn latest_offset(
        &self,
        client_epoch: i32,
        isolation: Isolation,
    ) -> Result<(i32, i64), ReplicaError> {
        let state = self.lock();
        let leader = state.leader()?;
        check_epoch(leader, client_epoch)?;
        let bound = self.consumer_bound(&state);
        // The one switch of Bug::ListOffsetsRegression.
        if bound < leader.epoch_start && !self.switches.tell_any_end() {
            return Err(ResponseError::OffsetNotAvailable.into());
        }
        let bound =
            if isolation == Isolation::ReadCommitted { self.stable_bound(&state) } else { bound };
        Ok((leader.epoch, bound))
    }

    /// The first offset and its leader epoch, or the current one of an empty log.
    ///
    /// # Errors
    /// This replica does not lead, or the client's epoch is not current.
    pub(crate) fn earliest(&self, client_epoch: i32) -> Result<(i32, i64), ReplicaError> {
        let state = self.lock();
        check_epoch(state.leader()?, client_epoch)?;
        let start = state.log.start_offset();
        Ok((state.log.epochs.epoch_at(start).unwrap_or(state.epoch), start))
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
        isolation: Isolation,
    ) -> Result<Option<(i64, i64, i32)>, ReplicaError> {
        let (_, bound) = self.latest_offset(client_epoch, isolation)?;
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

    /// Deletes the records below an offset (-1: below the high watermark), on every in-sync replica,
    /// and returns where the log begins.
    ///
    /// # Errors
    /// This replica does not lead, the offset is above the high watermark, the disk failed, or not
    /// all replicas were told in time.
    pub(crate) async fn delete_records(
        &self,
        to: i64,
        deadline: Instant,
    ) -> Result<i64, ReplicaError> {
        let (epoch, to) = {
            let mut state = self.lock();
            let epoch = state.leader()?.epoch;
            let to = if to == -1 { state.watermark } else { to };
            if to < 0 || to > state.watermark {
                return Err(ResponseError::OffsetOutOfRange.into());
            }
            state.log.advance_start(to)?;
            (epoch, to)
        };
        self.wake();
        loop {
            {
                let state = self.lock();
                let leader = state.leader()?;
                if leader.epoch != epoch {
                    return Err(ResponseError::NotLeaderOrFollower.into());
                }
                if leader.all_start_at(to) {
                    return Ok(state.log.start_offset());
                }
            }
            if Instant::now() + DELETION_POLL > deadline {
                return Err(ResponseError::RequestTimedOut.into());
            }
            tokio::time::sleep(DELETION_POLL).await;
        }
    }

    /// Where the log begins.
    pub(crate) fn start_offset(&self) -> i64 {
        self.lock().log.start_offset()
    }

    /// As leader of an epoch: whole batches from an offset on, committed or not, for a coordinator
    /// that takes over.
    ///
    /// # Errors
    /// This replica does not lead in that epoch, or the disk failed.
    pub(crate) fn read_own(
        &self,
        epoch: i32,
        from: i64,
        max_bytes: usize,
    ) -> Result<Bytes, ReplicaError> {
        let state = self.lock();
        let leader = state.leader()?;
        if leader.epoch != epoch {
            return Err(ResponseError::NotLeaderOrFollower.into());
        }
        Ok(state.log.read(from, state.log.end_offset(), max_bytes)?)
    }

    /// As leader of an epoch: the offset of the last record; -1 of an empty log.
    ///
    /// # Errors
    /// This replica does not lead in that epoch.
    pub(crate) fn last_offset(&self, epoch: i32) -> Result<i64, ReplicaError> {
        let state = self.lock();
        if state.leader()?.epoch != epoch {
            return Err(ResponseError::NotLeaderOrFollower.into());
        }
        Ok(state.log.end_offset() - 1)
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
