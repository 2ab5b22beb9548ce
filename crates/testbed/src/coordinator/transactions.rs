//! What clients ask of a transactional id, and the state of one partition of `__transaction_state`.
//!
//! The states are Kafka's (KIP-98). A transaction is decided when the record that says so is
//! committed; markers follow, and only then may the next one begin. Each transaction of an id has an
//! ordinal, which markers carry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::error::ResponseError;
use serde::{Deserialize, Serialize};

use super::shard::{Replay, Shard};
use super::{Coordinators, partition_of};
use crate::events;
use crate::log::batch::BatchHeader;
use crate::log::records::RecordView;

/// Longest transaction timeout (Kafka's `transaction.max.timeout.ms`).
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// A topic and a partition.
pub(crate) type TopicPartition = (String, i32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// No transaction since the producer got its epoch.
    #[default]
    Empty,
    Ongoing,
    /// Decided; markers are being written.
    Committing,
    Aborting,
    /// All markers are written.
    Committed,
    Aborted,
}

impl Phase {
    /// Whether markers are being written.
    pub(crate) fn is_ending(self) -> bool {
        matches!(self, Self::Committing | Self::Aborting)
    }
}

/// A transactional id.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Transaction {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    /// The epoch before; a producer that asks for a new one again still has it (KIP-360).
    previous_epoch: i16,
    timeout_ms: u64,
    /// Counts transactions.
    pub(crate) ordinal: i64,
    pub(crate) phase: Phase,
    pub(crate) partitions: BTreeSet<TopicPartition>,
    /// When this node saw it begin.
    #[serde(skip)]
    began: Option<Instant>,
    /// A task is writing markers.
    #[serde(skip)]
    pub(crate) completing: bool,
    /// The newest connection on which the current producer was heard.
    #[serde(skip)]
    connection: u64,
}

/// The transactional ids of one partition of `__transaction_state`.
#[derive(Debug, Default)]
pub(crate) struct TransactionShard {
    pub(crate) ids: BTreeMap<String, Transaction>,
}

impl Replay for TransactionShard {
    fn replay(&mut self, _: &BatchHeader, records: &[RecordView<'_>]) {
        for record in records {
            let (Some(key), Some(value)) = (record.key, record.value) else { continue };
            match (std::str::from_utf8(key), serde_json::from_slice::<Transaction>(value)) {
                (Ok(id), Ok(transaction)) => {
                    self.ids.insert(id.to_owned(), transaction);
                }
                _ => tracing::error!("unknown record in {}", super::TRANSACTIONS_TOPIC),
            }
        }
    }
}

/// Who asks: the transactional id, the producer, and on which connection.
#[derive(Debug, Clone)]
pub(crate) struct Producer {
    pub(crate) transactional_id: String,
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) connection: u64,
}

/// Why a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Error(ResponseError),
    /// The same producer has spoken on a newer connection meanwhile, so nobody waits for an answer,
    /// and what the request wanted may be about an earlier transaction (KAFKA-17754).
    Late,
}

impl From<ResponseError> for Refusal {
    fn from(error: ResponseError) -> Self {
        Self::Error(error)
    }
}

type TransactionsOf = Arc<Shard<TransactionShard>>;

impl TransactionShard {
    /// Writes a transactional id's new state and takes it over; returns the offset to wait for.
    fn store(
        &mut self,
        shard: &Shard<Self>,
        id: &str,
        next: Transaction,
    ) -> Result<i64, ResponseError> {
        let json = serde_json::to_vec(&next).map_err(|_| ResponseError::UnknownServerError)?;
        let offset = shard.append(self, &[(id.as_bytes().to_vec(), Some(json))], None)?;
        self.ids.insert(id.to_owned(), next);
        Ok(offset)
    }

    /// The state of the producer's transactional id, if the producer is the current one and this
    /// request is not older than others of it.
    fn current(
        &mut self,
        producer: &Producer,
        ignore_fencing: bool,
        accept_late: bool,
    ) -> Result<Transaction, Refusal> {
        let known = self.ids.get_mut(&producer.transactional_id);
        let known = known.ok_or(ResponseError::InvalidProducerIdMapping)?;
        if known.producer_id != producer.producer_id {
            return Err(ResponseError::InvalidProducerIdMapping.into());
        }
        // One of the switches of Bug::FencingIgnored; the other is in the logs.
        if producer.epoch != known.epoch && !ignore_fencing {
            return Err(ResponseError::ProducerFenced.into());
        }
        if producer.connection < known.connection && !accept_late && !ignore_fencing {
            return Err(Refusal::Late);
        }
        known.connection = known.connection.max(producer.connection);
        Ok(known.clone())
    }
}

/// What InitProducerId finds.
enum Init {
    /// This producer id and epoch, when the log is committed up to the offset.
    Ready((i64, i16), i64),
    /// A new producer id is needed.
    NeedsId,
    /// Markers have to be written first.
    Busy,
}

