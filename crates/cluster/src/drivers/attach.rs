//! Clusters that were not started here: found by their addresses, broken by commands if at all.
//!
//! Faults are refused unless the cluster is said to be the user's own and a command for the fault is given. Whether a
//! command had an effect is seen from the outside alone: by what the node's Kafka port does.

use crate::diagnosis::LikelyCause;
use crate::doctor::{Finding, Severity};
use crate::driver::{Driver, DriverError, NodeStatus, RunState};
use crate::drivers::command::{self, CommandLayout, Commands, ForeignNode};
use crate::events::EventBus;
use crate::fault::{FaultKind, FaultSpec, Sight};
use crate::local::RunContext;
use crate::node::NodeId;
use crate::planes::Outcomes;
use crate::probe::ProbeError;
use crate::procfs::{ExitInfo, ProcessIdentity};
use crate::witness::{FaultWitness, PortObservation, PortState};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long the effect of a command is waited for.
const EFFECT_LIMIT: Duration = Duration::from_secs(20);
/// How long one question to a node takes at most.
const QUESTION: Duration = Duration::from_millis(500);
/// How long a cluster that is attached to may take to name its brokers.
const BROKERS_LIMIT: Duration = Duration::from_secs(10);
/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The driver of a cluster whose processes are not children of this one.
pub struct ForeignDriver {
    name: &'static str,
    nodes: Vec<ForeignNode>,
    own: bool,
    /// What the configured clients are told, without secrets.
    described: Value,
    context: RunContext,
}

impl std::fmt::Debug for ForeignDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForeignDriver").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

