//! Choosing the nodes that a fault hits by the role that they have at that moment.
//!
//! There is no randomness in here: a random choice comes in as a number that the caller drew from
//! its seed, so that the whole schedule follows from one seed.

use crate::node::NodeId;
use crate::probe::ClusterMetadata;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which nodes a fault is meant for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "role")]
#[non_exhaustive]
pub enum Target {
    /// The leader of a topic-partition.
    Leader {
        /// Topic name.
        topic: String,
        /// Partition index.
        partition: i32,
    },
    /// The node that leads the most partitions.
    MostLeaderships,
    /// One follower of a topic-partition: the one at `index`, modulo their number.
    Follower {
        /// Topic name.
        topic: String,
        /// Partition index.
        partition: i32,
        /// A number drawn by the caller.
        index: u64,
    },
    /// Every follower of a topic-partition.
    Followers {
        /// Topic name.
        topic: String,
        /// Partition index.
        partition: i32,
    },
    /// The controller.
    Controller,
    /// A coordinator of groups or transactions: a leader of Kafka's own topics for them, the one at
    /// `index`, modulo their number.
    Coordinator {
        /// A number drawn by the caller.
        index: u64,
    },
    /// Every node.
    All,
    /// The node at `index`, modulo the number of nodes.
    Random {
        /// A number drawn by the caller.
        index: u64,
    },
    /// A named node.
    Node {
        /// The node.
        node: NodeId,
    },
}

/// No node has the role at this moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The partition is not in the metadata.
    #[error("the metadata has no partition {topic}-{partition}")]
    NoPartition {
        /// Topic name.
        topic: String,
        /// Partition index.
        partition: i32,
    },
    /// Nobody leads (or follows) the partition, or nobody leads anything.
    #[error("no node is {0} now")]
    Nobody(&'static str),
    /// The node is not one of the cluster's.
    #[error("there is no node {0}")]
    UnknownNode(NodeId),
}

impl Target {
    /// The nodes among `nodes` that have the role according to `metadata`, ascending and at least
    /// one.
    ///
    /// # Errors
    /// [`TargetError`] when no node has it.
    pub fn resolve(
        &self,
        metadata: &ClusterMetadata,
        nodes: &[NodeId],
    ) -> Result<Vec<NodeId>, TargetError> {
        let known = |chosen: Vec<NodeId>| match chosen.iter().find(|node| !nodes.contains(node)) {
            Some(stranger) => Err(TargetError::UnknownNode(*stranger)),
            None => Ok(chosen),
        };
        let chosen = match self {
            Self::Followers { topic, partition } => {
                let followers = followers_of(metadata, topic, *partition)?;
                let nobody = followers.is_empty();
                return if nobody {
                    Err(TargetError::Nobody("follower"))
                } else {
                    known(followers)
                };
            }
            Self::Leader { topic, partition } => leader_of(metadata, topic, *partition)?,
            Self::MostLeaderships => most_leaderships(metadata)?,
            Self::Follower { topic, partition, index } => {
                let followers = followers_of(metadata, topic, *partition)?;
                random(&followers, *index).ok_or(TargetError::Nobody("follower"))?
            }
            Self::Controller => metadata.controller.ok_or(TargetError::Nobody("controller"))?,
            Self::Coordinator { index } => {
                let coordinators = coordinators(metadata);
                random(&coordinators, *index).ok_or(TargetError::Nobody("coordinator"))?
            }
            Self::Random { index } => random(nodes, *index).ok_or(TargetError::Nobody("there"))?,
            Self::Node { node } => *node,
            Self::All if nodes.is_empty() => return Err(TargetError::Nobody("there")),
            Self::All => return Ok(nodes.to_vec()),
        };
        known(vec![chosen])
    }
}

/// The leader of a topic-partition.
///
/// # Errors
/// [`TargetError`] when the partition is unknown or has no leader.
pub fn leader_of(
    metadata: &ClusterMetadata,
    topic: &str,
    partition: i32,
) -> Result<NodeId, TargetError> {
    let found = metadata
        .partition(topic, partition)
        .ok_or_else(|| TargetError::NoPartition { topic: topic.to_owned(), partition })?;
    found.leader.ok_or(TargetError::Nobody("leader"))
}

/// The replicas of a topic-partition that do not lead it, ascending.
///
/// # Errors
/// [`TargetError::NoPartition`].
pub fn followers_of(
    metadata: &ClusterMetadata,
    topic: &str,
    partition: i32,
) -> Result<Vec<NodeId>, TargetError> {
    let found = metadata
        .partition(topic, partition)
        .ok_or_else(|| TargetError::NoPartition { topic: topic.to_owned(), partition })?;
    let mut followers: Vec<_> =
        found.replicas.iter().copied().filter(|node| Some(*node) != found.leader).collect();
    followers.sort_unstable();
    Ok(followers)
}

