//! The workload `admin`: topics are made, extended and deleted, and records deleted, while others send and poll.
//!
//! One thread administrates: it makes a small topic, sends to it, adds partitions, sends to these too, reads all of it
//! back and deletes it; in between it deletes old records of the topic under test. All other threads do what they do in
//! the workload `queue`.

use super::{Description, queue, threads};
use crate::client::{LogContext, StartAt, base_config};
use crate::generator::OpStream;
use crate::session::{Session, SessionError, Shared};
use crate::turn::Turn;
use perjury_history::{F, Kind, OpError, Payload};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication, TopicResult,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(super) const DESCRIPTION: Description = Description {
    name: "admin",
    what: "topics are made, extended and deleted, and records deleted, while others send and poll",
    finds: &[
        "deleted-record-read",
        "lost-write",
        "lost-tail",
        "duplicate",
        "inconsistent-offsets",
        "nonmonotonic-poll",
        "poll-skip",
        "stale-read",
        "truncated-log",
        "corrupt-record",
    ],
    needs: "CreateTopics, CreatePartitions, DeleteTopics, DeleteRecords",
    coverage_min: &[
        ("ok create-topic", 1),
        ("ok create-partitions", 1),
        ("ok delete-topic", 1),
        ("ok delete-records", 2),
    ],
};

/// How many of the newest records of a partition are left alone.
const KEPT: i64 = 25;
/// The mean time between two operations of the administrator.
const PACE: Duration = Duration::from_millis(250);
/// How long a request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// How many partitions a small topic has at first, and how many later.
const PARTITIONS: (i32, i32) = (2, 3);
/// How many values each partition of a small topic gets.
const VALUES: usize = 3;
/// How often something on a small topic is tried: its leaders may be away.
const ATTEMPTS: usize = 8;

