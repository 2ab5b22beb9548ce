//! Seeded simulators: histories whose truth is known.
//!
//! - [`kafka`]: topic-partition logs and clients that send, poll, assign and subscribe, with switchable defects. Clean
//!   histories are clean under the definitions of every analysis, and each [`Defect`] names the anomalies that it must
//!   cause and those that it may. [`generate`] makes histories of any size.
//! - [`general`]: registers, key-value stores, append lists and transactional stores for linearizability and
//!   dependency-cycle checkers, right and wrong ones.
//!
//! Everything follows from the options and their seed; this crate is pure.
//!
//! ```
//! use perjury_sim::{Defect, Options, generate};
//!
//! let options = Options { operations: 200, defects: vec![Defect::LoseAcked], ..Options::seeded(7) };
//! let (history, truth) = generate(&options);
//! assert!(history.operations() >= 200);
//! assert!(truth.must.contains_key("lost-write"));
//! ```
#![warn(clippy::disallowed_methods)]

pub mod general;
pub mod kafka;

pub use kafka::{Defect, Injection, KeyNames, Loss, Mix, Options, Truth, generate};
