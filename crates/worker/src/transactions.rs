//! Transactions of one client: librdkafka's calls, off the async threads and within limits, and what their errors mean.
//!
//! # The outcome of a transaction
//! Whether a transaction took effect hangs on one request alone, the one that asks for its commit:
//!
//! | how far it came | outcome | why |
//! |---|---|---|
//! | the commit was answered | ok | the coordinator has decided, and what it decided stays (KIP-98) |
//! | the commit was asked for, and no success came | info | the coordinator may have decided before the error, or may yet |
//! | it was aborted on purpose, or after an error, before any commit was asked for | fail | nobody but its producer can ask for its commit |
//! | its client was torn down before any commit was asked for | fail | the next producer with the id, or the timeout, aborts it |
//!
//! An abort that is not answered changes nothing in that: the commit was never asked for.
//!
//! # Errors
//! librdkafka sorts the errors of these calls (`rd_kafka_error_is_fatal`, `…_txn_requires_abort`, `…_is_retriable`). A
//! *fatal* error ends the producer. After an *abortable* one the transaction must be aborted and the producer goes on.
//! A *retriable* one asks for the same call again, which is done here until the limit is reached.
//!
//! `rd_kafka_send_offsets_to_transaction` leaves its time limit to an answer that never comes if a request is lost between
//! two coordinators of the group. So every call has a thread of its own, and one that does not come back is left to it:
//! that client is of no use any more, which is an error like any other.

use crate::client::{Client, LogContext};
use crate::reader::{AskError, apart, code_of};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{FutureProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long one call waits before it is asked again.
const CALL: Duration = Duration::from_secs(4);

/// How much longer than it was told to a call may wait before it is given up.
const STUCK: Duration = Duration::from_secs(3);

/// What an error leaves of the producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The producer cannot be used any more.
    Fatal,
    /// The transaction must be aborted; then the producer goes on.
    Abortable,
    /// The same call may succeed later.
    Retriable,
    /// The call was refused; nothing changed.
    Refused,
}

/// Why a call of a transaction did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it leaves of the producer.
    pub class: Class,
    /// A short stable name, for instance `_FENCED`.
    pub code: String,
    /// librdkafka's words.
    pub message: String,
}

impl Trouble {
    /// What librdkafka's error says.
    pub fn of(error: &KafkaError) -> Self {
        let message = error.to_string();
        let KafkaError::Transaction(inner) = error else {
            return Trouble { class: Class::Abortable, code: code_of(error), message };
        };
        let class = if inner.is_fatal() {
            Class::Fatal
        } else if inner.txn_requires_abort() {
            Class::Abortable
        } else if inner.is_retriable() {
            Class::Retriable
        } else {
            Class::Refused
        };
        Trouble { class, code: inner.name(), message: inner.string() }
    }

    /// Trouble that this side sees by itself.
    pub fn own(class: Class, code: &str, message: impl Into<String>) -> Self {
        Trouble { class, code: code.into(), message: message.into() }
    }
}

type Ended = Result<(), Trouble>;

