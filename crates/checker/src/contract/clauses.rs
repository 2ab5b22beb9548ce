//! The clauses of the Kafka contract.

use super::{Budget, Clause, Promises, Rule};
use crate::report::Judgement::{self, Allowed, Unspecified, Violation};
use perjury_history::{Acks, IsolationLevel};

fn say(judgement: Judgement, rule: impl Into<String>) -> Rule {
    Rule { judgement, rule: rule.into() }
}

/// Whether an anomaly of this name says that a consumer passed over records.
pub(super) fn is_skip(name: &str) -> bool {
    matches!(name, "poll-skip" | "int-poll-skip")
}

/// What a compacted topic allows its consumers to pass over.
pub(super) fn compacted() -> Rule {
    say(
        Allowed,
        "The topics are compacted: records that later ones of their keys supersede may go at any time, and reading goes \
         on behind them (Kafka design, log compaction).",
    )
}

pub(super) fn rule(p: &Promises, clause: Clause) -> Rule {
    match clause {
        Clause::Durability => durability(p),
        Clause::Once => once(p),
        Clause::StableOffsets | Clause::StableLog => stable(p, clause),
        Clause::NoAbortedReads => aborted_reads(p),
        Clause::NoOwnUncommitted => own_uncommitted(p),
        Clause::PositionBetweenPolls => between_polls(p),
        Clause::PositionWithinPoll => within_poll(p),
        Clause::SendOrderBetween => send_order_between(p),
        Clause::SendOrderWithin => send_order_within(p),
        Clause::Interleaving => say(
            Allowed,
            "Producers share a partition: records of others may stand between two sends, also inside of a \
             transaction (KIP-98).",
        ),
        Clause::EventuallyRead => say(
            Unspecified,
            "That an acknowledged record was not read yet is no loss by itself: nothing bounds how far a consumer may \
             lag. What is provably gone is reported as lost-write or lost-tail.",
        ),
        Clause::RealTimeOrder => real_time_order(p),
        Clause::Integrity => say(
            Violation,
            "A consumer is given what a producer sent, unchanged and not before it was sent, with read_committed not \
             before its transaction has ended; the record format protects every batch by a checksum (KIP-98).",
        ),
        Clause::Atomicity => atomicity(p),
        Clause::NoCircularReads => circular_reads(p),
        Clause::WriteIsolation => say(
            Allowed,
            "Kafka's transactions do not isolate writes: records of two open transactions may interleave in a \
             partition (KIP-98).",
        ),
        Clause::Serializability => say(
            Unspecified,
            "Kafka's transactions promise atomic visibility, not serializability: a consumer's position is no read \
             lock (KIP-98).",
        ),
        Clause::Linearizability => say(
            Violation,
            "The history is held against one copy of an object: every operation takes effect at one moment between its \
             invocation and its return (Herlihy and Wing, 1990).",
        ),
        Clause::GroupPosition => group_position(p),
        Clause::GroupOwnership => say(
            Violation,
            "In each generation of a group every partition has one owner (Kafka protocol guide, group membership; \
             KIP-848).",
        ),
        Clause::GroupFencing => say(
            Violation,
            "A commit names its member and generation, and the coordinator refuses it once the group has moved on \
             (Kafka protocol guide, group membership, ILLEGAL_GENERATION; KIP-848).",
        ),
        Clause::LastValue => last_value(p),
        Clause::Deletion => deletion(p),
        Clause::Fencing => say(
            Violation,
            "Taking a transactional id over raises its producer epoch, and brokers refuse every write with an older one \
             (KIP-98; KIP-360).",
        ),
        Clause::ExactlyOnce => exactly_once(p),
        Clause::Budget(budget) => within_budget(p, budget),
        Clause::ReferenceOnly => say(
            Unspecified,
            "An effect of how the checker of reference works; it says nothing of the cluster.",
        ),
    }
}

/// The words for `acks`, with a note where it was assumed.
fn acks(p: &Promises) -> String {
    match p.config.acks {
        Some(acks) => format!("acks={acks}"),
        None => "acks=all (assumed: the history does not say, and it is the default since KIP-679)"
            .into(),
    }
}

