//! The numbers that foreign histories give their operations.

use crate::read_error::{Fault, ReadErrorKind};

/// Follows the indices of a foreign history. They may be absent, and parts of a history keep the numbers of the whole, so
/// gaps say nothing; but every analysis goes by the order of operations, so an index that is not above the one before is
/// a flaw.
#[derive(Debug, Default)]
pub(crate) struct Numbering {
    last: Option<i64>,
}

impl Numbering {
    /// Takes the next index, which stands at this byte.
    pub(crate) fn next(&mut self, index: i64, at: usize) -> Result<(), Fault> {
        match self.last.replace(index) {
            Some(before) if index <= before => {
                Err(Fault { at, kind: ReadErrorKind::ReversedIndex { index, before } })
            }
            _ => Ok(()),
        }
    }
}
