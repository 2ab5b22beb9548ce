//! From a history to a report: anomalies, contract, coverage, verdict.
//!
//! # The model
//! A history is the record of what clients asked of a Kafka-compatible cluster and what it answered (see
//! `perjury_history`). Values are unique for a key, and a key is one topic-partition. From the offsets that anybody saw,
//! the checker reconstructs every partition's log and holds each operation against it.
//!
//! # The analyses
//! - *Losses*: `lost-write`, `lost-tail`, `torn-transaction`.
//! - *One log for all*: `inconsistent-offsets`, `duplicate`, `truncated-log`, `resurrected-write`, `stale-read`,
//!   `phantom-read`, `corrupt-record`.
//! - *Isolation*: `G1a`, `precommitted-read`, `early-read`, and cycles among operations.
//! - *Order*: `poll-skip`, `nonmonotonic-poll`, `nonmonotonic-send`, their `int-` forms, `realtime-order`.
//! - *Groups and transactional ids*: `commit-regression`, `skipped-past-commit`, `redelivery-outside-window`,
//!   `double-ownership`, `zombie-commit`, `zombie-write`, `exactly-once-violation`; ends of logs: `offset-regression`.
//! - *What may go from a log*: `lost-last-value` (compaction), `deleted-record-read`.
//! - *Progress*: `unseen`, `availability-gap`, `slow-election`, `never-recovered`, `stuck-client`,
//!   `hanging-transaction`.
//!
//! Names that Jepsen's `tests.kafka` knows have its definitions exactly; the others are ours. [`glossary`] explains each.
//!
//! # The verdict
//! Which anomalies are prohibited follows from the configuration ([`Contract`]). A run that proves nothing is *unknown*,
//! never *valid*: see the reasons of a [`Report`].
//!
//! # Example
//! ```
//! use perjury_checker::{Options, Verdict, check};
//! use perjury_history::{Event, Header, HistoryBuilder};
//!
//! let rows = [
//!     r#"{"index":0,"process":0,"type":"invoke","f":"send","value":[["send","t-0",1]]}"#,
//!     r#"{"index":1,"process":0,"type":"ok","f":"send","value":[["send","t-0",[0,1]]]}"#,
//!     r#"{"index":2,"process":1,"type":"invoke","f":"poll","value":[["poll"]]}"#,
//!     r#"{"index":3,"process":1,"type":"ok","f":"poll","value":[["poll",{"t-0":[[0,1]]}]]}"#,
//! ];
//! let mut builder = HistoryBuilder::new(Header::default());
//! for row in rows {
//!     let event: Event = serde_json::from_str(row)?;
//!     builder.push(&event);
//! }
//! let report = check(&builder.finish(), &Options::default());
//! assert_eq!(report.verdict, Verdict::Valid);
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! # In pieces
//! [`slices`] summarises parts of a history apart; [`Stream`] takes a history event by event and says at any time what is
//! definitely broken; [`shrink()`] cuts an invalid history down to the operations that matter.
//!
//! # Purity
//! No I/O, no clock, no randomness, no async. The same history gives the same bytes, whatever the number of threads.
#![warn(clippy::disallowed_methods)]

mod anomalies;
mod availability;
mod check;
mod confidence;
mod context;
mod contract;
mod counts;
mod coverage;
pub mod elle;
mod explain;
mod faults;
mod general;
mod goals;
pub mod graph;
pub(crate) mod index;
pub mod linear;
pub(crate) mod observed;
mod options;
pub(crate) mod par;
mod removals;
pub mod render;
pub mod report;
mod rules;
mod shrink;
pub mod slices;
mod stream;
mod tally;
mod walk;
mod words;

pub use anomalies::{GlossaryEntry, glossary};
pub use check::{check, check_within};
pub use options::{Budgets, Contract, Model, Options};
pub use report::{Calibrated, Judgement, ReasonDetail, Report, Verdict};
pub use rules::{Rules, UnknownAnomaly};
pub use shrink::{Progress, ShrinkError, Shrunk, shrink};
pub use stream::{Live, LiveOptions, LiveViolation, Status, Stream};