fn weakness(p: &Promises) -> Option<Rule> {
    if p.unclean() {
        return Some(say(
            Allowed,
            "unclean.leader.election.enable=true lets a replica that misses acknowledged records become leader \
             (Kafka topic configuration, unclean.leader.election.enable).",
        ));
    }
    match p.config.acks {
        Some(Acks::None) => Some(say(
            Allowed,
            "With acks=0 the producer does not wait for the server: no receipt is promised (Kafka producer \
             configuration, acks).",
        )),
        Some(Acks::Leader) => Some(say(
            Allowed,
            "With acks=1 the leader alone has the record when it acknowledges; it is lost if the leader fails before \
             a follower has copied it (Kafka producer configuration, acks).",
        )),
        Some(Acks::All) | None if p.storage_at_risk() => Some(say(
            Unspecified,
            "A fault takes unsynced data from storage, and min.insync.replicas does not promise a second copy: no \
             replica is left that must have the record (KIP-966).",
        )),
        Some(Acks::All) | None => None,
    }
}

fn durability(p: &Promises) -> Rule {
    weakness(p).unwrap_or_else(|| {
        say(
            Violation,
            format!(
                "With {} and no unclean election, an acknowledged record is on every in-sync replica, and only those \
                 become leader: it must stay (Kafka producer configuration, acks; KIP-101).",
                acks(p)
            ),
        )
    })
}

fn once(p: &Promises) -> Rule {
    match (p.config.idempotence, p.config.transactional) {
        (Some(true), _) | (_, Some(true)) => say(
            Violation,
            "enable.idempotence=true: a retried batch is recognised by its sequence number and written once \
             (KIP-98; Kafka producer configuration, enable.idempotence).",
        ),
        (Some(false), _) => say(
            Allowed,
            "With enable.idempotence=false a retry after a lost acknowledgement may write the record twice (Kafka \
             producer configuration, enable.idempotence).",
        ),
        (None, _) => say(
            Violation,
            "A retried batch is written once with enable.idempotence=true (assumed: the history does not say, and it \
             is the default since KIP-679).",
        ),
    }
}

fn stable(p: &Promises, clause: Clause) -> Rule {
    if p.unclean() {
        return say(
            Allowed,
            "unclean.leader.election.enable=true lets the log be cut below what was already visible, and its offsets \
             be given out again (Kafka topic configuration, unclean.leader.election.enable).",
        );
    }
    let what = if clause == Clause::StableOffsets {
        "an offset below the high watermark holds one record for ever"
    } else {
        "what stands below the high watermark neither goes away nor appears later"
    };
    say(
        Violation,
        format!(
            "Consumers are shown only what every in-sync replica has, whatever the producer's acks: {what} (KIP-101; \
             Kafka design, replication)."
        ),
    )
}

fn aborted_reads(p: &Promises) -> Rule {
    match (p.config.transactional, p.config.isolation_level) {
        (Some(true), Some(IsolationLevel::ReadUncommitted)) => say(
            Allowed,
            "isolation.level=read_uncommitted shows records of aborted transactions (Kafka consumer configuration, \
             isolation.level).",
        ),
        (Some(true), None) => say(
            Unspecified,
            "Whether records of aborted transactions are shown depends on isolation.level, which the history does not \
             say.",
        ),
        (Some(true), Some(IsolationLevel::ReadCommitted)) => say(
            Violation,
            "isolation.level=read_committed never returns a record of an aborted transaction (KIP-98).",
        ),
        (Some(false) | None, _) => say(
            Violation,
            "The producer was told that this record was not written: an error that leaves it open is recorded as info, \
             not as fail (KIP-98; Kafka protocol, error codes).",
        ),
    }
}

fn own_uncommitted(p: &Promises) -> Rule {
    match (p.config.transactional, p.config.isolation_level) {
        (Some(false), _) => say(
            Allowed,
            "Without a transaction a record is visible once it is acknowledged, also to the operation that sent it.",
        ),
        (_, Some(IsolationLevel::ReadUncommitted)) => say(
            Allowed,
            "isolation.level=read_uncommitted shows records of transactions that are still open (Kafka consumer \
             configuration, isolation.level).",
        ),
        (Some(true) | None, _) => say(
            Violation,
            "A read_committed consumer is shown nothing above the last stable offset, so a transaction cannot poll \
             what it sent itself (KIP-98).",
        ),
    }
}

fn between_polls(p: &Promises) -> Rule {
    if p.unclean() {
        return stable(p, Clause::StableLog);
    }
    if p.subscribes() {
        return say(
            Allowed,
            "Consumers subscribe: a rebalance between two polls may move a partition away and back, and reading \
             resumes at the committed offset (Kafka consumer, group management).",
        );
    }
    say(
        Violation,
        "An assigned consumer's position moves only by what it polls: the next poll goes on right behind the last \
         record (Kafka consumer, offsets and consumer position).",
    )
}

