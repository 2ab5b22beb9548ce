//! One picture of the cluster from the metadata of all its nodes.
//!
//! Nodes learn of a change one after the other, so at any moment their metadata disagree. For a
//! partition the highest leader epoch wins (KIP-101): it only ascends, and a node that is behind
//! does not bring an old leader back. Where there is no epoch, and for the controller, more than
//! half of the live nodes must agree. No clock and no I/O in here: time comes in with each answer.

use crate::clock::ms_between;
use crate::events::{ClusterEventKind, Election};
use crate::node::NodeId;
use crate::probe::{ClusterMetadata, PartitionMetadata};
use std::collections::{BTreeMap, BTreeSet};

/// A node's last answer counts as its view for this long.
const STALE_NS: u64 = 2_000_000_000;
/// A lower epoch (such as of a topic that was made anew) is believed after this long.
const REGRESS_NS: u64 = 2_000_000_000;
/// After the end of a fault, a leader that is still there for this long has kept its place.
const KEPT_NS: u64 = 2_000_000_000;

#[derive(Clone, Debug)]
struct NodeView {
    at_ns: u64,
    metadata: ClusterMetadata,
}

#[derive(Clone, Debug)]
struct PartitionView {
    current: PartitionMetadata,
    below_since: Option<u64>,
}

type Key = (String, i32);

/// A partition whose leader was hit by a fault and that has no new one yet.
#[derive(Clone, Debug)]
struct Pending {
    victim: NodeId,
    epoch: Option<i32>,
    /// When the signal was sent, once that is known.
    fault_ns: Option<u64>,
    /// When a new leader was first seen, who, and its epoch.
    elected: Option<(u64, NodeId, Option<i32>)>,
    /// When the victim was let go on or started again.
    up_ns: Option<u64>,
}

/// The merged picture, with the elections that are waited for.
#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    views: BTreeMap<NodeId, NodeView>,
    partitions: BTreeMap<Key, PartitionView>,
    controller: Option<NodeId>,
    down: BTreeSet<NodeId>,
    pending: BTreeMap<Key, Pending>,
    elections: Vec<Election>,
    no_controller: bool,
}

impl ClusterView {
    /// From now on the controller in the nodes' metadata means nothing.
    pub fn ignore_controller(&mut self) {
        self.no_controller = true;
    }

    /// Takes in what `from` answered at `at_ns` and returns what changed in the merged picture.
    pub fn observe(
        &mut self,
        at_ns: u64,
        from: NodeId,
        metadata: &ClusterMetadata,
    ) -> Vec<ClusterEventKind> {
        // An answer that was under way when the node was hit says nothing about what comes after.
        if self.down.contains(&from) {
            return Vec::new();
        }
        self.views.insert(from, NodeView { at_ns, metadata: metadata.clone() });
        self.views.retain(|_, view| at_ns.saturating_sub(view.at_ns) <= STALE_NS);
        let mut changes = Vec::new();
        for partition in &metadata.partitions {
            self.take_partition(at_ns, from, partition, &mut changes);
            self.follow_election(at_ns, partition, &mut changes);
        }
        let agreed = self.majority(|view| Some(view.controller)).filter(|_| !self.no_controller);
        if let Some(controller) = agreed.filter(|controller| *controller != self.controller) {
            let from = std::mem::replace(&mut self.controller, controller);
            changes.push(ClusterEventKind::ControllerChanged { from, to: controller });
        }
        changes
    }

    /// The merged metadata: brokers that any live node lists, and all partitions that were ever
    /// seen, in their last known state.
    #[must_use]
    pub fn metadata(&self) -> ClusterMetadata {
        let mut brokers = BTreeMap::new();
        for view in self.views.values() {
            for broker in &view.metadata.brokers {
                brokers.entry(broker.id).or_insert_with(|| broker.clone());
            }
        }
        ClusterMetadata {
            cluster_id: self.views.values().find_map(|view| view.metadata.cluster_id.clone()),
            controller: self.controller,
            brokers: brokers.into_values().collect(),
            partitions: self.partitions.values().map(|view| view.current.clone()).collect(),
            topic_errors: BTreeMap::new(),
        }
    }

