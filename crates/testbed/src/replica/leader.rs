//! What the leader of a partition keeps in memory: how far each follower is, and the in-sync set.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::control::image::PartitionState;

/// What a leader knows of a follower.
#[derive(Debug, Clone)]
struct Follower {
    /// Everything below is on the follower's disk; `None` before its first fetch in this epoch.
    end_offset: Option<i64>,
    /// Its log start offset.
    start_offset: i64,
    /// When it last had everything, see [`LeaderState::on_fetch`].
    caught_up_at: Instant,
    last_fetch: Instant,
    leader_end_at_last_fetch: i64,
    /// The high watermark in the last answer to it.
    told_watermark: i64,
}

/// The leader's state for one leader epoch.
#[derive(Debug)]
pub(crate) struct LeaderState {
    pub(crate) epoch: i32,
    /// Where the log ended when this epoch began.
    pub(crate) epoch_start: i64,
    replicas: Vec<u32>,
    isr: Vec<u32>,
    partition_epoch: i32,
    followers: BTreeMap<u32, Follower>,
    /// Members of in-sync sets that were proposed and may be in force already. They count for the
    /// high watermark as if they were (KIP-497's maximal set), so that a record is never committed
    /// without a replica that the controller may already elect.
    proposed: BTreeSet<u32>,
    /// A proposal's answer is outstanding.
    pub(crate) proposing: bool,
    /// A proposal's outcome is not known; only another partition epoch tells.
    uncertain: bool,
}

impl LeaderState {
    /// Leadership begins: nothing is known of the followers.
    pub(crate) fn new(node: u32, state: &PartitionState, epoch_start: i64) -> Self {
        let now = Instant::now();
        let follower = Follower {
            end_offset: None,
            start_offset: 0,
            caught_up_at: now,
            last_fetch: now,
            leader_end_at_last_fetch: epoch_start,
            told_watermark: -1,
        };
        let others = state.replicas.iter().copied().filter(|id| *id != node);
        Self {
            epoch: state.leader_epoch,
            epoch_start,
            replicas: state.replicas.clone(),
            isr: state.isr.clone(),
            partition_epoch: state.partition_epoch,
            followers: others.map(|id| (id, follower.clone())).collect(),
            proposed: BTreeSet::new(),
            proposing: false,
            uncertain: false,
        }
    }

    /// Takes over a newer state of the same leader epoch.
    pub(crate) fn update(&mut self, state: &PartitionState) {
        if state.partition_epoch > self.partition_epoch {
            self.isr.clone_from(&state.isr);
            self.partition_epoch = state.partition_epoch;
            self.proposed.clear();
            self.uncertain = false;
        }
    }

    /// The committed in-sync set.
    pub(crate) fn isr(&self) -> &[u32] {
        &self.isr
    }

    /// The current partition epoch.
    pub(crate) fn partition_epoch(&self) -> i32 {
        self.partition_epoch
    }

    /// Whether a broker is a follower of this partition.
    pub(crate) fn is_follower(&self, id: u32) -> bool {
        self.followers.contains_key(&id)
    }

    /// Notes a follower's fetch. It is caught up now if it asks for the log end, and it was caught
    /// up at its previous fetch if it asks for what the end was then (Kafka's `replica.lag.time`
    /// rule, which does not punish a follower for a log that grows while it fetches).
    pub(crate) fn on_fetch(&mut self, id: u32, offset: i64, log_end: i64) {
        let Some(follower) = self.followers.get_mut(&id) else { return };
        let now = Instant::now();
        if offset >= log_end {
            follower.caught_up_at = now;
        } else if offset >= follower.leader_end_at_last_fetch {
            follower.caught_up_at = follower.caught_up_at.max(follower.last_fetch);
        }
        follower.end_offset = Some(offset);
        follower.last_fetch = now;
        follower.leader_end_at_last_fetch = log_end;
    }

    /// Notes the log start offset that a follower's fetch carries.
    pub(crate) fn note_start(&mut self, id: u32, offset: i64) {
        if let Some(follower) = self.followers.get_mut(&id) {
            follower.start_offset = offset;
        }
    }

    /// The log start offset that a follower last told.
    pub(crate) fn start_of(&self, id: u32) -> i64 {
        self.followers.get(&id).map_or(0, |follower| follower.start_offset)
    }

    /// Whether every in-sync follower has deleted what lies below an offset.
    pub(crate) fn all_start_at(&self, offset: i64) -> bool {
        let members = self.isr.iter().filter_map(|id| self.followers.get(id));
        members.into_iter().all(|follower| follower.start_offset >= offset)
    }

    /// Whether the follower does not know of this high watermark yet; notes that it is told.
    pub(crate) fn tell_watermark(&mut self, id: u32, watermark: i64) {
        if let Some(follower) = self.followers.get_mut(&id) {
            follower.told_watermark = watermark;
        }
    }

    /// The high watermark that the follower was last told.
    pub(crate) fn told_watermark(&self, id: u32) -> i64 {
        self.followers.get(&id).map_or(-1, |follower| follower.told_watermark)
    }

    /// The offset below which every member of the maximal in-sync set has everything on disk.
    /// `own_synced` is this node's.
    pub(crate) fn committed(&self, own_synced: i64) -> i64 {
        let members = self.isr.iter().chain(&self.proposed);
        let followers = members.filter_map(|id| self.followers.get(id));
        followers
            .map(|follower| follower.end_offset.unwrap_or(0))
            .min()
            .map_or(own_synced, |slowest| slowest.min(own_synced))
    }

