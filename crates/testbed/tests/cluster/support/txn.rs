//! Requests of transactions and groups, spoken directly.

use std::io;

use bytes::Bytes;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, FindCoordinatorRequest,
    GroupId, InitProducerIdRequest, OffsetCommitRequest, OffsetFetchRequest, ProducerId,
    TransactionalId, TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::RecordBatchDecoder;

use super::client::{Client, produce_request, topic_name};
use super::eventually;
use super::nodes::Cluster;

/// What a coordinator coordinates.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Coordinated {
    Group,
    Transaction,
}

/// A producer with a transactional id.
#[derive(Debug, Clone)]
pub(crate) struct Producer {
    pub(crate) id: String,
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
}

impl Producer {
    fn transactional_id(&self) -> TransactionalId {
        TransactionalId(StrBytes::from_string(self.id.clone()))
    }
}

impl Cluster {
    /// The node that coordinates a key.
    pub(crate) async fn coordinator(&self, key: &str, what: Coordinated) -> u32 {
        let request = FindCoordinatorRequest::default()
            .with_key(StrBytes::from_string(key.to_owned()))
            .with_key_type(match what {
                Coordinated::Group => 0,
                Coordinated::Transaction => 1,
            });
        eventually("a coordinator", || async {
            for id in self.configs.keys() {
                let Ok(mut client) = self.client(*id).await else { continue };
                let Ok(response) = client.call(&request, 2).await else { continue };
                if response.error_code == 0 {
                    return u32::try_from(response.node_id.0).ok();
                }
            }
            None
        })
        .await
    }

    /// A client of a key's coordinator.
    pub(crate) async fn coordinator_client(&self, key: &str, what: Coordinated) -> Client {
        eventually("a coordinator that lives", || async {
            let id = self.coordinator(key, what).await;
            self.client(id).await.ok()
        })
        .await
    }

    /// Makes a producer the only one with its transactional id.
    pub(crate) async fn init_producer(&self, id: &str, timeout_ms: i32) -> Producer {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(StrBytes::from_string(id.to_owned()))))
            .with_transaction_timeout_ms(timeout_ms)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        eventually("a producer id", || async {
            let mut client = self.coordinator_client(id, Coordinated::Transaction).await;
            let response = client.call(&request, 4).await.ok()?;
            (response.error_code == 0).then(|| Producer {
                id: id.to_owned(),
                producer_id: response.producer_id.0,
                epoch: response.producer_epoch,
            })
        })
        .await
    }

    /// Begins a transaction on partition 0 of topics, waiting while the one before is being ended.
    pub(crate) async fn begin(&self, producer: &Producer, topics: &[&str]) {
        eventually("a transaction", || async {
            let what = Coordinated::Transaction;
            let mut client = self.coordinator_client(&producer.id, what).await;
            let code = client.add_partitions(producer, topics).await.ok()?;
            (code == 0).then_some(())
        })
        .await;
    }

    /// Produces a value in a transaction until it is acknowledged.
    pub(crate) async fn produce_in(
        &self,
        producer: &Producer,
        topic: &str,
        sequence: i32,
        value: &str,
    ) -> i64 {
        eventually("an acknowledgement in a transaction", || async {
            let view = self.view_from(*self.running().first()?, topic).await?;
            let mut client = self.client(view.leader).await.ok()?;
            let (code, offset) =
                client.produce_in(producer, topic, sequence, &[value]).await.ok()?;
            (code == 0).then_some(offset)
        })
        .await
    }

    /// Ends a transaction; returns the error code.
    pub(crate) async fn end(&self, producer: &Producer, commit: bool) -> i16 {
        let what = Coordinated::Transaction;
        let mut client = self.coordinator_client(&producer.id, what).await;
        client.end_transaction(producer, commit).await.unwrap()
    }

    /// Commits an offset for a group within the producer's transaction, which begins if none is open.
    pub(crate) async fn commit_in(&self, producer: &Producer, group: &str, topic: &str, at: i64) {
        eventually("the group in the transaction", || async {
            let what = Coordinated::Transaction;
            let mut client = self.coordinator_client(&producer.id, what).await;
            (client.add_offsets(producer, group).await.ok()? == 0).then_some(())
        })
        .await;
        eventually("an offset in the transaction", || async {
            let mut client = self.coordinator_client(group, Coordinated::Group).await;
            let code = client.commit_offset_in(producer, group, topic, at).await.ok()?;
            (code == 0).then_some(())
        })
        .await;
    }

    /// One whole transaction of one value on each topic.
    pub(crate) async fn transact(
        &self,
        producer: &Producer,
        topics: &[&str],
        sequence: i32,
        value: &str,
        commit: bool,
    ) {
        self.begin(producer, topics).await;
        for topic in topics {
            self.produce_in(producer, topic, sequence, value).await;
        }
        assert_eq!(self.end(producer, commit).await, 0);
    }

    /// What a `read_committed` consumer is served of a topic from an offset on: the last stable
    /// offset, and the values after it skipped what it was told was aborted.
    pub(crate) async fn read_committed(&self, topic: &str, from: i64) -> (i64, Vec<String>) {
        eventually("a read", || async {
            let view = self.view_from(*self.running().first()?, topic).await?;
            let mut client = self.client(view.leader).await.ok()?;
            let data = client.fetch_committed(topic, from).await.ok()?;
            (data.error_code == 0).then(|| (data.last_stable_offset, visible(&data)))
        })
        .await
    }
}

