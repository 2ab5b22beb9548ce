//! Cuts a stream of bracketed data (EDN or JSON) into its top-level forms, or into the items of the one vector that
//! holds them, without holding more than one of them.

use crate::lines::as_text;
use crate::read_error::{Fault, ReadError, ReadErrorKind};
use std::io::BufRead;

/// Where a form begins and what became of the stream.
pub(crate) struct Forms<R> {
    inner: R,
    name: String,
    limit: usize,
    buf: Vec<u8>,
    state: State,
    /// Open brackets within the form.
    depth: usize,
    /// Whether the forms are items of one vector.
    wrapped: bool,
    /// Whether that vector was closed.
    closed: bool,
    /// Where reading is: line and column in bytes, from 1.
    line: u64,
    column: u64,
    /// Where the form in the buffer begins.
    start: (u64, u64),
    /// Bytes read altogether.
    total: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Plain,
    Text,
    TextEscape,
    Comment,
    /// Behind a backslash outside of text: one character stands for itself.
    Character,
}

enum Step {
    Skip,
    Take,
    /// The byte ends the form and belongs to it.
    TakeAndEnd,
    /// The byte ends the form and does not belong to it.
    End,
}

impl<R: BufRead> Forms<R> {
    pub(crate) fn new(inner: R, name: &str, limit: usize) -> Self {
        Forms {
            inner,
            name: name.into(),
            limit,
            buf: Vec::new(),
            state: State::Plain,
            depth: 0,
            wrapped: false,
            closed: false,
            line: 1,
            column: 1,
            start: (1, 1),
            total: 0,
        }
    }

    /// Whether nothing at all was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The next form with the comments before it, or `None` at the end.
    pub(crate) fn next_form(&mut self) -> Result<Option<&str>, ReadError> {
        self.buf.clear();
        self.state = State::Plain;
        self.depth = 0;
        loop {
            let chunk = match self.inner.fill_buf() {
                Ok(chunk) => chunk,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.here(ReadErrorKind::Io(e))),
            };
            if chunk.is_empty() {
                return self.at_end();
            }
            let mut used = 0;
            let mut ended = false;
            while used < chunk.len() && !ended && self.buf.len() <= self.limit {
                if self.state == State::Plain && self.depth > 0 {
                    // Within a form most bytes only want to be copied.
                    let most = chunk.len().min(used + 1 + self.limit - self.buf.len());
                    let run = ordinary(&chunk[used..most], &mut self.depth);
                    self.buf.extend_from_slice(&chunk[used..used + run]);
                    self.column += run as u64;
                    used += run;
                    if used == most {
                        continue;
                    }
                }
                let byte = chunk[used];
                let step = step(
                    &mut self.state,
                    &mut self.depth,
                    &mut self.wrapped,
                    &mut self.closed,
                    &mut self.buf,
                    byte,
                );
                if matches!(step, Step::Take | Step::TakeAndEnd) {
                    if self.buf.is_empty() {
                        self.start = (self.line, self.column);
                    }
                    self.buf.push(byte);
                }
                used += 1;
                self.column += 1;
                if byte == b'\n' {
                    (self.line, self.column) = (self.line + 1, 1);
                }
                ended = matches!(step, Step::TakeAndEnd | Step::End);
            }
            self.inner.consume(used);
            self.total += used as u64;
            if self.buf.len() > self.limit {
                return Err(self.here(ReadErrorKind::LineTooLong { limit: self.limit }));
            }
            if ended {
                return self.text().map(Some);
            }
        }
    }

    /// How many bytes of an unfinished last form there are; `None` when the stream ended well.
    pub(crate) fn torn(&self) -> Option<u64> {
        let unfinished =
            self.depth > 0 || self.state == State::Text || self.state == State::TextEscape;
        (unfinished || (self.wrapped && !self.closed)).then_some(self.buf.len() as u64)
    }

    /// The error for a fault in the form last yielded.
    pub(crate) fn error(&self, fault: Fault) -> ReadError {
        let before = &self.buf[..fault.at.min(self.buf.len())];
        let lines = memchr::memchr_iter(b'\n', before).count() as u64;
        let last = before.rsplit(|b| *b == b'\n').next().unwrap_or_default();
        let within = String::from_utf8_lossy(last).chars().count() as u64;
        let column = if lines == 0 { self.start.1 + within } else { 1 + within };
        ReadError { name: self.name.clone(), line: self.start.0 + lines, column, kind: fault.kind }
    }

    fn at_end(&mut self) -> Result<Option<&str>, ReadError> {
        let whole = self.torn().is_none();
        if whole && self.buf.iter().any(|b| !b.is_ascii_whitespace()) {
            return self.text().map(Some);
        }
        Ok(None)
    }

    fn text(&self) -> Result<&str, ReadError> {
        as_text(&self.buf).map_err(|(at, kind)| self.error(Fault { at, kind }))
    }

    fn here(&self, kind: ReadErrorKind) -> ReadError {
        ReadError { name: self.name.clone(), line: self.line, column: self.column, kind }
    }
}

