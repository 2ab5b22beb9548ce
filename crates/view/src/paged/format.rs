//! How an index lies on disk: all numbers little-endian, every row of a table of one length.
//!
//! ```text
//! magic │ an entry for each operation │ crossings │ blocks │ spans, key by key │ trailer (JSON) │ foot
//! ```
//!
//! The foot says where the trailer is, and the trailer where everything else is.

use crate::operation::Op;
use crate::source::{Brief, Known};
use crate::world::World;
use perjury_history::{Kind, Process, Scalar};
use serde::{Deserialize, Serialize};

/// The first and the last bytes of an index of this form.
pub(super) const MAGIC: [u8; 8] = *b"PJWIN01\n";
pub(super) const ENTRY_BYTES: usize = 44;
pub(super) const CROSSING_BYTES: usize = 8;
pub(super) const BLOCK_BYTES: usize = 36;
pub(super) const SPAN_BYTES: usize = 20;
/// Place, length and checksum of the trailer, and the magic.
pub(super) const FOOT_BYTES: usize = 28;
/// "No time": what no clock yields.
const NONE: i64 = i64::MIN;
const NEMESIS: u32 = u32::MAX - 1;
const CLUSTER: u32 = u32::MAX - 2;
const NOBODY: u32 = u32::MAX;
const INVOKED: u8 = 16;
const COMPLETED: u8 = 32;

/// A table of rows: where it begins, and how many rows it has.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Table {
    pub(super) at: u64,
    pub(super) rows: u64,
}

/// What is known of a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) key: Scalar,
    /// Whether any send or poll named it; subscriptions alone do not make a log.
    pub(super) logged: bool,
    pub(super) highest: Option<i64>,
    /// Who read anything of it: the numbers of processes as entries have them.
    pub(super) observers: Vec<u32>,
    pub(super) spans: Table,
}

/// What the index says of the whole history.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Trailer {
    /// The length of the history in bytes.
    pub(super) history_bytes: u64,
    /// A checksum of its last bytes.
    pub(super) history_end: u32,
    pub(super) rows: u64,
    pub(super) duration: i64,
    /// The longest that any operation took, ns.
    pub(super) longest: i64,
    /// Whether every operation has a time, so that they are sorted by it.
    pub(super) timed: bool,
    pub(super) functions: Vec<String>,
    pub(super) errors: Vec<String>,
    pub(super) keys: Vec<Key>,
    pub(super) world: World,
    pub(super) entries: Table,
    pub(super) crossings: Table,
    pub(super) blocks: Table,
}

/// Takes numbers from a row, one after the other.
struct Taker<'a>(&'a [u8]);

impl Taker<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        if let Some((head, rest)) = self.0.split_at_checked(N) {
            out.copy_from_slice(head);
            self.0 = rest;
        }
        out
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.take())
    }
}

/// One operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) first: u32,
    /// The row that says most: `first` again where there is no other.
    pub(super) row: u32,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) process: u32,
    pub(super) f: u8,
    pub(super) state: u8,
    pub(super) known: Known,
}

/// The number of a process in an entry.
pub(super) fn process_code(process: Option<Process>) -> u32 {
    match process {
        None => NOBODY,
        Some(Process::Nemesis) => NEMESIS,
        Some(Process::Cluster) => CLUSTER,
        Some(Process::Client(n)) => n,
    }
}

/// The process of a number.
pub(super) fn process_of(code: u32) -> Option<Process> {
    match code {
        NOBODY => None,
        NEMESIS => Some(Process::Nemesis),
        CLUSTER => Some(Process::Cluster),
        n => Some(Process::Client(n)),
    }
}

impl Entry {
    /// A row that stands alone, so far.
    pub(super) fn alone(
        row: u32,
        time: Option<i64>,
        process: Option<Process>,
        f: u8,
        kind: Kind,
    ) -> Entry {
        let completed = kind.is_completion();
        let how = if completed { COMPLETED | kind as u8 } else { INVOKED | Kind::Info as u8 };
        let time = time.unwrap_or(NONE);
        Entry {
            first: row,
            row,
            start: time,
            end: if completed { time } else { NONE },
            process: process_code(process),
            f,
            state: how,
            known: Known::default(),
        }
    }

    /// The operation ended with this row. How long it took, when both times are known.
    pub(super) fn complete(&mut self, row: u32, time: Option<i64>, kind: Kind) -> Option<i64> {
        self.row = row;
        self.end = time.unwrap_or(NONE);
        self.state = INVOKED | COMPLETED | kind as u8;
        (self.start != NONE && self.end != NONE).then(|| self.end.saturating_sub(self.start))
    }

