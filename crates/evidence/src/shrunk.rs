//! The few operations that show the anomaly, beside the whole history.

use crate::prepared::Focus;
use perjury_checker::{Options, Progress, shrink};
use perjury_history::{History, jsonl};

/// How many parts of a history are checked before what is left is taken.
const CHECKS_MAX: u64 = 3000;
/// How many operations these parts may have in all. A bound by the clock would give another bundle on another machine.
const OPERATIONS_MAX: u64 = 20_000_000;

/// A part of a history that shows the same anomaly under the same judgement.
#[derive(Debug)]
pub(crate) struct Shrunk {
    /// The part, as a history of its own.
    pub(crate) history: History,
    /// The same in its native form.
    pub(crate) text: Vec<u8>,
    /// The events of the whole history that were kept, in order.
    pub(crate) rows: Vec<usize>,
}

/// Shrinks the history to operations that still show the anomaly; `None` when it has no case that could be kept.
pub(crate) fn shrunk(history: &History, focus: &Focus, options: &Options) -> Option<Shrunk> {
    let mut operations = 0u64;
    let mut go_on = |progress: Progress| {
        operations = operations.saturating_add(progress.left as u64);
        progress.checks < CHECKS_MAX && operations < OPERATIONS_MAX
    };
    let small = match shrink(history, options, Some(&focus.anomaly), &mut go_on) {
        Ok(small) => small,
        Err(why) => {
            tracing::info!(%why, "the history is not shrunk");
            return None;
        }
    };
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = jsonl::write(&small.history, &mut text);
    let rows = small.rows.iter().filter_map(|row| usize::try_from(*row).ok()).collect();
    Some(Shrunk { history: small.history, text, rows })
}
