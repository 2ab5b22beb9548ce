//! The requests of producers' transactions, and the markers that coordinators send.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse, EndTxnRequest, EndTxnResponse, InitProducerIdRequest,
    InitProducerIdResponse, ProducerId, TransactionalId, TxnOffsetCommitRequest,
    TxnOffsetCommitResponse, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};

use super::dispatch::Answer;
use super::groups::code;
use super::{Context, Reply};
use crate::coordinator::completion::ORDINAL_TAG;
use crate::coordinator::groups::Caller;
use crate::coordinator::offsets::Commit;
use crate::coordinator::transactions::{Producer, Refusal, TopicPartition};
use crate::coordinator::{OFFSETS_TOPIC, partition_of};
use crate::log::batch::Marker;

/// Clients of older versions know `PRODUCER_FENCED` as `INVALID_PRODUCER_EPOCH` (KIP-588).
fn known_to(error: ResponseError, version: i16, first: i16) -> ResponseError {
    match error {
        ResponseError::ProducerFenced if version < first => ResponseError::InvalidProducerEpoch,
        error => error,
    }
}

/// The error code of an answer; `None` if there is nobody to answer.
fn outcome(result: Result<(), Refusal>, version: i16) -> Option<i16> {
    match result {
        Ok(()) => Some(0),
        Err(Refusal::Error(error)) => Some(known_to(error, version, 2).code()),
        Err(Refusal::Late) => None,
    }
}

/// Answers InitProducerId: for an idempotent producer a new id at epoch 0, for a transactional id the
/// next epoch.
pub(super) async fn init_producer_id(
    context: Arc<Context>,
    request: InitProducerIdRequest,
    answer: Answer,
) -> Reply {
    let coordinators = &context.coordinators;
    let result = match &request.transactional_id {
        None => {
            let id = coordinators.producer_ids.next(&context.plane).await;
            id.map(|id| (id, 0)).ok_or(ResponseError::CoordinatorNotAvailable)
        }
        Some(id) => {
            let known = (request.producer_id.0, request.producer_epoch);
            let known = (answer.version >= 3 && known.0 >= 0).then_some(known);
            let timeout = request.transaction_timeout_ms;
            coordinators.init_producer(id, timeout, known, answer.connection).await
        }
    };
    let response = match result {
        Ok((id, epoch)) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(epoch),
        Err(error) => InitProducerIdResponse::default()
            .with_error_code(known_to(error, answer.version, 4).code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    };
    answer.with(&response)
}

fn places(topics: &[AddPartitionsToTxnTopic]) -> Vec<TopicPartition> {
    let one = |topic: &AddPartitionsToTxnTopic| {
        let name = topic.name.to_string();
        topic.partitions.iter().map(move |index| (name.clone(), *index)).collect::<Vec<_>>()
    };
    topics.iter().flat_map(one).collect()
}

fn results(
    topics: Vec<AddPartitionsToTxnTopic>,
    code: impl Fn(&str, i32) -> i16,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let one = |topic: AddPartitionsToTxnTopic| {
        let partitions = topic.partitions.iter().map(|index| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(code(&topic.name, *index))
        });
        let partitions = partitions.collect();
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name)
            .with_results_by_partition(partitions)
    };
    topics.into_iter().map(one).collect()
}

/// Answers AddPartitionsToTxn: from clients up to version 3, from other brokers, which only verify,
/// in version 4.
pub(super) async fn add_partitions(
    context: Arc<Context>,
    request: AddPartitionsToTxnRequest,
    answer: Answer,
) -> Reply {
    if answer.version >= 4 {
        return verify(context, request, answer).await;
    }
    let producer = Producer {
        transactional_id: request.v3_and_below_transactional_id.to_string(),
        producer_id: request.v3_and_below_producer_id.0,
        epoch: request.v3_and_below_producer_epoch,
        connection: answer.connection,
    };
    let topics = request.v3_and_below_topics;
    let wanted = places(&topics);
    let image = context.plane.image();
    let known = |topic: &str, index: i32| image.partition(topic, index).is_some();
    let response = if wanted.iter().all(|(topic, index)| known(topic, *index)) {
        let result = context.coordinators.add_partitions(&producer, wanted).await;
        let Some(code) = outcome(result, answer.version) else { return Reply::Close };
        results(topics, |_, _| code)
    } else {
        results(topics, |topic, index| {
            if known(topic, index) {
                ResponseError::OperationNotAttempted.code()
            } else {
                ResponseError::UnknownTopicOrPartition.code()
            }
        })
    };
    let response =
        AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(response);
    answer.with(&response)
}

async fn verify(
    context: Arc<Context>,
    request: AddPartitionsToTxnRequest,
    answer: Answer,
) -> Reply {
    let mut answers = Vec::new();
    for transaction in request.transactions {
        let producer = Producer {
            transactional_id: transaction.transactional_id.to_string(),
            producer_id: transaction.producer_id.0,
            epoch: transaction.producer_epoch,
            connection: answer.connection,
        };
        let mut result = Ok(());
        for place in places(&transaction.topics) {
            result = match result {
                Ok(()) if transaction.verify_only => {
                    context.coordinators.verify_partition(&producer, &place).await
                }
                Ok(()) => Err(ResponseError::InvalidRequest),
                error => error,
            };
        }
        let code = code(result);
        answers.push(
            AddPartitionsToTxnResult::default()
                .with_transactional_id(transaction.transactional_id)
                .with_topic_results(results(transaction.topics, |_, _| code)),
        );
    }
    answer.with(&AddPartitionsToTxnResponse::default().with_results_by_transaction(answers))
}

