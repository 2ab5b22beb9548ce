//! How a node is named.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A node of a cluster. The number is the broker id that the node announces in Kafka metadata, so
/// that what the driver did to a process and what the protocol says of a broker can be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub i32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The non-negative broker id of the Kafka protocol; -1 means that there is none.
pub(crate) fn known(broker_id: i32) -> Option<NodeId> {
    (broker_id >= 0).then_some(NodeId(broker_id))
}
