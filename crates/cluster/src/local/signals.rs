//! What is done to nodes by signals, and what is seen of it.

use super::{LocalProcesses, Slot, mark_undone};
use crate::driver::DriverError;
use crate::fault::FaultKind;
use crate::node::NodeId;
use crate::process::ProcessSpec;
use crate::procfs::ProcessIdentity;
use crate::signal::{self, ProcessSignal};
use crate::sync::locked;
use crate::undo::Deed;
use crate::witness::{
    FaultWitness, PeerView, PortObservation, PortState, answer_state, connect_state,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long SIGKILL, SIGSTOP and SIGCONT are given to show an effect. They show it at once unless the
/// machine is busy.
const EFFECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How often `/proc` is asked whether the effect is there.
const EFFECT_POLL: Duration = Duration::from_millis(1);
/// How long a port may take to refuse connections after its process is gone, and how long a
/// connection is tried.
const PORT_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a paused node is given to answer a request that it must not answer.
const SILENCE: Duration = Duration::from_millis(250);

impl LocalProcesses {
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
    pub(super) async fn end(
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