/// The values that a `read_committed` consumer hands to its application.
pub(crate) fn visible(data: &PartitionData) -> Vec<String> {
    let mut aborted: Vec<(i64, i64)> = data
        .aborted_transactions
        .iter()
        .flatten()
        .map(|one| (one.producer_id.0, one.first_offset))
        .collect();
    let mut records: Bytes = data.records.clone().unwrap_or_default();
    let mut values = Vec::new();
    for record in
        RecordBatchDecoder::decode_all(&mut records).unwrap().into_iter().flat_map(|s| s.records)
    {
        let skips = |list: &[(i64, i64)]| {
            list.iter().position(|(id, first)| *id == record.producer_id && *first <= record.offset)
        };
        if record.control {
            if let Some(place) = skips(&aborted) {
                aborted.remove(place);
            }
        } else if !(record.transactional && skips(&aborted).is_some()) {
            values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
        }
    }
    values
}

impl Client {
    /// Error code of AddPartitionsToTxn for partition 0 of topics.
    pub(crate) async fn add_partitions(
        &mut self,
        producer: &Producer,
        topics: &[&str],
    ) -> io::Result<i16> {
        let topics = topics.iter().map(|topic| {
            AddPartitionsToTxnTopic::default().with_name(topic_name(topic)).with_partitions(vec![0])
        });
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(producer.transactional_id())
            .with_v3_and_below_producer_id(ProducerId(producer.producer_id))
            .with_v3_and_below_producer_epoch(producer.epoch)
            .with_v3_and_below_topics(topics.collect());
        let response = self.call(&request, 0).await?;
        let topic = &response.results_by_topic_v3_and_below[0];
        Ok(topic.results_by_partition[0].partition_error_code)
    }

    /// Error code of EndTxn.
    pub(crate) async fn end_transaction(
        &mut self,
        producer: &Producer,
        commit: bool,
    ) -> io::Result<i16> {
        Ok(self.call(&end_request(producer, commit), 1).await?.error_code)
    }

    /// Produces one transactional batch; returns the error code and the base offset.
    pub(crate) async fn produce_in(
        &mut self,
        producer: &Producer,
        topic: &str,
        sequence: i32,
        values: &[&str],
    ) -> io::Result<(i16, i64)> {
        let numbers = (producer.producer_id, producer.epoch, sequence);
        let mut request = produce_request(topic, -1, Some(numbers), values);
        request.transactional_id = Some(producer.transactional_id());
        let data = &mut request.topic_data[0].partition_data[0];
        data.records = Some(super::client::batch(Some(numbers), values, true));
        let response = self.call(&request, 9).await?;
        let partition = &response.responses[0].partition_responses[0];
        Ok((partition.error_code, partition.base_offset))
    }

    /// Commits one offset of a group for partition 0 of a topic; returns the error code.
    pub(crate) async fn commit_offset(
        &mut self,
        group: &str,
        (member, generation): (&str, i32),
        topic: &str,
        offset: i64,
    ) -> io::Result<i16> {
        let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
            .with_member_id(StrBytes::from_string(member.to_owned()))
            .with_generation_id_or_member_epoch(generation)
            .with_topics(vec![topic]);
        let response = self.call(&request, 7).await?;
        Ok(response.topics[0].partitions[0].error_code)
    }

    /// Adds a group's offsets to the producer's transaction; returns the error code.
    pub(crate) async fn add_offsets(
        &mut self,
        producer: &Producer,
        group: &str,
    ) -> io::Result<i16> {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(producer.transactional_id())
            .with_producer_id(ProducerId(producer.producer_id))
            .with_producer_epoch(producer.epoch)
            .with_group_id(GroupId(StrBytes::from_string(group.to_owned())));
        Ok(self.call(&request, 0).await?.error_code)
    }

    /// Commits one offset of a group for partition 0 of a topic in the producer's transaction; returns the error code.
    pub(crate) async fn commit_offset_in(
        &mut self,
        producer: &Producer,
        group: &str,
        topic: &str,
        offset: i64,
    ) -> io::Result<i16> {
        let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(offset);
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(producer.transactional_id())
            .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
            .with_producer_id(ProducerId(producer.producer_id))
            .with_producer_epoch(producer.epoch)
            .with_topics(vec![topic]);
        let response = self.call(&request, 2).await?;
        Ok(response.topics[0].partitions[0].error_code)
    }

    /// Error code and offset of OffsetFetch for partition 0 of a topic.
    pub(crate) async fn committed_offset(
        &mut self,
        group: &str,
        topic: &str,
    ) -> io::Result<(i16, i64)> {
        self.fetch_offset(group, topic, false).await
    }

    /// The same, unless an open transaction commits for it.
    pub(crate) async fn stable_offset(
        &mut self,
        group: &str,
        topic: &str,
    ) -> io::Result<(i16, i64)> {
        self.fetch_offset(group, topic, true).await
    }

    async fn fetch_offset(
        &mut self,
        group: &str,
        topic: &str,
        stable: bool,
    ) -> io::Result<(i16, i64)> {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partition_indexes(vec![0]);
        let request = OffsetFetchRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
            .with_topics(Some(vec![topic]))
            .with_require_stable(stable);
        let response = self.call(&request, 7).await?;
        if response.error_code != 0 {
            return Ok((response.error_code, -1));
        }
        let partition = &response.topics[0].partitions[0];
        Ok((partition.error_code, partition.committed_offset))
    }
}

/// EndTxn of a producer.
pub(crate) fn end_request(producer: &Producer, commit: bool) -> EndTxnRequest {
    EndTxnRequest::default()
        .with_transactional_id(producer.transactional_id())
        .with_producer_id(ProducerId(producer.producer_id))
        .with_producer_epoch(producer.epoch)
        .with_committed(commit)
}
