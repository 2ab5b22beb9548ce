use super::*;
use crate::probe::Broker;

const MS: u64 = 1_000_000;

fn ids(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn metadata(leader: i32, epoch: Option<i32>, isr: &[i32], controller: i32) -> ClusterMetadata {
    let broker = |id| Broker { id: NodeId(id), host: "h".into(), port: id };
    ClusterMetadata {
        cluster_id: None,
        controller: crate::node::known(controller),
        brokers: (1..=3).map(broker).collect(),
        partitions: vec![PartitionMetadata {
            topic: "t".into(),
            partition: 0,
            leader: crate::node::known(leader),
            leader_epoch: epoch,
            isr: ids(isr),
            replicas: ids(&[1, 2, 3]),
            offline: vec![],
            error: 0,
        }],
        topic_errors: BTreeMap::new(),
    }
}

/// A view in which all three nodes agree on leader 1 in epoch 5 and controller 1.
fn settled() -> ClusterView {
    let mut view = ClusterView::default();
    for node in 1..=3 {
        view.observe(0, NodeId(node), &metadata(1, Some(5), &[1, 2, 3], 1));
    }
    view
}

fn leader(view: &ClusterView) -> (Option<NodeId>, Option<i32>) {
    let metadata = view.metadata();
    let p = metadata.partition("t", 0).unwrap();
    (p.leader, p.leader_epoch)
}

fn elections_in(events: &[ClusterEventKind]) -> Vec<Election> {
    events
        .iter()
        .filter_map(|event| match event {
            ClusterEventKind::Elected(election) => Some(election.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn the_first_sight_is_reported_once() {
    let mut view = ClusterView::default();
    let first = view.observe(0, NodeId(1), &metadata(1, Some(5), &[1, 2, 3], 1));
    assert_eq!(first.len(), 3, "{first:?}");
    let again = view.observe(1, NodeId(2), &metadata(1, Some(5), &[1, 2, 3], 1));
    assert_eq!(again, []);
    assert_eq!(view.metadata().broker_ids(), ids(&[1, 2, 3]));
}

#[test]
fn a_node_that_is_behind_brings_no_old_leader_back() {
    let mut view = settled();
    let changed = view.observe(MS, NodeId(2), &metadata(2, Some(6), &[2, 3], 1));
    assert!(matches!(&changed[0], ClusterEventKind::LeaderChanged { from, to, epoch: Some(6), .. }
        if *from == Some(NodeId(1)) && *to == Some(NodeId(2))));
    assert!(matches!(&changed[1], ClusterEventKind::IsrChanged { .. }));
    assert_eq!(view.observe(2 * MS, NodeId(3), &metadata(1, Some(5), &[1, 2, 3], 1)), []);
    assert_eq!(view.observe(3 * MS, NodeId(3), &metadata(2, Some(6), &[2, 3], 1)), []);
    assert_eq!(leader(&view), (Some(NodeId(2)), Some(6)));
}

#[test]
fn lower_epochs_of_all_nodes_are_believed_only_after_a_while() {
    let mut view = settled();
    let lower = metadata(3, Some(0), &[3], 1);
    for at in [0, 500, 1000, 1500] {
        for node in 1..=3 {
            view.observe(at * MS, NodeId(node), &lower);
        }
        assert_eq!(leader(&view), (Some(NodeId(1)), Some(5)), "{at}");
    }
    view.observe(2500 * MS, NodeId(1), &lower);
    assert_eq!(leader(&view), (Some(NodeId(3)), Some(0)));
}

#[test]
fn without_epochs_a_majority_decides() {
    let mut view = ClusterView::default();
    for node in 1..=3 {
        view.observe(0, NodeId(node), &metadata(1, None, &[1, 2, 3], 1));
    }
    assert_eq!(view.observe(MS, NodeId(2), &metadata(2, None, &[2, 3], 1)), []);
    let changed = view.observe(2 * MS, NodeId(3), &metadata(2, None, &[2, 3], 1));
    assert!(matches!(changed[0], ClusterEventKind::LeaderChanged { .. }), "{changed:?}");
}

#[test]
fn each_node_naming_itself_controller_is_no_controller_change() {
    let mut view = settled();
    assert_eq!(view.observe(MS, NodeId(2), &metadata(1, Some(5), &[1, 2, 3], 2)), []);
    let changed = view.observe(2 * MS, NodeId(3), &metadata(1, Some(5), &[1, 2, 3], 2));
    assert_eq!(
        changed,
        [ClusterEventKind::ControllerChanged { from: Some(NodeId(1)), to: Some(NodeId(2)) }]
    );
}

#[test]
fn the_leader_knows_the_in_sync_set_best() {
    let mut view = settled();
    assert_eq!(view.observe(MS, NodeId(2), &metadata(1, Some(5), &[1, 2], 1)), []);
    let changed = view.observe(2 * MS, NodeId(1), &metadata(1, Some(5), &[1, 2], 1));
    assert_eq!(changed.len(), 1);
    assert_eq!(view.observe(3 * MS, NodeId(3), &metadata(1, Some(5), &[1, 2, 3], 1)), []);
}

#[test]
fn an_election_is_measured_from_the_signal_to_the_first_live_sight() {
    let mut view = settled();
    view.node_goes_down(NodeId(1));
    assert_eq!(view.leaderless(), [("t".to_owned(), 0, NodeId(1), None)]);
    // A late answer of the dead node, and one that is behind, elect nobody.
    assert_eq!(view.observe(9 * MS, NodeId(1), &metadata(2, Some(6), &[2], 1)), []);
    assert_eq!(view.fault_was_at(NodeId(1), Some(10 * MS)), []);
    let behind = view.observe(20 * MS, NodeId(3), &metadata(1, Some(5), &[1, 2, 3], 1));
    assert_eq!(elections_in(&behind), []);
    let none_yet = view.observe(30 * MS, NodeId(2), &metadata(-1, Some(6), &[2, 3], 1));
    assert_eq!(elections_in(&none_yet), []);
    let done = view.observe(710 * MS, NodeId(2), &metadata(2, Some(7), &[2, 3], 1));
    let expected = Election {
        topic: "t".into(),
        partition: 0,
        from: NodeId(1),
        to: NodeId(2),
        epoch: Some(7),
        fault_ns: 10 * MS,
        elected_ns: 710 * MS,
        ms: 700,
    };
    assert_eq!(elections_in(&done), std::slice::from_ref(&expected));
    assert_eq!(view.elections(), [expected]);
    assert_eq!(view.leaderless(), []);
}

#[test]
fn an_election_that_is_seen_before_the_signals_time_is_known_is_not_lost() {
    let mut view = settled();
    view.node_goes_down(NodeId(1));
    let seen = view.observe(300 * MS, NodeId(2), &metadata(2, Some(6), &[2, 3], 2));
    assert_eq!(elections_in(&seen), []);
    let done = elections_in(&view.fault_was_at(NodeId(1), Some(100 * MS)));
    assert_eq!(done.iter().map(|e| e.ms).collect::<Vec<_>>(), [200]);
}

#[test]
fn a_leader_change_before_the_signal_and_a_refused_fault_are_no_elections() {
    let mut view = settled();
    view.node_goes_down(NodeId(1));
    view.observe(5 * MS, NodeId(2), &metadata(2, Some(6), &[2, 3], 2));
    assert_eq!(view.fault_was_at(NodeId(1), Some(10 * MS)), []);
    assert_eq!((view.elections().len(), view.leaderless().len()), (0, 0));

    let mut view = settled();
    view.node_goes_down(NodeId(1));
    assert_eq!(view.fault_was_at(NodeId(1), None), []);
    assert_eq!(view.leaderless(), []);
}

#[test]
fn after_all_nodes_died_the_same_leader_in_a_newer_epoch_is_an_election() {
    let mut view = settled();
    for node in 1..=3 {
        view.node_goes_down(NodeId(node));
        view.fault_was_at(NodeId(node), Some(10 * MS));
    }
    view.node_comes_up(NodeId(1), 1000 * MS);
    let old = view.observe(1100 * MS, NodeId(1), &metadata(1, Some(5), &[1, 2, 3], 1));
    assert_eq!(elections_in(&old), []);
    let dead = view.observe(1200 * MS, NodeId(1), &metadata(2, Some(6), &[1, 2, 3], 1));
    assert_eq!(elections_in(&dead), [], "a leader that is down leads nothing");
    let new = view.observe(1500 * MS, NodeId(1), &metadata(1, Some(7), &[1], 1));
    assert_eq!(
        elections_in(&new).iter().map(|e| (e.to, e.ms)).collect::<Vec<_>>(),
        [(NodeId(1), 1490)]
    );
}

#[test]
fn a_leader_that_outlasts_a_short_pause_has_kept_its_place() {
    let mut view = settled();
    view.node_goes_down(NodeId(1));
    view.fault_was_at(NodeId(1), Some(10 * MS));
    view.node_comes_up(NodeId(1), 200 * MS);
    let early = view.observe(300 * MS, NodeId(1), &metadata(1, Some(5), &[1, 2, 3], 1));
    assert_eq!(early, []);
    let kept = view.observe(2300 * MS, NodeId(1), &metadata(1, Some(5), &[1, 2, 3], 1));
    assert!(
        kept.contains(&ClusterEventKind::LeaderKept {
            topic: "t".into(),
            partition: 0,
            leader: NodeId(1),
            fault_ns: 10 * MS,
        }),
        "{kept:?}"
    );
    assert_eq!((view.elections().len(), view.leaderless().len()), (0, 0));
}
