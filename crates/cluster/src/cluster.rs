//! The supervisor: forms a cluster, watches it, injects faults into it, ends it.

use crate::clock::whole_ms;
use crate::diagnosis::LikelyCause;
use crate::doctor::Severity;
use crate::driver::{Driver, DriverError};
use crate::events::{ClusterEvent, ClusterEventKind, Election};
use crate::fault::FaultKind;
use crate::formation::{Formation, FormationError, FormationStep, NodeProgress, look_at};
use crate::node::NodeId;
use crate::observer::{Observer, SharedView, bounded_interval};
use crate::probe::{self, ClusterMetadata, KafkaProbe, MetadataProbe, NewTopic, ProbeError};
use crate::sync::locked;
use crate::targets::{Target, TargetError};
use crate::view::ClusterView;
use crate::witness::{FaultWitness, PortObservation};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// How often the nodes are looked at while the cluster forms, which is also how soon the end of a
/// process is noticed.
const FORMATION_POLL: Duration = Duration::from_millis(50);
/// How often progress is reported.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// How often formation is tried when a chosen port turns out to be taken.
const MAX_ATTEMPTS: u32 = 3;
/// How often a starting node is asked whether it answers.
const READY_POLL: Duration = Duration::from_millis(25);
/// How long one such question takes at most.
const READY_PROBE: Duration = Duration::from_millis(500);
/// How long one node may take to answer that it created a topic.
const CREATE_LIMIT: Duration = Duration::from_secs(10);
/// How long a topic may take to show up whose creation was answered with something that cannot be understood.
const APPEAR_LIMIT: Duration = Duration::from_secs(3);
/// Kafka's error code NOT_CONTROLLER.
const NOT_CONTROLLER: i16 = 41;

/// How a cluster is watched.
#[derive(Clone)]
pub struct ClusterOptions {
    /// How nodes are asked for metadata.
    pub probe: Arc<dyn MetadataProbe>,
    /// How often each node is asked; at least 20 ms. Elections are measured to this precision.
    pub poll_interval: Duration,
    /// How long a started node may take to answer before its witness says that it did not.
    pub ready_timeout: Duration,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            probe: Arc::new(KafkaProbe::new(Duration::from_millis(400))),
            poll_interval: Duration::from_millis(150),
            ready_timeout: Duration::from_secs(10),
        }
    }
}

impl std::fmt::Debug for ClusterOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterOptions")
            .field("poll_interval", &self.poll_interval)
            .field("ready_timeout", &self.ready_timeout)
            .finish_non_exhaustive()
    }
}

/// A topic that did not come about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// The cluster refused it, or could not be asked.
    #[error("cannot create topic {topic}: {source}")]
    Create {
        /// The topic.
        topic: String,
        /// The reason.
        #[source]
        source: ProbeError,
    },
    /// Not all of its partitions had a leader in time.
    #[error("topic {topic} has leaders for {led} of {partitions} partitions")]
    NoLeaders {
        /// The topic.
        topic: String,
        /// The partitions that have one in every node's metadata.
        led: usize,
        /// The partitions asked for.
        partitions: i32,
    },
}

/// A cluster under supervision.
///
/// Dropping it kills what still runs, as a last resort. To end it in order, and on Ctrl-C, call
/// [`Cluster::shutdown`].
pub struct Cluster {
    driver: Arc<dyn Driver>,
    options: ClusterOptions,
    view: SharedView,
    observer: Mutex<Option<Observer>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("driver", &self.driver.name()).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Takes a driver under supervision. Starts nothing.
    #[must_use]
    pub fn new(driver: Arc<dyn Driver>, mut options: ClusterOptions) -> Self {
        options.poll_interval = bounded_interval(options.poll_interval);
        let view = SharedView::default();
        if !driver.names_controller() {
            view.with(ClusterView::ignore_controller);
        }
        Self { driver, options, view, observer: Mutex::default() }
    }

