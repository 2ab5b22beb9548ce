//! The cluster metadata and how commands change it.
//!
//! [`Image::apply`] is pure and deterministic: every node that applied the same log holds the same
//! image. Elections happen here, as a consequence of fencing and unfencing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::commands::{AlterPartition, Command, CreateTopic, Outcome, Refusal};
use crate::config::HostPort;

/// Kafka's number for "no leader".
pub(crate) const NO_LEADER: i32 = -1;

/// Topic setting: how many in-sync replicas `acks=all` needs.
pub(crate) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// Topic setting: whether a replica outside the in-sync set may lead when no other is left.
pub(crate) const UNCLEAN_ELECTION: &str = "unclean.leader.election.enable";

/// Topic setting: `delete`, or `compact` for topics of which each key's last value is kept.
pub(crate) const CLEANUP_POLICY: &str = "cleanup.policy";

/// Topic setting: how long compaction keeps tombstones, in milliseconds.
pub(crate) const DELETE_RETENTION: &str = "delete.retention.ms";

/// Kafka's default of [`DELETE_RETENTION`].
const DELETE_RETENTION_DEFAULT: i64 = 86_400_000;

/// A registered broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BrokerState {
    pub(crate) kafka: HostPort,
    /// Names one run of the process.
    pub(crate) incarnation: Uuid,
    /// The Raft index of the registration.
    pub(crate) broker_epoch: u64,
    pub(crate) fenced: bool,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartitionState {
    pub(crate) replicas: Vec<u32>,
    pub(crate) isr: Vec<u32>,
    pub(crate) leader: Option<u32>,
    /// Counts elections.
    pub(crate) leader_epoch: i32,
    /// Counts all changes.
    pub(crate) partition_epoch: i32,
}

impl PartitionState {
    /// The leader's id as Kafka's protocol has it.
    pub(crate) fn leader_id(&self) -> i32 {
        self.leader.map_or(NO_LEADER, broker_id)
    }
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TopicState {
    pub(crate) id: Uuid,
    pub(crate) configs: BTreeMap<String, String>,
    pub(crate) partitions: Vec<PartitionState>,
}

impl TopicState {
    /// The value of a boolean setting; false if it is absent.
    fn flag(&self, name: &str) -> bool {
        self.configs.get(name).is_some_and(|value| value == "true")
    }

    /// Whether it is compacted.
    pub(crate) fn is_compacted(&self) -> bool {
        self.configs.get(CLEANUP_POLICY).is_some_and(|value| value == "compact")
    }

    /// How long tombstones stay, in milliseconds.
    pub(crate) fn delete_retention_ms(&self) -> i64 {
        let set = self.configs.get(DELETE_RETENTION).and_then(|value| value.parse().ok());
        set.unwrap_or(DELETE_RETENTION_DEFAULT)
    }

    /// `min.insync.replicas` of this topic, if set.
    pub(crate) fn min_insync_replicas(&self) -> Option<usize> {
        self.configs.get(MIN_INSYNC_REPLICAS).and_then(|value| value.parse().ok())
    }
}

/// All cluster metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    pub(crate) brokers: BTreeMap<u32, BrokerState>,
    pub(crate) topics: BTreeMap<String, TopicState>,
    pub(crate) next_producer_id: i64,
    /// The Raft index of the last command applied.
    pub(crate) applied_index: u64,
    /// The Raft index of the last command that changed any partition's leader or any fencing.
    pub(crate) leadership_index: u64,
}

/// A node id as Kafka's protocol has it; configuration checks that it fits.
pub(crate) fn broker_id(id: u32) -> i32 {
    i32::try_from(id).unwrap_or(i32::MAX)
}

impl Image {
    /// Whether the broker is registered and not fenced.
    pub(crate) fn is_active(&self, id: u32) -> bool {
        self.brokers.get(&id).is_some_and(|broker| !broker.fenced)
    }

    /// The number of unfenced brokers.
    pub(crate) fn active_brokers(&self) -> usize {
        self.brokers.values().filter(|broker| !broker.fenced).count()
    }

    /// One partition of one topic.
    pub(crate) fn partition(&self, topic: &str, partition: i32) -> Option<&PartitionState> {
        let index = usize::try_from(partition).ok()?;
        self.topics.get(topic)?.partitions.get(index)
    }

    /// Applies one committed command at its Raft index.
    pub(crate) fn apply(&mut self, index: u64, command: &Command) -> Outcome {
        let result = match command {
            Command::RegisterBroker { id, incarnation, kafka } => {
                Ok(self.register(index, *id, *incarnation, kafka))
            }
            Command::FenceBroker { id, broker_epoch, unclean } => {
                self.fence(index, *id, *broker_epoch, *unclean)
            }
            Command::UnfenceBroker { id, broker_epoch } => self.unfence(index, *id, *broker_epoch),
            Command::AlterPartition(request) => self.alter_partition(request),
            Command::CreateTopic(request) => self.create_topic(index, request),
            Command::CreatePartitions { name, total } => {
                self.create_partitions(index, name, *total)
            }
            Command::DeleteTopic { name } => match self.topics.remove(name) {
                Some(_) => Ok(Outcome::Done),
                None => Err(Refusal::UnknownTopicOrPartition),
            },
            Command::AllocateProducerIds { count } => {
                let first = self.next_producer_id;
                self.next_producer_id += i64::from(*count);
                Ok(Outcome::ProducerIds { first })
            }
        };
        result.unwrap_or_else(Outcome::Refused)
    }

