//! One thread of a run: a process after the other, each invoking and completing operations in the history.

use crate::client::{Client, Polled, StartAt};
use crate::outcome::Outcome;
use crate::payload;
use crate::plan::{WorkerPlan, Workload};
use crate::progress::Progress;
use crate::recorder::{Draft, Recorder, RecorderError};
use perjury_history::{F, Kind, Mop, OpError, Payload, Process, Record, Scalar};
use rdkafka::error::KafkaError;
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
}

/// A thread and the process that it is at present.
pub struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) process: u32,
    stride: u32,
    client: Client,
    assigned: Vec<i32>,
    marks_final: bool,
}

impl Session {
    /// Thread `thread` with its first process.
    ///
    /// # Errors
    /// When librdkafka refuses the settings.
    pub fn new(shared: Arc<Shared>, thread: u32) -> Result<Self, SessionError> {
        let client = Client::new(&shared.bootstrap, &shared.plan.topic, &shared.plan.client)?;
        let stride = shared.plan.concurrency + 1;
        Ok(Session {
            shared,
            process: thread,
            stride,
            client,
            assigned: Vec::new(),
            marks_final: false,
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
        Payload::Keys(
            partitions.iter().map(|p| Scalar::from(self.shared.plan.topic.key(*p))).collect(),
        )
    }

    /// Assigns partitions, as an operation.
    ///
    /// # Errors
    /// When an event cannot be recorded.
    pub fn assign(&mut self, partitions: &[i32], start: StartAt) -> Result<(), SessionError> {
        let from_start = start == StartAt::Beginning;
        let keys = self.keys(partitions);
        let draft = |kind, session: &Session| {
            let draft = session.draft(kind, F::Assign, keys.clone());
            if from_start { draft.with("seek_to_beginning", true) } else { draft }
        };
        self.shared.recorder.record(draft(Kind::Invoke, self))?;
        let progress = &self.shared.progress;
        let result = self.client.assign(partitions, |partition| match start {
            StartAt::Beginning => None,
            StartAt::Recent => {
                Some(progress.last_acknowledged(partition).map_or(0, |o| (o - TAIL).max(0)))
            }
        });
        let mut done = draft(if result.is_ok() { Kind::Ok } else { Kind::Fail }, self);
        if let Err(error) = result {
            done.error = Some(OpError { code: "assign".into(), message: error.to_string() });
        } else {
            self.assigned = partitions.to_vec();
        }
        self.shared.recorder.record(done)?;
        Ok(())
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
        let key = Scalar::from(self.shared.plan.topic.key(partition));
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
        self.shared.recorder.record(self.draft(
            Kind::Invoke,
            F::Poll,
            Payload::Mops(vec![Mop::Poll(None)]),
        ))?;
        let mut polled = self.client.poll(wait, most).await;
        let records = std::mem::take(&mut polled.records);
        self.shared
            .progress
            .polled
            .fetch_add(records.values().map(|r| r.len() as u64).sum(), Ordering::Relaxed);
        let topic = &self.shared.plan.topic;
        let groups: Vec<(Scalar, Vec<Record>)> =
            records.into_iter().map(|(p, records)| (Scalar::from(topic.key(p)), records)).collect();
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
        Ok(polled)
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
        let fresh =
            Client::new(&self.shared.bootstrap, &self.shared.plan.topic, &self.shared.plan.client)?;
        std::mem::replace(&mut self.client, fresh).close().await;
        self.process += self.stride;
        if !self.assigned.is_empty() && !self.marks_final {
            let again = self.assigned.clone();
            self.assign(&again, StartAt::Recent)?;
        }
        Ok(())
    }

    /// Ends the thread.
    pub async fn close(self) {
        self.client.close().await;
    }
}

/// How many records before the last acknowledged one a newly assigned partition is read from: far enough that what was acknowledged
/// just before is looked at, near enough that nobody reads the whole log again and again.
const TAIL: i64 = 20;
