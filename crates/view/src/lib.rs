//! Windows of a history as pages need them: pure functions over a parsed history.
//!
//! The server answers requests from them, and an evidence bundle carries the same shapes inside its one-file report, so
//! that the same page shows both. No I/O, no clock.
#![warn(clippy::disallowed_methods)]

pub mod filter;
pub mod log;
pub mod operation;
pub mod sample;
pub mod timeline;
pub mod world;
