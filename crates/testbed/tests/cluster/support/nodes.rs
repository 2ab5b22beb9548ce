//! A cluster of three processes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::{
    CreateTopicsRequest, InitProducerIdRequest, MetadataRequest, MetadataResponse,
};
use kafka_protocol::protocol::StrBytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use perjury_testbed::{Bug, NodeConfig, Peer};
use tempfile::TempDir;

use super::client::{Client, records, topic_name};
use super::eventually;

/// Lines of each node's log that a failed test shows.
const LOG_TAIL: usize = 60;

static CLUSTERS: AtomicU8 = AtomicU8::new(0);

pub(crate) struct Cluster {
    dir: TempDir,
    pub(crate) configs: BTreeMap<u32, NodeConfig>,
    children: BTreeMap<u32, Child>,
}

/// What the metadata says about partition 0 of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) leader: u32,
    pub(crate) epoch: i32,
    pub(crate) isr: Vec<u32>,
}

/// A loopback address that no other test uses.
fn own_address() -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 16 | (high & 0x6f), low, 1 + CLUSTERS.fetch_add(1, Ordering::Relaxed))
}

impl Cluster {
    /// Three configured nodes that do not run yet.
    pub(crate) fn configure(bugs: &[Bug]) -> Self {
        let address = own_address();
        let held: Vec<TcpListener> =
            (0..6).map(|_| TcpListener::bind((address, 0)).unwrap()).collect();
        let ports: Vec<SocketAddr> = held.iter().map(|one| one.local_addr().unwrap()).collect();
        let peers: Vec<Peer> = (1..)
            .zip(ports.chunks(2))
            .map(|(id, pair)| Peer { id, kafka: pair[0].into(), raft: pair[1].into() })
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let configs = (1..)
            .zip(ports.chunks(2))
            .map(|(id, pair)| {
                let data = dir.path().join(format!("data-{id}"));
                let mut config = NodeConfig::new(id, data, pair[0], pair[1], peers.clone());
                config.bugs = bugs.iter().copied().collect();
                config.exit_on_stdin_eof = true;
                (id, config)
            })
            .collect();
        Self { dir, configs, children: BTreeMap::new() }
    }

    /// Three running nodes that know each other.
    pub(crate) async fn start(bugs: &[Bug]) -> Self {
        let mut cluster = Self::configure(bugs);
        for id in 1..=3 {
            cluster.run(id);
        }
        for id in 1..=3 {
            cluster.wait_for_brokers(id, 3).await;
        }
        cluster
    }

    /// The nodes that run.
    pub(crate) fn running(&self) -> Vec<u32> {
        self.children.keys().copied().collect()
    }

    pub(crate) fn log_path(&self, id: u32) -> PathBuf {
        self.dir.path().join(format!("node-{id}.log"))
    }

    pub(crate) fn config_path(&self, id: u32) -> PathBuf {
        self.dir.path().join(format!("node-{id}.json"))
    }

