//! Lines of bounded length from a `BufRead`, mostly without a copy.

use crate::read_error::ReadErrorKind;
use std::io::BufRead;

/// How long a line may be unless the caller says otherwise, in bytes.
pub const LINE_BYTES_MAX: usize = 64 << 20;

/// A reader that yields one line at a time and never holds more than the limit.
pub(crate) struct Lines<R> {
    inner: R,
    carried: Vec<u8>,
    taken: usize,
    limit: usize,
    /// The number of the line last yielded, counted from 1.
    pub(crate) number: u64,
}

/// One line without its line feed.
pub(crate) struct Line<'a> {
    /// Its bytes.
    pub(crate) bytes: &'a [u8],
    /// Whether a line feed followed.
    pub(crate) ended: bool,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(inner: R, limit: usize) -> Self {
        Lines { inner, carried: Vec::new(), taken: 0, limit, number: 0 }
    }

    /// The next line, or `None` at the end.
    pub(crate) fn next_line(&mut self) -> Result<Option<Line<'_>>, ReadErrorKind> {
        self.inner.consume(std::mem::take(&mut self.taken));
        self.carried.clear();
        loop {
            let available = self.fill()?;
            let (len, found) = match memchr::memchr(b'\n', available) {
                Some(n) => (n, true),
                None => (available.len(), false),
            };
            let at_end = available.is_empty();
            if self.carried.len() + len > self.limit {
                self.number += 1;
                return Err(ReadErrorKind::LineTooLong { limit: self.limit });
            }
            if at_end && self.carried.is_empty() {
                return Ok(None);
            }
            if found && self.carried.is_empty() {
                self.number += 1;
                self.taken = len + 1;
                // The buffer still holds these bytes, so this neither blocks nor reads.
                let bytes = &self.fill()?[..len];
                return Ok(Some(Line { bytes, ended: true }));
            }
            if !at_end {
                let available = self.inner.fill_buf().map_err(ReadErrorKind::Io)?;
                self.carried.extend_from_slice(&available[..len]);
                self.inner.consume(len + usize::from(found));
            }
            if found || at_end {
                self.number += 1;
                return Ok(Some(Line { bytes: &self.carried, ended: found }));
            }
        }
    }

    fn fill(&mut self) -> Result<&[u8], ReadErrorKind> {
        // Twice, since a borrow that is returned from inside the loop would outlive it.
        loop {
            match self.inner.fill_buf() {
                Ok(_) => break,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(ReadErrorKind::Io(e)),
            }
        }
        self.inner.fill_buf().map_err(ReadErrorKind::Io)
    }
}

/// The text of a line, or where and why it is none.
pub(crate) fn as_text(bytes: &[u8]) -> Result<&str, (usize, ReadErrorKind)> {
    let zero = memchr::memchr(0, bytes);
    let zero = zero.map(|at| (at, ReadErrorKind::NotText("it contains a zero byte".into())));
    match (std::str::from_utf8(bytes), zero) {
        (Ok(text), None) => Ok(text),
        (Err(e), None) => {
            let at = e.valid_up_to();
            Err((at, ReadErrorKind::NotText(format!("byte 0x{:02x} is not UTF-8", bytes[at]))))
        }
        (_, Some(zero)) => Err(zero),
    }
}