    /// Says that a fault is about to hit `node`: its answers do not count from now on, and the
    /// partitions that it leads need a new leader. The election's time starts only with
    /// [`ClusterView::fault_was_at`].
    pub fn node_goes_down(&mut self, node: NodeId) {
        self.down.insert(node);
        self.views.remove(&node);
        for (key, view) in &self.partitions {
            if view.current.leader == Some(node) {
                // A partition that still waits from an earlier fault goes on counting from that.
                self.pending.entry(key.clone()).or_insert_with(|| Pending {
                    victim: node,
                    epoch: view.current.leader_epoch,
                    fault_ns: None,
                    elected: None,
                    up_ns: None,
                });
            }
        }
    }

    /// Says when the signal of the fault on `node` was sent, or that none was (`None`): then its
    /// partitions wait for nothing. Returns the elections that this completes.
    pub fn fault_was_at(&mut self, node: NodeId, fault_ns: Option<u64>) -> Vec<ClusterEventKind> {
        let fresh = |p: &Pending| p.victim == node && p.fault_ns.is_none();
        let Some(fault_ns) = fault_ns else {
            self.pending.retain(|_, p| !fresh(p));
            return Vec::new();
        };
        // A leader that was seen before the signal was elected for another reason.
        self.pending
            .retain(|_, p| !(fresh(p) && p.elected.is_some_and(|(at_ns, ..)| at_ns < fault_ns)));
        for pending in self.pending.values_mut().filter(|p| fresh(p)) {
            pending.fault_ns = Some(fault_ns);
        }
        self.complete_elections()
    }

    /// Says that `node` was started again or let go on: its answers count again.
    pub fn node_comes_up(&mut self, node: NodeId, at_ns: u64) {
        self.down.remove(&node);
        for pending in self.pending.values_mut().filter(|p| p.victim == node) {
            pending.up_ns.get_or_insert(at_ns);
        }
    }

    /// Says that `node`'s process has ended without a fault of ours.
    pub fn node_ended(&mut self, node: NodeId) {
        self.views.remove(&node);
    }

    /// All elections measured so far, in the order of their completion.
    #[must_use]
    pub fn elections(&self) -> &[Election] {
        &self.elections
    }

    /// The partitions that wait for a new leader: topic, index, the leader that was hit, and when
    /// (nanoseconds on the run's clock; absent while the fault is under way).
    #[must_use]
    pub fn leaderless(&self) -> Vec<(String, i32, NodeId, Option<u64>)> {
        self.pending
            .iter()
            .map(|((topic, partition), p)| (topic.clone(), *partition, p.victim, p.fault_ns))
            .collect()
    }

    fn take_partition(
        &mut self,
        at_ns: u64,
        from: NodeId,
        seen: &PartitionMetadata,
        changes: &mut Vec<ClusterEventKind>,
    ) {
        let key = (seen.topic.clone(), seen.partition);
        let Some(known) = self.partitions.get(&key) else {
            let view = PartitionView { current: seen.clone(), below_since: None };
            self.partitions.insert(key, view);
            changes.push(leader_changed(None, seen));
            let to = seen.isr.clone();
            changes.push(isr_changed(Vec::new(), to, seen));
            return;
        };
        let current = known.current.clone();
        let (accepted, below_since) = self.weigh(at_ns, &current, known.below_since, seen);
        let mut next = if accepted { seen.clone() } else { current.clone() };
        let same_term = (next.leader, next.leader_epoch) == (current.leader, current.leader_epoch);
        if same_term {
            next.isr = self.agreed_isr(from, &current, seen);
        }
        if !same_term {
            changes.push(leader_changed(current.leader, &next));
        }
        if next.isr != current.isr {
            changes.push(isr_changed(current.isr, next.isr.clone(), seen));
        }
        self.partitions.insert(key, PartitionView { current: next, below_since });
    }

    /// Whether `seen` replaces `current`, and since when all live nodes have been behind it.
    fn weigh(
        &self,
        at_ns: u64,
        current: &PartitionMetadata,
        below_since: Option<u64>,
        seen: &PartitionMetadata,
    ) -> (bool, Option<u64>) {
        match (seen.leader_epoch, current.leader_epoch) {
            (Some(seen_epoch), Some(known)) if seen_epoch > known => (true, None),
            (Some(seen_epoch), Some(known)) if seen_epoch < known => {
                let all_below = self.views.values().all(|view| {
                    view.metadata
                        .partition(&seen.topic, seen.partition)
                        .and_then(|p| p.leader_epoch)
                        .is_none_or(|epoch| epoch < known)
                });
                match below_since {
                    _ if !all_below => (false, None),
                    Some(since) if at_ns.saturating_sub(since) >= REGRESS_NS => (true, None),
                    since => (false, since.or(Some(at_ns))),
                }
            }
            (Some(_), None) => (true, None),
            _ => {
                let agreed = self.majority(|view| {
                    let p = view.partition(&seen.topic, seen.partition)?;
                    Some((p.leader, p.leader_epoch))
                });
                (agreed == Some((seen.leader, seen.leader_epoch)), None)
            }
        }
    }

