//! Transactions as operations: what a thread asks of its client, and what becomes of it.

use crate::client::Polled;
use crate::outcome::Outcome;
use crate::session::{Session, SessionError};
use crate::transactions::{Class, Trouble};
use perjury_history::{F, Kind, Mop, OpError, Payload, Record, Scalar};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long an abort or an offset commit is retried.
const STEP_LIMIT: Duration = Duration::from_secs(10);

/// One step of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send this value to this partition of the transaction's topic.
    Send {
        /// The partition.
        partition: i32,
        /// The value, unique over the whole run.
        value: i64,
    },
    /// Poll.
    Poll,
    /// Do nothing for so long, as a client that was paused.
    Sleep(Duration),
}

/// How a transaction is meant to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is committed.
    Commit,
    /// It is aborted on purpose.
    Abort,
    /// The client is torn down with the transaction open.
    Crash,
}

/// What a transaction made of what it consumed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Consumed {
    /// The offset of the next record to read, by partition of the topic that the client reads.
    pub offsets: BTreeMap<i32, i64>,
    /// Input key and value, output key and value.
    pub derived: Vec<(String, Scalar, String, i64)>,
}

/// A transaction that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The topic that is sent to.
    pub topic: String,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// How it is meant to end.
    pub end: End,
    /// What it consumed before it began; its own polls are added.
    pub consumed: Consumed,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It is committed.
    Committed,
    /// It is certain never to be committed; the process goes on.
    Aborted,
    /// The same, and the thread is a new process.
    Gone,
    /// Nothing is known; the thread is a new process.
    Unknown,
}

/// Answers so far.
#[derive(Debug, Default)]
struct Answers {
    mops: Vec<Mop>,
    /// The first offset that was polled of each partition, and the one after the last.
    polled: BTreeMap<i32, (i64, i64)>,
    sent: Vec<(i32, Option<i64>)>,
    commit_at: Option<i64>,
    /// Whether the producer can go on.
    usable: bool,
}

/// The completion that a transaction gets.
type Verdict = (Kind, Option<OpError>);

fn verdict(kind: Kind, trouble: Trouble) -> Verdict {
    (kind, Some(OpError { code: trouble.code, message: trouble.message }))
}

impl Session {
    fn transactional_id(&self) -> Option<&str> {
        self.role.transactional.as_ref().map(|t| t.id.as_str())
    }

    /// Takes the transactional id over, as an operation, unless the present process has done so. Says whether it has it
    /// now; if not, the thread is a new process.
    ///
    /// # Errors
    /// When an event cannot be recorded, or no new client can be made.
    pub async fn init_transactions(&mut self) -> Result<bool, SessionError> {
        if self.initialised {
            return Ok(true);
        }
        let f = || F::parse("init-transactions");
        let id = self.transactional_id().unwrap_or_default().to_owned();
        let draft = |session: &Session, kind| {
            session.draft(kind, f(), Payload::None).with("transactional_id", id.as_str())
        };
        self.shared.recorder.record(draft(self, Kind::Invoke))?;
        match self.client.init_transactions(STEP_LIMIT).await {
            Ok(()) => {
                self.shared.recorder.record(draft(self, Kind::Ok))?;
                self.initialised = true;
            }
            Err(trouble) => {
                let mut done = draft(self, Kind::Info);
                done.error = Some(OpError { code: trouble.code, message: trouble.message });
                self.shared.recorder.record(done)?;
                self.retire().await?;
            }
        }
        Ok(self.initialised)
    }

    /// Runs a transaction, as an operation. The process must have taken its transactional id over.
    ///
    /// # Errors
    /// When an event cannot be recorded, or no new client can be made.
    pub async fn transaction(&mut self, request: &Request) -> Result<Ended, SessionError> {
        let asked = request.steps.iter().filter_map(|step| asked(request, step)).collect();
        let invoked = self.draft(Kind::Invoke, F::Txn, Payload::Mops(asked));
        let beside = self.beside(request, &request.consumed.offsets);
        let invoked = beside.iter().fold(invoked, |d, (name, value)| d.with(name, value.clone()));
        self.shared.recorder.record(invoked)?;
        let mut answers = Answers { usable: true, ..Answers::default() };
        let (kind, error) = self.attempt(request, &mut answers).await;
        self.complete(request, &mut answers, kind, error)?;
        self.count(&answers, kind);
        self.settle(request, &answers, kind).await
    }

    /// What an event of the transaction says beside its value.
    fn beside(&self, request: &Request, offsets: &BTreeMap<i32, i64>) -> Map<String, Value> {
        let mut beside = Map::new();
        if let Some(transactional) = &self.role.transactional {
            beside.insert("transactional_id".into(), json!(transactional.id));
            if !offsets.is_empty() {
                let keyed = offsets.iter().map(|(p, o)| (self.role.topic.key(*p), json!(o)));
                beside.insert("group".into(), json!(transactional.group));
                beside.insert("offsets".into(), Value::Object(keyed.collect()));
            }
        }
        if !request.consumed.derived.is_empty() {
            beside.insert("derived".into(), json!(request.consumed.derived));
        }
        beside
    }

    fn complete(
        &self,
        request: &Request,
        answers: &mut Answers,
        kind: Kind,
        error: Option<OpError>,
    ) -> Result<(), SessionError> {
        let not_reached = request.steps.iter().filter_map(|step| asked(request, step));
        let mut mops = std::mem::take(&mut answers.mops);
        mops.extend(not_reached.skip(mops.len()).collect::<Vec<_>>());
        let mut done = self.draft(kind, F::Txn, Payload::Mops(mops));
        for (name, value) in self.beside(request, &answers.offsets(request)) {
            done = done.with(&name, value);
        }
        if let Some(at) = answers.commit_at {
            done = done.with("commit_at", at);
        }
        done.error = error;
        self.shared.recorder.record(done)?;
        Ok(())
    }

