//! All replicas of this node: opened, given their roles, and removed as the metadata says.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::fetcher::{Assignment, Fetcher};
use super::flush;
use super::partition::Partition;
use super::types::Identity;
use crate::bugs::Switches;
use crate::control::commands::{Command, Outcome};
use crate::control::image::{Image, PartitionState, TopicState};
use crate::control::plane::Plane;
use crate::error::NodeError;
use crate::events;
use crate::log::now_ms;
use crate::log::partition_log::PartitionLog;

/// How often in-sync sets are looked at.
const ISR_PERIOD: Duration = Duration::from_millis(50);

/// How often high watermarks are written down.
const CHECKPOINT_PERIOD: Duration = Duration::from_secs(1);

/// How often logs are compacted.
const COMPACTION_PERIOD: Duration = Duration::from_secs(1);

/// The file of high watermarks.
const CHECKPOINT_FILE: &str = "high-watermarks.json";

type Key = (String, i32);

#[derive(Debug, Clone)]
struct Hosted {
    partition: Arc<Partition>,
    cancel: CancellationToken,
}

/// The replicas of this node.
#[derive(Debug)]
pub(crate) struct ReplicaManager {
    plane: Arc<Plane>,
    switches: Arc<Switches>,
    hosted: RwLock<BTreeMap<Key, Hosted>>,
    fetchers: BTreeMap<u32, watch::Sender<Vec<Assignment>>>,
    /// High watermarks of the last run, by directory name.
    checkpoint: BTreeMap<String, i64>,
    fatal: mpsc::UnboundedSender<NodeError>,
}

fn directory_name(topic: &str, topic_id: Uuid, partition: i32) -> String {
    let id = topic_id.simple().to_string();
    format!("{topic}-{partition}-{}", &id[..8])
}

impl ReplicaManager {
    /// Reads the checkpoint and starts the tasks.
    ///
    /// # Errors
    /// The checkpoint cannot be read.
    pub(crate) fn start(
        plane: Arc<Plane>,
        switches: Arc<Switches>,
        fatal: mpsc::UnboundedSender<NodeError>,
    ) -> Result<Arc<Self>, NodeError> {
        let path = plane.config.data_dir.join(CHECKPOINT_FILE);
        let checkpoint = read_checkpoint(&path).map_err(|source| NodeError::Storage {
            what: "high watermark checkpoint".to_owned(),
            source,
        })?;
        let mut fetchers = BTreeMap::new();
        for peer in plane.config.peers.iter().filter(|peer| peer.id != plane.config.node_id) {
            let (sender, receiver) = watch::channel(Vec::new());
            fetchers.insert(peer.id, sender);
            let (config, target) = (Arc::clone(&plane.config), peer.kafka.clone());
            let last = plane.config.peers.iter().all(|peer| peer.id <= plane.config.node_id);
            let delay = switches.replication_delay(last);
            tokio::spawn(Fetcher::new(config, target, delay, receiver, fatal.clone()).run());
        }
        let hosted = RwLock::new(BTreeMap::new());
        let manager = Arc::new(Self { plane, switches, hosted, fetchers, checkpoint, fatal });
        tokio::spawn(Arc::clone(&manager).follow_metadata());
        tokio::spawn(Arc::clone(&manager).keep_in_sync_sets());
        tokio::spawn(Arc::clone(&manager).write_checkpoints());
        tokio::spawn(Arc::clone(&manager).compact_logs());
        Ok(manager)
    }

    /// A replica on this node.
    pub(crate) fn get(&self, topic: &str, partition: i32) -> Option<Arc<Partition>> {
        let hosted = self.hosted.read().unwrap_or_else(PoisonError::into_inner);
        hosted.get(&(topic.to_owned(), partition)).map(|hosted| Arc::clone(&hosted.partition))
    }

    fn all(&self) -> Vec<Arc<Partition>> {
        let hosted = self.hosted.read().unwrap_or_else(PoisonError::into_inner);
        hosted.values().map(|hosted| Arc::clone(&hosted.partition)).collect()
    }

    /// Reports that the disk failed; the node will end.
    pub(crate) fn storage_failed(&self, what: &str, source: &io::Error) {
        let source = io::Error::new(source.kind(), source.to_string());
        let _ = self.fatal.send(NodeError::Storage { what: what.to_owned(), source });
    }

    async fn follow_metadata(self: Arc<Self>) {
        let mut images = self.plane.images();
        loop {
            let image = Arc::clone(&images.borrow_and_update());
            if let Err(source) = self.apply(&image).await {
                self.storage_failed("partition logs", &source);
            }
            if images.changed().await.is_err() {
                return;
            }
        }
    }

