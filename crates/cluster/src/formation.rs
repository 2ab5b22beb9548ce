//! Waiting for a cluster to become ready, and saying what went wrong when it does not.

use crate::diagnosis::{LikelyCause, PortEvidence, Symptoms, explain_exit};
use crate::driver::{Driver, DriverError, RunState};
use crate::node::NodeId;
use crate::probe::{ClusterMetadata, MetadataProbe};
use crate::process::SpawnError;
use crate::procfs::{ExitInfo, ProcessIdentity, connected_ports, port_is_listened_on, port_owners};
use crate::witness::{PortState, connect_state};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// How many log lines a failure report has.
const TAIL_LINES: usize = 20;
/// How many log lines are searched for the cause. The two streams of a node come in through two pipes,
/// so what it complained of on one may lie before much chatter on the other.
const SEARCHED_LINES: usize = 200;
/// How long a connection to a node's Kafka port is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);

/// The steps to readiness, in their order. A failure names the step that was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FormationStep {
    /// The machine is fit for it.
    Preflight,
    /// The driver's files, ports and guard are there.
    Prepare,
    /// The process exists.
    Start,
    /// The process stays alive.
    StayAlive,
    /// The Kafka port accepts connections.
    Listen,
    /// Metadata requests are answered.
    Answer,
    /// The node's metadata lists all brokers.
    KnowAllBrokers,
    /// The node's metadata names a controller.
    KnowController,
    /// The node is ready.
    Ready,
}

impl fmt::Display for FormationStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Preflight => "pass the preflight checks",
            Self::Prepare => "be prepared",
            Self::Start => "start",
            Self::StayAlive => "stay alive",
            Self::Listen => "listen on its Kafka port",
            Self::Answer => "answer metadata requests",
            Self::KnowAllBrokers => "know all brokers",
            Self::KnowController => "know a controller",
            Self::Ready => "be ready",
        })
    }
}

/// How far one node has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeProgress {
    /// The node.
    pub node: NodeId,
    /// The first step that it has not taken yet; [`FormationStep::Ready`] when it has taken all.
    pub waiting_for: FormationStep,
    /// Its process, once started.
    pub process: Option<ProcessIdentity>,
    /// The TCP ports that it listens on, ascending.
    #[serde(default)]
    pub listening: Vec<u16>,
    /// How many other nodes it is connected with, where that can be seen.
    #[serde(default)]
    pub peers: Option<usize>,
    /// Whether its Kafka port accepts connections.
    pub accepts: bool,
    /// The brokers that its metadata lists, once it answers, ascending.
    pub brokers: Option<Vec<NodeId>>,
    /// The controller that its metadata names.
    pub controller: Option<NodeId>,
    /// Why it does not answer, when it accepts connections and does not.
    pub detail: Option<String>,
}

impl NodeProgress {
    pub(crate) fn nothing_yet(node: NodeId) -> Self {
        Self {
            node,
            waiting_for: FormationStep::Start,
            process: None,
            listening: Vec::new(),
            peers: None,
            accepts: false,
            brokers: None,
            controller: None,
            detail: None,
        }
    }

    /// A node whose process was started and that was not looked at yet.
    pub(crate) fn started(node: NodeId, process: Option<ProcessIdentity>) -> Self {
        Self { process, waiting_for: FormationStep::Listen, ..Self::nothing_yet(node) }
    }

    fn cause(&self, expected: &[NodeId], address: Option<String>) -> LikelyCause {
        match self.waiting_for {
            FormationStep::Listen => {
                LikelyCause::NotListening { address: address.unwrap_or_default() }
            }
            FormationStep::Answer => {
                LikelyCause::NotAnswering { text: self.detail.clone().unwrap_or_default() }
            }
            FormationStep::KnowAllBrokers => {
                let known = self.brokers.clone().unwrap_or_default();
                let missing =
                    expected.iter().copied().filter(|node| !known.contains(node)).collect();
                LikelyCause::BrokersMissing { missing }
            }
            FormationStep::KnowController => LikelyCause::NoController,
            _ => LikelyCause::Unclear,
        }
    }
}

