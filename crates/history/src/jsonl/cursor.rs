//! A position in one line of JSON, and the few steps that reading an event needs.

use crate::read_error::{Fault, excerpt};
use std::borrow::Cow;

/// A position in one line of JSON. All methods advance it past what they read.
pub(super) struct Cursor<'a> {
    text: &'a str,
    bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Cursor { text, bytes: text.as_bytes(), at: 0 }
    }

    /// The text between two positions.
    pub(super) fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    /// The next byte that is not white space, not consumed; 0 at the end.
    pub(super) fn peek(&mut self) -> u8 {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Some(b) => return *b,
                None => return 0,
            }
        }
    }

    /// Consumes this byte if it is next.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte && self.at < self.bytes.len();
        self.at += usize::from(found);
        found
    }

    /// Consumes this byte or says that it is missing.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.eat(byte) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("{:?}", char::from(byte))))
        }
    }

    /// The fault that something else stands here.
    pub(super) fn unexpected(&mut self, wanted: &str) -> Fault {
        self.peek();
        match self.slice(self.at, self.text.len()).chars().next() {
            None => Fault::json(self.at, format!("the line ends where {wanted} is expected")),
            Some(c) => Fault::json(self.at, format!("{c:?} stands where {wanted} is expected")),
        }
    }

    /// Consumes a comma or this closing byte; whether it was the comma.
    pub(super) fn more(&mut self, close: u8) -> Result<bool, Fault> {
        match self.peek() {
            b',' => {
                self.at += 1;
                Ok(true)
            }
            b if b == close && self.at < self.bytes.len() => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.unexpected(&format!("\",\" or {:?}", char::from(close)))),
        }
    }

    /// Consumes `null` if it is next.
    pub(super) fn eat_null(&mut self) -> bool {
        self.peek();
        let found = self.bytes[self.at..].starts_with(b"null");
        self.at += if found { 4 } else { 0 };
        found
    }

    /// A string; borrowed unless it has escapes.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        if self.peek() != b'"' {
            return Err(self.unexpected("a string"));
        }
        let start = self.at + 1;
        let mut end = start;
        while let Some(b) = self.bytes.get(end) {
            match b {
                b'"' => {
                    self.at = end + 1;
                    return Ok(Cow::Borrowed(self.slice(start, end)));
                }
                b'\\' => return self.escaped_string().map(Cow::Owned),
                0..0x20 => return Err(Fault::json(end, "a control character stands in a string")),
                _ => end += 1,
            }
        }
        Err(Fault::json(end, "the line ends inside a string"))
    }

    fn escaped_string(&mut self) -> Result<String, Fault> {
        let start = self.at;
        self.skip_string()?;
        decode(self.slice(start, self.at), start)
    }

    /// An integer of at most 64 bits written without fraction and exponent; `None`, and nothing consumed, when
    /// another kind of value stands here.
    pub(super) fn integer(&mut self) -> Option<i64> {
        self.peek();
        let negative = self.bytes.get(self.at) == Some(&b'-');
        let start = self.at + usize::from(negative);
        let mut end = start;
        let mut n: i64 = 0;
        while let Some(d @ b'0'..=b'9') = self.bytes.get(end) {
            let digit = i64::from(d - b'0');
            // Downwards for negative numbers, so that the least one is reached as well.
            let signed = if negative { -digit } else { digit };
            n = n.checked_mul(10)?.checked_add(signed)?;
            end += 1;
        }
        let leading_zero = self.bytes.get(start) == Some(&b'0') && (end > start + 1 || negative);
        if end == start || leading_zero || matches!(self.bytes.get(end), Some(b'.' | b'e' | b'E')) {
            return None;
        }
        self.at = end;
        Some(n)
    }

    /// Skips one value by its brackets and quotes and gives its extent. What is inside is not validated.
    pub(super) fn skip(&mut self) -> Result<(usize, usize), Fault> {
        self.peek();
        let start = self.at;
        let mut depth = 0usize;
        loop {
            match self.bytes.get(self.at) {
                None if self.at == start => return Err(self.unexpected("a value")),
                None if depth > 0 => {
                    return Err(Fault::json(self.at, "the line ends inside a value"));
                }
                None => break,
                Some(b'"') => self.skip_string()?,
                Some(b'[' | b'{') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b']' | b'}') if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                Some(b']' | b'}' | b',' | b':') if depth == 0 => break,
                Some(b' ' | b'\t' | b'\r' | b'\n') if depth == 0 => break,
                Some(_) => {
                    self.at += 1;
                    if depth == 0 {
                        continue;
                    }
                }
            }
            if depth == 0 {
                break;
            }
        }
        if self.at == start { Err(self.unexpected("a value")) } else { Ok((start, self.at)) }
    }

    fn skip_string(&mut self) -> Result<(), Fault> {
        let mut at = self.at + 1;
        while let Some(n) = self.bytes.get(at..).and_then(|b| memchr::memchr2(b'"', b'\\', b)) {
            if self.bytes[at + n] == b'"' {
                self.at = at + n + 1;
                return Ok(());
            }
            at += n + 2;
        }
        self.at = self.bytes.len();
        Err(Fault::json(self.at, "the line ends inside a string"))
    }

    /// Says that the value which begins here is not what is wanted.
    pub(super) fn not(&mut self, wanted: &str) -> Fault {
        match self.skip() {
            Ok((from, to)) => {
                Fault::field(from, format!("{wanted}, not {}", excerpt(self.slice(from, to))))
            }
            Err(fault) => fault,
        }
    }
}

/// Parses a whole JSON text that begins at `start` of its line.
///
/// # Errors
/// The fault at its place in the line.
pub(super) fn decode<T: serde::de::DeserializeOwned>(text: &str, start: usize) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|e| {
        // The text is within one line, so the column is the position; 0 means that none is known.
        let at = start + e.column().saturating_sub(1);
        let message = e.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        if e.is_data() { Fault::field(at, message) } else { Fault::json(at, message) }
    })
}
