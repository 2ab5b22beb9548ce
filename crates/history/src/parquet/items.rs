//! The items of a batch, which become micro-operations.

use super::columns::Decoded;
use super::read::Batch;
use super::schema::what;
use crate::columns::HistoryBuilder;
use crate::event::RecordMeta;
use crate::intern::{KeyId, ValueId};
use ::parquet::data_type::ByteArray;
use rustc_hash::FxHashMap;

/// A place in a column whose values are sparser than its levels.
pub(super) struct Cursor<'a, T> {
    values: &'a [T],
    runs: std::slice::Iter<'a, (u8, u64)>,
    /// The level of the run under way, and how much of it is left.
    level: u8,
    left: u64,
    /// The level of a value that is there.
    full: u8,
}

impl<'a, T> Cursor<'a, T> {
    pub(super) fn new(column: &'a Decoded<T>, full: u8) -> Self {
        let (values, runs) = (column.values.as_slice(), column.def.as_slice().iter());
        Cursor { values, runs, level: 0, left: 0, full }
    }

    /// How many of the next levels have a value, or have none, until that changes.
    fn ahead(&mut self) -> (bool, u64) {
        if self.left == 0
            && let Some((level, count)) = self.runs.next()
        {
            (self.level, self.left) = (*level, *count);
        }
        (self.level == self.full && self.left > 0, self.left)
    }

    pub(super) fn next(&mut self) -> Option<&'a T> {
        let (there, _) = self.ahead();
        self.left = self.left.saturating_sub(1);
        if !there {
            return None;
        }
        let (first, rest) = self.values.split_first()?;
        self.values = rest;
        Some(first)
    }

    /// The values of the next `count` levels, of which [`ahead`](Self::ahead) said that all have one, or that none has.
    fn take(&mut self, count: usize) -> &'a [T] {
        let there = self.level == self.full;
        self.left = self.left.saturating_sub(count as u64);
        let Some((taken, rest)) = self.values.split_at_checked(count).filter(|_| there) else {
            return &[];
        };
        self.values = rest;
        taken
    }
}

/// The items of a batch.
pub(super) struct Items<'a> {
    what: Cursor<'a, i32>,
    /// The rows' beginnings and what follows them: runs of levels, and how much of the first is left.
    rep: std::slice::Iter<'a, (u8, u64)>,
    begins: u64,
    key: Cursor<'a, i64>,
    key_text: Cursor<'a, ByteArray>,
    offset: Cursor<'a, i64>,
    value: Cursor<'a, i64>,
    value_text: Cursor<'a, ByteArray>,
    meta: Cursor<'a, ByteArray>,
    /// Keys by the place of their text in memory: one that repeats stands in a dictionary, which outlives the batch.
    keys: FxHashMap<(usize, usize), KeyId>,
}

/// The fields of one item.
struct Item<'a> {
    key: Option<&'a i64>,
    key_text: Option<&'a ByteArray>,
    offset: Option<i64>,
    value: Option<&'a i64>,
    value_text: Option<&'a ByteArray>,
    meta: Option<&'a ByteArray>,
}

/// Where the micro-operations of a row stand.
#[derive(PartialEq, Eq)]
enum Place {
    Between,
    InPoll,
    InGroup,
}

impl<'a> Items<'a> {
    pub(super) fn new(batch: &'a Batch) -> Self {
        Items {
            what: Cursor::new(&batch.what, 1),
            rep: batch.what.rep.as_slice().iter(),
            begins: 0,
            key: Cursor::new(&batch.key, 2),
            key_text: Cursor::new(&batch.key_text, 2),
            offset: Cursor::new(&batch.offset, 2),
            value: Cursor::new(&batch.value, 2),
            value_text: Cursor::new(&batch.value_text, 2),
            meta: Cursor::new(&batch.meta, 2),
            keys: FxHashMap::default(),
        }
    }

    /// How many levels the next row has.
    fn levels(&mut self) -> u64 {
        if self.begins == 0 {
            self.begins = self.rep.next().map_or(1, |(_, count)| *count);
        }
        self.begins -= 1;
        let more = if self.begins == 0 { self.rep.next() } else { None };
        1 + more.map_or(0, |(_, count)| *count)
    }

