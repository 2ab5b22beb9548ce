//! The outcome table: what a librdkafka error says about an operation.
//!
//! An error is *fail* only when no attempt can have reached the log: the message never left this client, or every
//! broker refuses it whatever the attempt. Everything else is *info*, because librdkafka retries inside and reports
//! the last attempt only: an earlier one may have been appended. Calling a write failed that happened would make the
//! checker cry "aborted read" at a correct broker; calling it unknown merely loses a little sensitivity.

use perjury_history::Kind;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The error.
    pub code: Code,
    /// Kafka's or librdkafka's name of it.
    pub name: &'static str,
    /// [`Kind::Fail`] or [`Kind::Info`].
    pub outcome: Kind,
    /// Why that is the outcome of a send.
    pub reason: &'static str,
}

const fn fail(code: Code, name: &'static str, reason: &'static str) -> Row {
    Row { code, name, outcome: Kind::Fail, reason }
}

const fn info(code: Code, name: &'static str, reason: &'static str) -> Row {
    Row { code, name, outcome: Kind::Info, reason }
}

const LOCAL: &str = "the message never left this client";
const REFUSED: &str = "every broker refuses this message, whichever attempt it is";
const EARLIER: &str = "an earlier attempt may have been appended";
const UNANSWERED: &str = "the request may have been appended although no answer came";

/// Every error whose meaning for a send is known. Errors that are not listed are info and counted as unmapped.
pub const TABLE: &[Row] = &[
    fail(Code::QueueFull, "_QUEUE_FULL", LOCAL),
    fail(Code::InvalidArgument, "_INVALID_ARG", LOCAL),
    fail(Code::UnknownTopic, "_UNKNOWN_TOPIC", LOCAL),
    fail(Code::UnknownPartition, "_UNKNOWN_PARTITION", LOCAL),
    fail(Code::PurgeQueue, "_PURGE_QUEUE", LOCAL),
    fail(Code::State, "_STATE", LOCAL),
    fail(Code::Fatal, "_FATAL", "the producer refuses new messages after a fatal error"),
    fail(Code::InvalidMessageSize, "INVALID_FETCH_SIZE", REFUSED),
    fail(Code::MessageSizeTooLarge, "MESSAGE_TOO_LARGE", REFUSED),
    fail(Code::MessageBatchTooLarge, "RECORD_LIST_TOO_LARGE", REFUSED),
    fail(Code::InvalidTopic, "INVALID_TOPIC_EXCEPTION", REFUSED),
    fail(Code::InvalidRequiredAcks, "INVALID_REQUIRED_ACKS", REFUSED),
    fail(Code::TopicAuthorizationFailed, "TOPIC_AUTHORIZATION_FAILED", REFUSED),
    fail(Code::ClusterAuthorizationFailed, "CLUSTER_AUTHORIZATION_FAILED", REFUSED),
    fail(Code::UnsupportedForMessageFormat, "UNSUPPORTED_FOR_MESSAGE_FORMAT", REFUSED),
    fail(Code::PolicyViolation, "POLICY_VIOLATION", REFUSED),
    fail(Code::InvalidTimestamp, "INVALID_TIMESTAMP", REFUSED),
    info(Code::MessageTimedOut, "_MSG_TIMED_OUT", UNANSWERED),
    info(Code::OperationTimedOut, "_TIMED_OUT", UNANSWERED),
    info(Code::TimedOutQueue, "_TIMED_OUT_QUEUE", UNANSWERED),
    info(Code::BrokerTransportFailure, "_TRANSPORT", UNANSWERED),
    info(Code::AllBrokersDown, "_ALL_BROKERS_DOWN", UNANSWERED),
    info(Code::PurgeInflight, "_PURGE_INFLIGHT", UNANSWERED),
    info(Code::BrokerDestroy, "_DESTROY", UNANSWERED),
    info(Code::Inconsistent, "_INCONSISTENT", EARLIER),
    info(Code::GaplessGuarantee, "_GAPLESS_GUARANTEE", EARLIER),
    info(Code::Fenced, "_FENCED", EARLIER),
    info(
        Code::RequestTimedOut,
        "REQUEST_TIMED_OUT",
        "appended at the leader, not acknowledged by enough replicas in time",
    ),
    info(
        Code::NotEnoughReplicasAfterAppend,
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        "appended at the leader, the in-sync set shrank",
    ),
    info(Code::NotEnoughReplicas, "NOT_ENOUGH_REPLICAS", EARLIER),
    info(
        Code::NotLeaderForPartition,
        "NOT_LEADER_OR_FOLLOWER",
        "appended before the leader was deposed, perhaps (KAFKA-13574)",
    ),
    info(Code::LeaderNotAvailable, "LEADER_NOT_AVAILABLE", EARLIER),
    info(Code::UnknownTopicOrPartition, "UNKNOWN_TOPIC_OR_PARTITION", EARLIER),
    info(Code::NetworkException, "NETWORK_EXCEPTION", UNANSWERED),
    info(Code::KafkaStorageError, "KAFKA_STORAGE_ERROR", EARLIER),
    info(Code::InvalidMessage, "CORRUPT_MESSAGE", EARLIER),
    info(Code::OutOfOrderSequenceNumber, "OUT_OF_ORDER_SEQUENCE_NUMBER", EARLIER),
    info(Code::DuplicateSequenceNumber, "DUPLICATE_SEQUENCE_NUMBER", EARLIER),
    info(Code::InvalidProducerEpoch, "INVALID_PRODUCER_EPOCH", EARLIER),
    info(Code::UnknownProducerId, "UNKNOWN_PRODUCER_ID", EARLIER),
    info(Code::Unknown, "UNKNOWN_SERVER_ERROR", EARLIER),
];

