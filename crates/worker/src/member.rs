//! A member of a consumer group: a librdkafka consumer that subscribes, and what the group tells it.
//!
//! Rebalances happen inside of polls, in librdkafka's callback. A poll ends with the rebalance that it served: what comes
//! afterwards belongs to the next poll, so that no operation holds records of two assignments.
//!
//! librdkafka has no call that tells the generation (classic protocol) or the member's epoch (KIP-848) without unsafe
//! code, so they are taken from its own `cgrp` debug lines, which go through the same queue as the rebalances, before them.

use crate::client::{Polled, base_config, set_default};
use crate::plan::{ClientSettings, TopicSettings};
use crate::reader::{self, AskError, Reader};
use perjury_history::{Kind, OpError};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a group waits for a silent member, and for one that does not poll. Kafka accepts no less by default
/// (`group.min.session.timeout.ms`).
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
/// How long a group's coordinator is asked for committed offsets. A commit waits about as long by itself.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

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
#[derive(Clone, Default)]
struct GroupContext {
    told: Arc<Mutex<Told>>,
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
    consumer: Reader<GroupContext>,
    context: GroupContext,
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
        let context = GroupContext::default();
        Ok(Member {
            topic: topic.topic.clone(),
            consumer: Reader::new(&config(bootstrap, group, settings), context.clone())?,
            context,
            positions: BTreeMap::new(),
            committed: BTreeMap::new(),
            held: None,
        })
    }

    /// Subscribes to the topic. The group's answer comes during polls.
    ///
    /// # Errors
    /// librdkafka's refusal, or none of its answers.
    pub async fn subscribe(&self) -> Result<(), AskError> {
        let topic = self.topic.clone();
        let ask = move |consumer: &BaseConsumer<_>| consumer.subscribe(&[&topic]);
        Ok(self.consumer.ask(Duration::ZERO, ask).await??)
    }

    /// How the coordinator knows this member.
    pub fn identity(&self) -> Identity {
        self.context.told().identity.clone()
    }

    /// The partitions that the group gave it.
    pub fn owned(&self) -> BTreeSet<i32> {
        self.context.told().owned.clone()
    }

    /// The next offset to read of each owned partition that was read further than it was committed.
    pub fn uncommitted(&self) -> BTreeMap<i32, i64> {
        let new = |(p, offset): &(&i32, &i64)| self.committed.get(p) != Some(*offset);
        self.positions.iter().filter(new).map(|(p, offset)| (*p, *offset)).collect()
    }

    /// Waits up to `wait` for a first record, then takes what is there, up to `most` records. A rebalance ends the poll.
    pub async fn poll(&mut self, wait: Duration, most: usize) -> (Polled, Vec<GroupEvent>) {
        let (topic, context) = (self.topic.clone(), self.context.clone());
        let mut polled = self.held.take().unwrap_or_default();
        let asked = self.consumer.ask(wait, move |consumer| {
            let moved = || !context.told().events.is_empty();
            let held = reader::poll(consumer, &topic, &mut polled, (wait, most), moved);
            (polled, held)
        });
        let polled = match asked.await {
            Ok((polled, held)) => {
                self.held = held;
                polled
            }
            Err(error) => Polled::lost_by(error),
        };
        self.positions.extend(polled.next_offsets());
        let events = std::mem::take(&mut self.context.told().events);
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
        let ask = move |consumer: &BaseConsumer<_>| consumer.commit(&list, CommitMode::Sync);
        match self.consumer.ask(ANSWER_LIMIT, ask).await {
            Ok(Ok(())) => {
                self.committed.extend(offsets);
                Ok(())
            }
            Ok(Err(error)) => Err(of_commit(&error)),
            Err(error) => Err(CommitTrouble { kind: Kind::Info, error: error.into() }),
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
        let ask = |consumer: &BaseConsumer<_>| consumer.committed_offsets(list, ANSWER_LIMIT);
        let asked = self.consumer.ask(ANSWER_LIMIT, ask).await;
        let answer = asked.and_then(|answer| answer.map_err(AskError::Kafka))?;
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
        self.consumer.abandon(silent);
    }

    /// Leaves the group and ends, within bounded time.
    pub async fn close(self) {
        self.consumer.close().await;
    }
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
    CommitTrouble { kind, error: AskError::Kafka(error.clone()).into() }
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
