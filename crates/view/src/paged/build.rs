//! Making the index: one pass over the lines of a history, of which no more than a block is held.

use super::format::{Block, ENTRY_BYTES, Entry, Key, MAGIC, Span, Table, Trailer, crossing, foot};
use super::{PagedError, Settings, spans};
use crate::operation::first_key;
use crate::source::Known;
use crate::world::Gathering;
use perjury_history::jsonl::{self, Place, read_stretch};
use perjury_history::{
    F, History, Kind, LINE_BYTES_MAX, MopRef, Process, ReadError, ReadErrorKind, ReadOptions,
    Scalar,
};
use rustc_hash::FxHashMap;
use std::collections::{BTreeSet, VecDeque};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;

/// How many operations wait for their end before they are written; one that ends later is written again in its place.
const WAITING_MAX: usize = 1 << 17;
/// How many functions and codes of errors stand for themselves; all beyond share the name `other`.
const FUNCTIONS_MAX: usize = 256;
const ERRORS_MAX: usize = 1 << 15;

/// Makes the index of the native history that `source` yields and writes it to `out`, from its beginning. `name` is only for
/// messages.
///
/// # Errors
/// [`PagedError::History`] with line and column of the first flaw, [`PagedError::Io`] when the index cannot be written.
pub fn build(
    mut source: impl Read,
    name: &str,
    out: impl Write + Seek,
    settings: &Settings,
) -> Result<(), PagedError> {
    let mut cutter = Cutter::new(name);
    let mut builder = Builder::new(out)?;
    while let Some(text) = cutter.next(&mut source, settings.block_bytes)? {
        let place = Place { index: builder.rows, line: cutter.line, time: builder.latest };
        let history = match read_stretch(&text, name, place, &ReadOptions::default()) {
            Ok(history) => history,
            Err(error) if text.ends_with(b"\n") || is_endless(&error) => {
                return Err(PagedError::History(error));
            }
            // A recorder that was killed leaves half a line.
            Err(_) => break,
        };
        builder.block(&history, 0..history.len(), &cutter, &text)?;
        cutter.passed(&text);
    }
    builder.finish(cutter.seen, cutter.end())
}

/// The index that [`build`] makes, from a history that was read from this source already: its lines are counted and not
/// parsed again.
///
/// # Errors
/// [`PagedError::Damaged`] when the source has other lines than the history has events, and as [`build`].
pub fn build_from(
    history: &History,
    mut source: impl Read,
    name: &str,
    out: impl Write + Seek,
    settings: &Settings,
) -> Result<(), PagedError> {
    let mut cutter = Cutter::new(name);
    let mut builder = Builder::new(out)?;
    let mut from = 0;
    while let Some(text) = cutter.next(&mut source, settings.block_bytes)? {
        let lines =
            text.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
        let to = history.len().min(from + lines);
        // What a recorder that was killed left of a line is no event.
        if from == to && lines > 0 {
            break;
        }
        builder.block(history, from..to, &cutter, &text)?;
        cutter.passed(&text);
        from = to;
    }
    if from != history.len() {
        let lines = format!("{from} events of {} stand in the file", history.len());
        return Err(PagedError::Damaged(lines));
    }
    builder.finish(cutter.seen, cutter.end())
}

fn is_endless(error: &ReadError) -> bool {
    matches!(error.kind, ReadErrorKind::LineTooLong { .. })
}

/// Cuts a history into blocks of whole lines.
struct Cutter<'n> {
    name: &'n str,
    buffer: Vec<u8>,
    ended: bool,
    headed: bool,
    /// Where the next block begins, in bytes and in lines counted from 1.
    at: u64,
    line: u64,
    /// How many bytes were read.
    seen: u64,
    last: Vec<u8>,
}