/// A cluster that became ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Formation {
    /// Milliseconds from the start of the first process to readiness.
    pub formation_ms: u64,
    /// How many attempts it took; more than one only if a chosen port was taken in between.
    pub attempts: u32,
    /// Each node at the moment of readiness, in the driver's order.
    pub nodes: Vec<NodeProgress>,
}

/// A cluster that did not become ready: who failed first, at which step, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct FormationError {
    /// The node that failed first; absent when the cluster as a whole could not be started.
    pub node: Option<NodeId>,
    /// The step that it failed to take.
    pub step: FormationStep,
    /// Milliseconds from the start of the first process until the failure was noticed.
    pub elapsed_ms: u64,
    /// Whether the time was over, rather than a failure seen.
    pub timed_out: bool,
    /// How its process ended, if it did.
    pub exit: Option<ExitInfo>,
    /// The likely cause.
    pub cause: LikelyCause,
    /// The last 20 lines that the node logged, both streams in the order of their arrival.
    pub log_tail: Vec<String>,
    /// Each node at the moment of the failure, in the driver's order.
    pub nodes: Vec<NodeProgress>,
}

impl fmt::Display for FormationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            Some(node) => write!(f, "node {node} failed to {}", self.step)?,
            None => write!(f, "the cluster failed to {}", self.step)?,
        }
        let kind = if self.timed_out { "within" } else { "after" };
        write!(f, " {kind} {} ms", self.elapsed_ms)?;
        if let Some(exit) = self.exit {
            write!(f, " ({exit})")?;
        }
        write!(f, ": {}; to fix: {}", self.cause, self.cause.fix())
    }
}

impl FormationError {
    /// The failure of a step before any process was started.
    pub(crate) fn before_start(step: FormationStep, cause: LikelyCause) -> Self {
        Self {
            node: None,
            step,
            elapsed_ms: 0,
            timed_out: false,
            exit: None,
            cause,
            log_tail: Vec::new(),
            nodes: Vec::new(),
        }
    }

    /// The failure to start a node's process.
    pub(crate) fn not_started(node: NodeId, elapsed_ms: u64, error: &DriverError) -> Self {
        let cause = match error {
            DriverError::Spawn(error) => spawn_cause(error),
            other => LikelyCause::Setup { text: other.to_string() },
        };
        let step = FormationStep::Start;
        Self { node: Some(node), elapsed_ms, ..Self::before_start(step, cause) }
    }

    /// The early end of a node's process.
    pub(crate) fn ended(
        driver: &dyn Driver,
        node: NodeId,
        exit: ExitInfo,
        elapsed_ms: u64,
        nodes: Vec<NodeProgress>,
    ) -> Self {
        let log_tail = driver.log_tail(node, TAIL_LINES);
        let own = nodes.iter().find(|p| p.node == node).and_then(|p| p.process);
        let searched = driver.log_tail(node, SEARCHED_LINES);
        let symptoms = Symptoms {
            node,
            exit: Some(exit),
            waiting_for: FormationStep::StayAlive,
            log: &searched,
            brokers: None,
        };
        let cause = driver
            .explain(&symptoms)
            .unwrap_or_else(|| explain_exit(exit, &searched, &port_evidence(driver, node, own)));
        Self {
            node: Some(node),
            step: FormationStep::StayAlive,
            elapsed_ms,
            timed_out: false,
            exit: Some(exit),
            cause,
            log_tail,
            nodes,
        }
    }

    /// The end of the time. The node that came least far is to blame, the first among equals.
    pub(crate) fn too_late(driver: &dyn Driver, elapsed_ms: u64, nodes: Vec<NodeProgress>) -> Self {
        let Some(last) = nodes.iter().min_by_key(|p| (p.waiting_for, p.node)).cloned() else {
            return Self::before_start(FormationStep::Start, LikelyCause::Unclear);
        };
        let taken = port_evidence(driver, last.node, last.process)
            .into_iter()
            .find(|evidence| evidence.taken && last.waiting_for <= FormationStep::Answer);
        let cause = match taken {
            Some(evidence) => LikelyCause::PortTaken { port: evidence.port, owner: evidence.owner },
            None => known(driver, &last)
                .or_else(|| nodes.iter().find_map(|progress| known(driver, progress)))
                .unwrap_or_else(|| last.cause(&driver.nodes(), driver.address(last.node))),
        };
        Self {
            node: Some(last.node),
            step: last.waiting_for,
            elapsed_ms,
            timed_out: true,
            exit: None,
            cause,
            log_tail: driver.log_tail(last.node, TAIL_LINES),
            nodes,
        }
    }
}

