//! A native history on disk of which only the blocks are read that a window needs.
//!
//! An *index* beside the history tells of each operation when it began and ended, whose it was and which keys it touches
//! ([`ENTRY_BYTES`] bytes an operation), where each *block* of lines stands, and which offsets of each key the block holds.
//! Charts and lists read stretches of the index; operations, records and logs are parsed from the few blocks that hold them.
//! What is in memory at any time is the directory of the blocks, a handful of parsed blocks and the answer, whatever the length of the
//! history. The answers are those of the whole history in memory.

mod build;
mod format;
mod spans;

pub use build::{build, build_from};

use crate::filter::{Touch, looks};
use crate::log::{LogView, Window};
use crate::operation::{Op, OperationView};
use crate::source::{Brief, Seeker, Source, Visit};
use crate::world::World;
use format::{
    BLOCK_BYTES, Block, CROSSING_BYTES, ENTRY_BYTES, Entry, FOOT_BYTES, SPAN_BYTES, Span, Table,
    Trailer, parse_crossing, parse_foot, process_of,
};
use perjury_history::jsonl::{Place, read_stretch};
use perjury_history::{Event, History, ReadError, ReadOptions, Scalar};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How many bytes at the end of a history are compared to tell whether an index is of it.
const END_BYTES: usize = 64 << 10;
/// How many parsed blocks are kept: those that hold a window and the ends of its operations.
const KEPT_BLOCKS: usize = 16;
/// How much of a table is read at once.
const PIECE_BYTES: usize = 1 << 20;
/// Keys up to this number have a bit of their own.
const EXACT_KEYS: usize = 64;

/// How an index is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// About how many bytes of lines a block has.
    pub block_bytes: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        // Parsed in some milliseconds.
        Settings { block_bytes: 1 << 20 }
    }
}

/// Why a window cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PagedError {
    /// The history is none; the sentence names line and column.
    #[error(transparent)]
    History(ReadError),
    /// A file cannot be read or written.
    #[error("the index of the history: {0}")]
    Io(#[from] io::Error),
    /// The index is not what was written.
    #[error("the index of the history is damaged ({0}); delete it, and it is made anew")]
    Damaged(String),
    /// The history has more rows than can be numbered.
    #[error("the history has more than 2^32 - 1 events")]
    TooLong,
}

/// Bytes that can be read from any place.
pub trait ReadAt: std::fmt::Debug + Send + Sync {
    /// How many bytes there are.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn bytes(&self) -> io::Result<u64>;

    /// Fills the buffer from this place on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when there are not so many bytes.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;
}

impl ReadAt for Vec<u8> {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let from = usize::try_from(at).ok().and_then(|at| self.get(at..at + buffer.len()));
        buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// How much was read since the history was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reads {
    /// Blocks of the history that were parsed.
    pub blocks: u64,
    /// Entries of the index that were looked at, one an operation.
    pub entries: u64,
}

/// A history that is read a block at a time.
#[derive(Debug)]
pub struct Paged {
    history: Box<dyn ReadAt>,
    index: Box<dyn ReadAt>,
    name: String,
    trailer: Trailer,
    blocks: Vec<Block>,
    kept: Mutex<VecDeque<(usize, Arc<History>)>>,
    blocks_parsed: AtomicU64,
    entries_read: AtomicU64,
}

impl Paged {
    /// Opens a history with its index; `None` when the index is of another history, or was not finished. `name` is only for
    /// messages.
    ///
    /// # Errors
    /// [`PagedError::Io`] when either cannot be read.
    pub fn open(
        history: Box<dyn ReadAt>,
        index: Box<dyn ReadAt>,
        name: &str,
    ) -> Result<Option<Paged>, PagedError> {
        let Some(trailer) = read_trailer(index.as_ref())? else { return Ok(None) };
        let bytes = history.bytes()?;
        let mut end = vec![0; END_BYTES.min(usize::try_from(bytes).unwrap_or(END_BYTES))];
        let end_at = bytes - end.len() as u64;
        history.read_at(&mut end, end_at)?;
        if trailer.history_bytes != bytes || trailer.history_end != crc32fast::hash(&end) {
            return Ok(None);
        }
        let mut paged = Paged {
            history,
            index,
            name: name.to_owned(),
            blocks: Vec::new(),
            trailer,
            kept: Mutex::default(),
            blocks_parsed: AtomicU64::new(0),
            entries_read: AtomicU64::new(0),
        };
        let mut blocks = Vec::new();
        paged.rows(paged.trailer.blocks, BLOCK_BYTES, 0, &mut |row| {
            blocks.push(Block::parse(row));
            Ok(true)
        })?;
        paged.blocks = blocks;
        Ok(Some(paged))
    }