    fn count(&self, answers: &Answers, kind: Kind) {
        let ours = self.role.topic.topic == self.shared.plan.topic.topic;
        for (partition, offset) in &answers.sent {
            if kind == Kind::Ok && ours {
                self.shared.progress.acknowledged(*partition, *offset);
            } else if kind != Kind::Ok {
                self.shared.progress.not_acknowledged(kind);
            }
        }
    }

    /// Brings the process into the state that the next operation expects.
    async fn settle(
        &mut self,
        request: &Request,
        answers: &Answers,
        kind: Kind,
    ) -> Result<Ended, SessionError> {
        match kind {
            Kind::Ok => Ok(Ended::Committed),
            Kind::Info => {
                self.retire().await?;
                Ok(Ended::Unknown)
            }
            _ if answers.usable && request.end != End::Crash => {
                // What an aborted transaction polled was not consumed.
                let first = answers.polled.iter().map(|(p, (first, _))| (*p, *first)).collect();
                let starts: BTreeMap<i32, Option<i64>> =
                    (0..self.role.topic.partitions).map(|p| (p, self.recent(p))).collect();
                let start = |p: i32| starts.get(&p).copied().flatten();
                if answers.polled.is_empty() || self.client.rewind(&first, start).await.is_ok() {
                    return Ok(Ended::Aborted);
                }
                self.crash().await?;
                Ok(Ended::Gone)
            }
            _ => {
                self.crash().await?;
                Ok(Ended::Gone)
            }
        }
    }

    async fn attempt(&mut self, request: &Request, answers: &mut Answers) -> Verdict {
        if let Err(trouble) = self.client.begin_transaction() {
            answers.usable = false;
            return verdict(Kind::Fail, trouble);
        }
        if let Err(trouble) = self.work(request, answers).await {
            answers.usable = trouble.class != Class::Fatal
                && self.client.abort_transaction(STEP_LIMIT).await.is_ok();
            return verdict(Kind::Fail, trouble);
        }
        match request.end {
            End::Crash => {
                answers.usable = false;
                verdict(Kind::Fail, Trouble::own(Class::Fatal, "crashed", "torn down on purpose"))
            }
            End::Abort => {
                let ended = self.client.abort_transaction(STEP_LIMIT).await;
                answers.usable = ended.is_ok();
                verdict(Kind::Fail, Trouble::own(Class::Abortable, "aborted", "on purpose"))
            }
            End::Commit => {
                answers.commit_at = Some(self.shared.recorder.now());
                let limit = Duration::from_millis(self.shared.plan.transaction_timeout_ms);
                match self.client.commit_transaction(limit).await {
                    Ok(()) => (Kind::Ok, None),
                    Err(trouble) => verdict(Kind::Info, trouble),
                }
            }
        }
    }

    /// Everything between begin and commit.
    async fn work(&mut self, request: &Request, answers: &mut Answers) -> Result<(), Trouble> {
        for step in &request.steps {
            match step {
                Step::Sleep(time) => tokio::time::sleep(*time).await,
                Step::Send { partition, value } => {
                    let sent =
                        self.client.send_to(self.process, &request.topic, *partition, *value).await;
                    let offset = sent.map_err(refused)?;
                    answers.sent.push((*partition, offset));
                    answers.mops.push(send(request, *partition, *value, Some(offset)));
                }
                Step::Poll => {
                    let wait = Duration::from_millis(self.shared.plan.client.poll_ms);
                    let most = self.shared.plan.client.poll_records_max;
                    let polled = self.client.poll(wait, most).await;
                    let lost = polled.lost.clone();
                    answers.poll(polled, self);
                    if let Some(error) = lost {
                        return Err(Trouble::own(Class::Fatal, &error.code, error.message));
                    }
                }
            }
        }
        let offsets = answers.offsets(request);
        if offsets.is_empty() {
            return Ok(());
        }
        self.client.send_offsets(&offsets, STEP_LIMIT).await
    }
}

impl Answers {
    fn poll(&mut self, mut polled: Polled, session: &Session) {
        let records = std::mem::take(&mut polled.records);
        for (partition, records) in &records {
            let offset = |record: Option<&Record>| record.and_then(|r| r.offset);
            if let (Some(first), Some(last)) = (offset(records.first()), offset(records.last())) {
                let range = self.polled.entry(*partition).or_insert((first, last + 1));
                *range = (first.min(range.0), last + 1);
            }
        }
        self.mops.push(Mop::Poll(Some(session.keyed(records))));
    }

    /// What the transaction commits as consumed.
    fn offsets(&self, request: &Request) -> BTreeMap<i32, i64> {
        let mut offsets = request.consumed.offsets.clone();
        offsets.extend(self.polled.iter().map(|(partition, (_, next))| (*partition, *next)));
        offsets
    }
}

/// The mop as invoked, if the step has one.
fn asked(request: &Request, step: &Step) -> Option<Mop> {
    match step {
        Step::Send { partition, value } => Some(send(request, *partition, *value, None)),
        Step::Poll => Some(Mop::Poll(None)),
        Step::Sleep(_) => None,
    }
}

fn send(request: &Request, partition: i32, value: i64, offset: Option<Option<i64>>) -> Mop {
    let key = Scalar::from(format!("{}-{partition}", request.topic));
    Mop::Send { key, value: value.into(), offset }
}

fn refused(outcome: Outcome) -> Trouble {
    // The transaction must be aborted whether the record is in the log or not.
    Trouble::own(Class::Abortable, &outcome.code, outcome.reason)
}
