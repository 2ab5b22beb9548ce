//! The append log whose server assigns offsets: one topic-partition, decided without search.
//!
//! # The model
//! The state is a sequence. `append(v)` answers the offset at which it put `v`; a batch takes consecutive offsets at one
//! moment. `fetch` answers values with their offsets. A *strict* `empty(o)` claims that the log was not longer than
//! `o`, a strict `end` claims that its length was exactly the answer; weak ones claim no upper bound, as for a consumer
//! that polls behind the high watermark. `gone(o)` claims that offset `o` was already deleted.
//!
//! # Why no search is needed
//! The answers carry offsets, and the log's order is the offset order. Let *a(o)* be the moment at which offset `o` was
//! filled: *a(0) < a(1) < …*. Every answer bounds only such moments, from above by its return or from below by its
//! invocation, and the history is linearizable exactly when no lower bound at `i` is later than an upper bound at some
//! `j ≥ i`. Offsets that nobody claims (*holes*) are matched to appends of unknown outcome by earliest deadline.
//! [`decide`] takes the batch form, [`LogStream`] the streaming form, which
//! also finds the first return that makes a violation inevitable.
//!
//! # Preconditions
//! The values appended to one log are unique; otherwise the answer is unknown (`values-not-unique`).

mod explain;
mod fill;
mod stream;
mod windows;

pub use explain::{Claim, LogFault, LogRule};
pub use stream::{LogStream, Reader, Writer};

use super::budget::Budget;
use super::op::{NEVER, Op, first_broken};
use super::outcome::{Answer, Unknown, Violation};
use windows::Judgement;

/// An offset and the value seen there. In an append only the value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// The offset.
    pub offset: u64,
    /// The value's code.
    pub value: i64,
}

/// One operation on a log, with its answer. Cells are ranges of [`Log::cells`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogCall {
    /// `len` values, appended together at consecutive offsets; the first offset if the answer carried it.
    Append {
        /// The first cell.
        first: u32,
        /// How many values.
        len: u32,
        /// The offset of the first value.
        offset: Option<u64>,
    },
    /// Values read at their offsets at one moment.
    Fetch {
        /// The first cell.
        first: u32,
        /// How many cells.
        len: u32,
    },
    /// Nothing was there at or after `offset`.
    Empty {
        /// The offset.
        offset: u64,
        /// Whether the log was then really not longer.
        strict: bool,
    },
    /// The log's length.
    End {
        /// The length.
        end: u64,
        /// Whether it was then exactly that long; a weak answer only shows that it was at least that long.
        strict: bool,
    },
    /// The offset was already deleted by retention.
    Gone {
        /// The offset.
        offset: u64,
    },
}

/// A value whose append failed: it must never be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aborted {
    /// The value's code.
    pub value: i64,
    /// The event at which the append was invoked.
    pub invoke: u64,
    /// The event at which it failed.
    pub fail: u64,
}

/// What an offset without a known value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Holes {
    /// A record of some append of unknown outcome. Right when every offset holds a client's record.
    Filled,
    /// Possibly nothing: transaction markers and compaction burn offsets.
    #[default]
    Burned,
}

/// The operations on one log.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// The operations, in order of invocation. Reads that did not return are left out.
    pub ops: Vec<Op<LogCall>>,
    /// The cells that operations refer to.
    pub cells: Vec<Cell>,
    /// The values of failed appends.
    pub aborted: Vec<Aborted>,
    /// What holes are.
    pub holes: Holes,
}

impl Log {
    /// The cells of an operation; empty unless it is an append or a fetch.
    pub fn cells_of(&self, call: &LogCall) -> &[Cell] {
        match call {
            LogCall::Append { first, len, .. } | LogCall::Fetch { first, len } => {
                &self.cells[*first as usize..(*first + *len) as usize]
            }
            _ => &[],
        }
    }

    /// Appends an append of `values`.
    pub fn push_append(
        &mut self,
        (process, invoke, ret): (Option<u32>, u64, Option<u64>),
        values: impl IntoIterator<Item = i64>,
        offset: Option<u64>,
    ) {
        let first = self.next_cell();
        self.cells.extend(values.into_iter().map(|value| Cell { offset: 0, value }));
        let len = self.next_cell() - first;
        self.ops.push(Op { process, invoke, ret, call: LogCall::Append { first, len, offset } });
    }

    /// Appends a fetch that returned `cells`.
    pub fn push_fetch(
        &mut self,
        (process, invoke, ret): (Option<u32>, u64, u64),
        cells: impl IntoIterator<Item = Cell>,
    ) {
        let first = self.next_cell();
        self.cells.extend(cells);
        let len = self.next_cell() - first;
        self.ops.push(Op { process, invoke, ret: Some(ret), call: LogCall::Fetch { first, len } });
    }

