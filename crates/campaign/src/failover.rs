//! The named plan `raft-failover`: 100 messages to one partition, all read back; then 1,000 messages, with the leader of
//! the partition killed in the middle and started again later.
//!
//! What it measures follows from the history alone, so that a later `perjury check` says the same: the note `goals` says
//! what was aimed at, and the checker holds the figures against it.

use crate::execute::{Cut, Say};
use perjury_cluster::{Cluster, NodeId, Target as Role};
use perjury_history::Process;
use perjury_worker::client::StartAt;
use perjury_worker::generator::OpStream;
use perjury_worker::nemesis;
use perjury_worker::observe::CurrentFault;
use perjury_worker::plan::{FaultKind, PlannedFault, Target};
use perjury_worker::recorder::Draft;
use perjury_worker::session::{Session, Shared};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How many messages are sent and read back before anything breaks.
const FIRST: u32 = 100;
/// How many messages are sent around the kill.
const SECOND: u32 = 1_000;
/// How long the cluster may take to form, in milliseconds.
const FORMATION_GOAL_MS: u64 = 10_000;
/// How long an election may take, in milliseconds.
const ELECTION_GOAL_MS: u64 = 2_000;
/// How long the first messages may take to be read back.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// How long all messages around the kill may take.
const SEND_LIMIT: Duration = Duration::from_secs(120);
/// How often the Raft leader is moved away from the partition's leader before it is left where it is.
const MOVES_MAX: u32 = 3;
/// How long the partition may have no leader that anybody sees.
const LEADER_LIMIT: Duration = Duration::from_secs(10);
/// How long a paused Raft leader stays paused: longer than the others wait for it.
const MOVE_MS: u64 = 5_000;

/// Goes through the steps. The cluster has formed and the topic is there.
///
/// # Errors
/// [`Cut`] when an event cannot be recorded or librdkafka refuses the settings.
pub(crate) async fn run(
    cluster: &Cluster,
    shared: &Arc<Shared>,
    current: &CurrentFault,
    stop: &CancellationToken,
    say: &dyn Say,
) -> Result<(), Cut> {
    let goals = json!({ "formation_ms": FORMATION_GOAL_MS, "election_ms": ELECTION_GOAL_MS });
    shared.recorder.record(Draft::note(Process::Nemesis, "goals", goals))?;
    let next_fault = separate_roles(cluster, shared, current, stop, say).await?;
    let mut session = Session::new(shared.clone(), 0)?;
    let mut stream = OpStream::new(&shared.plan, 0);
    say.say(&format!("{FIRST} messages to one partition"));
    let sent = send(&mut session, &mut stream, FIRST, SEND_LIMIT, stop).await?;
    let read = read_back(&mut session, sent.len(), stop).await?;
    say.say(&format!("{} acknowledged, {read} read back", sent.len()));
    let before = send(&mut session, &mut stream, SECOND / 2, SEND_LIMIT, stop).await?;
    let leader = leader_of(cluster, shared);
    let shown = leader.map_or("nobody".to_owned(), |node| format!("node {node}"));
    say.say(&format!(
        "{} of {SECOND} messages acknowledged; the leader, {shown}, is killed",
        before.len()
    ));
    let kill = once(shared, next_fault, FaultKind::Kill, shared.plan.fault_duration_ms);
    let (after, killed) = tokio::join!(
        send(&mut session, &mut stream, SECOND / 2, SEND_LIMIT, stop),
        nemesis::run(cluster, &kill, current, stop),
    );
    killed?;
    say.say(&format!("{} of the other {} acknowledged", after?.len(), SECOND / 2));
    session.close().await;
    Ok(())
}

/// A plan with one fault on the leader, at once.
fn once(shared: &Shared, fault: u32, f: FaultKind, duration_ms: u64) -> Shared {
    let mut plan = shared.plan.clone();
    plan.schedule = vec![PlannedFault {
        fault,
        at_ms: 0,
        duration_ms,
        f,
        target: Target::Leader,
        partition: 0,
        pick: 0,
        with: std::collections::BTreeMap::new(),
    }];
    let (bootstrap, recorder) = (shared.bootstrap.clone(), shared.recorder.clone());
    Shared::new(plan, bootstrap, recorder, shared.progress.clone())
}

fn leader_of(cluster: &Cluster, shared: &Shared) -> Option<NodeId> {
    let role = Role::Leader { topic: shared.plan.topic.topic.clone(), partition: 0 };
    cluster.resolve(&role).ok()?.first().copied()
}

/// The leader of the partition, once it has been seen: right after the topic is made nobody may have looked yet.
async fn known_leader(
    cluster: &Cluster,
    shared: &Shared,
    stop: &CancellationToken,
) -> Option<NodeId> {
    let began = Instant::now();
    loop {
        let leader = leader_of(cluster, shared);
        if leader.is_some() || began.elapsed() >= LEADER_LIMIT || stop.is_cancelled() {
            return leader;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Where the cluster tells who leads its Raft group: sees to it that the leader of the partition is another node, by
/// pausing the node that is both until the others have elected another Raft leader. Gives the number of the next fault.
async fn separate_roles(
    cluster: &Cluster,
    shared: &Shared,
    current: &CurrentFault,
    stop: &CancellationToken,
    say: &dyn Say,
) -> Result<u32, Cut> {
    for fault in 0..MOVES_MAX {
        let Some(raft) = cluster.driver().raft_leader().await else { return Ok(fault) };
        let leader = known_leader(cluster, shared, stop).await;
        say.say(&format!("node {raft} leads the Raft group"));
        let note = json!({ "node": raft, "partition_leader": leader });
        shared.recorder.record(Draft::note(Process::Cluster, "raft-leader", note))?;
        if leader != Some(raft) || stop.is_cancelled() {
            return Ok(fault);
        }
        say.say("it leads the partition too: it is paused until another leads the Raft group");
        let pause = once(shared, fault, FaultKind::Pause, MOVE_MS);
        nemesis::run(cluster, &pause, current, stop).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    say.say("the two roles stay with one node");
    Ok(MOVES_MAX)
}

/// Sends `count` messages one after the other and gives the offsets of those that were acknowledged.
async fn send(
    session: &mut Session,
    stream: &mut OpStream,
    count: u32,
    limit: Duration,
    stop: &CancellationToken,
) -> Result<Vec<i64>, Cut> {
    let began = Instant::now();
    let mut offsets = Vec::new();
    for _ in 0..count {
        if stop.is_cancelled() || began.elapsed() >= limit {
            break;
        }
        offsets.extend(session.send(0, stream.next_value()).await?);
    }
    Ok(offsets)
}

/// Reads the partition from the beginning until `count` records came, and gives how many did.
async fn read_back(
    session: &mut Session,
    count: usize,
    stop: &CancellationToken,
) -> Result<usize, Cut> {
    session.assign(&[0], StartAt::Beginning).await?;
    let began = Instant::now();
    let mut position = 0;
    while position < count && began.elapsed() < READ_LIMIT && !stop.is_cancelled() {
        session.poll(Duration::from_millis(200), 500).await?;
        let next = session.client().position(0).unwrap_or(0);
        position = usize::try_from(next).unwrap_or(0);
    }
    session.assign(&[], StartAt::Beginning).await?;
    Ok(position.min(count))
}
