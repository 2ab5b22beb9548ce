//! A history event by event: what is definitely broken is known at once, and the report follows whenever it is wanted.
//!
//! # Two parts
//! - [`Live`] holds a bounded state for each topic-partition and process and says what no later event can undo. Its memory
//!   does not grow with the run, so that a verdict can run along for hours; the history itself goes to disk.
//! - [`Stream`] keeps the history in columns as well (about 16 bytes for each polled record) and gives reports: at any time
//!   on what there is so far, and at the end the same one as [`check`](crate::check), to the byte.
//!
//! # What is definite when
//! | at once | only at the end |
//! |---|---|
//! | `inconsistent-offsets`, `duplicate`, `G1a`, `precommitted-read`, `corrupt-record`, `realtime-order`, `nonmonotonic-send`, `int-nonmonotonic-send`, `int-poll-skip`, `int-nonmonotonic-poll`; with assigned consumers (as the header says) `poll-skip`, `nonmonotonic-poll`; `phantom-read` (which is called `early-read` if the send follows later) | `lost-write` and `lost-tail` (a consumer that lags may still read the record), `torn-transaction`, `truncated-log`, `stale-read`, `resurrected-write`, `unseen`, circles, everything that is measured in time, coverage |
//!
//! Definite means that the events seen so far prove it, whatever follows. What follows can put it into another light: where a
//! value turns out to stand at several offsets, or several operations to have sent it, the report at the end lists that
//! instead of what the order of offsets alone had shown.
//!
//! A record that is lost usually shows at once under another name: the offset holds something else, or a poll leaves it
//! out. [`Status::passed_over`] counts acknowledged records that ok reads went past and nobody has read yet: what is left of
//! them at the end is lost.

mod clients;
mod keys;
mod live;
mod places;
mod rules;

pub use live::{Live, LiveOptions, LiveViolation, Status};

use crate::check::check;
use crate::options::Options;
use crate::report::Report;
use perjury_history::{Event, Header, History, HistoryBuilder};

/// Takes a history event by event.
///
/// ```
/// use perjury_checker::{Options, Stream, check};
/// use perjury_sim::{Defect, generate};
///
/// let defects = vec![Defect::ReuseOffset];
/// let (history, _) = generate(&perjury_sim::Options { defects, ..perjury_sim::Options::seeded(1) });
/// let mut stream = Stream::new(history.header.clone(), Options::default());
/// history.events().for_each(|event| stream.push(&event));
/// assert_eq!(stream.violations_so_far()[0].anomaly, "inconsistent-offsets");
/// assert_eq!(stream.finish(), check(&history, &Options::default()));
/// ```
#[derive(Debug)]
pub struct Stream {
    builder: HistoryBuilder,
    live: Live,
    options: Options,
}

impl Stream {
    /// An empty history with this header.
    pub fn new(header: Header, options: Options) -> Self {
        let live = Live::new(&header, &options, LiveOptions::default());
        Stream { builder: HistoryBuilder::new(header), live, options }
    }

    /// Takes in the next event. Its position is its index.
    pub fn push(&mut self, event: &Event) {
        self.live.push(event);
        self.builder.push(event);
    }

    /// The violations that no later event can undo, in the order in which they became definite; at most 256 of them.
    pub fn violations_so_far(&self) -> &[LiveViolation] {
        self.live.violations()
    }

    /// The bounded part alone.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The report as if the history ended here. It costs what a check of the history so far costs.
    pub fn report_so_far(&self) -> Report {
        check(self.builder.so_far(), &self.options)
    }

    /// The history so far.
    pub fn history(&self) -> &History {
        self.builder.so_far()
    }

    /// The report on the whole history, the same as that of [`check`](crate::check).
    pub fn finish(self) -> Report {
        check(&self.builder.finish(), &self.options)
    }
}
