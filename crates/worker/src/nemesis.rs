//! The nemesis: breaks the cluster on the plan's schedule, and heals what it broke.
//!
//! Each fault leaves four events: `inject` before anything is done, `injected` with the witness, `heal` and `healed`.
//! So a history shows a fault's band even if everything dies in between.

use crate::observe::CurrentFault;
use crate::plan::{FaultKind, PlannedFault, Target};
use crate::recorder::{Draft, RecorderError};
use crate::session::Shared;
use perjury_cluster::planes::Outcomes;
use perjury_cluster::probe::Connection;
use perjury_cluster::{Cluster, FaultKind as Kind, FaultSpec, NodeId, Plane, Target as Role};
use perjury_history::Process;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a role may have no holder, as after the fault before, until the fault is given up.
const ROLE_LIMIT: Duration = Duration::from_secs(3);

/// Injects and heals each fault of the plan, each for itself: faults overlap where the plan lets them. A fault that the
/// plan begins after another one's end waits until that one is healed. Whatever was injected is healed, also when `stop`
/// is cancelled.
///
/// # Errors
/// When an event cannot be recorded.
pub async fn run(
    cluster: &Cluster,
    shared: &Shared,
    current: &CurrentFault,
    stop: &CancellationToken,
) -> Result<(), RecorderError> {
    let schedule = &shared.plan.schedule;
    let healed: Vec<CancellationToken> =
        schedule.iter().map(|_| CancellationToken::new()).collect();
    let nemesis = Nemesis { cluster, shared, current, stop, holds: Mutex::default() };
    let began = Instant::now();
    let each = schedule.iter().zip(&healed).map(|(fault, done)| {
        let all = schedule.iter().zip(&healed);
        let before: Vec<&CancellationToken> =
            all.filter(|(other, _)| other.end_ms() <= fault.at_ms).map(|(_, done)| done).collect();
        let nemesis = &nemesis;
        async move {
            // Whoever waits for this fault goes on also when it could not be recorded.
            let _done = done.drop_guard_ref();
            nemesis.one(fault, began, before).await
        }
    });
    futures::future::join_all(each).await.into_iter().collect()
}

/// What all faults of a run share.
struct Nemesis<'a> {
    cluster: &'a Cluster,
    shared: &'a Shared,
    current: &'a CurrentFault,
    stop: &'a CancellationToken,
    /// Which nodes are hit at present: the fault's number, what is done, the node.
    holds: Mutex<Vec<(u32, Kind, NodeId)>>,
}

impl Nemesis<'_> {
    async fn one(
        &self,
        fault: &PlannedFault,
        began: Instant,
        before: Vec<&CancellationToken>,
    ) -> Result<(), RecorderError> {
        let due = async {
            tokio::time::sleep_until(began + Duration::from_millis(fault.at_ms)).await;
            for healed in before {
                healed.cancelled().await;
            }
        };
        tokio::select! {
            () = due => {}
            () = self.stop.cancelled() => return Ok(()),
        }
        let nodes = resolve(self.cluster, self.shared, fault, self.stop).await;
        let spec = fault.spec(&self.shared.plan.fault_settings);
        let hit = self.inject(fault, &spec, &nodes).await?;
        let until = began + Duration::from_millis(fault.end_ms());
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = self.stop.cancelled() => {}
        }
        self.heal(fault, spec.ok().flatten(), &hit).await
    }

    /// Injects a fault and gives the nodes that it hit.
    async fn inject(
        &self,
        fault: &PlannedFault,
        spec: &Result<Option<FaultSpec>, String>,
        nodes: &Result<Vec<NodeId>, String>,
    ) -> Result<Vec<NodeId>, RecorderError> {
        let (cluster, shared) = (self.cluster, self.shared);
        let empty = Vec::new();
        let asked = nodes.as_ref().unwrap_or(&empty);
        event(shared, fault, "inject", asked, json!({}))?;
        self.current.set(fault.fault);
        shared.progress.faults.fetch_add(1, Ordering::Relaxed);
        let (spec, asked) = match (spec, nodes) {
            (Ok(Some(spec)), Ok(nodes)) if !shared.plan.disarmed => (spec, nodes),
            (spec, nodes) => {
                let does_something = matches!(spec, Ok(Some(_))) && !shared.plan.disarmed;
                let why = match (spec, nodes) {
                    (Err(why), _) => why,
                    (_, Err(why)) if does_something => why,
                    _ => "nothing was done, and nothing was seen",
                };
                let unseen = json!({"witnessed": false, "witness": {"why": why}});
                event(shared, fault, "injected", asked, unseen)?;
                return Ok(empty);
            }
        };
        let outcome = if fault.f == FaultKind::RollingRestart {
            let mut outcome = Outcomes::new();
            for node in asked {
                outcome.extend(cluster.apply(spec, &[*node]).await);
            }
            outcome
        } else {
            cluster.apply(spec, asked).await
        };
        // Half of a change of the network may have been made: all of it is healed.
        let always = spec.kind.plane() == Plane::Network;
        let hit: Vec<NodeId> = outcome
            .iter()
            .filter(|(_, done)| always || done.is_ok())
            .map(|(node, _)| *node)
            .collect();
        locked(&self.holds).extend(hit.iter().map(|node| (fault.fault, spec.kind, *node)));
        event(shared, fault, "injected", asked, witness(&outcome))?;
        Ok(hit)
    }

    async fn heal(
        &self,
        fault: &PlannedFault,
        spec: Option<FaultSpec>,
        hit: &[NodeId],
    ) -> Result<(), RecorderError> {
        event(self.shared, fault, "heal", hit, json!({}))?;
        let Some(spec) = spec else {
            return event(self.shared, fault, "healed", hit, witness(&Outcomes::new()));
        };
        let free = self.let_go(fault.fault, spec.kind, hit);
        let outcome =
            if free.is_empty() { Outcomes::new() } else { self.cluster.heal(&spec, &free).await };
        let mut seen = witness(&outcome);
        if free.len() < hit.len() {
            let held: Vec<_> = hit.iter().filter(|node| !free.contains(node)).collect();
            seen["held_by_another_fault"] = json!(held);
        }
        event(self.shared, fault, "healed", hit, seen)
    }

    /// The nodes among `hit` that no other fault holds in the same state: those are healed now, the others with the last
    /// fault that holds them.
    fn let_go(&self, number: u32, kind: Kind, hit: &[NodeId]) -> Vec<NodeId> {
        let mut holds = locked(&self.holds);
        holds.retain(|(fault, ..)| *fault != number);
        let shared =
            |node: &&NodeId| holds.iter().any(|(_, other, at)| (*other, at) == (kind, *node));
        hit.iter().filter(|node| !is_one_state(kind) || !shared(node)).copied().collect()
    }
}