impl Coordinators {
    async fn transaction_shard(&self, id: &str) -> Result<TransactionsOf, ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        self.transactions.get(&self.plane, &self.replicas, partition_of(id)).await
    }

    /// Makes the caller the only producer of a transactional id, and ends what its predecessor left
    /// open. `known` is what the caller has already, if anything (KIP-360).
    ///
    /// # Errors
    /// This node does not coordinate the id, a transaction is still being ended, or the caller is
    /// fenced itself.
    pub(crate) async fn init_producer(
        self: &Arc<Self>,
        id: &str,
        timeout_ms: i32,
        known: Option<(i64, i16)>,
        connection: u64,
    ) -> Result<(i64, i16), ResponseError> {
        let timeout_ms = u64::try_from(timeout_ms).unwrap_or(0);
        if timeout_ms == 0 || Duration::from_millis(timeout_ms) > LONGEST {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        let shard = self.transaction_shard(id).await?;
        let mut fresh = None;
        for _ in 0..2 {
            match self.try_init(&shard, id, (timeout_ms, connection), known, fresh)? {
                Init::Ready(producer, offset) => {
                    shard.settled(&self.plane, offset).await?;
                    return Ok(producer);
                }
                Init::Busy => {
                    self.tick_transactions(&shard);
                    return Err(ResponseError::ConcurrentTransactions);
                }
                Init::NeedsId => {
                    let id = self.producer_ids.next(&self.plane).await;
                    fresh = Some(id.ok_or(ResponseError::CoordinatorNotAvailable)?);
                }
            }
        }
        Err(ResponseError::ConcurrentTransactions)
    }

    fn try_init(
        &self,
        shard: &Shard<TransactionShard>,
        id: &str,
        (timeout_ms, connection): (u64, u64),
        known: Option<(i64, i16)>,
        fresh: Option<i64>,
    ) -> Result<Init, ResponseError> {
        let mut state = shard.lock();
        let mut next = state.ids.get(id).cloned().unwrap_or_default();
        let is_new = !state.ids.contains_key(id);
        if let Some((producer_id, epoch)) = known.filter(|_| !is_new) {
            if producer_id != next.producer_id {
                return Err(ResponseError::InvalidProducerIdMapping);
            }
            let again = epoch == next.previous_epoch && next.phase == Phase::Empty;
            if again && epoch < next.epoch {
                return Ok(Init::Ready((next.producer_id, next.epoch), shard.end()?));
            }
            // The epoch before is that of a producer whose own transaction was just aborted here,
            // because it asked for a new epoch with the transaction open, or was too slow.
            let own = epoch == next.epoch || epoch == next.previous_epoch;
            if !own && !self.switches.ignore_fencing() {
                return Err(ResponseError::ProducerFenced);
            }
        }
        if next.phase.is_ending() {
            return Ok(Init::Busy);
        }
        if next.phase == Phase::Ongoing && !self.switches.ignore_fencing() {
            state.abort_and_fence(shard, id)?;
            return Ok(Init::Busy);
        }
        if is_new || next.epoch >= i16::MAX - 1 {
            let Some(producer_id) = fresh else { return Ok(Init::NeedsId) };
            next = Transaction { producer_id, previous_epoch: -1, ..Transaction::default() };
        } else {
            next.previous_epoch = next.epoch;
            next.epoch += 1;
            if next.phase != Phase::Ongoing {
                next.phase = Phase::Empty;
                next.partitions.clear();
            }
        }
        next.timeout_ms = timeout_ms;
        next.connection = connection;
        let producer = (next.producer_id, next.epoch);
        let offset = state.store(shard, id, next)?;
        Ok(Init::Ready(producer, offset))
    }

    fn current(
        &self,
        state: &mut TransactionShard,
        producer: &Producer,
    ) -> Result<Transaction, Refusal> {
        let switches = &self.switches;
        state.current(producer, switches.ignore_fencing(), switches.accept_late_requests())
    }

    /// Adds partitions to the producer's transaction, which begins if none is open.
    ///
    /// # Errors
    /// This node does not coordinate the id, the producer is fenced, the transaction before is still
    /// being ended, or the request comes late.
    pub(crate) async fn add_partitions(
        &self,
        producer: &Producer,
        partitions: Vec<TopicPartition>,
    ) -> Result<(), Refusal> {
        let shard = self.transaction_shard(&producer.transactional_id).await?;
        let offset = self.try_add(&shard, producer, partitions)?;
        Ok(shard.settled(&self.plane, offset).await?)
    }

    fn try_add(
        &self,
        shard: &Shard<TransactionShard>,
        producer: &Producer,
        partitions: Vec<TopicPartition>,
    ) -> Result<i64, Refusal> {
        let mut state = shard.lock();
        let mut next = self.current(&mut state, producer)?;
        if next.phase.is_ending() {
            return Err(ResponseError::ConcurrentTransactions.into());
        }
        if next.phase != Phase::Ongoing {
            next.phase = Phase::Ongoing;
            next.ordinal += 1;
            next.partitions.clear();
            next.began = Some(Instant::now());
        } else if partitions.iter().all(|one| next.partitions.contains(one)) {
            return Ok(shard.end()?);
        }
        next.partitions.extend(partitions);
        Ok(state.store(shard, &producer.transactional_id, next)?)
    }

    /// Whether a partition belongs to the producer's open transaction, which its leader asks before
    /// it appends the transaction's first batch (KIP-890). Returns nothing else, because a leader
    /// that asks does not speak for the producer's connection.
    ///
    /// # Errors
    /// It does not (`INVALID_TXN_STATE`), the producer is fenced, or this node does not coordinate
    /// the id.
    pub(crate) async fn verify_partition(
        &self,
        producer: &Producer,
        partition: &TopicPartition,
    ) -> Result<(), ResponseError> {
        let shard = self.transaction_shard(&producer.transactional_id).await?;
        let offset = {
            let state = shard.lock();
            let known = state.ids.get(&producer.transactional_id);
            let known = known.filter(|known| known.producer_id == producer.producer_id);
            let known = known.ok_or(ResponseError::InvalidProducerIdMapping)?;
            if known.epoch != producer.epoch && !self.switches.ignore_fencing() {
                return Err(ResponseError::InvalidProducerEpoch);
            }
            if known.phase != Phase::Ongoing || !known.partitions.contains(partition) {
                return Err(ResponseError::InvalidTxnState);
            }
            shard.end()?
        };
        shard.settled(&self.plane, offset).await
    }

    /// Commits or aborts the producer's transaction. When this returns it is decided; markers follow.
    ///
    /// # Errors
    /// This node does not coordinate the id, the producer is fenced, there is no such transaction, it
    /// is still being ended, or the request comes late.
    pub(crate) async fn end_transaction(
        self: &Arc<Self>,
        producer: &Producer,
        commit: bool,
    ) -> Result<(), Refusal> {
        let shard = self.transaction_shard(&producer.transactional_id).await?;
        let offset = self.try_end(&shard, producer, commit)?;
        shard.settled(&self.plane, offset).await?;
        self.tick_transactions(&shard);
        Ok(())
    }

    fn try_end(
        &self,
        shard: &Shard<TransactionShard>,
        producer: &Producer,
        commit: bool,
    ) -> Result<i64, Refusal> {
        let mut state = shard.lock();
        let mut next = self.current(&mut state, producer)?;
        match (next.phase, commit) {
            (Phase::Ongoing, _) => {}
            (Phase::Committing, true) | (Phase::Aborting, false) => {
                return Err(ResponseError::ConcurrentTransactions.into());
            }
            (Phase::Committed, true) | (Phase::Aborted, false) => return Ok(shard.end()?),
            _ => return Err(ResponseError::InvalidTxnState.into()),
        }
        next.phase = if commit { Phase::Committing } else { Phase::Aborting };
        Ok(state.store(shard, &producer.transactional_id, next)?)
    }

    /// Aborts what is open for too long, and writes the markers of what is decided.
    pub(crate) fn tick_transactions(self: &Arc<Self>, shard: &TransactionsOf) {
        let mut state = shard.lock();
        let mut expired = Vec::new();
        for (id, transaction) in &mut state.ids {
            if transaction.phase == Phase::Ongoing {
                // A successor counts from when it took over.
                let began = *transaction.began.get_or_insert_with(Instant::now);
                if began.elapsed() > Duration::from_millis(transaction.timeout_ms) {
                    expired.push(id.clone());
                }
            }
        }
        for id in expired {
            tracing::warn!(id, "{}", events::TRANSACTION_TIMED_OUT);
            if let Err(error) = state.abort_and_fence(shard, &id) {
                tracing::debug!(%error, id, "timed-out transaction cannot be aborted yet");
            }
        }
        for (id, transaction) in &mut state.ids {
            if transaction.phase.is_ending() && !transaction.completing {
                transaction.completing = true;
                let (coordinators, shard) = (Arc::clone(self), Arc::clone(shard));
                let (id, transaction) = (id.clone(), transaction.clone());
                tokio::spawn(coordinators.complete(shard, id, transaction));
            }
        }
    }
}

impl TransactionShard {
    /// Aborts the open transaction of an id whose producer is gone, and fences that producer.
    fn abort_and_fence(&mut self, shard: &Shard<Self>, id: &str) -> Result<i64, ResponseError> {
        let mut next = self.ids.get(id).cloned().unwrap_or_default();
        next.phase = Phase::Aborting;
        next.previous_epoch = next.epoch;
        next.epoch = next.epoch.saturating_add(1);
        self.store(shard, id, next)
    }

    /// All markers of a transaction are written.
    ///
    /// # Errors
    /// The log cannot be written.
    pub(crate) fn completed(&mut self, shard: &Shard<Self>, id: &str) -> Result<(), ResponseError> {
        let Some(mut next) = self.ids.get(id).cloned() else { return Ok(()) };
        next.phase =
            if next.phase == Phase::Committing { Phase::Committed } else { Phase::Aborted };
        next.partitions.clear();
        next.completing = false;
        self.store(shard, id, next).map(drop)
    }
}
