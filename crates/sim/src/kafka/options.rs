//! What a simulated run shall look like.

use super::defect::Defect;
use perjury_history::{Scalar, SubVia};

/// How topic-partitions are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyNames {
    /// `0`, `1`, `2`, … as in Jepsen's histories.
    Integers,
    /// `"topic-0"`, `"topic-1"`, … as in native ones.
    Partitions {
        /// The topic.
        topic: String,
    },
}

impl KeyNames {
    /// The name of topic-partition `n`.
    pub fn name(&self, n: usize) -> Scalar {
        match self {
            KeyNames::Integers => Scalar::Int(i64::try_from(n).unwrap_or(i64::MAX)),
            KeyNames::Partitions { topic } => format!("{topic}-{n}").into(),
        }
    }
}

/// How often each kind of operation is invoked, as weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// Operations of sends only.
    pub send: f64,
    /// Operations of polls only.
    pub poll: f64,
    /// Operations that mix both.
    pub txn: f64,
}

/// A cluster that loses acknowledged writes by chance. All writes up to the end of a fault, from the end of the one before,
/// share the fate of that fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// The probability that a fault loses any, 0 to 1.
    pub per_fault: f64,
    /// The probability that such a fault loses a write, 0 to 1, each by itself.
    pub per_write: f64,
}

/// What a simulated run shall look like. Rates are probabilities for each operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// How many operations are invoked before the final reads. A few more follow when an injection needs them.
    pub operations: u64,
    /// How many clients work at the same time.
    pub processes: u32,
    /// How many topic-partitions are in use at the same time.
    pub keys: u32,
    /// After this many writes a topic-partition is replaced by a new one; 0 means never.
    pub writes_per_key: u64,
    /// How topic-partitions are called.
    pub key_names: KeyNames,
    /// How often each kind of operation is invoked.
    pub mix: Mix,
    /// The greatest number of micro-operations in an operation.
    pub mops_max: u32,
    /// The greatest number of records that one poll returns.
    pub records_per_poll: u32,
    /// How many clients read every topic-partition from the beginning at the end; 0 means no final reads.
    pub final_readers: u32,
    /// As `records_per_poll`, in the final reads.
    pub final_records_per_poll: u32,
    /// Operations of unknown outcome.
    pub info_rate: f64,
    /// Failed operations; aborted transactions when `transactional`.
    pub fail_rate: f64,
    /// Operations that never complete.
    pub lost_rate: f64,
    /// Whether each operation runs inside a transaction: commits and aborts leave markers in the logs.
    pub transactional: bool,
    /// How consumers come by their topic-partitions.
    pub sub_via: SubVia,
    /// How often a consumer assigns or subscribes anew.
    pub resubscribe_rate: f64,
    /// How many faults (a leader is killed and restarted) are spread over the run. Only native histories show them.
    pub faults: u32,
    /// Whether the history has a header, phases, faults and final-read events as our own recorder writes them.
    pub native: bool,
    /// Whether polled records carry timestamp and key.
    pub record_details: bool,
    /// Operations a second, from which times follow.
    pub rate: f64,
    /// The defects that are injected.
    pub defects: Vec<Defect>,
    /// How often each of them is injected.
    pub injections: u32,
    /// Losses by chance, beside the defects.
    pub loss: Option<Loss>,
}

impl Options {
    /// A small native queue history with two leader kills and final reads.
    pub fn seeded(seed: u64) -> Options {
        Options {
            seed,
            operations: 1000,
            processes: 5,
            keys: 4,
            writes_per_key: 0,
            key_names: KeyNames::Partitions { topic: "orders".into() },
            mix: Mix { send: 1.0, poll: 1.0, txn: 0.0 },
            mops_max: 1,
            records_per_poll: 20,
            final_readers: 2,
            final_records_per_poll: 100,
            info_rate: 0.02,
            fail_rate: 0.02,
            lost_rate: 0.001,
            transactional: false,
            sub_via: SubVia::Assign,
            resubscribe_rate: 1.0 / 64.0,
            faults: 2,
            native: true,
            record_details: false,
            rate: 1000.0,
            defects: Vec::new(),
            injections: 1,
            loss: None,
        }
    }

    /// A history as Jepsen's Kafka workload makes them: transactions of up to four micro-operations, rotating integer
    /// keys, no header.
    pub fn jepsen(seed: u64) -> Options {
        Options {
            key_names: KeyNames::Integers,
            keys: 10,
            writes_per_key: 256,
            mix: Mix { send: 1.0, poll: 1.0, txn: 1.0 },
            mops_max: 4,
            transactional: true,
            faults: 0,
            native: false,
            ..Options::seeded(seed)
        }
    }

    /// A native queue history of about this many operations in which about 13 polled records come on one operation, as
    /// in runs whose final phase reads everything on every thread. Meant for benchmarks.
    pub fn sized(operations: u64, seed: u64) -> Options {
        // Half of the operations send; most consumers poll most records while the run goes on, and each reader all.
        Options {
            operations,
            processes: 24,
            keys: 10,
            writes_per_key: 1024,
            records_per_poll: 100,
            final_readers: 10,
            final_records_per_poll: 500,
            faults: 3,
            rate: 5000.0,
            ..Options::seeded(seed)
        }
    }
}
