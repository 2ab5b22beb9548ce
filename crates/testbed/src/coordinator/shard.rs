//! What a coordinator keeps of one partition of its internal topic: the state that replaying the
//! partition's log gives, held by whoever leads the partition, for one leader epoch.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kafka_protocol::error::ResponseError;

use crate::control::plane::Plane;
use crate::log::batch::{self, BatchHeader};
use crate::log::now_ms;
use crate::log::partition_log::LOG_START;
use crate::log::records::{self, KeyValue, RecordView};
use crate::replica::manager::ReplicaManager;
use crate::replica::partition::Partition;
use crate::replica::types::{Appended, Conditions, ReplicaError};

/// How long a request waits for a coordinator that takes over, and then for its own commit.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes that are replayed at a time.
const REPLAY_BYTES: usize = 1024 * 1024;

/// State that a log determines.
pub(crate) trait Replay: Default + Debug {
    /// Takes one batch into the state. The records of control batches are not given.
    fn replay(&mut self, header: &BatchHeader, records: &[RecordView<'_>]);
}

/// The state of one partition in one leader epoch of this node.
#[derive(Debug)]
pub(crate) struct Shard<S> {
    pub(crate) partition: Arc<Partition>,
    pub(crate) epoch: i32,
    state: Mutex<S>,
}

/// An error as coordinators tell it: clients then look for the coordinator again, or retry.
pub(crate) fn coordinator_error(error: &ReplicaError) -> ResponseError {
    match error {
        ReplicaError::Kafka(
            ResponseError::NotLeaderOrFollower | ResponseError::UnknownTopicOrPartition,
        ) => ResponseError::NotCoordinator,
        ReplicaError::Kafka(
            ResponseError::NotEnoughReplicas
            | ResponseError::NotEnoughReplicasAfterAppend
            | ResponseError::RequestTimedOut,
        ) => ResponseError::CoordinatorNotAvailable,
        ReplicaError::Kafka(error) => *error,
        ReplicaError::Storage(_) => ResponseError::KafkaStorageError,
    }
}

impl<S: Replay> Shard<S> {
    /// The state.
    pub(crate) fn lock(&self) -> MutexGuard<'_, S> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this node still leads in the epoch of this shard.
    pub(crate) fn is_current(&self) -> bool {
        self.partition.progress().borrow().leading == Some(self.epoch)
    }

    /// Appends records to the partition, in the order of the changes to the state: the caller holds
    /// the lock, which `_held` shows. Returns the offset to wait for.
    ///
    /// # Errors
    /// Another node coordinates by now, too few replicas are in sync, or the producer is fenced.
    pub(crate) fn append(
        &self,
        _held: &S,
        records: &[KeyValue],
        transaction: Option<(i64, i16)>,
    ) -> Result<i64, ResponseError> {
        let bytes = records::encode(records, now_ms(), transaction);
        let header = batch::check(&bytes).map_err(|_| ResponseError::UnknownServerError)?;
        let conditions =
            Conditions { acks_all: true, only_in: Some(self.epoch), ..Conditions::default() };
        let appended = self.partition.produce(&bytes, &header, conditions);
        appended.map(|done| done.last_offset).map_err(|error| coordinator_error(&error))
    }

    /// Waits until everything up to an offset is committed; only then may an answer rest on it.
    ///
    /// # Errors
    /// Another node coordinates by now, or it took too long.
    pub(crate) async fn settled(&self, plane: &Plane, offset: i64) -> Result<(), ResponseError> {
        let (base_offset, last_offset, epoch) = (offset, offset, self.epoch);
        let appended = Appended { base_offset, last_offset, epoch };
        let deadline = Instant::now() + PATIENCE;
        let waiting = self.partition.committed(appended, &plane.lease, deadline);
        waiting.await.map_err(|error| coordinator_error(&error.into()))
    }

    /// The offset that an answer which reads the state rests on.
    ///
    /// # Errors
    /// Another node coordinates by now.
    pub(crate) fn end(&self) -> Result<i64, ResponseError> {
        self.partition.last_offset(self.epoch).map_err(|error| coordinator_error(&error))
    }
}

type Slot<S> = Arc<tokio::sync::Mutex<Option<Arc<Shard<S>>>>>;

/// The shards of one internal topic on this node.
#[derive(Debug)]
pub(crate) struct Shards<S> {
    topic: &'static str,
    slots: Mutex<BTreeMap<i32, Slot<S>>>,
}

impl<S: Replay> Shards<S> {
    pub(crate) fn new(topic: &'static str) -> Self {
        Self { topic, slots: Mutex::new(BTreeMap::new()) }
    }

    /// The shard of a partition, replayed if this node has just begun to lead it.
    ///
    /// # Errors
    /// `NOT_COORDINATOR`, or `COORDINATOR_LOAD_IN_PROGRESS`.
    pub(crate) async fn get(
        &self,
        plane: &Plane,
        replicas: &ReplicaManager,
        index: i32,
    ) -> Result<Arc<Shard<S>>, ResponseError> {
        if !plane.lease.is_valid() {
            return Err(ResponseError::NotCoordinator);
        }
        let partition = replicas.get(self.topic, index).ok_or(ResponseError::NotCoordinator)?;
        let leading = partition.progress().borrow().leading;
        let epoch = leading.ok_or(ResponseError::NotCoordinator)?;
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(index).or_default())
        };
        let mut held = tokio::time::timeout(PATIENCE, slot.lock())
            .await
            .map_err(|_| ResponseError::CoordinatorLoadInProgress)?;
        if let Some(shard) = held.as_ref().filter(|shard| shard.epoch == epoch) {
            return Ok(Arc::clone(shard));
        }
        let shard = Arc::new(load(plane, partition, epoch).await?);
        *held = Some(Arc::clone(&shard));
        Ok(shard)
    }
}

/// Waits until what earlier leaders left is committed, then replays it.
async fn load<S: Replay>(
    plane: &Plane,
    partition: Arc<Partition>,
    epoch: i32,
) -> Result<Shard<S>, ResponseError> {
    let failed = |error: ReplicaError| coordinator_error(&error);
    let shard = Shard { partition, epoch, state: Mutex::new(S::default()) };
    shard.settled(plane, shard.end()?).await.map_err(|error| match error {
        ResponseError::CoordinatorNotAvailable => ResponseError::CoordinatorLoadInProgress,
        error => error,
    })?;
    let mut offset = LOG_START;
    loop {
        let bytes = shard.partition.read_own(epoch, offset, REPLAY_BYTES).map_err(failed)?;
        if bytes.is_empty() {
            let (topic, index) = (&shard.partition.topic, shard.partition.index);
            tracing::info!(topic, index, epoch, offset, "{}", crate::events::COORDINATOR_LOADED);
            return Ok(shard);
        }
        let mut state = shard.lock();
        for (header, batch) in records::batches(&bytes) {
            offset = header.next_offset();
            let found = if header.is_control() { Vec::new() } else { records::records(batch) };
            state.replay(&header, &found);
        }
    }
}
