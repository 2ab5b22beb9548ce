//! One consumer group of the classic protocol: its members, generations and rebalances.
//!
//! The state machine is Kafka's: *empty*, then *joining* while members (re)join, then *syncing* until
//! the leader of the new generation sent the assignments, then *stable*. A member that joins, leaves
//! or falls silent starts a rebalance. `group.instance.id` is not looked at: every member is dynamic.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// How long the first rebalance of an empty group waits for more members (Kafka's
/// `group.initial.rebalance.delay.ms`, whose default is 3 s).
const INITIAL_DELAY: Duration = Duration::from_millis(200);

/// How long an id that was handed out waits for its member to join.
const PROMISE: Duration = Duration::from_secs(60);

/// What a client says when it joins.
#[derive(Debug, Clone)]
pub(crate) struct JoinRequest {
    pub(crate) member_id: String,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocol_type: String,
    /// Assignors by preference, with what the member tells each.
    pub(crate) protocols: Vec<(String, Bytes)>,
}

/// What a member learns when the join phase ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) leader: String,
    pub(crate) member_id: String,
    /// For the leader: all members with their metadata.
    pub(crate) members: Vec<(String, Bytes)>,
}

/// What a member learns when the leader has assigned partitions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Synced {
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) assignment: Bytes,
}

pub(crate) type JoinSender = oneshot::Sender<Result<Joined, ResponseError>>;
pub(crate) type SyncSender = oneshot::Sender<Result<Synced, ResponseError>>;

/// A member as the log has it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct MemberRecord {
    id: String,
    session_timeout_ms: u64,
    rebalance_timeout_ms: u64,
    metadata: Vec<u8>,
    assignment: Vec<u8>,
}

/// A group as the log has it: written when a generation becomes stable or the group empty.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct GroupRecord {
    generation: i32,
    protocol_type: String,
    protocol: String,
    leader: String,
    members: Vec<MemberRecord>,
}

#[cfg(test)]
impl GroupRecord {
    /// An empty group after so many generations.
    pub(crate) fn of_generation(generation: i32) -> Self {
        Self { generation, ..Self::default() }
    }
}

#[derive(Debug)]
struct Member {
    session_timeout: Duration,
    rebalance_timeout: Duration,
    protocols: Vec<(String, Bytes)>,
    assignment: Bytes,
    last_heard: Instant,
    joining: Option<JoinSender>,
    syncing: Option<SyncSender>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Empty,
    Joining,
    Syncing,
    Stable,
}

/// What a SyncGroup leads to.
#[derive(Debug)]
pub(crate) enum SyncStep {
    /// The answer is given or will be.
    Waiting,
    /// The leader's assignments are to be written first, then [`Group::assigned`] is called.
    Assign(GroupRecord),
}

/// A group.
#[derive(Debug)]
pub(crate) struct Group {
    phase: Phase,
    generation: i32,
    protocol_type: String,
    protocol: String,
    leader: String,
    members: BTreeMap<String, Member>,
    /// Ids that were handed out and have not joined yet, with their end.
    promised: BTreeMap<String, Instant>,
    /// Members that a rebalance left where they were, see
    /// [`Bug::DoubleAssignment`](crate::Bug::DoubleAssignment).
    left_behind: BTreeSet<String>,
    /// The join phase does not end before and lasts no longer.
    join_between: (Instant, Instant),
}

impl Default for Group {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            phase: Phase::Empty,
            generation: 0,
            protocol_type: String::new(),
            protocol: String::new(),
            leader: String::new(),
            members: BTreeMap::new(),
            promised: BTreeMap::new(),
            left_behind: BTreeSet::new(),
            join_between: (now, now),
        }
    }
}

impl Group {
    /// A group as a predecessor left it. Its members' sessions begin anew.
    pub(crate) fn from_record(record: GroupRecord) -> Self {
        let member = |member: MemberRecord| {
            let restored = Member {
                session_timeout: Duration::from_millis(member.session_timeout_ms),
                rebalance_timeout: Duration::from_millis(member.rebalance_timeout_ms),
                protocols: vec![(record.protocol.clone(), member.metadata.into())],
                assignment: member.assignment.into(),
                last_heard: Instant::now(),
                joining: None,
                syncing: None,
            };
            (member.id, restored)
        };
        let members: BTreeMap<_, _> = record.members.into_iter().map(member).collect();
        Self {
            phase: if members.is_empty() { Phase::Empty } else { Phase::Stable },
            generation: record.generation,
            protocol_type: record.protocol_type,
            protocol: record.protocol.clone(),
            leader: record.leader,
            members,
            ..Self::default()
        }
    }

    /// The current generation; 0 before the first.
    pub(crate) fn generation(&self) -> i32 {
        self.generation
    }

    /// Keeps a member id for a client that will join with it (KIP-394).
    pub(crate) fn promise(&mut self, member_id: String, now: Instant) {
        self.promised.insert(member_id, now + PROMISE);
    }

