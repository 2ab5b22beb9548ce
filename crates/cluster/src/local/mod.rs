//! Nodes as child processes of this one: what drivers of local clusters have in common.

mod context;
mod signals;

pub use context::RunContext;

use crate::driver::{DriverError, NodeStatus, RunState};
use crate::events::ClusterEventKind;
use crate::fault::FaultKind;
use crate::guard::Guard;
use crate::logs::LogCapture;
use crate::node::NodeId;
use crate::planes::Stage;
use crate::process::{ManagedProcess, OnExit, ProcessSpec, Spawned};
use crate::procfs::{self, ExitInfo, ProcessIdentity};
use crate::signal::ProcessSignal;
use crate::sync::locked;
use crate::undo::{self, Deed, UndoJournal};
use crate::witness::FaultWitness;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What outlives a crash of this process: the journal on disk and the guard.
#[derive(Debug)]
struct Safety {
    journal: Arc<UndoJournal>,
    guard: Option<Guard>,
    stage: Arc<Stage>,
}

#[derive(Debug)]
struct Slot {
    capture: LogCapture,
    /// Held through an action, so that the actions on one node queue up.
    turn: tokio::sync::Mutex<()>,
    process: Mutex<Option<Arc<ManagedProcess>>>,
    /// The journal's number of the pause that is in force.
    paused: Mutex<Option<u64>>,
    address: Mutex<Option<String>>,
}

impl Slot {
    fn process(&self) -> Option<Arc<ManagedProcess>> {
        locked(&self.process).clone()
    }

    fn running(&self) -> Option<Arc<ManagedProcess>> {
        self.process().filter(|process| process.exit().is_none())
    }

    fn address(&self) -> Option<String> {
        locked(&self.address).clone()
    }
}

/// The processes of one local cluster. Dropping it kills what still runs.
#[derive(Debug)]
pub struct LocalProcesses {
    context: RunContext,
    slots: BTreeMap<NodeId, Slot>,
    safety: tokio::sync::Mutex<Option<Arc<Safety>>>,
    /// The same as in `safety`, at hand without waiting.
    stage: Mutex<Option<Arc<Stage>>>,
    peer_links: bool,
    closed: AtomicBool,
}

impl LocalProcesses {
    /// Room for the processes of `nodes`. Starts nothing.
    #[must_use]
    pub fn new(context: RunContext, nodes: impl IntoIterator<Item = NodeId>) -> Self {
        let slot = |node| {
            let (dir, events) = (context.node_dir(node), context.events.clone());
            let slot = Slot {
                capture: LogCapture::new(node, dir, events).with_milestones(context.milestones),
                turn: tokio::sync::Mutex::default(),
                process: Mutex::default(),
                paused: Mutex::default(),
                address: Mutex::default(),
            };
            (node, slot)
        };
        let slots = nodes.into_iter().map(slot).collect();
        let (safety, stage) = (tokio::sync::Mutex::default(), Mutex::default());
        Self { context, slots, safety, stage, peer_links: false, closed: false.into() }
    }

    /// Says that the driver gives its nodes the addresses of [`LocalProcesses::peer_address`].
    #[must_use]
    pub fn with_peer_links(self) -> Self {
        Self { peer_links: true, ..self }
    }

    /// The run that these processes belong to.
    #[must_use]
    pub fn context(&self) -> &RunContext {
        &self.context
    }

