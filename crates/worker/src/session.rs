//! One thread of a run: a process after the other, each invoking and completing operations in the history.

use crate::client::{Client, Polled, StartAt, Transactional};
use crate::outcome::Outcome;
use crate::payload;
use crate::plan::{ClientSettings, TopicSettings, WorkerPlan, Workload};
use crate::progress::Progress;
use crate::reader::AskError;
use crate::recorder::{Draft, Recorder, RecorderError};
use crate::turn::MainTime;
use perjury_history::{F, Kind, Mop, OpError, Payload, Process, Record, Scalar};
use rdkafka::error::KafkaError;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Why a thread had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// An event could not be recorded: the run cannot go on, since it could no longer be judged.
    #[error(transparent)]
    Recorder(#[from] RecorderError),
    /// librdkafka refuses the client's properties.
    #[error("librdkafka refuses the client settings: {0}")]
    Client(#[from] KafkaError),
    /// A consumer cannot do what it is asked for.
    #[error("a consumer cannot be used: {0}")]
    Consumer(#[from] AskError),
}

/// What all threads share.
#[derive(Debug)]
pub struct Shared {
    /// The plan.
    pub plan: WorkerPlan,
    /// `host:port,…` of the brokers.
    pub bootstrap: String,
    /// The history.
    pub recorder: Arc<Recorder>,
    /// Counters for people.
    pub progress: Arc<Progress>,
    /// When the main phase began, and when it is over.
    pub time: MainTime,
}

impl Shared {
    /// What the threads of a run share before its main phase.
    #[must_use]
    pub fn new(
        plan: WorkerPlan,
        bootstrap: String,
        recorder: Arc<Recorder>,
        progress: Arc<Progress>,
    ) -> Self {
        let time = MainTime::new(Duration::from_millis(plan.time_limit_ms));
        Shared { plan, bootstrap, recorder, progress, time }
    }
}

/// What the clients of a thread are.
#[derive(Debug, Clone)]
pub struct Role {
    /// The topic that is read, and sent to.
    pub topic: TopicSettings,
    /// What the clients are told.
    pub settings: ClientSettings,
    /// What makes them transactional.
    pub transactional: Option<Transactional>,
    /// Whether a new process reads on in the partitions of the one before.
    pub resumes: bool,
}

impl Role {
    /// Clients of the plan's topic without transactions.
    pub fn of(plan: &WorkerPlan) -> Self {
        Role {
            topic: plan.topic.clone(),
            settings: plan.client.clone(),
            transactional: None,
            resumes: true,
        }
    }

    pub(crate) fn client(&self, bootstrap: &str) -> Result<Client, KafkaError> {
        Client::with(bootstrap, &self.topic, &self.settings, self.transactional.as_ref())
    }
}

/// A thread and the process that it is at present.
pub struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) role: Role,
    pub(crate) process: u32,
    stride: u32,
    pub(crate) client: Client,
    assigned: Vec<i32>,
    marks_final: bool,
    /// Whether the present process has taken its transactional id over.
    pub(crate) initialised: bool,
}

impl Session {
    /// Thread `thread` with its first process.
    ///
    /// # Errors
    /// When librdkafka refuses the settings.
    pub fn new(shared: Arc<Shared>, thread: u32) -> Result<Self, SessionError> {
        let role = Role::of(&shared.plan);
        Session::with(shared, thread, role)
    }

    /// The same with clients of this role.
    ///
    /// # Errors
    /// When librdkafka refuses the settings.
    pub fn with(shared: Arc<Shared>, thread: u32, role: Role) -> Result<Self, SessionError> {
        let client = role.client(&shared.bootstrap)?;
        let stride = shared.plan.concurrency + 1;
        Ok(Session {
            shared,
            role,
            process: thread,
            stride,
            client,
            assigned: Vec::new(),
            marks_final: false,
            initialised: false,
        })
    }

    /// From now on operations are marked as part of the final phase.
    pub fn mark_final(&mut self) {
        self.marks_final = true;
    }