    /// A new incarnation loses its leaderships, because what it knew in memory is gone, but keeps
    /// its place in the in-sync sets, because what it acknowledged is on its disk.
    fn register(&mut self, index: u64, id: u32, incarnation: Uuid, kafka: &HostPort) -> Outcome {
        if let Some(known) = self.brokers.get(&id)
            && known.incarnation == incarnation
        {
            return Outcome::Registered { broker_epoch: known.broker_epoch };
        }
        let kafka = kafka.clone();
        let state = BrokerState { kafka, incarnation, broker_epoch: index, fenced: true };
        self.brokers.insert(id, state);
        self.leadership_index = index;
        for (topic, partition) in self.partitions_where(|state| state.leader == Some(id)) {
            self.elect(&topic, partition);
        }
        Outcome::Registered { broker_epoch: index }
    }

    fn fence(
        &mut self,
        index: u64,
        id: u32,
        broker_epoch: u64,
        unclean: bool,
    ) -> Result<Outcome, Refusal> {
        let broker = self.brokers.get_mut(&id).ok_or(Refusal::StaleBroker)?;
        if broker.broker_epoch != broker_epoch {
            return Err(Refusal::StaleBroker);
        }
        // A broker that registered and died before it was unfenced may still stand in in-sync sets.
        broker.fenced = true;
        self.leadership_index = index;
        for topic in self.topics.values_mut() {
            for state in &mut topic.partitions {
                if state.isr.len() > 1 && state.isr.contains(&id) {
                    state.isr.retain(|member| *member != id);
                    state.partition_epoch += 1;
                }
            }
        }
        for (topic, partition) in self.partitions_where(|state| state.leader == Some(id)) {
            // The one switch of Bug::UncleanFailover.
            if unclean {
                self.elect_laggard(&topic, partition);
            }
            if self.leads(id, &topic, partition) {
                self.elect(&topic, partition);
            }
        }
        Ok(Outcome::Done)
    }

    fn leads(&self, id: u32, topic: &str, partition: usize) -> bool {
        let state = self.topics.get(topic).and_then(|topic| topic.partitions.get(partition));
        state.is_some_and(|state| state.leader == Some(id))
    }

    /// Gives the partition to a live replica outside the in-sync set, if there is one, as
    /// [`Bug::UncleanFailover`](crate::Bug::UncleanFailover) does.
    fn elect_laggard(&mut self, topic: &str, partition: usize) {
        let brokers = &self.brokers;
        let active = |id: &u32| brokers.get(id).is_some_and(|broker| !broker.fenced);
        let state = self.topics.get_mut(topic).and_then(|one| one.partitions.get_mut(partition));
        let Some(state) = state else { return };
        let chosen =
            state.replicas.iter().copied().find(|id| active(id) && !state.isr.contains(id));
        if let Some(id) = chosen {
            state.isr = vec![id];
            state.leader = Some(id);
            state.leader_epoch += 1;
            state.partition_epoch += 1;
        }
    }

    fn unfence(&mut self, index: u64, id: u32, broker_epoch: u64) -> Result<Outcome, Refusal> {
        let broker = self.brokers.get_mut(&id).ok_or(Refusal::StaleBroker)?;
        if broker.broker_epoch != broker_epoch {
            return Err(Refusal::StaleBroker);
        }
        broker.fenced = false;
        self.leadership_index = index;
        for (topic, partition) in self.partitions_where(|state| state.leader.is_none()) {
            self.elect(&topic, partition);
        }
        Ok(Outcome::Done)
    }

    fn partitions_where(&self, wanted: impl Fn(&PartitionState) -> bool) -> Vec<(String, usize)> {
        let mut found = Vec::new();
        for (name, topic) in &self.topics {
            for (index, state) in topic.partitions.iter().enumerate() {
                if wanted(state) {
                    found.push((name.clone(), index));
                }
            }
        }
        found
    }