    /// How many events there are.
    pub fn len(&self) -> u64 {
        self.trailer.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much was read so far.
    pub fn reads(&self) -> Reads {
        Reads {
            blocks: self.blocks_parsed.load(Ordering::Relaxed),
            entries: self.entries_read.load(Ordering::Relaxed),
        }
    }

    /// The operation that this row belongs to; `None` beyond the last row.
    ///
    /// # Errors
    /// As [`Source::visit`].
    pub fn op(&self, row: usize) -> Result<Option<Op>, PagedError> {
        let Ok(wanted) = u32::try_from(row) else { return Ok(None) };
        if u64::from(wanted) >= self.trailer.rows {
            return Ok(None);
        }
        let at = self.search_entry(|e| e.first < wanted)?;
        if at < self.trailer.entries.rows {
            let entry = self.entry(at)?;
            if entry.first == wanted {
                return Ok(Some(entry.op()));
            }
        }
        let (block, history) = self.block_of(wanted)?;
        let here = row - block.first as usize;
        let invoke = match history.pair(here) {
            Some(pair) => block.first as usize + pair,
            None => self.crossed(wanted)? as usize,
        };
        Ok(Some(Op { invoke: Some(invoke), complete: Some(row) }))
    }

    /// The rows of the operation, with at most `records_max` polled records.
    ///
    /// # Errors
    /// As [`Source::visit`].
    pub fn view(&self, op: Op, records_max: usize) -> Result<OperationView, PagedError> {
        let event = |row: Option<usize>| row.map(|r| self.event(r)).transpose();
        Ok(OperationView::new(event(op.invoke)?, event(op.complete)?, records_max))
    }

    fn event(&self, row: usize) -> Result<Event, PagedError> {
        let (block, history) = self.block_of(u32::try_from(row).unwrap_or(u32::MAX))?;
        let event = history.event(row - block.first as usize);
        Ok(Event { index: row as u64, ..event })
    }

    /// The offsets `from` to `to` (closed) of this key; `None` when the key is not in the history.
    ///
    /// # Errors
    /// As [`Source::visit`].
    pub fn log(&self, key: &str, from: i64, to: i64) -> Result<Option<LogView>, PagedError> {
        let keys = &self.trailer.keys;
        let found =
            looks(key).into_iter().find_map(|s| keys.iter().find(|k| k.logged && k.key == s));
        let Some(about) = found else { return Ok(None) };
        let mut window = Window::new(about.key.clone(), from, to);
        for (at, holds) in self.holding(about.spans, from, to)?.into_iter().enumerate() {
            if holds {
                let history = self.parsed(at)?;
                window.add(&history, self.blocks[at].first as usize);
            }
        }
        window.highest = window.highest.max(about.highest);
        let readers = about.observers.iter().filter_map(|code| process_of(*code));
        window.observers.extend(readers);
        Ok(Some(window.finish()))
    }

    /// Which blocks hold any of these offsets, by the ranges of a key.
    fn holding(&self, spans: Table, from: i64, to: i64) -> Result<Vec<bool>, PagedError> {
        let mut holding = vec![false; self.blocks.len()];
        self.rows(spans, SPAN_BYTES, 0, &mut |row| {
            let span = Span::parse(row);
            if span.low <= to
                && span.high >= from
                && let Some(block) = holding.get_mut(span.block as usize)
            {
                *block = true;
            }
            Ok(true)
        })?;
        Ok(holding)
    }

    /// The row that invoked what this row of a later block completed.
    fn crossed(&self, complete: u32) -> Result<u32, PagedError> {
        let table = self.trailer.crossings;
        let at = |n: u64| self.row::<CROSSING_BYTES>(table, n).map(|row| parse_crossing(&row));
        let n = partition(table.rows, |n| Ok(at(n)?.0 < complete))?;
        match (n < table.rows).then(|| at(n)).transpose()? {
            Some((row, invoke)) if row == complete => Ok(invoke),
            _ => Err(PagedError::Damaged(format!("row {complete} belongs to no operation"))),
        }
    }

    fn entry(&self, n: u64) -> Result<Entry, PagedError> {
        self.entries_read.fetch_add(1, Ordering::Relaxed);
        self.row::<ENTRY_BYTES>(self.trailer.entries, n).map(|row| Entry::parse(&row))
    }

    /// The number of the first entry that is not before what is looked for.
    fn search_entry(&self, before: impl Fn(&Entry) -> bool) -> Result<u64, PagedError> {
        partition(self.trailer.entries.rows, |n| Ok(before(&self.entry(n)?)))
    }

    fn row<const N: usize>(&self, table: Table, n: u64) -> Result<[u8; N], PagedError> {
        let mut row = [0; N];
        self.index.read_at(&mut row, table.at + n * N as u64)?;
        Ok(row)
    }

    /// Hands the rows of a table over from number `from` on, until it is told to stop.
    fn rows(
        &self,
        table: Table,
        row_bytes: usize,
        from: u64,
        each: &mut dyn FnMut(&[u8]) -> Result<bool, PagedError>,
    ) -> Result<(), PagedError> {
        let piece_rows = (PIECE_BYTES / row_bytes) as u64;
        let mut piece = Vec::new();
        let mut at = from;
        while at < table.rows {
            let rows = piece_rows.min(table.rows - at);
            piece.resize(usize::try_from(rows).unwrap_or(0) * row_bytes, 0);
            self.index.read_at(&mut piece, table.at + at * row_bytes as u64)?;
            for row in piece.chunks_exact(row_bytes) {
                if !each(row)? {
                    return Ok(());
                }
            }
            at += rows;
        }
        Ok(())
    }

    fn block_at(&self, row: u32) -> usize {
        self.blocks.partition_point(|b| b.first + b.rows <= row)
    }

    fn block_of(&self, row: u32) -> Result<(Block, Arc<History>), PagedError> {
        let at = self.block_at(row);
        let none = || PagedError::Damaged(format!("no block holds row {row}"));
        let block = *self.blocks.get(at).ok_or_else(none)?;
        let history = self.parsed(at)?;
        let holds = block.first <= row && ((row - block.first) as usize) < history.len();
        if holds { Ok((block, history)) } else { Err(none()) }
    }

    fn text(&self, at: usize) -> Result<Vec<u8>, PagedError> {
        let block = self.blocks[at];
        let mut text = vec![0; block.bytes as usize];
        self.history.read_at(&mut text, block.at)?;
        Ok(text)
    }

    /// A block, parsed if it is not kept.
    fn parsed(&self, at: usize) -> Result<Arc<History>, PagedError> {
        // What it guards is a cache: after a panic elsewhere it is still a valid one.
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept().iter().find(|(b, _)| *b == at).map(|(_, history)| Arc::clone(history));
        if let Some(history) = found {
            return Ok(history);
        }
        let block = self.blocks[at];
        let place = Place { index: u64::from(block.first), line: block.line, time: block.time };
        let history = read_stretch(&self.text(at)?, &self.name, place, &ReadOptions::default())
            .map_err(PagedError::History)?;
        self.blocks_parsed.fetch_add(1, Ordering::Relaxed);
        let history = Arc::new(history);
        let mut kept = kept();
        kept.push_front((at, Arc::clone(&history)));
        kept.truncate(KEPT_BLOCKS);
        Ok(history)
    }

    /// The bits of these keys, `None` when no operation has any of them; and whether the bits alone decide.
    fn bits(&self, keys: &[Scalar]) -> (Option<u64>, bool) {
        let known = &self.trailer.keys;
        let there = known.iter().enumerate().filter(|(_, k)| keys.contains(&k.key));
        let bits = there.map(|(at, _)| 1u64 << (at % 64)).reduce(|a, b| a | b);
        (bits, known.len() <= EXACT_KEYS)
    }
}

impl Source for Paged {
    type Error = PagedError;