/// What became of a send that ended with this error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// [`Kind::Fail`] or [`Kind::Info`].
    pub kind: Kind,
    /// The stable name, for instance `_MSG_TIMED_OUT`.
    pub code: String,
    /// Why.
    pub reason: String,
    /// Whether the table has a row for it.
    pub mapped: bool,
}

/// Looks an error of a send up in [`TABLE`].
pub fn of_send(error: &KafkaError) -> Outcome {
    let Some(code) = error.rdkafka_error_code() else {
        return Outcome {
            kind: Kind::Info,
            code: "unmapped".into(),
            reason: error.to_string(),
            mapped: false,
        };
    };
    match TABLE.iter().find(|row| row.code == code) {
        Some(row) => Outcome {
            kind: row.outcome,
            code: row.name.into(),
            reason: row.reason.into(),
            mapped: true,
        },
        None => Outcome {
            kind: Kind::Info,
            code: format!("{code:?}"),
            reason: "not in the outcome table, so unknown".into(),
            mapped: false,
        },
    }
}

/// What an error of a consumer means for its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollTrouble {
    /// The client goes on by itself; the error is a note on the poll.
    Passing,
    /// The consumer's position is gone or its state is broken: the process must be retired.
    Lost,
}

/// Looks an error of a poll up. Only errors after which a consumer cannot continue from its position are *lost*.
pub fn of_poll(error: &KafkaError) -> (PollTrouble, String) {
    let Some(code) = error.rdkafka_error_code() else {
        return (PollTrouble::Lost, error.to_string());
    };
    let trouble = match code {
        Code::AutoOffsetReset
        | Code::OffsetOutOfRange
        | Code::LogTruncation
        | Code::BadMessage
        | Code::InvalidMessage
        | Code::Fatal
        | Code::Fenced
        | Code::UnknownPartition
        | Code::UnknownTopic => PollTrouble::Lost,
        _ => PollTrouble::Passing,
    };
    (trouble, format!("{code:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_one_row_and_is_fail_or_info() {
        for (i, row) in TABLE.iter().enumerate() {
            assert!(matches!(row.outcome, Kind::Fail | Kind::Info), "{}", row.name);
            assert!(
                TABLE[i + 1..].iter().all(|other| other.code != row.code),
                "{} twice",
                row.name
            );
            assert!(!row.reason.is_empty());
        }
    }

    #[test]
    fn a_timeout_and_a_deposed_leader_are_unknown_and_a_full_queue_is_not() {
        let kind = |code| of_send(&KafkaError::MessageProduction(code)).kind;
        assert_eq!(kind(Code::MessageTimedOut), Kind::Info);
        assert_eq!(kind(Code::NotLeaderForPartition), Kind::Info);
        assert_eq!(kind(Code::NotEnoughReplicas), Kind::Info);
        assert_eq!(kind(Code::QueueFull), Kind::Fail);
    }

    #[test]
    fn an_error_without_a_row_is_unknown_and_says_so() {
        let outcome = of_send(&KafkaError::MessageProduction(Code::SSL));
        assert_eq!((outcome.kind, outcome.mapped), (Kind::Info, false));
    }
}
