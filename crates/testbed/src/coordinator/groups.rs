//! What clients ask of a group: join, sync, heartbeat, leave, commit and fetch offsets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use tokio::sync::oneshot;

use super::membership::{JoinRequest, Joined, SyncStep, Synced};
use super::offsets::{Commit, GroupShard, OffsetKey, commit_record, group_record};
use super::shard::Shard;
use super::{Coordinators, partition_of};
use crate::bugs::Switches;
use crate::log::batch::Marker;
use crate::log::now_ms;

/// Who asks: the group, the member, and the generation that it believes in.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) group: String,
    pub(crate) member_id: String,
    pub(crate) generation: i32,
}

/// What OffsetFetch found for one partition.
pub(crate) type FetchedOffset = (OffsetKey, Result<Option<Commit>, ResponseError>);

impl Coordinators {
    async fn group_shard(&self, group: &str) -> Result<Arc<Shard<GroupShard>>, ResponseError> {
        if group.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        self.groups.get(&self.plane, &self.replicas, partition_of(group)).await
    }

    /// Hands out a member id for a group.
    ///
    /// # Errors
    /// This node does not coordinate the group.
    pub(crate) async fn promise_member(
        &self,
        group: &str,
        member_id: &str,
    ) -> Result<(), ResponseError> {
        let shard = self.group_shard(group).await?;
        let mut state = shard.lock();
        let group = state.groups.entry(group.to_owned()).or_default();
        group.promise(member_id.to_owned(), Instant::now());
        Ok(())
    }

    /// Joins a group; waits until the join phase ends.
    ///
    /// # Errors
    /// This node does not coordinate the group, or the group refuses.
    pub(crate) async fn join_group(
        &self,
        group: &str,
        request: JoinRequest,
    ) -> Result<Joined, ResponseError> {
        let shard = self.group_shard(group).await?;
        let (sender, receiver) = oneshot::channel();
        let alone = self.switches.rebalance_alone();
        // The end of a join phase takes as long as the others take; a deposed coordinator lets go.
        let longest = request.rebalance_timeout + request.session_timeout;
        {
            let mut state = shard.lock();
            let group = state.groups.entry(group.to_owned()).or_default();
            group.join(request, Instant::now(), sender, alone);
        }
        wait(&shard, receiver, longest).await
    }

    /// Asks for a member's assignment; the leader brings all assignments.
    ///
    /// # Errors
    /// This node does not coordinate the group, or the group refuses.
    pub(crate) async fn sync_group(
        &self,
        caller: &Caller,
        assignments: &BTreeMap<String, Bytes>,
    ) -> Result<Synced, ResponseError> {
        let shard = self.group_shard(&caller.group).await?;
        let (sender, receiver) = oneshot::channel();
        let written = {
            let mut state = shard.lock();
            let Some(group) = state.groups.get_mut(&caller.group) else {
                return Err(ResponseError::UnknownMemberId);
            };
            let now = Instant::now();
            let step = group.sync(&caller.member_id, caller.generation, assignments, now, sender);
            match step {
                SyncStep::Waiting => None,
                SyncStep::Assign(record) => {
                    let entry = group_record(&caller.group, &record);
                    let appended = shard.append(&state, &[entry], None);
                    let group = state.groups.get_mut(&caller.group);
                    match (appended, group) {
                        (Ok(offset), Some(group)) => Some((offset, group.assigned(&record))),
                        (Err(error), Some(group)) => {
                            group.not_assigned(error);
                            None
                        }
                        (_, None) => None,
                    }
                }
            }
        };
        if let Some((offset, answers)) = written {
            let settled = shard.settled(&self.plane, offset).await;
            for (sender, answer) in answers {
                let _ = sender.send(settled.map(|()| answer));
            }
        }
        wait(&shard, receiver, Duration::from_secs(60)).await
    }

    /// Notes that a member lives.
    ///
    /// # Errors
    /// This node does not coordinate the group, or the group does not know the member so.
    pub(crate) async fn heartbeat(&self, caller: &Caller) -> Result<(), ResponseError> {
        let shard = self.group_shard(&caller.group).await?;
        let mut state = shard.lock();
        let group = state.groups.get_mut(&caller.group).ok_or(ResponseError::UnknownMemberId)?;
        group.heartbeat(&caller.member_id, caller.generation, Instant::now())
    }

    /// Removes a member.
    ///
    /// # Errors
    /// This node does not coordinate the group, or the member is unknown.
    pub(crate) async fn leave_group(&self, group: &str, member: &str) -> Result<(), ResponseError> {
        let shard = self.group_shard(group).await?;
        let mut state = shard.lock();
        let group = state.groups.get_mut(group).ok_or(ResponseError::UnknownMemberId)?;
        group.leave(member, Instant::now())
    }

