//! A position in a text of EDN. Nothing here recurses, so that no input can exhaust the stack.

use crate::read_error::{Fault, excerpt};

/// A position in a text of EDN. All methods advance it past what they read.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    bytes: &'a [u8],
    pub(crate) at: usize,
}

fn is_delimiter(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | b'\r' | b'\n' | b',' | b'"' | b';' | b'(' | b')' | b'[' | b']' | b'{' | b'}'
    ) || byte == 0x0c
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Cursor { text, bytes: text.as_bytes(), at: 0 }
    }

    /// A cursor on a part of a text whose positions are those in the whole.
    pub(crate) fn part(text: &'a str, (from, to): (usize, usize)) -> Self {
        let text = text.get(..to).unwrap_or(text);
        Cursor { text, bytes: text.as_bytes(), at: from }
    }

    /// The text between two positions.
    pub(crate) fn slice(&self, (from, to): (usize, usize)) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    /// The next byte of a datum, not consumed; 0 at the end. Passes white space, comments and discarded data.
    pub(crate) fn peek(&mut self) -> Result<u8, Fault> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | 0x0c) => self.at += 1,
                Some(b';') => self.skip_comment(),
                Some(b'#') if self.bytes.get(self.at + 1) == Some(&b'_') => {
                    self.at += 2;
                    self.skip_forms()?;
                }
                Some(b) => return Ok(*b),
                None => return Ok(0),
            }
        }
    }

    /// Passes tags (`#inst`, `#jepsen.history.Op`, …) and metadata in front of a datum: what they mark is read as it
    /// stands.
    pub(crate) fn pass_tags(&mut self) -> Result<u8, Fault> {
        loop {
            match self.peek()? {
                b'#' if !matches!(self.bytes.get(self.at + 1), Some(b'{' | b'#')) => {
                    self.at += 1;
                    if self.token().is_empty() {
                        return Err(self.unexpected("a tag"));
                    }
                }
                b'^' => {
                    self.at += 1;
                    self.skip_forms()?;
                }
                b => return Ok(b),
            }
        }
    }

    /// Consumes this byte if it is next.
    pub(crate) fn eat(&mut self, byte: u8) -> Result<bool, Fault> {
        let found = self.peek()? == byte && self.at < self.bytes.len();
        self.at += usize::from(found);
        Ok(found)
    }

    /// Consumes this byte or says that it is missing.
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.eat(byte)? {
            Ok(())
        } else {
            Err(self.unexpected(&format!("{:?}", char::from(byte))))
        }
    }

    /// The fault that something else stands here.
    pub(crate) fn unexpected(&mut self, wanted: &str) -> Fault {
        match self.text.get(self.at..).and_then(|t| t.chars().next()) {
            None => Fault::edn(self.at, format!("the text ends where {wanted} is expected")),
            Some(c) => Fault::edn(self.at, format!("{c:?} stands where {wanted} is expected")),
        }
    }

    /// Whether nothing but white space, comments and discarded data follows.
    pub(crate) fn is_at_end(&mut self) -> Result<bool, Fault> {
        self.peek()?;
        Ok(self.at >= self.bytes.len())
    }

    /// A symbol, keyword, number, `nil`, `true` or `false`, as text; empty when something else stands here.
    pub(crate) fn token(&mut self) -> &'a str {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(|b| !is_delimiter(*b)) {
            self.at += 1;
        }
        self.slice((start, self.at))
    }

    /// An integer of at most 64 bits; `None`, and nothing consumed, when another kind of datum stands here.
    pub(crate) fn integer(&mut self) -> Result<Option<i64>, Fault> {
        self.peek()?;
        let start = self.at;
        let negative = self.bytes.get(start) == Some(&b'-');
        let mut at = start + usize::from(negative);
        let first = at;
        let mut n: i64 = 0;
        while let Some(d @ b'0'..=b'9') = self.bytes.get(at) {
            let digit = i64::from(d - b'0');
            let next = n.checked_mul(10);
            let next = next.and_then(|n| n.checked_add(if negative { -digit } else { digit }));
            let Some(next) = next else { return Ok(None) };
            n = next;
            at += 1;
        }
        // Clojure marks integers of any size with an N.
        at += usize::from(self.bytes.get(at) == Some(&b'N'));
        if first == at || !self.bytes.get(at).is_none_or(|b| is_delimiter(*b)) {
            return Ok(None);
        }
        self.at = at;
        Ok(Some(n))
    }

    /// Consumes `nil` if it is next.
    pub(crate) fn eat_nil(&mut self) -> Result<bool, Fault> {
        self.peek()?;
        let start = self.at;
        if self.bytes[start..].starts_with(b"nil") && self.token() == "nil" {
            return Ok(true);
        }
        self.at = start;
        Ok(false)
    }

    /// A string; the cursor stands on its quote.
    pub(crate) fn string(&mut self) -> Result<std::borrow::Cow<'a, str>, Fault> {
        let start = self.at + 1;
        let mut at = start;
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            match memchr::memchr2(b'"', b'\\', rest) {
                None => {
                    self.at = self.bytes.len();
                    return Err(Fault::edn(self.at, "the text ends inside a string"));
                }
                Some(n) if rest[n] == b'"' => {
                    self.at = at + n + 1;
                    let raw = self.slice((start, at + n));
                    return if raw.contains('\\') {
                        unescape(raw, start).map(std::borrow::Cow::Owned)
                    } else {
                        Ok(std::borrow::Cow::Borrowed(raw))
                    };
                }
                Some(n) => at += n + 2,
            }
        }
    }

    /// Skips one datum and gives its extent, tags included.
    pub(crate) fn skip(&mut self) -> Result<(usize, usize), Fault> {
        self.peek()?;
        let start = self.at;
        self.skip_forms()?;
        Ok((start, self.at))
    }

    /// Skips one datum: by its brackets and quotes alone.
    fn skip_forms(&mut self) -> Result<(), Fault> {
        let mut needed = 1usize;
        let mut depth = 0usize;
        while needed > 0 || depth > 0 {
            let Some(byte) = self.bytes.get(self.at).copied() else {
                return Err(Fault::edn(self.at, "the text ends inside a datum"));
            };
            let mut done = true;
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b',' | 0x0c => {
                    self.at += 1;
                    done = false;
                }
                b';' => {
                    self.skip_comment();
                    done = false;
                }
                b'"' => drop(self.string()?),
                b'(' | b'[' | b'{' => {
                    depth += 1;
                    self.at += 1;
                    done = false;
                }
                b')' | b']' | b'}' if depth == 0 => return Err(self.unexpected("a datum")),
                b')' | b']' | b'}' => {
                    depth -= 1;
                    self.at += 1;
                }
                _ => done = self.skip_atom(byte, &mut needed, depth),
            }
            if done && depth == 0 {
                needed -= 1;
            }
        }
        Ok(())
    }

    /// Skips a token; false when it only marks what follows.
    fn skip_atom(&mut self, byte: u8, needed: &mut usize, depth: usize) -> bool {
        let next = self.bytes.get(self.at + 1).copied();
        match (byte, next) {
            (b'#', Some(b'_')) => {
                self.at += 2;
                *needed += usize::from(depth == 0);
                false
            }
            (b'^', _) => {
                self.at += 1;
                *needed += usize::from(depth == 0);
                false
            }
            (b'#', Some(b'{')) => {
                self.at += 1;
                false
            }
            (b'#', Some(b'#')) => {
                self.at += 2;
                false
            }
            (b'#', _) => {
                self.at += 1;
                self.token();
                false
            }
            (b'\\', _) => {
                self.character();
                true
            }
            _ => {
                self.token();
                true
            }
        }
    }

    /// A character literal; the cursor stands on its backslash.
    pub(crate) fn character(&mut self) -> &'a str {
        let start = self.at;
        let first = self.text.get(start + 1..).and_then(|t| t.chars().next());
        self.at += 1 + first.map_or(0, char::len_utf8);
        self.token();
        self.slice((start, self.at))
    }

    fn skip_comment(&mut self) {
        let rest = &self.bytes[self.at..];
        self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    }

    /// Says that the datum which begins here is not what is wanted.
    pub(crate) fn not(&mut self, wanted: &str) -> Fault {
        match self.skip() {
            Ok(span) => {
                Fault::field(span.0, format!("{wanted}, not {}", excerpt(self.slice(span))))
            }
            Err(fault) => fault,
        }
    }
}

fn unescape(raw: &str, start: usize) -> Result<String, Fault> {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.char_indices();
    while let Some((at, c)) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        let escape = chars.next().map(|(_, c)| c);
        text.push(match escape {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('"') => '"',
            Some('\\') => '\\',
            Some('u') => {
                let digits = raw.get(at + 2..at + 6);
                let code = digits.and_then(|d| u32::from_str_radix(d, 16).ok());
                let Some(code) = code else {
                    return Err(Fault::edn(start + at, "four hexadecimal digits follow \\u"));
                };
                chars.nth(3);
                // Halves of surrogate pairs stand alone in EDN; no character replaces them exactly.
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return Err(Fault::edn(start + at, "this escape is unknown")),
        });
    }
    Ok(text)
}
