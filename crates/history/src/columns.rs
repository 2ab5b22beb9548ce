//! A whole history in columns: what checkers read.
//!
//! Rows cost about 26 bytes, micro-operations 24, polled records 16; keys and values are interned. Rare things (errors,
//! faults, extensions, record details) stand in side tables.

use crate::event::{Event, F, Kind, Mop, OpError, Payload, Process, Record, RecordMeta, Scalar};
use crate::header::Header;
use crate::intern::{Interner, KeyId, ValueId, ValueTable};
use rustc_hash::FxHashMap;

/// "No offset", "no time": a value that neither a log nor a clock yields.
const NONE: i64 = i64::MIN;
const NO_PAIR: u32 = u32::MAX;
const PROCESS_NONE: i64 = -3;
const PROCESS_NEMESIS: i64 = -1;
const PROCESS_CLUSTER: i64 = -2;

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

#[derive(Debug, Clone, Copy)]
enum MopRow {
    SendOpen { key: u32, value: i64 },
    SendDone { key: u32, value: i64, offset: i64 },
    PollOpen,
    PollDone { first: u32, end: u32 },
}

#[derive(Debug, Clone, Copy)]
struct Group {
    key: u32,
    first: u32,
    end: u32,
}

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
    processes: Vec<i64>,
    kinds: Vec<Kind>,
    fs: Vec<u8>,
    f_table: Vec<F>,
    mop_ends: Vec<u32>,
    pairs: Vec<u32>,
    mops: Vec<MopRow>,
    groups: Vec<Group>,
    offsets: Vec<i64>,
    values: Vec<i64>,
    metas: Vec<(u32, RecordMeta)>,
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
        history.groups[self.first as usize..self.end as usize].iter().map(move |g| {
            let range = g.first as usize..g.end as usize;
            RecordsRef {
                key: KeyId(g.key),
                first: g.first,
                offsets: &history.offsets[range.clone()],
                values: &history.values[range],
            }
        })
    }

    /// How many records it returned.
    pub fn records_len(self) -> usize {
        let groups = &self.history.groups[self.first as usize..self.end as usize];
        groups.iter().map(|g| (g.end - g.first) as usize).sum()
    }
}