fn producer(id: &TransactionalId, producer: ProducerId, epoch: i16, connection: u64) -> Producer {
    let transactional_id = id.to_string();
    Producer { transactional_id, producer_id: producer.0, epoch, connection }
}

/// Answers AddOffsetsToTxn: the group's partition of `__consumer_offsets` joins the transaction.
pub(super) async fn add_offsets(
    context: Arc<Context>,
    request: AddOffsetsToTxnRequest,
    answer: Answer,
) -> Reply {
    let producer = producer(
        &request.transactional_id,
        request.producer_id,
        request.producer_epoch,
        answer.connection,
    );
    let place = (OFFSETS_TOPIC.to_owned(), partition_of(&request.group_id));
    let result = context.coordinators.add_partitions(&producer, vec![place]).await;
    let Some(code) = outcome(result, answer.version) else { return Reply::Close };
    answer.with(&AddOffsetsToTxnResponse::default().with_error_code(code))
}

/// Answers TxnOffsetCommit when the offsets are on enough replicas.
pub(super) async fn commit_offsets(
    context: Arc<Context>,
    request: TxnOffsetCommitRequest,
    answer: Answer,
) -> Reply {
    let producer = producer(
        &request.transactional_id,
        request.producer_id,
        request.producer_epoch,
        answer.connection,
    );
    let caller = Caller {
        group: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        generation: if answer.version >= 3 { request.generation_id } else { -1 },
    };
    let mut commits = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = (caller.group.clone(), topic.name.to_string(), partition.partition_index);
            let commit = Commit {
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.as_ref().map(ToString::to_string),
            };
            commits.push((key, commit));
        }
    }
    let place = (OFFSETS_TOPIC.to_owned(), partition_of(&caller.group));
    let result = match context.coordinators.verify(&producer, &place).await {
        Ok(()) => {
            let id = (producer.producer_id, producer.epoch);
            context.coordinators.commit_offsets(&caller, commits, Some(id)).await
        }
        // The transaction's coordinator, not the group's, is in transition.
        Err(ResponseError::NotCoordinator | ResponseError::NetworkException) => {
            Err(ResponseError::CoordinatorLoadInProgress)
        }
        Err(error) => Err(error),
    };
    let code = code(result.map_err(|error| known_to(error, answer.version, 3)));
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        let partitions = partitions.collect();
        TxnOffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    answer.with(&TxnOffsetCommitResponse::default().with_topics(topics.collect()))
}

/// Answers EndTxn when the transaction is decided.
pub(super) async fn end(context: Arc<Context>, request: EndTxnRequest, answer: Answer) -> Reply {
    let producer = producer(
        &request.transactional_id,
        request.producer_id,
        request.producer_epoch,
        answer.connection,
    );
    let commit = request.committed;
    // The one switch of Bug::UnorderedEndTxn.
    let ordinal = context.end_requests.fetch_add(1, Ordering::Relaxed) + 1;
    if let Some(delay) = context.switches.late_end(ordinal) {
        let coordinators = Arc::clone(&context.coordinators);
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let result = coordinators.end_transaction(&producer, commit).await;
            tracing::debug!(?result, "late EndTxn");
        });
        return Reply::Close;
    }
    let result = context.coordinators.end_transaction(&producer, commit).await;
    let Some(code) = outcome(result, answer.version) else { return Reply::Close };
    answer.with(&EndTxnResponse::default().with_error_code(code))
}

/// Answers WriteTxnMarkers, which only brokers send, when the markers are committed.
pub(super) async fn write_markers(
    context: Arc<Context>,
    request: WriteTxnMarkersRequest,
    answer: Answer,
) -> Reply {
    let mut markers = Vec::new();
    for wanted in request.markers {
        let ordinal = wanted.unknown_tagged_fields.get(&ORDINAL_TAG);
        let ordinal = ordinal.and_then(|bytes| <[u8; 8]>::try_from(&bytes[..]).ok());
        let marker = ordinal.map(|ordinal| Marker {
            commit: wanted.transaction_result,
            coordinator_epoch: wanted.coordinator_epoch,
            ordinal: i64::from_be_bytes(ordinal),
        });
        let producer = (wanted.producer_id.0, wanted.producer_epoch);
        let mut topics = Vec::new();
        for topic in wanted.topics {
            let mut partitions = Vec::new();
            for index in topic.partition_indexes {
                let result = match marker {
                    Some(marker) => {
                        let name = topic.name.as_str();
                        context.coordinators.write_marker(name, index, producer, marker).await
                    }
                    None => Err(ResponseError::InvalidRequest),
                };
                partitions.push(
                    WritableTxnMarkerPartitionResult::default()
                        .with_partition_index(index)
                        .with_error_code(code(result)),
                );
            }
            topics.push(
                WritableTxnMarkerTopicResult::default()
                    .with_name(topic.name)
                    .with_partitions(partitions),
            );
        }
        markers.push(
            WritableTxnMarkerResult::default()
                .with_producer_id(wanted.producer_id)
                .with_topics(topics),
        );
    }
    answer.with(&WriteTxnMarkersResponse::default().with_markers(markers))
}
