//! The nemesis: breaks the cluster on the plan's schedule, and heals what it broke.
//!
//! Each fault leaves four events: `inject` before anything is done, `injected` with the witness, `heal` and `healed`.
//! So a history shows a fault's band even if everything dies in between.

use crate::faults::spec;
use crate::observe::CurrentFault;
use crate::plan::{FaultKind, PlannedFault, Target};
use crate::recorder::{Draft, RecorderError};
use crate::session::Shared;
use perjury_cluster::planes::Outcomes;
use perjury_cluster::{Cluster, NodeId, Plane, Target as Role};
use perjury_history::Process;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a role may have no holder, as after the fault before, until the fault is given up.
const ROLE_LIMIT: Duration = Duration::from_secs(3);

/// Injects and heals each fault of the plan. Whatever was injected is healed, also when `stop` is cancelled.
///
/// # Errors
/// When an event cannot be recorded.
pub async fn run(
    cluster: &Cluster,
    shared: &Shared,
    current: &CurrentFault,
    stop: &CancellationToken,
) -> Result<(), RecorderError> {
    let began = Instant::now();
    for fault in &shared.plan.schedule {
        tokio::select! {
            () = tokio::time::sleep_until(began + Duration::from_millis(fault.at_ms)) => {}
            () = stop.cancelled() => return Ok(()),
        }
        let nodes = resolve(cluster, shared, fault, stop).await;
        let hit = inject(cluster, shared, current, fault, &nodes).await?;
        let until = began + Duration::from_millis(fault.at_ms + fault.duration_ms);
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = stop.cancelled() => {}
        }
        heal(cluster, shared, fault, &hit).await?;
    }
    Ok(())
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
        Target::All => Role::All,
        Target::Controller => Role::Controller,
        Target::Coordinator => Role::Coordinator { index: u64::from(fault.pick) },
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

/// Injects a fault and gives the nodes that it hit.
async fn inject(
    cluster: &Cluster,
    shared: &Shared,
    current: &CurrentFault,
    fault: &PlannedFault,
    nodes: &Result<Vec<NodeId>, String>,
) -> Result<Vec<NodeId>, RecorderError> {
    let empty = Vec::new();
    let asked = nodes.as_ref().unwrap_or(&empty);
    event(shared, fault, "inject", asked, json!({}))?;
    current.set(fault.fault);
    shared.progress.faults.fetch_add(1, Ordering::Relaxed);
    let spec = spec(fault.f, &shared.plan.fault_settings, fault.pick);
    let (spec, asked) = match (spec.filter(|_| !shared.plan.disarmed), nodes) {
        (Some(spec), Ok(nodes)) => (spec, nodes),
        (spec, _) => {
            let done_nothing = "nothing was done, and nothing was seen".to_owned();
            let why = spec.and(nodes.as_ref().err()).unwrap_or(&done_nothing);
            let unseen = json!({"witnessed": false, "witness": {"why": why}});
            event(shared, fault, "injected", asked, unseen)?;
            return Ok(empty);
        }
    };
    let outcome = if fault.f == FaultKind::RollingRestart {
        let mut outcome = Outcomes::new();
        for node in asked {
            outcome.extend(cluster.apply(&spec, &[*node]).await);
        }
        outcome
    } else {
        cluster.apply(&spec, asked).await
    };
    // Half of a change of the network may have been made: all of it is healed.
    let always = spec.kind.plane() == Plane::Network;
    let hit: Vec<NodeId> =
        outcome.iter().filter(|(_, done)| always || done.is_ok()).map(|(node, _)| *node).collect();
    event(shared, fault, "injected", asked, witness(&outcome))?;
    Ok(hit)
}

async fn heal(
    cluster: &Cluster,
    shared: &Shared,
    fault: &PlannedFault,
    hit: &[NodeId],
) -> Result<(), RecorderError> {
    event(shared, fault, "heal", hit, json!({}))?;
    let spec = spec(fault.f, &shared.plan.fault_settings, fault.pick);
    let outcome = match spec.filter(|_| !hit.is_empty()) {
        Some(spec) => cluster.heal(&spec, hit).await,
        None => Outcomes::new(),
    };
    event(shared, fault, "healed", hit, witness(&outcome))
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
