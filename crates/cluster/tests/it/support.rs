//! What the integration tests share: a cluster of stand-in nodes in a temporary folder.

use perjury_cluster::drivers::LocalDriver;
use perjury_cluster::drivers::testbed::{self, TestbedOptions};
use perjury_cluster::probe::{Broker, PartitionMetadata};
use perjury_cluster::{
    Cluster, ClusterEvent, ClusterMetadata, ClusterOptions, Driver, GuardCommand, NodeId,
    Placement, ProcessIdentity, RunContext,
};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The stand-in program.
pub(crate) fn fixture() -> PathBuf {
    env!("CARGO_BIN_EXE_perjury-cluster-fixture").into()
}

/// How to start a guard.
pub(crate) fn guard_command() -> GuardCommand {
    GuardCommand { program: fixture(), args: vec!["guard".into()] }
}

/// Far more than anything here takes: a test that needs it has failed.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A cluster of stand-ins, with everything that a test looks at.
pub(crate) struct Rig {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) driver: Arc<LocalDriver>,
    pub(crate) cluster: Cluster,
    pub(crate) events: mpsc::Receiver<ClusterEvent>,
}

impl Rig {
    /// Three stand-ins with further `args`, and a guard.
    pub(crate) fn new(args: &[&str]) -> Self {
        Self::with(|options, dir| {
            let metadata = dir.join("metadata.json").to_string_lossy().into_owned();
            options.args_prefix.extend(["--metadata".to_owned(), metadata]);
            options.args_prefix.extend(args.iter().map(ToString::to_string));
        })
    }

    /// A cluster with changed options.
    pub(crate) fn with(change: impl FnOnce(&mut TestbedOptions, &Path)) -> Self {
        Self::placed(Placement::default(), change)
    }

    /// The same with nodes that live elsewhere than on the host.
    pub(crate) fn placed(
        placement: Placement,
        change: impl FnOnce(&mut TestbedOptions, &Path),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut context = RunContext::new(dir.path().join("run"), Instant::now())
            .with_guard(guard_command())
            .with_placement(placement);
        context.stop_timeout = Duration::from_secs(1);
        let mut options = TestbedOptions::new(fixture(), vec!["node".to_owned()]);
        change(&mut options, dir.path());
        let driver = Arc::new(testbed::driver(options, context));
        let cluster = Cluster::new(driver.clone(), ClusterOptions::default());
        let events = cluster.events();
        Self { dir, driver, cluster, events }
    }

    /// A cluster whose nodes are this shell script. `$2` is the configuration file.
    pub(crate) fn of_script(script: &str) -> Self {
        Self::with(|options, dir| {
            let file = dir.join("server.sh");
            std::fs::write(&file, script).unwrap();
            options.program = "sh".into();
            options.args_prefix = vec![file.to_string_lossy().into_owned()];
        })
    }

    /// The process of a node.
    pub(crate) async fn process(&self, node: i32) -> ProcessIdentity {
        self.driver.node_status(NodeId(node)).await.unwrap().process.unwrap()
    }

    /// All processes that were started, in the order of their nodes.
    pub(crate) async fn processes(&self) -> Vec<ProcessIdentity> {
        let mut processes = Vec::new();
        for node in self.driver.nodes() {
            processes.extend(self.driver.node_status(node).await.unwrap().process);
        }
        processes
    }

    /// Makes every node say this of partition `t-0`.
    pub(crate) fn play(&self, controller: i32, leader: i32, epoch: i32, isr: &[i32]) {
        let broker = |id: NodeId| {
            let address = self.driver.address(id).unwrap();
            let (host, port) = address.split_once(':').unwrap();
            Broker { id, host: host.into(), port: port.parse().unwrap() }
        };
        let metadata = ClusterMetadata {
            controller: Some(NodeId(controller)),
            brokers: self.driver.nodes().into_iter().map(broker).collect(),
            partitions: vec![PartitionMetadata {
                topic: "t".into(),
                partition: 0,
                leader: (leader > 0).then_some(NodeId(leader)),
                leader_epoch: Some(epoch),
                isr: isr.iter().copied().map(NodeId).collect(),
                replicas: self.driver.nodes(),
                offline: vec![],
                error: 0,
            }],
            ..ClusterMetadata::default()
        };
        // Renamed into place, since the nodes read it at any moment.
        let (draft, file) = (self.dir.path().join("draft"), self.dir.path().join("metadata.json"));
        std::fs::write(&draft, serde_json::to_vec(&metadata).unwrap()).unwrap();
        std::fs::rename(draft, file).unwrap();
    }

    /// The events so far.
    pub(crate) fn events_so_far(&mut self) -> Vec<ClusterEvent> {
        let mut events = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            events.push(event);
        }
        events
    }

    /// Waits for an event, passing over the others.
    pub(crate) async fn event(&mut self, wanted: impl Fn(&ClusterEvent) -> bool) -> ClusterEvent {
        let search = async {
            loop {
                let event = self.events.recv().await.expect("the cluster is still there");
                if wanted(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(LONG, search).await.expect("the event comes")
    }
}

/// A process that has formed a cluster in `dir` and injected these faults, and its nodes. The one that ends it is to reap it.
pub(crate) fn parent(dir: &Path, faults: &str) -> (Child, Vec<ProcessIdentity>) {
    let mut parent = Command::new(fixture())
        .args(["parent".as_ref(), dir.as_os_str(), faults.as_ref()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let nodes = lines
        .map(|line| line.unwrap())
        .take_while(|line| line != "done")
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect();
    (parent, nodes)
}

/// Polls until a condition holds; panics when it does not within a minute.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