    /// Commits offsets. With a transaction, of producer id and epoch, they count when it commits.
    ///
    /// # Errors
    /// This node does not coordinate the group, the member may not commit, the producer is fenced,
    /// or the log could not be written in time; then they may count nevertheless.
    pub(crate) async fn commit_offsets(
        &self,
        caller: &Caller,
        commits: Vec<(OffsetKey, Commit)>,
        transaction: Option<(i64, i16)>,
    ) -> Result<(), ResponseError> {
        let shard = self.group_shard(&caller.group).await?;
        let offset = {
            let mut state = shard.lock();
            let group = state.groups.entry(caller.group.clone()).or_default();
            // Clients that send transactional commits without a member are fenced by their epoch.
            let anonymous = transaction.is_some() && caller.generation < 0;
            // The one switch of Bug::ZombieCommit.
            if !anonymous && !self.switches.accept_any_committer() {
                let (member, generation) = (&caller.member_id, caller.generation);
                group.check_committer(member, generation, Instant::now())?;
            }
            if commits.is_empty() {
                return Ok(());
            }
            let records: Vec<_> =
                commits.iter().map(|(key, commit)| commit_record(key, commit)).collect();
            // The one switch of Bug::CommitLost.
            let offset = if self.switches.commit_in_memory() && transaction.is_none() {
                -1
            } else {
                shard.append(&state, &records, transaction)?
            };
            match transaction {
                // The one switch of Bug::OffsetsOutsideTxn.
                Some((producer_id, _)) if !self.switches.commit_before_marker() => {
                    state.commit_later(producer_id, commits);
                }
                Some(_) => state.commit(commits, &Switches::default()),
                None => state.commit(commits, &self.switches),
            }
            offset
        };
        shard.settled(&self.plane, offset).await
    }

    /// Committed offsets of a group, of all its partitions if `keys` is `None`. With `stable`,
    /// partitions for which an open transaction has committed are refused with
    /// `UNSTABLE_OFFSET_COMMIT` (KIP-447).
    ///
    /// # Errors
    /// This node does not coordinate the group.
    pub(crate) async fn fetch_offsets(
        &self,
        group: &str,
        keys: Option<Vec<OffsetKey>>,
        stable: bool,
    ) -> Result<Vec<FetchedOffset>, ResponseError> {
        let shard = self.group_shard(group).await?;
        let (found, offset) = {
            let state = shard.lock();
            let keys = keys.unwrap_or_else(|| state.keys_of(group));
            let look = |key: OffsetKey| {
                if stable && state.is_unstable(&key) {
                    (key, Err(ResponseError::UnstableOffsetCommit))
                } else {
                    let commit = state.committed(&key, &self.switches);
                    (key, Ok(commit))
                }
            };
            let found: Vec<FetchedOffset> = keys.into_iter().map(look).collect();
            (found, shard.end()?)
        };
        shard.settled(&self.plane, offset).await?;
        Ok(found)
    }

    /// Writes a transaction's marker into a partition of `__consumer_offsets`.
    ///
    /// # Errors
    /// This node does not lead the partition, or the coordinator or producer is fenced.
    pub(crate) async fn end_offsets_transaction(
        &self,
        index: i32,
        producer: (i64, i16),
        marker: Marker,
    ) -> Result<(), ResponseError> {
        let shard = self.groups.get(&self.plane, &self.replicas, index).await?;
        let offset = {
            let mut state = shard.lock();
            let ended =
                shard.partition.end_transaction(producer, marker, now_ms(), Some(shard.epoch));
            let (appended, fresh) =
                ended.map_err(|error| super::shard::coordinator_error(&error))?;
            if fresh {
                state.end_transaction(producer.0, marker.commit);
            }
            appended.last_offset
        };
        shard.settled(&self.plane, offset).await
    }
}

/// Waits for a group's answer while this node coordinates it.
async fn wait<T>(
    shard: &Shard<GroupShard>,
    receiver: oneshot::Receiver<Result<T, ResponseError>>,
    longest: Duration,
) -> Result<T, ResponseError> {
    let mut progress = shard.partition.progress();
    let deposed = progress.wait_for(|now| now.leading != Some(shard.epoch));
    tokio::select! {
        answer = receiver => answer.unwrap_or(Err(ResponseError::RebalanceInProgress)),
        _ = deposed => Err(ResponseError::NotCoordinator),
        () = tokio::time::sleep(longest) => Err(ResponseError::RebalanceInProgress),
    }
}
