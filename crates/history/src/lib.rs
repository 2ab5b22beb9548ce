//! The operation model, well-formedness and history formats of Perjury.
//!
//! A *history* is the ordered record of what clients asked of a cluster, what it answered, and what was done to it
//! meanwhile. The vocabulary is Jepsen's: an operation is *invoked* by a process and completes as *ok* (it definitely
//! happened), *fail* (it definitely did not) or *info* (unknown: it may have happened, or may happen later).
//!
//! Two representations exist, on purpose:
//! - [`Event`]: one row, owned and readable. Recorders write it, pages show it.
//! - [`History`]: all rows in columns, keys and values interned, about 16 bytes for each polled record. Checkers read
//!   it, so that ten million operations fit into memory.
//!
//! Files come in through [`formats::read_any`], which recognises our own JSONL and the formats of Jepsen, Elle, Knossos,
//! Porcupine and Kafka's verifiable clients, and go out through [`jsonl`], [`edn`] and [`parquet`].
//!
//! This crate is pure: readers take `std::io::BufRead` (or, for Parquet, what can be read from any place), nothing here opens a file, reads a clock or draws a number.
#![warn(clippy::disallowed_methods)]

pub mod columns;
pub mod config;
pub mod edn;
pub mod event;
pub mod formats;
pub mod header;
pub mod intern;
pub mod jsonl;
pub mod parquet;
pub mod wellformed;

mod event_json;
mod extras;
mod forms;
mod lines;
mod numbering;
mod read_error;

pub use columns::{
    Extra, ExtraId, History, HistoryBuilder, MopRef, PROCESS_MAX, PollRef, RecordsRef, Row,
};
pub use config::{Acks, Configuration, IsolationLevel, SubVia};
pub use event::{
    Event, F, Kind, Mop, OpError, Payload, PolledKey, Process, Record, RecordMeta, Scalar,
};
pub use formats::Format;
pub use header::{FORMAT, Header};
pub use intern::{KeyId, ValueId};
pub use jsonl::ReadOptions;
pub use lines::LINE_BYTES_MAX;
pub use read_error::{ReadError, ReadErrorKind};
pub use wellformed::{Problem, ProblemKind};