/// What the driver knows of a node that is not ready.
fn known(driver: &dyn Driver, progress: &NodeProgress) -> Option<LikelyCause> {
    driver.explain(&Symptoms {
        node: progress.node,
        exit: driver.exit_of(progress.node),
        waiting_for: progress.waiting_for,
        log: &driver.log_tail(progress.node, SEARCHED_LINES),
        brokers: progress.brokers.as_deref(),
    })
}

fn spawn_cause(error: &SpawnError) -> LikelyCause {
    let path = error.program.display().to_string();
    match crate::doctor::check_program(&error.program) {
        Some(finding) => finding.cause,
        // The program is there, so the kernel misses what its first line names.
        None if error.source.kind() == std::io::ErrorKind::NotFound => {
            LikelyCause::Setup { text: format!("the interpreter that {path} names does not exist") }
        }
        None => LikelyCause::Setup { text: error.to_string() },
    }
}

/// Which of the node's ports other processes listen on.
fn port_evidence(
    driver: &dyn Driver,
    node: NodeId,
    own: Option<ProcessIdentity>,
) -> Vec<PortEvidence> {
    let look = |port| {
        let owners = port_owners(port);
        let owner = owners.iter().find(|owner| Some(owner.process) != own).cloned();
        let taken = owner.is_some() || (owners.is_empty() && port_is_listened_on(port));
        PortEvidence { port, taken, owner }
    };
    driver.ports(node).into_iter().map(look).collect()
}

/// How many other nodes have a port that the process is connected to.
fn peers_connected(driver: &dyn Driver, node: NodeId, pid: u32) -> usize {
    let connected = connected_ports(pid);
    let others = driver.nodes().into_iter().filter(|other| *other != node);
    others.filter(|other| driver.ports(*other).iter().any(|port| connected.contains(port))).count()
}

/// Looks how far a node has come, and what its metadata says once it has any.
pub(crate) async fn look_at(
    driver: &dyn Driver,
    probe: &dyn MetadataProbe,
    node: NodeId,
    expected: &[NodeId],
) -> (NodeProgress, Option<ClusterMetadata>) {
    let mut progress = NodeProgress::nothing_yet(node);
    let Ok(status) = driver.node_status(node).await else {
        return (progress, None);
    };
    progress.process = status.process;
    progress.listening = status.listening;
    progress.peers = status.process.map(|process| peers_connected(driver, node, process.pid));
    if status.run == RunState::NotStarted {
        return (progress, None);
    }
    if driver.exit_of(node).is_some() {
        progress.waiting_for = FormationStep::StayAlive;
        return (progress, None);
    }
    progress.waiting_for = FormationStep::Listen;
    let Some(address) = driver.address(node) else {
        return (progress, None);
    };
    progress.accepts = connect_state(&address, CONNECT_TIMEOUT).await == PortState::Accepted;
    if !progress.accepts {
        return (progress, None);
    }
    let metadata = match probe.metadata(&address).await {
        Ok(metadata) => metadata,
        Err(error) => {
            progress.waiting_for = FormationStep::Answer;
            progress.detail = Some(error.to_string());
            return (progress, None);
        }
    };
    let known = metadata.broker_ids();
    progress.waiting_for = if !expected.iter().all(|node| known.contains(node)) {
        FormationStep::KnowAllBrokers
    } else if metadata.controller.is_none() {
        FormationStep::KnowController
    } else {
        FormationStep::Ready
    };
    progress.brokers = Some(known);
    progress.controller = metadata.controller;
    (progress, Some(metadata))
}
