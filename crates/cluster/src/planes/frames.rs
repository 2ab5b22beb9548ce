//! Faults of single frames and of whole links to clients, through the proxy.

use super::inject::unsupported;
use super::{PlaneError, Stage, sight};
use crate::driver::DriverError;
use crate::fault::{FaultKind, FaultSettings, FaultSpec, Sight};
use crate::local::LocalProcesses;
use crate::node::NodeId;
use crate::proxy::{Direction, FrameAction, FrameRule, Link, LinkCounts, Proxy, api_number};
use crate::witness::answer_state;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long clients are given to send a frame that a rule hits.
const OPPORTUNITY: Duration = Duration::from_secs(2);
/// How often the link's counters are looked at meanwhile.
const POLL: Duration = Duration::from_millis(10);
/// How much longer than the delay a question over a delayed link may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many connections show that delays are uneven.
const CONNECTIONS: usize = 6;

impl LocalProcesses {
    pub(super) async fn apply_frames(
        &self,
        stage: &Stage,
        fault: &FaultSpec,
        node: NodeId,
    ) -> Result<Vec<Sight>, DriverError> {
        let (proxy, link) = before(stage, node)?;
        let settings = &fault.settings;
        if whole(fault) {
            let before = self.round_trips(&link).await;
            let delay = Duration::from_millis(settings.delay_ms);
            proxy.delay(&[node], delay, fault.kind == FaultKind::Reorder);
            let after = self.round_trips(&link).await;
            return Ok(vec![self.slower(node, fault.kind, delay, &before, &after)]);
        }
        let rule = rule(fault.kind, settings)?;
        let before = link.counts();
        link.add_rule(rule);
        let deadline = Instant::now() + OPPORTUNITY;
        while !effect(rule, &before, &link.counts()) && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
        Ok(vec![self.seen_at(&link, node, rule, &before)])
    }

    /// What the sockets of the link carried since `before`, which shows whether a rule did anything.
    fn seen_at(&self, link: &Link, node: NodeId, rule: FrameRule, before: &LinkCounts) -> Sight {
        let after = link.counts();
        let since = |count: fn(&LinkCounts) -> u64| count(&after).saturating_sub(count(before));
        let text = format!(
            "{} frames hit; {} requests came and {} went on, {} responses came and {} went on, \
             {} not handed on, {} handed on twice, {} changed",
            since(|c| c.hit),
            since(|c| c.up_in),
            since(|c| c.up_out),
            since(|c| c.down_in),
            since(|c| c.down_out),
            since(|c| c.dropped),
            since(|c| c.added),
            since(|c| c.changed),
        );
        let what = format!("the link between clients and node {node}");
        let shows = effect(rule, before, &after);
        sight(what, "nothing hit", text, self.now_ns(), shows)
    }

    /// How long an ApiVersions question takes on each of some new connections.
    async fn round_trips(&self, link: &Link) -> Vec<Option<Duration>> {
        let address = link.address().to_string();
        let bound = PATIENCE + 2 * link.weather().delay;
        let asked = (0..CONNECTIONS).map(|_| async {
            let began = Instant::now();
            let (_, answered) = answer_state(&address, bound).await;
            answered.then(|| began.elapsed())
        });
        futures::future::join_all(asked).await
    }

    fn slower(
        &self,
        node: NodeId,
        kind: FaultKind,
        delay: Duration,
        before: &[Option<Duration>],
        after: &[Option<Duration>],
    ) -> Sight {
        let least = |times: &[Option<Duration>]| times.iter().flatten().min().copied();
        let most = |times: &[Option<Duration>]| times.iter().flatten().max().copied();
        let shows = match (most(before), least(after), most(after)) {
            (Some(before), Some(least), Some(most)) if kind == FaultKind::Reorder => {
                most > before && most - least >= delay / 4
            }
            (Some(before), Some(least), _) => least > before && least >= delay * 2,
            _ => false,
        };
        let text = |times: &[Option<Duration>]| {
            let each = times.iter().map(|time| match time {
                Some(time) => format!("{} ms", time.as_millis()),
                None => "no answer".to_owned(),
            });
            each.collect::<Vec<_>>().join(", ")
        };
        let what = format!("answers of node {node} on {CONNECTIONS} connections");
        sight(what, text(before), text(after), self.now_ns(), shows)
    }

