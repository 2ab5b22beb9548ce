//! The background watch: asks every node for its metadata a few times a second and reports changes.

use crate::clock::saturating_ns;
use crate::driver::Driver;
use crate::events::{ClusterEventKind, EventBus};
use crate::node::NodeId;
use crate::probe::MetadataProbe;
use crate::procfs::ProcessIdentity;
use crate::sync::locked;
use crate::view::ClusterView;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// A node that lives and does not answer for this long is reported as silent.
const SILENT_NS: u64 = 1_000_000_000;

/// The picture that the watch keeps, shared with whoever injects faults.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedView(Arc<Mutex<ClusterView>>);

impl SharedView {
    /// Reads or changes the picture.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut ClusterView) -> T) -> T {
        f(&mut locked(&self.0))
    }

    /// Changes the picture and emits what follows. Both happen under one lock, so that events come
    /// in the order of the changes.
    pub(crate) fn update(
        &self,
        events: &EventBus,
        node: Option<NodeId>,
        f: impl FnOnce(&mut ClusterView) -> Vec<ClusterEventKind>,
    ) {
        let mut view = locked(&self.0);
        for kind in f(&mut view) {
            events.emit(node, kind);
        }
    }
}

/// A running watch. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Observer {
    tasks: JoinSet<()>,
}

impl Observer {
    /// Watches all nodes of `driver`, each every `interval`.
    pub(crate) fn start(
        driver: &Arc<dyn Driver>,
        probe: &Arc<dyn MetadataProbe>,
        view: &SharedView,
        interval: Duration,
    ) -> Self {
        let mut tasks = JoinSet::new();
        for node in driver.nodes() {
            let watch = NodeWatch {
                node,
                driver: Arc::clone(driver),
                probe: Arc::clone(probe),
                view: view.clone(),
                process: None,
                answered_ns: None,
                reported_silent: false,
            };
            tasks.spawn(watch.run(interval));
        }
        Self { tasks }
    }

    /// Ends the watch and waits for it.
    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

struct NodeWatch {
    node: NodeId,
    driver: Arc<dyn Driver>,
    probe: Arc<dyn MetadataProbe>,
    view: SharedView,
    /// The process that `answered_ns` is about.
    process: Option<ProcessIdentity>,
    /// When the node last answered, while it is up.
    answered_ns: Option<u64>,
    reported_silent: bool,
}

impl NodeWatch {
    async fn run(mut self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    async fn look(&mut self) {
        let process = self.driver.process_of(self.node);
        let ended = self.driver.exit_of(self.node).is_some();
        // A node may be back between two looks: what an earlier process said is over then too.
        if ended || process != self.process {
            self.process = process;
            if self.answered_ns.take().is_some() {
                self.view.with(|view| view.node_ended(self.node));
            }
            self.reported_silent = false;
        }
        if ended {
            return;
        }
        let Some(address) = self.driver.address(self.node) else {
            return;
        };
        let answer = self.probe.metadata(&address).await;
        let events = self.driver.events();
        let at_ns = events.clock().now_ns();
        match answer {
            Ok(metadata) => {
                if self.answered_ns.is_none() || self.reported_silent {
                    events.emit(Some(self.node), ClusterEventKind::NodeUp);
                }
                self.answered_ns = Some(at_ns);
                self.reported_silent = false;
                self.view.update(events, Some(self.node), |view| {
                    view.observe(at_ns, self.node, &metadata)
                });
            }
            Err(error) => {
                tracing::debug!(node = %self.node, %error, "no metadata from a node");
                self.report_silence(at_ns);
            }
        }
    }

    fn report_silence(&mut self, at_ns: u64) {
        let Some(answered_ns) = self.answered_ns else {
            return;
        };
        let silent_ns = at_ns.saturating_sub(answered_ns);
        // The process may have ended while it was asked; that is told by another event.
        let ended = self.driver.exit_of(self.node).is_some();
        if silent_ns >= SILENT_NS && !self.reported_silent && !ended {
            self.reported_silent = true;
            let silent_ms = silent_ns / 1_000_000;
            let events = self.driver.events();
            events.emit(Some(self.node), ClusterEventKind::NodeSilent { silent_ms });
        }
    }
}

/// The shortest interval that is worth asking for, below which nodes would be kept busy by it.
pub(crate) fn bounded_interval(interval: Duration) -> Duration {
    const LEAST: Duration = Duration::from_millis(20);
    if saturating_ns(interval) < saturating_ns(LEAST) { LEAST } else { interval }
}