/// How many bytes there are before the first that could change the state or end the form. Counts brackets on the way.
fn ordinary(bytes: &[u8], depth: &mut usize) -> usize {
    for (n, byte) in bytes.iter().enumerate() {
        match byte {
            b'"' | b';' | b'\\' | b'\n' => return n,
            b'[' | b'(' | b'{' => *depth += 1,
            b']' | b')' | b'}' if *depth == 1 => return n,
            b']' | b')' | b'}' => *depth -= 1,
            _ => {}
        }
    }
    bytes.len()
}

fn step(
    state: &mut State,
    depth: &mut usize,
    wrapped: &mut bool,
    closed: &mut bool,
    buf: &mut Vec<u8>,
    byte: u8,
) -> Step {
    match *state {
        State::Text => {
            match byte {
                b'"' => *state = State::Plain,
                b'\\' => *state = State::TextEscape,
                _ => {}
            }
            Step::Take
        }
        State::TextEscape => {
            *state = State::Text;
            Step::Take
        }
        State::Character => {
            *state = State::Plain;
            Step::Take
        }
        State::Comment => {
            if byte == b'\n' {
                *state = State::Plain;
            }
            Step::Take
        }
        State::Plain => plain(state, depth, wrapped, closed, buf, byte),
    }
}

fn plain(
    state: &mut State,
    depth: &mut usize,
    wrapped: &mut bool,
    closed: &mut bool,
    buf: &mut Vec<u8>,
    byte: u8,
) -> Step {
    match byte {
        b'"' => {
            *state = State::Text;
            Step::Take
        }
        b';' => {
            *state = State::Comment;
            Step::Take
        }
        b'\\' => {
            *state = State::Character;
            Step::Take
        }
        // One vector around everything, perhaps behind its tag.
        b'[' | b'(' if *depth == 0 && !*wrapped && is_only_tag(buf) => {
            *wrapped = true;
            buf.clear();
            Step::Skip
        }
        b'[' | b'(' | b'{' => {
            *depth += 1;
            Step::Take
        }
        b']' | b')' if *depth == 0 && *wrapped && !*closed => {
            *closed = true;
            if buf.is_empty() { Step::Skip } else { Step::End }
        }
        b']' | b')' | b'}' => {
            *depth = depth.saturating_sub(1);
            if *depth == 0 { Step::TakeAndEnd } else { Step::Take }
        }
        b' ' | b'\t' | b'\r' | b'\n' | b',' if buf.is_empty() => Step::Skip,
        b'\n' if *depth == 0 => Step::End,
        _ => Step::Take,
    }
}

/// Whether nothing but comments and at most one tag was read.
fn is_only_tag(buf: &[u8]) -> bool {
    let mut rest = buf.trim_ascii_start();
    while rest.first() == Some(&b';') {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        rest = rest[end..].trim_ascii_start();
    }
    let rest = rest.trim_ascii_end();
    rest.is_empty()
        || (rest[0] == b'#'
            && !rest.iter().any(|b| b.is_ascii_whitespace() || b"{[(\"_".contains(b)))
}