impl<'n> Cutter<'n> {
    fn new(name: &'n str) -> Cutter<'n> {
        Cutter {
            name,
            buffer: Vec::new(),
            ended: false,
            headed: false,
            at: 0,
            line: 1,
            seen: 0,
            last: Vec::new(),
        }
    }

    /// The next whole lines, about so many bytes; at the end also a line that is not whole. `None` when nothing is left.
    fn next(
        &mut self,
        source: &mut impl Read,
        bytes: usize,
    ) -> Result<Option<Vec<u8>>, PagedError> {
        if !self.headed {
            self.header(source)?;
        }
        let mut wanted = bytes;
        loop {
            self.fill(source, wanted)?;
            if self.buffer.is_empty() {
                return Ok(None);
            }
            let rest = match memchr::memrchr(b'\n', &self.buffer) {
                Some(at) => self.buffer.split_off(at + 1),
                None if self.ended || self.buffer.len() > LINE_BYTES_MAX => Vec::new(),
                None => {
                    wanted = self.buffer.len() * 2;
                    continue;
                }
            };
            return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
        }
    }

    /// Passes the header over, after a look at it.
    fn header(&mut self, source: &mut impl Read) -> Result<(), PagedError> {
        let mut wanted = 1 << 16;
        let end = loop {
            self.fill(source, wanted)?;
            let begins = self.buffer.iter().position(|b| !b.is_ascii_whitespace());
            let line = begins.and_then(|b| Some(b + memchr::memchr(b'\n', &self.buffer[b..])? + 1));
            match line {
                Some(end) => break end,
                None if self.ended || self.buffer.len() > LINE_BYTES_MAX => {
                    break self.buffer.len();
                }
                None => wanted = self.buffer.len() * 2,
            }
        };
        jsonl::read_header(&self.buffer[..end], self.name, &ReadOptions::default())
            .map_err(PagedError::History)?;
        let header: Vec<u8> = self.buffer.drain(..end).collect();
        self.passed(&header);
        self.headed = true;
        Ok(())
    }

    /// Reads until so many bytes wait.
    fn fill(&mut self, source: &mut impl Read, wanted: usize) -> Result<(), PagedError> {
        let missing = wanted.saturating_sub(self.buffer.len());
        if missing == 0 || self.ended {
            return Ok(());
        }
        let had = self.buffer.len();
        let read = source.take(missing as u64).read_to_end(&mut self.buffer).map_err(|e| {
            let kind = ReadErrorKind::Io(e);
            PagedError::History(ReadError {
                name: self.name.into(),
                line: self.line,
                column: 1,
                kind,
            })
        })?;
        self.ended = read < missing;
        self.seen += read as u64;
        self.last.extend_from_slice(&self.buffer[had..]);
        let over = self.last.len().saturating_sub(super::END_BYTES);
        self.last.drain(..over);
        Ok(())
    }

    /// The block was dealt with.
    fn passed(&mut self, text: &[u8]) {
        self.at += text.len() as u64;
        self.line += memchr::memchr_iter(b'\n', text).count() as u64;
    }

    /// A checksum of the last bytes.
    fn end(&self) -> u32 {
        crc32fast::hash(&self.last)
    }
}

/// An operation that has not ended: its number, and its entry.
type Open = (u64, Entry);

struct Builder<W> {
    out: W,
    rows: u64,
    latest: i64,
    duration: i64,
    longest: i64,
    untimed: bool,
    /// Entries that are not written yet; the first is number `written`.
    waiting: VecDeque<Entry>,
    written: u64,
    open: FxHashMap<u32, Open>,
    functions: Names<F>,
    errors: Names<String>,
    keys: Names<Scalar>,
    about: Vec<About>,
    gathering: Gathering,
    blocks: Vec<Block>,
    crossings: Vec<u8>,
}

/// What is gathered of a key.
#[derive(Default)]
struct About {
    logged: bool,
    highest: Option<i64>,
    observers: BTreeSet<u32>,
    spans: Vec<Span>,
    /// The offsets of the block under way.
    now: Vec<(i64, i64)>,
}

/// Numbers for things, in the order of their first appearance.
struct Names<T> {
    ids: FxHashMap<T, usize>,
    all: Vec<T>,
}

impl<T: Clone + Eq + std::hash::Hash> Names<T> {
    fn new() -> Names<T> {
        Names { ids: FxHashMap::default(), all: Vec::new() }
    }

    /// As [`Names::id`], of at most so many; all beyond are `other`.
    fn id_of(&mut self, thing: &T, most: usize, other: &T) -> usize {
        let room = self.all.len() + 1 < most || self.ids.contains_key(thing);
        self.id(if room { thing } else { other })
    }