    fn duration(&self) -> i64 {
        self.trailer.duration
    }

    fn world(&self) -> World {
        self.trailer.world.clone()
    }

    fn f_name(&self, f: u8) -> &str {
        self.trailer.functions.get(usize::from(f)).map_or("", String::as_str)
    }

    fn first_key(&self, op: &Brief) -> Option<String> {
        let at = (op.known.key as usize).checked_sub(1)?;
        self.trailer.keys.get(at).map(|k| k.key.to_string())
    }

    fn error_code(&self, op: &Brief) -> Option<&str> {
        let at = usize::from(op.known.error).checked_sub(1)?;
        self.trailer.errors.get(at).map(String::as_str)
    }

    fn visit(
        &self,
        since: Option<i64>,
        until: Option<i64>,
        visitor: &mut Visit<'_, PagedError>,
    ) -> Result<(), PagedError> {
        let timed = self.trailer.timed;
        // Whatever ends in the window began no longer before it than the longest operation took.
        let since = since.filter(|_| timed).map(|t| t.saturating_sub(self.trailer.longest));
        let until = until.filter(|_| timed).unwrap_or(i64::MAX);
        let from = since.map_or(Ok(0), |since| self.search_entry(|e| e.start < since))?;
        self.rows(self.trailer.entries, ENTRY_BYTES, from, &mut |row| {
            let entry = Entry::parse(row);
            self.entries_read.fetch_add(1, Ordering::Relaxed);
            if entry.start > until {
                return Ok(false);
            }
            visitor(&entry.brief()).map(|()| true)
        })
    }