    /// Appends the items of one row. An error says at which item, counted from 1.
    pub(super) fn row(&mut self, builder: &mut HistoryBuilder) -> Result<(), (u64, String)> {
        let mut place = Place::Between;
        let levels = self.levels();
        let mut done = 0;
        while done < levels {
            if place == Place::InGroup {
                let records = self.records(levels - done, builder);
                done += records;
                if records > 0 {
                    continue;
                }
            }
            done += 1;
            let what = self.what.next().copied();
            let item = Item {
                key: self.key.next(),
                key_text: self.key_text.next(),
                offset: self.offset.next().copied(),
                value: self.value.next(),
                value_text: self.value_text.next(),
                meta: self.meta.next(),
            };
            if let Some(what) = what {
                item.append(what, &mut place, &mut self.keys, builder)
                    .map_err(|message| (done, message))?;
            }
        }
        if place != Place::Between {
            builder.end_poll();
        }
        Ok(())
    }

    /// Appends the records that come next and have nothing but an offset and a number, of the `most` levels that are left
    /// of the row; gives how many there were.
    fn records(&mut self, most: u64, builder: &mut HistoryBuilder) -> u64 {
        let (items, offsets, values) = (self.what.ahead(), self.offset.ahead(), self.value.ahead());
        let texts = [self.value_text.ahead(), self.meta.ahead(), self.key_text.ahead()];
        let none = texts.into_iter().chain([self.key.ahead()]);
        let plain = [items, offsets, values].into_iter().all(|(there, _)| there)
            && none.clone().all(|(there, _)| !there);
        let runs = [items, offsets, values].into_iter().chain(none).map(|(_, left)| left);
        let most = runs.fold(most, u64::min);
        let most = if plain { usize::try_from(most).unwrap_or(usize::MAX) } else { 0 };
        let count = self.what.values.iter().take(most).take_while(|w| **w == what::RECORD).count();
        if count > 0 {
            self.what.take(count);
            self.key.take(count);
            self.key_text.take(count);
            self.value_text.take(count);
            self.meta.take(count);
            builder.records(self.offset.take(count), self.value.take(count));
        }
        count as u64
    }
}

impl Item<'_> {
    fn append(
        &self,
        what: i32,
        place: &mut Place,
        keys: &mut FxHashMap<(usize, usize), KeyId>,
        builder: &mut HistoryBuilder,
    ) -> Result<(), String> {
        if *place != Place::Between && what < what::KEY {
            builder.end_poll();
            *place = Place::Between;
        }
        match (what, &place) {
            (what::SEND, _) => {
                let (key, value) = (self.key(keys, builder)?, self.value(builder)?);
                builder.mop_send_open(key, value);
            }
            (what::SENT, _) => {
                let (key, value) = (self.key(keys, builder)?, self.value(builder)?);
                builder.mop_send_done(key, value, self.offset);
            }
            (what::POLL, _) => builder.mop_poll_open(),
            (what::POLLED, _) => {
                builder.begin_poll();
                *place = Place::InPoll;
            }
            (what::KEY, Place::InPoll | Place::InGroup) => {
                let key = self.key(keys, builder)?;
                builder.begin_group(key);
                *place = Place::InGroup;
            }
            (what::RECORD, Place::InGroup) => {
                let value = self.value(builder)?;
                let meta = self.meta.map(|m| parse_meta(m.data())).transpose()?;
                builder.record(self.offset, value, meta.as_ref());
            }
            (what::KEY, _) => return Err("a key stands outside of a poll".into()),
            (what::RECORD, _) => return Err("a record stands outside of a key".into()),
            (other, _) => return Err(format!("an item is a {other}, and 0 to 5 are known")),
        }
        Ok(())
    }

    fn key(
        &self,
        keys: &mut FxHashMap<(usize, usize), KeyId>,
        builder: &mut HistoryBuilder,
    ) -> Result<KeyId, String> {
        match (self.key, self.key_text) {
            (Some(int), None) => Ok(builder.int_key(*int)),
            (None, Some(text)) => {
                let place = (text.data().as_ptr().addr(), text.len());
                if let Some(key) = keys.get(&place) {
                    return Ok(*key);
                }
                let key = builder.str_key(utf8(text)?);
                keys.insert(place, key);
                Ok(key)
            }
            _ => Err("an item needs one of key and key_text".into()),
        }
    }

    fn value(&self, builder: &mut HistoryBuilder) -> Result<ValueId, String> {
        match (self.value, self.value_text) {
            (Some(int), None) => Ok(builder.int_value(*int)),
            (None, Some(text)) => Ok(builder.str_value(utf8(text)?)),
            _ => Err("an item needs one of value and value_text".into()),
        }
    }
}

fn utf8(text: &ByteArray) -> Result<&str, String> {
    std::str::from_utf8(text.data()).map_err(|_| "a text is not UTF-8".into())
}

fn parse_meta(text: &[u8]) -> Result<RecordMeta, String> {
    serde_json::from_slice(text).map_err(|e| format!("meta: {e}"))
}