    /// The nodes, ascending.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        self.slots.keys().copied().collect()
    }

    /// Opens the undo journal and starts the guard, unless that was done. Must come before the first
    /// start.
    ///
    /// # Errors
    /// [`DriverError::Guard`], [`DriverError::Undo`] and [`DriverError::Write`].
    pub async fn arm(&self) -> Result<(), DriverError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(DriverError::Closed);
        }
        let mut safety = self.safety.lock().await;
        if safety.is_none() {
            let run_dir = &self.context.run_dir;
            std::fs::create_dir_all(run_dir)
                .map_err(|source| DriverError::Write { path: run_dir.clone(), source })?;
            let journal = Arc::new(UndoJournal::open(&run_dir.join(undo::FILE_NAME))?);
            let guard = match &self.context.guard {
                Some(command) => Some(Guard::start(command).await?),
                None => None,
            };
            let stage = self.set_up(&journal).await?;
            *locked(&self.stage) = Some(Arc::clone(&stage));
            *safety = Some(Arc::new(Safety { journal, guard, stage }));
        }
        Ok(())
    }

    pub(crate) fn note_address(&self, node: NodeId, address: String) {
        if let Some(slot) = self.slots.get(&node) {
            *locked(&slot.address) = Some(address);
        }
    }

    /// Where a node itself listens for clients, past any proxy.
    #[must_use]
    pub fn direct_address(&self, node: NodeId) -> Option<String> {
        self.slots.get(&node)?.address()
    }

    pub(crate) fn stage_now(&self) -> Option<Arc<Stage>> {
        locked(&self.stage).clone()
    }

    /// Whether the driver puts the links of a proxy between its nodes where there is one.
    #[must_use]
    pub fn has_peer_links(&self) -> bool {
        self.peer_links
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.context.clock().now_ns()
    }

    /// The node's process, also after its end; `None` before the first start.
    #[must_use]
    pub fn process_of(&self, node: NodeId) -> Option<ProcessIdentity> {
        Some(self.slots.get(&node)?.process()?.identity())
    }

    /// How the node's last process ended; `None` while it runs and before the first start.
    #[must_use]
    pub fn exit_of(&self, node: NodeId) -> Option<ExitInfo> {
        self.slots.get(&node)?.process()?.exit()
    }

    /// The last lines that the node logged, oldest first.
    #[must_use]
    pub fn log_tail(&self, node: NodeId, lines: usize) -> Vec<String> {
        self.slots.get(&node).map(|slot| slot.capture.ring().tail(lines)).unwrap_or_default()
    }

    /// The node's process and its listening ports.
    ///
    /// # Errors
    /// [`DriverError::UnknownNode`].
    pub fn status(&self, node: NodeId) -> Result<NodeStatus, DriverError> {
        let process = self.slot(node)?.process();
        let identity = process.as_ref().map(|process| process.identity());
        let run = match (&process, process.as_ref().and_then(|process| process.exit())) {
            (None, _) => RunState::NotStarted,
            (Some(_), Some(exit)) => RunState::Exited { exit },
            (Some(process), None) if process.identity().is_stopped() => RunState::Paused,
            (Some(_), None) => RunState::Running,
        };
        let listening = match run {
            RunState::Running | RunState::Paused => {
                identity.map(|identity| procfs::listening_ports(identity.pid)).unwrap_or_default()
            }
            RunState::NotStarted | RunState::Exited { .. } => Vec::new(),
        };
        Ok(NodeStatus { node, run, process: identity, listening })
    }

    /// Starts a node.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn start(
        &self,
        node: NodeId,
        spec: &ProcessSpec,
    ) -> Result<FaultWitness, DriverError> {
        let slot = self.slot(node)?;
        let _turn = slot.turn.lock().await;
        let witness = self.new_witness(FaultKind::Start, node);
        if let Some(process) = slot.running() {
            return Err(DriverError::AlreadyRunning { node, process: process.identity() });
        }
        Ok(self.launch(node, slot, spec, witness).await?.judge())
    }

    async fn launch(
        &self,
        node: NodeId,
        slot: &Slot,
        spec: &ProcessSpec,
        mut witness: FaultWitness,
    ) -> Result<FaultWitness, DriverError> {
        let safety = self.safety.lock().await.clone().ok_or(DriverError::NotPrepared)?;
        // Shutting down sets this before it takes its turn at the slot.
        if self.closed.load(Ordering::SeqCst) {
            return Err(DriverError::Closed);
        }
        witness.before = slot.process().map(|process| process.identity());
        slot.capture.ring().clear();
        let spec = safety.stage.settle(node, spec.clone());
        let spawned = Spawned::start(&spec, &slot.capture)?;
        let identity = spawned.identity();
        if let Some(guard) = &safety.guard {
            guard.watch(identity).await?;
        }
        let seq = safety.journal.record(Deed::Started { process: identity }, Some(node))?;
        slot.capture.announce(ClusterEventKind::NodeStarted { process: identity });
        let on_exit: OnExit = Box::new(move |_| {
            Box::pin(async move {
                mark_undone(&safety.journal, seq);
                if let Some(guard) = &safety.guard {
                    // After the guard was dismissed it needs to forget nothing.
                    let _ = guard.forget(identity).await;
                }
            })
        });
        let process = spawned.supervise(&slot.capture, self.context.clock(), on_exit);
        *locked(&slot.process) = Some(Arc::new(process));
        witness.after = Some(identity);
        witness.state_after = identity.stat().map(|stat| stat.state);
        witness.after_ns = Some(self.context.clock().now_ns());
        Ok(witness)
    }

    /// Lets paused nodes go on, stops all at the same time and dismisses the guard. Every later
    /// start is refused.
    pub async fn shutdown(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let stops = self.slots.iter().map(|(node, slot)| async move {
            let _turn = slot.turn.lock().await;
            let witness = self.new_witness(FaultKind::Stop, *node);
            match self.end(*node, slot, ProcessSignal::Terminate, witness).await {
                Ok(_) | Err(DriverError::NotRunning(_)) => {}
                Err(error) => tracing::error!(%node, %error, "a node cannot be stopped"),
            }
        });
        futures::future::join_all(stops).await;
        let Some(safety) = self.safety.lock().await.take() else {
            return;
        };
        let alive = self.slots.values().any(|slot| slot.running().is_some());
        if let Some(guard) = &safety.guard
            && !alive
        {
            guard.done().await;
        }
        *locked(&self.stage) = None;
        let stage = Arc::clone(&safety.stage);
        drop(safety);
        // Removed once nobody uses it, which is here unless a process outlives its end.
        let _ = tokio::task::spawn_blocking(move || stage.tear_down()).await;
    }

    fn slot(&self, node: NodeId) -> Result<&Slot, DriverError> {
        self.slots.get(&node).ok_or(DriverError::UnknownNode(node))
    }

    fn new_witness(&self, fault: FaultKind, node: NodeId) -> FaultWitness {
        FaultWitness::new(fault, node, self.context.clock().now_ns())
    }
}

fn mark_undone(journal: &UndoJournal, seq: u64) {
    if let Err(error) = journal.undone(seq) {
        tracing::error!(%error, "the undo journal keeps an entry that is undone");
    }
}