fn within_poll(p: &Promises) -> Rule {
    if p.unclean() {
        return stable(p, Clause::StableLog);
    }
    say(
        Violation,
        "A poll returns the records of a partition in offset order and leaves out none that the consumer may see \
         (Kafka consumer, offsets and consumer position).",
    )
}

fn send_order_between(p: &Promises) -> Rule {
    weakness(p).filter(|_| p.unclean()).unwrap_or_else(|| {
        say(
            Violation,
            "A producer's second operation begins after its first ended, so its records stand behind it in the \
             partition (Kafka design, message delivery semantics).",
        )
    })
}

fn send_order_within(p: &Promises) -> Rule {
    if p.config.idempotence == Some(false) && p.config.transactional != Some(true) {
        return say(
            Allowed,
            "With enable.idempotence=false and several requests in flight a retry may overtake (Kafka producer \
             configuration, max.in.flight.requests.per.connection).",
        );
    }
    send_order_between(p)
}

fn real_time_order(p: &Promises) -> Rule {
    weakness(p).unwrap_or_else(|| {
        say(
            Violation,
            "The leader appends in the order of arrival: a record sent after another was acknowledged gets a higher \
             offset (Kafka design, replication; KIP-101).",
        )
    })
}

fn atomicity(p: &Promises) -> Rule {
    if p.config.transactional == Some(true) {
        return durability(p);
    }
    say(Allowed, "The sends of one operation are no transaction here: each stands for itself.")
}

fn circular_reads(p: &Promises) -> Rule {
    match (p.config.transactional, p.config.isolation_level) {
        (Some(false), _) => {
            say(Allowed, "Without transactions each send is visible once it is acknowledged.")
        }
        (_, Some(IsolationLevel::ReadUncommitted)) => say(
            Allowed,
            "isolation.level=read_uncommitted shows records of transactions that are still open (Kafka consumer \
             configuration, isolation.level).",
        ),
        (Some(true) | None, _) => say(
            Violation,
            "read_committed shows a transaction's records only after its commit: of two transactions at most one can \
             have read from the other (KIP-98).",
        ),
    }
}

fn group_position(p: &Promises) -> Rule {
    if p.unclean() {
        return stable(p, Clause::StableLog);
    }
    say(
        Violation,
        "A commit that was answered is replicated, and whoever is given the partition next resumes there (Kafka \
         consumer, offsets and consumer position; consumer groups).",
    )
}

fn last_value(p: &Promises) -> Rule {
    weakness(p).unwrap_or_else(|| {
        say(
            Violation,
            "Of each key compaction keeps at least the last record, and a tombstone for delete.retention.ms and no less \
             than what it deletes (Kafka design, log compaction).",
        )
    })
}

fn deletion(p: &Promises) -> Rule {
    if p.unclean() {
        return stable(p, Clause::StableLog);
    }
    say(
        Violation,
        "DeleteRecords is answered when the beginning of the log has moved on every live replica (KIP-107).",
    )
}

fn exactly_once(p: &Promises) -> Rule {
    let uncommitted = p.config.isolation_level == Some(IsolationLevel::ReadUncommitted);
    if p.config.transactional == Some(false) || uncommitted {
        return say(
            Allowed,
            "Without transactions that are read committed, processing is at least once or at most once (KIP-447).",
        );
    }
    say(
        Violation,
        "Outputs and consumed offsets of a transaction are committed together or not at all, so that each input is \
         processed exactly once (KIP-98; KIP-447).",
    )
}

fn within_budget(p: &Promises, budget: Budget) -> Rule {
    let (declared, what) = match budget {
        Budget::Gap => (p.budgets.gap_ms, "without an ok send"),
        Budget::Election => (p.budgets.election_ms, "for an election"),
        Budget::Recovery => (p.budgets.recovery_ms, "from the last heal to the next ok send"),
        Budget::Stuck => (p.budgets.stuck_ms, "for one operation"),
        Budget::Transaction => (p.budgets.transaction_ms, "for an open transaction"),
    };
    match declared {
        Some(ms) => {
            say(Violation, format!("The declared budget is {} ms {what}.", crate::words::count(ms)))
        }
        None => say(
            Unspecified,
            format!(
                "Kafka promises no time {what}, and no budget is declared; it is listed because it is long."
            ),
        ),
    }
}
