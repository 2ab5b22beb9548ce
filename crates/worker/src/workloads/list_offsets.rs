//! The workload `list-offsets`: several clients ask for the ends of logs while these grow.
//!
//! Every second thread only asks: some by the protocol, with high watermark, last stable offset and leader epoch, some
//! through librdkafka, as applications do. The others send, poll and ask a little. Who waits for a send cannot ask, and
//! what a new leader says first is the most telling. After the faults everybody is asked once more.

use super::final_reads::{self, FinalPhase};
use super::{Description, queue, threads};
use crate::ends::{EndAsker, Ends};
use crate::generator::OpStream;
use crate::session::{Session, SessionError, Shared};
use crate::turn::Turn;
use perjury_history::{F, Kind, OpError, Payload};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(super) const DESCRIPTION: Description = Description {
    name: "list-offsets",
    what: "several clients ask for end offset, high watermark, last stable offset and leader epoch of logs that grow",
    finds: &[
        "offset-regression",
        "stale-read",
        "lost-write",
        "lost-tail",
        "duplicate",
        "inconsistent-offsets",
        "truncated-log",
        "nonmonotonic-poll",
        "poll-skip",
    ],
    needs: "ListOffsets; leader epochs and the last stable offset where its version 4 is served without TLS or SASL",
    coverage_min: &[("ok list-offsets", 50)],
};

/// The share of questions among the operations of threads that do not only ask.
const ASK_SHARE: f64 = 0.1;
/// How long librdkafka may take for one partition.
const WATERMARKS_LIMIT: Duration = Duration::from_secs(2);

/// Who asks on behalf of a thread.
enum Asker {
    Protocol(EndAsker),
    Librdkafka,
}

impl Asker {
    /// Two of three threads of each kind speak the protocol, unless the cluster wants more than plain connections.
    fn of(shared: &Shared, thread: u32) -> Self {
        let secured = shared.plan.client.properties.get("security.protocol");
        let plain = secured.is_none_or(|name| name.eq_ignore_ascii_case("plaintext"));
        if plain && thread / 2 % 3 != 1 {
            return Asker::Protocol(EndAsker::new(&shared.bootstrap, &shared.plan.topic));
        }
        Asker::Librdkafka
    }
}

/// Runs all threads until their time is over or `stop` is cancelled.
pub(super) async fn main_phase(
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Result<(), SessionError> {
    threads(&shared, &stop, |turn| run_thread(shared.clone(), turn)).await
}

async fn run_thread(shared: Arc<Shared>, mut turn: Turn) -> Result<(), SessionError> {
    let mut stream = OpStream::new(&shared.plan, turn.thread);
    let mut rng = ChaCha8Rng::seed_from_u64(shared.plan.seed ^ 0x0065_6e64_7321);
    rng.set_stream(u64::from(turn.thread) + 1);
    let mut session = Session::new(shared.clone(), turn.thread)?;
    let mut asker = Asker::of(&shared, turn.thread);
    let only_asks = turn.thread % 2 == 1;
    while turn.is_due(&shared, stream.gap()).await {
        if only_asks || rng.random_bool(ASK_SHARE) {
            let one = rng.random_range(0..shared.plan.topic.partitions);
            let all = rng.random_bool(0.5);
            let partitions =
                if all { (0..shared.plan.topic.partitions).collect() } else { vec![one] };
            ask(&mut session, &mut asker, &partitions).await?;
            continue;
        }
        queue::act(&mut session, stream.next_op()).await?;
    }
    session.close().await;
    Ok(())
}

/// Everybody is asked once more, by both kinds of clients; then the common final phase.
pub(super) async fn final_phase(
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Result<FinalPhase, SessionError> {
    let all: Vec<i32> = (0..shared.plan.topic.partitions).collect();
    let mut session = Session::new(shared.clone(), shared.plan.concurrency)?;
    for thread in [0, 2] {
        let mut asker = Asker::of(&shared, thread);
        ask(&mut session, &mut asker, &all).await?;
    }
    session.close().await;
    final_reads::final_phase(shared, stop).await
}

/// Asks for the ends of partitions, as an operation. It is ok if any was answered.
async fn ask(
    session: &mut Session,
    asker: &mut Asker,
    partitions: &[i32],
) -> Result<(), SessionError> {
    let f = || F::parse("list-offsets");
    let shared = session.shared.clone();
    let client = if matches!(asker, Asker::Protocol(_)) { "protocol" } else { "librdkafka" };
    let keys: Vec<String> = partitions.iter().map(|p| shared.plan.topic.key(*p)).collect();
    let invocation = session.draft(Kind::Invoke, f(), Payload::Json(json!(keys)));
    shared.recorder.record(invocation.with("client", client))?;
    let (told, troubles) = match asker {
        Asker::Protocol(asker) => asker.ask(partitions).await,
        Asker::Librdkafka => watermarks(session, partitions).await,
    };
    let kind = if told.is_empty() { Kind::Fail } else { Kind::Ok };
    let value: Map<String, Value> =
        told.iter().map(|(p, ends)| (shared.plan.topic.key(*p), named(ends))).collect();
    let mut done = session.draft(kind, f(), Payload::Json(Value::Object(value)));
    done = done.with("client", client);
    if kind == Kind::Fail {
        let message = troubles.join("; ");
        done.error = Some(OpError { code: "no-answer".into(), message });
    } else if !troubles.is_empty() {
        done = done.with("notes", troubles);
    }
    shared.recorder.record(done)?;
    if session.client().is_stuck() { session.crash().await } else { Ok(()) }
}

fn named(ends: &Ends) -> Value {
    let mut value = Map::new();
    let mut say = |name: &str, figure: Option<i64>| {
        if let Some(figure) = figure {
            value.insert(name.into(), json!(figure));
        }
    };
    say("high_watermark", ends.high_watermark);
    say("last_stable", ends.last_stable);
    say("leader_epoch", ends.leader_epoch.map(i64::from));
    Value::Object(value)
}

/// What librdkafka tells an application: the high watermarks.
async fn watermarks(
    session: &mut Session,
    partitions: &[i32],
) -> (BTreeMap<i32, Ends>, Vec<String>) {
    let (mut told, mut troubles) = (BTreeMap::new(), Vec::new());
    for partition in partitions {
        match session.client().watermarks(*partition, WATERMARKS_LIMIT).await {
            Ok((_, high)) => {
                let ends = Ends { high_watermark: Some(high), ..Ends::default() };
                told.insert(*partition, ends);
            }
            Err(error) => {
                let key = session.role.topic.key(*partition);
                troubles.push(format!("{key}: {error}"));
            }
        }
    }
    (told, troubles)
}
