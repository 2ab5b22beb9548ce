//! Group and transaction coordinators.
//!
//! As in Apache Kafka, each group and each transactional id belongs to a partition of an internal
//! topic, and the broker that leads the partition coordinates it. What a coordinator answers rests on
//! records in that partition that are committed: a successor replays them and goes on.
//!
//! * [`shard`]: the state of one partition and how it is replayed.
//! * [`membership`]: one group's members and rebalances. [`offsets`]: committed offsets, and the state
//!   of a partition of `__consumer_offsets`. [`groups`]: what clients ask of a group.
//! * [`transactions`]: what clients ask of a transactional id, and the state of a partition of
//!   `__transaction_state`. [`completion`]: markers, and how they reach the logs.

pub(crate) mod completion;
pub(crate) mod groups;
pub(crate) mod membership;
pub(crate) mod offsets;
pub(crate) mod producer_ids;
pub(crate) mod shard;
pub(crate) mod transactions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::error::ResponseError;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use crate::bugs::Switches;
use crate::control::commands::{Command, CreateTopic};
use crate::control::image::MIN_INSYNC_REPLICAS;
use crate::control::plane::Plane;
use crate::replica::manager::ReplicaManager;
use offsets::GroupShard;
use producer_ids::ProducerIds;
use shard::Shards;
use transactions::TransactionShard;

/// The topic of groups and their committed offsets.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// The topic of transactional ids.
pub(crate) const TRANSACTIONS_TOPIC: &str = "__transaction_state";

/// Partitions of each internal topic. Few, because each replica is a file and a task; more than
/// nodes, so that every node coordinates something.
const PARTITIONS: u32 = 4;

/// How often coordinators look at what has timed out.
const TICK: Duration = Duration::from_millis(50);

/// How long a client waits for an internal topic to be created.
const CREATION_PATIENCE: Duration = Duration::from_secs(5);

/// The coordinators of this node.
#[derive(Debug)]
pub(crate) struct Coordinators {
    pub(crate) plane: Arc<Plane>,
    pub(crate) replicas: Arc<ReplicaManager>,
    pub(crate) switches: Arc<Switches>,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) groups: Shards<GroupShard>,
    pub(crate) transactions: Shards<TransactionShard>,
}

/// Whether clients may not write a topic themselves.
pub(crate) fn is_internal(topic: &str) -> bool {
    topic == OFFSETS_TOPIC || topic == TRANSACTIONS_TOPIC
}

/// The partition that a group or transactional id belongs to.
pub(crate) fn partition_of(key: &str) -> i32 {
    let hash = crc32c::crc32c(key.as_bytes()) % PARTITIONS;
    i32::try_from(hash).unwrap_or(0)
}

impl Coordinators {
    /// The coordinators, with the task that watches their clocks.
    pub(crate) fn start(
        plane: Arc<Plane>,
        replicas: Arc<ReplicaManager>,
        switches: Arc<Switches>,
    ) -> Arc<Self> {
        let coordinators = Arc::new(Self {
            plane,
            replicas,
            switches,
            producer_ids: ProducerIds::default(),
            groups: Shards::new(OFFSETS_TOPIC),
            transactions: Shards::new(TRANSACTIONS_TOPIC),
        });
        for index in 0..i32::try_from(PARTITIONS).unwrap_or(0) {
            tokio::spawn(Arc::clone(&coordinators).watch(index));
        }
        coordinators
    }

    /// Takes over partition `index` of both topics when this node leads them, and lets time pass.
    async fn watch(self: Arc<Self>, index: i32) {
        let mut ticker = tokio::time::interval(TICK);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticker.tick().await;
            if let Ok(shard) = self.groups.get(&self.plane, &self.replicas, index).await {
                shard.lock().tick(Instant::now());
            }
            let transactions = &self.transactions;
            if let Ok(shard) = transactions.get(&self.plane, &self.replicas, index).await {
                self.tick_transactions(&shard);
            }
        }
    }

    /// The broker that coordinates a key: id, host and port. Creates the internal topic if there is
    /// none yet.
    ///
    /// # Errors
    /// `COORDINATOR_NOT_AVAILABLE` while there is no topic or no leader.
    pub(crate) async fn find(
        &self,
        topic: &'static str,
        key: &str,
    ) -> Result<(u32, String, u16), ResponseError> {
        let unavailable = ResponseError::CoordinatorNotAvailable;
        if !self.plane.image().topics.contains_key(topic) {
            self.create(topic).await?;
        }
        let image = self.plane.image();
        let leader = image.partition(topic, partition_of(key)).and_then(|state| state.leader);
        let leader = leader.ok_or(unavailable)?;
        let broker = image.brokers.get(&leader).filter(|broker| !broker.fenced);
        let broker = broker.ok_or(unavailable)?;
        Ok((leader, broker.kafka.host.clone(), broker.kafka.port))
    }

    async fn create(&self, topic: &'static str) -> Result<(), ResponseError> {
        let nodes = u16::try_from(self.plane.config.peers.len()).unwrap_or(u16::MAX);
        let replication_factor = nodes.min(3);
        let min_insync = if replication_factor > 2 { "2" } else { "1" };
        let command = Command::CreateTopic(CreateTopic {
            name: topic.to_owned(),
            id: Uuid::new_v4(),
            partitions: PARTITIONS,
            replication_factor,
            configs: BTreeMap::from([(MIN_INSYNC_REPLICAS.to_owned(), min_insync.to_owned())]),
        });
        let deadline = Instant::now() + CREATION_PATIENCE;
        // That it exists already is as good.
        let proposed = self.plane.propose_until(&command, deadline).await;
        proposed.map_err(|_| ResponseError::CoordinatorNotAvailable)?;
        let mut images = self.plane.images();
        let known = images.wait_for(|image| image.topics.contains_key(topic));
        let wait = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(wait, known).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(ResponseError::CoordinatorNotAvailable),
        }
    }
}
