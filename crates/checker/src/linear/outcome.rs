//! What a decision consists of: the answer and its certificate.

use super::budget::Exhausted;
use super::op::{Op, OpRef};
use perjury_history::Scalar;
use serde::Serialize;

/// The sequential object that a history is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelName {
    /// An append-only log whose server assigns offsets: one topic-partition.
    Log,
    /// A register with read, write and compare-and-set.
    CasRegister,
    /// A map of strings with get, put and append.
    Kv,
    /// A lock with acquire and release.
    Mutex,
    /// Several registers read and written by transactions.
    MultiRegister,
    /// A first-in first-out queue.
    Queue,
}

impl ModelName {
    /// All models, in the order of this list.
    pub const ALL: [ModelName; 6] = [
        ModelName::Log,
        ModelName::CasRegister,
        ModelName::Kv,
        ModelName::Mutex,
        ModelName::MultiRegister,
        ModelName::Queue,
    ];

    /// The name used on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            ModelName::Log => "log",
            ModelName::CasRegister => "cas-register",
            ModelName::Kv => "kv",
            ModelName::Mutex => "mutex",
            ModelName::MultiRegister => "multi-register",
            ModelName::Queue => "queue",
        }
    }
}

impl std::fmt::Display for ModelName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ModelName {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if s == "register" {
            return Ok(ModelName::CasRegister);
        }
        let found = ModelName::ALL.into_iter().find(|m| m.as_str() == s);
        found.ok_or_else(|| {
            let names: Vec<_> = ModelName::ALL.iter().map(|m| m.as_str()).collect();
            format!("no model is called {s:?}; there are {}", names.join(", "))
        })
    }
}

/// The algorithm that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// One window per offset of an append log.
    LogWindows,
    /// Zones of a register whose written values are unique (Gibbons and Korach 1997, with compare-and-set chains).
    RegisterZones,
    /// Bad patterns of a queue whose values are unique (Bouajjani, Emmi, Enea and Hamza 2015).
    QueuePatterns,
    /// A frontier of configurations, extended only when an operation returns (Lowe 2017, just-in-time linearization).
    Frontier,
}

/// A three-valued answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// There is a linearization.
    Linearizable,
    /// Nobody knows, and the reason is given.
    Unknown,
    /// There is none.
    NotLinearizable,
}

/// Why a question stayed open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// A stable code: `budget-time`, `budget-memory`, `too-many-open`, `values-not-unique`, `batch-holes`,
    /// `no-invocations`, `no-successful-operation`, `unrecognised`, `malformed-operation`.
    pub reason: &'static str,
    /// The event that was reached: everything before it is linearizable.
    pub reached: u64,
    /// A sentence for people.
    pub sentence: String,
}

impl Unknown {
    pub(crate) fn new(reason: &'static str, reached: u64, sentence: impl Into<String>) -> Self {
        Unknown { reason, reached, sentence: sentence.into() }
    }

    pub(crate) fn exhausted(what: Exhausted, reached: u64) -> Self {
        let resource = match what {
            Exhausted::Time => "time",
            Exhausted::Memory => "memory",
        };
        Unknown::new(
            what.code(),
            reached,
            format!(
                "The {resource} that was given ran out at event {reached}; everything before it is linearizable."
            ),
        )
    }
}

/// One of the longest linearizations of the events before the broken one, and why it ends there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// The last operations of this linearization, in order.
    pub tail: Vec<OpRef>,
    /// The object after them.
    pub state: String,
    /// Why the operation that must come now cannot.
    pub why: String,
}

/// Why a history is not linearizable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// A stable code of the broken rule, for instance `stale`, `phantom-value`, `cannot-be-placed`.
    pub rule: &'static str,
    /// The operation that cannot be placed: its return makes the violation inevitable.
    pub op: OpRef,
    /// The operations whose answers contradict it.
    pub others: Vec<OpRef>,
    /// The events before this one are linearizable; with it they are not.
    pub prefix_end: u64,
    /// A linearization of the events before `prefix_end`: invocations in order. Operations that did not return before
    /// it may be missing.
    pub prefix: Vec<u64>,
    /// Up to a few ways in which the longest linearizations end.
    pub attempts: Vec<Attempt>,
    /// The proof in a sentence.
    pub sentence: String,
}

