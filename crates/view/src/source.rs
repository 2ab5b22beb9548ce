//! Where the operations of a history come from: all of it in memory, or a file that is read a block at a time.

use crate::filter::Touch;
use crate::operation::{Op, first_key, rows};
use crate::world::{World, world};
use perjury_history::{History, Kind, Process};
use std::convert::Infallible;

/// One operation, as charts and lists of all operations see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brief {
    /// Its rows.
    pub op: Op,
    /// Whose it is.
    pub process: Option<Process>,
    /// The number of its function: see [`Source::f_name`].
    pub f: u8,
    /// When its first row was, in nanoseconds since the start of the run.
    pub start: Option<i64>,
    /// When it ended; absent when it never did.
    pub end: Option<i64>,
    /// How it ended; one without completion counts as info, since it may have happened.
    pub kind: Kind,
    /// What an index of the history knows beside.
    pub(crate) known: Known,
}

/// What only an index has at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Known {
    /// The number of the first key plus one; 0 when there is none.
    pub(crate) key: u32,
    /// The number of the error's code plus one; 0 when there is none.
    pub(crate) error: u16,
    /// A bit for each key that it touches.
    pub(crate) keys: u64,
}

impl Brief {
    /// Whether a client asked. Events without a process are clients' too.
    pub fn is_client(&self) -> bool {
        self.process.is_none_or(Process::is_client)
    }

    /// How long it took, in milliseconds, when both of its rows are there and their times known.
    pub fn latency_ms(&self) -> Option<f64> {
        self.op.invoke?;
        #[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^53 ns")]
        let ns = self.end?.saturating_sub(self.start?).max(0) as f64;
        // Microseconds are what a chart can show; more digits only make the answer longer.
        Some((ns / 1e3).round() / 1e3)
    }
}

/// What is called for each operation. An error ends the visit.
pub type Visit<'v, E> = dyn FnMut(&Brief) -> Result<(), E> + 'v;

/// Tells of an operation whether it touches what was asked for.
pub type Seeker<'s, E> = Box<dyn FnMut(&Brief) -> Result<bool, E> + 's>;

/// A history whose operations can be visited in the order of their invocations.
pub trait Source {
    /// Why it cannot be read.
    type Error;

    /// The time of the last event, ns; 0 when there is none.
    fn duration(&self) -> i64;

    /// What happened round the clients.
    fn world(&self) -> World;

    /// The name of a function.
    fn f_name(&self, f: u8) -> &str;

    /// The first key that the operation names.
    fn first_key(&self, op: &Brief) -> Option<String>;

    /// The code of the error with which it ended.
    fn error_code(&self, op: &Brief) -> Option<&str>;

    /// Visits every operation that began or ended between these times (ns, closed), and perhaps others.
    ///
    /// # Errors
    /// What the visitor says, and whatever keeps the history from being read.
    fn visit(
        &self,
        since: Option<i64>,
        until: Option<i64>,
        visitor: &mut Visit<'_, Self::Error>,
    ) -> Result<(), Self::Error>;

    /// What tells the operations that touch this from the others.
    ///
    /// # Errors
    /// Whatever keeps the history from being read.
    fn seeker<'s>(&'s self, touch: &'s Touch) -> Result<Seeker<'s, Self::Error>, Self::Error>;
}

impl Source for History {
    type Error = Infallible;

    fn duration(&self) -> i64 {
        (0..self.len()).filter_map(|i| self.time(i)).max().unwrap_or(0).max(0)
    }

    fn world(&self) -> World {
        world(self, self.duration())
    }

    fn f_name(&self, f: u8) -> &str {
        self.f_of(f).map_or("", |f| f.as_str())
    }

    fn first_key(&self, op: &Brief) -> Option<String> {
        first_key(self, op.op.row()).map(|k| self.key(k).to_string())
    }

    fn error_code(&self, op: &Brief) -> Option<&str> {
        op.op.complete.and_then(|c| self.error(c)).map(|e| e.code.as_str())
    }

    fn visit(
        &self,
        _: Option<i64>,
        _: Option<i64>,
        visitor: &mut Visit<'_, Infallible>,
    ) -> Result<(), Infallible> {
        for (op, process) in rows(self) {
            visitor(&Brief {
                op,
                process,
                f: self.f_id(op.first()),
                start: self.time(op.first()),
                end: op.complete.and_then(|c| self.time(c)),
                kind: op.outcome(self),
                known: Known::default(),
            })?;
        }
        Ok(())
    }

    fn seeker<'s>(&'s self, touch: &'s Touch) -> Result<Seeker<'s, Infallible>, Infallible> {
        Ok(Box::new(move |op| Ok(touch.is_in(self, op.op.row()))))
    }
}