    /// The command that runs a node as it is configured now.
    pub(crate) fn command(&self, id: u32) -> Command {
        let json = serde_json::to_string(&self.configs[&id]).unwrap();
        fs::write(self.config_path(id), json).unwrap();
        let log = File::options().create(true).append(true).open(self.log_path(id)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_perjury-testbed-node"));
        command.arg("--config").arg(self.config_path(id));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        command
    }

    pub(crate) fn run(&mut self, id: u32) {
        let child = self.command(id).spawn().unwrap();
        assert!(self.children.insert(id, child).is_none());
    }

    fn signal(&self, id: u32, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.children[&id].id()).unwrap());
        kill(pid, signal).unwrap();
    }

    /// Stops a node and waits until each of its threads is stopped: the signal takes effect when one
    /// thread comes to handle it, which on a busy machine takes a while, and the others run on.
    pub(crate) async fn pause(&self, id: u32) {
        self.signal(id, Signal::SIGSTOP);
        let tasks = PathBuf::from(format!("/proc/{}/task", self.children[&id].id()));
        eventually("every thread stopped", || async {
            let stopped = fs::read_dir(&tasks).unwrap().all(|task| {
                let stat = fs::read_to_string(task.unwrap().path().join("stat"));
                // The state follows the name, which stands in parentheses.
                stat.is_ok_and(|stat| {
                    stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T"))
                })
            });
            stopped.then_some(())
        })
        .await;
    }

    pub(crate) fn resume(&self, id: u32) {
        self.signal(id, Signal::SIGCONT);
    }

    /// SIGKILLs nodes, all signals before the first wait.
    pub(crate) fn kill(&mut self, ids: &[u32]) {
        let mut children: Vec<Child> =
            ids.iter().map(|id| self.children.remove(id).unwrap()).collect();
        for child in &mut children {
            child.kill().unwrap();
        }
        for child in &mut children {
            child.wait().unwrap();
        }
    }

    /// Takes a node's process out of the cluster's care.
    pub(crate) fn take(&mut self, id: u32) -> Child {
        self.children.remove(&id).unwrap()
    }

    pub(crate) async fn client(&self, id: u32) -> io::Result<Client> {
        Client::connect(self.configs[&id].kafka_addr).await
    }

    async fn metadata(&self, id: u32, topic: Option<&str>) -> io::Result<MetadataResponse> {
        let wanted =
            topic.map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
        let request = MetadataRequest::default().with_topics(Some(wanted.into_iter().collect()));
        self.client(id).await?.call(&request, 12).await
    }

    /// Waits until a node's metadata lists so many brokers and a controller among them.
    pub(crate) async fn wait_for_brokers(&self, id: u32, count: usize) {
        eventually("all brokers and a controller in the metadata", || async {
            let metadata = self.metadata(id, None).await.ok()?;
            let known = metadata.brokers.iter().any(|b| b.node_id == metadata.controller_id);
            (metadata.brokers.len() == count && known).then_some(())
        })
        .await;
    }

    /// The controller as one node sees it.
    pub(crate) async fn controller(&self, id: u32) -> u32 {
        eventually("a controller", || async {
            let metadata = self.metadata(id, None).await.ok()?;
            u32::try_from(metadata.controller_id.0).ok()
        })
        .await
    }

    /// Partition 0 of a topic as one node sees it now.
    pub(crate) async fn view_from(&self, id: u32, topic: &str) -> Option<View> {
        let metadata = self.metadata(id, Some(topic)).await.ok()?;
        let partition: &MetadataResponsePartition = metadata.topics.first()?.partitions.first()?;
        let mut isr: Vec<u32> =
            partition.isr_nodes.iter().map(|id| u32::try_from(id.0).unwrap()).collect();
        isr.sort_unstable();
        let leader = u32::try_from(partition.leader_id.0).ok()?;
        Some(View { leader, epoch: partition.leader_epoch, isr })
    }

    /// Waits until a node sees a leader and in-sync set that fit.
    pub(crate) async fn wait_view(
        &self,
        id: u32,
        topic: &str,
        what: &str,
        fits: impl Fn(&View) -> bool,
    ) -> View {
        let fits = &fits;
        eventually(what, || async move { self.view_from(id, topic).await.filter(fits) }).await
    }

    /// Waits until every given node sees the whole in-sync set.
    pub(crate) async fn wait_in_sync(&self, topic: &str, isr: &[u32]) {
        for id in isr {
            self.wait_view(*id, topic, "in-sync set", |view| view.isr == isr).await;
        }
    }

    /// Creates a topic of one partition on three replicas and waits until all nodes know it.
    pub(crate) async fn create_topic(&self, name: &str, configs: &[(&str, &str)]) -> View {
        let (code, message) = self.try_create(name, 1, 3, configs).await;
        assert_eq!(code, 0, "{message:?}");
        self.wait_in_sync(name, &[1, 2, 3]).await;
        let view = self.view_from(1, name).await.unwrap();
        eventually("a leader that serves", || async {
            let mut client = self.client(view.leader).await.ok()?;
            let (code, _) = client.list_offset(name, -1).await.ok()?;
            (code == 0).then_some(())
        })
        .await;
        view
    }

    /// Error code and message of CreateTopics.
    pub(crate) async fn try_create(
        &self,
        name: &str,
        partitions: i32,
        replication_factor: i16,
        configs: &[(&str, &str)],
    ) -> (i16, Option<String>) {
        let configs = configs.iter().map(|(name, value)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_string((*name).to_owned()))
                .with_value(Some(StrBytes::from_string((*value).to_owned())))
        });
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(replication_factor)
            .with_configs(configs.collect());
        let request =
            CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(8_000);
        let response = self.client(1).await.unwrap().call(&request, 5).await.unwrap();
        let result = &response.topics[0];
        (result.error_code, result.error_message.as_ref().map(ToString::to_string))
    }

    /// A client of the current leader, as a live node sees it.
    pub(crate) async fn leader_client(&self, seen_from: u32, topic: &str) -> Client {
        let view = self.view_from(seen_from, topic).await.unwrap();
        self.client(view.leader).await.unwrap()
    }

    /// A producer id.
    pub(crate) async fn producer_id(&self, id: u32) -> i64 {
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        let response = self.client(id).await.unwrap().call(&request, 4).await.unwrap();
        assert_eq!((response.error_code, response.producer_epoch), (0, 0));
        response.producer_id.0
    }

    /// Produces until it is acknowledged; each attempt goes to whom a live node calls the leader.
    pub(crate) async fn produce_acked(&self, seen_from: u32, topic: &str, values: &[&str]) -> i64 {
        eventually("an acknowledgement", || async {
            let view = self.view_from(seen_from, topic).await?;
            let mut client = self.client(view.leader).await.ok()?;
            let (code, offset) = client.produce(topic, -1, None, values).await.ok()?;
            (code == 0).then_some(offset)
        })
        .await
    }

    /// Everything in a partition, read from its leader up to the high watermark.
    pub(crate) async fn read_all(&self, seen_from: u32, topic: &str) -> Vec<(i64, String)> {
        eventually("a full read", || async {
            let view = self.view_from(seen_from, topic).await?;
            let mut client = self.client(view.leader).await.ok()?;
            let (code, end) = client.list_offset(topic, -1).await.ok()?;
            if code != 0 {
                return None;
            }
            let mut found: Vec<(i64, String)> = Vec::new();
            while found.last().map_or(0, |(offset, _)| offset + 1) < end {
                let next = found.last().map_or(0, |(offset, _)| offset + 1);
                let data = client.fetch(topic, next, -1, 500).await.ok()?;
                if data.error_code != 0 {
                    return None;
                }
                let batch = records(data.records.unwrap_or_default());
                found.extend(batch.into_iter().filter(|(offset, _)| *offset >= next));
            }
            Some(found)
        })
        .await
    }

    /// The segment files of partition 0 of a topic on one node.
    fn segments(&self, id: u32, topic: &str) -> Vec<PathBuf> {
        let logs = self.configs[&id].data_dir.join("partitions");
        let prefix = format!("{topic}-0-");
        let mut files: Vec<PathBuf> = fs::read_dir(logs)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&prefix))
            .flat_map(|dir| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        files.sort();
        files
    }

    /// The bytes of partition 0 of a topic on one node.
    pub(crate) fn log_bytes(&self, id: u32, topic: &str) -> Vec<u8> {
        self.segments(id, topic).iter().flat_map(|path| fs::read(path).unwrap()).collect()
    }

    /// Cuts bytes off the end of a stopped node's partition 0.
    pub(crate) fn tear_log(&self, id: u32, topic: &str, bytes: u64) {
        let last = self.segments(id, topic).pop().unwrap();
        let size = fs::metadata(&last).unwrap().len();
        File::options().write(true).open(last).unwrap().set_len(size - bytes).unwrap();
    }

    /// Waits until all nodes hold the same bytes of a partition, and returns how many.
    pub(crate) async fn wait_identical(&self, topic: &str) -> usize {
        eventually("identical logs", || async {
            let logs: Vec<Vec<u8>> = (1..=3).map(|id| self.log_bytes(id, topic)).collect();
            (logs[0] == logs[1] && logs[1] == logs[2]).then(|| logs[0].len())
        })
        .await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.children.values_mut() {
            let _ = child.kill();
        }
        for child in self.children.values_mut() {
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for id in self.configs.keys() {
                let log = fs::read_to_string(self.log_path(*id)).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                println!("--- node {id}");
                for line in &lines[lines.len().saturating_sub(LOG_TAIL)..] {
                    println!("{line}");
                }
            }
        }
    }
}
