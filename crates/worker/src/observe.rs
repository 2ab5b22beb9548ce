//! What is seen of the cluster, as events of the history.

use crate::recorder::{Draft, Recorder, RecorderError};
use perjury_cluster::{ClusterEvent, ClusterEventKind};
use perjury_history::Process;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::mpsc;

/// The number of the fault that was injected last; -1 before the first one. An election is its consequence.
#[derive(Debug)]
pub struct CurrentFault(AtomicI64);

impl Default for CurrentFault {
    fn default() -> Self {
        CurrentFault(AtomicI64::new(-1))
    }
}

impl CurrentFault {
    /// From now on this fault is the last one.
    pub fn set(&self, fault: u32) {
        self.0.store(i64::from(fault), Ordering::Relaxed);
    }

    /// The last fault, if there was one.
    pub fn get(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|f| *f >= 0)
    }
}

/// Records cluster events until their sender is gone.
///
/// # Errors
/// When an event cannot be recorded.
pub async fn record(
    recorder: &Recorder,
    faults: &CurrentFault,
    events: &mut mpsc::Receiver<ClusterEvent>,
) -> Result<(), RecorderError> {
    while let Some(event) = events.recv().await {
        let (f, mut value) = translate(&event.kind, faults);
        value["at"] = json!(event.at_ns);
        if let (Some(node), None) = (event.node, value.get("node")) {
            value["node"] = json!(node);
        }
        recorder.record(Draft::note(Process::Cluster, f, value))?;
    }
    Ok(())
}

/// The history's name and value of a cluster event.
fn translate(kind: &ClusterEventKind, faults: &CurrentFault) -> (&'static str, Value) {
    use ClusterEventKind as E;
    match kind {
        E::NodeStarted { process } => ("node-started", json!({"process": process})),
        E::NodeUp => ("node-up", json!({})),
        E::NodeSilent { silent_ms } => ("node-silent", json!({"silent_ms": silent_ms})),
        E::NodeDown { process, exit } => ("node-down", json!({"process": process, "exit": exit})),
        E::FormationProgress { elapsed_ms, nodes } => {
            ("formation-progress", json!({"ms": elapsed_ms, "nodes": nodes}))
        }
        E::Formed { formation_ms } => ("formation", json!({"ms": formation_ms})),
        E::FormationFailed { error } => {
            ("formation-failed", json!({"error": error, "message": error.to_string()}))
        }
        E::LeaderChanged { topic, partition, from, to, epoch } => (
            "leader",
            json!({"topic": topic, "partition": partition, "from": from, "to": to, "epoch": epoch}),
        ),
        E::ControllerChanged { from, to } => ("controller", json!({"from": from, "to": to})),
        E::IsrChanged { topic, partition, to, .. } => {
            ("isr", json!({"topic": topic, "partition": partition, "isr": to}))
        }
        E::Elected(election) => {
            let mut value = json!(election);
            value["fault"] = json!(faults.get());
            ("election", value)
        }
        E::LeaderKept { topic, partition, leader, .. } => (
            "leader-kept",
            json!({"topic": topic, "partition": partition, "leader": leader, "fault": faults.get()}),
        ),
        E::LogLine { level, stream, line } => {
            ("log", json!({"level": level, "stream": stream, "line": line}))
        }
        E::Milestone { what, line } if what.starts_with("raft-") => {
            ("raft-state", json!({"state": what, "line": line}))
        }
        E::Quirk { finding } => ("quirk", json!({"finding": finding})),
        E::Milestone { what, line } => ("milestone", json!({"what": what, "line": line})),
        E::LogLinesDropped { count } => ("log-dropped", json!({"count": count})),
        E::EventsDropped { count } => ("events-dropped", json!({"count": count})),
        other => ("cluster-event", json!(other)),
    }
}