    /// A member joins. With `alone` the others stay where they are, see
    /// [`Bug::DoubleAssignment`](crate::Bug::DoubleAssignment).
    pub(crate) fn join(
        &mut self,
        request: JoinRequest,
        now: Instant,
        sender: JoinSender,
        alone: bool,
    ) {
        let id = request.member_id.clone();
        let promised = self.promised.remove(&id).is_some();
        if !promised && !self.members.contains_key(&id) {
            let _ = sender.send(Err(ResponseError::UnknownMemberId));
            return;
        }
        if !self.accepts(&request) {
            let _ = sender.send(Err(ResponseError::InconsistentGroupProtocol));
            return;
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.last_heard = now;
            let same = member.protocols == request.protocols;
            let settled = match self.phase {
                Phase::Stable => same && self.leader != id,
                Phase::Syncing => same,
                Phase::Empty | Phase::Joining => false,
            };
            if settled {
                let _ = sender.send(Ok(self.joined(&id)));
                return;
            }
        }
        // The one switch of Bug::DoubleAssignment.
        if alone && promised && self.phase == Phase::Stable {
            self.left_behind.extend(std::mem::take(&mut self.members).into_keys());
        }
        self.protocol_type = request.protocol_type;
        let member = Member {
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocols: request.protocols,
            assignment: Bytes::new(),
            last_heard: now,
            joining: Some(sender),
            syncing: None,
        };
        if let Some(mut old) = self.members.insert(id, member)
            && let Some(waiting) = old.joining.take()
        {
            let _ = waiting.send(Err(ResponseError::RebalanceInProgress));
        }
        self.rebalance(now);
    }

    /// Whether the request shares an assignor with all other members.
    fn accepts(&self, request: &JoinRequest) -> bool {
        if request.protocols.is_empty() || request.protocol_type.is_empty() {
            return false;
        }
        let others = || self.members.iter().filter(|(id, _)| **id != request.member_id);
        if others().next().is_none() {
            return true;
        }
        self.protocol_type == request.protocol_type
            && request.protocols.iter().any(|(name, _)| {
                others().all(|(_, member)| member.protocols.iter().any(|(known, _)| known == name))
            })
    }

    /// Begins the join phase, or goes on with it.
    fn rebalance(&mut self, now: Instant) {
        if self.phase != Phase::Joining {
            let first = self.phase == Phase::Empty;
            let longest = self.members.values().map(|member| member.rebalance_timeout).max();
            let begin = if first { now + INITIAL_DELAY } else { now };
            self.join_between = (begin, now + longest.unwrap_or_default().max(INITIAL_DELAY));
            self.phase = Phase::Joining;
            for member in self.members.values_mut() {
                if let Some(waiting) = member.syncing.take() {
                    let _ = waiting.send(Err(ResponseError::RebalanceInProgress));
                }
            }
        }
        self.try_finish_join(now);
    }

