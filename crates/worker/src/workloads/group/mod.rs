//! The workload `group`: a consumer group reads what others send, while members join, leave and hang.
//!
//! Some threads are members, the others send. A member subscribes, polls, and commits either after it was given records
//! (then a crash makes the group read again) or before it hands them on (then a crash makes the group miss them); asks
//! what is committed; leaves properly and comes back; or crashes: its client hangs for as long as the group waits for it,
//! and the thread goes on as another member. Some time after it left, a member's commit arrives once more, as from a
//! client that was paused: nobody may take it. With the client property `group.protocol=consumer` the group is one of
//! KIP-848, where client and broker have it.
//!
//! Before anybody joins, the beginning of every partition is committed. A member that finds nothing committed asks the
//! partition's leader for the beginning, and librdkafka can take a late answer to that for one to its next assignment: the
//! member would go back by itself, which is not the cluster's doing.

mod acts;

use self::acts::{Act, Acts, members};
use super::final_reads::{self, FinalPhase};
use super::{Description, threads};
use crate::generator::{OpStream, Planned};
use crate::member::{CommitTrouble, GroupEvent, Identity, Member, SESSION_TIMEOUT};
use crate::recorder::Draft;
use crate::session::{Session, SessionError, Shared};
use crate::turn::Turn;
use perjury_cluster::probe::{Connection, GroupCommit, ProbeError};
use perjury_history::{F, Kind, Mop, OpError, Payload, Process, Record, Scalar};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(super) const DESCRIPTION: Description = Description {
    name: "group",
    what: "a consumer group reads what others send; members join, leave and hang, and commit before or after processing",
    finds: &[
        "commit-regression",
        "redelivery-outside-window",
        "skipped-past-commit",
        "double-ownership",
        "zombie-commit",
        "lost-write",
        "lost-tail",
        "duplicate",
        "corrupt-record",
        "truncated-log",
    ],
    needs: "consumer groups (classic protocol; KIP-848 with -X group.protocol=consumer)",
    coverage_min: &[("ok commit", 4), ("ok committed", 5), ("ok rebalance", 3)],
};

/// The group's name.
pub(super) const GROUP: &str = "perjury-group";
/// How long after a member left its last commit arrives once more.
const LATE: Duration = Duration::from_millis(2500);
/// How long a member that leaves waits for something to commit.
const LAST_WORD_LIMIT: Duration = Duration::from_secs(1);
/// How long a commit in a former member's name may take.
const ZOMBIE_LIMIT: Duration = Duration::from_secs(4);
/// How often that commit is made when the node that was asked could not say who is a member.
const LATE_TRIES: u32 = 4;
/// How long it waits in between: until the group has found its new coordinator.
const LATE_AGAIN: Duration = Duration::from_millis(700);
/// How long the beginnings are committed for. A cluster that does not take them is what the run is to show.
const BEGINNING_LIMIT: Duration = Duration::from_secs(10);

/// A former member, whose last commit arrives late.
struct Former {
    identity: Identity,
    name: String,
    offsets: BTreeMap<i32, i64>,
    due: Instant,
    tries_left: u32,
}

/// One thread that is a member, and the process that it is at present.
struct GroupThread {
    shared: Arc<Shared>,
    process: u32,
    member: Member,
    former: Option<Former>,
    /// The offsets that the present process committed last.
    last: BTreeMap<i32, i64>,
}