/// Runs all threads until their time is over or `stop` is cancelled. The first one administrates, if there are two.
pub(super) async fn main_phase(
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Result<(), SessionError> {
    threads(&shared, &stop, |turn| {
        let shared = shared.clone();
        async move {
            if turn.thread == 0 {
                Administrator::new(shared)?.run(turn).await
            } else {
                queue::run_thread(shared, turn).await
            }
        }
    })
    .await
}

struct Administrator {
    shared: Arc<Shared>,
    session: Session,
    admin: Arc<AdminClient<LogContext>>,
    stream: OpStream,
    rng: ChaCha8Rng,
    /// Up to where records of each partition were asked to be deleted.
    deleted: BTreeMap<i32, i64>,
    made: u32,
}

impl Administrator {
    fn new(shared: Arc<Shared>) -> Result<Self, SessionError> {
        let mut rng = ChaCha8Rng::seed_from_u64(shared.plan.seed ^ 0x0061_646d_696e);
        rng.set_stream(1);
        let config = base_config(&shared.bootstrap, &shared.plan.client);
        Ok(Administrator {
            session: Session::new(shared.clone(), 0)?,
            admin: Arc::new(config.create_with_context(LogContext)?),
            stream: OpStream::new(&shared.plan, 0),
            rng,
            deleted: BTreeMap::new(),
            made: 0,
            shared,
        })
    }

    async fn run(mut self, mut turn: Turn) -> Result<(), SessionError> {
        let mut turns = 0u32;
        while self.is_due(&mut turn).await {
            // Topics take their time; every fifth turn is theirs.
            if turns.is_multiple_of(5) {
                self.topic_life(&mut turn).await?;
            } else {
                self.delete_records().await?;
            }
            turns += 1;
        }
        self.session.close().await;
        Ok(())
    }

    async fn is_due(&mut self, turn: &mut Turn) -> bool {
        let gap = PACE.mul_f64(self.rng.random_range(0.2..1.8));
        turn.is_due(&self.shared, gap).await
    }

    /// One administrative request, as an operation. One of unknown outcome retires the process.
    async fn operation<T>(
        &mut self,
        f: &str,
        asked: Value,
        request: impl Future<Output = KafkaResult<T>>,
        told: impl FnOnce(T) -> Result<Value, Code>,
    ) -> Result<bool, SessionError> {
        let draft =
            |session: &Session, kind, value| session.draft(kind, F::parse(f), Payload::Json(value));
        self.shared.recorder.record(draft(&self.session, Kind::Invoke, asked.clone()))?;
        let answer = match tokio::time::timeout(REQUEST_LIMIT * 2, request).await {
            Ok(Ok(answer)) => told(answer),
            Ok(Err(error)) => Err(code_of(&error)),
            Err(_) => Err(Code::OperationTimedOut),
        };
        let (kind, value, error) = match answer {
            Ok(value) => (Kind::Ok, value, None),
            Err(code) => (kind_of(code), asked, Some(code)),
        };
        let mut done = draft(&self.session, kind, value);
        done.error =
            error.map(|code| OpError { code: format!("{code:?}"), message: code.to_string() });
        self.shared.recorder.record(done)?;
        if kind == Kind::Info {
            self.session.retire().await?;
        }
        Ok(kind == Kind::Ok)
    }

    /// Deletes records of one partition up to some way before its end.
    async fn delete_records(&mut self) -> Result<(), SessionError> {
        let topic = self.shared.plan.topic.clone();
        let partition = self.rng.random_range(0..topic.partitions);
        let share = self.rng.random_range(1..=4);
        let end = self.shared.progress.last_acknowledged(partition).unwrap_or(0);
        let before = self.deleted.get(&partition).copied().unwrap_or(0);
        // A part of what consumers that come new do not read any more.
        let offset = before + (end - KEPT - before) * share / 4;
        if offset <= before {
            return Ok(());
        }
        self.deleted.insert(partition, offset);
        let key = topic.key(partition);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic.topic, partition, Offset::Offset(offset))?;
        let admin = self.admin.clone();
        let options = options();
        let told = |list: TopicPartitionList| {
            let mut low = Map::new();
            for element in list.elements() {
                element.error().map_err(|error| code_of(&error))?;
                let key = topic.key(element.partition());
                low.insert(key, json!(element.offset().to_raw()));
            }
            Ok(Value::Object(low))
        };
        let asked = json!({ key: offset });
        let request = admin.delete_records(&list, &options);
        self.operation("delete-records", asked, request, told).await?;
        Ok(())
    }

    /// A small topic is made, used, extended, used, read back and deleted.
    async fn topic_life(&mut self, turn: &mut Turn) -> Result<(), SessionError> {
        let mut plan = self.shared.plan.clone();
        let name = format!("{}-{}", plan.topic.topic, self.made);
        self.made += 1;
        (plan.topic.topic, plan.topic.partitions) = (name.clone(), PARTITIONS.1);
        let replicas = plan.topic.replication_factor;
        let (bootstrap, recorder) = (self.shared.bootstrap.clone(), self.shared.recorder.clone());
        let small = Arc::new(Shared::new(plan, bootstrap, recorder, Arc::default()));
        let (admin, options) = (self.admin.clone(), options());
        let asked = |partitions: i32| json!({"topic": name, "partitions": partitions});
        let new = NewTopic::new(&name, PARTITIONS.0, TopicReplication::Fixed(replicas));
        let request = admin.create_topics([&new], &options);
        let value = asked(PARTITIONS.0);
        if !self.operation("create-topic", value.clone(), request, first(value)).await? {
            return Ok(());
        }
        let mut user = Session::new(small.clone(), 0)?;
        user.process = self.session.process;
        self.use_topic(&mut user, 0..PARTITIONS.0).await?;
        self.session.process = user.process;
        if !self.is_due(turn).await {
            user.close().await;
            return Ok(());
        }
        let more = NewPartitions::new(&name, usize::try_from(PARTITIONS.1).unwrap_or(3));
        let request = admin.create_partitions([&more], &options);
        let value = asked(PARTITIONS.1);
        let extended =
            self.operation("create-partitions", value.clone(), request, first(value)).await?;
        user.process = self.session.process;
        if extended {
            self.use_topic(&mut user, PARTITIONS.0..PARTITIONS.1).await?;
        }
        let partitions = if extended { PARTITIONS.1 } else { PARTITIONS.0 };
        read_back(&mut user, &small, partitions).await?;
        self.session.process = user.process;
        user.close().await;
        let request = admin.delete_topics(&[&name], &options);
        let value = json!({"topic": name});
        self.operation("delete-topic", value.clone(), request, first(value)).await?;
        Ok(())
    }

    /// Sends some values to each of the partitions.
    async fn use_topic(
        &mut self,
        user: &mut Session,
        partitions: std::ops::Range<i32>,
    ) -> Result<(), SessionError> {
        for partition in partitions {
            let mut accepted = 0;
            for _ in 0..ATTEMPTS {
                let value = self.stream.next_value();
                accepted += usize::from(user.send(partition, value).await?.is_some());
                if accepted == VALUES {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Reads a small topic from the beginning to what was acknowledged last, if that can be had.
async fn read_back(
    user: &mut Session,
    small: &Shared,
    partitions: i32,
) -> Result<(), SessionError> {
    let all: Vec<i32> = (0..partitions).collect();
    user.assign(&all, StartAt::Beginning).await?;
    for _ in 0..ATTEMPTS {
        user.poll(Duration::from_millis(500), small.plan.client.poll_records_max).await?;
        let read = |p: &i32| user.client().position(*p).unwrap_or(0);
        let acknowledged = |p: &i32| small.progress.highest_acknowledged(*p).unwrap_or(-1);
        if all.iter().all(|p| read(p) > acknowledged(p)) {
            break;
        }
    }
    Ok(())
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_LIMIT)).operation_timeout(Some(REQUEST_LIMIT))
}

/// Reads the answer for the one topic that was asked for.
fn first(value: Value) -> impl FnOnce(Vec<TopicResult>) -> Result<Value, Code> {
    move |results| match results.into_iter().next() {
        Some(Ok(_)) => Ok(value),
        Some(Err((_, code))) => Err(code),
        None => Err(Code::Unknown),
    }
}

fn code_of(error: &KafkaError) -> Code {
    match error {
        KafkaError::AdminOp(code) => *code,
        other => other.rdkafka_error_code().unwrap_or(Code::Unknown),
    }
}

/// Whether a request that ended so definitely did nothing. librdkafka repeats requests, so that a topic which exists
/// already, or does not exist any more, may be the work of the attempt before.
fn kind_of(code: Code) -> Kind {
    match code {
        Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::InvalidConfig
        | Code::PolicyViolation
        | Code::ClusterAuthorizationFailed
        | Code::TopicAuthorizationFailed
        | Code::OffsetOutOfRange
        | Code::InvalidArgument => Kind::Fail,
        _ => Kind::Info,
    }
}
