//! What the Raft leader does: fences brokers that fell silent, unfences those that came back, and
//! writes the log lines about metadata changes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::commands::Command;
use super::image::{BrokerState, Image};
use super::plane::Plane;
use crate::bugs::Bug;
use crate::events;

/// Period of the controller's loop.
const TICK: Duration = Duration::from_millis(25);

/// A tick that comes this late means that this process itself was not running, so silence proves
/// nothing about others.
const STALL: Duration = Duration::from_millis(200);

/// Runs for the life of the node; acts only while this node is the confirmed controller.
pub(crate) async fn run(plane: Arc<Plane>) {
    let mut images = plane.images();
    let mut shown = Arc::new(Image::default());
    let mut leader = None;
    let mut term = None;
    let mut last_tick = Instant::now();
    let mut listening_since = last_tick;
    let mut ticker = tokio::time::interval(TICK);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticker.tick() => {}
            _ = images.changed() => {}
        }
        let pause = last_tick.elapsed();
        if pause > STALL {
            listening_since = Instant::now();
            let ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(ms, "{}", events::STALLED);
        }
        last_tick = Instant::now();
        let image = Arc::clone(&images.borrow_and_update());
        report_changes(&shown, &image);
        shown = Arc::clone(&image);
        report_leader(&plane, &mut leader);
        let now_term = plane.controller_term();
        report_controller(&plane, term, now_term);
        term = now_term;
        if term.is_some()
            && let Some(command) = duty(&plane, &image, listening_since)
        {
            let before = Instant::now();
            if let Err(error) = plane.propose_here(command).await {
                tracing::debug!(%error, "controller proposal failed");
            }
            // Waiting for a commit is no stall: heartbeats were being received meanwhile.
            last_tick += before.elapsed();
        }
    }
}

/// The next command that the state of the brokers asks for.
fn duty(plane: &Plane, image: &Image, listening_since: Instant) -> Option<Command> {
    image.brokers.iter().find_map(|(id, broker)| {
        let (id, broker_epoch) = (*id, broker.broker_epoch);
        let lease = plane.config.timings.broker_lease();
        let heard = plane.heard(id);
        let last = heard.as_ref().map_or(listening_since, |(at, _)| *at).max(listening_since);
        if last.elapsed() > lease {
            return (!broker.fenced || holds_a_place(image, id)).then(|| {
                let unclean = plane.config.bugs.contains(&Bug::UncleanFailover);
                Command::FenceBroker { id, broker_epoch, unclean }
            });
        }
        let (at, heartbeat) = heard?;
        let alive = at.elapsed() < lease / 2
            && heartbeat.incarnation == broker.incarnation
            && heartbeat.applied_index >= broker_epoch;
        (broker.fenced && alive).then_some(Command::UnfenceBroker { id, broker_epoch })
    })
}

/// Whether fencing this broker again would change anything.
fn holds_a_place(image: &Image, id: u32) -> bool {
    image
        .topics
        .values()
        .flat_map(|topic| &topic.partitions)
        .any(|state| state.leader == Some(id) || (state.isr.len() > 1 && state.isr.contains(&id)))
}

fn report_leader(plane: &Plane, shown: &mut Option<(u64, u64)>) {
    let (leader, term) = plane.raft_leader();
    if let Some(leader) = leader
        && *shown != Some((leader, term))
    {
        *shown = Some((leader, term));
        tracing::info!(leader, term, "{}", events::RAFT_LEADER_ELECTED);
    }
}

fn report_controller(plane: &Plane, before: Option<u64>, now: Option<u64>) {
    let node = plane.config.node_id;
    match (before, now) {
        (before, Some(term)) if before != Some(term) => {
            tracing::info!(node, term, "{}", events::CONTROLLER_ACTIVE);
        }
        (Some(_), None) => tracing::info!(node, "{}", events::CONTROLLER_RESIGNED),
        _ => {}
    }
}

fn report_changes(before: &Image, after: &Image) {
    if before.applied_index == after.applied_index {
        return;
    }
    for (id, broker) in &after.brokers {
        report_broker(*id, before.brokers.get(id), broker);
    }
    if before.active_brokers() != after.active_brokers() {
        tracing::info!(brokers = after.active_brokers(), "{}", events::READY);
    }
    for (topic, state) in &after.topics {
        for (partition, new) in state.partitions.iter().enumerate() {
            let old = before
                .topics
                .get(topic)
                .filter(|old| old.id == state.id)
                .and_then(|old| old.partitions.get(partition));
            let (leader, epoch) = (new.leader_id(), new.leader_epoch);
            if old.is_none_or(|old| old.leader_epoch != epoch) {
                let message = events::PARTITION_LEADER_CHANGED;
                tracing::info!(topic, partition, leader, epoch, "{message}");
            }
            if old.is_none_or(|old| old.isr != new.isr) {
                tracing::info!(topic, partition, isr = ?new.isr, "{}", events::ISR_CHANGED);
            }
        }
    }
}

fn report_broker(id: u32, before: Option<&BrokerState>, after: &BrokerState) {
    let epoch = after.broker_epoch;
    if before.is_none_or(|before| before.broker_epoch != epoch) {
        tracing::info!(id, epoch, "{}", events::BROKER_REGISTERED);
    }
    let was_fenced = before.is_none_or(|before| before.fenced);
    if was_fenced && !after.fenced {
        tracing::info!(id, "{}", events::BROKER_UNFENCED);
    } else if !was_fenced && after.fenced {
        tracing::warn!(id, "{}", events::BROKER_FENCED);
    }
}