/// Calls until it succeeds, an error is not retriable, or `limit` is over.
async fn call(
    client: &Client,
    limit: Duration,
    ask: impl Fn(&FutureProducer<LogContext>, Duration) -> KafkaResult<()> + Clone + Send + 'static,
) -> Ended {
    let deadline = Instant::now() + limit;
    loop {
        let (producer, ask) = (client.producer.clone(), ask.clone());
        let wait = CALL.min(limit);
        let answered = apart("transaction", move || ask(&producer, wait))
            .map_err(|error| Trouble::own(Class::Fatal, "no-thread", error.to_string()))?;
        let trouble = match tokio::time::timeout(wait + STUCK, answered).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(error))) => Trouble::of(&error),
            Ok(Err(_)) => Trouble::own(Class::Fatal, "client-panicked", "the call has no answer"),
            Err(_) => {
                let message = "librdkafka did not come back within its own time limit and 3 s more";
                Trouble::own(Class::Fatal, "client-stuck", message)
            }
        };
        if trouble.class != Class::Retriable || Instant::now() >= deadline {
            return Err(trouble);
        }
        // librdkafka answers some retriable errors at once.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Client {
    /// Takes the transactional id over: fences whoever had it, and ends what they left open.
    ///
    /// # Errors
    /// What librdkafka says, after retrying for `limit`.
    pub async fn init_transactions(&self, limit: Duration) -> Ended {
        call(self, limit, |producer, wait| producer.init_transactions(wait)).await
    }

    /// Begins a transaction. Local to librdkafka.
    ///
    /// # Errors
    /// What librdkafka says.
    pub fn begin_transaction(&self) -> Ended {
        self.producer.begin_transaction().map_err(|error| Trouble::of(&error))
    }

    /// Makes the commit of these offsets, by partition of the topic that is read, part of the open transaction.
    ///
    /// # Errors
    /// What librdkafka says, after retrying for `limit`.
    pub async fn send_offsets(&self, offsets: &BTreeMap<i32, i64>, limit: Duration) -> Ended {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            let added =
                list.add_partition_offset(self.topic(), *partition, Offset::Offset(*offset));
            added.map_err(|error| Trouble::of(&error))?;
        }
        let asked = self.consumer.ask(Duration::ZERO, |consumer| consumer.group_metadata()).await;
        let group = match asked {
            Ok(Some(group)) => Arc::new(group),
            Ok(None) => return Err(Trouble::of(&KafkaError::Canceled)),
            Err(error) => {
                return Err(Trouble::own(Class::Fatal, &error.code(), error.to_string()));
            }
        };
        call(self, limit, move |producer, wait| {
            producer.send_offsets_to_transaction(&list, &group, wait)
        })
        .await
    }

    /// Commits the open transaction.
    ///
    /// # Errors
    /// What librdkafka says, after retrying for `limit`. Whether the transaction is committed is then unknown.
    pub async fn commit_transaction(&self, limit: Duration) -> Ended {
        call(self, limit, |producer, wait| producer.commit_transaction(wait)).await
    }

    /// Aborts the open transaction.
    ///
    /// # Errors
    /// What librdkafka says, after retrying for `limit`. The producer is of no use then.
    pub async fn abort_transaction(&self, limit: Duration) -> Ended {
        call(self, limit, |producer, wait| producer.abort_transaction(wait)).await
    }

    /// The offsets that the client's group has committed for these partitions; none where it has not. Offsets of an open
    /// transaction are waited for if consumers read committed (KIP-447).
    ///
    /// # Errors
    /// librdkafka's, a time-out among them.
    pub async fn committed_offsets(
        &self,
        partitions: &[i32],
        limit: Duration,
    ) -> Result<BTreeMap<i32, Option<i64>>, AskError> {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(self.topic(), *partition);
        }
        let ask = move |consumer: &BaseConsumer<_>| consumer.committed_offsets(list, limit);
        let told = self.consumer.ask(limit, ask).await??;
        let mut committed = BTreeMap::new();
        for one in told.elements() {
            one.error()?;
            let offset = match one.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            committed.insert(one.partition(), offset);
        }
        Ok(committed)
    }

    /// The end of each partition as this client's isolation level has it: the high watermark, or the last stable offset
    /// where consumers read committed.
    ///
    /// # Errors
    /// librdkafka's, a time-out among them.
    pub async fn ends(
        &self,
        partitions: i32,
        limit: Duration,
    ) -> Result<BTreeMap<i32, i64>, AskError> {
        let mut ends = BTreeMap::new();
        for partition in 0..partitions {
            ends.insert(partition, self.watermarks(partition, limit).await?.1);
        }
        Ok(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::error::RDKafkaErrorCode as Code;

    #[test]
    fn an_error_outside_of_the_transaction_calls_means_abort() {
        let trouble = Trouble::of(&KafkaError::Flush(Code::OperationTimedOut));
        assert_eq!(trouble.class, Class::Abortable);
        assert_eq!(trouble.code, "OperationTimedOut");
        assert_eq!(Trouble::of(&KafkaError::Canceled).code, "unmapped");
    }
}
