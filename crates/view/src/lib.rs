//! Windows of a history as pages need them: pure functions over a history.
//!
//! The server answers requests from them, and an evidence bundle carries the same shapes inside its one-file report, so
//! that the same page shows both. Short histories are parsed whole; of long ones, [`paged`] reads the blocks that a window
//! needs. No I/O, no clock.
#![warn(clippy::disallowed_methods)]

pub mod filter;
pub mod log;
pub mod operation;
pub mod paged;
pub mod sample;
pub mod source;
pub mod timeline;
pub mod world;
