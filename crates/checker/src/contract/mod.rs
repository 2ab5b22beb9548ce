//! The contract: from what clients and cluster were configured to promise follows which anomalies are prohibited.
//!
//! # How it is decided
//! Every anomaly of the catalogue names a [`Clause`], the promise that it would break. A clause looks at the
//! configuration and answers *violation*, *allowed* or *unspecified*, with the rule and its source in one sentence.
//! Sources are the reference documentation of Apache Kafka's configurations and the KIPs that define a behaviour.
//!
//! # Unknown fields
//! A history that does not say how it was configured (a foreign one) is judged by Kafka's defaults since 3.0
//! (KIP-679: `acks=all`, `enable.idempotence=true`; no unclean leader election since KIP-106), and the rule says so.
//! Recorders of our own always say it.
//!
//! # Durability in detail
//! An acknowledgement with `acks=all` is given when every in-sync replica has the record, and with unclean election off
//! only an in-sync replica becomes leader. Killing, pausing or cutting off processes takes no data from a replica: what
//! a process wrote stays in the page cache. So under such faults no acknowledged record may be lost, whatever
//! `min.insync.replicas` is. Faults that take data from storage (power loss, a lost or damaged disk) are another matter:
//! with a single in-sync replica (`min.insync.replicas=1`) and no fsync before the acknowledgement, nothing is
//! promised (KIP-966 describes the case).

mod clauses;
mod jepsen;

use crate::options::{Budgets, Contract, Options};
use crate::report::Judgement;
use crate::rules::Rules;
use perjury_history::{Acks, Configuration, F, Header, History, SubVia};

/// The promise that an anomaly would break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clause {
    /// An acknowledged record stays in the log.
    Durability,
    /// One send, one record.
    Once,
    /// An offset holds one record for ever.
    StableOffsets,
    /// What did not happen is not read.
    NoAbortedReads,
    /// A transaction does not see its own records before it commits.
    NoOwnUncommitted,
    /// A consumer's position moves by itself in order, from poll to poll.
    PositionBetweenPolls,
    /// What one poll returns is in order and without gaps.
    PositionWithinPoll,
    /// A producer's records stand in the order of its operations.
    SendOrderBetween,
    /// The sends of one operation stand in their order.
    SendOrderWithin,
    /// Other producers' records may come between.
    Interleaving,
    /// What was acknowledged is read in the end.
    EventuallyRead,
    /// The log's order agrees with real time.
    RealTimeOrder,
    /// What is visible stays visible at its place, and nothing appears where there was nothing.
    StableLog,
    /// A record is visible only after it was sent, and only as it was sent.
    Integrity,
    /// All records of a transaction, or none.
    Atomicity,
    /// Transactions do not see each other's records in a circle.
    NoCircularReads,
    /// Writes of transactions do not interleave.
    WriteIsolation,
    /// Transactions are serializable.
    Serializability,
    /// Operations seem to take effect one after the other.
    Linearizability,
    /// A group resumes at what it committed.
    GroupPosition,
    /// One owner of a topic-partition in a group.
    GroupOwnership,
    /// A member that was replaced does not commit.
    GroupFencing,
    /// The last value of a key of a compacted topic stays.
    LastValue,
    /// What was deleted stays deleted.
    Deletion,
    /// Who lost a transactional id writes no more.
    Fencing,
    /// Consume, transform and produce exactly once.
    ExactlyOnce,
    /// A budget of availability, if one is declared.
    Budget(Budget),
    /// An effect of the checker of reference only, without a meaning for a cluster.
    ReferenceOnly,
}

impl Clause {
    /// The promise as the object of "violates".
    pub(crate) fn promise(self) -> &'static str {
        match self {
            Clause::Durability => "durability of acknowledged writes",
            Clause::Once => "one record for each send",
            Clause::StableOffsets => "one record at one offset",
            Clause::NoAbortedReads => "that failed writes stay unread",
            Clause::NoOwnUncommitted => "that uncommitted records stay unread",
            Clause::PositionBetweenPolls | Clause::PositionWithinPoll => {
                "reading in order without gaps"
            }
            Clause::SendOrderBetween | Clause::SendOrderWithin => "the order of a producer's sends",
            Clause::Interleaving | Clause::WriteIsolation => "isolation of writes",
            Clause::EventuallyRead => "that acknowledged records are read in the end",
            Clause::RealTimeOrder => "that the log follows real time",
            Clause::StableLog => "that the visible log stays as it is",
            Clause::Integrity => "that only what was sent is read",
            Clause::Atomicity => "all or nothing of a transaction",
            Clause::NoCircularReads => "that reads are not circular",
            Clause::Serializability => "serializability",
            Clause::Linearizability => "linearizability",
            Clause::GroupPosition => "that a group resumes at what it committed",
            Clause::GroupOwnership => "one owner of a partition in a group",
            Clause::GroupFencing => "that replaced members do not commit",
            Clause::LastValue => "that the last value of a key stays",
            Clause::Deletion => "that deleted records stay deleted",
            Clause::Fencing => "that fenced producers do not write",
            Clause::ExactlyOnce => "processing exactly once",
            Clause::Budget(Budget::Transaction) => "the transaction timeout",
            Clause::Budget(_) => "the declared budget of availability",
            Clause::ReferenceOnly => "the rules of the reference",
        }
    }
}

