//! The follower's side of replication: one task for each other broker, which fetches all partitions
//! that this node follows there.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{BrokerId, FetchRequest, OffsetForLeaderEpochRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::{mpsc, watch};

use super::partition::Partition;
use crate::config::{HostPort, NodeConfig};
use crate::control::image::broker_id;
use crate::error::NodeError;
use crate::log::partition_log::AppendError;
use crate::wire::KafkaClient;

/// The last version of Fetch that names topics, is not flexible, and carries leader epochs.
const FETCH_VERSION: i16 = 11;

/// The last version of OffsetForLeaderEpoch that is not flexible.
const EPOCH_VERSION: i16 = 3;

/// Pause after a failure, and the longest wait while some partition is not ready.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// How long an answer may take beyond the wait that was asked for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

const PARTITION_MAX_BYTES: i32 = 4 * 1024 * 1024;
const MAX_BYTES: i32 = 16 * 1024 * 1024;

/// A partition that this node follows, in one leader epoch.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    pub(crate) partition: Arc<Partition>,
    pub(crate) epoch: i32,
}

impl Assignment {
    fn key(&self) -> (String, i32) {
        (self.partition.topic.clone(), self.partition.index)
    }

    fn topic_name(&self) -> TopicName {
        TopicName(StrBytes::from_string(self.partition.topic.clone()))
    }
}

/// The fetcher of one leader.
#[derive(Debug)]
pub(crate) struct Fetcher {
    config: Arc<NodeConfig>,
    leader: HostPort,
    delay: Option<Duration>,
    assignments: watch::Receiver<Vec<Assignment>>,
    fatal: mpsc::UnboundedSender<NodeError>,
    client: Option<KafkaClient>,
    /// In which leader epoch each partition was last brought into agreement with its leader.
    agreed: BTreeMap<(String, i32), i32>,
}

impl Fetcher {
    pub(crate) fn new(
        config: Arc<NodeConfig>,
        leader: HostPort,
        delay: Option<Duration>,
        assignments: watch::Receiver<Vec<Assignment>>,
        fatal: mpsc::UnboundedSender<NodeError>,
    ) -> Self {
        let (client, agreed) = (None, BTreeMap::new());
        Self { config, leader, delay, assignments, fatal, client, agreed }
    }