    fn id(&mut self, thing: &T) -> usize {
        if let Some(id) = self.ids.get(thing) {
            return *id;
        }
        self.all.push(thing.clone());
        self.ids.insert(thing.clone(), self.all.len() - 1);
        self.all.len() - 1
    }
}

impl<W: Write + Seek> Builder<W> {
    fn new(mut out: W) -> Result<Builder<W>, PagedError> {
        out.write_all(&MAGIC)?;
        Ok(Builder {
            out,
            rows: 0,
            latest: i64::MIN,
            duration: 0,
            longest: 0,
            untimed: false,
            waiting: VecDeque::new(),
            written: 0,
            open: FxHashMap::default(),
            functions: Names::new(),
            errors: Names::new(),
            keys: Names::new(),
            about: Vec::new(),
            gathering: Gathering::default(),
            blocks: Vec::new(),
            crossings: Vec::new(),
        })
    }

    /// The next block: the lines that the cutter is at, which are these events of the history.
    fn block(
        &mut self,
        history: &History,
        events: Range<usize>,
        cutter: &Cutter<'_>,
        text: &[u8],
    ) -> Result<(), PagedError> {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let first = u32::try_from(self.rows).map_err(|_| PagedError::TooLong)?;
        let (at, line, time) = (cutter.at, cutter.line, self.latest);
        let (bytes, rows) = (small(text.len()), small(events.len()));
        self.blocks.push(Block { at, bytes, first, rows, line, time });
        for (n, i) in events.clone().enumerate() {
            let row = first.checked_add(small(n)).ok_or(PagedError::TooLong)?;
            self.row(history, i, row, first)?;
        }
        self.rows += events.len() as u64;
        let block = small(self.blocks.len() - 1);
        for about in &mut self.about {
            let told = spans::few(std::mem::take(&mut about.now));
            about.spans.extend(told.into_iter().map(|(low, high)| Span { block, low, high }));
        }
        Ok(())
    }

    /// Event `i` of the history is number `row` of the file, in a block that begins with number `base`.
    fn row(&mut self, history: &History, i: usize, row: u32, base: u32) -> Result<(), PagedError> {
        let (process, kind, time) = (history.process(i), history.kind(i), history.time(i));
        if let Some(t) = time {
            self.latest = self.latest.max(t);
            self.duration = self.duration.max(t);
        }
        self.gathering.add(history, i);
        self.log(history, i, process, kind);
        let known = self.known(history, i, kind);
        if let (Some(Process::Client(p)), true) = (process, kind.is_completion())
            && let Some((number, mut entry)) = self.open.remove(&p)
        {
            self.longest = self.longest.max(entry.complete(row, time, kind).unwrap_or(0));
            entry.known = known;
            if entry.first < base {
                self.crossings.extend(crossing(row, entry.first));
            }
            return self.put(number, entry);
        }
        self.untimed |= time.is_none();
        let f = self.functions.id_of(history.f(i), FUNCTIONS_MAX, &F::Other("other".into()));
        let f = u8::try_from(f).unwrap_or(u8::MAX);
        let entry = Entry { known, ..Entry::alone(row, time, process, f, kind) };
        if let (Some(Process::Client(p)), Kind::Invoke) = (process, kind) {
            self.open.insert(p, (self.written + self.waiting.len() as u64, entry));
        }
        self.waiting.push_back(entry);
        if self.waiting.len() > WAITING_MAX {
            self.write(WAITING_MAX / 2)?;
        }
        Ok(())
    }

    /// An operation ended: its entry is put anew.
    fn put(&mut self, number: u64, entry: Entry) -> Result<(), PagedError> {
        if let Some(at) = number.checked_sub(self.written) {
            if let Some(waiting) = usize::try_from(at).ok().and_then(|at| self.waiting.get_mut(at))
            {
                *waiting = entry;
            }
            return Ok(());
        }
        self.out.seek(SeekFrom::Start(MAGIC.len() as u64 + number * ENTRY_BYTES as u64))?;
        self.out.write_all(&entry.bytes())?;
        self.out.seek(SeekFrom::End(0))?;
        Ok(())
    }

    fn write(&mut self, count: usize) -> Result<(), PagedError> {
        for entry in self.waiting.drain(..count) {
            self.out.write_all(&entry.bytes())?;
            self.written += 1;
        }
        Ok(())
    }

