//! Metadata, from the image that this node has applied.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::dispatch::Answer;
use super::{Context, Reply};
use crate::control::image::{Image, NO_LEADER, PartitionState, TopicState, broker_id};
use crate::coordinator;

/// What a broker answers that knows no leader epochs.
const NO_EPOCH: i32 = -1;

/// Answers Metadata. Topics are never created by it.
pub(super) fn handle(context: &Context, request: &MetadataRequest, answer: Answer) -> Reply {
    let image = context.plane.image();
    let everything = match &request.topics {
        None => true,
        Some(topics) => topics.is_empty() && answer.version == 0,
    };
    let topics = if everything {
        image.topics.iter().map(|(name, state)| describe(context, &image, name, state)).collect()
    } else {
        let wanted = request.topics.iter().flatten();
        wanted.map(|topic| find(context, &image, topic.name.as_ref(), topic.topic_id)).collect()
    };
    let controller = context.plane.controller_id().map_or(NO_LEADER, broker_id);
    let cluster = context.plane.config.cluster_id.clone();
    let response = MetadataResponse::default()
        .with_brokers(brokers(&image))
        .with_cluster_id(Some(StrBytes::from_string(cluster)))
        .with_controller_id(BrokerId(controller))
        .with_topics(topics);
    answer.with(&response)
}

/// The brokers that are not fenced.
fn brokers(image: &Image) -> Vec<MetadataResponseBroker> {
    let active = image.brokers.iter().filter(|(_, broker)| !broker.fenced);
    active
        .map(|(id, broker)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(broker_id(*id)))
                .with_host(StrBytes::from_string(broker.kafka.host.clone()))
                .with_port(i32::from(broker.kafka.port))
        })
        .collect()
}

fn find(
    context: &Context,
    image: &Image,
    name: Option<&TopicName>,
    id: Uuid,
) -> MetadataResponseTopic {
    let by_name = name.and_then(|name| image.topics.get_key_value(name.as_str()));
    let found = match name {
        Some(_) => by_name,
        None => image.topics.iter().find(|(_, state)| state.id == id),
    };
    match (found, name) {
        (Some((name, state)), _) => describe(context, image, name, state),
        (None, Some(name)) => MetadataResponseTopic::default()
            .with_error_code(ResponseError::UnknownTopicOrPartition.code())
            .with_name(Some(name.clone())),
        (None, None) => MetadataResponseTopic::default()
            .with_error_code(ResponseError::UnknownTopicId.code())
            .with_topic_id(id),
    }
}

fn describe(
    context: &Context,
    image: &Image,
    name: &str,
    state: &TopicState,
) -> MetadataResponseTopic {
    let partitions = (0..).zip(&state.partitions);
    // One of the switches of Bug::StaleLeader: who believes that it leads says so, and says no epoch.
    let believed = |index: i32, state: &PartitionState| {
        let partition = describe_partition(image, index, state);
        if !context.switches.read_without_lease() {
            return partition;
        }
        let here = context.replicas.get(name, index).is_some_and(|replica| replica.is_zombie());
        let me = BrokerId(broker_id(context.plane.config.node_id));
        let leader = if here { me } else { partition.leader_id };
        partition.with_leader_id(leader).with_leader_epoch(NO_EPOCH)
    };
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(name.to_owned()))))
        .with_topic_id(state.id)
        .with_is_internal(coordinator::is_internal(name))
        .with_partitions(partitions.map(|(index, p)| believed(index, p)).collect())
}

fn describe_partition(
    image: &Image,
    index: i32,
    state: &PartitionState,
) -> MetadataResponsePartition {
    let ids = |ids: &[u32]| ids.iter().map(|id| BrokerId(broker_id(*id))).collect::<Vec<_>>();
    let offline: Vec<u32> =
        state.replicas.iter().copied().filter(|id| !image.is_active(*id)).collect();
    let error_code = match state.leader {
        Some(_) => 0,
        None => ResponseError::LeaderNotAvailable.code(),
    };
    MetadataResponsePartition::default()
        .with_error_code(error_code)
        .with_partition_index(index)
        .with_leader_id(BrokerId(state.leader_id()))
        .with_leader_epoch(state.leader_epoch)
        .with_replica_nodes(ids(&state.replicas))
        .with_isr_nodes(ids(&state.isr))
        .with_offline_replicas(ids(&offline))
}
