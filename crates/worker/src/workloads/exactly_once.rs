//! The workload `exactly-once`: consume, transform, produce.
//!
//! Feeders write to the input topic in transactions, some of which are aborted. Each partition of it belongs to one
//! processor, which polls a batch, writes one output for each record to the same partition of the output topic, and
//! commits the consumed offsets in the same transaction. A transaction that is aborted is tried again with the batch that
//! is still in memory, or by a processor that starts anew; a processor that lost its client, or does not know what became of its commit, takes its id over
//! again and goes on where its group's committed offsets say.

use super::observers::{self, observers};
use super::stream::{Planned, Stream};
use super::{Description, threads, transactional};
use crate::attempt::{Consumed, End, Ended, Request, Step};
use crate::plan::{TopicSettings, WorkerPlan};
use crate::session::{Session, SessionError, Shared};
use crate::turn::Turn;
use perjury_history::{F, Kind, Payload, Scalar};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(super) const DESCRIPTION: Description = Description {
    name: "exactly-once",
    what: "processors consume from one topic and produce to another, and commit consumed offsets with their outputs, \
           while feeders write inputs in transactions",
    finds: &[
        "exactly-once-violation",
        "commit-regression",
        "G1a",
        "torn-transaction",
        "early-read",
        "lost-write",
        "lost-tail",
        "hanging-transaction",
        "duplicate",
        "inconsistent-offsets",
        "poll-skip",
        "nonmonotonic-poll",
        "corrupt-record",
    ],
    needs: "transactions (KIP-98) and offsets committed in them",
    coverage_min: &[
        ("ok txn", 50),
        ("fail txn", 5),
        ("ok committed", 2),
        ("ok peek", 1),
        ("ok list-offsets", 1),
    ],
};

/// The most records of a batch.
const BATCH_MAX: usize = 12;

/// The most records of an input transaction.
const FEED_MAX: usize = 4;

/// One operation of a processor in this many tears it down and starts it again.
const CRASH_ONE_IN: u32 = 60;

/// One aborted transaction in this many is followed by a restart.
const RESTART_ONE_IN: u32 = 2;

const COMMITTED_LIMIT: Duration = Duration::from_secs(5);

/// The topic that outputs are written to.
pub(super) fn outputs(plan: &WorkerPlan) -> TopicSettings {
    TopicSettings { topic: format!("{}-out", plan.topic.topic), ..plan.topic.clone() }
}

/// The group of the processors.
pub(super) fn group(plan: &WorkerPlan) -> String {
    format!("{}-processors", plan.topic.topic)
}

/// How many threads process.
fn processors(plan: &WorkerPlan, workers: u32) -> u32 {
    let partitions = u32::try_from(plan.topic.partitions).unwrap_or(1);
    // The one thread of a run with a single one feeds, since nothing is processed that was not fed.
    (workers / 2).min(partitions)
}

