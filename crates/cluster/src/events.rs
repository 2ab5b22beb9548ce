//! What is seen of a cluster while it forms, runs and breaks, as a stream of events.

use crate::clock::Clock;
use crate::formation::{FormationError, NodeProgress};
use crate::logs::{LogLevel, LogStream};
use crate::node::NodeId;
use crate::procfs::{ExitInfo, ProcessIdentity};
use crate::sync::locked;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// How many events a subscriber may lag behind before further ones are counted instead of kept.
/// A cluster emits some hundred events a second at worst, so this is minutes of silence.
const SUBSCRIBER_CAPACITY: usize = 65_536;

/// One observation of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterEvent {
    /// When it was observed: nanoseconds on the run's clock.
    pub at_ns: u64,
    /// The node it is about or that said it, where there is one.
    pub node: Option<NodeId>,
    /// What was observed.
    #[serde(flatten)]
    pub kind: ClusterEventKind,
}

/// What was observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ClusterEventKind {
    /// A process was started for the node.
    NodeStarted {
        /// The new process.
        process: ProcessIdentity,
    },
    /// The node answers Kafka metadata requests, and did not before.
    NodeUp,
    /// The node's process lives but has not answered for a while.
    NodeSilent {
        /// For how long, in milliseconds.
        silent_ms: u64,
    },
    /// The node's process has ended.
    NodeDown {
        /// The process that ended.
        process: ProcessIdentity,
        /// How it ended.
        exit: ExitInfo,
    },
    /// How far the nodes have come while the cluster forms; at least every 2 s.
    FormationProgress {
        /// Milliseconds since the nodes were started.
        elapsed_ms: u64,
        /// Each node's state, in the order of the driver's nodes.
        nodes: Vec<NodeProgress>,
    },
    /// The cluster is ready.
    Formed {
        /// Milliseconds from the start of the first process to readiness.
        formation_ms: u64,
    },
    /// A port of the driver's choice was taken in between; other ports are chosen and the cluster is
    /// started anew.
    FormationRetried {
        /// What the attempt failed at.
        error: Box<FormationError>,
    },
    /// The cluster did not become ready.
    FormationFailed {
        /// Who failed at what, and why.
        error: Box<FormationError>,
    },
    /// A topic-partition has another leader or a newer leader epoch in a live node's metadata.
    LeaderChanged {
        /// Topic name.
        topic: String,
        /// Partition index.
        partition: i32,
        /// The leader seen before; none when unknown or without a leader.
        from: Option<NodeId>,
        /// The leader now; none when the partition has none.
        to: Option<NodeId>,
        /// The leader epoch now, where the cluster tells it (Metadata version 7 and later).
        epoch: Option<i32>,
    },
    /// The live nodes agree on another controller.
    ControllerChanged {
        /// The controller before.
        from: Option<NodeId>,
        /// The controller now; none while there is none.
        to: Option<NodeId>,
    },
    /// The in-sync set of a topic-partition changed.
    IsrChanged {
        /// Topic name.
        topic: String,
        /// Partition index.
        partition: i32,
        /// Members before, ascending.
        from: Vec<NodeId>,
        /// Members now, ascending.
        to: Vec<NodeId>,
    },
    /// A partition whose leader was hit by a fault has a new leader.
    Elected(Election),
    /// A partition kept its leader through a fault on it (such as a short pause): there was no
    /// election, and none is waited for any more.
    LeaderKept {
        /// Topic name.
        topic: String,
        /// Partition index.
        partition: i32,
        /// The leader, which is the node that the fault hit.
        leader: NodeId,
        /// When the fault hit it: nanoseconds on the run's clock.
        fault_ns: u64,
    },
    /// The node logged a line at warn level or above.
    LogLine {
        /// Its level.
        level: LogLevel,
        /// The stream it came through.
        stream: LogStream,
        /// The line without colour codes, cut at 2,000 bytes.
        line: String,
    },
    /// The node logged a line that tells a step of its life: ready, a change of its Raft role.
    Milestone {
        /// The step, such as `ready` or `raft-leader`.
        what: String,
        /// The line without colour codes, cut at 2,000 bytes.
        line: String,
    },
    /// The cluster answered a request in a way that the protocol does not have, and went on.
    Quirk {
        /// What was seen, as a sentence.
        finding: String,
    },
    /// The node logged more warnings than are kept as events. They are in its log files.
    LogLinesDropped {
        /// How many lines were left out since the last such event.
        count: u64,
    },
    /// The subscriber lagged behind and missed events.
    EventsDropped {
        /// How many it missed.
        count: u64,
    },
}