/// Runs all threads until their time is over or `stop` is cancelled.
pub(super) async fn main_phase(
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Result<(), SessionError> {
    let members = members(&shared.plan);
    let mut first = GroupThread::new(shared.clone(), 0)?;
    first.commit_beginnings(&stop).await?;
    let mut first = Some(first);
    threads(&shared, &stop, |turn| {
        let shared = shared.clone();
        let first = if turn.thread == 0 { first.take() } else { None };
        async move {
            if turn.thread < members {
                let session = match first {
                    Some(first) => first,
                    None => GroupThread::new(shared.clone(), turn.thread)?,
                };
                run_member(shared, session, turn).await
            } else {
                run_sender(shared, turn).await
            }
        }
    })
    .await
}

async fn run_sender(shared: Arc<Shared>, mut turn: Turn) -> Result<(), SessionError> {
    let mut stream = OpStream::new(&shared.plan, turn.thread);
    let mut session = Session::new(shared.clone(), turn.thread)?;
    while turn.is_due(&shared, stream.gap()).await {
        // Polls are the members' part, so that a turn of them is one without an operation.
        if let Planned::Send { partition, value } = stream.next_op() {
            session.send(partition, value).await?;
        }
    }
    session.close().await;
    Ok(())
}

async fn run_member(
    shared: Arc<Shared>,
    mut session: GroupThread,
    mut turn: Turn,
) -> Result<(), SessionError> {
    let mut acts = Acts::new(&shared.plan, turn.thread);
    let mut stream = OpStream::new(&shared.plan, turn.thread);
    session.subscribe().await?;
    while turn.is_due(&shared, stream.gap()).await {
        session.late_commit().await?;
        match acts.next(shared.time.elapsed()) {
            Act::Poll => session.poll(false).await?,
            Act::PollCommitted => session.poll(true).await?,
            Act::Commit => session.commit().await?,
            Act::Committed => session.committed().await?,
            Act::Leave => session.leave().await?,
            Act::CommitAndLeave => session.commit_and_leave().await?,
            Act::Crash => session.crash().await?,
        }
    }
    session.member.close().await;
    Ok(())
}

/// Asks for the group's committed offsets, then the common final phase.
pub(super) async fn final_phase(
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Result<FinalPhase, SessionError> {
    let mut session = GroupThread::new(shared.clone(), shared.plan.concurrency)?;
    let limit = Instant::now() + Duration::from_millis(shared.plan.recovery_limit_ms);
    while !session.ask_committed().await? && Instant::now() < limit && !stop.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    session.member.close().await;
    final_reads::final_phase(shared, stop).await
}

impl GroupThread {
    fn new(shared: Arc<Shared>, thread: u32) -> Result<Self, SessionError> {
        let member = Self::member(&shared)?;
        Ok(GroupThread { shared, process: thread, member, former: None, last: BTreeMap::new() })
    }

    fn member(shared: &Shared) -> Result<Member, SessionError> {
        Ok(Member::new(&shared.bootstrap, GROUP, &shared.plan.topic, &shared.plan.client)?)
    }

    fn draft(&self, kind: Kind, f: &str, value: Payload) -> Draft {
        Draft::new(Process::Client(self.process), kind, F::parse(f), value).with("group", GROUP)
    }

    fn record(&self, draft: Draft) -> Result<(), SessionError> {
        self.shared.recorder.record(draft)?;
        Ok(())
    }

    fn key(&self, partition: i32) -> String {
        self.shared.plan.topic.key(partition)
    }

    fn named(&self, offsets: &BTreeMap<i32, i64>) -> Value {
        let named = offsets.iter().map(|(p, offset)| (self.key(*p), json!(offset)));
        Value::Object(named.collect::<Map<_, _>>())
    }

    fn all(&self) -> Vec<i32> {
        (0..self.shared.plan.topic.partitions).collect()
    }

    async fn subscribe(&mut self) -> Result<(), SessionError> {
        let keys = self.all().into_iter().map(|p| Scalar::from(self.key(p))).collect();
        let keys = Payload::Keys(keys);
        self.record(self.draft(Kind::Invoke, "subscribe", keys.clone()))?;
        self.member.subscribe().await?;
        self.record(self.draft(Kind::Ok, "subscribe", keys))
    }

    /// Polls, as an operation; with `commits`, the records are committed before the operation hands them on.
    async fn poll(&mut self, commits: bool) -> Result<(), SessionError> {
        self.record(self.draft(Kind::Invoke, "poll", Payload::Mops(vec![Mop::Poll(None)])))?;
        let client = &self.shared.plan.client;
        let wait = Duration::from_millis(client.poll_ms);
        let (mut polled, events) = self.member.poll(wait, client.poll_records_max).await;
        let mut offsets = BTreeMap::new();
        let mut outcome = Ok(());
        if commits && !polled.is_empty() && events.is_empty() {
            offsets = self.member.uncommitted();
            outcome = self.member.commit(&offsets).await;
        }
        let records = std::mem::take(&mut polled.records);
        let count = records.values().map(|r| r.len() as u64).sum();
        self.shared.progress.polled.fetch_add(count, Ordering::Relaxed);
        let key = |p: i32| Scalar::from(self.key(p));
        let groups: Vec<(Scalar, Vec<Record>)> =
            records.into_iter().map(|(p, records)| (key(p), records)).collect();
        let unknown = matches!(&outcome, Err(trouble) if trouble.kind == Kind::Info);
        let kind = match &polled.lost {
            _ if unknown => Kind::Info,
            Some(_) if groups.is_empty() => Kind::Fail,
            _ => Kind::Ok,
        };
        let value = Payload::Mops(vec![Mop::Poll(Some(groups))]);
        let mut draft = self.draft(kind, "poll", value);
        draft.error = polled.lost.clone();
        match outcome {
            Err(trouble) if !unknown => draft = draft.with("notes", json!([trouble.error.message])),
            Err(CommitTrouble { error, .. }) => {
                draft.error = Some(error);
                draft = draft.with("offsets", self.named(&offsets));
            }
            Ok(()) if !offsets.is_empty() => draft = draft.with("offsets", self.named(&offsets)),
            Ok(()) => {}
        }
        if !offsets.is_empty() {
            draft = draft.with("generation", self.member.identity().generation);
        }
        if !polled.notes.is_empty() {
            draft = draft.with("notes", polled.notes.clone());
        }
        if !events.is_empty() {
            draft = draft.with("rebalance_log", self.log(&events));
        }
        self.record(draft)?;
        self.last.extend(offsets);
        if unknown {
            return self.retire(Duration::ZERO).await;
        }
        if !events.is_empty() {
            self.rebalanced(&events)?;
        }
        if polled.lost.is_some() { self.crash().await } else { Ok(()) }
    }

    fn log(&self, events: &[GroupEvent]) -> Value {
        let entry = |event: &GroupEvent| {
            let keys: Vec<String> = event.partitions.iter().map(|p| self.key(*p)).collect();
            json!({"type": event.what, "keys": keys, "generation": event.generation})
        };
        events.iter().map(entry).collect()
    }

    /// What the group told during a poll, as an operation of its own; the poll's `rebalance_log` says the same.
    fn rebalanced(&mut self, events: &[GroupEvent]) -> Result<(), SessionError> {
        for partition in events.iter().flat_map(|event| &event.partitions) {
            self.last.remove(partition);
        }
        let log = Payload::Json(self.log(events));
        self.record(self.draft(Kind::Invoke, "rebalance", Payload::None))?;
        self.record(self.draft(Kind::Ok, "rebalance", log))
    }

    /// Commits what was read, if anything was since the last commit.
    async fn commit(&mut self) -> Result<(), SessionError> {
        let offsets = self.member.uncommitted();
        if offsets.is_empty() {
            return self.poll(false).await;
        }
        match self.ask_commit(&offsets).await? {
            Kind::Ok => self.last.extend(offsets),
            Kind::Info => self.retire(Duration::ZERO).await?,
            _ => {}
        }
        Ok(())
    }

    /// Commits these offsets, as an operation, and says how it ended.
    async fn ask_commit(&mut self, offsets: &BTreeMap<i32, i64>) -> Result<Kind, SessionError> {
        let value = Payload::Json(self.named(offsets));
        let generation = self.member.identity().generation;
        let draft = |session: &Self, kind| {
            session.draft(kind, "commit", value.clone()).with("generation", generation)
        };
        self.record(draft(self, Kind::Invoke))?;
        let outcome = self.member.commit(offsets).await;
        let (kind, error) = match outcome {
            Ok(()) => (Kind::Ok, None),
            Err(CommitTrouble { kind, error }) => (kind, Some(error)),
        };
        let mut done = draft(self, kind);
        done.error = error;
        self.record(done)?;
        Ok(kind)
    }

    /// Commits the beginning of every partition, while the group has no member. Gives up after a while.
    async fn commit_beginnings(&mut self, stop: &CancellationToken) -> Result<(), SessionError> {
        let beginnings = self.all().into_iter().map(|partition| (partition, 0)).collect();
        let limit = Instant::now() + BEGINNING_LIMIT;
        loop {
            let kind = self.ask_commit(&beginnings).await?;
            if kind == Kind::Info {
                self.renew(Duration::ZERO)?;
            }
            if kind == Kind::Ok || Instant::now() >= limit || stop.is_cancelled() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn committed(&mut self) -> Result<(), SessionError> {
        self.ask_committed().await?;
        Ok(())
    }

    /// Asks for the group's committed offsets of all partitions. Says whether there was an answer.
    async fn ask_committed(&mut self) -> Result<bool, SessionError> {
        let all = self.all();
        self.record(self.draft(Kind::Invoke, "committed", Payload::None))?;
        let (draft, answered) = match self.member.committed(&all).await {
            Ok(told) => {
                let told = told.iter().map(|(p, offset)| (self.key(*p), json!(offset)));
                let told = Value::Object(told.collect());
                (self.draft(Kind::Ok, "committed", Payload::Json(told)), true)
            }
            Err(error) => {
                let mut draft = self.draft(Kind::Fail, "committed", Payload::None);
                draft.error = Some(error);
                (draft, false)
            }
        };
        self.record(draft)?;
        Ok(answered)
    }

    /// Leaves, but first commits something if the group gave it partitions a moment ago: a late commit then has something
    /// to say.
    async fn commit_and_leave(&mut self) -> Result<(), SessionError> {
        let limit = Instant::now() + LAST_WORD_LIMIT;
        while self.last.is_empty() && !self.member.owned().is_empty() && Instant::now() < limit {
            self.commit().await?;
        }
        self.leave().await
    }

    /// Leaves the group properly; the thread goes on as a new member.
    async fn leave(&mut self) -> Result<(), SessionError> {
        self.record(self.draft(Kind::Invoke, "leave", Payload::None))?;
        let identity = self.member.identity();
        let name = self.process.to_string();
        let offsets = std::mem::take(&mut self.last);
        let fresh = Self::member(&self.shared)?;
        std::mem::replace(&mut self.member, fresh).close().await;
        self.record(self.draft(Kind::Ok, "leave", Payload::None))?;
        if identity.generation.is_some() && !offsets.is_empty() {
            let due = Instant::now() + LATE;
            self.former = Some(Former { identity, name, offsets, due, tries_left: LATE_TRIES });
        }
        self.process += self.shared.plan.concurrency + 1;
        self.subscribe().await
    }

    /// The client hangs and is torn down, as an operation that ends in info; the thread goes on as a new member.
    async fn crash(&mut self) -> Result<(), SessionError> {
        self.record(self.draft(Kind::Invoke, "crash", Payload::None))?;
        self.record(self.draft(Kind::Info, "crash", Payload::None))?;
        self.retire(SESSION_TIMEOUT).await
    }

    /// The thread goes on as a new member; the old one is silent for so long, and then leaves.
    async fn retire(&mut self, silent: Duration) -> Result<(), SessionError> {
        self.renew(silent)?;
        self.subscribe().await
    }

    /// The next process has a client that did nothing yet; the old one is silent for so long, and then ends.
    fn renew(&mut self, silent: Duration) -> Result<(), SessionError> {
        let fresh = Self::member(&self.shared)?;
        std::mem::replace(&mut self.member, fresh).abandon(silent);
        self.last.clear();
        self.process += self.shared.plan.concurrency + 1;
        Ok(())
    }

    /// The last commit of the member that left arrives once more, when it is due: in its name and generation, with the
    /// offsets that it knew. It is made again where nobody decided on it.
    async fn late_commit(&mut self) -> Result<(), SessionError> {
        let Some(former) = self.former.take_if(|former| former.due <= Instant::now()) else {
            return Ok(());
        };
        let value = Payload::Json(self.named(&former.offsets));
        let draft = |session: &Self, kind| {
            session
                .draft(kind, "commit", value.clone())
                .with("member", former.name.clone())
                .with("generation", former.identity.generation)
        };
        self.record(draft(self, Kind::Invoke))?;
        let deadline = Instant::now() + ZOMBIE_LIMIT;
        match commit_as(&self.shared, &former, deadline).await {
            Ok(()) => self.record(draft(self, Kind::Ok)),
            Err(error) => {
                // A broker that refused did not take it; one that could not be asked was told nothing.
                let unknown = matches!(
                    error,
                    ProbeError::Timeout { what: "its answer", .. }
                        | ProbeError::Io { .. }
                        | ProbeError::Closed { .. }
                );
                let kind = if unknown { Kind::Info } else { Kind::Fail };
                let undecided =
                    matches!(&error, ProbeError::Refused { code, .. } if NOBODYS.contains(code));
                let mut done = draft(self, kind);
                done.error =
                    Some(OpError { code: "late-commit".into(), message: error.to_string() });
                self.record(done)?;
                let tries_left = former.tries_left.saturating_sub(1);
                if undecided && tries_left > 0 {
                    let due = Instant::now() + LATE_AGAIN;
                    self.former = Some(Former { due, tries_left, ..former });
                }
                if unknown { self.retire(Duration::ZERO).await } else { Ok(()) }
            }
        }
    }
}

/// Commits in the name of a former member, at the group's coordinator.
async fn commit_as(shared: &Shared, former: &Former, deadline: Instant) -> Result<(), ProbeError> {
    let mut coordinator = Err(ProbeError::Closed { address: shared.bootstrap.clone() });
    for address in shared.bootstrap.split(',') {
        // A broker that hangs must leave time for the others.
        let soon = deadline.min(Instant::now() + ZOMBIE_LIMIT / 4);
        let asking =
            async { Connection::open(address, soon).await?.group_coordinator(GROUP, soon).await };
        coordinator = asking.await.map(|(_, address)| address);
        if coordinator.is_ok() {
            break;
        }
    }
    let refused = |error: ProbeError| ProbeError::Refused {
        address: shared.bootstrap.clone(),
        code: COORDINATOR_NOT_AVAILABLE,
        message: Some(error.to_string()),
    };
    let coordinator = coordinator.map_err(refused)?;
    let mut connection = Connection::open(&coordinator, deadline).await.map_err(refused)?;
    let commit = GroupCommit {
        group: GROUP,
        member: &former.identity.member,
        generation: former.identity.generation.unwrap_or(-1),
        topic: &shared.plan.topic.topic,
        offsets: &former.offsets,
    };
    connection.commit_offsets(commit, deadline).await
}

/// Kafka's error code where a group has no coordinator that can be asked.
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
/// With these a node says that it does not know the group: still loading, none to be had, or another node's.
const NOBODYS: [i16; 3] = [14, COORDINATOR_NOT_AVAILABLE, 16];