    /// Fetches until the manager goes away.
    pub(crate) async fn run(mut self) {
        let mut changes = self.assignments.clone();
        loop {
            let assignments = changes.borrow_and_update().clone();
            if assignments.is_empty() {
                self.client = None;
                if changes.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let result = tokio::select! {
                result = self.round(&assignments) => result,
                changed = changes.changed() => {
                    // An answer may be on its way; the connection cannot be used for another request.
                    self.client = None;
                    if changed.is_err() {
                        return;
                    }
                    continue;
                }
            };
            if let Err(error) = result {
                tracing::debug!(%error, leader = %self.leader, "replica fetch failed");
                self.client = None;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Brings new assignments into agreement with the leader, then fetches once.
    async fn round(&mut self, assignments: &[Assignment]) -> io::Result<()> {
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
        self.agree(assignments).await?;
        let mut ready = Vec::new();
        for assignment in assignments {
            let agreed = self.agreed.get(&assignment.key()) == Some(&assignment.epoch);
            let position = assignment.partition.fetch_position(assignment.epoch);
            if let (true, Some(position)) = (agreed, position) {
                ready.push((assignment, position));
            }
        }
        if ready.is_empty() {
            tokio::time::sleep(PAUSE).await;
            return Ok(());
        }
        let all = ready.len() == assignments.len();
        let wait = if all {
            Duration::from_millis(self.config.timings.replica_fetch_wait_ms)
        } else {
            PAUSE
        };
        self.fetch(&ready, wait).await
    }

    async fn call<R: kafka_protocol::protocol::Request>(
        &mut self,
        request: &R,
        version: i16,
        timeout: Duration,
    ) -> io::Result<R::Response> {
        // Taken out, so that a caller who drops this future drops the connection with it.
        let mut client = match self.client.take() {
            Some(client) => client,
            None => {
                let name = format!("replica-{}", self.config.node_id);
                let connecting = KafkaClient::connect(&self.leader, &name);
                tokio::time::timeout(CONNECT_TIMEOUT, connecting).await??
            }
        };
        let response = tokio::time::timeout(timeout, client.call(request, version)).await??;
        self.client = Some(client);
        Ok(response)
    }

    /// Truncates partitions whose leader epoch is new to them (KIP-101).
    async fn agree(&mut self, assignments: &[Assignment]) -> io::Result<()> {
        let mut asked = BTreeMap::new();
        let mut topics = Vec::new();
        for assignment in assignments {
            if self.agreed.get(&assignment.key()) == Some(&assignment.epoch) {
                continue;
            }
            let Some(newest) = assignment.partition.newest_epoch(assignment.epoch) else {
                // An empty log agrees with every other.
                self.agreed.insert(assignment.key(), assignment.epoch);
                continue;
            };
            let partition = OffsetForLeaderPartition::default()
                .with_partition(assignment.partition.index)
                .with_current_leader_epoch(assignment.epoch)
                .with_leader_epoch(newest);
            let topic = OffsetForLeaderTopic::default()
                .with_topic(assignment.topic_name())
                .with_partitions(vec![partition]);
            topics.push(topic);
            asked.insert(assignment.key(), assignment.clone());
        }
        if topics.is_empty() {
            return Ok(());
        }
        let request = OffsetForLeaderEpochRequest::default()
            .with_replica_id(BrokerId(broker_id(self.config.node_id)))
            .with_topics(topics);
        let response = self.call(&request, EPOCH_VERSION, ANSWER_TIMEOUT).await?;
        for topic in response.topics {
            for answer in topic.partitions {
                let key = (topic.topic.to_string(), answer.partition);
                let Some(assignment) = asked.get(&key) else { continue };
                if answer.error_code.is_err() {
                    // The leader has not heard of its election yet, or we have not of another.
                    continue;
                }
                let end = (answer.leader_epoch, answer.end_offset);
                match assignment.partition.truncate_to_leader(assignment.epoch, end) {
                    Ok(true) => {
                        self.agreed.insert(key, assignment.epoch);
                    }
                    Ok(false) => {}
                    Err(source) => self.fail(&assignment.partition, source),
                }
            }
        }
        Ok(())
    }

    async fn fetch(&mut self, ready: &[(&Assignment, i64)], wait: Duration) -> io::Result<()> {
        let topics = ready.iter().map(|(assignment, position)| {
            let partition = FetchPartition::default()
                .with_partition(assignment.partition.index)
                .with_current_leader_epoch(assignment.epoch)
                .with_fetch_offset(*position)
                .with_log_start_offset(assignment.partition.start_offset())
                .with_partition_max_bytes(PARTITION_MAX_BYTES);
            FetchTopic::default()
                .with_topic(assignment.topic_name())
                .with_partitions(vec![partition])
        });
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(broker_id(self.config.node_id)))
            .with_max_wait_ms(i32::try_from(wait.as_millis()).unwrap_or(i32::MAX))
            .with_min_bytes(1)
            .with_max_bytes(MAX_BYTES)
            .with_topics(topics.collect());
        let response = self.call(&request, FETCH_VERSION, wait + ANSWER_TIMEOUT).await?;
        let mut appended = Vec::new();
        let mut trouble = false;
        for topic in response.responses {
            for answer in topic.partitions {
                let found = ready.iter().map(|(assignment, _)| *assignment).find(|assignment| {
                    assignment.partition.topic == *topic.topic.0
                        && assignment.partition.index == answer.partition_index
                });
                let Some(assignment) = found else { continue };
                if let Some(error) = answer.error_code.err() {
                    tracing::debug!(%error, topic = %assignment.partition.topic, "fetch refused");
                    if error == ResponseError::OffsetOutOfRange {
                        assignment.partition.note_overlong();
                    }
                    self.agreed.remove(&assignment.key());
                    trouble = true;
                    continue;
                }
                let records = answer.records.unwrap_or_default();
                let (watermark, start) = (answer.high_watermark, answer.log_start_offset);
                let partition = &assignment.partition;
                match partition.replicate(assignment.epoch, &records, watermark, start) {
                    Ok(Some(end)) if !records.is_empty() => appended.push((assignment, end)),
                    Ok(_) => {}
                    Err(AppendError::Io(source)) => self.fail(&assignment.partition, source),
                    Err(error) => {
                        tracing::warn!(%error, topic = %assignment.partition.topic, "bad fetch");
                        self.agreed.remove(&assignment.key());
                        trouble = true;
                    }
                }
            }
        }
        for (assignment, end) in appended {
            wait_synced(&assignment.partition, end).await;
        }
        if trouble {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    fn fail(&self, partition: &Partition, source: io::Error) {
        let what = format!("partition {}-{}", partition.topic, partition.index);
        let _ = self.fatal.send(NodeError::Storage { what, source });
    }
}

/// Waits until the replica's disk holds everything below an offset or the log was cut below it.
async fn wait_synced(partition: &Partition, end: i64) {
    let mut progress = partition.progress();
    let done =
        |progress: &super::types::Progress| progress.synced >= end || progress.end_offset < end;
    // The sender lives as long as the partition.
    let _ = progress.wait_for(done).await;
}
