use super::*;

fn cluster() -> Image {
    let mut image = Image::default();
    for id in 1..=3 {
        let kafka = HostPort { host: "127.0.0.1".into(), port: 9000 };
        let incarnation = Uuid::from_u128(u128::from(id));
        image.apply(u64::from(id), &Command::RegisterBroker { id, incarnation, kafka });
        let unfence = Command::UnfenceBroker { id, broker_epoch: u64::from(id) };
        assert_eq!(image.apply(10 + u64::from(id), &unfence), Outcome::Done);
    }
    let topic = CreateTopic {
        name: "t".into(),
        id: Uuid::from_u128(7),
        partitions: 3,
        replication_factor: 3,
        configs: BTreeMap::new(),
    };
    assert_eq!(image.apply(20, &Command::CreateTopic(topic.clone())), Outcome::Done);
    assert_eq!(image.apply(21, &Command::CreateTopic(topic.clone())), Outcome::Done);
    let another = CreateTopic { id: Uuid::from_u128(8), ..topic };
    let again = image.apply(22, &Command::CreateTopic(another));
    assert_eq!(again, Outcome::Refused(Refusal::TopicExists));
    image
}

fn fence(image: &mut Image, id: u32) {
    let broker_epoch = image.brokers[&id].broker_epoch;
    image.apply(30, &Command::FenceBroker { id, broker_epoch, unclean: false });
}

#[test]
fn leaders_are_spread_over_the_brokers() {
    let image = cluster();
    let leaders: Vec<_> = image.topics["t"].partitions.iter().map(|p| p.leader).collect();
    assert_eq!(leaders, [Some(1), Some(2), Some(3)]);
}

#[test]
fn fencing_elects_from_the_in_sync_set_and_raises_the_epoch() {
    let mut image = cluster();
    fence(&mut image, 1);
    let state = image.partition("t", 0).expect("exists");
    assert_eq!(state.isr, [2, 3]);
    assert_eq!((state.leader, state.leader_epoch), (Some(2), 1));
    fence(&mut image, 2);
    fence(&mut image, 3);
    let state = image.partition("t", 0).expect("exists");
    assert_eq!((state.isr.as_slice(), state.leader), ([3].as_slice(), None));
    // A replica outside the in-sync set does not lead.
    image.apply(40, &Command::UnfenceBroker { id: 1, broker_epoch: 1 });
    assert_eq!(image.partition("t", 0).expect("exists").leader, None);
    image.apply(41, &Command::UnfenceBroker { id: 3, broker_epoch: 3 });
    assert_eq!(image.partition("t", 0).expect("exists").leader, Some(3));
}

#[test]
fn unclean_election_needs_the_setting() {
    let mut image = cluster();
    let topic = image.topics.get_mut("t").expect("exists");
    topic.configs.insert(UNCLEAN_ELECTION.into(), "true".into());
    for id in 1..=3 {
        fence(&mut image, id);
    }
    image.apply(40, &Command::UnfenceBroker { id: 1, broker_epoch: 1 });
    let state = image.partition("t", 0).expect("exists");
    assert_eq!((state.leader, state.isr.as_slice()), (Some(1), [1].as_slice()));
}

#[test]
fn a_restarted_broker_loses_leadership_and_keeps_its_in_sync_place() {
    let mut image = cluster();
    let kafka = HostPort { host: "127.0.0.1".into(), port: 9000 };
    let incarnation = Uuid::from_u128(99);
    image.apply(50, &Command::RegisterBroker { id: 1, incarnation, kafka });
    let state = image.partition("t", 0).expect("exists");
    assert_eq!((state.leader, state.leader_epoch), (Some(2), 1));
    assert_eq!(state.isr, [1, 2, 3]);
    let stale = image.apply(51, &Command::UnfenceBroker { id: 1, broker_epoch: 1 });
    assert_eq!(stale, Outcome::Refused(Refusal::StaleBroker));
}

#[test]
fn in_sync_changes_are_fenced_by_both_epochs() {
    let mut image = cluster();
    let request = AlterPartition {
        topic: "t".into(),
        topic_id: Uuid::from_u128(7),
        partition: 0,
        leader: 1,
        leader_epoch: 0,
        partition_epoch: 0,
        isr: vec![1, 2],
    };
    let apply = |image: &mut Image, request: &AlterPartition| {
        image.apply(60, &Command::AlterPartition(request.clone()))
    };
    assert!(matches!(apply(&mut image, &request), Outcome::Altered { .. }));
    let stale = apply(&mut image, &request);
    assert_eq!(stale, Outcome::Refused(Refusal::StalePartitionEpoch));
    fence(&mut image, 1);
    assert_eq!(apply(&mut image, &request), Outcome::Refused(Refusal::NotLeader));
    let expand = AlterPartition {
        leader: 2,
        leader_epoch: 1,
        partition_epoch: image.partition("t", 0).expect("exists").partition_epoch,
        isr: vec![2, 1],
        ..request
    };
    assert_eq!(apply(&mut image, &expand), Outcome::Refused(Refusal::IneligibleReplica));
}

#[test]
fn producer_ids_are_never_given_twice() {
    let mut image = cluster();
    let first = image.apply(70, &Command::AllocateProducerIds { count: 1000 });
    let second = image.apply(71, &Command::AllocateProducerIds { count: 1000 });
    assert_eq!(first, Outcome::ProducerIds { first: 0 });
    assert_eq!(second, Outcome::ProducerIds { first: 1000 });
}

#[test]
fn unclean_failover_elects_a_replica_out_of_sync_and_partitions_can_be_added() {
    for (unclean, expected) in [(false, Some(2)), (true, Some(3))] {
        let mut image = cluster();
        let topic = image.topics.get_mut("t").expect("exists");
        topic.partitions[0].isr = vec![1, 2];
        let more = Command::CreatePartitions { name: "t".into(), total: 5 };
        assert_eq!(image.apply(25, &more), Outcome::Done);
        assert_eq!(image.apply(26, &more), Outcome::Done);
        assert_eq!(image.topics["t"].partitions.len(), 5);
        assert!(image.topics["t"].partitions.iter().all(|p| p.leader.is_some()));
        let fewer = Command::CreatePartitions { name: "t".into(), total: 4 };
        assert_eq!(image.apply(27, &fewer), Outcome::Refused(Refusal::Partitions));
        image.apply(30, &Command::FenceBroker { id: 1, broker_epoch: 1, unclean });
        let state = image.partition("t", 0).expect("exists");
        assert_eq!((state.leader, state.leader_epoch), (expected, 1));
    }
}