    /// The client of the present process.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn draft(&self, kind: Kind, f: F, value: Payload) -> Draft {
        let draft = Draft::new(Process::Client(self.process), kind, f, value);
        if self.marks_final { draft.with("final", true) } else { draft }
    }

    fn keys(&self, partitions: &[i32]) -> Payload {
        Payload::Keys(partitions.iter().map(|p| Scalar::from(self.role.topic.key(*p))).collect())
    }

    /// Assigns partitions, as an operation.
    ///
    /// # Errors
    /// When an event cannot be recorded.
    pub async fn assign(&mut self, partitions: &[i32], start: StartAt) -> Result<(), SessionError> {
        let from_start = start == StartAt::Beginning;
        let offset = |p: &i32| if from_start { None } else { self.recent(*p) };
        let offsets = partitions.iter().map(|p| (*p, offset(p))).collect();
        self.assign_at(&offsets, from_start).await
    }

    /// The same where each partition begins at an offset, or at the start of its log. `from_start` marks the operation as
    /// one that moves the consumer there on purpose.
    ///
    /// # Errors
    /// When an event cannot be recorded.
    pub async fn assign_at(
        &mut self,
        offsets: &BTreeMap<i32, Option<i64>>,
        from_start: bool,
    ) -> Result<(), SessionError> {
        let partitions: Vec<i32> = offsets.keys().copied().collect();
        let keys = self.keys(&partitions);
        let draft = |kind, session: &Session| {
            let draft = session.draft(kind, F::Assign, keys.clone());
            if from_start { draft.with("seek_to_beginning", true) } else { draft }
        };
        self.shared.recorder.record(draft(Kind::Invoke, self))?;
        let result = self.client.assign(&partitions, |partition| offsets[&partition]).await;
        let mut done = draft(if result.is_ok() { Kind::Ok } else { Kind::Fail }, self);
        if let Err(error) = result {
            done.error = Some(error.into());
        } else {
            self.assigned = partitions;
        }
        self.shared.recorder.record(done)?;
        Ok(())
    }

    /// The same from the first record on, for logs that lose nothing at their beginning: offset 0 is where they begin, and
    /// nobody has to be asked for it (see [`Client::assign`]).
    ///
    /// # Errors
    /// When an event cannot be recorded.
    pub async fn assign_whole(&mut self, partitions: &[i32]) -> Result<(), SessionError> {
        self.assign_at(&partitions.iter().map(|p| (*p, Some(0))).collect(), true).await
    }

    /// Sends one value, as an operation. Gives the offset if the send is ok and has one; a send of unknown outcome
    /// retires the process.
    ///
    /// # Errors
    /// When an event cannot be recorded, or no new client can be made.
    pub async fn send(&mut self, partition: i32, value: i64) -> Result<Option<i64>, SessionError> {
        self.send_as(partition, value, false).await
    }

    /// The same, as a tombstone if it is to be one. On a compacted topic the operation names the record's key.
    ///
    /// # Errors
    /// As for a send.
    pub async fn send_as(
        &mut self,
        partition: i32,
        value: i64,
        tombstone: bool,
    ) -> Result<Option<i64>, SessionError> {
        let key = Scalar::from(self.role.topic.key(partition));
        let mop = |offset| {
            Payload::Mops(vec![Mop::Send { key: key.clone(), value: value.into(), offset }])
        };
        let mut invocation = self.draft(Kind::Invoke, F::Send, mop(None));
        if self.shared.plan.workload == Workload::Compacted {
            invocation = invocation.with("record_key", payload::record_key(value));
        }
        if tombstone {
            invocation = invocation.with("tombstone", true);
        }
        self.shared.recorder.record(invocation)?;
        match self.client.send_as(self.process, partition, value, tombstone).await {
            Ok(offset) => {
                self.shared.recorder.record(self.draft(Kind::Ok, F::Send, mop(Some(offset))))?;
                self.shared.progress.acknowledged(partition, offset);
                Ok(offset)
            }
            Err(Outcome { kind, code, reason, mapped }) => {
                let mut draft = self.draft(kind, F::Send, mop(None));
                draft.error = Some(OpError { code, message: reason });
                if !mapped {
                    draft = draft.with("unmapped", true);
                }
                self.shared.recorder.record(draft)?;
                self.shared.progress.not_acknowledged(kind);
                if kind == Kind::Info {
                    self.retire().await?;
                }
                Ok(None)
            }
        }
    }

    /// Polls, as an operation. A consumer whose position is lost fails the poll and retires the process by a crash.
    ///
    /// # Errors
    /// When an event cannot be recorded, or no new client can be made.
    pub async fn poll(&mut self, wait: Duration, most: usize) -> Result<Polled, SessionError> {
        let (polled, _) = self.poll_keeping(wait, most, false).await?;
        Ok(polled)
    }

    /// The same with the records, by partition, for those who work on them.
    ///
    /// # Errors
    /// As [`Session::poll`].
    pub async fn poll_and_keep(
        &mut self,
        wait: Duration,
        most: usize,
    ) -> Result<(Polled, BTreeMap<i32, Vec<Record>>), SessionError> {
        self.poll_keeping(wait, most, true).await
    }

    async fn poll_keeping(
        &mut self,
        wait: Duration,
        most: usize,
        keep: bool,
    ) -> Result<(Polled, BTreeMap<i32, Vec<Record>>), SessionError> {
        self.shared.recorder.record(self.draft(
            Kind::Invoke,
            F::Poll,
            Payload::Mops(vec![Mop::Poll(None)]),
        ))?;
        let mut polled = self.client.poll(wait, most).await;
        let records = std::mem::take(&mut polled.records);
        let kept = if keep { records.clone() } else { BTreeMap::new() };
        let groups = self.keyed(records);
        // Records that came before the error were handed out: such a poll is ok, and carries the error all the same.
        let kind = if polled.lost.is_some() && groups.is_empty() { Kind::Fail } else { Kind::Ok };
        let mut draft = self.draft(kind, F::Poll, Payload::Mops(vec![Mop::Poll(Some(groups))]));
        draft.error = polled.lost.clone();
        if !polled.notes.is_empty() {
            draft = draft.with("notes", polled.notes.clone());
        }
        self.shared.recorder.record(draft)?;
        if polled.lost.is_some() {
            self.crash().await?;
        }
        Ok((polled, kept))
    }

    /// Polled records by key, counted.
    pub(crate) fn keyed(&self, records: BTreeMap<i32, Vec<Record>>) -> Vec<(Scalar, Vec<Record>)> {
        let count = records.values().map(|r| r.len() as u64).sum();
        self.shared.progress.polled.fetch_add(count, Ordering::Relaxed);
        let key = |p| Scalar::from(self.role.topic.key(p));
        records.into_iter().map(|(p, records)| (key(p), records)).collect()
    }

    /// The offset at which a newly assigned partition is read: near its end.
    pub(crate) fn recent(&self, partition: i32) -> Option<i64> {
        // The counters know the plan's topic only.
        let last = (self.role.topic.topic == self.shared.plan.topic.topic)
            .then(|| self.shared.progress.last_acknowledged(partition));
        Some(last.flatten().map_or(0, |o| (o - TAIL).max(0)))
    }

    /// The client is torn down, as an operation that ends in info; the thread goes on as a new process.
    ///
    /// # Errors
    /// When an event cannot be recorded, or no new client can be made.
    pub async fn crash(&mut self) -> Result<(), SessionError> {
        self.shared.recorder.record(self.draft(Kind::Invoke, F::Crash, Payload::None))?;
        self.shared.recorder.record(self.draft(Kind::Info, F::Crash, Payload::None))?;
        self.retire().await
    }

    /// The thread goes on as a new process with a new client.
    ///
    /// # Errors
    /// When an event cannot be recorded, or no new client can be made.
    pub(crate) async fn retire(&mut self) -> Result<(), SessionError> {
        let fresh = self.role.client(&self.shared.bootstrap)?;
        std::mem::replace(&mut self.client, fresh).close().await;
        self.process += self.stride;
        self.initialised = false;
        if self.role.resumes && !self.assigned.is_empty() && !self.marks_final {
            let again = self.assigned.clone();
            self.assign(&again, StartAt::Recent).await?;
        }
        Ok(())
    }

    /// The thread goes on as a new process in another role, after a crash of the present one.
    ///
    /// # Errors
    /// When an event cannot be recorded, or no new client can be made.
    pub async fn become_role(&mut self, role: Role) -> Result<(), SessionError> {
        self.assigned.clear();
        self.role = role;
        self.crash().await
    }

    /// Ends the thread.
    pub async fn close(self) {
        self.client.close().await;
    }
}

/// How many records before the last acknowledged one a newly assigned partition is read from: far enough that what was acknowledged
/// just before is looked at, near enough that nobody reads the whole log again and again.
const TAIL: i64 = 20;