    /// Gives the partition a new leader and leader epoch: of the unfenced in-sync replicas the one
    /// that leads least, the earlier in the replica list if equal; otherwise none.
    fn elect(&mut self, topic: &str, partition: usize) {
        let mut load: BTreeMap<u32, usize> = BTreeMap::new();
        for state in self.topics.values().flat_map(|topic| &topic.partitions) {
            if let Some(leader) = state.leader {
                *load.entry(leader).or_default() += 1;
            }
        }
        let brokers = &self.brokers;
        let active = |id: &u32| brokers.get(id).is_some_and(|broker| !broker.fenced);
        let Some(topic) = self.topics.get_mut(topic) else { return };
        let unclean = topic.flag(UNCLEAN_ELECTION);
        let Some(state) = topic.partitions.get_mut(partition) else { return };
        let candidates: Vec<u32> = state.replicas.iter().copied().filter(active).collect();
        let least = |ids: &mut dyn Iterator<Item = u32>| {
            ids.min_by_key(|id| load.get(id).copied().unwrap_or(0))
        };
        let clean = least(&mut candidates.iter().copied().filter(|id| state.isr.contains(id)));
        let chosen = clean.or_else(|| unclean.then(|| least(&mut candidates.into_iter()))?);
        if chosen.is_none() && state.leader.is_none() {
            return;
        }
        if let (None, Some(leader)) = (clean, chosen) {
            state.isr = vec![leader];
        }
        state.leader = chosen;
        state.leader_epoch += 1;
        state.partition_epoch += 1;
    }

    fn alter_partition(&mut self, request: &AlterPartition) -> Result<Outcome, Refusal> {
        let brokers = &self.brokers;
        let topic = self.topics.get_mut(&request.topic).ok_or(Refusal::UnknownTopicOrPartition)?;
        let state = usize::try_from(request.partition)
            .ok()
            .filter(|_| topic.id == request.topic_id)
            .and_then(|index| topic.partitions.get_mut(index))
            .ok_or(Refusal::UnknownTopicOrPartition)?;
        if state.leader != Some(request.leader) || state.leader_epoch != request.leader_epoch {
            return Err(Refusal::NotLeader);
        }
        if state.partition_epoch != request.partition_epoch {
            return Err(Refusal::StalePartitionEpoch);
        }
        let eligible = |id: &u32| {
            // A member that restarted is fenced for a moment and stays; nobody enters fenced.
            let fenced = brokers.get(id).is_none_or(|broker| broker.fenced);
            state.replicas.contains(id) && (!fenced || state.isr.contains(id))
        };
        if !request.isr.contains(&request.leader) || !request.isr.iter().all(eligible) {
            return Err(Refusal::IneligibleReplica);
        }
        state.isr.clone_from(&request.isr);
        state.partition_epoch += 1;
        Ok(Outcome::Altered { state: state.clone() })
    }

    /// Replicas are spread round robin; each topic starts one broker further.
    fn create_topic(&mut self, index: u64, request: &CreateTopic) -> Result<Outcome, Refusal> {
        if let Some(known) = self.topics.get(&request.name) {
            // The same id is the same request, sent again because its answer was lost.
            return if known.id == request.id {
                Ok(Outcome::Done)
            } else {
                Err(Refusal::TopicExists)
            };
        }
        let brokers: Vec<u32> = self.brokers.keys().copied().collect();
        let factor = usize::from(request.replication_factor);
        if factor == 0 || factor > brokers.len() {
            let (wanted, available) = (request.replication_factor, brokers.len());
            return Err(Refusal::ReplicationFactor { wanted, available });
        }
        if request.partitions == 0 {
            return Err(Refusal::Partitions);
        }
        let first = self.topics.len();
        let partitions = (0..request.partitions as usize)
            .map(|partition| self.place(first + partition, &brokers, factor))
            .collect();
        let (id, configs) = (request.id, request.configs.clone());
        self.topics.insert(request.name.clone(), TopicState { id, configs, partitions });
        self.leadership_index = index;
        Ok(Outcome::Done)
    }
}

impl Image {
    /// A new partition whose replicas begin at the given place in the circle of brokers.
    fn place(&self, first: usize, brokers: &[u32], factor: usize) -> PartitionState {
        let replicas: Vec<u32> =
            (0..factor).map(|replica| brokers[(first + replica) % brokers.len()]).collect();
        // A fenced broker holds nothing of a new topic, so it starts outside the set.
        let mut isr: Vec<u32> = replicas.iter().copied().filter(|id| self.is_active(*id)).collect();
        if isr.is_empty() {
            isr.clone_from(&replicas);
        }
        let leader = isr.iter().copied().find(|id| self.is_active(*id));
        PartitionState { replicas, isr, leader, leader_epoch: 0, partition_epoch: 0 }
    }

    /// Adds partitions up to a total; the total that there is already is no error, because it may be
    /// the same request again.
    fn create_partitions(
        &mut self,
        index: u64,
        name: &str,
        total: u32,
    ) -> Result<Outcome, Refusal> {
        let topic = self.topics.get(name).ok_or(Refusal::UnknownTopicOrPartition)?;
        let (present, total) = (topic.partitions.len(), total as usize);
        if total < present {
            return Err(Refusal::Partitions);
        }
        let brokers: Vec<u32> = self.brokers.keys().copied().collect();
        let factor = topic.partitions.first().map_or(1, |state| state.replicas.len());
        let first = self.topics.len();
        let more: Vec<PartitionState> = (present..total)
            .map(|partition| self.place(first + partition, &brokers, factor.min(brokers.len())))
            .collect();
        if let Some(topic) = self.topics.get_mut(name) {
            topic.partitions.extend(more);
        }
        self.leadership_index = index;
        Ok(Outcome::Done)
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