impl ForeignDriver {
    /// Finds the nodes of a running cluster by the first of `bootstrap` (`host:port,…`) that answers. `layout` gives
    /// commands for faults. A cluster that has just been started may answer before it knows its brokers, so that these
    /// are waited for.
    ///
    /// # Errors
    /// [`DriverError::Settings`] when none answers or names a broker in time, with what became of each.
    pub async fn attach(
        bootstrap: &str,
        layout: Option<&CommandLayout>,
        own: bool,
        context: RunContext,
    ) -> Result<Self, DriverError> {
        let deadline = Instant::now() + BROKERS_LIMIT;
        loop {
            let mut failures = Vec::new();
            let mut answered = false;
            for address in bootstrap.split(',').map(str::trim).filter(|text| !text.is_empty()) {
                match context.probe.metadata(address).await {
                    Ok(metadata) if metadata.brokers.is_empty() => {
                        answered = true;
                        failures.push(format!("{address} answers and names no broker yet"));
                    }
                    Ok(metadata) => {
                        let node = |broker: &crate::probe::Broker| ForeignNode {
                            id: broker.id,
                            address: format!("{}:{}", broker.host, broker.port),
                            commands: layout.map(|l| l.commands(broker.id)).unwrap_or_default(),
                        };
                        let nodes = metadata.brokers.iter().map(node).collect();
                        let described = json!({ "bootstrap": bootstrap });
                        return Ok(Self { name: "attach", nodes, own, described, context });
                    }
                    Err(error) => failures.push(explain(&error)),
                }
            }
            if !answered || Instant::now() >= deadline {
                let told = failures.join("; ");
                let text = format!("no broker is known at {bootstrap}: {told}");
                return Err(DriverError::Settings(text));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// A cluster whose nodes are described by a layout file, and whose start is a command too.
    ///
    /// # Errors
    /// [`DriverError::Settings`] when the layout has no usable nodes.
    pub fn commanded(layout: &CommandLayout, context: RunContext) -> Result<Self, DriverError> {
        let nodes = layout.addressed()?;
        Ok(Self { name: "command", nodes, own: true, described: json!({}), context })
    }

    fn node(&self, node: NodeId) -> Result<&ForeignNode, DriverError> {
        self.nodes.iter().find(|known| known.id == node).ok_or(DriverError::UnknownNode(node))
    }

    /// Whether a node takes connections, and whether it answers.
    async fn port(&self, address: &str) -> (PortState, bool) {
        self.context.probe.port(address, QUESTION).await
    }

    fn now(&self) -> u64 {
        self.context.events.clock().now_ns()
    }

    /// Runs the command for a fault and looks from the outside whether it had its effect.
    async fn act(&self, fault: FaultKind, node: NodeId) -> Result<FaultWitness, DriverError> {
        let known = self.node(node)?;
        let unsupported = |why: String| DriverError::Unsupported { fault, why };
        self.supports(fault).map_err(unsupported)?;
        let text = known.commands.of(fault).map_err(unsupported)?;
        let mut witness = FaultWitness::new(fault, node, self.now());
        let (_, before) = self.port(&known.address).await;
        witness.signal_ns = Some(self.now());
        command::run(text, known).await.map_err(DriverError::Settings)?;
        if fault == FaultKind::Restart {
            let start = known.commands.of(FaultKind::Start).map_err(unsupported)?;
            command::run(start, known).await.map_err(DriverError::Settings)?;
        }
        let wanted = !matches!(fault, FaultKind::Stop | FaultKind::Kill | FaultKind::Pause);
        let (state, answers) = self.wait_for(&known.address, wanted).await;
        let at_ns = self.now();
        let address = known.address.clone();
        witness.port = Some(PortObservation { address, at_ns, state, answered: Some(answers) });
        (witness.witnessed, witness.why) = judge(fault, &known.address, before, answers);
        Ok(witness)
    }

    /// Cuts a node off by its command, and looks until it no longer answers or the others have given it up.
    async fn cut_off(&self, fault: FaultKind, node: NodeId) -> Result<FaultWitness, DriverError> {
        let known = self.node(node)?;
        let unsupported = |why: String| DriverError::Unsupported { fault, why };
        self.supports(fault).map_err(unsupported)?;
        let text = known.commands.of(fault).map_err(unsupported)?;
        let mut witness = FaultWitness::new(fault, node, self.now());
        let before = self.given_up(known).await;
        witness.signal_ns = Some(self.now());
        command::run(text, known).await.map_err(DriverError::Settings)?;
        let deadline = Instant::now() + EFFECT_LIMIT;
        let mut after = self.given_up(known).await;
        while after.is_none() && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
            after = self.given_up(known).await;
        }
        let told = |seen: Option<String>| seen.unwrap_or_else(|| "in touch with all".to_owned());
        witness.sights.push(Sight {
            what: format!("node {node}"),
            shows: before.is_none() && after.is_some(),
            before: Some(told(before)),
            after: told(after),
            at_ns: self.now(),
        });
        Ok(witness.judge())
    }

    /// How one sees that a node is cut off: it does not answer, or another node's metadata has it neither among the
    /// brokers nor in sync where it is a replica. `None` when nothing shows that.
    async fn given_up(&self, node: &ForeignNode) -> Option<String> {
        let (_, answers) = self.port(&node.address).await;
        if !answers {
            return Some(format!("{} does not answer", node.address));
        }
        for other in self.nodes.iter().filter(|other| other.id != node.id) {
            let Ok(metadata) = self.context.probe.metadata(&other.address).await else { continue };
            if !metadata.broker_ids().contains(&node.id) {
                return Some(format!("node {} does not list it", other.id));
            }
            let mut replicas = metadata.partitions.iter().filter(|p| p.replicas.contains(&node.id));
            if replicas.clone().next().is_some() && replicas.all(|p| !p.isr.contains(&node.id)) {
                return Some(format!("node {} has it in sync nowhere", other.id));
            }
        }
        None
    }

    async fn wait_for(&self, address: &str, wanted: bool) -> (PortState, bool) {
        let deadline = Instant::now() + EFFECT_LIMIT;
        loop {
            let (state, answers) = self.port(address).await;
            if answers == wanted || Instant::now() >= deadline {
                return (state, answers);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn explain(error: &ProbeError) -> String {
    use std::io::ErrorKind::{ConnectionRefused, InvalidInput};
    let hint = match error {
        ProbeError::Connect { source, .. } if source.kind() == ConnectionRefused => {
            "nothing listens there: start the broker, or give -b the address and port of its listener"
        }
        ProbeError::Connect { source, .. } if source.kind() == InvalidInput => {
            "give -b host:port, such as 127.0.0.1:9092"
        }
        ProbeError::Connect { .. } => {
            "see whether the host's name and port in -b are right and can be reached from here"
        }
        ProbeError::Timeout { .. } => {
            "is it a Kafka listener? one that wants TLS or SASL is told with -X security.protocol=…; a busy one may answer next time"
        }
        ProbeError::Closed { .. } | ProbeError::Malformed { .. } => {
            "does it want TLS or SASL? then say so with -X security.protocol=…; is it a Kafka listener at all?"
        }
        ProbeError::Client { detail, .. } => match of_client(detail) {
            Some(hint) => hint,
            None => return error.to_string(),
        },
        _ => return error.to_string(),
    };
    format!("{error} ({hint})")
}

/// What to do about a complaint of librdkafka's, where its words leave no doubt.
fn of_client(complaint: &str) -> Option<&'static str> {
    let hints = [
        ("certificate verify failed", "does ssl.ca.location hold the authority that signed it?"),
        ("certificate required", CLIENT_CERTIFICATE),
        ("bad certificate", CLIENT_CERTIFICATE),
        ("uthentication failed", "is it sasl.username, sasl.password or sasl.mechanism?"),
        ("SASL mechanism", "see sasl.mechanism"),
        ("Disconnected", "is security.protocol that of this listener?"),
    ];
    hints.into_iter().find(|(words, _)| complaint.contains(words)).map(|(_, hint)| hint)
}

/// The hint where a broker misses a client's certificate.
const CLIENT_CERTIFICATE: &str = "it wants a certificate of the client: ssl.certificate.location and ssl.key.location, or \
                                  ssl.keystore.location";

/// Whether the node's answers before and after show the fault.
fn judge(fault: FaultKind, address: &str, before: bool, after: bool) -> (bool, String) {
    let takes_down = matches!(fault, FaultKind::Stop | FaultKind::Kill | FaultKind::Pause);
    match (takes_down, before, after) {
        (true, true, false) => (true, format!("{address} answered before and does not any more")),
        (true, false, _) => (false, format!("{address} did not answer before either")),
        (true, true, true) => (false, format!("{address} still answers")),
        (false, _, true) => (true, format!("{address} answers")),
        (false, _, false) => (false, format!("{address} does not answer")),
    }
}

#[async_trait]
impl Driver for ForeignDriver {
    fn name(&self) -> &str {
        self.name
    }

    fn version(&self) -> String {
        "unknown".to_owned()
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    fn address(&self, node: NodeId) -> Option<String> {
        self.node(node).ok().map(|node| node.address.clone())
    }

    fn ports(&self, _node: NodeId) -> Vec<u16> {
        Vec::new()
    }

    fn events(&self) -> &EventBus {
        &self.context.events
    }

    fn names_controller(&self) -> bool {
        false
    }

    fn supports(&self, fault: FaultKind) -> Result<(), String> {
        if !self.own {
            let why = "this cluster was not started here: give --i-own-this-cluster if it is yours to break";
            return Err(why.to_owned());
        }
        let commands = |node: &ForeignNode| node.commands.of(fault).map(|_| ());
        self.nodes.iter().try_for_each(commands)
    }

    async fn preflight(&self) -> Vec<Finding> {
        let mut findings = super::recipe::check_run_dir(&self.context.run_dir);
        if self.name != "attach" {
            return findings;
        }
        for node in &self.nodes {
            if let Err(error) = self.context.probe.metadata(&node.address).await {
                let text = format!("node {} does not answer: {error}", node.id);
                let fix =
                    "start it, or see whether its advertised address can be reached from here";
                let cause = LikelyCause::known("node-silent", text, fix);
                findings.push(Finding::new(Severity::Error, cause));
            }
        }
        findings
    }

    async fn prepare(&self) -> Result<(), DriverError> {
        std::fs::create_dir_all(&self.context.run_dir)
            .map_err(|source| DriverError::Write { path: self.context.run_dir.clone(), source })
    }

    async fn start(&self, node: NodeId) -> Result<FaultWitness, DriverError> {
        let known = self.node(node)?;
        let (_, answers) = self.port(&known.address).await;
        if answers {
            let mut witness = FaultWitness::new(FaultKind::Start, node, self.now());
            witness.why = format!("{} answered before anything was done", known.address);
            return Ok(witness);
        }
        if known.commands == Commands::default() {
            return Err(DriverError::NotRunning(node));
        }
        self.act(FaultKind::Start, node).await
    }

    async fn stop(&self, node: NodeId) -> Result<FaultWitness, DriverError> {
        self.act(FaultKind::Stop, node).await
    }

    async fn kill(&self, node: NodeId) -> Result<FaultWitness, DriverError> {
        self.act(FaultKind::Kill, node).await
    }

    async fn pause(&self, node: NodeId) -> Result<FaultWitness, DriverError> {
        self.act(FaultKind::Pause, node).await
    }

    async fn resume(&self, node: NodeId) -> Result<FaultWitness, DriverError> {
        self.act(FaultKind::Resume, node).await
    }

    async fn restart(&self, node: NodeId) -> Result<FaultWitness, DriverError> {
        self.act(FaultKind::Restart, node).await
    }

    async fn apply(&self, fault: &FaultSpec, nodes: &[NodeId]) -> Outcomes {
        let each =
            nodes.iter().map(|node| async { (*node, self.cut_off(fault.kind, *node).await) });
        futures::future::join_all(each).await
    }

    async fn heal(&self, fault: &FaultSpec, nodes: &[NodeId]) -> Outcomes {
        let each = nodes.iter().map(|node| async {
            let healed = async {
                let known = self.node(*node)?;
                let missing = || "the layout has no command `heal` for it".to_owned();
                let text = known.commands.heal.as_deref().ok_or_else(|| {
                    DriverError::Unsupported { fault: fault.kind, why: missing() }
                })?;
                let mut witness = FaultWitness::new(fault.kind, *node, self.now());
                command::run(text, known).await.map_err(DriverError::Settings)?;
                let (_, answers) = self.wait_for(&known.address, true).await;
                let after = if answers { "answers" } else { "does not answer" }.to_owned();
                let (what, at_ns) = (known.address.clone(), self.now());
                witness.sights.push(Sight { what, before: None, after, at_ns, shows: answers });
                Ok(witness.judge())
            };
            (*node, healed.await)
        });
        futures::future::join_all(each).await
    }

    fn process_of(&self, _node: NodeId) -> Option<ProcessIdentity> {
        None
    }

    fn exit_of(&self, _node: NodeId) -> Option<ExitInfo> {
        None
    }

    fn log_tail(&self, _node: NodeId, _lines: usize) -> Vec<String> {
        Vec::new()
    }

    async fn node_status(&self, node: NodeId) -> Result<NodeStatus, DriverError> {
        self.node(node)?;
        Ok(NodeStatus { node, run: RunState::Running, process: None, listening: Vec::new() })
    }

    fn describe(&self) -> Value {
        json!({ "driver": self.name, "nodes": self.nodes, "clients": self.described })
    }

    /// Leaves the cluster as it is: it was there before.
    async fn shutdown(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Broker, ClusterMetadata, MetadataProbe};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Names its broker from the third question on.
    #[derive(Default)]
    struct Waking(AtomicUsize);

    #[async_trait]
    impl MetadataProbe for Waking {
        async fn metadata(&self, _address: &str) -> Result<ClusterMetadata, ProbeError> {
            let mut metadata = ClusterMetadata::default();
            if self.0.fetch_add(1, Ordering::Relaxed) >= 2 {
                let host = "127.0.0.1".to_owned();
                metadata.brokers = vec![Broker { id: NodeId(1), host, port: 9092 }];
            }
            Ok(metadata)
        }
    }

    #[tokio::test]
    async fn a_cluster_that_names_no_broker_yet_is_waited_for() {
        let mut context = RunContext::new(std::env::temp_dir(), Instant::now());
        context.probe = Arc::new(Waking::default());
        let found = ForeignDriver::attach("127.0.0.1:9092", None, false, context).await.unwrap();
        assert_eq!(found.nodes(), [NodeId(1)]);
        assert_eq!(found.address(NodeId(1)).as_deref(), Some("127.0.0.1:9092"));
    }
}
