//! The native format: JSONL. The first line is the [`Header`], every other line is one event.
//!
//! Reading goes straight into columns: no line is parsed twice, and a row without rare things costs no allocation. A
//! torn last line, as a recorder leaves it that was killed while writing, is left out and reported; every other flaw
//! is an error that names line and column.

mod cursor;
mod row;
mod write;

pub use write::{write, write_event, write_header, write_row};

use crate::columns::{History, HistoryBuilder};
use crate::event::Event;
use crate::header::{FORMAT, Header};
use crate::lines::{LINE_BYTES_MAX, Line, Lines, as_text};
use crate::read_error::{Fault, ReadError, ReadErrorKind};
use row::RowReader;
use std::io::BufRead;

/// Limits within which a history is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// The longest line, in bytes. Reading never holds more than this of the file.
    pub line_bytes_max: usize,
    /// The greatest number of events.
    pub events_max: u64,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions { line_bytes_max: LINE_BYTES_MAX, events_max: u64::from(u32::MAX) - 1 }
    }
}

/// Reads a native history. `name` is only for messages.
///
/// # Errors
/// Names line and column of the first flaw: see [`ReadErrorKind`].
pub fn read(source: impl BufRead, name: &str, options: &ReadOptions) -> Result<History, ReadError> {
    let mut lines = Lines::new(source, options.line_bytes_max);
    let builder = HistoryBuilder::new(read_header_line(&mut lines, name)?);
    let place = Place { index: 0, line: 1, time: i64::MIN };
    read_rows(&mut lines, builder, name, place, true, options)
}

/// Reads the header alone: what a history says about itself.
///
/// # Errors
/// As [`read`].
pub fn read_header(
    source: impl BufRead,
    name: &str,
    options: &ReadOptions,
) -> Result<Header, ReadError> {
    read_header_line(&mut Lines::new(source, options.line_bytes_max), name)
}

/// Where a stretch of a history begins, for [`read_stretch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The index of its first event.
    pub index: u64,
    /// The number of its first line, counted from 1; only for messages.
    pub line: u64,
    /// The latest time before it, in nanoseconds; `i64::MIN` when there is none.
    pub time: i64,
}

/// Reads consecutive whole lines from the middle of a native history, as a reader does that keeps only windows of it. Row
/// `i` of the answer is the event with index `place.index + i`; completions whose invocation stands elsewhere have no pair.
///
/// # Errors
/// As [`read`]; a torn line is an error here.
pub fn read_stretch(
    text: &[u8],
    name: &str,
    place: Place,
    options: &ReadOptions,
) -> Result<History, ReadError> {
    let mut lines = Lines::new(text, options.line_bytes_max);
    read_rows(&mut lines, HistoryBuilder::default(), name, place, false, options)
}

/// Reads the lines that are left as events. With `salvage`, a torn last line is left out and reported; otherwise it is an
/// error.
fn read_rows<R: BufRead>(
    lines: &mut Lines<R>,
    mut builder: HistoryBuilder,
    name: &str,
    place: Place,
    salvage: bool,
    options: &ReadOptions,
) -> Result<History, ReadError> {
    let mut reader = RowReader::default();
    let mut last_time = place.time;
    loop {
        let number = place.line + lines.number;
        let line = match lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(builder.finish()),
            Err(kind) => {
                return Err(ReadError { name: name.into(), line: number, column: 1, kind });
            }
        };
        let fault = |f: Fault| f.in_line(name, number, line.bytes);
        let parsed = match parse(&line, &mut reader, &mut builder) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => continue,
            Err(_) if salvage && !line.ended => {
                builder.mark_torn(line.bytes.len() as u64);
                return Ok(builder.finish());
            }
            Err(f) => return Err(fault(f)),
        };
        check_order(&parsed, place.index, &builder, last_time, options).map_err(fault)?;
        let time = parsed.time.map(|(time, _)| time);
        last_time = time.map_or(last_time, |time| last_time.max(time));
        builder.finish_row_shared(time, parsed.process, parsed.kind, parsed.f, parsed.extra);
        if builder.is_full() {
            let kind = ReadErrorKind::TooMany { limit: options.events_max };
            return Err(fault(Fault { at: 0, kind }));
        }
    }
}