    /// The driver.
    #[must_use]
    pub fn driver(&self) -> &Arc<dyn Driver> {
        &self.driver
    }

    /// All events from now on. Subscribe before [`Cluster::form`] to see everything.
    #[must_use]
    pub fn events(&self) -> mpsc::Receiver<ClusterEvent> {
        self.driver.events().subscribe()
    }

    /// Forms the cluster: preflight checks, configuration, all nodes started at the same time, and
    /// then the wait until every process lives, every Kafka port accepts, and *every* node's
    /// metadata lists all brokers and a controller. Reports progress every second, and goes on
    /// watching once the cluster is ready.
    ///
    /// # Errors
    /// [`FormationError`] as soon as a process ends or cannot be started, and when `timeout` is over.
    /// Then nothing is left running and the driver is shut down.
    pub async fn form(&self, timeout: Duration) -> Result<Formation, Box<FormationError>> {
        let mut attempts = 1;
        let outcome = loop {
            match self.attempt(timeout).await {
                Err(error) if self.worth_another_attempt(&error, attempts) => {
                    tracing::warn!(%error, "ports are chosen anew");
                    let kind = ClusterEventKind::FormationRetried { error: error.clone() };
                    self.driver.events().emit(error.node, kind);
                    self.each_node(|driver, node| async move { driver.stop(node).await }).await;
                    attempts += 1;
                }
                outcome => break outcome,
            }
        };
        let events = self.driver.events();
        match outcome {
            Ok((formation_ms, nodes)) => {
                events.emit(None, ClusterEventKind::Formed { formation_ms });
                self.watch();
                Ok(Formation { formation_ms, attempts, nodes })
            }
            Err(error) => {
                self.driver.shutdown().await;
                let node = error.node;
                events.emit(node, ClusterEventKind::FormationFailed { error: error.clone() });
                Err(error)
            }
        }
    }

    fn worth_another_attempt(&self, error: &FormationError, attempts: u32) -> bool {
        attempts < MAX_ATTEMPTS
            && self.driver.can_move_ports()
            && matches!(error.cause, LikelyCause::PortTaken { .. })
    }

    async fn attempt(
        &self,
        timeout: Duration,
    ) -> Result<(u64, Vec<NodeProgress>), Box<FormationError>> {
        let findings = self.driver.preflight().await;
        if let Some(finding) = findings.into_iter().find(|f| f.severity == Severity::Error) {
            let step = FormationStep::Preflight;
            return Err(Box::new(FormationError::before_start(step, finding.cause)));
        }
        self.driver.prepare().await.map_err(|error| {
            let cause = LikelyCause::Setup { text: error.to_string() };
            Box::new(FormationError::before_start(FormationStep::Prepare, cause))
        })?;
        let started = Instant::now();
        let elapsed_ms = || whole_ms(started.elapsed());
        let starts = self.each_node(|driver, node| async move { driver.start(node).await }).await;
        if let Some((node, Err(error))) = starts.into_iter().find(|(_, start)| start.is_err()) {
            return Err(Box::new(FormationError::not_started(node, elapsed_ms(), &error)));
        }
        self.wait_until_ready(started, timeout).await
    }