    /// The in-sync set of the current term: the leader knows it first, so its word counts; while
    /// the leader is not heard, more than half of the live nodes must agree.
    fn agreed_isr(
        &self,
        from: NodeId,
        current: &PartitionMetadata,
        seen: &PartitionMetadata,
    ) -> Vec<NodeId> {
        let term = (current.leader, current.leader_epoch);
        if (seen.leader, seen.leader_epoch) != term {
            return current.isr.clone();
        }
        if current.leader == Some(from) {
            return seen.isr.clone();
        }
        if current.leader.is_some_and(|leader| self.views.contains_key(&leader)) {
            return current.isr.clone();
        }
        self.majority(|view| {
            let p = view.partition(&seen.topic, seen.partition)?;
            ((p.leader, p.leader_epoch) == term).then(|| p.isr.clone())
        })
        .unwrap_or_else(|| current.isr.clone())
    }

    /// The value that more than half of the live views have, if any.
    fn majority<T: PartialEq>(&self, of: impl Fn(&ClusterMetadata) -> Option<T>) -> Option<T> {
        let mut values: Vec<_> =
            self.views.values().filter_map(|view| of(&view.metadata)).collect();
        let count = |value: &T| values.iter().filter(|other| *other == value).count();
        let found = values.iter().position(|value| count(value) * 2 > self.views.len())?;
        Some(values.swap_remove(found))
    }

    fn follow_election(
        &mut self,
        at_ns: u64,
        seen: &PartitionMetadata,
        changes: &mut Vec<ClusterEventKind>,
    ) {
        let key = (seen.topic.clone(), seen.partition);
        let Some(pending) = self.pending.get_mut(&key) else {
            return;
        };
        let newer = match (seen.leader_epoch, pending.epoch) {
            (Some(epoch), Some(before)) => epoch > before,
            _ => seen.leader != Some(pending.victim),
        };
        if let Some(leader) = seen.leader
            && newer
            && !self.down.contains(&leader)
            && pending.elected.is_none()
        {
            pending.elected = Some((at_ns, leader, seen.leader_epoch));
        }
        let unchanged = seen.leader == Some(pending.victim) && seen.leader_epoch == pending.epoch;
        if let (Some(fault_ns), Some(up_ns)) = (pending.fault_ns, pending.up_ns)
            && unchanged
            && pending.elected.is_none()
            && at_ns.saturating_sub(up_ns) >= KEPT_NS
        {
            let leader = pending.victim;
            self.pending.remove(&key);
            let (topic, partition) = key;
            changes.push(ClusterEventKind::LeaderKept { topic, partition, leader, fault_ns });
        }
        changes.extend(self.complete_elections());
    }

    fn complete_elections(&mut self) -> Vec<ClusterEventKind> {
        let mut done = Vec::new();
        self.pending.retain(|(topic, partition), pending| {
            let (Some(fault_ns), Some((elected_ns, to, epoch))) =
                (pending.fault_ns, pending.elected)
            else {
                return true;
            };
            done.push(Election {
                topic: topic.clone(),
                partition: *partition,
                from: pending.victim,
                to,
                epoch,
                fault_ns,
                elected_ns,
                ms: ms_between(fault_ns, elected_ns),
            });
            false
        });
        self.elections.extend(done.iter().cloned());
        done.into_iter().map(ClusterEventKind::Elected).collect()
    }
}

fn leader_changed(from: Option<NodeId>, to: &PartitionMetadata) -> ClusterEventKind {
    ClusterEventKind::LeaderChanged {
        topic: to.topic.clone(),
        partition: to.partition,
        from,
        to: to.leader,
        epoch: to.leader_epoch,
    }
}

fn isr_changed(from: Vec<NodeId>, to: Vec<NodeId>, of: &PartitionMetadata) -> ClusterEventKind {
    let (topic, partition) = (of.topic.clone(), of.partition);
    ClusterEventKind::IsrChanged { topic, partition, from, to }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