/// A measured election: from a fault on a leader until a live node's metadata has a new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Election {
    /// Topic name.
    pub topic: String,
    /// Partition index.
    pub partition: i32,
    /// The leader that the fault hit.
    pub from: NodeId,
    /// The new leader.
    pub to: NodeId,
    /// The new leader epoch, where known.
    pub epoch: Option<i32>,
    /// When the fault's signal was sent: nanoseconds on the run's clock.
    pub fault_ns: u64,
    /// When the new leader was first seen: nanoseconds on the run's clock. It is at most one poll
    /// interval later than the moment at which the live node knew.
    pub elected_ns: u64,
    /// The whole milliseconds between the two.
    pub ms: u64,
}

#[derive(Debug)]
struct Subscriber {
    sender: mpsc::Sender<ClusterEvent>,
    dropped: u64,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    subscribers: Mutex<Vec<Subscriber>>,
}

/// Carries events from whoever observes to every subscriber. Clones share the subscribers.
#[derive(Clone, Debug)]
pub struct EventBus {
    shared: Arc<Shared>,
}

impl EventBus {
    /// A bus without subscribers that stamps events with `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { shared: Arc::new(Shared { clock, subscribers: Mutex::new(Vec::new()) }) }
    }

    /// A receiver of all events from now on. When it lags 65,536 events behind, later ones are
    /// counted and announced by [`ClusterEventKind::EventsDropped`].
    #[must_use]
    pub fn subscribe(&self) -> mpsc::Receiver<ClusterEvent> {
        let (sender, receiver) = mpsc::channel(SUBSCRIBER_CAPACITY);
        locked(&self.shared.subscribers).push(Subscriber { sender, dropped: 0 });
        receiver
    }

    /// Emits an event that is observed now.
    pub fn emit(&self, node: Option<NodeId>, kind: ClusterEventKind) {
        let mut subscribers = locked(&self.shared.subscribers);
        // The time is read under the lock, so that every subscriber sees it ascend.
        let at_ns = self.shared.clock.now_ns();
        deliver(&mut subscribers, &ClusterEvent { at_ns, node, kind });
    }

    /// The clock that stamps the events.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.shared.clock
    }
}

fn deliver(subscribers: &mut Vec<Subscriber>, event: &ClusterEvent) {
    subscribers.retain_mut(|subscriber| {
        if subscriber.dropped > 0 {
            let kind = ClusterEventKind::EventsDropped { count: subscriber.dropped };
            let notice = ClusterEvent { at_ns: event.at_ns, node: None, kind };
            if subscriber.sender.try_send(notice).is_ok() {
                subscriber.dropped = 0;
            }
        }
        match subscriber.sender.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                subscriber.dropped += 1;
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_lagging_subscriber_is_told_how_many_events_it_missed() {
        let bus = EventBus::new(Clock::starting_at(Instant::now()));
        let mut receiver = bus.subscribe();
        for _ in 0..SUBSCRIBER_CAPACITY + 3 {
            bus.emit(Some(NodeId(1)), ClusterEventKind::NodeUp);
        }
        for _ in 0..2 {
            assert_eq!(receiver.try_recv().unwrap().kind, ClusterEventKind::NodeUp);
        }
        bus.emit(Some(NodeId(2)), ClusterEventKind::NodeUp);
        let mut rest = Vec::new();
        while let Ok(event) = receiver.try_recv() {
            rest.push(event);
        }
        assert_eq!(rest.len(), SUBSCRIBER_CAPACITY);
        assert!(rest.windows(2).all(|pair| pair[0].at_ns <= pair[1].at_ns));
        assert_eq!(rest[rest.len() - 2].kind, ClusterEventKind::EventsDropped { count: 3 });
        assert_eq!(rest[rest.len() - 1].node, Some(NodeId(2)));
    }

    #[test]
    fn events_keep_their_form_through_json() {
        let event = ClusterEvent {
            at_ns: u64::MAX,
            node: Some(NodeId(2)),
            kind: ClusterEventKind::LeaderChanged {
                topic: "t".into(),
                partition: 3,
                from: Some(NodeId(1)),
                to: None,
                epoch: Some(4),
            },
        };
        let text = serde_json::to_string(&event).unwrap();
        assert!(text.contains(r#""event":"leader-changed""#), "{text}");
        assert_eq!(serde_json::from_str::<ClusterEvent>(&text).unwrap(), event);
        let elected = Election {
            topic: "t".into(),
            partition: 0,
            from: NodeId(1),
            to: NodeId(2),
            epoch: None,
            fault_ns: 5,
            elected_ns: 7_000_005,
            ms: 7,
        };
        let event = ClusterEvent { at_ns: 1, node: None, kind: ClusterEventKind::Elected(elected) };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<ClusterEvent>(&text).unwrap(), event);
    }
}
