//! A whole history in columns: what checkers read.
//!
//! Rows cost 22 bytes, micro-operations 12, answered sends 16 more, polled records 8 while their offsets are
//! consecutive and 16 otherwise; keys and values are interned. Rare things (errors, faults, extensions, record details)
//! stand in side tables.

mod builder;

pub use builder::{ExtraId, HistoryBuilder, Row};

use crate::event::{Event, F, Kind, Mop, OpError, Payload, Process, Record, RecordMeta, Scalar};
use crate::header::Header;
use crate::intern::{Interner, KeyId, ValueId, ValueTable};

/// "No offset", "no time": a value that neither a log nor a clock yields.
const NONE: i64 = i64::MIN;
const NO_PAIR: u32 = u32::MAX;
// Process codes count down from here; client numbers stay below.
const PROCESS_CLUSTER: u32 = u32::MAX - 2;
const PROCESS_NEMESIS: u32 = u32::MAX - 1;
const PROCESS_NONE: u32 = u32::MAX;

/// The greatest number that a client process can have in a [`History`].
pub const PROCESS_MAX: u32 = PROCESS_CLUSTER - 1;

/// What few rows have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extra {
    /// A value that is not made of micro-operations: keys, faults, cluster events, general operations.
    pub payload: Payload,
    /// Why the operation failed or is unknown.
    pub error: Option<OpError>,
    /// Everything else that the row carried.
    pub ext: serde_json::Map<String, serde_json::Value>,
}

/// A micro-operation in 12 bytes: what it is stands in the two upper bits of `head`, its key in the others.
#[derive(Debug, Clone, Copy)]
struct MopRow {
    head: u32,
    a: u32,
    b: u32,
}

/// `a` and `b` are the halves of the value.
const SEND_OPEN: u32 = 0;
/// `a` is the position among the answered sends.
const SEND_DONE: u32 = 1 << KEY_BITS;
const POLL_OPEN: u32 = 2 << KEY_BITS;
/// `a` and `b` are the first group and the one after the last.
const POLL_DONE: u32 = 3 << KEY_BITS;
const KEY_BITS: u32 = 30;
const KEY_MASK: u32 = (1 << KEY_BITS) - 1;

/// The records of one key in one poll, which end where those of the next group begin. `head` is the key, with
/// [`LISTED`] set when `offsets` is a position among the history's listed offsets; otherwise the offsets are
/// consecutive from there, as in a log without holes.
#[derive(Debug, Clone, Copy)]
struct Group {
    head: u32,
    first: u32,
    offsets: i64,
}

const LISTED: u32 = 1 << 31;

/// A history in columns. Row `i` is the event with index `i`.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The first line of the native form; a default one for foreign histories.
    pub header: Header,
    /// Whether the last line was torn and left out, as after a crash of the recorder.
    pub torn: bool,
    /// How many bytes of a torn last line were left out; 0 when it is not torn.
    pub torn_bytes: u64,
    times: Vec<i64>,
    processes: Vec<u32>,
    kinds: Vec<Kind>,
    fs: Vec<u8>,
    f_table: Vec<F>,
    mop_ends: Vec<u32>,
    pairs: Vec<u32>,
    mops: Vec<MopRow>,
    sends: Vec<(i64, i64)>,
    groups: Vec<Group>,
    offsets: Vec<i64>,
    values: Vec<i64>,
    metas: Vec<(u32, RecordMeta)>,
    /// One bit a row: whether it has an extra. Most rows have none, and every analysis asks.
    has_extra: Vec<u64>,
    extra_rows: Vec<(u32, u32)>,
    extras: Vec<Extra>,
    keys: Interner,
    value_table: ValueTable,
    invocations: u64,
}

/// A micro-operation, borrowed from a [`History`].
#[derive(Debug, Clone, Copy)]
pub enum MopRef<'a> {
    /// A send.
    Send {
        /// The topic-partition.
        key: KeyId,
        /// The value.
        value: ValueId,
        /// Whether it was answered, that is, stands as `[offset, v]`.
        done: bool,
        /// The offset that the acknowledgement carried.
        offset: Option<i64>,
    },
    /// A poll; `None` when it was not answered.
    Poll(Option<PollRef<'a>>),
}

/// What one poll returned, borrowed from a [`History`].
#[derive(Debug, Clone, Copy)]
pub struct PollRef<'a> {
    history: &'a History,
    first: u32,
    end: u32,
}

impl<'a> PollRef<'a> {
    /// The records by key, in the order received. A key may repeat.
    pub fn groups(self) -> impl ExactSizeIterator<Item = RecordsRef<'a>> + 'a {
        let history = self.history;
        (self.first as usize..self.end as usize).map(move |at| history.group(at))
    }

    /// How many records it returned.
    pub fn records_len(self) -> usize {
        let start = |at: u32| self.history.group_start(at as usize);
        start(self.end) - start(self.first)
    }
}

