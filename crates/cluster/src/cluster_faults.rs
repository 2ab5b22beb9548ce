//! Faults with settings, injected into and healed in a supervised cluster.

use crate::cluster::Cluster;
use crate::driver::DriverError;
use crate::fault::{FaultKind, FaultSpec, Plane};
use crate::node::NodeId;
use crate::planes::Outcomes;
use crate::witness::FaultWitness;

impl Cluster {
    /// Whether the driver can do this to its nodes.
    ///
    /// # Errors
    /// The reason why not, as a fragment that fits after "cannot inject …:".
    pub fn supports(&self, fault: FaultKind) -> Result<(), String> {
        self.driver().supports(fault)
    }

    /// Does a fault to all `nodes` at the same time, and measures the elections that follow where it
    /// takes down leaders. The results come in the order of `nodes`.
    pub async fn apply(&self, fault: &FaultSpec, nodes: &[NodeId]) -> Outcomes {
        if let Err(why) = self.supports(fault.kind) {
            let refused = || DriverError::Unsupported { fault: fault.kind, why: why.clone() };
            return nodes.iter().map(|node| (*node, Err(refused()))).collect();
        }
        match fault.kind.plane() {
            Plane::Process => self.inject(fault.kind, nodes).await,
            Plane::Files => {
                let each = nodes
                    .iter()
                    .map(|node| async move { (*node, self.take_down(fault, *node).await) });
                futures::future::join_all(each).await
            }
            _ => self.driver().apply(fault, nodes).await,
        }
    }

    /// Heals a fault: undoes it, and starts the nodes that do not run then. The results come in the
    /// order of `nodes`; a fault that heals itself has none.
    pub async fn heal(&self, fault: &FaultSpec, nodes: &[NodeId]) -> Outcomes {
        match (fault.kind, fault.kind.plane()) {
            (FaultKind::Kill | FaultKind::Stop, _) | (_, Plane::Files) => {
                self.inject(FaultKind::Start, nodes).await
            }
            (FaultKind::Pause, _) => self.inject(FaultKind::Resume, nodes).await,
            (_, Plane::Process) => Vec::new(),
            _ => {
                let healed = self.driver().heal(fault, nodes).await;
                let down: Vec<NodeId> = nodes
                    .iter()
                    .copied()
                    .filter(|node| self.driver().exit_of(*node).is_some())
                    .collect();
                let mut started = self.inject(FaultKind::Start, &down).await;
                let mut outcomes = Outcomes::new();
                for (node, outcome) in healed {
                    let at = started.iter().position(|(other, _)| *other == node);
                    let start = at.map(|at| started.swap_remove(at).1);
                    outcomes.push((node, both(outcome, start)));
                }
                outcomes
            }
        }
    }

    /// One fault with the driver's usual settings.
    pub(crate) async fn apply_one(
        &self,
        fault: FaultKind,
        node: NodeId,
    ) -> Result<FaultWitness, DriverError> {
        self.apply_with(&fault.into(), node).await
    }

    async fn apply_with(
        &self,
        fault: &FaultSpec,
        node: NodeId,
    ) -> Result<FaultWitness, DriverError> {
        let outcome = self.driver().apply(fault, &[node]).await.pop();
        outcome.map_or(Err(DriverError::UnknownNode(node)), |(_, outcome)| outcome)
    }

    /// A fault beyond signals that ends with the node's process gone.
    async fn take_down(
        &self,
        fault: &FaultSpec,
        node: NodeId,
    ) -> Result<FaultWitness, DriverError> {
        self.expect_down(node);
        let outcome = self.apply_with(fault, node).await;
        let signal_ns = outcome.as_ref().ok().and_then(|witness| witness.signal_ns);
        self.note_down(node, signal_ns, self.driver().exit_of(node).is_none());
        outcome
    }
}

/// What came of healing a node that had to be started then.
fn both(
    healed: Result<FaultWitness, DriverError>,
    started: Option<Result<FaultWitness, DriverError>>,
) -> Result<FaultWitness, DriverError> {
    let healed = healed?;
    let Some(started) = started else { return Ok(healed) };
    let mut started = started?;
    started.witnessed &= healed.witnessed;
    started.why = format!("{}; {}", healed.why, started.why);
    started.sights = healed.sights;
    Ok(started)
}