/// Parses one line after the header, as a live check does that follows a growing file.
///
/// # Errors
/// The flaw, with `name` and `line` as given.
pub fn read_event(text: &[u8], name: &str, line: u64) -> Result<Event, ReadError> {
    let mut builder = HistoryBuilder::default();
    let whole = Line { bytes: text, ended: true };
    let parsed = parse(&whole, &mut RowReader::default(), &mut builder);
    let missing = || Fault::json(0, "the line is empty");
    let parsed =
        parsed.and_then(|p| p.ok_or_else(missing)).map_err(|f| f.in_line(name, line, text))?;
    let time = parsed.time.map(|(t, _)| t);
    builder.finish_row_shared(time, parsed.process, parsed.kind, parsed.f, parsed.extra);
    let mut event = builder.so_far().event(0);
    event.index = parsed.index.map_or(0, |(i, _)| i);
    Ok(event)
}

/// `None` for a blank line.
fn parse(
    line: &Line<'_>,
    reader: &mut RowReader,
    builder: &mut HistoryBuilder,
) -> Result<Option<row::Parsed>, Fault> {
    let text = as_text(line.bytes).map_err(|(at, kind)| Fault { at, kind })?;
    if line.bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    reader.read(text, builder).map(Some)
}

fn check_order(
    parsed: &row::Parsed,
    first: u64,
    builder: &HistoryBuilder,
    last_time: i64,
    options: &ReadOptions,
) -> Result<(), Fault> {
    let expected = first + builder.len() as u64;
    if expected >= options.events_max {
        return Err(Fault { at: 0, kind: ReadErrorKind::TooMany { limit: options.events_max } });
    }
    if let Some((found, at)) = parsed.index.filter(|(i, _)| *i != expected) {
        return Err(Fault { at, kind: ReadErrorKind::Index { expected, found } });
    }
    if let Some((time, at)) = parsed.time.filter(|(t, _)| *t < last_time) {
        return Err(Fault { at, kind: ReadErrorKind::ReversedTime { time, before: last_time } });
    }
    Ok(())
}

fn read_header_line<R: BufRead>(lines: &mut Lines<R>, name: &str) -> Result<Header, ReadError> {
    loop {
        let number = lines.number + 1;
        let line = match lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => {
                let kind = ReadErrorKind::Empty;
                return Err(ReadError { name: name.into(), line: 1, column: 1, kind });
            }
            Err(kind) => {
                return Err(ReadError { name: name.into(), line: number, column: 1, kind });
            }
        };
        if line.bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        return parse_header(line.bytes).map_err(|f| f.in_line(name, number, line.bytes));
    }
}

/// Parses a header: one JSON object of a version that is known.
pub(crate) fn parse_header(bytes: &[u8]) -> Result<Header, Fault> {
    let bad = |at, m: String| Fault { at, kind: ReadErrorKind::BadHeader(m) };
    let text = as_text(bytes).map_err(|(at, kind)| Fault { at, kind })?;
    let skipped = text.len() - text.trim_start_matches('\u{feff}').len();
    let text = &text[skipped..];
    let at = |e: &serde_json::Error| skipped + e.column().saturating_sub(1);
    // The version comes first: a newer major may have changed everything else.
    let raw: serde_json::Value =
        serde_json::from_str(text).map_err(|e| bad(at(&e), format!("it is not JSON ({e})")))?;
    if raw.get("perjury").and_then(|v| v.as_str()) != Some("history") {
        return Err(bad(skipped, "it has no field \"perjury\":\"history\"".into()));
    }
    let found = raw.get("format").and_then(|v| v.as_str()).unwrap_or_default();
    let place = text.find("\"format\"").map_or(skipped, |n| n + skipped);
    match major(found) {
        None => return Err(bad(place, format!("format {found:?} is not major.minor"))),
        Some(m) if Some(m) > major(FORMAT) => {
            let kind = ReadErrorKind::NewerVersion { found: found.into(), known: FORMAT };
            return Err(Fault { at: place, kind });
        }
        Some(_) => {}
    }
    serde_json::from_str(text).map_err(|e| bad(at(&e), e.to_string()))
}

fn major(version: &str) -> Option<u32> {
    let (major, minor) = version.split_once('.')?;
    minor.parse::<u32>().ok()?;
    major.parse().ok()
}
