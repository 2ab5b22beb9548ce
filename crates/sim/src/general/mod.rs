//! Histories of general models with a known truth.
//!
//! - [`objects`]: registers, key-value stores, queues, locks and append logs, linearizable by construction, or with one
//!   answer that no order explains.
//! - [`transactions`]: a transactional store under list-append or read-write registers, serializable by construction,
//!   or with the phenomena that weaker isolation shows.

mod engine;
mod models;
mod objects;
mod stage;
mod store;
mod transactions;

pub use objects::{Flaw, Model, ObjectOptions, objects};
pub use transactions::{Isolation, Phenomenon, StoreOptions, StoreTruth, Workload, transactions};