/// The records of one key in one poll.
#[derive(Debug, Clone, Copy)]
pub struct RecordsRef<'a> {
    /// The topic-partition.
    pub key: KeyId,
    /// The position of the first record among all records of the history (for [`History::record_meta`]).
    pub first: u32,
    offsets: Offsets<'a>,
    values: &'a [i64],
}

#[derive(Debug, Clone, Copy)]
enum Offsets<'a> {
    From(i64),
    Listed(&'a [i64]),
}

impl RecordsRef<'_> {
    /// How many records.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The offset of record `i`, when known. Panics beyond the last record.
    pub fn offset(&self, i: usize) -> Option<i64> {
        assert!(i < self.values.len(), "record {i} of {}", self.values.len());
        self.offset_unchecked(i)
    }

    fn offset_unchecked(&self, i: usize) -> Option<i64> {
        match self.offsets {
            Offsets::From(first) => i64::try_from(i).ok().map(|i| first + i),
            Offsets::Listed(offsets) => some(offsets[i]),
        }
    }

    /// The first offset, when all are known and each is the one before plus one: then offset `i` is this plus `i`.
    pub fn consecutive_from(&self) -> Option<i64> {
        match self.offsets {
            Offsets::From(first) => Some(first),
            Offsets::Listed(_) => None,
        }
    }

    /// The value of record `i`. Panics beyond the last record.
    pub fn value(&self, i: usize) -> ValueId {
        ValueId(self.values[i])
    }

    /// Offset and value of each record, in the order received.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Option<i64>, ValueId)> + '_ {
        self.values.iter().enumerate().map(|(i, v)| (self.offset_unchecked(i), ValueId(*v)))
    }
}

fn some(raw: i64) -> Option<i64> {
    (raw != NONE).then_some(raw)
}

impl History {
    /// How many events there are.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// How many client operations were invoked; in histories without invocations, how many completions there are.
    pub fn operations(&self) -> u64 {
        if self.invocations > 0 {
            return self.invocations;
        }
        (0..self.len()).filter(|i| self.process(*i).is_none_or(Process::is_client)).count() as u64
    }

    /// Whether any client operation has an invocation. Histories in Jepsen's unit-test style have none.
    pub fn has_invocations(&self) -> bool {
        self.invocations > 0
    }

    /// Monotonic nanoseconds since the start of the run.
    pub fn time(&self, i: usize) -> Option<i64> {
        some(self.times[i])
    }

    /// Who did it.
    pub fn process(&self, i: usize) -> Option<Process> {
        match self.processes[i] {
            PROCESS_NONE => None,
            PROCESS_NEMESIS => Some(Process::Nemesis),
            PROCESS_CLUSTER => Some(Process::Cluster),
            n => Some(Process::Client(n)),
        }
    }

    /// Asked, or how it ended.
    pub fn kind(&self, i: usize) -> Kind {
        self.kinds[i]
    }

    /// What was asked.
    pub fn f(&self, i: usize) -> &F {
        &self.f_table[usize::from(self.fs[i])]
    }

    /// The number of what was asked, for tables that have one entry a function: dense from 0 in order of first
    /// appearance. See [`History::f_of`].
    pub fn f_id(&self, i: usize) -> u8 {
        self.fs[i]
    }

    /// The function of this number; `None` when the history has none.
    pub fn f_of(&self, id: u8) -> Option<&F> {
        self.f_table.get(usize::from(id))
    }

    /// The invocation of a completion, or the completion of an invocation.
    pub fn pair(&self, i: usize) -> Option<usize> {
        (self.pairs[i] != NO_PAIR).then_some(self.pairs[i] as usize)
    }

    /// The micro-operations of row `i`, in order. Empty for rows of other kinds.
    pub fn mops(&self, i: usize) -> impl ExactSizeIterator<Item = MopRef<'_>> + '_ {
        let first = if i == 0 { 0 } else { self.mop_ends[i - 1] as usize };
        self.mops[first..self.mop_ends[i] as usize].iter().map(move |m| self.mop_ref(*m))
    }