    async fn wait_until_ready(
        &self,
        started: Instant,
        timeout: Duration,
    ) -> Result<(u64, Vec<NodeProgress>), Box<FormationError>> {
        let nodes = self.driver.nodes();
        let begun =
            |node: &NodeId| (*node, NodeProgress::started(*node, self.driver.process_of(*node)));
        let board = Arc::new(Mutex::new(nodes.iter().map(begun).collect()));
        let _lookouts = self.post_lookouts(&board);
        let progress = || locked(&board).values().cloned().collect::<Vec<_>>();
        let elapsed_ms = || whole_ms(started.elapsed());
        let mut ticks = tokio::time::interval(FORMATION_POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_report = None;
        loop {
            ticks.tick().await;
            let ended = nodes.iter().find_map(|node| Some((*node, self.driver.exit_of(*node)?)));
            if let Some((node, exit)) = ended {
                let driver = self.driver.as_ref();
                let error = FormationError::ended(driver, node, exit, elapsed_ms(), progress());
                return Err(Box::new(error));
            }
            let now = progress();
            let ready = now.iter().all(|node| node.waiting_for == FormationStep::Ready);
            if ready || last_report.is_none_or(|at: Instant| at.elapsed() >= PROGRESS_INTERVAL) {
                last_report = Some(Instant::now());
                let kind = ClusterEventKind::FormationProgress {
                    elapsed_ms: elapsed_ms(),
                    nodes: now.clone(),
                };
                self.driver.events().emit(None, kind);
            }
            if ready {
                return Ok((elapsed_ms(), now));
            }
            if started.elapsed() >= timeout {
                let driver = self.driver.as_ref();
                return Err(Box::new(FormationError::too_late(driver, elapsed_ms(), now)));
            }
        }
    }

    /// One task per node that writes on `board` how far it has come.
    fn post_lookouts(&self, board: &Arc<Mutex<BTreeMap<NodeId, NodeProgress>>>) -> JoinSet<()> {
        let expected = self.driver.nodes();
        let mut lookouts = JoinSet::new();
        for node in self.driver.nodes() {
            let (driver, probe) = (Arc::clone(&self.driver), Arc::clone(&self.options.probe));
            let (board, view, expected) = (Arc::clone(board), self.view.clone(), expected.clone());
            lookouts.spawn(async move {
                loop {
                    let (progress, metadata) =
                        look_at(driver.as_ref(), probe.as_ref(), node, &expected).await;
                    if let Some(metadata) = metadata {
                        let events = driver.events();
                        let at_ns = events.clock().now_ns();
                        view.update(events, Some(node), |v| v.observe(at_ns, node, &metadata));
                    }
                    locked(&board).insert(node, progress);
                    tokio::time::sleep(FORMATION_POLL).await;
                }
            });
        }
        lookouts
    }

    fn watch(&self) {
        let observer = Observer::start(
            &self.driver,
            &self.options.probe,
            &self.view,
            self.options.poll_interval,
        );
        *locked(&self.observer) = Some(observer);
    }

    /// What the nodes together say of the cluster; at most about one poll interval old.
    #[must_use]
    pub fn metadata(&self) -> ClusterMetadata {
        self.view.with(|view| view.metadata())
    }

    /// The nodes that have a role at this moment.
    ///
    /// # Errors
    /// [`TargetError`] when no node has it.
    pub fn resolve(&self, target: &Target) -> Result<Vec<NodeId>, TargetError> {
        target.resolve(&self.metadata(), &self.driver.nodes())
    }

    /// All elections measured so far, in the order of their completion.
    #[must_use]
    pub fn elections(&self) -> Vec<Election> {
        self.view.with(|view| view.elections().to_vec())
    }

    /// The partitions whose leader was hit by a fault and that have no new one yet: topic, index,
    /// that leader, and when the fault hit it in nanoseconds on the run's clock.
    #[must_use]
    pub fn leaderless(&self) -> Vec<(String, i32, NodeId, Option<u64>)> {
        self.view.with(|view| view.leaderless())
    }

    /// Does `fault` to all `nodes` at the same time, and measures the elections that follow where it
    /// hits leaders. Started, restarted and resumed nodes are waited for until they answer, within
    /// [`ClusterOptions::ready_timeout`]. The results come in the order of `nodes`.
    pub async fn inject(
        &self,
        fault: FaultKind,
        nodes: &[NodeId],
    ) -> Vec<(NodeId, Result<FaultWitness, DriverError>)> {
        let each =
            nodes.iter().map(|node| async move { (*node, self.inject_one(fault, *node).await) });
        futures::future::join_all(each).await
    }

    async fn inject_one(
        &self,
        fault: FaultKind,
        node: NodeId,
    ) -> Result<FaultWitness, DriverError> {
        self.driver.supports(fault).map_err(|why| DriverError::Unsupported { fault, why })?;
        if fault.takes_down() {
            self.view.with(|view| view.node_goes_down(node));
        }
        let driver = &self.driver;
        let outcome = match fault {
            FaultKind::Start => driver.start(node).await,
            FaultKind::Stop => driver.stop(node).await,
            FaultKind::Kill => driver.kill(node).await,
            FaultKind::Pause => driver.pause(node).await,
            FaultKind::Resume => driver.resume(node).await,
            FaultKind::Restart => driver.restart(node).await,
            _ => self.apply_one(fault, node).await,
        };
        let events = driver.events();
        if fault.takes_down() {
            let signal_ns = outcome.as_ref().ok().and_then(|witness| witness.signal_ns);
            self.view.update(events, Some(node), |view| view.fault_was_at(node, signal_ns));
        }
        // A fault that was refused leaves the node as it was, unless its process has ended.
        let up = match (&outcome, fault) {
            (
                Ok(_),
                FaultKind::Stop
                | FaultKind::Kill
                | FaultKind::Pause
                | FaultKind::LoseTail
                | FaultKind::BitFlip,
            ) => false,
            (Ok(_), FaultKind::Start | FaultKind::Resume | FaultKind::Restart) => true,
            (Ok(_), _) => return outcome,
            (Err(_), _) => fault.takes_down() && driver.exit_of(node).is_none(),
        };
        if up {
            let now_ns = events.clock().now_ns();
            self.view.with(|view| view.node_comes_up(node, now_ns));
        }
        match fault {
            FaultKind::Start | FaultKind::Restart | FaultKind::Resume => {
                Ok(self.wait_for_answer(outcome?).await)
            }
            _ => outcome,
        }
    }

    /// A node is about to be taken down.
    pub(crate) fn expect_down(&self, node: NodeId) {
        self.view.with(|view| view.node_goes_down(node));
    }

    /// It was, by a signal sent at `signal_ns`, or it is still there.
    pub(crate) fn note_down(&self, node: NodeId, signal_ns: Option<u64>, still_there: bool) {
        let events = self.driver.events();
        self.view.update(events, Some(node), |view| view.fault_was_at(node, signal_ns));
        if still_there {
            let now_ns = events.clock().now_ns();
            self.view.with(|view| view.node_comes_up(node, now_ns));
        }
    }

    /// Waits until the node answers, it ends, or its time is over, and judges the witness anew.
    async fn wait_for_answer(&self, mut witness: FaultWitness) -> FaultWitness {
        let node = witness.node;
        let Some(address) = self.driver.address(node) else {
            return witness;
        };
        let deadline = Instant::now() + self.options.ready_timeout;
        loop {
            let (state, answered) = self.options.probe.port(&address, READY_PROBE).await;
            let ended = self.driver.exit_of(node);
            if answered || ended.is_some() || Instant::now() >= deadline {
                let at_ns = self.driver.events().clock().now_ns();
                let (address, answered) = (address.clone(), Some(answered));
                witness.port = Some(PortObservation { address, at_ns, state, answered });
                let state = witness.after.and_then(|after| after.stat()).map(|stat| stat.state);
                witness.state_after = state.filter(|_| ended.is_none());
                witness.after_ns = Some(at_ns);
                return witness.judge();
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// Creates a topic and waits until every running node's metadata has a leader for each of its
    /// partitions.
    ///
    /// # Errors
    /// [`TopicError`]; the whole takes at most about `timeout`.
    pub async fn create_topic(
        &self,
        topic: &NewTopic,
        timeout: Duration,
    ) -> Result<(), TopicError> {
        let deadline = Instant::now() + timeout;
        self.ask_for_topic(topic, deadline)
            .await
            .map_err(|source| TopicError::Create { topic: topic.name.clone(), source })?;
        loop {
            let led = self.least_led(&topic.name).await;
            if usize::try_from(topic.partitions).is_ok_and(|wanted| led >= wanted) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let (topic, partitions) = (topic.name.clone(), topic.partitions);
                return Err(TopicError::NoLeaders { topic, led, partitions });
            }
            tokio::time::sleep(FORMATION_POLL).await;
        }
    }

    /// Goes through the nodes, the controller first, until one accepts the topic.
    async fn ask_for_topic(&self, topic: &NewTopic, deadline: Instant) -> Result<(), ProbeError> {
        let controller = self.metadata().controller;
        let mut nodes = self.driver.nodes();
        nodes.sort_by_key(|node| (Some(*node) != controller, *node));
        let mut last = ProbeError::timeout("the cluster", "the creation of a topic");
        for node in nodes {
            let Some(address) = self.driver.address(node) else { continue };
            let left = deadline.saturating_duration_since(Instant::now());
            match self.options.probe.create_topic(&address, topic, left.min(CREATE_LIMIT)).await {
                Ok(()) => return Ok(()),
                Err(
                    error @ (ProbeError::Malformed { .. }
                    | ProbeError::Timeout { .. }
                    | ProbeError::Client { .. }),
                ) => {
                    if self.appeared(&topic.name).await {
                        let finding = format!(
                            "topic {} was created, but the answer to the request cannot be used: {error}",
                            topic.name
                        );
                        self.driver.events().emit(Some(node), ClusterEventKind::Quirk { finding });
                        return Ok(());
                    }
                    last = error;
                }
                Err(error @ ProbeError::Refused { code, .. }) if code != NOT_CONTROLLER => {
                    return Err(error);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Whether a topic shows up in some node's metadata within a while, although the answer to its creation could not
    /// be understood.
    async fn appeared(&self, topic: &str) -> bool {
        let deadline = Instant::now() + APPEAR_LIMIT;
        loop {
            for address in self.driver.nodes().into_iter().filter_map(|n| self.driver.address(n)) {
                let metadata = self.options.probe.metadata(&address).await.unwrap_or_default();
                if metadata.partitions.iter().any(|p| p.topic == topic) {
                    return true;
                }
            }
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(FORMATION_POLL).await;
        }
    }

    /// The number of partitions of a topic that have a leader, by the running node that knows the
    /// fewest; 0 when none answers.
    async fn least_led(&self, topic: &str) -> usize {
        let running = self.driver.nodes().into_iter();
        let asked =
            running.filter(|node| self.driver.exit_of(*node).is_none()).filter_map(|node| {
                let address = self.driver.address(node)?;
                Some(async move {
                    let metadata = self.options.probe.metadata(&address).await.unwrap_or_default();
                    let led = |p: &&_| is_led(p, topic);
                    metadata.partitions.iter().filter(led).count()
                })
            });
        futures::future::join_all(asked).await.into_iter().min().unwrap_or(0)
    }

    /// Ends the cluster in order: paused nodes go on, all are stopped, the guard is dismissed. It is
    /// bounded in time and can be repeated, and may run beside an injection, which then fails.
    pub async fn shutdown(&self) {
        let observer = locked(&self.observer).take();
        if let Some(observer) = observer {
            observer.stop().await;
        }
        self.driver.shutdown().await;
    }

    async fn each_node<T, F>(
        &self,
        action: impl Fn(Arc<dyn Driver>, NodeId) -> F,
    ) -> Vec<(NodeId, T)>
    where
        F: Future<Output = T>,
    {
        let action = &action;
        let each = self.driver.nodes().into_iter().map(|node| {
            let driver = Arc::clone(&self.driver);
            async move { (node, action(driver, node).await) }
        });
        futures::future::join_all(each).await
    }
}

fn is_led(partition: &probe::PartitionMetadata, topic: &str) -> bool {
    partition.topic == topic && partition.leader.is_some()
}
