//! One link: a port of ours before a port of a node.

use super::frame::Frame;
use super::pump;
use super::rewrite::Detours;
use super::rules::{Direction, FrameAction, FrameRule, Rules};
use crate::sync::locked;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// How long the node's port is tried for a new connection.
const CONNECT_BOUND: Duration = Duration::from_secs(5);
/// The most connections that one link carries; more are refused.
const MAX_CONNECTIONS: usize = 4096;

/// What a link does to all that passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Nothing passes from the client to the node.
    pub hold_up: bool,
    /// Nothing passes from the node to the client.
    pub hold_down: bool,
    /// Everything comes later by this, each way.
    pub delay: Duration,
    /// The delay is between nothing and `delay`, another one for each connection.
    pub uneven: bool,
    /// Kilobits per second, for each connection and direction; no limit when 0.
    pub kbit: u32,
}

/// What a link has seen. Frames on links between nodes are pieces of bytes as they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LinkCounts {
    /// Connections taken.
    pub connections: u64,
    /// Frames read from clients.
    pub up_in: u64,
    /// Frames written to the node.
    pub up_out: u64,
    /// Frames read from the node.
    pub down_in: u64,
    /// Frames written to clients.
    pub down_out: u64,
    /// Bytes read, both ways.
    pub bytes_in: u64,
    /// Bytes written, both ways.
    pub bytes_out: u64,
    /// Frames that a rule hit.
    pub hit: u64,
    /// Frames that were not handed on.
    pub dropped: u64,
    /// Frames that were handed on a second time.
    pub added: u64,
    /// Frames whose contents a rule changed.
    pub changed: u64,
    /// Responses that could not be read and went on as they were.
    pub unread: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    connections: AtomicU64,
    up_in: AtomicU64,
    up_out: AtomicU64,
    down_in: AtomicU64,
    down_out: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    hit: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) added: AtomicU64,
    pub(super) changed: AtomicU64,
    pub(super) unread: AtomicU64,
}

/// What the connections of a link share.
#[derive(Debug)]
pub(super) struct LinkState {
    /// Bytes are carried without looking for frames.
    pub(super) opaque: bool,
    pub(super) counters: Counters,
    weather: watch::Sender<Weather>,
    rules: Mutex<Rules>,
    detours: Arc<RwLock<Arc<Detours>>>,
}

impl LinkState {
    pub(super) fn count_in(&self, direction: Direction, frame: &Frame) {
        let counters = &self.counters;
        let frames = match direction {
            Direction::Up => &counters.up_in,
            Direction::Down => &counters.down_in,
        };
        frames.fetch_add(1, Ordering::Relaxed);
        counters.bytes_in.fetch_add(frame.0.len() as u64, Ordering::Relaxed);
    }

    pub(super) fn count_out(&self, direction: Direction, frame: &Frame) {
        let counters = &self.counters;
        let frames = match direction {
            Direction::Up => &counters.up_out,
            Direction::Down => &counters.down_out,
        };
        frames.fetch_add(1, Ordering::Relaxed);
        counters.bytes_out.fetch_add(frame.0.len() as u64, Ordering::Relaxed);
    }

    /// What is done to a frame of this API.
    pub(super) fn hit(&self, api: i16, direction: Direction) -> Option<(u64, FrameAction)> {
        let hit = locked(&self.rules).hit(api, direction);
        self.counters.hit.fetch_add(hit.is_some().into(), Ordering::Relaxed);
        hit
    }

    /// When a frame that comes now on connection `number` may go on; absent for at once.
    pub(super) fn due(&self, number: u64) -> Option<Instant> {
        let weather = *self.weather.borrow();
        if weather.delay.is_zero() {
            return None;
        }
        let delay = if weather.uneven {
            // Fibonacci hashing: neighbouring connections get delays far apart.
            let share = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56;
            weather.delay.mul_f64(f64::from(u32::try_from(share).unwrap_or(0)) / 255.0)
        } else {
            weather.delay
        };
        Some(Instant::now() + delay)
    }

