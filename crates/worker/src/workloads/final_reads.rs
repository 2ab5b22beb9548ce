//! The final phase, the same for all workloads whose records can be read by anybody.
//!
//! With all faults healed, one more thread writes to each partition until it accepts writes again and until its log has
//! grown past the highest acknowledged offset, so that a lost tail stands *inside* the log and not behind its end; then
//! it reads every partition from the beginning to its end offset, within a time limit, and says whether it got there.

use crate::client::{Client, StartAt};
use crate::generator::OpStream;
use crate::recorder::Draft;
use crate::session::{Session, SessionError, Shared};
use perjury_history::Process;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How the final phase ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalPhase {
    /// Whether every partition was read to its end.
    pub completed: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// Writes past the highest acknowledged offset of each partition, then reads all of them from the beginning.
pub(super) async fn final_phase(
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Result<FinalPhase, SessionError> {
    let mut session = Session::new(shared.clone(), shared.plan.concurrency)?;
    session.mark_final();
    let mut stream = OpStream::new(&shared.plan, shared.plan.concurrency);
    note(&shared, "phase", json!({"phase": "recovery"}))?;
    let limit = Instant::now() + Duration::from_millis(shared.plan.recovery_limit_ms);
    let mut dead = Vec::new();
    for partition in 0..shared.plan.topic.partitions {
        if !overwrite(&shared, &mut session, &mut stream, partition, limit, &stop).await? {
            dead.push(shared.plan.topic.key(partition));
        }
    }
    note(&shared, "phase", json!({"phase": "final"}))?;
    note(&shared, "final-reads", json!({"phase": "begin"}))?;
    let targets = believable_ends(&shared, &stop).await;
    let (reached, reason) = match targets {
        Ok(ref targets) => {
            let reached = read_all(&shared, &mut session, targets, &stop).await?;
            let behind = behind(&shared, targets, &reached);
            (reached, behind)
        }
        Err(ref error) => {
            (BTreeMap::new(), Some(format!("the end offsets could not be asked: {error}")))
        }
    };
    let reason = reason.or_else(|| {
        (!dead.is_empty()).then(|| {
            format!(
                "{} accepted no write within {} ms",
                dead.join(", "),
                shared.plan.recovery_limit_ms
            )
        })
    });
    let named = |offsets: &BTreeMap<i32, i64>| -> Value {
        offsets
            .iter()
            .map(|(p, o)| (shared.plan.topic.key(*p), json!(o)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let mut end = json!({"phase": "end", "completed": reason.is_none(), "targets": named(&targets.unwrap_or_default()), "reached": named(&reached)});
    if let Some(reason) = &reason {
        end["reason"] = json!(reason);
    }
    note(&shared, "final-reads", end)?;
    session.close().await;
    Ok(FinalPhase { completed: reason.is_none(), reason })
}

/// Records what the final phase came to.
pub(super) fn note(shared: &Shared, f: &str, value: Value) -> Result<(), SessionError> {
    shared.recorder.record(Draft::note(Process::Nemesis, f, value))?;
    Ok(())
}

/// Sends to a partition until an acknowledgement lies past everything acknowledged before. Says whether it got there.
async fn overwrite(
    shared: &Shared,
    session: &mut Session,
    stream: &mut OpStream,
    partition: i32,
    limit: Instant,
    stop: &CancellationToken,
) -> Result<bool, SessionError> {
    let highest = shared.progress.highest_acknowledged(partition).unwrap_or(-1);
    let mut accepted = false;
    while Instant::now() < limit && !stop.is_cancelled() {
        match session.send(partition, stream.next_value()).await? {
            Some(offset) if offset > highest => return Ok(true),
            Some(_) => accepted = true,
            // An acknowledgement without an offset (acks=0) says nothing of the log.
            None if shared.plan.client.acks == perjury_history::Acks::None => return Ok(true),
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    Ok(accepted)
}

/// How long a log may end before what it has just acknowledged until that end is believed.
const END_LIMIT: Duration = Duration::from_secs(10);

/// The end offsets of all partitions. A node that has only come back may not know its log's end yet, so that an end before
/// the newest acknowledgement is asked for again, for a while.
async fn believable_ends(
    shared: &Shared,
    stop: &CancellationToken,
) -> Result<BTreeMap<i32, i64>, String> {
    let began = Instant::now();
    loop {
        let ends = end_offsets(shared).await?;
        let newest = |partition| shared.progress.last_acknowledged(partition);
        let short = ends.iter().any(|(p, end)| newest(*p).is_some_and(|newest| *end <= newest));
        if !short || began.elapsed() >= END_LIMIT || stop.is_cancelled() {
            return Ok(ends);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn end_offsets(shared: &Shared) -> Result<BTreeMap<i32, i64>, String> {
    let partitions = shared.plan.topic.partitions;
    let probe = Client::new(&shared.bootstrap, &shared.plan.topic, &shared.plan.client)
        .map_err(|e| e.to_string())?;
    let ends = probe.ends(partitions, Duration::from_secs(5)).await.map_err(|e| e.to_string());
    probe.close().await;
    ends
}

async fn read_all(
    shared: &Shared,
    session: &mut Session,
    targets: &BTreeMap<i32, i64>,
    stop: &CancellationToken,
) -> Result<BTreeMap<i32, i64>, SessionError> {
    let limit = Instant::now() + Duration::from_millis(shared.plan.final_time_limit_ms);
    let all: Vec<i32> = targets.keys().copied().collect();
    session.crash().await?;
    session.assign(&all, StartAt::Beginning).await?;
    let mut reached: BTreeMap<i32, i64> = BTreeMap::new();
    while Instant::now() < limit && !stop.is_cancelled() {
        let wait = Duration::from_millis(shared.plan.client.poll_ms.max(200));
        let polled = session.poll(wait, shared.plan.client.poll_records_max).await?;
        if polled.lost.is_some() {
            session.assign(&all, StartAt::Beginning).await?;
            reached.clear();
            continue;
        }
        for (&partition, &target) in targets {
            // The end of a log can be holes, which no record reaches: then the reported end says that it was reached.
            let at_end = polled.ends.contains(&partition);
            let position = session.client().position(partition).unwrap_or(0);
            let position = if at_end { position.max(target) } else { position };
            let entry = reached.entry(partition).or_insert(0);
            *entry = position.max(*entry);
        }
        if behind(shared, targets, &reached).is_none() {
            break;
        }
    }
    Ok(reached)
}

fn behind(
    shared: &Shared,
    targets: &BTreeMap<i32, i64>,
    reached: &BTreeMap<i32, i64>,
) -> Option<String> {
    let late: Vec<String> = targets
        .iter()
        .filter_map(|(p, target)| {
            let at = reached.get(p).copied().unwrap_or(0);
            (at < *target)
                .then(|| format!("{} was read to {at} of {target}", shared.plan.topic.key(*p)))
        })
        .collect();
    (!late.is_empty()).then(|| late.join(", "))
}
