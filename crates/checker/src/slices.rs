//! Slices of a history that are summarised apart and put together in any grouping.
//!
//! A [`Summary`] holds what the rows of one slice say of each topic-partition: every value with its writer, its first ok
//! read and how it was sent, and what was seen at which offset. Summaries of neighbouring slices merge associatively, so
//! that slices can be summarised wherever and whenever is best, and merged as a tree or one by one. The summary of the
//! whole gives the same report as [`check`](crate::check), to the byte.
//!
//! ```
//! use perjury_checker::{Options, check, slices::Summary};
//! use perjury_sim::generate;
//!
//! let (history, _) = generate(&perjury_sim::Options::seeded(7));
//! let (a, b) = (history.len() / 3, history.len() / 2);
//! let [one, two, three] =
//!     [0..a, a..b, b..history.len()].map(|rows| Summary::of(&history, rows));
//! let whole = one.merge(two.merge(three)?)?;
//! assert_eq!(whole.finish(&history, &Options::default())?, check(&history, &Options::default()));
//! # Ok::<(), perjury_checker::slices::SliceError>(())
//! ```

use crate::check::check_tables;
use crate::index::{Index, KeyIndex};
use crate::linear::Limits;
use crate::options::Options;
use crate::report::Report;
use perjury_history::History;
use std::ops::Range;

/// Why slices do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SliceError {
    /// The second slice does not begin where the first ends.
    #[error("rows {0:?} do not begin where rows {1:?} end; merge neighbours in order")]
    Apart(Range<usize>, Range<usize>),
    /// The summary is not that of the whole history.
    #[error("rows {0:?} of {1} are summarised; merge the summaries of all rows first")]
    Incomplete(Range<usize>, usize),
}

/// What the rows of one slice say of each topic-partition.
///
/// Size: about 45 bytes for each distinct value of the slice; polled records that repeat cost nothing.
#[derive(Debug)]
pub struct Summary {
    rows: Range<usize>,
    keys: Vec<KeyIndex>,
}

impl Summary {
    /// Summarises these rows of a history; what lies outside of it is left out.
    pub fn of(history: &History, rows: Range<usize>) -> Self {
        let end = rows.end.min(history.len());
        let rows = rows.start.min(end)..end;
        Summary { keys: Index::tables(history, rows.clone(), 1), rows }
    }

    /// The rows that are summarised.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// The summary of both slices. Associative; both must come from one history.
    ///
    /// # Errors
    /// If `next` does not begin where this slice ends.
    pub fn merge(mut self, next: Summary) -> Result<Summary, SliceError> {
        if next.rows.start != self.rows.end {
            return Err(SliceError::Apart(next.rows, self.rows));
        }
        let len = self.keys.len().max(next.keys.len());
        self.keys.resize_with(len, KeyIndex::default);
        for (key, next) in self.keys.iter_mut().zip(next.keys) {
            key.absorb(next);
        }
        self.rows.end = next.rows.end;
        Ok(self)
    }

    /// The report on the history, the same as that of [`check`](crate::check).
    ///
    /// # Errors
    /// If this is not the summary of all rows.
    pub fn finish(self, history: &History, options: &Options) -> Result<Report, SliceError> {
        if self.rows != (0..history.len()) {
            return Err(SliceError::Incomplete(self.rows, history.len()));
        }
        let mut limits = Limits::new(options.search_steps, options.search_bytes);
        Ok(check_tables(history, options, &mut limits, Some(self.keys)))
    }
}