    /// The in-sync set to propose, if it should change: without members that lag, with followers
    /// that have everything committed and the whole log of earlier epochs.
    pub(crate) fn wanted_isr(
        &self,
        watermark: i64,
        lag: Duration,
        is_active: impl Fn(u32) -> bool,
    ) -> Option<Vec<u32>> {
        if self.proposing {
            return None;
        }
        let belongs = |id: &u32| {
            let Some(follower) = self.followers.get(id) else { return true };
            let in_time = follower.caught_up_at.elapsed() <= lag;
            if self.isr.contains(id) {
                // A member below the high watermark came back with a damaged log.
                return in_time && follower.end_offset.is_none_or(|end| end >= watermark);
            }
            let enough = watermark.max(self.epoch_start);
            in_time && is_active(*id) && follower.end_offset.is_some_and(|end| end >= enough)
        };
        let wanted: Vec<u32> = self.replicas.iter().copied().filter(belongs).collect();
        let differs =
            wanted.len() != self.isr.len() || !wanted.iter().all(|id| self.isr.contains(id));
        // Proposing the same set again raises the partition epoch, which settles an unknown outcome.
        (differs || self.uncertain).then_some(wanted)
    }

    /// A proposal leaves this node.
    pub(crate) fn proposal_sent(&mut self, isr: &[u32]) {
        self.proposing = true;
        self.proposed.extend(isr);
    }

    /// A proposal was answered. `refused` means that it certainly did not happen.
    pub(crate) fn proposal_answered(&mut self, refused: bool, unknown: bool) {
        self.proposing = false;
        self.uncertain |= unknown;
        if refused && !self.uncertain {
            self.proposed.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAG: Duration = Duration::from_secs(60);

    fn state(isr: &[u32], partition_epoch: i32) -> PartitionState {
        PartitionState {
            replicas: vec![1, 2, 3],
            isr: isr.to_vec(),
            leader: Some(1),
            leader_epoch: 4,
            partition_epoch,
        }
    }

    #[test]
    fn the_watermark_waits_for_the_slowest_in_sync_replica() {
        let mut leader = LeaderState::new(1, &state(&[1, 2, 3], 0), 0);
        assert_eq!(leader.committed(10), 0);
        leader.on_fetch(2, 10, 10);
        leader.on_fetch(3, 7, 10);
        assert_eq!(leader.committed(10), 7);
        assert_eq!(leader.committed(5), 5);
        leader.update(&state(&[1, 2], 1));
        assert_eq!(leader.committed(10), 10);
        leader.update(&state(&[1], 2));
        assert_eq!(leader.committed(12), 12);
    }

    #[test]
    fn a_proposed_member_counts_at_once_and_a_refused_one_no_more() {
        let mut leader = LeaderState::new(1, &state(&[1, 2], 5), 0);
        leader.on_fetch(2, 20, 20);
        leader.on_fetch(3, 15, 20);
        let wanted = leader.wanted_isr(15, LAG, |_| true).expect("3 has everything committed");
        assert_eq!(wanted, [1, 2, 3]);
        leader.proposal_sent(&wanted);
        assert_eq!(leader.wanted_isr(15, LAG, |_| true), None);
        assert_eq!(leader.committed(20), 15);
        leader.proposal_answered(true, false);
        assert_eq!(leader.committed(20), 20);
    }

    #[test]
    fn an_unknown_outcome_is_settled_by_another_proposal() {
        let mut leader = LeaderState::new(1, &state(&[1, 2, 3], 5), 0);
        for id in [2, 3] {
            leader.on_fetch(id, 20, 20);
        }
        leader.proposal_sent(&[1, 2, 3]);
        leader.proposal_answered(false, true);
        assert_eq!(leader.wanted_isr(20, LAG, |_| true), Some(vec![1, 2, 3]));
        leader.update(&state(&[1, 2, 3], 6));
        assert_eq!(leader.wanted_isr(20, LAG, |_| true), None);
    }

    #[test]
    fn a_member_that_lost_committed_records_leaves() {
        let mut leader = LeaderState::new(1, &state(&[1, 2, 3], 5), 0);
        for id in [2, 3] {
            leader.on_fetch(id, 20, 20);
        }
        assert_eq!(leader.wanted_isr(20, LAG, |_| true), None);
        leader.on_fetch(3, 4, 20);
        assert_eq!(leader.wanted_isr(20, LAG, |_| true), Some(vec![1, 2]));
    }

    #[test]
    fn laggards_leave_and_return_only_with_the_epochs_start() {
        let mut leader = LeaderState::new(1, &state(&[1, 2], 5), 30);
        leader.on_fetch(2, 30, 30);
        leader.on_fetch(3, 29, 29);
        assert_eq!(leader.wanted_isr(10, LAG, |_| true), None);
        leader.on_fetch(3, 30, 30);
        assert_eq!(leader.wanted_isr(10, LAG, |id| id != 3), None);
        assert_eq!(leader.wanted_isr(10, LAG, |_| true), Some(vec![1, 2, 3]));
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(leader.wanted_isr(10, Duration::ZERO, |_| true), Some(vec![1]));
    }
}