    pub(super) fn bytes(&self) -> [u8; ENTRY_BYTES] {
        let mut out = [0; ENTRY_BYTES];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&self.first.to_le_bytes());
        put(&self.row.to_le_bytes());
        put(&self.start.to_le_bytes());
        put(&self.end.to_le_bytes());
        put(&self.known.keys.to_le_bytes());
        put(&self.process.to_le_bytes());
        put(&self.known.key.to_le_bytes());
        put(&self.known.error.to_le_bytes());
        put(&[self.f, self.state]);
        out
    }

    pub(super) fn parse(bytes: &[u8]) -> Entry {
        let mut t = Taker(bytes);
        let (first, row, start, end) = (t.u32(), t.u32(), t.i64(), t.i64());
        let (keys, process, key) = (t.u64(), t.u32(), t.u32());
        let error = u16::from_le_bytes(t.take());
        let [f, state] = t.take();
        Entry { first, row, start, end, process, f, state, known: Known { key, error, keys } }
    }

    pub(super) fn op(&self) -> Op {
        let (first, row) = (self.first as usize, self.row as usize);
        Op {
            invoke: (self.state & INVOKED != 0).then_some(first),
            complete: (self.state & COMPLETED != 0).then_some(row),
        }
    }

    pub(super) fn brief(&self) -> Brief {
        let some = |t: i64| (t != NONE).then_some(t);
        let kinds = [Kind::Invoke, Kind::Ok, Kind::Fail, Kind::Info];
        Brief {
            op: self.op(),
            process: process_of(self.process),
            f: self.f,
            start: some(self.start),
            end: some(self.end),
            kind: kinds[usize::from(self.state & 3)],
            known: self.known,
        }
    }
}

/// Whole lines of the history that are parsed together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    /// Its first byte.
    pub(super) at: u64,
    pub(super) bytes: u32,
    /// Its first row.
    pub(super) first: u32,
    pub(super) rows: u32,
    /// Its first line, counted from 1.
    pub(super) line: u64,
    /// The latest time before it.
    pub(super) time: i64,
}

impl Block {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BLOCK_BYTES);
        out.extend(self.at.to_le_bytes());
        out.extend(self.bytes.to_le_bytes());
        out.extend(self.first.to_le_bytes());
        out.extend(self.rows.to_le_bytes());
        out.extend(self.line.to_le_bytes());
        out.extend(self.time.to_le_bytes());
        out
    }

    pub(super) fn parse(bytes: &[u8]) -> Block {
        let mut t = Taker(bytes);
        Block {
            at: t.u64(),
            bytes: t.u32(),
            first: t.u32(),
            rows: t.u32(),
            line: t.u64(),
            time: t.i64(),
        }
    }
}

/// Offsets of one key that a block holds, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) block: u32,
    pub(super) low: i64,
    pub(super) high: i64,
}

impl Span {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SPAN_BYTES);
        out.extend(self.block.to_le_bytes());
        out.extend(self.low.to_le_bytes());
        out.extend(self.high.to_le_bytes());
        out
    }

    pub(super) fn parse(bytes: &[u8]) -> Span {
        let mut t = Taker(bytes);
        Span { block: t.u32(), low: t.i64(), high: t.i64() }
    }
}

/// A completion whose invocation stands in an earlier block.
pub(super) fn crossing(complete: u32, invoke: u32) -> [u8; CROSSING_BYTES] {
    (u64::from(complete) << 32 | u64::from(invoke)).to_le_bytes()
}

/// The rows of a crossing: completion and invocation.
pub(super) fn parse_crossing(bytes: &[u8]) -> (u32, u32) {
    let both = Taker(bytes).u64();
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the number")]
    let halves = ((both >> 32) as u32, both as u32);
    halves
}

/// The foot: where the trailer is, and that it is whole.
pub(super) fn foot(at: u64, trailer: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FOOT_BYTES);
    out.extend(at.to_le_bytes());
    out.extend((trailer.len() as u64).to_le_bytes());
    out.extend(crc32fast::hash(trailer).to_le_bytes());
    out.extend(MAGIC);
    out
}

/// Place, length and checksum of the trailer; `None` when these bytes are no foot.
pub(super) fn parse_foot(bytes: &[u8]) -> Option<(u64, u64, u32)> {
    let mut t = Taker(bytes);
    let told = (t.u64(), t.u64(), t.u32());
    (t.take::<8>() == MAGIC).then_some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_put() {
        let mut entry = Entry::alone(7, Some(-3), Some(Process::Client(9)), 2, Kind::Invoke);
        assert_eq!(entry.op(), Op { invoke: Some(7), complete: None });
        assert_eq!(entry.complete(11, Some(40), Kind::Fail), Some(43));
        entry.known = Known { key: 5, error: 6, keys: 1 << 63 };
        let back = Entry::parse(&entry.bytes()).brief();
        assert_eq!(back, entry.brief());
        assert_eq!(back.op, Op { invoke: Some(7), complete: Some(11) });
        assert_eq!((back.kind, back.process), (Kind::Fail, Some(Process::Client(9))));
        let lone = Entry::alone(1, None, Some(Process::Nemesis), 0, Kind::Info).brief();
        assert_eq!((lone.op, lone.start), (Op { invoke: None, complete: Some(1) }, None));
        let block = Block { at: 1, bytes: 2, first: 3, rows: 4, line: 5, time: i64::MIN };
        assert_eq!(block.bytes().len(), BLOCK_BYTES);
        assert_eq!(Block::parse(&block.bytes()).time, i64::MIN);
        let span = Span { block: 1, low: -2, high: i64::MAX };
        assert_eq!(Span::parse(&span.bytes()), span);
        assert_eq!(parse_crossing(&crossing(9, u32::MAX)), (9, u32::MAX));
        let foot = foot(77, b"{}");
        assert_eq!(parse_foot(&foot).map(|(at, len, _)| (at, len)), Some((77, 2)));
        assert_eq!(parse_foot(&[0; FOOT_BYTES]), None);
    }
}
