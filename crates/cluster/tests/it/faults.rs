//! Faults on real processes, and what their witnesses saw.

use crate::support::{LONG, Rig, eventually};
use perjury_cluster::probe::NewTopic;
use perjury_cluster::{
    ClusterEventKind, Driver, DriverError, FaultKind, FaultWitness, NodeId, PortState, RunState,
    Target, TopicError, undo,
};
use std::collections::BTreeMap;

async fn inject(rig: &Rig, fault: FaultKind, node: i32) -> FaultWitness {
    let mut results = rig.cluster.inject(fault, &[NodeId(node)]).await;
    results.remove(0).1.unwrap()
}

async fn formed(args: &[&str]) -> Rig {
    let rig = Rig::new(args);
    let formation = rig.cluster.form(LONG).await.unwrap();
    assert_eq!(formation.attempts, 1, "no port of its own choice is taken");
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_and_the_start_after_it_are_witnessed() {
    let mut rig = formed(&[]).await;
    let old = rig.process(2).await;
    let killed = inject(&rig, FaultKind::Kill, 2).await;
    assert!(killed.witnessed, "{}", killed.why);
    assert_eq!(killed.before, Some(old));
    assert!(killed.gone_ns >= killed.signal_ns && killed.signal_ns >= Some(killed.asked_ns));
    assert_eq!(killed.exit.unwrap().signal, Some(9));
    assert_eq!(killed.port.as_ref().unwrap().state, PortState::Refused);
    let peers: Vec<_> = killed.peers.iter().map(|view| view.peer.0).collect();
    assert_eq!(peers, [1, 3]);
    assert!(killed.peers.iter().all(|view| view.lists_node == Some(true)));
    let down = rig.event(|e| matches!(e.kind, ClusterEventKind::NodeDown { .. })).await;
    assert_eq!(down.node, Some(NodeId(2)));

    let again = rig.cluster.inject(FaultKind::Kill, &[NodeId(2)]).await;
    assert!(matches!(again[0].1, Err(DriverError::NotRunning(NodeId(2)))));
    let started = inject(&rig, FaultKind::Start, 2).await;
    assert!(started.witnessed, "{}", started.why);
    assert_eq!(started.before, Some(old));
    assert_ne!(started.after, Some(old));
    assert_eq!(started.port.as_ref().unwrap().answered, Some(true));
    let twice = rig.cluster.inject(FaultKind::Start, &[NodeId(2)]).await;
    assert!(matches!(twice[0].1, Err(DriverError::AlreadyRunning { .. })));
    let text = serde_json::to_string(&killed).unwrap();
    assert_eq!(serde_json::from_str::<FaultWitness>(&text).unwrap(), killed);
    rig.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_node_stands_still_until_it_is_resumed() {
    let rig = formed(&[]).await;
    let process = rig.process(1).await;
    let paused = inject(&rig, FaultKind::Pause, 1).await;
    assert!(paused.witnessed, "{}", paused.why);
    assert_eq!((paused.before, paused.after), (Some(process), Some(process)));
    assert_eq!(paused.state_after, Some('T'));
    assert_eq!(paused.port.as_ref().unwrap().answered, Some(false));
    let status = rig.driver.node_status(NodeId(1)).await.unwrap();
    assert_eq!(status.run, RunState::Paused);
    let journal = rig.dir.path().join("run").join(undo::FILE_NAME);
    let open = undo::pending(&journal).unwrap();
    assert_eq!(open.iter().filter(|e| matches!(e.deed, undo::Deed::Stopped { .. })).count(), 1);

    let resumed = inject(&rig, FaultKind::Resume, 1).await;
    assert!(resumed.witnessed, "{}", resumed.why);
    assert_eq!(resumed.port.as_ref().unwrap().answered, Some(true));
    assert!(!inject(&rig, FaultKind::Resume, 1).await.witnessed, "it was not paused");
    let open = undo::pending(&journal).unwrap();
    assert!(open.iter().all(|e| matches!(e.deed, undo::Deed::Started { .. })) && open.len() == 3);
    rig.cluster.shutdown().await;
    assert_eq!(undo::pending(&journal).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_gives_a_new_process_on_the_same_port() {
    let mut rig = formed(&[]).await;
    for _ in 0..3 {
        rig.event(|e| matches!(e.kind, ClusterEventKind::NodeUp)).await;
    }
    let (old, address) = (rig.process(3).await, rig.driver.address(NodeId(3)));
    let restarted = inject(&rig, FaultKind::Restart, 3).await;
    assert!(restarted.witnessed, "{}", restarted.why);
    assert_eq!(restarted.before, Some(old));
    assert_eq!(restarted.after, Some(rig.process(3).await));
    assert_eq!(restarted.port.unwrap().address, address.unwrap());
    assert!(!old.is_alive());
    // However quickly it is back, the watch notices that it was away.
    rig.event(|e| matches!(e.kind, ClusterEventKind::NodeDown { .. })).await;
    let up = rig.event(|e| matches!(e.kind, ClusterEventKind::NodeUp)).await;
    assert_eq!(up.node, Some(NodeId(3)));
    rig.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ignores_sigterm_is_killed_and_all_can_be_hit_at_once() {
    let rig = formed(&["--ignore-term"]).await;
    let stopped = inject(&rig, FaultKind::Stop, 1).await;
    assert!(stopped.witnessed, "{}", stopped.why);
    assert_eq!(stopped.exit.unwrap().signal, Some(9));
    inject(&rig, FaultKind::Start, 1).await;
    let all = rig.cluster.resolve(&Target::All).unwrap();
    let results = rig.cluster.inject(FaultKind::Kill, &all).await;
    assert_eq!(results.iter().map(|(node, _)| *node).collect::<Vec<_>>(), all);
    for (node, witness) in results {
        assert!(witness.unwrap().witnessed, "{node}");
    }
    rig.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_election_after_the_kill_of_a_leader_is_measured() {
    let mut rig = Rig::new(&[]);
    rig.cluster.form(LONG).await.unwrap();
    rig.play(1, 1, 4, &[1, 2, 3]);
    let seen = rig.event(|e| matches!(e.kind, ClusterEventKind::LeaderChanged { .. })).await;
    assert!(matches!(seen.kind, ClusterEventKind::LeaderChanged { epoch: Some(4), .. }));
    let leader = Target::Leader { topic: "t".into(), partition: 0 };
    let victims = rig.cluster.resolve(&leader).unwrap();
    assert_eq!(victims, [NodeId(1)]);
    let witness = inject(&rig, FaultKind::Kill, 1).await;
    assert!(witness.peers.iter().all(|view| view.leads == Some(1)), "{witness:?}");
    assert_eq!(rig.cluster.leaderless().len(), 1);
    assert_eq!(rig.cluster.elections(), []);

    rig.play(2, 3, 5, &[2, 3]);
    let event = rig.event(|e| matches!(e.kind, ClusterEventKind::Elected(_))).await;
    let ClusterEventKind::Elected(election) = event.kind else { unreachable!() };
    assert_eq!((election.from, election.to, election.epoch), (NodeId(1), NodeId(3), Some(5)));
    assert_eq!(Some(election.fault_ns), witness.signal_ns);
    assert_eq!(election.ms, (election.elected_ns - election.fault_ns) / 1_000_000);
    assert_eq!(rig.cluster.elections(), [election]);
    assert_eq!(rig.cluster.resolve(&leader).unwrap(), [NodeId(3)]);
    rig.event(|e| {
        matches!(e.kind, ClusterEventKind::ControllerChanged { to: Some(NodeId(2)), .. })
    })
    .await;
    rig.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_by_itself_is_reported_with_its_exit() {
    let mut rig = formed(&[]).await;
    let victim = rig.process(3).await;
    perjury_cluster::send(victim, perjury_cluster::ProcessSignal::Terminate).unwrap();
    let down = rig.event(|e| matches!(e.kind, ClusterEventKind::NodeDown { .. })).await;
    let ClusterEventKind::NodeDown { process, exit } = down.kind else { unreachable!() };
    assert_eq!((down.node, process, exit.signal), (Some(NodeId(3)), victim, Some(15)));
    assert!(matches!(
        rig.driver.node_status(NodeId(3)).await.unwrap().run,
        RunState::Exited { .. }
    ));
    rig.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_goes_to_files_and_warnings_become_events() {
    let mut rig = formed(&[]).await;
    let warning = rig.event(|e| matches!(e.kind, ClusterEventKind::LogLine { .. })).await;
    assert!(warning.node.is_some());
    let dir = rig.dir.path().join("run/nodes/2");
    let out = std::fs::read_to_string(dir.join("stdout.log")).unwrap();
    assert!(out.trim_end().ends_with("Z INFO node 2 starts"), "{out}");
    let err = std::fs::read_to_string(dir.join("stderr.log")).unwrap();
    assert!(err.trim_end().ends_with("Z WARN node 2 listens"), "{err}");
    let tail = rig.driver.log_tail(NodeId(2), 5);
    assert_eq!(tail.len(), 2, "{tail:?}");
    rig.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_and_confirmed_by_every_node() {
    let rig = formed(&[]).await;
    let topic = |partitions| NewTopic {
        name: "orders".into(),
        partitions,
        replication_factor: 3,
        configs: BTreeMap::from([("min.insync.replicas".to_owned(), "2".to_owned())]),
    };
    rig.cluster.create_topic(&topic(4), LONG).await.unwrap();
    let again = rig.cluster.create_topic(&topic(4), LONG).await.unwrap_err();
    assert!(matches!(again, TopicError::Create { .. }), "{again}");
    assert!(again.to_string().contains("36"), "{again}");
    eventually("the watch sees the topic", || rig.cluster.metadata().partitions.len() == 4).await;
    rig.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_has_every_nodes_configuration_and_no_environment() {
    let rig = Rig::with(|options, _| {
        options.env.insert("SECRET".into(), "hidden-value".into());
        options.bugs = vec!["forget-unsynced".into()];
        options.settings.insert("segment_bytes".into(), serde_json::json!(4096));
    });
    rig.driver.prepare().await.unwrap();
    let description = rig.driver.describe();
    assert_eq!(description["nodes"].as_array().unwrap().len(), 3);
    let config = &description["nodes"][1]["config"];
    assert_eq!(config["node_id"], 2);
    assert_eq!(config["peers"].as_array().unwrap().len(), 3);
    assert_eq!(config["bugs"][0], "forget-unsynced");
    assert_eq!(config["segment_bytes"], 4096);
    assert_eq!(config["exit_on_stdin_eof"], true);
    let file = rig.dir.path().join("run/nodes/2/config.json");
    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(&written, config);
    assert!(!description.to_string().contains("hidden-value"));
    let servers = rig.driver.bootstrap_servers();
    assert_eq!(servers.split(',').count(), 3, "{servers}");
    rig.cluster.shutdown().await;
}