/// The node that leads the most partitions; the lowest id among equals.
///
/// # Errors
/// [`TargetError::Nobody`] when no partition has a leader.
pub fn most_leaderships(metadata: &ClusterMetadata) -> Result<NodeId, TargetError> {
    let mut counts: BTreeMap<NodeId, usize> = BTreeMap::new();
    for leader in metadata.partitions.iter().filter_map(|p| p.leader) {
        *counts.entry(leader).or_default() += 1;
    }
    let most = counts.values().max().copied();
    counts
        .into_iter()
        .find(|(_, count)| Some(*count) == most)
        .map(|(node, _)| node)
        .ok_or(TargetError::Nobody("leader"))
}

/// The leaders of the topics that Kafka keeps offsets and transactions in, ascending. Their
/// partitions' leaders coordinate the groups and transactional ids that hash to them.
#[must_use]
pub fn coordinators(metadata: &ClusterMetadata) -> Vec<NodeId> {
    let internal = ["__consumer_offsets", "__transaction_state"];
    let own = metadata.partitions.iter().filter(|p| internal.contains(&p.topic.as_str()));
    let mut leaders: Vec<_> = own.filter_map(|p| p.leader).collect();
    leaders.sort_unstable();
    leaders.dedup();
    leaders
}

/// The node at `index` modulo their number; `None` when there are none.
#[must_use]
pub fn random(nodes: &[NodeId], index: u64) -> Option<NodeId> {
    let count = u64::try_from(nodes.len()).ok().filter(|count| *count > 0)?;
    nodes.get(usize::try_from(index % count).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::PartitionMetadata;

    const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

    fn metadata(leaders: &[Option<i32>]) -> ClusterMetadata {
        let partition = |(index, leader): (usize, &Option<i32>)| PartitionMetadata {
            topic: "t".into(),
            partition: i32::try_from(index).unwrap(),
            leader: leader.map(NodeId),
            leader_epoch: Some(0),
            isr: NODES.to_vec(),
            replicas: vec![NodeId(3), NodeId(1), NodeId(2)],
            offline: vec![],
            error: 0,
        };
        ClusterMetadata {
            controller: Some(NodeId(2)),
            partitions: leaders.iter().enumerate().map(partition).collect(),
            ..ClusterMetadata::default()
        }
    }

    #[test]
    fn each_role_finds_its_nodes() {
        let metadata = metadata(&[Some(1), Some(3), Some(3), None, Some(1)]);
        let topic = || "t".to_owned();
        let cases = [
            (Target::Leader { topic: topic(), partition: 1 }, vec![3]),
            (Target::MostLeaderships, vec![1]),
            (Target::Follower { topic: topic(), partition: 1, index: 0 }, vec![1]),
            (Target::Follower { topic: topic(), partition: 1, index: 7 }, vec![2]),
            (Target::Followers { topic: topic(), partition: 1 }, vec![1, 2]),
            (Target::Controller, vec![2]),
            (Target::All, vec![1, 2, 3]),
            (Target::Random { index: u64::MAX }, vec![1]),
            (Target::Node { node: NodeId(3) }, vec![3]),
        ];
        for (target, expected) in cases {
            let nodes: Vec<_> = expected.into_iter().map(NodeId).collect();
            assert_eq!(target.resolve(&metadata, &NODES), Ok(nodes), "{target:?}");
        }
    }

    #[test]
    fn a_role_that_nobody_has_is_an_error_and_not_a_guess() {
        let topic = || "t".to_owned();
        let leaderless = metadata(&[None]);
        let cases = [
            Target::Leader { topic: topic(), partition: 0 },
            Target::Leader { topic: topic(), partition: 1 },
            Target::Follower { topic: "other".into(), partition: 0, index: 0 },
            Target::Followers { topic: "other".into(), partition: 0 },
            Target::MostLeaderships,
            Target::Node { node: NodeId(9) },
        ];
        for target in cases {
            assert!(target.resolve(&leaderless, &NODES).is_err(), "{target:?}");
        }
        assert!(Target::All.resolve(&leaderless, &[]).is_err());
        assert!(Target::Random { index: 0 }.resolve(&leaderless, &[]).is_err());
        assert!(Target::Controller.resolve(&leaderless, &NODES[..1]).is_err());
    }
}