    /// Gives every replica its role. Until this incarnation is registered, the metadata may be older
    /// than the last run of this process, so nothing is led or followed by it.
    async fn apply(&self, image: &Image) -> io::Result<()> {
        let node = self.plane.config.node_id;
        let registered = image
            .brokers
            .get(&node)
            .is_some_and(|broker| broker.incarnation == self.plane.incarnation);
        if !registered {
            return Ok(());
        }
        self.remove_deleted(image)?;
        let mut assignments: BTreeMap<u32, Vec<Assignment>> = BTreeMap::new();
        for (topic, state) in &image.topics {
            for (index, metadata) in (0..).zip(&state.partitions) {
                if !metadata.replicas.contains(&node) {
                    continue;
                }
                let partition = self.open(topic, state.id, index).await?;
                self.give_role(&partition, metadata, self.min_insync(state))?;
                assign(&mut assignments, node, &partition, metadata);
            }
        }
        for (leader, sender) in &self.fetchers {
            let wanted = assignments.remove(leader).unwrap_or_default();
            sender.send_if_modified(|current| {
                let same = current.len() == wanted.len()
                    && current.iter().zip(&wanted).all(|(a, b)| {
                        a.epoch == b.epoch && Arc::ptr_eq(&a.partition, &b.partition)
                    });
                if !same {
                    *current = wanted;
                }
                !same
            });
        }
        Ok(())
    }

    /// Applies a partition's metadata; if this node is deposed under
    /// [`Bug::StaleLeader`](crate::Bug::StaleLeader), only its end for writers at once.
    fn give_role(
        &self,
        partition: &Arc<Partition>,
        metadata: &PartitionState,
        min_insync: usize,
    ) -> io::Result<()> {
        let led = partition.progress().borrow().leading.is_some() || partition.is_zombie();
        let deposed = led && metadata.leader != Some(self.plane.config.node_id);
        let Some(delay) = self.switches.metadata_delay().filter(|_| deposed) else {
            return partition.apply(metadata, min_insync);
        };
        partition.haunt();
        let (partition, metadata) = (Arc::clone(partition), metadata.clone());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            if let Err(error) = partition.apply(&metadata, min_insync) {
                tracing::error!(%error, topic = partition.topic, "role cannot be taken");
            }
        });
        Ok(())
    }

    /// Compacts the logs of compacted topics, again and again.
    async fn compact_logs(self: Arc<Self>) {
        loop {
            tokio::time::sleep(COMPACTION_PERIOD).await;
            let image = self.plane.image();
            for partition in self.all() {
                let topic = image.topics.get(&partition.topic);
                let Some(topic) = topic.filter(|topic| topic.is_compacted()) else { continue };
                let before = now_ms().saturating_sub(topic.delete_retention_ms());
                let work = tokio::task::spawn_blocking(move || partition.compact(before));
                if let Err(source) = work.await.unwrap_or_else(|e| Err(io::Error::other(e))) {
                    // Its topic may have been deleted meanwhile, with the directory.
                    if source.kind() != io::ErrorKind::NotFound {
                        self.storage_failed("compaction", &source);
                    }
                }
            }
        }
    }

    fn min_insync(&self, topic: &TopicState) -> usize {
        let default = usize::from(self.plane.config.min_insync_replicas);
        topic.min_insync_replicas().unwrap_or(default)
    }

    fn remove_deleted(&self, image: &Image) -> io::Result<()> {
        let mut hosted = self.hosted.write().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<Key> = hosted
            .iter()
            .filter(|((topic, _), hosted)| {
                image.topics.get(topic).is_none_or(|state| state.id != hosted.partition.topic_id)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            if let Some(hosted) = hosted.remove(&key) {
                hosted.cancel.cancel();
                let partition = &hosted.partition;
                fs::remove_dir_all(self.dir(&key.0, partition.topic_id, key.1))?;
            }
        }
        Ok(())
    }

    fn dir(&self, topic: &str, topic_id: Uuid, partition: i32) -> PathBuf {
        let logs = self.plane.config.data_dir.join("partitions");
        logs.join(directory_name(topic, topic_id, partition))
    }

    async fn open(&self, topic: &str, topic_id: Uuid, index: i32) -> io::Result<Arc<Partition>> {
        if let Some(partition) = self.get(topic, index) {
            return Ok(partition);
        }
        let node = self.plane.config.node_id;
        let identity = Identity { topic: topic.to_owned(), topic_id, index, node };
        let dir = self.dir(topic, topic_id, index);
        let segment_bytes = self.plane.config.segment_bytes;
        let name = directory_name(topic, topic_id, index);
        let watermark = self.checkpoint.get(&name).copied().unwrap_or(0);
        let switches = Arc::clone(&self.switches);
        let opening = tokio::task::spawn_blocking(move || {
            recover(identity, &dir, segment_bytes, watermark, switches)
        });
        let partition = opening.await.map_err(io::Error::other)??;
        let partition = Arc::new(partition);
        let cancel = CancellationToken::new();
        let flushing = flush::run(Arc::clone(&partition), cancel.clone(), self.fatal.clone());
        tokio::spawn(flushing);
        let hosted = Hosted { partition: Arc::clone(&partition), cancel };
        let mut all = self.hosted.write().unwrap_or_else(PoisonError::into_inner);
        all.insert((topic.to_owned(), index), hosted);
        Ok(partition)
    }

    /// Proposes changes of in-sync sets while the lease holds.
    async fn keep_in_sync_sets(self: Arc<Self>) {
        let lag = self.plane.config.timings.replica_lag();
        loop {
            tokio::time::sleep(ISR_PERIOD).await;
            if !self.plane.lease.is_valid() {
                continue;
            }
            let image = self.plane.image();
            for partition in self.all() {
                let proposal = partition.isr_proposal(lag, |id| image.is_active(id));
                let Some(proposal) = proposal else { continue };
                let plane = Arc::clone(&self.plane);
                tokio::spawn(async move {
                    let epoch = proposal.leader_epoch;
                    let answer = plane.propose(Command::AlterPartition(proposal)).await;
                    let refused = matches!(answer, Ok(Outcome::Refused(_)));
                    partition.proposal_answered(epoch, refused, answer.is_err());
                });
            }
        }
    }

    async fn write_checkpoints(self: Arc<Self>) {
        let path = self.plane.config.data_dir.join(CHECKPOINT_FILE);
        let mut written = BTreeMap::new();
        loop {
            tokio::time::sleep(CHECKPOINT_PERIOD).await;
            let current: BTreeMap<String, i64> = self
                .all()
                .iter()
                .map(|p| (directory_name(&p.topic, p.topic_id, p.index), p.watermark()))
                .collect();
            // Before the first image the table is empty and would wipe out the last run's.
            if current.is_empty() || current == written {
                continue;
            }
            let (path, snapshot) = (path.clone(), current.clone());
            let writing = tokio::task::spawn_blocking(move || {
                let json = serde_json::to_vec(&snapshot)?;
                crate::log::replace_file(&path, &json)
            });
            match writing.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Ok(()) => written = current,
                Err(source) => self.storage_failed("high watermark checkpoint", &source),
            }
        }
    }
}