/// Whether two faults of this kind are one and the same state of a node, so that healing one ends both. Splits of the
/// network and faults of single frames are kept apart by the cluster.
fn is_one_state(kind: Kind) -> bool {
    match kind.plane() {
        Plane::Network => matches!(kind, Kind::Loss | Kind::Bandwidth),
        Plane::Frames => matches!(kind, Kind::Delay | Kind::Reorder),
        Plane::Process | Plane::Files | Plane::Disk | Plane::Clock => true,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The nodes that have the fault's role now, or why there is none.
async fn resolve(
    cluster: &Cluster,
    shared: &Shared,
    fault: &PlannedFault,
    stop: &CancellationToken,
) -> Result<Vec<NodeId>, String> {
    let topic = shared.plan.topic.topic.clone();
    let role = match fault.target {
        Target::Leader => Role::Leader { topic, partition: fault.partition },
        Target::Follower => {
            Role::Follower { topic, partition: fault.partition, index: u64::from(fault.pick) }
        }
        Target::Followers => Role::Followers { topic, partition: fault.partition },
        Target::All => Role::All,
        Target::Controller => Role::Controller,
        Target::Coordinator => {
            // Only one node coordinates what the workload is about; the others may do nothing of the kind.
            let any = Role::Coordinator { index: u64::from(fault.pick) };
            coordinator(shared, stop).await.map_or(any, |node| Role::Node { node })
        }
        Target::Random => Role::Random { index: u64::from(fault.pick) },
        Target::Node(node) => Role::Node { node },
    };
    let limit = Instant::now() + ROLE_LIMIT;
    loop {
        match cluster.resolve(&role) {
            Ok(nodes) => return Ok(nodes),
            Err(error) if Instant::now() >= limit || stop.is_cancelled() => {
                return Err(error.to_string());
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The coordinator of the workload's group, if it has one and a broker tells it in time.
async fn coordinator(shared: &Shared, stop: &CancellationToken) -> Option<NodeId> {
    let group = shared.plan.workload.group(&shared.plan)?;
    let limit = Instant::now() + ROLE_LIMIT;
    while Instant::now() < limit && !stop.is_cancelled() {
        for address in shared.bootstrap.split(',') {
            let soon = limit.min(Instant::now() + ROLE_LIMIT / 4);
            let told = async {
                Connection::open(address, soon).await?.group_coordinator(&group, soon).await
            };
            match told.await {
                Ok((node, _)) => return Some(node),
                Err(error) => tracing::debug!(%error, group, "no coordinator"),
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}

fn event(
    shared: &Shared,
    fault: &PlannedFault,
    phase: &str,
    nodes: &[NodeId],
    more: Value,
) -> Result<(), RecorderError> {
    let mut value = json!({
        "fault": fault.fault,
        "phase": phase,
        "target": fault.target,
        "nodes": nodes,
        "key": shared.plan.topic.key(fault.partition),
    });
    if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    shared.recorder.record(Draft::note(Process::Nemesis, fault.f.as_str(), value))?;
    Ok(())
}

/// The witnesses of one action, as the history holds them: witnessed if there is one and every one of them saw it.
fn witness(outcome: &Outcomes) -> Value {
    let seen: Vec<Value> = outcome
        .iter()
        .map(|(node, done)| match done {
            Ok(witness) => json!(witness),
            Err(error) => json!({"node": node, "witnessed": false, "why": error.to_string()}),
        })
        .collect();
    let all = !seen.is_empty() && seen.iter().all(|w| w["witnessed"] == true);
    let why: Vec<String> = seen
        .iter()
        .map(|w| format!("node {}: {}", w["node"], w["why"].as_str().unwrap_or_default()))
        .collect();
    json!({"witnessed": all, "witness": {"why": why.join("; "), "nodes": seen}})
}