    /// Waits while this direction, or the rule that holds the frame, lets nothing pass.
    pub(super) async fn wait_for_passage(&self, direction: Direction, held_by: Option<u64>) {
        let free = |weather: &Weather| {
            let held = match direction {
                Direction::Up => weather.hold_up,
                Direction::Down => weather.hold_down,
            };
            !held && held_by.is_none_or(|rule| !locked(&self.rules).in_force().contains(&rule))
        };
        if free(&self.weather.borrow()) {
            return;
        }
        // The sender lives as long as this state, so that waiting cannot fail.
        let _ = self.weather.subscribe().wait_for(free).await;
    }

    /// How long to wait after so many bytes to keep to the bandwidth.
    pub(super) fn pause_after(&self, bytes: usize) -> Option<Duration> {
        let kbit = self.weather.borrow().kbit;
        let bits = u64::try_from(bytes).ok()?.saturating_mul(8);
        (kbit > 0).then(|| Duration::from_micros(bits.saturating_mul(1000) / u64::from(kbit)))
    }

    pub(super) fn detours(&self) -> Arc<Detours> {
        let detours = self.detours.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(&detours)
    }
}

/// A link. Dropping it ends its connections and frees its port.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    upstream: SocketAddr,
    state: Arc<LinkState>,
    accepting: JoinHandle<()>,
}

impl Link {
    /// Begins to carry connections from a port of 127.0.0.1 of the kernel's choice to `upstream`.
    /// Must be called within a tokio runtime.
    pub(super) fn open(
        upstream: SocketAddr,
        opaque: bool,
        detours: Arc<RwLock<Arc<Detours>>>,
    ) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let state = Arc::new(LinkState {
            opaque,
            counters: Counters::default(),
            weather: watch::Sender::new(Weather::default()),
            rules: Mutex::default(),
            detours,
        });
        let listener = TcpListener::from_std(listener)?;
        let accepting = tokio::spawn(accept(listener, upstream, Arc::clone(&state)));
        Ok(Self { address, upstream, state, accepting })
    }

    /// Where to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where that leads.
    #[must_use]
    pub fn upstream(&self) -> SocketAddr {
        self.upstream
    }

    /// What the link does to all that passes.
    #[must_use]
    pub fn weather(&self) -> Weather {
        *self.state.weather.borrow()
    }

    /// Changes that, also for what is under way already.
    pub fn change_weather(&self, change: impl FnOnce(&mut Weather)) {
        self.state.weather.send_modify(change);
    }

    /// Adds a rule for frames; it comes after those that are there.
    pub fn add_rule(&self, rule: FrameRule) {
        locked(&self.state.rules).add(rule);
    }

    /// Removes one rule like this one, if there is one, and lets go what it holds.
    pub fn remove_rule(&self, rule: FrameRule) {
        locked(&self.state.rules).remove(rule);
        // Whoever waits for the end of a rule looks again when the weather was touched.
        self.state.weather.send_modify(|_| {});
    }

    /// Removes all rules and lets go what they hold.
    pub fn clear_rules(&self) {
        locked(&self.state.rules).clear();
        self.state.weather.send_modify(|_| {});
    }

    /// What was seen so far.
    #[must_use]
    pub fn counts(&self) -> LinkCounts {
        let counters = &self.state.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LinkCounts {
            connections: read(&counters.connections),
            up_in: read(&counters.up_in),
            up_out: read(&counters.up_out),
            down_in: read(&counters.down_in),
            down_out: read(&counters.down_out),
            bytes_in: read(&counters.bytes_in),
            bytes_out: read(&counters.bytes_out),
            hit: read(&counters.hit),
            dropped: read(&counters.dropped),
            added: read(&counters.added),
            changed: read(&counters.changed),
            unread: read(&counters.unread),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, state: Arc<LinkState>) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else {
                    // Out of descriptors, as a rule: the next moment may be better.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                if connections.len() >= MAX_CONNECTIONS {
                    continue;
                }
                number += 1;
                state.counters.connections.fetch_add(1, Ordering::Relaxed);
                connections.spawn(connect(client, upstream, Arc::clone(&state), number));
            }
        }
    }
}

async fn connect(client: TcpStream, upstream: SocketAddr, state: Arc<LinkState>, number: u64) {
    // A node that cannot be reached shows as a connection that ends at once.
    let node = tokio::time::timeout(CONNECT_BOUND, TcpStream::connect(upstream)).await;
    let Ok(Ok(node)) = node else { return };
    if let Err(error) = pump::carry(client, node, state, number).await {
        tracing::trace!(%error, "a connection ended");
    }
}