impl Violation {
    /// A rule that was broken without a search. The operation that cannot be placed is the one that returned at
    /// `prefix_end`, or else the first of those that contradict each other.
    pub(crate) fn found<C>(
        ops: &[Op<C>],
        contradicting: impl IntoIterator<Item = OpRef>,
        (prefix_end, prefix): (u64, Vec<u64>),
        rule: &'static str,
        sentence: String,
    ) -> Violation {
        let mut others: Vec<OpRef> = contradicting.into_iter().collect();
        let op = ops.iter().find(|op| op.ret == Some(prefix_end)).map(Op::id);
        let op = op.or(others.first().copied());
        let op = op.unwrap_or(OpRef { invoke: prefix_end, ret: Some(prefix_end) });
        others.retain(|other| other.invoke != op.invoke);
        others.dedup();
        Violation { rule, op, others, prefix_end, prefix, attempts: Vec::new(), sentence }
    }
}

/// The answer for one object with its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "decision")]
pub enum Answer {
    /// Linearizable.
    Linearizable {
        /// Invocations in an order that explains every answer; operations that never took effect are missing.
        /// `None` when no certificate was asked for, or the method proves without building one.
        order: Option<Vec<u64>>,
    },
    /// Not linearizable.
    NotLinearizable(Box<Violation>),
    /// Undecided.
    Unknown(Unknown),
}

impl Answer {
    /// The answer without its certificate.
    pub fn decision(&self) -> Decision {
        match self {
            Answer::Linearizable { .. } => Decision::Linearizable,
            Answer::NotLinearizable(_) => Decision::NotLinearizable,
            Answer::Unknown(_) => Decision::Unknown,
        }
    }
}

/// The decision for one object: one key, one topic-partition, or the whole history when it has no keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectOutcome {
    /// The key, when the history has keys.
    pub key: Option<Scalar>,
    /// How many operations it has, those that failed left out.
    pub operations: u64,
    /// How it was decided.
    pub method: Method,
    /// The answer.
    pub answer: Answer,
}

/// The decision for a history: linearizable when each of its objects is (Herlihy and Wing 1990, locality).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// What the history was held against; `None` when nothing fits.
    pub model: Option<ModelName>,
    /// Not linearizable beats unknown beats linearizable.
    pub decision: Decision,
    /// Every object in order of first appearance.
    pub objects: Vec<ObjectOutcome>,
    /// What a reader should know, in sentences.
    pub notes: Vec<String>,
    /// Set when the history as a whole could not be judged.
    pub unknown: Option<Unknown>,
}

impl Outcome {
    pub(crate) fn undecided(model: Option<ModelName>, unknown: Unknown) -> Self {
        Outcome {
            model,
            decision: Decision::Unknown,
            objects: Vec::new(),
            notes: Vec::new(),
            unknown: Some(unknown),
        }
    }

    pub(crate) fn of(model: ModelName, objects: Vec<ObjectOutcome>, notes: Vec<String>) -> Self {
        let decision = objects.iter().map(|o| o.answer.decision()).max();
        Outcome {
            model: Some(model),
            decision: decision.unwrap_or(Decision::Linearizable),
            objects,
            notes,
            unknown: None,
        }
    }

    /// The violations, one an object, in order of their objects.
    pub fn violations(&self) -> impl Iterator<Item = (&ObjectOutcome, &Violation)> {
        self.objects.iter().filter_map(|o| match &o.answer {
            Answer::NotLinearizable(v) => Some((o, v.as_ref())),
            _ => None,
        })
    }

    /// The reasons why parts stayed open.
    pub fn unknowns(&self) -> impl Iterator<Item = &Unknown> {
        let whole = self.unknown.iter();
        whole.chain(self.objects.iter().filter_map(|o| match &o.answer {
            Answer::Unknown(u) => Some(u),
            _ => None,
        }))
    }
}
