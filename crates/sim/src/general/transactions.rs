//! A transactional store of lists or registers.

use super::store;
use perjury_history::History;
use std::collections::{BTreeMap, BTreeSet};

/// What transactions do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Workload {
    /// `["append" k v]` and `["r" k list]`.
    ListAppend,
    /// `["w" k v]` and `["r" k v]`, every value written once for each key.
    RwRegister,
}

/// What the store promises, and keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// Every transaction takes effect at one instant between its invocation and its completion.
    StrictSerializable,
    /// Reads come from a snapshot taken at the beginning; of two concurrent transactions that write one key only the
    /// first to commit does.
    Snapshot,
    /// Each read sees what is committed at its instant; writes take effect at commit.
    ReadCommitted,
}

/// A phenomenon that is put on stage: it is in the history, provably.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phenomenon {
    /// Two transactions write two keys in opposite orders.
    DirtyWrite,
    /// A transaction reads what a failed one wrote.
    AbortedRead,
    /// A transaction reads what another had not written last.
    IntermediateRead,
    /// Two transactions read each other's writes.
    CircularRead,
    /// A transaction sees one of two writes of another, and misses the second.
    ReadSkew,
    /// Two transactions read each other's keys before the other's write.
    WriteSkew,
    /// A transaction does not see its own write.
    Internal,
    /// A transaction that began after another had committed does not see its write.
    StaleRead,
    /// One value stands twice in a list (lists only).
    DuplicateElement,
    /// Two reads of a list are no prefixes of one another (lists only).
    IncompatibleOrder,
}

impl Phenomenon {
    /// All phenomena.
    pub const ALL: [Phenomenon; 10] = [
        Phenomenon::DirtyWrite,
        Phenomenon::AbortedRead,
        Phenomenon::IntermediateRead,
        Phenomenon::CircularRead,
        Phenomenon::ReadSkew,
        Phenomenon::WriteSkew,
        Phenomenon::Internal,
        Phenomenon::StaleRead,
        Phenomenon::DuplicateElement,
        Phenomenon::IncompatibleOrder,
    ];

    /// Whether it can be put on stage with this workload: registers do not tell the order of writes.
    pub fn fits(self, workload: Workload) -> bool {
        workload == Workload::ListAppend
            || !matches!(
                self,
                Phenomenon::DirtyWrite
                    | Phenomenon::ReadSkew
                    | Phenomenon::WriteSkew
                    | Phenomenon::StaleRead
                    | Phenomenon::DuplicateElement
                    | Phenomenon::IncompatibleOrder
            )
    }

    /// The name of the anomaly that must be found, as Elle calls it.
    pub fn must(self) -> &'static str {
        match self {
            Phenomenon::DirtyWrite => "G0",
            Phenomenon::AbortedRead => "G1a",
            Phenomenon::IntermediateRead => "G1b",
            Phenomenon::CircularRead => "G1c",
            Phenomenon::ReadSkew => "G-single",
            Phenomenon::WriteSkew => "G2-item",
            Phenomenon::Internal => "internal",
            Phenomenon::StaleRead => "G-single-realtime",
            Phenomenon::DuplicateElement => "duplicate-elements",
            Phenomenon::IncompatibleOrder => "incompatible-order",
        }
    }

    /// The base names of anomalies that it may cause as well.
    pub fn may(self) -> &'static [&'static str] {
        match self {
            Phenomenon::AbortedRead => &["dirty-update"],
            Phenomenon::IntermediateRead => &["G-single", "G1c"],
            Phenomenon::Internal => &["G-single", "G1c", "lost-update"],
            Phenomenon::DuplicateElement => &["G0", "G1c", "G-single"],
            Phenomenon::IncompatibleOrder => &["G0", "G1c", "G-single", "G2-item"],
            _ => &[],
        }
    }
}

/// What a history of transactions shall look like. Rates are probabilities for each transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreOptions {
    /// Everything follows from it.
    pub seed: u64,
    /// What transactions do.
    pub workload: Workload,
    /// What the store promises, and keeps.
    pub isolation: Isolation,
    /// How many transactions are invoked before the last reads.
    pub operations: u64,
    /// How many clients work at the same time.
    pub processes: u32,
    /// How many keys are in use at the same time.
    pub keys: u32,
    /// After this many writes a key is replaced by a new one; lists stay short by that.
    pub writes_per_key: u32,
    /// The greatest number of micro-operations in a transaction.
    pub mops_max: u32,
    /// Transactions of unknown outcome.
    pub info_rate: f64,
    /// Transactions that abort.
    pub fail_rate: f64,
    /// The phenomena put on stage, each once, on keys of their own.
    pub phenomena: Vec<Phenomenon>,
}

impl StoreOptions {
    /// A small strictly serializable history of lists.
    pub fn seeded(seed: u64) -> StoreOptions {
        StoreOptions {
            seed,
            workload: Workload::ListAppend,
            isolation: Isolation::StrictSerializable,
            operations: 200,
            processes: 5,
            keys: 4,
            writes_per_key: 32,
            mops_max: 4,
            info_rate: 0.02,
            fail_rate: 0.05,
            phenomena: Vec::new(),
        }
    }
}

/// What really happened in a store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreTruth {
    /// Anomalies that are in the history, with the least number of cases, as Elle calls them.
    pub must: BTreeMap<&'static str, u64>,
    /// The base names of further anomalies that the isolation level permits or a phenomenon may cause; each may come with `-process` and
    /// `-realtime`.
    pub may: BTreeSet<&'static str>,
}

/// Simulates clients of a transactional store: its history, and what is in it. At the end every key is read once.
pub fn transactions(options: &StoreOptions) -> (History, StoreTruth) {
    let mut truth = StoreTruth::default();
    for phenomenon in &options.phenomena {
        if phenomenon.fits(options.workload) {
            *truth.must.entry(phenomenon.must()).or_default() += 1;
            truth.may.extend(phenomenon.may());
        }
    }
    truth.may.extend(match options.isolation {
        Isolation::StrictSerializable => &[][..],
        Isolation::Snapshot => &["G2-item"][..],
        Isolation::ReadCommitted => &["G-single", "G-nonadjacent", "G2-item", "lost-update"][..],
    });
    (store::run(options), truth)
}
