//! One row of a history: the operation model in its readable form.
//!
//! # Groups, transactional ids and ends of logs
//! Beside sends and polls, clients of Kafka have operations of other functions, whose values are JSON, and operations say
//! things beside their values, in further fields ([`Event::ext`]) of the completion or else of the invocation:
//!
//! | `f` | value | beside |
//! |---|---|---|
//! | `list-offsets` | ok: `{key: end}` or `{key: {"end", "high_watermark", "last_stable", "leader_epoch"}}` | |
//! | `peek` | ok: `{key: [[offset, value], …]}`: what a consumer was given that reads uncommitted in a run whose others read committed | |
//! | `commit` | invoked: `{key: offset}`, the offset of the next record to read | `group`, `member`, `generation` |
//! | `committed` | ok: `{key: offset or null}` | `group` |
//! | `assigned`, `revoked`, `lost` | `{"keys": […]}` | `group`, `member`, `generation` |
//! | `init-transactions` | | `transactional_id` |
//! | `delete-records` | `{key: offset}` | |
//! | `subscribe` | keys | `group`, `member` |
//! | `poll`, `txn` | micro-operations | `rebalance_log`: `[{"type": "assigned", "keys": […], "generation": 3}]`, in order |
//! | `send`, `txn` | micro-operations | `transactional_id`; `commit_at`: when the commit was invoked, in nanoseconds since the start of the run; `offsets`: `{key: offset}` that the transaction commits for `group`; `derived`: `[[input key, input value, output key, output value], …]` |
//!
//! A member without a name is its process; static members must be named, since a new process goes on as the same member.
//! A group without a name is one with all others that have none. `lost` is a `revoked` that the group decided without the
//! member. Offsets that a client commits on its own accord are not recorded, so that it must not do so where groups are
//! judged.

use serde::{Deserialize, Serialize};

/// A key or a value: an integer or a string.
///
/// A key stands for one topic-partition (`"orders-2"` in histories of our own, usually an integer in Jepsen's). EDN
/// keywords are strings that begin with a colon; any other datum is a string that holds its EDN text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// A signed 64-bit integer.
    Int(i64),
    /// Any other scalar, as text.
    Str(Box<str>),
}

impl Scalar {
    /// The integer, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Scalar::Int(i) => Some(*i),
            Scalar::Str(_) => None,
        }
    }
}

impl From<i64> for Scalar {
    fn from(value: i64) -> Self {
        Scalar::Int(value)
    }
}

impl From<&str> for Scalar {
    fn from(value: &str) -> Self {
        Scalar::Str(value.into())
    }
}

impl From<String> for Scalar {
    fn from(value: String) -> Self {
        Scalar::Str(value.into_boxed_str())
    }
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::Int(i) => write!(f, "{i}"),
            Scalar::Str(s) => f.write_str(s),
        }
    }
}

/// Who did it: a logical single-threaded client, the nemesis that injects faults, or the cluster as observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Process {
    /// A client, numbered from 0. A process whose operation ended in info is retired and its number never returns.
    Client(u32),
    /// The process that injects faults. Its events are always info.
    Nemesis,
    /// What was seen of the cluster itself: formation, leader changes, log lines. Its events are always info.
    Cluster,
}

impl Process {
    /// Whether this is a client, whose operations are analysed.
    pub fn is_client(self) -> bool {
        matches!(self, Process::Client(_))
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Process::Client(n) => write!(f, "{n}"),
            Process::Nemesis => f.write_str("nemesis"),
            Process::Cluster => f.write_str("cluster"),
        }
    }
}

/// Where an operation stands: asked, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Asked; nothing is known yet.
    Invoke,
    /// It definitely happened.
    Ok,
    /// It definitely did not happen.
    Fail,
    /// Unknown: it may have happened, or may still happen at any later time.
    Info,
}

impl Kind {
    /// The word used in every format.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Invoke => "invoke",
            Kind::Ok => "ok",
            Kind::Fail => "fail",
            Kind::Info => "info",
        }
    }

    /// Whether this ends an operation.
    pub fn is_completion(self) -> bool {
        self != Kind::Invoke
    }
}

