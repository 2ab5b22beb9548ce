//! From an invalid history to the few operations that matter.
//!
//! # What is kept
//! The most telling case of the wanted anomaly is the one to keep. Removing operations can also *make* an anomaly: without
//! the poll that read a record, the record looks lost. So the search first keeps exactly this case (its topic-partition,
//! its value, its operations and what was seen), then the same value of the same topic-partition, and only in what is left
//! by then any case of the name. What is not linearizable stops after the first step: there every read of a value that
//! nobody wrote would be a case, and what is minimal is minimal for exactly this case.
//!
//! # How it is done
//! 1. The neighbourhood of the case's operations is tried, from the narrowest to the widest: the operations themselves, all
//!    that touched the value, their processes on its topic-partition, the topic-partition, their processes. The first that
//!    shows the case is where the search goes on, otherwise the whole history.
//! 2. Topic-partitions and processes are removed, many at once and then fewer (delta debugging: Zeller and Hildebrandt,
//!    "Simplifying and Isolating Failure-Inducing Input", 2002), then operations, faults and cluster events in the same
//!    way, until no single one can be removed.
//! 3. Within the operations that are left, sends and polls of transactions and the ends of polled runs of records are
//!    removed while the case stays, and step 2 is repeated until nothing changes.
//!
//! An operation is removed with both of its events, so the history stays well-formed. The result follows from the history
//! and the options alone, unless the search is stopped.

mod case;
mod minimise;
mod parts;

use crate::options::Options;
use crate::report::Verdict;
use case::Case;
use minimise::Search;
use perjury_history::{Event, Header, History, HistoryBuilder};
use serde_json::json;

/// How far a search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Histories checked so far.
    pub checks: u64,
    /// Operations, faults and cluster events in the smallest one that still shows the anomaly.
    pub left: usize,
}

/// What is left of a history.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// The small history. Its header is that of the whole with a field `shrunk_from`.
    pub history: History,
    /// The anomaly that it shows.
    pub anomaly: String,
    /// The rows of the whole history that were kept, in order.
    pub rows: Vec<u64>,
    /// Client operations that are left.
    pub operations: u64,
    /// Histories that were checked on the way.
    pub checks: u64,
    /// Whether no single operation, fault or cluster event can be removed. False when the search was stopped.
    pub minimal: bool,
}

/// Why a history cannot be shrunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShrinkError {
    /// No violation.
    #[error(
        "the history is {0}: there is no violation to keep; name an anomaly that it shows to keep that"
    )]
    NotInvalid(Verdict),
    /// The anomaly does not occur.
    #[error("the history does not show {wanted}; it shows {}", shown(.found))]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: Vec<String>,
    },
    /// The anomaly has no cases to hold on to.
    #[error("no case of {0} is listed; raise the number of examples")]
    NoCase(String),
}

fn shown(found: &[String]) -> String {
    if found.is_empty() { "no anomaly".into() } else { found.join(", ") }
}

/// Shrinks a history to a 1-minimal one that shows the same anomaly: the one that is named, otherwise the worst violation.
/// An anomaly that is no violation of the contract can be named as well; it keeps its judgement.
///
/// `go_on` is asked before each check and can end the search; what was reached by then is given.
///
/// ```
/// use perjury_checker::{Options, shrink};
/// use perjury_sim::{Defect, generate};
///
/// let defects = vec![Defect::LoseAcked];
/// let (history, _) = generate(&perjury_sim::Options { defects, ..perjury_sim::Options::seeded(3) });
/// let small = shrink(&history, &Options::default(), Some("lost-write"), &mut |_| true)?;
/// assert!(small.minimal && small.operations <= 12);
/// # Ok::<(), perjury_checker::ShrinkError>(())
/// ```
///
/// # Errors
/// If the history does not show the anomaly, or no violation where none is named.
pub fn shrink(
    history: &History,
    options: &Options,
    anomaly: Option<&str>,
    go_on: &mut dyn FnMut(Progress) -> bool,
) -> Result<Shrunk, ShrinkError> {
    let case = Case::of(history, options, anomaly)?;
    let mut search = Search::new(history, options, &case, go_on);
    let rows = search.run();
    let (checks, minimal) = (search.checks, !search.is_stopped);
    let events = search.into_events(&rows);
    let mut small = build(header(history, &case.name, &rows, minimal), &events);
    small.torn = false;
    Ok(Shrunk {
        operations: small.operations(),
        history: small,
        anomaly: case.name,
        rows: rows.iter().map(|row| *row as u64).collect(),
        checks,
        minimal,
    })
}

fn header(history: &History, anomaly: &str, rows: &[usize], minimal: bool) -> Header {
    let mut header = history.header.clone();
    let note = json!({
        "name": history.header.name,
        "operations": history.operations(),
        "events": history.len(),
        "anomaly": anomaly,
        "rows": rows,
        "minimal": minimal,
    });
    header.other.insert("shrunk_from".into(), note);
    header
}

fn build(header: Header, events: &[Event]) -> History {
    let mut builder = HistoryBuilder::new(header);
    events.iter().for_each(|event| builder.push(event));
    builder.finish()
}