fn assign(
    assignments: &mut BTreeMap<u32, Vec<Assignment>>,
    node: u32,
    partition: &Arc<Partition>,
    metadata: &PartitionState,
) {
    if let Some(leader) = metadata.leader.filter(|leader| *leader != node) {
        let assignment =
            Assignment { partition: Arc::clone(partition), epoch: metadata.leader_epoch };
        assignments.entry(leader).or_default().push(assignment);
    }
}

fn read_checkpoint(path: &Path) -> io::Result<BTreeMap<String, i64>> {
    match fs::read(path) {
        Ok(json) => Ok(serde_json::from_slice(&json)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

/// Opens a log; under `forget-unsynced` it drops what the last run had not really synced.
fn recover(
    identity: Identity,
    dir: &Path,
    segment_bytes: u64,
    watermark: i64,
    switches: Arc<Switches>,
) -> io::Result<Partition> {
    let (mut log, dropped_bytes) = PartitionLog::open(dir, segment_bytes)?;
    let (topic, partition) = (identity.topic.as_str(), identity.index);
    let end_offset = log.end_offset();
    tracing::info!(topic, partition, end_offset, dropped_bytes, "{}", events::LOG_RECOVERED);
    if switches.lazy_sync_period().is_some() {
        let to = log.read_marker()?;
        if to < end_offset {
            log.truncate(to)?;
            let (from, to, reason) = (end_offset, log.end_offset(), "unsynced");
            tracing::warn!(topic, partition, from, to, reason, "{}", events::LOG_TRUNCATED);
        }
    }
    Ok(Partition::new(identity, log, watermark, switches))
}
