//! A member of a consumer group: a librdkafka consumer that subscribes, and what the group tells it.
//!
//! Rebalances happen inside of polls, in librdkafka's callback. A poll ends with the rebalance that it served: what comes
//! afterwards belongs to the next poll, so that no operation holds records of two assignments.
//!
//! librdkafka has no call that tells the generation (classic protocol) or the member's epoch (KIP-848) without unsafe
//! code, so they are taken from its own `cgrp` debug lines, which go through the same queue as the rebalances, before them.

use crate::client::{Polled, base_config, set_default, take};
use crate::outcome::{self, PollTrouble};
use crate::plan::{ClientSettings, TopicSettings};
use futures::FutureExt;
use perjury_history::{Kind, OpError, Record};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer,
};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a group waits for a silent member, and for one that does not poll. Kafka accepts no less by default
/// (`group.min.session.timeout.ms`).
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
/// A commit, or a question for committed offsets, that takes longer is given up.
const ANSWER_LIMIT: Duration = Duration::from_secs(12);

/// What a group told a member during a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEvent {
    /// `assigned`, `revoked`, or `lost` where the group decided without the member.
    pub what: &'static str,
    /// The partitions.
    pub partitions: Vec<i32>,
    /// The generation, or the member's epoch.
    pub generation: Option<i32>,
}

/// How the coordinator knows the member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The member id.
    pub member: String,
    /// The generation, or the member's epoch.
    pub generation: Option<i32>,
}

#[derive(Debug, Default)]
struct Told {
    identity: Identity,
    events: Vec<GroupEvent>,
    owned: BTreeSet<i32>,
}

/// Listens to librdkafka on behalf of a member.
struct GroupContext {
    told: Mutex<Told>,
}