    fn next_cell(&self) -> u32 {
        #[expect(clippy::expect_used, reason = "a history has fewer than 2^32 records")]
        u32::try_from(self.cells.len()).expect("fewer than 2^32 cells")
    }

    /// What had happened before event `before`: later invocations are gone, later returns have not come yet.
    fn before(&self, before: u64) -> Log {
        let mut prefix = Log { holes: self.holes, ..Log::default() };
        for op in self.ops.iter().filter(|o| o.invoke < before) {
            let returned = op.ret.filter(|r| *r < before);
            let cells = self.cells_of(&op.call);
            match op.call {
                LogCall::Append { offset, .. } => prefix.push_append(
                    (op.process, op.invoke, returned),
                    cells.iter().map(|c| c.value),
                    offset.filter(|_| returned.is_some()),
                ),
                LogCall::Fetch { .. } => {
                    if let Some(ret) = returned {
                        prefix.push_fetch((op.process, op.invoke, ret), cells.iter().copied());
                    }
                }
                call if returned.is_some() => prefix.ops.push(Op { call, ..op.clone() }),
                _ => {}
            }
        }
        for a in self.aborted.iter().filter(|a| a.invoke < before) {
            if a.fail < before {
                prefix.aborted.push(*a);
            } else {
                prefix.push_append((None, a.invoke, None), [a.value], None);
            }
        }
        prefix
    }
}

/// Decides one log. `name` shows a value's code to people.
///
/// Cost: a pass over operations and cells, sorting only for the certificate and after a violation.
pub fn decide(
    log: &Log,
    certificate: bool,
    budget: &mut dyn Budget,
    name: &dyn Fn(i64) -> String,
) -> Answer {
    let judgement = match windows::judge(log, certificate, budget) {
        Ok(judgement) => judgement,
        Err(what) => return Answer::Unknown(Unknown::exhausted(what, 0)),
    };
    match judgement {
        Judgement::Holds(order) => Answer::Linearizable { order },
        Judgement::NotUnique(value) => Answer::Unknown(Unknown::new(
            "values-not-unique",
            0,
            format!("Value {} was appended twice; a log is judged by unique values.", name(value)),
        )),
        Judgement::BatchHoles => Answer::Unknown(Unknown::new(
            "batch-holes",
            0,
            "Offsets without a known value could be filled by batches of unknown outcome in more than one way.",
        )),
        Judgement::Broken => violation(log, stream::first_fault(log), budget, name),
        Judgement::Unfilled(fault) => violation(log, Some(fault), budget, name),
    }
}

fn violation(
    log: &Log,
    fault: Option<LogFault>,
    budget: &mut dyn Budget,
    name: &dyn Fn(i64) -> String,
) -> Answer {
    // The stream is exact but for holes: then the prefix before its event holds.
    let exact = fault.as_ref().map(|f| f.event).and_then(|event| {
        let prefix = windows::judge(&log.before(event), true, budget);
        matches!(prefix, Ok(Judgement::Holds(_))).then_some((event, prefix))
    });
    let (end, prefix) = exact.unwrap_or_else(|| {
        let guess = fault.as_ref().map_or(NEVER, |f| f.event);
        let end = first_broken_prefix(log, guess, budget);
        (end, windows::judge(&log.before(end), true, budget))
    });
    // A fault that the stream finds later than the first broken prefix has a hole as its first cause.
    let fault = match fault.filter(|f| f.event <= end) {
        Some(fault) => fault,
        None => match windows::judge(&log.before(end + 1), false, budget) {
            Ok(Judgement::Unfilled(fault)) => LogFault { event: end, ..fault },
            _ => match stream::first_fault(&log.before(end + 1)) {
                Some(fault) => fault,
                None => LogFault::unexplained(end),
            },
        },
    };
    let op = log.ops.iter().find(|o| o.ret == Some(end)).map_or(fault.op, Op::id);
    let prefix = match prefix {
        Ok(Judgement::Holds(order)) => order.unwrap_or_default(),
        _ => Vec::new(),
    };
    Answer::NotLinearizable(Box::new(Violation {
        rule: fault.rule.code(),
        op,
        others: fault.others.clone(),
        prefix_end: end,
        prefix,
        attempts: Vec::new(),
        sentence: fault.sentence(name),
    }))
}

fn first_broken_prefix(log: &Log, guess: u64, budget: &mut dyn Budget) -> u64 {
    let mut returns: Vec<u64> = log.ops.iter().filter_map(|o| o.ret).collect();
    returns.extend(log.aborted.iter().map(|a| a.fail));
    returns.sort_unstable();
    returns.dedup();
    first_broken(guess, &returns, |before| {
        matches!(
            windows::judge(&log.before(before), false, budget),
            Ok(Judgement::Holds(_) | Judgement::NotUnique(_) | Judgement::BatchHoles)
        )
    })
}
