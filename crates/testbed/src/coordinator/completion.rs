//! Markers: how the end of a transaction reaches the partitions that it wrote.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, ProducerId, TopicName, TransactionalId, WriteTxnMarkersRequest,
};
use kafka_protocol::protocol::{Request, StrBytes};

use super::shard::{Shard, coordinator_error};
use super::transactions::{Phase, Producer, TopicPartition, Transaction, TransactionShard};
use super::{Coordinators, OFFSETS_TOPIC, TRANSACTIONS_TOPIC, partition_of};
use crate::log::batch::Marker;
use crate::log::now_ms;
use crate::wire::KafkaClient;

/// The version of WriteTxnMarkers that brokers speak to each other.
const MARKERS_VERSION: i16 = 1;

/// The version of AddPartitionsToTxn that can verify only.
const VERIFY_VERSION: i16 = 4;

/// The tag under which a marker's ordinal travels, beside the fields of Kafka's request.
pub(crate) const ORDINAL_TAG: i32 = 1_000;

/// How long one attempt to reach another broker may take.
const ATTEMPT: Duration = Duration::from_secs(1);

/// Pause between attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// What became of a marker.
enum Written {
    Done,
    /// Another coordinator is at work.
    Fenced,
    Again,
}

impl Coordinators {
    /// Writes the markers of a decided transaction, then notes that it is complete. Gives up only
    /// when another node coordinates; that one goes on.
    pub(super) async fn complete(
        self: Arc<Self>,
        shard: Arc<Shard<TransactionShard>>,
        id: String,
        transaction: Transaction,
    ) {
        // A marker that is written before the decision is committed might outlive it.
        loop {
            let Ok(offset) = shard.end() else { return };
            if shard.settled(&self.plane, offset).await.is_ok() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        let (count, ordinal) = (transaction.partitions.len(), transaction.ordinal);
        let markers = transaction.partitions.iter().enumerate().filter_map(|(index, partition)| {
            let last = index + 1 == count;
            // The one switch of Bug::HangingTransaction.
            if last && self.switches.hang(ordinal) {
                return None;
            }
            let mut commit = transaction.phase == Phase::Committing;
            // The one switch of Bug::TornEndTxn.
            if last && self.switches.tear(ordinal, count) {
                commit = false;
            }
            let marker = Marker { commit, coordinator_epoch: shard.epoch, ordinal };
            let producer = (transaction.producer_id, transaction.epoch);
            Some(self.write_everywhere(&shard, partition, producer, marker))
        });
        let done = join_all(markers).await.into_iter().all(|written| written);
        while done && shard.is_current() {
            let completed = {
                let mut state = shard.lock();
                state.completed(&shard, &id)
            };
            match completed {
                Ok(()) => return,
                Err(error) => tracing::debug!(%error, id, "transaction cannot be completed yet"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Tries until the marker is in the partition; false if another node coordinates.
    async fn write_everywhere(
        &self,
        shard: &Shard<TransactionShard>,
        partition: &TopicPartition,
        producer: (i64, i16),
        marker: Marker,
    ) -> bool {
        while shard.is_current() {
            match self.write_once(partition, producer, marker).await {
                Written::Done => return true,
                Written::Fenced => return false,
                Written::Again => tokio::time::sleep(PAUSE).await,
            }
        }
        false
    }

    async fn write_once(
        &self,
        (topic, index): &TopicPartition,
        producer: (i64, i16),
        marker: Marker,
    ) -> Written {
        let image = self.plane.image();
        let Some(state) = image.partition(topic, *index) else {
            // The topic was deleted, and with it what the transaction wrote there.
            return Written::Done;
        };
        let Some(leader) = state.leader else { return Written::Again };
        let result = if leader == self.plane.config.node_id {
            self.write_marker(topic, *index, producer, marker).await
        } else {
            self.send_marker(leader, (topic, *index), producer, marker).await
        };
        match result {
            Ok(()) => Written::Done,
            Err(ResponseError::TransactionCoordinatorFenced) => Written::Fenced,
            Err(ResponseError::InvalidProducerEpoch) => {
                tracing::warn!(topic, index, "a newer producer wrote before this marker");
                Written::Done
            }
            Err(error) => {
                tracing::debug!(%error, topic, index, "marker not written yet");
                Written::Again
            }
        }
    }

    /// Writes a marker into a partition that this node leads, and waits until it is committed.
    ///
    /// # Errors
    /// This node does not lead the partition, the coordinator or producer is fenced, or too few
    /// replicas are in sync.
    pub(crate) async fn write_marker(
        &self,
        topic: &str,
        index: i32,
        producer: (i64, i16),
        marker: Marker,
    ) -> Result<(), ResponseError> {
        if topic == OFFSETS_TOPIC {
            return self.end_offsets_transaction(index, producer, marker).await;
        }
        let partition =
            self.replicas.get(topic, index).ok_or(ResponseError::NotLeaderOrFollower)?;
        let ended = partition.end_transaction(producer, marker, now_ms(), None);
        let (appended, _) = ended.map_err(|error| coordinator_error(&error))?;
        let deadline = std::time::Instant::now() + ATTEMPT;
        partition.committed(appended, &self.plane.lease, deadline).await
    }

    async fn call<R: Request>(
        &self,
        node: u32,
        request: &R,
        version: i16,
    ) -> io::Result<R::Response> {
        let peer = self.plane.config.peers.iter().find(|peer| peer.id == node);
        let peer = peer.ok_or_else(|| io::Error::other("unknown node"))?;
        let name = format!("coordinator-{}", self.plane.config.node_id);
        let exchange = async {
            let mut client = KafkaClient::connect(&peer.kafka, &name).await?;
            client.call(request, version).await
        };
        tokio::time::timeout(ATTEMPT, exchange).await?
    }

    async fn send_marker(
        &self,
        leader: u32,
        (topic, index): (&str, i32),
        (producer_id, producer_epoch): (i64, i16),
        marker: Marker,
    ) -> Result<(), ResponseError> {
        let topic = WritableTxnMarkerTopic::default()
            .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_partition_indexes(vec![index]);
        let mut wanted = WritableTxnMarker::default()
            .with_producer_id(ProducerId(producer_id))
            .with_producer_epoch(producer_epoch)
            .with_transaction_result(marker.commit)
            .with_coordinator_epoch(marker.coordinator_epoch)
            .with_topics(vec![topic]);
        let ordinal = Bytes::copy_from_slice(&marker.ordinal.to_be_bytes());
        wanted.unknown_tagged_fields.insert(ORDINAL_TAG, ordinal);
        let request = WriteTxnMarkersRequest::default().with_markers(vec![wanted]);
        let response = self.call(leader, &request, MARKERS_VERSION).await;
        let response = response.map_err(|_| ResponseError::NetworkException)?;
        let results = response.markers.iter().flat_map(|marker| &marker.topics);
        let code = results.flat_map(|topic| &topic.partitions).next().map(|one| one.error_code);
        match code.and_then(|code| code.err()) {
            None if code.is_some() => Ok(()),
            error => Err(error.unwrap_or(ResponseError::UnknownServerError)),
        }
    }

    /// Asks the coordinator of a transactional id whether a partition belongs to its open
    /// transaction; here, if this node is the coordinator.
    ///
    /// # Errors
    /// It does not, the producer is fenced, or the coordinator does not answer.
    pub(crate) async fn verify(
        &self,
        producer: &Producer,
        partition: &TopicPartition,
    ) -> Result<(), ResponseError> {
        let index = partition_of(&producer.transactional_id);
        let image = self.plane.image();
        let state = image.partition(TRANSACTIONS_TOPIC, index);
        let leader = state.and_then(|state| state.leader);
        let leader = leader.ok_or(ResponseError::CoordinatorNotAvailable)?;
        if leader == self.plane.config.node_id {
            return self.verify_partition(producer, partition).await;
        }
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(TopicName(StrBytes::from_string(partition.0.clone())))
            .with_partitions(vec![partition.1]);
        let id = StrBytes::from_string(producer.transactional_id.clone());
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(TransactionalId(id))
            .with_producer_id(ProducerId(producer.producer_id))
            .with_producer_epoch(producer.epoch)
            .with_verify_only(true)
            .with_topics(vec![topic]);
        let request = AddPartitionsToTxnRequest::default().with_transactions(vec![transaction]);
        let response = self.call(leader, &request, VERIFY_VERSION).await;
        let response = response.map_err(|_| ResponseError::NetworkException)?;
        if let Some(error) = response.error_code.err() {
            return Err(error);
        }
        let topics = response.results_by_transaction.iter().flat_map(|one| &one.topic_results);
        let mut codes = topics.flat_map(|topic| &topic.results_by_partition);
        let code = codes.next().map(|one| one.partition_error_code);
        match code {
            Some(code) => code.err().map_or(Ok(()), Err),
            None => Err(ResponseError::UnknownServerError),
        }
    }
}
