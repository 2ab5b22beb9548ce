//! The final phase of the transactional workloads.
//!
//! With all faults healed, one more thread commits transactions to each partition until its log has grown past the
//! highest acknowledged offset. Then it waits until every last stable offset has reached the high watermark, which takes
//! no longer than the timeout of a transaction unless one hangs, and reads every partition from the beginning as
//! consumers do that read committed, and once more as those that read uncommitted.

use super::final_reads::{FinalPhase, note};
use super::observers::Observer;
use super::stream::Stream;
use super::transactional;
use crate::attempt::{Consumed, End, Ended, Request, Step};
use crate::client::StartAt;
use crate::plan::TopicSettings;
use crate::session::{Role, Session, SessionError, Shared};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How much longer than its timeout a transaction may stay open until it is one that hangs: coordinators look for old
/// ones every ten seconds, and the checker waits for twice that.
const HANGS_AFTER: Duration = Duration::from_secs(24);

/// What the reads came to, by key.
#[derive(Debug, Default)]
struct Reads {
    targets: BTreeMap<String, i64>,
    reached: BTreeMap<String, i64>,
    trouble: Vec<String>,
}

/// Writes past the highest acknowledged offset of each partition of these topics, then reads all of them.
pub(super) async fn final_phase(
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Result<FinalPhase, SessionError> {
    let topics = shared.plan.workload.topics(&shared.plan);
    let mut stream = Stream::new(&shared.plan, shared.plan.concurrency);
    note(&shared, "phase", json!({"phase": "recovery"}))?;
    let limit = Instant::now() + Duration::from_millis(shared.plan.recovery_limit_ms);
    let mut reads = Reads::default();
    let mut session: Option<Session> = None;
    for topic in &topics {
        let role = writer(&shared, topic);
        let session = match &mut session {
            Some(session) => {
                session.become_role(role).await?;
                session
            }
            none => none.insert(Session::with(shared.clone(), shared.plan.concurrency, role)?),
        };
        session.mark_final();
        for partition in 0..topic.partitions {
            if !overwrite(session, &mut stream, partition, limit, &stop).await? {
                let ms = shared.plan.recovery_limit_ms;
                let key = topic.key(partition);
                reads.trouble.push(format!("{key} took no transaction within {ms} ms"));
            }
        }
    }
    note(&shared, "phase", json!({"phase": "final"}))?;
    note(&shared, "final-reads", json!({"phase": "begin"}))?;
    for topic in &topics {
        let Some(mut reading) = session.take() else { break };
        reading.become_role(transactional::reader(&shared.plan, topic)).await?;
        let mut observer = Observer::new(reading).await?;
        read(&shared, &mut observer, &mut reads, &stop).await?;
        session = Some(observer.end().await);
    }
    if let Some(session) = session {
        session.close().await;
    }
    report(&shared, &reads)
}

fn report(shared: &Shared, reads: &Reads) -> Result<FinalPhase, SessionError> {
    let late = reads.targets.iter().filter_map(|(key, target)| {
        let at = reads.reached.get(key).copied().unwrap_or(0);
        (at < *target).then(|| format!("{key} was read to {at} of {target}"))
    });
    let trouble: Vec<String> = late.chain(reads.trouble.iter().cloned()).collect();
    let reason = (!trouble.is_empty()).then(|| trouble.join(", "));
    let mut end = json!({
        "phase": "end",
        "completed": reason.is_none(),
        "targets": reads.targets,
        "reached": reads.reached,
    });
    if let Some(reason) = &reason {
        end["reason"] = json!(reason);
    }
    note(shared, "final-reads", end)?;
    Ok(FinalPhase { completed: reason.is_none(), reason })
}

fn writer(shared: &Shared, topic: &TopicSettings) -> Role {
    let id = format!("{}-final", topic.topic);
    transactional::writer(&shared.plan, topic, &id, &id)
}

/// Commits transactions to a partition until one of them lies past everything acknowledged before. Says whether any was
/// committed.
async fn overwrite(
    session: &mut Session,
    stream: &mut Stream,
    partition: i32,
    limit: Instant,
    stop: &CancellationToken,
) -> Result<bool, SessionError> {
    let ours = session.role.topic.topic == session.shared.plan.topic.topic;
    let progress = session.shared.progress.clone();
    let highest = progress.highest_acknowledged(partition).filter(|_| ours).unwrap_or(-1);
    let mut accepted = false;
    while Instant::now() < limit && !stop.is_cancelled() {
        let request = Request {
            topic: session.role.topic.topic.clone(),
            steps: vec![Step::Send { partition, value: stream.next_value() }],
            end: End::Commit,
            consumed: Consumed::default(),
        };
        if session.init_transactions().await?
            && session.transaction(&request).await? == Ended::Committed
        {
            accepted = true;
            let now = progress.last_acknowledged(partition).unwrap_or(i64::MAX);
            if !ours || now > highest {
                return Ok(true);
            }
        } else {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(accepted)
}

/// Asks for the ends until no transaction is open below the high watermarks that were told first. Gives the last stable
/// offsets and these high watermarks, if anything was told.
async fn settled(
    shared: &Shared,
    observer: &Observer,
    stop: &CancellationToken,
) -> Result<Option<BTreeMap<i32, (i64, i64)>>, SessionError> {
    let timeout = Duration::from_millis(shared.plan.transaction_timeout_ms);
    let limit = Instant::now() + timeout + HANGS_AFTER;
    let mut known: Option<BTreeMap<i32, (i64, i64)>> = None;
    loop {
        if let Some(ends) = observer.list_offsets().await? {
            let known = known.get_or_insert_with(|| ends.clone());
            for (partition, (stable, _)) in ends {
                if let Some(entry) = known.get_mut(&partition) {
                    entry.0 = stable;
                }
            }
            if known.values().all(|(stable, high)| stable >= high) {
                break;
            }
        }
        if Instant::now() >= limit || stop.is_cancelled() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(known)
}

/// Reads all partitions of the observer's topic to their ends.
async fn read(
    shared: &Shared,
    observer: &mut Observer,
    reads: &mut Reads,
    stop: &CancellationToken,
) -> Result<(), SessionError> {
    let topic = observer.session.role.topic.clone();
    let Some(ends) = settled(shared, observer, stop).await? else {
        reads.trouble.push(format!("the end offsets of {} could not be asked", topic.topic));
        return Ok(());
    };
    reads.targets.extend(ends.iter().map(|(p, (_, high))| (topic.key(*p), *high)));
    let limit = Instant::now() + Duration::from_millis(shared.plan.final_time_limit_ms);
    let wait = Duration::from_millis(shared.plan.client.poll_ms.max(200));
    while observer.peek(wait).await? && Instant::now() < limit && !stop.is_cancelled() {}
    let all: Vec<i32> = ends.keys().copied().collect();
    observer.session.assign(&all, StartAt::Beginning).await?;
    let mut reached: BTreeMap<i32, i64> = BTreeMap::new();
    while Instant::now() < limit && !stop.is_cancelled() {
        let most = shared.plan.client.poll_records_max;
        let polled = observer.session.poll(wait, most).await?;
        if polled.lost.is_some() {
            observer.session.assign(&all, StartAt::Beginning).await?;
            reached.clear();
            continue;
        }
        for (&partition, &(stable, _)) in &ends {
            // Such a consumer is told that it is at the end when it is at the last stable offset, and the end of a log
            // can be markers, which no record reaches.
            let at_end = if polled.ends.contains(&partition) { stable } else { 0 };
            let position = observer.session.client().position(partition).unwrap_or(0).max(at_end);
            let entry = reached.entry(partition).or_insert(0);
            *entry = position.max(*entry);
        }
        let done = |(p, (stable, high)): (&i32, &(i64, i64))| {
            reached.get(p).copied().unwrap_or(0) >= *stable.min(high)
        };
        if ends.iter().all(done) {
            break;
        }
    }
    reads.reached.extend(reached.iter().map(|(p, at)| (topic.key(*p), *at)));
    Ok(())
}