    fn seeker<'s>(&'s self, touch: &'s Touch) -> Result<Seeker<'s, PagedError>, PagedError> {
        let (mut bits, mut decided) = (None, false);
        if let Some(keys) = &touch.keys {
            let (found, exact) = self.bits(keys);
            let Some(found) = found else { return Ok(Box::new(|_| Ok(false))) };
            (bits, decided) =
                (Some(found), exact && touch.offset.is_none() && touch.value.is_none());
        }
        let mut may: Vec<Option<bool>> = vec![None; self.blocks.len()];
        if let Some(offset) = touch.offset {
            may = vec![Some(false); self.blocks.len()];
            let wanted = |key: &Scalar| touch.keys.as_ref().is_none_or(|keys| keys.contains(key));
            for about in self.trailer.keys.iter().filter(|k| wanted(&k.key)) {
                let holding = self.holding(about.spans, offset, offset)?;
                let held = may.iter_mut().zip(holding).filter(|(_, holds)| *holds);
                held.for_each(|(may, _)| *may = None);
            }
        }
        let shape = touch.value.as_ref().and_then(Shape::of);
        Ok(Box::new(move |brief| {
            if bits.is_some_and(|bits| bits & brief.known.keys == 0) {
                return Ok(false);
            }
            if decided {
                return Ok(true);
            }
            let row = u32::try_from(brief.op.row()).map_err(|_| PagedError::TooLong)?;
            let at = self.block_at(row);
            let likely = match (may.get(at).copied().flatten(), &shape) {
                (Some(known), _) => known,
                (None, Some(shape)) => shape.may_be_in(&self.text(at)?),
                (None, None) => true,
            };
            may.get_mut(at).iter_mut().for_each(|m| **m = Some(likely));
            if !likely {
                return Ok(false);
            }
            let (block, history) = self.block_of(row)?;
            Ok(touch.is_in(&history, (row - block.first) as usize))
        }))
    }
}

/// How a value looks in a line, to pass over blocks that do not show it without parsing them.
struct Shape {
    text: Vec<u8>,
    is_integer: bool,
}

impl Shape {
    /// `None` for a value that can be written in several ways.
    fn of(value: &Scalar) -> Option<Shape> {
        let text = value.to_string();
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
        let is_integer = value.as_int().is_some();
        (plain && !text.is_empty()).then(|| Shape { text: text.into_bytes(), is_integer })
    }

    /// Whether the lines show it, or could show it in disguise.
    fn may_be_in(&self, lines: &[u8]) -> bool {
        let digit =
            |at: Option<usize>| at.and_then(|at| lines.get(at)).is_some_and(u8::is_ascii_digit);
        let mut found = memchr::memmem::find_iter(lines, &self.text);
        let shown = found.any(|at| {
            !self.is_integer || !digit(at.checked_sub(1)) && !digit(Some(at + self.text.len()))
        });
        shown || !self.is_integer && memchr::memmem::find(lines, b"\\u").is_some()
    }
}

/// The trailer of a whole index; `None` when it is none.
fn read_trailer(index: &dyn ReadAt) -> Result<Option<Trailer>, PagedError> {
    let bytes = index.bytes()?;
    let Some(foot_at) = bytes.checked_sub(FOOT_BYTES as u64) else { return Ok(None) };
    let mut foot = [0; FOOT_BYTES];
    index.read_at(&mut foot, foot_at)?;
    let Some((at, length, checksum)) = parse_foot(&foot) else { return Ok(None) };
    if at.checked_add(length) != Some(foot_at) {
        return Ok(None);
    }
    let mut text = vec![0; usize::try_from(length).unwrap_or(0)];
    index.read_at(&mut text, at)?;
    if crc32fast::hash(&text) != checksum {
        return Ok(None);
    }
    Ok(serde_json::from_slice(&text).ok())
}

/// The first number below `rows` for which this does not hold, given that it holds for all before and for none after.
fn partition(
    rows: u64,
    holds: impl Fn(u64) -> Result<bool, PagedError>,
) -> Result<u64, PagedError> {
    let (mut low, mut high) = (0, rows);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
