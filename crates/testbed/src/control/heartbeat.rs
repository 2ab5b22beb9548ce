//! A broker's side of its lease: registration, heartbeats to every node, and the lease itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::commands::Command;
use super::image::Image;
use super::plane::Plane;
use super::rpc::{Client, Heartbeat, HeartbeatReply, Reply, Request};
use crate::events;

/// Until when the controller's last confirmation lets this broker serve.
#[derive(Debug)]
pub(crate) struct Lease {
    origin: Instant,
    /// Nanoseconds after `origin`.
    until: AtomicU64,
    /// Whether the last look found it valid; for the log only.
    reported: AtomicBool,
}

impl Lease {
    pub(crate) fn new() -> Self {
        let (until, reported) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { origin: Instant::now(), until, reported }
    }

    /// Whether this broker may serve now. The clock is monotonic and runs on while the process is
    /// stopped, so the first look after a stop sees the truth.
    pub(crate) fn is_valid(&self) -> bool {
        self.nanos(Instant::now()) < self.until.load(Ordering::Acquire)
    }

    fn renew(&self, until: Instant) {
        self.until.fetch_max(self.nanos(until), Ordering::AcqRel);
    }

    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Starts the heartbeat tasks, one for each node, and the registration.
pub(crate) fn start(plane: &Arc<Plane>) {
    for peer in &plane.config.peers {
        let plane = Arc::clone(plane);
        if peer.id == plane.config.node_id {
            tokio::spawn(async move { own_heartbeats(&plane).await });
        } else {
            let (cluster, from) = (plane.config.cluster_id.clone(), plane.config.node_id);
            let client = Client::new(&cluster, from, peer.raft.clone());
            tokio::spawn(async move { heartbeats(&plane, client).await });
        }
    }
    let plane = Arc::clone(plane);
    tokio::spawn(async move { register(&plane).await });
}

fn ticker(period: Duration) -> tokio::time::Interval {
    let mut ticker = tokio::time::interval(period);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

fn heartbeat(plane: &Plane) -> Heartbeat {
    Heartbeat {
        id: plane.config.node_id,
        incarnation: plane.incarnation,
        applied_index: plane.image().applied_index,
    }
}

/// When to send heartbeats: periodically, and at once when leaders or fencing changed, so that a
/// broker that was just unfenced does not wait for its first lease.
struct Pace {
    ticker: tokio::time::Interval,
    images: watch::Receiver<Arc<Image>>,
    leadership_index: u64,
}

impl Pace {
    fn new(plane: &Plane) -> Self {
        let period = plane.config.timings.broker_heartbeat();
        Self { ticker: ticker(period), images: plane.images(), leadership_index: 0 }
    }

    async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.ticker.tick() => return,
                Ok(()) = self.images.changed() => {
                    let index = self.images.borrow_and_update().leadership_index;
                    if std::mem::replace(&mut self.leadership_index, index) != index {
                        return;
                    }
                }
            }
        }
    }
}

async fn own_heartbeats(plane: &Plane) {
    let mut pace = Pace::new(plane);
    loop {
        pace.next().await;
        let sent = Instant::now();
        let reply = plane.on_heartbeat(&heartbeat(plane));
        consider(plane, sent, &reply);
        report(plane);
    }
}

async fn heartbeats(plane: &Plane, mut client: Client) {
    let timeout = plane.config.timings.broker_lease() / 2;
    let mut pace = Pace::new(plane);
    loop {
        pace.next().await;
        let sent = Instant::now();
        let request = Request::Heartbeat(heartbeat(plane));
        if let Ok(Reply::Heartbeat(reply)) = client.call(request, timeout).await {
            consider(plane, sent, &reply);
        }
    }
}

/// Renews the lease if the controller confirmed this incarnation and this node knows of every
/// change of leaders that the controller knew of.
fn consider(plane: &Plane, sent: Instant, reply: &HeartbeatReply) {
    let up_to_date = plane.image().applied_index >= reply.leadership_index;
    if reply.controller && reply.active && up_to_date {
        plane.lease.renew(sent + plane.config.timings.broker_lease());
    }
}

fn report(plane: &Plane) {
    let valid = plane.lease.is_valid();
    if plane.lease.reported.swap(valid, Ordering::AcqRel) != valid {
        let node = plane.config.node_id;
        if valid {
            tracing::info!(node, "{}", events::LEASE_CONFIRMED);
        } else {
            tracing::warn!(node, "{}", events::LEASE_LOST);
        }
    }
}

/// Proposes this incarnation until it is in the metadata.
async fn register(plane: &Plane) {
    let id = plane.config.node_id;
    let command = Command::RegisterBroker {
        id,
        incarnation: plane.incarnation,
        kafka: plane.config.announced(),
    };
    let pause = plane.config.timings.broker_heartbeat();
    loop {
        let image = plane.image();
        if image.brokers.get(&id).is_some_and(|state| state.incarnation == plane.incarnation) {
            return;
        }
        if let Err(error) = plane.propose(command.clone()).await {
            tracing::debug!(%error, "broker registration not done yet");
        }
        tokio::time::sleep(pause).await;
    }
}