    fn mop_ref(&self, mop: MopRow) -> MopRef<'_> {
        let key = KeyId(mop.head & KEY_MASK);
        match mop.head & !KEY_MASK {
            SEND_OPEN => {
                let value = ValueId(i64::from(mop.b.cast_signed()) << 32 | i64::from(mop.a));
                MopRef::Send { key, value, done: false, offset: None }
            }
            SEND_DONE => {
                let (value, offset) = self.sends[mop.a as usize];
                MopRef::Send { key, value: ValueId(value), done: true, offset: some(offset) }
            }
            POLL_OPEN => MopRef::Poll(None),
            _ => MopRef::Poll(Some(PollRef { history: self, first: mop.a, end: mop.b })),
        }
    }

    fn group_start(&self, at: usize) -> usize {
        self.groups.get(at).map_or(self.values.len(), |g| g.first as usize)
    }

    fn group(&self, at: usize) -> RecordsRef<'_> {
        let group = self.groups[at];
        let values = &self.values[group.first as usize..self.group_start(at + 1)];
        let offsets = if group.head & LISTED == 0 {
            Offsets::From(group.offsets)
        } else {
            let at = usize::try_from(group.offsets).unwrap_or(usize::MAX);
            Offsets::Listed(&self.offsets[at..at + values.len()])
        };
        RecordsRef { key: KeyId(group.head & KEY_MASK), first: group.first, offsets, values }
    }

    /// What row `i` has beside its micro-operations, if anything.
    pub fn extra(&self, i: usize) -> Option<&Extra> {
        if self.has_extra.get(i / 64).is_none_or(|rows| rows >> (i % 64) & 1 == 0) {
            return None;
        }
        // Histories in which every row has one are common (foreign ones), and so are those in which few rows do.
        let at = match self.extra_rows.get(i) {
            Some((row, _)) if *row as usize == i => i,
            _ => self.extra_rows.binary_search_by_key(&i, |(row, _)| *row as usize).ok()?,
        };
        Some(&self.extras[self.extra_rows[at].1 as usize])
    }

    /// The keys of an assign or subscribe.
    pub fn keys_of(&self, i: usize) -> Option<&[Scalar]> {
        match self.extra(i).map(|e| &e.payload) {
            Some(Payload::Keys(keys)) => Some(keys),
            _ => None,
        }
    }

    /// The datum of a row that is neither micro-operations nor keys.
    pub fn json(&self, i: usize) -> Option<&serde_json::Value> {
        match self.extra(i).map(|e| &e.payload) {
            Some(Payload::Json(value)) => Some(value),
            _ => None,
        }
    }

    /// Why row `i` failed or is unknown.
    pub fn error(&self, i: usize) -> Option<&OpError> {
        self.extra(i)?.error.as_ref()
    }

    /// What the record at this position (see [`RecordsRef::first`]) carried beside offset and value.
    pub fn record_meta(&self, record: u32) -> Option<&RecordMeta> {
        let at = self.metas.binary_search_by_key(&record, |(r, _)| *r).ok()?;
        Some(&self.metas[at].1)
    }

    /// What records carried beside offset and value, by their positions (see [`RecordsRef::first`]), ascending. Records
    /// that carried nothing else are left out.
    pub fn record_metas(&self) -> impl ExactSizeIterator<Item = (u32, &RecordMeta)> {
        self.metas.iter().map(|(at, meta)| (*at, meta))
    }

    /// How many keys appear.
    pub fn keys_len(&self) -> usize {
        self.keys.len()
    }

    /// How many polled records there are.
    pub fn records_len(&self) -> usize {
        self.values.len()
    }

    /// How many micro-operations there are.
    pub fn mops_len(&self) -> usize {
        self.mops.len()
    }

    /// The key of this number.
    pub fn key(&self, id: KeyId) -> &Scalar {
        self.keys.resolve(id.0)
    }

    /// The number of this key, if it appears in a send or a poll.
    pub fn key_id(&self, key: &Scalar) -> Option<KeyId> {
        self.keys.get(key).map(KeyId)
    }

    /// The value of this code.
    pub fn value(&self, id: ValueId) -> Scalar {
        self.value_table.resolve(id)
    }

    /// Row `i` in its readable form.
    pub fn event(&self, i: usize) -> Event {
        let mops: Vec<Mop> = self.mops(i).map(|m| self.mop(m)).collect();
        let extra = self.extra(i).cloned().unwrap_or_default();
        let value = if !matches!(extra.payload, Payload::None) {
            extra.payload
        } else if mops.is_empty() && !matches!(self.f(i), F::Send | F::Poll | F::Txn) {
            Payload::None
        } else {
            Payload::Mops(mops)
        };
        Event {
            index: i as u64,
            time: self.time(i),
            process: self.process(i),
            kind: self.kind(i),
            f: self.f(i).clone(),
            value,
            error: extra.error,
            ext: extra.ext,
        }
    }

    /// All rows in their readable form, in order.
    pub fn events(&self) -> impl ExactSizeIterator<Item = Event> + '_ {
        (0..self.len()).map(|i| self.event(i))
    }

    fn mop(&self, mop: MopRef<'_>) -> Mop {
        match mop {
            MopRef::Send { key, value, done, offset } => Mop::Send {
                key: self.key(key).clone(),
                value: self.value(value),
                offset: done.then_some(offset),
            },
            MopRef::Poll(None) => Mop::Poll(None),
            MopRef::Poll(Some(poll)) => {
                let groups = poll.groups().map(|g| {
                    let records = (0..g.len()).zip(g.first..).map(|(i, at)| Record {
                        offset: g.offset(i),
                        value: self.value(g.value(i)),
                        meta: self.record_meta(at).map(|m| Box::new(m.clone())),
                    });
                    (self.key(g.key).clone(), records.collect())
                });
                Mop::Poll(Some(groups.collect()))
            }
        }
    }
}
