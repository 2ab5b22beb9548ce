//! Nodes as child processes of this one: what drivers of local clusters have in common.

use crate::clock::Clock;
use crate::driver::{DriverError, NodeStatus, RunState};
use crate::events::{ClusterEventKind, EventBus};
use crate::guard::{Guard, GuardCommand};
use crate::logs::{LogCapture, MilestoneReader};
use crate::node::NodeId;
use crate::placement::Placement;
use crate::planes::Stage;
use crate::probe::{KafkaProbe, MetadataProbe};
use crate::process::{ManagedProcess, OnExit, ProcessSpec, Spawned};
use crate::procfs::{self, ExitInfo, ProcessIdentity};
use crate::signal::{self, ProcessSignal};
use crate::sync::locked;
use crate::undo::{self, Deed, UndoJournal};
use crate::witness::{
    FaultKind, FaultWitness, PeerView, PortObservation, PortState, answer_state, connect_state,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long a metadata question to one node takes at most.
const PROBE_TIMEOUT: Duration = Duration::from_millis(400);
/// How long a SIGTERM is given before SIGKILL follows.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long SIGKILL, SIGSTOP and SIGCONT are given to show an effect.
const EFFECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often `/proc` is asked whether the effect is there.
const EFFECT_POLL: Duration = Duration::from_millis(1);
/// How long a port may take to refuse connections after its process is gone, and how long a
/// connection is tried.
const PORT_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a paused node is given to answer a request that it must not answer.
const SILENCE: Duration = Duration::from_millis(250);

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

    fn clock(&self) -> Clock {
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

    pub(crate) fn has_peer_links(&self) -> bool {
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

    /// Ends a node by SIGTERM, and by SIGKILL when it does not end within the context's bound.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn stop(&self, node: NodeId) -> Result<FaultWitness, DriverError> {
        let slot = self.slot(node)?;
        let _turn = slot.turn.lock().await;
        let witness = self.new_witness(FaultKind::Stop, node);
        let witness = self.end(node, slot, ProcessSignal::Terminate, witness).await?;
        Ok(self.seen_by_peers(witness).await.judge())
    }

    /// Ends a node by SIGKILL.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn kill(&self, node: NodeId) -> Result<FaultWitness, DriverError> {
        let slot = self.slot(node)?;
        let _turn = slot.turn.lock().await;
        let witness = self.new_witness(FaultKind::Kill, node);
        let witness = self.end(node, slot, ProcessSignal::Kill, witness).await?;
        Ok(self.seen_by_peers(witness).await.judge())
    }

    /// Stops and starts a node.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn restart(
        &self,
        node: NodeId,
        spec: &ProcessSpec,
    ) -> Result<FaultWitness, DriverError> {
        let slot = self.slot(node)?;
        let _turn = slot.turn.lock().await;
        let witness = self.new_witness(FaultKind::Restart, node);
        let ended = self.end(node, slot, ProcessSignal::Terminate, witness).await?;
        let before = ended.before;
        let mut witness = self.launch(node, slot, spec, ended).await?;
        witness.before = before;
        // What was seen of the port belongs to the old process.
        witness.port = None;
        Ok(witness.judge())
    }

    /// Sends the signal, follows up with SIGKILL if need be, and watches the process vanish.
    async fn end(
        &self,
        node: NodeId,
        slot: &Slot,
        first: ProcessSignal,
        mut witness: FaultWitness,
    ) -> Result<FaultWitness, DriverError> {
        let process = slot.running().ok_or(DriverError::NotRunning(node))?;
        let identity = process.identity();
        witness.before = Some(identity);
        witness.state_before = identity.stat().map(|stat| stat.state);
        witness.signal_ns = Some(self.context.clock().now_ns());
        signal::send(identity, first)?;
        if first == ProcessSignal::Terminate {
            // A stopped process acts on SIGTERM only once it goes on.
            signal::send(identity, ProcessSignal::Continue)?;
            if !becomes(self.context.stop_timeout, || !identity.is_alive()).await {
                tracing::warn!(%node, process = %identity, "SIGTERM was not enough, SIGKILL follows");
                signal::send(identity, ProcessSignal::Kill)?;
            }
        }
        if becomes(EFFECT_TIMEOUT, || !identity.is_alive()).await {
            witness.gone_ns = Some(self.context.clock().now_ns());
        }
        witness.exit = process.wait(EFFECT_TIMEOUT).await;
        self.mark_resumed(slot).await;
        if let Some(address) = slot.address() {
            witness.port = Some(self.closed_port(address).await);
        }
        Ok(witness)
    }

    /// Stops a node by SIGSTOP.
    ///
    /// # Errors
    /// [`DriverError`]; [`DriverError::Unsupported`] without a guard, since a stopped process that
    /// nobody watches would outlive a crash of this one.
    pub async fn pause(&self, node: NodeId) -> Result<FaultWitness, DriverError> {
        let slot = self.slot(node)?;
        let _turn = slot.turn.lock().await;
        let mut witness = self.new_witness(FaultKind::Pause, node);
        let safety = self.safety.lock().await.clone().ok_or(DriverError::NotPrepared)?;
        if safety.guard.is_none() {
            let why = "there is no guard that would end it after a crash".to_owned();
            return Err(DriverError::Unsupported { fault: FaultKind::Pause, why });
        }
        if self.closed.load(Ordering::SeqCst) {
            return Err(DriverError::Closed);
        }
        let process = slot.running().ok_or(DriverError::NotRunning(node))?;
        let identity = process.identity();
        if locked(&slot.paused).is_none() {
            let seq = safety.journal.record(Deed::Stopped { process: identity }, Some(node))?;
            *locked(&slot.paused) = Some(seq);
        }
        self.signal_and_watch(&mut witness, identity, ProcessSignal::Stop, true).await?;
        if let Some(address) = slot.address() {
            let (state, answered) = answer_state(&address, SILENCE).await;
            let at_ns = self.context.clock().now_ns();
            let answered = Some(answered);
            witness.port = Some(PortObservation { address, at_ns, state, answered });
        }
        Ok(self.seen_by_peers(witness).await.judge())
    }

    /// Lets a paused node go on by SIGCONT.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn resume(&self, node: NodeId) -> Result<FaultWitness, DriverError> {
        let slot = self.slot(node)?;
        let _turn = slot.turn.lock().await;
        let mut witness = self.new_witness(FaultKind::Resume, node);
        let process = slot.running().ok_or(DriverError::NotRunning(node))?;
        self.signal_and_watch(&mut witness, process.identity(), ProcessSignal::Continue, false)
            .await?;
        self.mark_resumed(slot).await;
        Ok(witness.judge())
    }

    /// Sends SIGSTOP or SIGCONT and waits until `/proc` shows the effect.
    async fn signal_and_watch(
        &self,
        witness: &mut FaultWitness,
        identity: ProcessIdentity,
        signal: ProcessSignal,
        stopped: bool,
    ) -> Result<(), DriverError> {
        witness.before = Some(identity);
        witness.state_before = identity.stat().map(|stat| stat.state);
        witness.signal_ns = Some(self.context.clock().now_ns());
        signal::send(identity, signal)?;
        let shown = || !identity.is_alive() || identity.is_stopped() == stopped;
        let effective = becomes(EFFECT_TIMEOUT, shown).await;
        let state = identity.stat().map(|stat| stat.state);
        witness.after = state.is_some().then_some(identity);
        // A main thread in state T beside threads that still run does not count as stopped.
        witness.state_after =
            if stopped && !effective { state.filter(|s| *s != 'T') } else { state };
        witness.after_ns = Some(self.context.clock().now_ns());
        Ok(())
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

    async fn mark_resumed(&self, slot: &Slot) {
        let pause = locked(&slot.paused).take();
        if let (Some(seq), Some(safety)) = (pause, &*self.safety.lock().await) {
            mark_undone(&safety.journal, seq);
        }
    }

    /// Waits a little for the port to refuse connections.
    async fn closed_port(&self, address: String) -> PortObservation {
        let deadline = tokio::time::Instant::now() + PORT_TIMEOUT;
        let mut state = connect_state(&address, PORT_TIMEOUT).await;
        while state != PortState::Refused && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(EFFECT_POLL * 10).await;
            state = connect_state(&address, PORT_TIMEOUT).await;
        }
        let at_ns = self.context.clock().now_ns();
        PortObservation { address, at_ns, state, answered: None }
    }

    /// Asks every other running node what it has to say, all at the same time.
    async fn seen_by_peers(&self, mut witness: FaultWitness) -> FaultWitness {
        let mut questions = JoinSet::new();
        for (peer, slot) in &self.slots {
            let asked =
                *peer != witness.node && slot.running().is_some() && locked(&slot.paused).is_none();
            if let (true, Some(address)) = (asked, slot.address()) {
                let probe = Arc::clone(&self.context.probe);
                let (peer, node, clock) = (*peer, witness.node, self.context.clock());
                questions.spawn(async move {
                    let answer = probe.metadata(&address).await;
                    let at_ns = clock.now_ns();
                    let metadata = answer.as_ref().ok();
                    PeerView {
                        peer,
                        at_ns,
                        lists_node: metadata.map(|m| m.broker_ids().contains(&node)),
                        leads: metadata.map(|m| {
                            m.partitions.iter().filter(|p| p.leader == Some(node)).count()
                        }),
                        controller: metadata.and_then(|m| m.controller),
                        error: answer.as_ref().err().map(ToString::to_string),
                    }
                });
            }
        }
        while let Some(Ok(view)) = questions.join_next().await {
            witness.peers.push(view);
        }
        witness.peers.sort_by_key(|view| view.peer);
        witness
    }
}

fn mark_undone(journal: &UndoJournal, seq: u64) {
    if let Err(error) = journal.undone(seq) {
        tracing::error!(%error, "the undo journal keeps an entry that is undone");
    }
}

/// Polls until `condition` holds, at most `bound`; says whether it holds.
async fn becomes(bound: Duration, condition: impl Fn() -> bool) -> bool {
    let deadline = tokio::time::Instant::now() + bound;
    while !condition() {
        if tokio::time::Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(EFFECT_POLL).await;
    }
    true
}
