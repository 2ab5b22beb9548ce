//! Building a history row by row.

use super::{
    Extra, Group, History, KEY_MASK, LISTED, MopRow, NO_PAIR, NONE, POLL_DONE, POLL_OPEN,
    PROCESS_CLUSTER, PROCESS_MAX, PROCESS_NEMESIS, PROCESS_NONE, SEND_DONE, SEND_OPEN,
};
use crate::event::{Event, F, Kind, Mop, Payload, Process, RecordMeta, Scalar};
use crate::header::Header;
use crate::intern::{KeyId, ValueId, ValueTable};
use rustc_hash::FxHashMap;

/// Builds a [`History`] row by row, either from whole [`Event`]s or, without an allocation a row, micro-operation by
/// micro-operation: `mop_*` calls first, then [`HistoryBuilder::finish_row`].
#[derive(Debug, Default)]
pub struct HistoryBuilder {
    history: History,
    open: FxHashMap<u32, u32>,
    f_ids: FxHashMap<F, u8>,
    mark: Mark,
    full: bool,
}

/// How long the columns were when the row under way began.
#[derive(Debug, Default)]
struct Mark {
    mops: usize,
    sends: usize,
    groups: usize,
    offsets: usize,
    records: usize,
    metas: usize,
    keys: usize,
    values: usize,
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
        let bits = value.0.cast_unsigned();
        #[expect(clippy::cast_possible_truncation, reason = "the halves of the value")]
        let (low, high) = (bits as u32, (bits >> 32) as u32);
        self.mop_row(SEND_OPEN, key, low, high);
    }

    /// Appends an answered send to the row under way.
    pub fn mop_send_done(&mut self, key: KeyId, value: ValueId, offset: Option<i64>) {
        let at = self.small(self.history.sends.len());
        self.history.sends.push((value.0, offset.unwrap_or(NONE)));
        self.mop_row(SEND_DONE, key, at, 0);
    }

    /// Appends an unanswered poll to the row under way.
    pub fn mop_poll_open(&mut self) {
        self.mop_row(POLL_OPEN, KeyId(0), 0, 0);
    }

    fn mop_row(&mut self, what: u32, key: KeyId, a: u32, b: u32) {
        self.full |= key.0 > KEY_MASK;
        self.history.mops.push(MopRow { head: what | key.0 & KEY_MASK, a, b });
    }

    /// Begins an answered poll; [`begin_group`](Self::begin_group) and [`record`](Self::record) fill it.
    pub fn begin_poll(&mut self) {
        let at = self.small(self.history.groups.len());
        self.mop_row(POLL_DONE, KeyId(0), at, at);
    }

    /// Begins the records of one key within a poll.
    pub fn begin_group(&mut self, key: KeyId) {
        let first = self.small(self.history.values.len());
        let offsets = position(self.history.offsets.len());
        self.full |= key.0 > KEY_MASK;
        self.history.groups.push(Group { head: LISTED | key.0 & KEY_MASK, first, offsets });
    }

    /// Appends a record to the group under way; without one it does nothing.
    pub fn record(&mut self, offset: Option<i64>, value: ValueId, meta: Option<&RecordMeta>) {
        let at = self.small(self.history.values.len());
        let h = &mut self.history;
        let Some(group) = h.groups.last_mut() else { return };
        let raw = offset.unwrap_or(NONE);
        let before = at - group.first;
        if group.head & LISTED == 0 {
            if group.offsets.checked_add(i64::from(before)) != Some(raw) {
                let first = group.offsets;
                group.head |= LISTED;
                group.offsets = position(h.offsets.len());
                h.offsets.extend((0..before).map(|i| first + i64::from(i)));
                h.offsets.push(raw);
            }
        } else if before == 0 && raw != NONE {
            group.head &= !LISTED;
            group.offsets = raw;
        } else {
            h.offsets.push(raw);
        }
        if let Some(meta) = meta.filter(|m| !m.is_empty()) {
            h.metas.push((at, meta.clone()));
        }
        h.values.push(value.0);
    }

    /// Appends records with consecutive or other known offsets and integer values, which carry nothing else, to the group
    /// under way, as [`record`](Self::record) does one by one.
    pub(crate) fn records(&mut self, offsets: &[i64], values: &[i64]) {
        let at = self.history.values.len();
        let plain = values.iter().all(|value| ValueTable::is_plain(*value));
        let room = u32::try_from(at + values.len()).is_ok();
        if let (Some(group), Some(first), true) =
            (self.history.groups.last_mut(), offsets.first(), plain && room)
        {
            let before = i64::try_from(at - group.first as usize).unwrap_or(i64::MAX);
            let follows = match before {
                0 => group.head & LISTED != 0 && *first != NONE,
                _ => group.head & LISTED == 0 && group.offsets.checked_add(before) == Some(*first),
            };
            let steps = offsets.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]));
            if follows && steps && offsets.len() == values.len() {
                if before == 0 {
                    group.head &= !LISTED;
                    group.offsets = *first;
                }
                self.history.values.extend_from_slice(values);
                return;
            }
        }
        for (offset, value) in offsets.iter().zip(values) {
            let value = self.int_value(*value);
            self.record(Some(*offset), value, None);
        }
    }

    /// Ends the poll under way.
    pub fn end_poll(&mut self) {
        let at = self.small(self.history.groups.len());
        if let Some(poll) = self.history.mops.last_mut() {
            poll.b = at;
        }
    }

    /// Drops the micro-operations of the row under way and the keys and values that only it named, as when the rest
    /// of its line turns out to be bad.
    pub fn abandon_row(&mut self) {
        let (h, mark) = (&mut self.history, &self.mark);
        h.mops.truncate(mark.mops);
        h.sends.truncate(mark.sends);
        h.groups.truncate(mark.groups);
        h.offsets.truncate(mark.offsets);
        h.values.truncate(mark.records);
        h.metas.truncate(mark.metas);
        h.keys.truncate(mark.keys);
        h.value_table.truncate(mark.values);
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
            Some(Process::Client(n)) => n,
        };
        self.full |= matches!(process, Some(Process::Client(n)) if n > PROCESS_MAX);
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
        if index.is_multiple_of(64) {
            h.has_extra.push(0);
        }
        if let Some(ExtraId(id)) = extra {
            h.extra_rows.push((at, id));
            if let Some(rows) = h.has_extra.last_mut() {
                *rows |= 1 << (index % 64);
            }
        }
        h.mop_ends.push(mops);
        self.mark = Mark {
            mops: h.mops.len(),
            sends: h.sends.len(),
            groups: h.groups.len(),
            offsets: h.offsets.len(),
            records: h.values.len(),
            metas: h.metas.len(),
            keys: h.keys.len(),
            values: h.value_table.len(),
        };
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

    /// Whether the history has outgrown 2³² − 1 rows, micro-operations or records, 2³⁰ keys, or [`PROCESS_MAX`]; rows
    /// pushed after that are wrong.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Marks that the last line was torn: this many of its bytes were left out.
    pub fn mark_torn(&mut self, bytes: u64) {
        self.history.torn = true;
        self.history.torn_bytes = bytes;
    }

    /// The history, its columns shrunk to what they hold.
    pub fn finish(self) -> History {
        let mut h = self.history;
        h.times.shrink_to_fit();
        h.processes.shrink_to_fit();
        h.kinds.shrink_to_fit();
        h.fs.shrink_to_fit();
        h.mop_ends.shrink_to_fit();
        h.pairs.shrink_to_fit();
        h.mops.shrink_to_fit();
        h.sends.shrink_to_fit();
        h.groups.shrink_to_fit();
        h.offsets.shrink_to_fit();
        h.values.shrink_to_fit();
        h.metas.shrink_to_fit();
        h.has_extra.shrink_to_fit();
        h.extra_rows.shrink_to_fit();
        h.extras.shrink_to_fit();
        h
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

fn position(at: usize) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}