    fn try_finish_join(&mut self, now: Instant) {
        let everyone = self.members.values().all(|member| member.joining.is_some());
        let (earliest, latest) = self.join_between;
        if self.phase != Phase::Joining || now < earliest || (!everyone && now < latest) {
            return;
        }
        self.members.retain(|_, member| member.joining.is_some());
        self.generation += 1;
        if self.members.is_empty() {
            self.phase = Phase::Empty;
            return;
        }
        if !self.members.contains_key(&self.leader)
            && let Some(first) = self.members.keys().next()
        {
            self.leader.clone_from(first);
        }
        self.protocol = self.common_protocol();
        self.phase = Phase::Syncing;
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id);
            if let Some(member) = self.members.get_mut(&id) {
                member.last_heard = now;
                if let Some(waiting) = member.joining.take() {
                    let _ = waiting.send(Ok(joined));
                }
            }
        }
    }

    /// The leader's first choice that every member knows.
    fn common_protocol(&self) -> String {
        let choices = self.members.get(&self.leader).map(|member| &member.protocols);
        let known = |name: &str| {
            self.members.values().all(|member| member.protocols.iter().any(|(own, _)| own == name))
        };
        let found = choices.into_iter().flatten().find(|(name, _)| known(name));
        found.map_or_else(|| self.protocol.clone(), |(name, _)| name.clone())
    }

    fn metadata_of(&self, member: &Member) -> Bytes {
        let found = member.protocols.iter().find(|(name, _)| *name == self.protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    fn joined(&self, id: &str) -> Joined {
        let members = if id == self.leader {
            let all = self.members.iter();
            all.map(|(id, member)| (id.clone(), self.metadata_of(member))).collect()
        } else {
            Vec::new()
        };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member_id: id.to_owned(),
            members,
        }
    }

    fn synced(&self, member: &Member) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: member.assignment.clone(),
        }
    }

    /// A member asks for its assignment; the leader brings everybody's.
    pub(crate) fn sync(
        &mut self,
        id: &str,
        generation: i32,
        assignments: &BTreeMap<String, Bytes>,
        now: Instant,
        sender: SyncSender,
    ) -> SyncStep {
        let refuse = |sender: SyncSender, error| {
            let _ = sender.send(Err(error));
            SyncStep::Waiting
        };
        let current = self.generation;
        let Some(member) = self.members.get_mut(id) else {
            return refuse(sender, ResponseError::UnknownMemberId);
        };
        if generation != current {
            return refuse(sender, ResponseError::IllegalGeneration);
        }
        member.last_heard = now;
        match self.phase {
            Phase::Empty => refuse(sender, ResponseError::UnknownMemberId),
            Phase::Joining => refuse(sender, ResponseError::RebalanceInProgress),
            Phase::Stable => {
                if let Some(member) = self.members.get(id) {
                    let _ = sender.send(Ok(self.synced(member)));
                }
                SyncStep::Waiting
            }
            Phase::Syncing => {
                member.syncing = Some(sender);
                if id != self.leader {
                    return SyncStep::Waiting;
                }
                SyncStep::Assign(self.record(|id, _| {
                    assignments.get(id).map(|bytes| bytes.to_vec()).unwrap_or_default()
                }))
            }
        }
    }

    fn record(&self, assignment: impl Fn(&str, &Member) -> Vec<u8>) -> GroupRecord {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let members = self.members.iter().map(|(id, member)| MemberRecord {
            id: id.clone(),
            session_timeout_ms: millis(member.session_timeout),
            rebalance_timeout_ms: millis(member.rebalance_timeout),
            metadata: self.metadata_of(member).to_vec(),
            assignment: assignment(id, member),
        });
        GroupRecord {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: members.collect(),
        }
    }

    /// The assignments of this generation are in the log. Returns the members that wait, with their
    /// answers, to be sent when the log is committed.
    pub(crate) fn assigned(&mut self, record: &GroupRecord) -> Vec<(SyncSender, Synced)> {
        for assigned in &record.members {
            if let Some(member) = self.members.get_mut(&assigned.id) {
                member.assignment = assigned.assignment.clone().into();
            }
        }
        self.phase = Phase::Stable;
        let mut answers = Vec::new();
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let sender = self.members.get_mut(&id).and_then(|member| member.syncing.take());
            if let (Some(sender), Some(member)) = (sender, self.members.get(&id)) {
                answers.push((sender, self.synced(member)));
            }
        }
        answers
    }

    /// The assignments cannot be written; the members that wait are to ask again.
    pub(crate) fn not_assigned(&mut self, error: ResponseError) {
        for member in self.members.values_mut() {
            if let Some(waiting) = member.syncing.take() {
                let _ = waiting.send(Err(error));
            }
        }
    }

    /// A member says that it lives.
    ///
    /// # Errors
    /// The member is unknown or of another generation, or it is to join again.
    pub(crate) fn heartbeat(
        &mut self,
        id: &str,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if self.left_behind.contains(id) {
            return Ok(());
        }
        let member = self.members.get_mut(id).ok_or(ResponseError::UnknownMemberId)?;
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        member.last_heard = now;
        if self.phase == Phase::Joining {
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether a member of a generation may commit offsets. Clients outside of any group
    /// (generation below 0) may while it is empty.
    ///
    /// # Errors
    /// The member is unknown or of another generation, or a new generation waits to be assigned.
    pub(crate) fn check_committer(
        &mut self,
        id: &str,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if generation < 0 && self.phase == Phase::Empty {
            return Ok(());
        }
        let member = self.members.get_mut(id).ok_or(ResponseError::UnknownMemberId)?;
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if self.phase == Phase::Syncing {
            return Err(ResponseError::RebalanceInProgress);
        }
        member.last_heard = now;
        Ok(())
    }

    /// A member leaves.
    ///
    /// # Errors
    /// It is unknown.
    pub(crate) fn leave(&mut self, id: &str, now: Instant) -> Result<(), ResponseError> {
        if self.promised.remove(id).is_some() || self.left_behind.remove(id) {
            return Ok(());
        }
        self.members.remove(id).ok_or(ResponseError::UnknownMemberId)?;
        self.rebalance_without(now);
        Ok(())
    }

    fn rebalance_without(&mut self, now: Instant) {
        if self.members.is_empty() && self.phase != Phase::Joining {
            self.phase = Phase::Empty;
            self.generation += 1;
        } else {
            self.rebalance(now);
        }
    }

    /// Lets time pass: members that fell silent leave, and a join phase ends.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.promised.retain(|_, end| *end > now);
        let before = self.members.len();
        self.members.retain(|_, member| {
            // A client that waits for an answer of this coordinator sends no heartbeats.
            let waits = member.joining.as_ref().is_some_and(|sender| !sender.is_closed())
                || member.syncing.as_ref().is_some_and(|sender| !sender.is_closed());
            waits || now.duration_since(member.last_heard) < member.session_timeout
        });
        if self.members.len() < before {
            self.rebalance_without(now);
        }
        self.try_finish_join(now);
    }
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