/// Runs all threads until their time is over or `stop` is cancelled.
pub(super) async fn main_phase(
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Result<(), SessionError> {
    let workers = shared.plan.concurrency - observers(shared.plan.concurrency);
    let processors = processors(&shared.plan, workers);
    threads(&shared, &stop, |turn| {
        let shared = shared.clone();
        async move {
            if turn.thread < processors {
                process(shared, turn, processors).await
            } else if turn.thread < workers {
                feed(shared, turn).await
            } else {
                let role = transactional::reader(&shared.plan, &outputs(&shared.plan));
                observers::run_thread(shared, turn, role).await
            }
        }
    })
    .await
}

async fn feed(shared: Arc<Shared>, mut turn: Turn) -> Result<(), SessionError> {
    let topic = &shared.plan.topic;
    let id = format!("{}-feeder-{}", topic.topic, turn.thread);
    let role = transactional::writer(&shared.plan, topic, &id, &id);
    let mut stream = Stream::new(&shared.plan, turn.thread);
    let mut session = Session::with(shared.clone(), turn.thread, role)?;
    while turn.is_due(&shared, stream.gap()).await {
        match stream.sends(&topic.topic, FEED_MAX) {
            Planned::Txn(request) => {
                if session.init_transactions().await? {
                    session.transaction(&request).await?;
                }
            }
            Planned::Assign(_) | Planned::Crash => session.crash().await?,
        }
    }
    session.close().await;
    Ok(())
}

/// One record of a batch: its partition, its offset and its value.
type Input = (i32, i64, Scalar);

struct Processor {
    session: Session,
    stream: Stream,
    partitions: Vec<i32>,
    output: TopicSettings,
    batch: Vec<Input>,
    /// Whether the present process reads where its group's commits say.
    placed: bool,
}

async fn process(shared: Arc<Shared>, mut turn: Turn, processors: u32) -> Result<(), SessionError> {
    let topic = &shared.plan.topic;
    let id = format!("{}-processor-{}", topic.topic, turn.thread);
    let group = group(&shared.plan);
    let mut role = transactional::writer(&shared.plan, topic, &id, &group);
    role.resumes = false;
    let mine = |p: &i32| u32::try_from(*p).unwrap_or(0) % processors == turn.thread;
    let mut processor = Processor {
        session: Session::with(shared.clone(), turn.thread, role)?,
        stream: Stream::new(&shared.plan, turn.thread),
        partitions: (0..topic.partitions).filter(mine).collect(),
        output: outputs(&shared.plan),
        batch: Vec::new(),
        placed: false,
    };
    while turn.is_due(&shared, processor.stream.gap()).await {
        processor.step().await?;
    }
    processor.session.close().await;
    Ok(())
}

impl Processor {
    /// One operation, or the few that a restart takes.
    async fn step(&mut self) -> Result<(), SessionError> {
        if self.stream.once_in(CRASH_ONE_IN) {
            self.session.crash().await?;
            self.forget();
        }
        if !self.session.init_transactions().await? {
            self.forget();
            return Ok(());
        }
        if !self.placed {
            self.placed = self.resume().await?;
            return Ok(());
        }
        if self.batch.is_empty() {
            return self.poll().await;
        }
        let end = self.stream.end();
        let request = self.request(end);
        match self.session.transaction(&request).await? {
            Ended::Committed => self.batch.clear(),
            // As applications do that know nothing but what was committed.
            Ended::Aborted if self.stream.once_in(RESTART_ONE_IN) => {
                self.session.crash().await?;
                self.forget();
            }
            Ended::Aborted => {}
            Ended::Gone | Ended::Unknown => self.forget(),
        }
        Ok(())
    }

    /// A new process knows nothing.
    fn forget(&mut self) {
        self.batch.clear();
        self.placed = false;
    }

    /// Asks where the group stands, and reads from there. Says whether that is known.
    async fn resume(&mut self) -> Result<bool, SessionError> {
        let f = || F::parse("committed");
        let group = self.session.role.transactional.as_ref().map(|t| t.group.clone());
        let group = group.unwrap_or_default();
        let topic = self.session.role.topic.clone();
        let draft = |session: &Session, kind, value| {
            session.draft(kind, f(), value).with("group", group.as_str())
        };
        let recorder = self.session.shared.recorder.clone();
        recorder.record(draft(&self.session, Kind::Invoke, Payload::None))?;
        let asked = self.session.client.committed_offsets(&self.partitions, COMMITTED_LIMIT).await;
        match asked {
            Ok(offsets) => {
                let told = offsets.iter().map(|(p, o)| (topic.key(*p), json!(o))).collect();
                let value = Payload::Json(Value::Object(told));
                recorder.record(draft(&self.session, Kind::Ok, value))?;
                // Nothing deletes inputs, so that a group that committed nothing begins at offset 0.
                let offsets = offsets.iter().map(|(p, o)| (*p, Some(o.unwrap_or(0)))).collect();
                self.session.assign_at(&offsets, false).await?;
                Ok(true)
            }
            Err(error) => {
                let mut done = draft(&self.session, Kind::Fail, Payload::None);
                done.error = Some(error.into());
                recorder.record(done)?;
                Ok(false)
            }
        }
    }

    /// Polls the next batch, as an operation.
    async fn poll(&mut self) -> Result<(), SessionError> {
        let wait = Duration::from_millis(self.session.shared.plan.client.poll_ms);
        let process = self.session.process;
        let (polled, records) = self.session.poll_and_keep(wait, BATCH_MAX).await?;
        if polled.lost.is_some() || self.session.process != process {
            self.forget();
            return Ok(());
        }
        for (partition, records) in records {
            let inputs = records.into_iter().filter_map(|r| Some((partition, r.offset?, r.value)));
            self.batch.extend(inputs);
        }
        Ok(())
    }

    /// The transaction that turns the batch into outputs.
    fn request(&mut self, end: End) -> Request {
        let mut offsets: BTreeMap<i32, i64> = BTreeMap::new();
        let (mut steps, mut derived) = (Vec::new(), Vec::new());
        for (partition, offset, input) in &self.batch {
            let value = self.stream.next_value();
            let (from, to) = (self.session.role.topic.key(*partition), self.output.key(*partition));
            steps.push(Step::Send { partition: *partition, value });
            derived.push((from, input.clone(), to, value));
            let next = offsets.entry(*partition).or_insert(0);
            *next = (offset + 1).max(*next);
        }
        let consumed = Consumed { offsets, derived };
        Request { topic: self.output.topic.clone(), steps, end, consumed }
    }
}
