//! What is remembered of each process: its open operation, and where it stands.

use perjury_history::F;
use rustc_hash::FxHashMap;

/// The last thing that a process did with one topic-partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stand {
    pub(super) event: u64,
    pub(super) offset: i64,
    /// Whether the operation was ok: one of unknown outcome may take effect later.
    pub(super) is_ok: bool,
}

/// An operation that did not return yet.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) event: u64,
    pub(super) f: F,
    /// For each topic-partition to which it sends the highest offset that was acknowledged before, with its event.
    pub(super) above: Vec<(usize, i64, u64)>,
}

/// One process. It is forgotten when it is retired.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) open: Option<Open>,
    pub(super) polls: FxHashMap<usize, Stand>,
    pub(super) sends: FxHashMap<usize, Stand>,
}
