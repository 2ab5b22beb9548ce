//! Forming a cluster while telling how far each node has come.

use crate::execute::Say;
use perjury_cluster::{Cluster, ClusterEventKind, Formation, FormationError, NodeProgress};
use std::time::{Duration, Instant};

/// How often progress is told; a first report comes at once.
const TELL_EVERY: Duration = Duration::from_millis(1_900);

/// Forms a cluster and tells every 2 s of each node what it waits for.
///
/// # Errors
/// As [`Cluster::form`].
pub async fn form(
    cluster: &Cluster,
    limit: Duration,
    say: &dyn Say,
) -> Result<Formation, Box<FormationError>> {
    let mut events = cluster.events();
    let forming = cluster.form(limit);
    tokio::pin!(forming);
    let mut told: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            outcome = &mut forming => return outcome,
            Some(event) = events.recv() => {
                let ClusterEventKind::FormationProgress { elapsed_ms, nodes } = event.kind else {
                    continue;
                };
                if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
                    told = Some(Instant::now());
                    for node in &nodes {
                        say.say(&format!("{elapsed_ms:>7} ms  {}", line(node)));
                    }
                }
            }
        }
    }
}

/// How far a node has come, in one line.
#[must_use]
pub fn line(node: &NodeProgress) -> String {
    let mut parts = vec![format!("node {}", node.node)];
    parts.push(
        node.process.map_or("not started".to_owned(), |process| format!("pid {}", process.pid)),
    );
    parts.push(if node.accepts { "Kafka port accepts" } else { "Kafka port closed" }.to_owned());
    if !node.listening.is_empty() {
        let ports: Vec<_> = node.listening.iter().map(ToString::to_string).collect();
        parts.push(format!("listens on {}", ports.join(" ")));
    }
    if let Some(peers) = node.peers {
        parts.push(format!("{peers} peers connected"));
    }
    if let Some(brokers) = &node.brokers {
        let controller = node.controller.map_or("none".to_owned(), |id| id.to_string());
        parts.push(format!("{} brokers known, controller {controller}", brokers.len()));
    }
    format!("{}: has yet to {}", parts.join(", "), node.waiting_for)
        .replace(": has yet to be ready", ": ready")
}