impl GroupContext {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        if let Some(identity) = identity_of(fac, message) {
            self.told().identity = identity;
        }
        tracing::trace!(target: "librdkafka", ?level, fac, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for GroupContext {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let (what, list) = match rebalance {
            Rebalance::Assign(list) => ("assigned", list),
            Rebalance::Revoke(list) if consumer.assignment_lost() => ("lost", list),
            Rebalance::Revoke(list) => ("revoked", list),
            Rebalance::Error(error) => {
                tracing::debug!(target: "librdkafka", %error, "rebalance");
                return;
            }
        };
        let partitions: Vec<i32> = list.elements().iter().map(|e| e.partition()).collect();
        let mut told = self.told();
        for partition in &partitions {
            if what == "assigned" {
                told.owned.insert(*partition);
            } else {
                told.owned.remove(partition);
            }
        }
        let generation = told.identity.generation;
        told.events.push(GroupEvent { what, partitions, generation });
    }
}

/// What a debug line of librdkafka's group client says of the member: its id, and its generation or epoch.
fn identity_of(fac: &str, message: &str) -> Option<Identity> {
    let after = |text: &str| message.split_once(text).map(|(_, rest)| rest.to_owned());
    let number = |text: &str| {
        let digits: String = text.chars().take_while(|c| c.is_ascii_digit()).collect();
        digits.parse::<i32>().ok()
    };
    match fac {
        "JOINGROUP" => {
            let generation = number(&after("JoinGroup response: GenerationId ")?)?;
            let member = after("my MemberId ")?.split(',').next()?.to_owned();
            message
                .contains("(no error)")
                .then_some(Identity { member, generation: Some(generation) })
        }
        "HEARTBEAT" => {
            let rest = after("ConsumerGroupHeartbeat response received for member id \"")?;
            let (member, rest) = rest.split_once("\" with epoch ")?;
            Some(Identity { member: member.to_owned(), generation: Some(number(rest)?) })
        }
        _ => None,
    }
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitTrouble {
    /// [`Kind::Fail`] or [`Kind::Info`].
    pub kind: Kind,
    /// Why.
    pub error: OpError,
}

/// A consumer that is member of a group.
pub struct Member {
    topic: String,
    consumer: Arc<StreamConsumer<GroupContext>>,
    /// The next offset to read of each owned partition of which something was read.
    positions: BTreeMap<i32, i64>,
    /// What was committed since.
    committed: BTreeMap<i32, i64>,
    /// A record that came after a rebalance within one poll.
    held: Option<Polled>,
}

fn config(bootstrap: &str, group: &str, settings: &ClientSettings) -> ClientConfig {
    let mut config = base_config(bootstrap, settings);
    set_default(&mut config, "group.id", group);
    set_default(&mut config, "enable.auto.commit", "false");
    set_default(&mut config, "enable.auto.offset.store", "false");
    set_default(&mut config, "enable.partition.eof", "false");
    set_default(&mut config, "auto.offset.reset", "earliest");
    set_default(&mut config, "isolation.level", settings.isolation_level.as_str());
    set_default(&mut config, "fetch.wait.max.ms", "50");
    set_default(&mut config, "fetch.error.backoff.ms", "50");
    set_default(&mut config, "check.crcs", "true");
    let limit = SESSION_TIMEOUT.as_millis().to_string();
    set_default(&mut config, "max.poll.interval.ms", &limit);
    // With the protocol of KIP-848 session and heartbeats are the broker's to set.
    if config.get("group.protocol") != Some("consumer") {
        set_default(&mut config, "session.timeout.ms", &limit);
        set_default(&mut config, "heartbeat.interval.ms", "500");
    }
    let debug = match config.get("debug") {
        Some(more) => format!("{more},cgrp"),
        None => "cgrp".into(),
    };
    config.set("debug", debug).set_log_level(RDKafkaLogLevel::Debug);
    config
}

impl Member {
    /// Creates the consumer. No connection is made yet.
    ///
    /// # Errors
    /// When librdkafka refuses a property.
    pub fn new(
        bootstrap: &str,
        group: &str,
        topic: &TopicSettings,
        settings: &ClientSettings,
    ) -> KafkaResult<Self> {
        let context = GroupContext { told: Mutex::default() };
        let consumer = config(bootstrap, group, settings).create_with_context(context)?;
        Ok(Member {
            topic: topic.topic.clone(),
            consumer: Arc::new(consumer),
            positions: BTreeMap::new(),
            committed: BTreeMap::new(),
            held: None,
        })
    }

    /// Subscribes to the topic. The group's answer comes during polls.
    ///
    /// # Errors
    /// librdkafka's refusal.
    pub fn subscribe(&self) -> KafkaResult<()> {
        self.consumer.subscribe(&[&self.topic])
    }

    /// How the coordinator knows this member.
    pub fn identity(&self) -> Identity {
        self.consumer.context().told().identity.clone()
    }

    /// The partitions that the group gave it.
    pub fn owned(&self) -> BTreeSet<i32> {
        self.consumer.context().told().owned.clone()
    }

    /// The next offset to read of each owned partition that was read further than it was committed.
    pub fn uncommitted(&self) -> BTreeMap<i32, i64> {
        let new = |(p, offset): &(&i32, &i64)| self.committed.get(p) != Some(*offset);
        self.positions.iter().filter(new).map(|(p, offset)| (*p, *offset)).collect()
    }

    /// Waits up to `wait` for a first record, then takes what is there, up to `most` records. A rebalance ends the poll.
    pub async fn poll(&mut self, wait: Duration, most: usize) -> (Polled, Vec<GroupEvent>) {
        let mut polled = self.held.take().unwrap_or_default();
        let deadline = Instant::now() + wait;
        let consumer = self.consumer.clone();
        let moved = || !consumer.context().told().events.is_empty();
        while polled.lost.is_none() && polled.len() < most {
            let next = match consumer.recv().now_or_never() {
                Some(next) => next,
                None if polled.is_empty() && !moved() => {
                    match tokio::time::timeout_at(deadline, consumer.recv()).await {
                        Ok(next) => next,
                        Err(_) => break,
                    }
                }
                None => break,
            };
            match next {
                Ok(message) if moved() => {
                    let mut held = Polled::default();
                    take(&mut held, &self.topic, &message);
                    self.held = Some(held);
                    break;
                }
                Ok(message) => take(&mut polled, &self.topic, &message),
                Err(error) => match outcome::of_poll(&error) {
                    (PollTrouble::Passing, code) => polled.notes.push(code),
                    (PollTrouble::Lost, code) => {
                        polled.lost = Some(OpError { code, message: error.to_string() });
                    }
                },
            }
            if moved() || (Instant::now() >= deadline && !polled.is_empty()) {
                break;
            }
        }
        polled.notes.dedup();
        for (partition, records) in &polled.records {
            let next = records.last().and_then(|record: &Record| record.offset);
            if let Some(offset) = next {
                self.positions.insert(*partition, offset + 1);
            }
        }
        let events = std::mem::take(&mut consumer.context().told().events);
        for partition in events.iter().flat_map(|event| &event.partitions) {
            self.positions.remove(partition);
            self.committed.remove(partition);
        }
        (polled, events)
    }

    /// Commits offsets, each that of the next record to read, and waits for the answer.
    ///
    /// # Errors
    /// Failed only where librdkafka did not even ask: an error that answers a second attempt says nothing of the first.
    pub async fn commit(&mut self, offsets: &BTreeMap<i32, i64>) -> Result<(), CommitTrouble> {
        let local = |error: &KafkaError| CommitTrouble {
            kind: Kind::Fail,
            error: OpError { code: "commit".into(), message: error.to_string() },
        };
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))
                .map_err(|error| local(&error))?;
        }
        let consumer = self.consumer.clone();
        let committing = apart(move || consumer.commit(&list, CommitMode::Sync));
        let Ok(Ok(outcome)) = tokio::time::timeout(ANSWER_LIMIT, committing).await else {
            return Err(stuck());
        };
        match outcome {
            Ok(()) => {
                self.committed.extend(offsets);
                Ok(())
            }
            Err(error) => Err(of_commit(&error)),
        }
    }

    /// The group's committed offsets of these partitions, asked of the coordinator; nothing where there is none.
    ///
    /// # Errors
    /// librdkafka's.
    pub async fn committed(
        &self,
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, Option<i64>>, OpError> {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.topic, *partition);
        }
        let consumer = self.consumer.clone();
        let asking = apart(move || consumer.committed_offsets(list, Duration::from_secs(5)));
        let answer = match tokio::time::timeout(ANSWER_LIMIT, asking).await {
            Ok(Ok(Ok(answer))) => answer,
            Ok(Ok(Err(error))) => {
                return Err(OpError { code: code_of(&error), message: error.to_string() });
            }
            _ => return Err(stuck().error),
        };
        let told = answer.elements().into_iter().filter(|e| e.error().is_ok());
        Ok(told
            .map(|e| match e.offset() {
                Offset::Offset(offset) => (e.partition(), Some(offset)),
                _ => (e.partition(), None),
            })
            .collect())
    }

    /// Tears the consumer down after `silent` during which nobody polls it; it then leaves its group by itself. Returns
    /// at once: a member that hangs is nothing that others wait for here, nor the runtime when it ends before.
    pub fn abandon(self, silent: Duration) {
        let abandoned = apart(move || {
            std::thread::sleep(silent);
            drop(self);
        });
        drop(abandoned);
    }

    /// Leaves the group and ends, within bounded time.
    pub async fn close(self) {
        let closing = apart(move || drop(self));
        // A client that does not end in time is left to its thread; the run goes on.
        let _ = tokio::time::timeout(Duration::from_secs(10), closing).await;
    }
}

