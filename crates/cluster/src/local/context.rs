//! What a driver needs to know of the run that it serves.

use crate::clock::Clock;
use crate::events::EventBus;
use crate::guard::GuardCommand;
use crate::logs::MilestoneReader;
use crate::node::NodeId;
use crate::placement::Placement;
use crate::probe::{KafkaProbe, MetadataProbe};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a metadata question to one node takes at most.
const PROBE_TIMEOUT: Duration = Duration::from_millis(400);
/// How long a SIGTERM is given before SIGKILL follows.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What a driver needs to know of the run that it serves.
#[derive(Clone)]
pub struct RunContext {
    /// The run's folder. Nodes live in `nodes/<n>/`, the journal is `undo.jsonl`.
    pub run_dir: PathBuf,
    /// Where events go; its clock stamps everything.
    pub events: EventBus,
    /// How to start the guard. Without one, nothing is left after SIGKILL of this process only for
    /// nodes that end with their standard input, and pausing is refused.
    pub guard: Option<GuardCommand>,
    /// How the other nodes are asked what they think of a fault.
    pub probe: Arc<dyn MetadataProbe>,
    /// How long a SIGTERM is given before SIGKILL follows.
    pub stop_timeout: Duration,
    /// Finds the milestones among the nodes' log lines.
    pub milestones: Option<MilestoneReader>,
    /// Where the nodes live, which decides what can be done to them.
    pub placement: Placement,
    /// Folders below a node's data whose log files a loss of power leaves as they are.
    pub forced_logs: &'static [&'static str],
}

impl RunContext {
    /// A context without a guard whose clock reads 0 at `origin`.
    #[must_use]
    pub fn new(run_dir: PathBuf, origin: Instant) -> Self {
        Self {
            run_dir,
            events: EventBus::new(Clock::starting_at(origin)),
            guard: None,
            probe: Arc::new(KafkaProbe::new(PROBE_TIMEOUT)),
            stop_timeout: STOP_TIMEOUT,
            milestones: None,
            placement: Placement::default(),
            forced_logs: &[],
        }
    }

    /// The same with a guard.
    #[must_use]
    pub fn with_guard(self, guard: GuardCommand) -> Self {
        Self { guard: Some(guard), ..self }
    }

    /// The same with nodes that live elsewhere than on the host.
    #[must_use]
    pub fn with_placement(self, placement: Placement) -> Self {
        Self { placement, ..self }
    }

    /// The folder of a node: logs, configuration, data.
    #[must_use]
    pub fn node_dir(&self, node: NodeId) -> PathBuf {
        self.run_dir.join("nodes").join(node.to_string())
    }

    pub(super) fn clock(&self) -> Clock {
        self.events.clock()
    }
}

impl std::fmt::Debug for RunContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunContext")
            .field("run_dir", &self.run_dir)
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}