/// The records of one key in one poll: two slices of equal length.
#[derive(Debug, Clone, Copy)]
pub struct RecordsRef<'a> {
    /// The topic-partition.
    pub key: KeyId,
    /// The position of the first record among all records of the history (for [`History::record_meta`]).
    pub first: u32,
    offsets: &'a [i64],
    values: &'a [i64],
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

    /// The offset of record `i`, when known.
    pub fn offset(&self, i: usize) -> Option<i64> {
        some(self.offsets[i])
    }

    /// The value of record `i`.
    pub fn value(&self, i: usize) -> ValueId {
        ValueId(self.values[i])
    }

    /// Offset and value of each record, in the order received.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Option<i64>, ValueId)> + '_ {
        self.offsets.iter().zip(self.values).map(|(o, v)| (some(*o), ValueId(*v)))
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
            n => u32::try_from(n).ok().map(Process::Client),
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

    /// The invocation of a completion, or the completion of an invocation.
    pub fn pair(&self, i: usize) -> Option<usize> {
        (self.pairs[i] != NO_PAIR).then_some(self.pairs[i] as usize)
    }

    /// The micro-operations of row `i`, in order. Empty for rows of other kinds.
    pub fn mops(&self, i: usize) -> impl ExactSizeIterator<Item = MopRef<'_>> + '_ {
        let first = if i == 0 { 0 } else { self.mop_ends[i - 1] as usize };
        self.mops[first..self.mop_ends[i] as usize].iter().map(move |m| match *m {
            MopRow::SendOpen { key, value } => {
                MopRef::Send { key: KeyId(key), value: ValueId(value), done: false, offset: None }
            }
            MopRow::SendDone { key, value, offset } => MopRef::Send {
                key: KeyId(key),
                value: ValueId(value),
                done: true,
                offset: some(offset),
            },
            MopRow::PollOpen => MopRef::Poll(None),
            MopRow::PollDone { first, end } => {
                MopRef::Poll(Some(PollRef { history: self, first, end }))
            }
        })
    }

    /// What row `i` has beside its micro-operations, if anything.
    pub fn extra(&self, i: usize) -> Option<&Extra> {
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

/// Builds a [`History`] row by row, either from whole [`Event`]s or, without an allocation a row, micro-operation by
/// micro-operation: `mop_*` calls first, then [`HistoryBuilder::finish_row`].
#[derive(Debug, Default)]
pub struct HistoryBuilder {
    history: History,
    open: FxHashMap<u32, u32>,
    f_ids: FxHashMap<F, u8>,
    row_keys: usize,
    row_values: usize,
    full: bool,
}

/// An [`Extra`] that several rows of one history share: see [`HistoryBuilder::share`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtraId(u32);

/// Everything of a row but its micro-operations.
#[derive(Debug, Clone)]
pub struct Row {
    /// Monotonic nanoseconds since the start of the run.
    pub time: Option<i64>,
    /// Who did it.
    pub process: Option<Process>,
    /// Asked, or how it ended.
    pub kind: Kind,
    /// What was asked.
    pub f: F,
    /// What few rows have.
    pub extra: Option<Box<Extra>>,
}

impl HistoryBuilder {
    /// An empty history with this header.
    pub fn new(header: Header) -> Self {
        let history = History { header, ..History::default() };
        HistoryBuilder { history, ..HistoryBuilder::default() }
    }

    /// Appends a whole row; its own `index` is ignored, since position is the index.
    pub fn push(&mut self, event: &Event) {
        let mut payload = Payload::None;
        match &event.value {
            Payload::Mops(mops) => mops.iter().for_each(|m| self.push_mop(m)),
            other => payload = other.clone(),
        }
        let has_extra =
            !matches!(payload, Payload::None) || event.error.is_some() || !event.ext.is_empty();
        let extra = has_extra.then(|| {
            Box::new(Extra { payload, error: event.error.clone(), ext: event.ext.clone() })
        });
        self.finish_row(Row {
            time: event.time,
            process: event.process,
            kind: event.kind,
            f: event.f.clone(),
            extra,
        });
    }

    fn push_mop(&mut self, mop: &Mop) {
        match mop {
            Mop::Send { key, value, offset } => {
                let (key, value) = (self.key(key), self.value(value));
                match offset {
                    None => self.mop_send_open(key, value),
                    Some(offset) => self.mop_send_done(key, value, *offset),
                }
            }
            Mop::Poll(None) => self.mop_poll_open(),
            Mop::Poll(Some(groups)) => {
                self.begin_poll();
                for (key, records) in groups {
                    let key = self.key(key);
                    self.begin_group(key);
                    for r in records {
                        let value = self.value(&r.value);
                        self.record(r.offset, value, r.meta.as_deref());
                    }
                }
                self.end_poll();
            }
        }
    }

    /// The number of this key.
    pub fn key(&mut self, key: &Scalar) -> KeyId {
        KeyId(self.history.keys.intern(key))
    }

    /// The number of this integer key.
    pub fn int_key(&mut self, key: i64) -> KeyId {
        KeyId(self.history.keys.intern_int(key))
    }

    /// The number of this text key; allocates only when it is new.
    pub fn str_key(&mut self, key: &str) -> KeyId {
        KeyId(self.history.keys.intern_str(key))
    }

    /// The code of this value.
    pub fn value(&mut self, value: &Scalar) -> ValueId {
        self.history.value_table.intern(value)
    }

    /// The code of this integer value.
    pub fn int_value(&mut self, value: i64) -> ValueId {
        self.history.value_table.intern_int(value)
    }

    /// The code of this text value; allocates only when it is new.
    pub fn str_value(&mut self, value: &str) -> ValueId {
        self.history.value_table.intern_str(value)
    }

    /// Stores an extra once, for any number of rows finished by [`finish_row_shared`](Self::finish_row_shared). One
    /// that no row uses costs memory and nothing else.
    pub fn share(&mut self, extra: Extra) -> ExtraId {
        let id = self.small(self.history.extras.len());
        self.history.extras.push(extra);
        ExtraId(id)
    }

    /// Appends an unanswered send to the row under way.
    pub fn mop_send_open(&mut self, key: KeyId, value: ValueId) {
        self.history.mops.push(MopRow::SendOpen { key: key.0, value: value.0 });
    }

    /// Appends an answered send to the row under way.
    pub fn mop_send_done(&mut self, key: KeyId, value: ValueId, offset: Option<i64>) {
        let offset = offset.unwrap_or(NONE);
        self.history.mops.push(MopRow::SendDone { key: key.0, value: value.0, offset });
    }

    /// Appends an unanswered poll to the row under way.
    pub fn mop_poll_open(&mut self) {
        self.history.mops.push(MopRow::PollOpen);
    }

    /// Begins an answered poll; [`begin_group`](Self::begin_group) and [`record`](Self::record) fill it.
    pub fn begin_poll(&mut self) {
        let at = self.small(self.history.groups.len());
        self.history.mops.push(MopRow::PollDone { first: at, end: at });
    }

    /// Begins the records of one key within a poll.
    pub fn begin_group(&mut self, key: KeyId) {
        let at = self.small(self.history.values.len());
        self.history.groups.push(Group { key: key.0, first: at, end: at });
    }

    /// Appends a record to the group under way.
    pub fn record(&mut self, offset: Option<i64>, value: ValueId, meta: Option<&RecordMeta>) {
        if let Some(meta) = meta.filter(|m| !m.is_empty()) {
            let at = self.small(self.history.values.len());
            self.history.metas.push((at, meta.clone()));
        }
        self.history.offsets.push(offset.unwrap_or(NONE));
        self.history.values.push(value.0);
        let end = self.small(self.history.values.len());
        if let Some(group) = self.history.groups.last_mut() {
            group.end = end;
        }
    }

    /// Ends the poll under way.
    pub fn end_poll(&mut self) {
        let at = self.small(self.history.groups.len());
        if let Some(MopRow::PollDone { end, .. }) = self.history.mops.last_mut() {
            *end = at;
        }
    }

    /// Drops the micro-operations of the row under way and the keys and values that only it named, as when the rest
    /// of its line turns out to be bad.
    pub fn abandon_row(&mut self) {
        self.history.keys.truncate(self.row_keys);
        self.history.value_table.truncate(self.row_values);
        let keep = self.history.mop_ends.last().map_or(0, |e| *e as usize);
        let first_group = self.history.mops[keep..].iter().find_map(|m| match m {
            MopRow::PollDone { first, .. } => Some(*first as usize),
            _ => None,
        });
        self.history.mops.truncate(keep);
        if let Some(groups) = first_group {
            let records = self.history.groups.get(groups).map(|g| g.first);
            self.history.groups.truncate(groups);
            if let Some(records) = records {
                self.history.offsets.truncate(records as usize);
                self.history.values.truncate(records as usize);
                while self.history.metas.last().is_some_and(|(at, _)| *at >= records) {
                    self.history.metas.pop();
                }
            }
        }
    }

    /// Ends the row under way and gives its index. Pairs a completion with the open invocation of its process.
    pub fn finish_row(&mut self, row: Row) -> usize {
        let extra = row.extra.map(|e| self.share(*e));
        self.finish_row_shared(row.time, row.process, row.kind, row.f, extra)
    }

    /// Ends the row under way as [`finish_row`](Self::finish_row) does, with an extra that other rows may have too.
    pub fn finish_row_shared(
        &mut self,
        time: Option<i64>,
        process: Option<Process>,
        kind: Kind,
        f: F,
        extra: Option<ExtraId>,
    ) -> usize {
        let index = self.history.kinds.len();
        let at = self.small(index);
        let f = self.f_id(f);
        let code = match process {
            None => PROCESS_NONE,
            Some(Process::Nemesis) => PROCESS_NEMESIS,
            Some(Process::Cluster) => PROCESS_CLUSTER,
            Some(Process::Client(n)) => i64::from(n),
        };
        let mut pair = NO_PAIR;
        if let Some(Process::Client(p)) = process {
            if kind == Kind::Invoke {
                self.open.insert(p, at);
                self.history.invocations += 1;
            } else if let Some(j) = self.open.remove(&p) {
                pair = j;
                self.history.pairs[j as usize] = at;
            }
        }
        let mops = self.small(self.history.mops.len());
        let h = &mut self.history;
        h.times.push(time.unwrap_or(NONE));
        h.processes.push(code);
        h.kinds.push(kind);
        h.fs.push(f);
        h.pairs.push(pair);
        if let Some(ExtraId(id)) = extra {
            h.extra_rows.push((at, id));
        }
        h.mop_ends.push(mops);
        self.row_keys = h.keys.len();
        self.row_values = h.value_table.len();
        index
    }

    /// How many rows there are so far.
    pub fn len(&self) -> usize {
        self.history.kinds.len()
    }

    /// Whether there are no rows yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the history has outgrown 2³² − 1 rows, micro-operations or records; rows pushed after that are wrong.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Marks that the last line was torn: this many of its bytes were left out.
    pub fn mark_torn(&mut self, bytes: u64) {
        self.history.torn = true;
        self.history.torn_bytes = bytes;
    }

    /// The history.
    pub fn finish(self) -> History {
        self.history
    }

    /// The history so far, for analyses while it grows.
    pub fn so_far(&self) -> &History {
        &self.history
    }

    fn f_id(&mut self, f: F) -> u8 {
        if let Some(id) = self.f_ids.get(&f) {
            return *id;
        }
        let Ok(id) = u8::try_from(self.history.f_table.len()) else {
            // The 256th function and all after it share one name: no workload comes near it.
            return u8::MAX;
        };
        let f = if id == u8::MAX { F::Other("other".into()) } else { f };
        self.history.f_table.push(f.clone());
        self.f_ids.insert(f, id);
        id
    }

    fn small(&mut self, n: usize) -> u32 {
        u32::try_from(n).unwrap_or_else(|_| {
            self.full = true;
            u32::MAX
        })
    }
}