    pub(super) async fn heal_frames(
        &self,
        stage: &Stage,
        fault: &FaultSpec,
        node: NodeId,
    ) -> Result<Vec<Sight>, DriverError> {
        let (proxy, link) = before(stage, node)?;
        if whole(fault) {
            proxy.delay(&[node], Duration::ZERO, false);
        } else {
            link.remove_rule(rule(fault.kind, &fault.settings)?);
        }
        let (_, answered) = answer_state(&link.address().to_string(), PATIENCE).await;
        let after = if answered { "answers" } else { "does not answer" }.to_owned();
        let what = format!("node {node} through its link");
        let at_ns = self.now_ns();
        Ok(vec![Sight { what, before: None, after, at_ns, shows: answered }])
    }
}

/// The proxy, and its link before a node.
fn before(stage: &Stage, node: NodeId) -> Result<(&Proxy, Arc<Link>), DriverError> {
    let proxy = stage.proxy.as_deref().ok_or(DriverError::NotPrepared)?;
    Ok((proxy, proxy.of_clients(node).ok_or(DriverError::NotPrepared)?))
}

/// Whether the fault concerns whole links and not the frames of one API.
fn whole(fault: &FaultSpec) -> bool {
    fault.kind == FaultKind::Reorder
        || (fault.kind == FaultKind::Delay && fault.settings.api.is_none())
}

fn rule(kind: FaultKind, settings: &FaultSettings) -> Result<FrameRule, DriverError> {
    let (direction, action, usual) = match kind {
        FaultKind::DropRequest => (Direction::Up, FrameAction::Drop, "Produce"),
        FaultKind::DropResponse => (Direction::Down, FrameAction::Drop, "Produce"),
        FaultKind::HoldRequest => (Direction::Up, FrameAction::Hold, "Produce"),
        FaultKind::HoldResponse => (Direction::Down, FrameAction::Hold, "Produce"),
        FaultKind::DuplicateRequest => (Direction::Up, FrameAction::Duplicate, "Produce"),
        FaultKind::ForgeResponse => (Direction::Up, FrameAction::Forge, "Produce"),
        FaultKind::CutFetch => (Direction::Down, FrameAction::Cut, "Fetch"),
        FaultKind::Delay => {
            let delay = Duration::from_millis(settings.delay_ms);
            (Direction::Down, FrameAction::Delay(delay), "Produce")
        }
        other => return Err(unsupported(other, "it is no fault of frames".to_owned())),
    };
    let asked = settings.api.as_deref().unwrap_or(usual);
    let only = match action {
        FrameAction::Forge => Some("Produce"),
        FrameAction::Cut => Some("Fetch"),
        _ => None,
    };
    if let Some(only) = only.filter(|only| !only.eq_ignore_ascii_case(asked)) {
        let text = format!("{kind} is possible for {only} alone, not for {asked}");
        return Err(PlaneError::Settings(text).into());
    }
    let api = api_number(asked).map_err(PlaneError::Settings)?;
    let frames = (settings.frames > 0).then_some(settings.frames);
    Ok(FrameRule { api, direction, action, frames })
}

/// Whether what the sockets carried differs in the way that the rule wants. What is read off one
/// socket and what is written to the other is counted apart from the rule.
fn effect(rule: FrameRule, before: &LinkCounts, after: &LinkCounts) -> bool {
    let since = |count: fn(&LinkCounts) -> u64| count(after).saturating_sub(count(before));
    let hit = since(|c| c.hit) > 0;
    let missing = match rule.direction {
        Direction::Up => after.up_in > after.up_out,
        Direction::Down => after.down_in > after.down_out,
    };
    match rule.action {
        FrameAction::Drop | FrameAction::Forge => hit && since(|c| c.dropped) > 0,
        FrameAction::Hold | FrameAction::Delay(_) => hit && missing,
        FrameAction::Duplicate => hit && since(|c| c.added) > 0,
        FrameAction::Cut => hit && since(|c| c.changed) > 0,
    }
}
