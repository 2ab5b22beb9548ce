//! Windows of a history as pages need them: pure functions over a parsed history.

pub(crate) mod filter;
pub(crate) mod log;
pub(crate) mod operation;
pub(crate) mod sample;
pub(crate) mod timeline;
pub(crate) mod world;