    /// What a search wants to know of the row that says most.
    fn known(&mut self, history: &History, i: usize, kind: Kind) -> Known {
        let mut keys = 0u64;
        for mop in history.mops(i) {
            match mop {
                MopRef::Send { key, .. } => keys |= bit(self.key(history.key(key))),
                MopRef::Poll(poll) => {
                    let groups = poll.into_iter().flat_map(|p| p.groups());
                    groups.for_each(|g| keys |= bit(self.key(history.key(g.key))));
                }
            }
        }
        let named = history.keys_of(i).unwrap_or_default();
        named.iter().for_each(|k| keys |= bit(self.key(k)));
        let first = first_key(history, i).map_or(0, |k| self.key(history.key(k)) + 1);
        let error = history.error(i).filter(|_| kind.is_completion());
        let error =
            error.map_or(0, |e| self.errors.id_of(&e.code, ERRORS_MAX, &"other".to_owned()) + 1);
        Known {
            key: u32::try_from(first).unwrap_or(0),
            error: u16::try_from(error).unwrap_or(0),
            keys,
        }
    }

    fn key(&mut self, key: &Scalar) -> usize {
        let id = self.keys.id(key);
        if id == self.about.len() {
            self.about.push(About::default());
        }
        id
    }

    /// Who wrote and read which offsets.
    fn log(&mut self, history: &History, i: usize, process: Option<Process>, kind: Kind) {
        let ends = kind.is_completion() && process.is_none_or(Process::is_client);
        for mop in history.mops(i) {
            match mop {
                MopRef::Send { key, offset, .. } => {
                    let id = self.key(history.key(key));
                    self.about[id].logged = true;
                    offset.iter().filter(|_| ends).for_each(|o| self.about[id].holds(*o, *o));
                }
                MopRef::Poll(poll) => {
                    for group in poll.into_iter().flat_map(|p| p.groups()) {
                        let id = self.key(history.key(group.key));
                        let about = &mut self.about[id];
                        about.logged = true;
                        if !ends {
                            continue;
                        }
                        about
                            .observers
                            .extend(process.map(|p| super::format::process_code(Some(p))));
                        let known = || group.iter().filter_map(|(o, _)| o);
                        if let (Some(low), Some(high)) = (known().min(), known().max()) {
                            about.holds(low, high);
                        }
                    }
                }
            }
        }
    }

    fn finish(mut self, bytes: u64, end: u32) -> Result<(), PagedError> {
        self.write(self.waiting.len())?;
        let mut trailer = Trailer {
            history_bytes: bytes,
            history_end: end,
            rows: self.rows,
            duration: self.duration,
            longest: self.longest,
            timed: !self.untimed,
            functions: self.functions.all.iter().map(|f| f.as_str().to_owned()).collect(),
            errors: self.errors.all,
            world: self.gathering.finish(self.duration),
            entries: Table { at: MAGIC.len() as u64, rows: self.written },
            ..Trailer::default()
        };
        let mut out = self.out;
        let at = out.stream_position()?;
        out.write_all(&self.crossings)?;
        let rows = self.crossings.len() / super::format::CROSSING_BYTES;
        trailer.crossings = Table { at, rows: rows as u64 };
        trailer.blocks = Table { at: out.stream_position()?, rows: self.blocks.len() as u64 };
        for block in &self.blocks {
            out.write_all(&block.bytes())?;
        }
        for (key, about) in self.keys.all.into_iter().zip(self.about) {
            let spans = Table { at: out.stream_position()?, rows: about.spans.len() as u64 };
            for span in &about.spans {
                out.write_all(&span.bytes())?;
            }
            let observers = about.observers.into_iter().collect();
            let (logged, highest) = (about.logged, about.highest);
            trailer.keys.push(Key { key, logged, highest, observers, spans });
        }
        let at = out.stream_position()?;
        let text = serde_json::to_vec(&trailer).map_err(|e| PagedError::Damaged(e.to_string()))?;
        out.write_all(&text)?;
        out.write_all(&foot(at, &text))?;
        out.flush()?;
        Ok(())
    }
}

impl About {
    fn holds(&mut self, low: i64, high: i64) {
        self.highest = self.highest.max(Some(high));
        match self.now.last_mut() {
            // Sends and polls go upwards most of the time.
            Some(last) if last.1.checked_add(1) == Some(low) => last.1 = high,
            _ => self.now.push((low, high)),
        }
    }
}

/// The bit of a key; keys beyond the 64th share.
fn bit(key: usize) -> u64 {
    1 << (key % 64)
}