/// The function of an operation (Jepsen's `:f`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum F {
    /// Only sends.
    Send,
    /// Only polls.
    Poll,
    /// Sends and polls mixed; also any transaction of a general history.
    Txn,
    /// The consumer is given exactly these topic-partitions.
    Assign,
    /// The consumer joins a group for the topics of these keys.
    Subscribe,
    /// The client is torn down; completes as info.
    Crash,
    /// A look at the broker's state of topic-partitions; not analysed.
    DebugTopicPartitions,
    /// Anything else: a fault (`kill`, `pause`, …), a cluster event (`leader`, `formation`, …), or the function of a
    /// general history (`read`, `write`, `cas`, …).
    Other(Box<str>),
}

impl F {
    /// The name used in every format.
    pub fn as_str(&self) -> &str {
        match self {
            F::Send => "send",
            F::Poll => "poll",
            F::Txn => "txn",
            F::Assign => "assign",
            F::Subscribe => "subscribe",
            F::Crash => "crash",
            F::DebugTopicPartitions => "debug-topic-partitions",
            F::Other(s) => s,
        }
    }

    /// The function of that name; unknown names are [`F::Other`].
    pub fn parse(name: &str) -> F {
        match name {
            "send" => F::Send,
            "poll" => F::Poll,
            "txn" => F::Txn,
            "assign" => F::Assign,
            "subscribe" => F::Subscribe,
            "crash" => F::Crash,
            "debug-topic-partitions" => F::DebugTopicPartitions,
            other => F::Other(other.into()),
        }
    }
}

/// What a record carried beside offset and value. Every field is absent when it is not known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecordMeta {
    /// The record's timestamp in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<i64>,
    /// The record's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The leader epoch under which the record was appended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i32>,
    /// What differs from what was sent (`"checksum"`, `"key"`, `"partition"`, …). Absent when intact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrupt: Option<String>,
}

impl RecordMeta {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == RecordMeta::default()
    }
}

/// One polled record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its offset in the topic-partition, when the client was told one.
    pub offset: Option<i64>,
    /// Its unique value.
    pub value: Scalar,
    /// What else it carried.
    pub meta: Option<Box<RecordMeta>>,
}

/// The records that one poll returned for one key, in the order received.
pub type PolledKey = (Scalar, Vec<Record>);

/// A micro-operation of a send, poll or txn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mop {
    /// `["send", k, v]` as invoked or never reached; `["send", k, [offset, v]]` once answered, where the offset is
    /// null when the acknowledgement carried none.
    Send {
        /// The topic-partition.
        key: Scalar,
        /// The unique value.
        value: Scalar,
        /// Outer `None`: not answered. Inner `None`: answered without an offset.
        offset: Option<Option<i64>>,
    },
    /// `["poll"]` as invoked or never reached; `["poll", {k: [[offset, v], …]}]` once answered.
    Poll(Option<Vec<PolledKey>>),
}

/// Why an operation failed or is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpError {
    /// A short stable code, for instance librdkafka's `_MSG_TIMED_OUT` or Kafka's `NOT_ENOUGH_REPLICAS`.
    pub code: String,
    /// A sentence for people. Empty when the code says it all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// The value of an event.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Payload {
    /// Nothing.
    #[default]
    None,
    /// The micro-operations of a send, poll or txn.
    Mops(Vec<Mop>),
    /// The keys of an assign, subscribe or debug-topic-partitions.
    Keys(Vec<Scalar>),
    /// Any other datum: faults, cluster events, operations of general histories.
    Json(serde_json::Value),
}

/// One row of a history.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Position in the history, dense from 0.
    pub index: u64,
    /// Monotonic nanoseconds since the start of the run. Absent in some foreign histories.
    pub time: Option<i64>,
    /// Who did it. Absent in some foreign histories.
    pub process: Option<Process>,
    /// Asked, or how it ended.
    pub kind: Kind,
    /// What was asked.
    pub f: F,
    /// The argument, or the result.
    pub value: Payload,
    /// Why it failed or is unknown.
    pub error: Option<OpError>,
    /// Everything else, for instance `seek_to_beginning`, `rebalance_log`, `broker`. Empty when there is nothing.
    pub ext: serde_json::Map<String, serde_json::Value>,
}
