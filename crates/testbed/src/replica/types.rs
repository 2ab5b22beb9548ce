//! What a replica takes and gives.

use std::io;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use uuid::Uuid;

use crate::log::transactions::Aborted;

/// What changes when the replica makes progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) end_offset: i64,
    pub(crate) synced: i64,
    pub(crate) watermark: i64,
    /// The leader epoch in which this replica leads.
    pub(crate) leading: Option<i32>,
}

/// Under which conditions a batch is appended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Conditions {
    /// Enough replicas are in sync for `acks=all`.
    pub(crate) acks_all: bool,
    /// This replica leads in this leader epoch.
    pub(crate) only_in: Option<i32>,
    /// This is still the ordinal of the producer's last transaction that ended here.
    pub(crate) last_ended: Option<i64>,
}

/// A client's batch that is in the leader's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) epoch: i32,
}

/// How far a consumer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset.
    ReadCommitted,
}

impl Isolation {
    /// From the protocol's isolation level.
    pub(crate) fn from_wire(level: i8) -> Self {
        if level == 1 { Self::ReadCommitted } else { Self::ReadUncommitted }
    }
}

/// What a fetch of one partition gives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fetched {
    pub(crate) records: Bytes,
    pub(crate) watermark: i64,
    /// The last stable offset.
    pub(crate) stable: i64,
    /// The log start offset.
    pub(crate) start: i64,
    /// The aborted transactions among the records.
    pub(crate) aborted: Vec<Aborted>,
    /// The follower learns a high watermark or a log start that it was not told before.
    pub(crate) news: bool,
}

/// Why a replica does not do what it was asked: an error of the Kafka protocol, or the disk failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplicaError {
    #[error("{0}")]
    Kafka(ResponseError),
    #[error(transparent)]
    Storage(#[from] io::Error),
}

impl From<ResponseError> for ReplicaError {
    fn from(error: ResponseError) -> Self {
        Self::Kafka(error)
    }
}

impl ReplicaError {
    /// The error code of the Kafka protocol.
    pub(crate) fn code(&self) -> i16 {
        match self {
            Self::Kafka(error) => error.code(),
            Self::Storage(_) => ResponseError::KafkaStorageError.code(),
        }
    }
}

/// What names a replica.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) topic: String,
    pub(crate) topic_id: Uuid,
    pub(crate) index: i32,
    pub(crate) node: u32,
}
