//! Linearizability: does every operation seem to take effect at one moment between its invocation and its return?
//!
//! [`decide`] takes a history and answers for each key with a certificate: an order of the operations that explains
//! every answer, or the operation that cannot be placed, why, and how far the history can be explained. The parts:
//!
//! | module | decides | cost |
//! |---|---|---|
//! | [`log`] | append logs whose answers carry offsets | near-linear |
//! | [`register`] | registers with unique written values, compare-and-set chains included | near-linear |
//! | [`queue`] | first-in first-out queues with unique values | near-linear |
//! | [`search`] | any [`search::Model`]; [`models`] has those of histories | exponential in the open operations at worst, within a [`budget`] |
//!
//! Nothing here reads a clock: see [`budget::Budget`].

pub mod budget;
pub(crate) mod convert;
mod decide;
pub mod log;
pub mod models;
pub mod op;
pub mod outcome;
pub mod queue;
pub mod register;
pub mod search;

pub use budget::{Budget, Exhausted, Limits, Unlimited};
pub use decide::{FailedCas, Initial, Options, decide, recognise};
pub use outcome::{
    Answer, Attempt, Decision, Method, ModelName, ObjectOutcome, Outcome, Unknown, Violation,
};
