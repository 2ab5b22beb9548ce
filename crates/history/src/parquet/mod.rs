//! The Parquet twin of the native format: the same history in columns, for tools that query columns.
//!
//! # Schema
//! One row an event, in order; the position is the index. `time` and `process` are as in the native form, with −1 for the
//! nemesis and −2 for the cluster. `type` and `f` are the same words. `extra` is a JSON object that holds what few rows
//! have: `keys` or `json` (a value that is not made of micro-operations), `error`, `ext`.
//!
//! `item` spells the micro-operations out, one after the other. `what` says which field counts:
//!
//! | what | meaning | fields |
//! |---|---|---|
//! | 0 | a send that was not answered | key, value |
//! | 1 | an answered send | key, value, offset if the acknowledgement carried one |
//! | 2 | a poll that was not answered | |
//! | 3 | an answered poll; what it returned follows | |
//! | 4 | the records of one key follow | key |
//! | 5 | a record | offset if known, value, `meta` (a JSON object) if it carried more |
//!
//! An integer key or value stands in `key` or `value`, text in `key_text` or `value_text`. The header of the native form
//! is the file's metadata entry `perjury`, and `perjury.torn` counts the bytes of a torn last line that was left out.
//!
//! # Bounds
//! Files are written without compression, in row groups of bounded size, and only such files are read: then no page can
//! be larger than the file, and a hostile file costs memory in proportion to its own size.

mod bits;
mod chunk;
mod columns;
mod delta;
mod guard;
mod hybrid;
mod items;
mod read;
mod schema;
mod write;

pub use ::parquet::file::reader::{ChunkReader, Length};
pub use read::read;
pub use write::write;

/// The first four bytes of every Parquet file.
pub const MAGIC: &[u8; 4] = b"PAR1";
