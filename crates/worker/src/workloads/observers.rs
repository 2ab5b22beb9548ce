//! Observers of the transactional workloads: threads that look on without taking part.
//!
//! An observer polls as a consumer that reads committed, looks at the log as one that reads uncommitted, and asks for
//! the last stable offset and the high watermark. What it sees of uncommitted records is no `poll`, since such records
//! may be aborted later: it is recorded as `peek`.

use super::stream::Stream;
use super::{threads, transactional};
use crate::client::{Client, StartAt};
use crate::plan::ClientSettings;
use crate::reader::AskError;
use crate::session::{Role, Session, SessionError, Shared};
use crate::turn::Turn;
use perjury_history::{F, IsolationLevel, Kind, Payload};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// One operation of an observer in this many asks for the ends of the log.
const ENDS_ONE_IN: u32 = 12;

/// One operation of an observer in this many is a look at uncommitted records.
const PEEK_ONE_IN: u32 = 4;

/// One operation of an observer in this many tears its clients down and starts them again.
const CRASH_ONE_IN: u32 = 300;

const ENDS_LIMIT: Duration = Duration::from_secs(5);

/// How many of the plan's threads observe.
pub(super) fn observers(concurrency: u32) -> u32 {
    if concurrency < 3 { 0 } else { (concurrency / 8).max(1) }
}

/// Runs `work` in most threads of a run, and observers of its topic in the others.
///
/// # Errors
/// The first that a thread gives.
pub(super) async fn beside<T>(
    shared: Arc<Shared>,
    stop: &CancellationToken,
    work: impl Fn(Arc<Shared>, Turn) -> T + Copy + Send + 'static,
) -> Result<(), SessionError>
where
    T: Future<Output = Result<(), SessionError>> + Send + 'static,
{
    let workers = shared.plan.concurrency - observers(shared.plan.concurrency);
    threads(&shared, stop, |turn| {
        let shared = shared.clone();
        async move {
            if turn.thread < workers {
                return work(shared, turn).await;
            }
            let role = transactional::reader(&shared.plan, &shared.plan.topic);
            run_thread(shared, turn, role).await
        }
    })
    .await
}

/// A consumer that reads committed, as a process, with one that reads uncommitted beside it.
pub(super) struct Observer {
    pub(super) session: Session,
    raw: Client,
    raw_settings: ClientSettings,
}

impl Observer {
    /// Looks at the topic of `session`'s role.
    pub(super) async fn new(session: Session) -> Result<Self, SessionError> {
        let raw_settings = ClientSettings {
            isolation_level: IsolationLevel::ReadUncommitted,
            ..session.role.settings.clone()
        };
        let raw = raw_client(&session, &raw_settings).await?;
        Ok(Observer { session, raw, raw_settings })
    }

    /// Looks at what a consumer sees that reads uncommitted, as an operation. Says whether there was anything.
    ///
    /// # Errors
    /// When an event cannot be recorded, or no new client can be made.
    pub(super) async fn peek(&mut self, wait: Duration) -> Result<bool, SessionError> {
        let f = || F::parse("peek");
        let recorder = self.session.shared.recorder.clone();
        recorder.record(self.session.draft(Kind::Invoke, f(), Payload::None))?;
        let most = self.session.shared.plan.client.poll_records_max;
        let polled = self.raw.poll(wait, most).await;
        let topic = &self.session.role.topic;
        let seen: Map<String, Value> = polled
            .records
            .iter()
            .map(|(p, records)| {
                let records: Vec<Value> =
                    records.iter().map(|r| json!([r.offset, r.value])).collect();
                (topic.key(*p), records.into())
            })
            .collect();
        let any = !seen.is_empty();
        let kind = if polled.lost.is_some() && !any { Kind::Fail } else { Kind::Ok };
        let mut done = self.session.draft(kind, f(), Payload::Json(seen.into()));
        done.error.clone_from(&polled.lost);
        recorder.record(done)?;
        if polled.lost.is_some() {
            let fresh = raw_client(&self.session, &self.raw_settings).await?;
            std::mem::replace(&mut self.raw, fresh).close().await;
        }
        Ok(any)
    }

    /// Asks for the last stable offset of each partition, then for its high watermark, as one operation. Gives both.
    ///
    /// # Errors
    /// When an event cannot be recorded.
    pub(super) async fn list_offsets(
        &self,
    ) -> Result<Option<BTreeMap<i32, (i64, i64)>>, SessionError> {
        let f = || F::parse("list-offsets");
        let session = &self.session;
        session.shared.recorder.record(session.draft(Kind::Invoke, f(), Payload::None))?;
        let mut done = session.draft(Kind::Fail, f(), Payload::None);
        let asked = match self.ends().await {
            Ok(ends) => {
                let told = ends.iter().map(|(p, (stable, high))| {
                    let figures = json!({"last_stable": stable, "high_watermark": high});
                    (session.role.topic.key(*p), figures)
                });
                done.kind = Kind::Ok;
                done.value = Payload::Json(Value::Object(told.collect()));
                Some(ends)
            }
            Err(error) => {
                done.error = Some(error.into());
                None
            }
        };
        session.shared.recorder.record(done)?;
        Ok(asked)
    }

    async fn ends(&self) -> Result<BTreeMap<i32, (i64, i64)>, AskError> {
        let partitions = self.session.role.topic.partitions;
        let stable = self.session.client().ends(partitions, ENDS_LIMIT).await?;
        let high = self.raw.ends(partitions, ENDS_LIMIT).await?;
        Ok(stable.into_iter().filter_map(|(p, s)| Some((p, (s, *high.get(&p)?)))).collect())
    }

    /// Ends the looking on; the session goes on.
    pub(super) async fn end(self) -> Session {
        self.raw.close().await;
        self.session
    }
}

async fn raw_client(session: &Session, settings: &ClientSettings) -> Result<Client, SessionError> {
    let topic = &session.role.topic;
    let mut client = Client::new(&session.shared.bootstrap, topic, settings)?;
    let all: Vec<i32> = (0..topic.partitions).collect();
    client.assign(&all, |_| None).await?;
    Ok(client)
}

/// An observing thread of the main phase.
pub(super) async fn run_thread(
    shared: Arc<Shared>,
    mut turn: Turn,
    role: Role,
) -> Result<(), SessionError> {
    let mut stream = Stream::new(&shared.plan, turn.thread);
    let partitions: Vec<i32> = (0..role.topic.partitions).collect();
    let mut session = Session::with(shared.clone(), turn.thread, role)?;
    session.assign(&partitions, StartAt::Beginning).await?;
    let mut observer = Observer::new(session).await?;
    let wait = Duration::from_millis(shared.plan.client.poll_ms);
    while turn.is_due(&shared, stream.gap()).await {
        if stream.once_in(ENDS_ONE_IN) {
            observer.list_offsets().await?;
        } else if stream.once_in(PEEK_ONE_IN) {
            observer.peek(wait).await?;
        } else if stream.once_in(CRASH_ONE_IN) {
            observer.session.crash().await?;
        } else {
            observer.session.poll(wait, shared.plan.client.poll_records_max).await?;
        }
    }
    observer.end().await.close().await;
    Ok(())
}