/// A budget of availability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Budget {
    /// The longest time without an ok send.
    Gap,
    /// The longest election.
    Election,
    /// The time from the last heal to the next ok send.
    Recovery,
    /// The time for which an operation may stay open.
    Stuck,
    /// The time for which a transaction may stay open.
    Transaction,
}

/// What the contract says of one anomaly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Violation, allowed or unspecified.
    pub(crate) judgement: Judgement,
    /// Why, with the source, as a sentence.
    pub(crate) rule: String,
}

/// The configuration, and what else the contract depends on.
#[derive(Debug, Clone)]
pub(crate) struct Promises {
    /// Which contract.
    pub(crate) contract: Contract,
    /// The configuration of the history's header, completed by the options.
    pub(crate) config: Configuration,
    /// The declared budgets.
    pub(crate) budgets: Budgets,
    /// Which anomalies are looked for.
    pub(crate) rules: Rules,
    ww_deps: bool,
    storage_faults: bool,
}

impl Promises {
    /// The promises of this history under these options. How consumers come by their partitions is taken from the
    /// header, else from the options, else from what they did.
    pub(crate) fn new(history: &History, options: &Options) -> Self {
        let header = &history.header;
        let mut config = header.config.clone();
        if config.sub_via.is_empty() {
            config.sub_via.clone_from(&options.sub_via);
        }
        if config.sub_via.is_empty() {
            config.sub_via = observed(history);
        }
        Promises {
            contract: options.contract,
            config,
            budgets: budgets(header, options.budgets),
            rules: options.rules.clone(),
            ww_deps: options.ww_deps,
            storage_faults: header.nemesis.iter().any(|f| takes_data(f)),
        }
    }

    /// What the contract says of the anomaly of this name and clause.
    pub(crate) fn rule(&self, name: &str, clause: Clause) -> Rule {
        match self.contract {
            Contract::Kafka if self.config.compacted == Some(true) && clauses::is_skip(name) => {
                clauses::compacted()
            }
            Contract::Kafka => clauses::rule(self, clause),
            Contract::Jepsen => jepsen::rule(self, name),
        }
    }

    /// Whether acknowledgements of this strength promise that the record stays. `acks` is that of one operation, where
    /// the history says it; otherwise the configuration's.
    pub(crate) fn durable(&self, acks: Option<Acks>) -> bool {
        let acks = acks.or(self.config.acks).unwrap_or(Acks::All);
        acks == Acks::All && !self.unclean() && !self.storage_at_risk()
    }

    /// Whether an operation takes effect as a whole or not at all. Assumed where the history does not say whether
    /// operations are transactions, as the reference does.
    pub(crate) fn atomic(&self) -> bool {
        self.config.transactional != Some(false)
    }

    fn unclean(&self) -> bool {
        self.config.unclean_leader_election == Some(true)
    }

    fn storage_at_risk(&self) -> bool {
        let alone = self.config.min_insync_replicas.is_none_or(|n| n < 2)
            || self.config.replication_factor == Some(1);
        self.storage_faults && alone && self.config.fsync_before_ack != Some(true)
    }

    fn subscribes(&self) -> bool {
        self.config.sub_via.contains(&SubVia::Subscribe)
    }
}

/// How consumers came by their partitions in this history.
fn observed(history: &History) -> Vec<SubVia> {
    let mut found = Vec::new();
    for i in 0..history.len() {
        let via = match history.f(i) {
            F::Assign => SubVia::Assign,
            F::Subscribe => SubVia::Subscribe,
            _ => continue,
        };
        if !found.contains(&via) {
            found.push(via);
        }
        if found.len() == 2 {
            break;
        }
    }
    found
}

/// Whether a fault of this name takes data from a replica's storage, beyond stopping its process.
fn takes_data(fault: &str) -> bool {
    const WORDS: [&str; 10] = [
        "power",
        "unsynced",
        "disk",
        "truncate",
        "lose-tail",
        "bitflip",
        "bit-flip",
        "corrupt",
        "wipe",
        "lazyfs",
    ];
    WORDS.iter().any(|w| fault.contains(w))
}

/// The options' budgets, completed by those that the plan declares as `budgets.{gap,election,recovery,stuck}_ms` and
/// `transaction_timeout_ms`.
fn budgets(header: &Header, options: Budgets) -> Budgets {
    let plan = header.plan.get("budgets");
    let transaction = header.plan.get("transaction_timeout_ms").and_then(serde_json::Value::as_u64);
    let declared = |name: &str| plan.and_then(|p| p.get(name)).and_then(serde_json::Value::as_u64);
    Budgets {
        gap_ms: options.gap_ms.or_else(|| declared("gap_ms")),
        election_ms: options.election_ms.or_else(|| declared("election_ms")),
        recovery_ms: options.recovery_ms.or_else(|| declared("recovery_ms")),
        stuck_ms: options.stuck_ms.or_else(|| declared("stuck_ms")),
        transaction_ms: options.transaction_ms.or(transaction),
    }
}