/// Runs what blocks in a thread of its own. Unlike the runtime's threads nobody waits for it at the end: a consumer whose
/// cluster is gone may never have done with leaving its group.
fn apart<T: Send + 'static>(
    run: impl FnOnce() -> T + Send + 'static,
) -> tokio::sync::oneshot::Receiver<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = sender.send(run());
    });
    receiver
}

fn stuck() -> CommitTrouble {
    let message = format!("librdkafka gave no answer within {} s", ANSWER_LIMIT.as_secs());
    CommitTrouble { kind: Kind::Info, error: OpError { code: "client-stuck".into(), message } }
}

fn code_of(error: &KafkaError) -> String {
    error.rdkafka_error_code().map_or_else(|| "unmapped".into(), |code| format!("{code:?}"))
}

/// What an error of a commit says of it. Errors that librdkafka raises before it asks are failures; a broker's refusal
/// may answer the second attempt after a first one that was taken, so it leaves the commit unknown.
fn of_commit(error: &KafkaError) -> CommitTrouble {
    let kind = match error.rdkafka_error_code() {
        Some(Code::NoOffset | Code::InvalidArgument | Code::State | Code::AssignmentLost) => {
            Kind::Fail
        }
        _ => Kind::Info,
    };
    CommitTrouble { kind, error: OpError { code: code_of(error), message: error.to_string() } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_lines_of_both_protocols_name_member_and_generation() {
        let classic = "[thrd:main]: JoinGroup response: GenerationId 12, Protocol range, LeaderId perjury-1 (me), my \
                       MemberId perjury-1, member metadata count 2: (no error)";
        let known = |member: &str, generation| {
            Some(Identity { member: member.into(), generation: Some(generation) })
        };
        assert_eq!(identity_of("JOINGROUP", classic), known("perjury-1", 12));
        let refused = classic.replace("(no error)", "Broker: Unknown member");
        assert_eq!(identity_of("JOINGROUP", &refused), None);
        let epoch = "[thrd:main]: ConsumerGroupHeartbeat response received for member id \"Ab-3\" with epoch 4";
        assert_eq!(identity_of("HEARTBEAT", epoch), known("Ab-3", 4));
        assert_eq!(identity_of("HEARTBEAT", "Heartbeat for group \"g\" generation id 3"), None);
    }

    #[test]
    fn only_what_was_never_asked_is_a_failed_commit() {
        let kind = |code| of_commit(&KafkaError::ConsumerCommit(code)).kind;
        assert_eq!(kind(Code::NoOffset), Kind::Fail);
        assert_eq!(kind(Code::IllegalGeneration), Kind::Info);
        assert_eq!(kind(Code::RequestTimedOut), Kind::Info);
    }
}
