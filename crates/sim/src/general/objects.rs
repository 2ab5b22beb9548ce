//! Concurrent objects.

use super::engine;
use perjury_history::History;

/// The kind of object that clients share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Model {
    /// `read` and `write`, nil at first.
    Register,
    /// As a register, with `cas [from to]`.
    CasRegister,
    /// A store of strings: `get`, `put` and `append`, empty at first.
    Kv,
    /// `enqueue` and `dequeue`, first in first out; an empty queue answers nil.
    Queue,
    /// `acquire` and `release`.
    Mutex,
    /// An append log with offsets: `send`, `poll` and `list-offsets`.
    Log,
}

impl Model {
    /// All models.
    pub const ALL: [Model; 6] =
        [Model::Register, Model::CasRegister, Model::Kv, Model::Queue, Model::Mutex, Model::Log];
}

/// An answer that no order of the operations explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// Something that an operation which completed before had replaced, taken away or extended.
    Stale,
    /// Something that nobody wrote. A lock is granted twice instead.
    Phantom,
}

/// What a history of objects shall look like. Rates are probabilities for each operation.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectOptions {
    /// Everything follows from it.
    pub seed: u64,
    /// The kind of object.
    pub model: Model,
    /// How many operations are invoked.
    pub operations: u64,
    /// How many clients work at the same time.
    pub processes: u32,
    /// How many objects there are. With more than one, each operation names its own in the field `key`.
    pub keys: u32,
    /// How many different values are written; 0: every value is new.
    pub values: u32,
    /// Operations of unknown outcome: a third has its effect at once, a third later, a third never.
    pub info_rate: f64,
    /// Operations that fail without effect.
    pub fail_rate: f64,
    /// The share of operations that only look.
    pub read_share: f64,
    /// The one answer that makes the history not linearizable. [`Flaw::Stale`] needs values that are all new.
    pub flaw: Option<Flaw>,
}

impl ObjectOptions {
    /// A small linearizable history of one object.
    pub fn seeded(model: Model, seed: u64) -> ObjectOptions {
        ObjectOptions {
            seed,
            model,
            operations: 200,
            processes: 5,
            keys: 1,
            values: 0,
            info_rate: 0.02,
            fail_rate: 0.02,
            read_share: 0.5,
            flaw: None,
        }
    }
}

/// Simulates concurrent objects. The history is linearizable if and only if `options.flaw` is `None`.
pub fn objects(options: &ObjectOptions) -> History {
    engine::run(options)
}
