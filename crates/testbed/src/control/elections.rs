//! When this node may stand for election.
//!
//! openraft 0.9 has no pre-vote: a follower that was stopped and continued finds its election timeout
//! long passed, raises the term and thereby deposes a leader that is well. So elections are switched
//! off while a leader is heard, and stay off for a while after a stop, in which a leader that lives is
//! heard again. openraft's own timeout, which is longer, still decides when an election begins.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::plane::Plane;

/// Period of the look.
const TICK: Duration = Duration::from_millis(50);

/// A look that comes this late means that the process was not running.
const STALL: Duration = Duration::from_millis(150);

/// Runs for the life of the node.
pub(crate) async fn run(plane: Arc<Plane>) {
    let silence = Duration::from_millis(plane.config.timings.raft_election_min_ms);
    let mut ticker = tokio::time::interval(TICK);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_look = Instant::now();
    let mut awake_since = last_look;
    loop {
        ticker.tick().await;
        if last_look.elapsed() > STALL {
            awake_since = Instant::now();
        }
        last_look = Instant::now();
        let quiet = plane.leader_heard().max(awake_since).elapsed();
        plane.allow_election(quiet > silence);
    }
}
