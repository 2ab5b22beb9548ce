//! Reading a history in batches of rows.

use super::columns::Column;
use super::guard::Guarded;
use super::schema::{CLUSTER, HEADER, NEMESIS, TORN, column, message, what};
use crate::columns::{Extra, History, HistoryBuilder, PROCESS_MAX};
use crate::event::{F, Kind, OpError, Payload, Process, RecordMeta, Scalar};
use crate::extras::ExtraCache;
use crate::intern::{KeyId, ValueId};
use crate::jsonl::{ReadOptions, parse_header};
use crate::read_error::{Fault, ReadError, ReadErrorKind};
use ::parquet::basic::Compression;
use ::parquet::column::reader::ColumnReaderImpl;
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::reader::{ChunkReader, FileReader, RowGroupReader, SerializedFileReader};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many rows are decoded at a time.
const BATCH: usize = 4096;
/// Rows and items that any file may have, whatever its size.
const FREE: u64 = 1 << 20;
/// How many more it may have for each of its bytes. Differences of one take less than a bit each, but a row or a record
/// also has a value in other columns.
const PER_BYTE: u64 = 64;

/// Reads a history that [`write`](super::write) wrote. `name` is only for messages. The source is a file, or bytes in
/// memory; never more than a batch of it is held decoded.
///
/// # Errors
/// Names the row at which the content breaks the schema or the operation model, counted from 1; 0 when no row is to blame.
pub fn read(
    source: impl ChunkReader + 'static,
    name: &str,
    options: &ReadOptions,
) -> Result<History, ReadError> {
    // The decoder is not ours: whatever it makes of a hostile file must stay an error.
    let done = catch_unwind(AssertUnwindSafe(|| read_all(source, options)));
    let failed =
        |bad: Bad| ReadError { name: name.into(), line: bad.row, column: bad.item, kind: bad.kind };
    match done {
        Ok(read) => read.map_err(failed),
        Err(_) => Err(failed(flaw(0, 0, "its pages cannot be decoded"))),
    }
}

/// A flaw and its place.
struct Bad {
    row: u64,
    item: u64,
    kind: ReadErrorKind,
}

impl From<ParquetError> for Bad {
    fn from(error: ParquetError) -> Bad {
        match error {
            ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
                Ok(error) => Bad { row: 0, item: 0, kind: ReadErrorKind::Io(*error) },
                Err(other) => flaw(0, 0, other.to_string()),
            },
            other => flaw(0, 0, other.to_string()),
        }
    }
}

fn flaw(row: u64, item: u64, message: impl Into<String>) -> Bad {
    Bad { row, item, kind: ReadErrorKind::Parquet(message.into()) }
}

fn read_all(source: impl ChunkReader + 'static, options: &ReadOptions) -> Result<History, Bad> {
    let budget = FREE + source.len().saturating_mul(PER_BYTE);
    let file = SerializedFileReader::new(source)?;
    let mut state = begin(&file)?;
    for at in 0..file.num_row_groups() {
        let group = file.get_row_group(at)?;
        let levels = accepted(group.as_ref())?;
        state.promised = state.promised.saturating_add(levels);
        if state.promised > budget {
            return Err(flaw(0, 0, "it promises more rows than a file of its size can hold"));
        }
        state.group(group.as_ref(), levels, options)?;
    }
    Ok(state.builder.finish())
}

/// Checks schema and metadata.
fn begin(file: &dyn FileReader) -> Result<State, Bad> {
    let metadata = file.metadata().file_metadata();
    let known = message()?;
    let found = metadata.schema_descr();
    let expected = ::parquet::schema::types::SchemaDescriptor::new(std::sync::Arc::new(known));
    let same = found.num_columns() == column::COUNT
        && (0..column::COUNT).all(|i| {
            let (a, b) = (found.column(i), expected.column(i));
            a.path() == b.path()
                && a.physical_type() == b.physical_type()
                && a.max_def_level() == b.max_def_level()
                && a.max_rep_level() == b.max_rep_level()
        });
    if !same {
        return Err(flaw(0, 0, "its columns are not those of a Perjury history"));
    }
    let entry = |key: &str| {
        let entries = metadata.key_value_metadata()?;
        entries.iter().find(|e| e.key == key)?.value.as_deref()
    };
    let header = entry(HEADER).ok_or_else(|| flaw(0, 0, "its metadata has no entry perjury"))?;
    let header = parse_header(header.as_bytes()).map_err(|fault| Bad {
        row: 0,
        item: 0,
        kind: fault.kind,
    })?;
    let mut builder = HistoryBuilder::new(header);
    if let Some(bytes) = entry(TORN) {
        let bytes = bytes.parse().map_err(|_| flaw(0, 0, "perjury.torn is not a number"))?;
        builder.mark_torn(bytes);
    }
    Ok(State { builder, promised: 0, extras: ExtraCache::default(), batch: Batch::default() })
}

/// The number of levels of the longest column of a row group in a form that is read at all.
fn accepted(group: &dyn RowGroupReader) -> Result<u64, Bad> {
    let mut most = u64::try_from(group.metadata().num_rows())
        .map_err(|_| flaw(0, 0, "a row group has a negative number of rows"))?;
    for chunk in group.metadata().columns() {
        if chunk.compression() != Compression::UNCOMPRESSED {
            return Err(flaw(
                0,
                0,
                "its pages are compressed, and only uncompressed ones are read",
            ));
        }
        let places = [chunk.data_page_offset(), chunk.compressed_size()];
        if places.into_iter().chain(chunk.dictionary_page_offset()).any(|n| n < 0) {
            return Err(flaw(0, 0, "a column begins before the file or has a negative length"));
        }
        let levels = u64::try_from(chunk.num_values())
            .map_err(|_| flaw(0, 0, "a column has a negative number of values"))?;
        most = most.max(levels);
    }
    Ok(most)
}

/// The columns of a row group.
struct Readers {
    time: ColumnReaderImpl<Int64Type>,
    process: ColumnReaderImpl<Int64Type>,
    kind: ColumnReaderImpl<ByteArrayType>,
    f: ColumnReaderImpl<ByteArrayType>,
    extra: ColumnReaderImpl<ByteArrayType>,
    what: ColumnReaderImpl<Int32Type>,
    key: ColumnReaderImpl<Int64Type>,
    key_text: ColumnReaderImpl<ByteArrayType>,
    offset: ColumnReaderImpl<Int64Type>,
    value: ColumnReaderImpl<Int64Type>,
    value_text: ColumnReaderImpl<ByteArrayType>,
    meta: ColumnReaderImpl<ByteArrayType>,
}

impl Readers {
    fn open(group: &dyn RowGroupReader, levels: u64) -> ParquetResult<Self> {
        Ok(Readers {
            time: open(group, column::TIME, levels)?,
            process: open(group, column::PROCESS, levels)?,
            kind: open(group, column::TYPE, levels)?,
            f: open(group, column::F, levels)?,
            extra: open(group, column::EXTRA, levels)?,
            what: open(group, column::WHAT, levels)?,
            key: open(group, column::KEY, levels)?,
            key_text: open(group, column::KEY_TEXT, levels)?,
            offset: open(group, column::OFFSET, levels)?,
            value: open(group, column::VALUE, levels)?,
            value_text: open(group, column::VALUE_TEXT, levels)?,
            meta: open(group, column::META, levels)?,
        })
    }
}

fn open<T: DataType>(
    group: &dyn RowGroupReader,
    at: usize,
    levels: u64,
) -> ParquetResult<ColumnReaderImpl<T>> {
    let pages = Guarded::new(group.get_column_page_reader(at)?, levels);
    Ok(ColumnReaderImpl::new(group.metadata().column(at).column_descr_ptr(), Box::new(pages)))
}

/// Some rows of all columns.
#[derive(Default)]
struct Batch {
    time: Column<i64>,
    process: Column<i64>,
    kind: Column<ByteArray>,
    f: Column<ByteArray>,
    extra: Column<ByteArray>,
    what: Column<i32>,
    key: Column<i64>,
    key_text: Column<ByteArray>,
    offset: Column<i64>,
    value: Column<i64>,
    value_text: Column<ByteArray>,
    meta: Column<ByteArray>,
}

fn fill<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    into: &mut Column<T::T>,
    rows: usize,
) -> Result<(), Bad> {
    into.clear();
    let mut left = rows;
    while left > 0 {
        let (records, _, _) = reader.read_records(
            left,
            Some(&mut into.def),
            Some(&mut into.rep),
            &mut into.values,
        )?;
        if records == 0 {
            return Err(flaw(0, 0, "a column ends before the others"));
        }
        left -= records;
    }
    Ok(())
}

impl Batch {
    fn fill(&mut self, from: &mut Readers, rows: usize) -> Result<(), Bad> {
        fill(&mut from.time, &mut self.time, rows)?;
        fill(&mut from.process, &mut self.process, rows)?;
        fill(&mut from.kind, &mut self.kind, rows)?;
        fill(&mut from.f, &mut self.f, rows)?;
        fill(&mut from.extra, &mut self.extra, rows)?;
        fill(&mut from.what, &mut self.what, rows)?;
        fill(&mut from.key, &mut self.key, rows)?;
        fill(&mut from.key_text, &mut self.key_text, rows)?;
        fill(&mut from.offset, &mut self.offset, rows)?;
        fill(&mut from.value, &mut self.value, rows)?;
        fill(&mut from.value_text, &mut self.value_text, rows)?;
        fill(&mut from.meta, &mut self.meta, rows)?;
        // Every field has a level for each item, and rows begin at the same ones. Where a field is there without an item, or
        // an item without what it needs, reading the items tells.
        let items = &self.what.rep;
        let numbers = [&self.key, &self.offset, &self.value].map(|c| (&c.rep, c.def.len()));
        let texts = [&self.key_text, &self.value_text, &self.meta].map(|c| (&c.rep, c.def.len()));
        let fits = |(rep, levels): &(&Vec<i16>, usize)| *rep == items && *levels == items.len();
        if numbers.iter().chain(&texts).all(fits) {
            Ok(())
        } else {
            Err(flaw(0, 0, "the fields of its items do not belong together"))
        }
    }
}

/// A place in a column whose values are sparser than its levels.
struct Cursor<'a, T> {
    column: &'a Column<T>,
    level: usize,
    value: usize,
    /// The level of a value that is there.
    full: i16,
}

impl<'a, T> Cursor<'a, T> {
    fn new(column: &'a Column<T>, full: i16) -> Self {
        Cursor { column, level: 0, value: 0, full }
    }

    fn next(&mut self) -> Option<&'a T> {
        // Most batches have no value at all in most columns.
        if self.column.values.is_empty() {
            return None;
        }
        let there = self.column.def.get(self.level) == Some(&self.full);
        self.level += 1;
        if !there {
            return None;
        }
        self.value += 1;
        self.column.values.get(self.value - 1)
    }
}

/// What is read so far.
struct State {
    builder: HistoryBuilder,
    promised: u64,
    extras: ExtraCache,
    batch: Batch,
}

impl State {
    fn group(
        &mut self,
        group: &dyn RowGroupReader,
        levels: u64,
        options: &ReadOptions,
    ) -> Result<(), Bad> {
        let mut readers = Readers::open(group, levels)?;
        let mut left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        while left > 0 {
            let rows = left.min(BATCH);
            left -= rows;
            let mut batch = std::mem::take(&mut self.batch);
            batch.fill(&mut readers, rows)?;
            self.rows(&batch, rows, options)?;
            self.batch = batch;
        }
        Ok(())
    }

    fn rows(&mut self, batch: &Batch, rows: usize, options: &ReadOptions) -> Result<(), Bad> {
        let mut time = Cursor::new(&batch.time, 1);
        let mut process = Cursor::new(&batch.process, 1);
        let mut extra = Cursor::new(&batch.extra, 1);
        let mut items = Items::new(batch);
        for i in 0..rows {
            let row = self.builder.len() as u64 + 1;
            if row > options.events_max {
                let kind = ReadErrorKind::TooMany { limit: options.events_max };
                return Err(Bad { row, item: 1, kind });
            }
            let bad = |message: String| flaw(row, 1, message);
            let time = time.next().copied();
            let process = process.next().map(|code| process_of(*code)).transpose().map_err(bad)?;
            let kind = batch.kind.values.get(i).map(ByteArray::data);
            let kind = kind.and_then(kind_of).ok_or_else(|| bad("type is not known".into()))?;
            let f = batch.f.values.get(i).and_then(|f| std::str::from_utf8(f.data()).ok());
            let f = F::parse(f.ok_or_else(|| bad("f is not text".into()))?);
            items.row(&mut self.builder).map_err(|(item, message)| flaw(row, item, message))?;
            let extra = match extra.next() {
                None => None,
                Some(text) => self
                    .extras
                    .get([text.data()].into_iter(), &mut self.builder, || parse_extra(text.data()))
                    .map_err(|fault| Bad { row, item: 1, kind: fault.kind })?,
            };
            self.builder.finish_row_shared(time, process, kind, f, extra);
            if self.builder.is_full() {
                let kind = ReadErrorKind::TooMany { limit: options.events_max };
                return Err(Bad { row, item: 1, kind });
            }
        }
        Ok(())
    }
}

/// The items of a batch.
struct Items<'a> {
    what: Cursor<'a, i32>,
    rep: &'a [i16],
    /// The next item's position in `rep`.
    level: usize,
    key: Cursor<'a, i64>,
    key_text: Cursor<'a, ByteArray>,
    offset: Cursor<'a, i64>,
    value: Cursor<'a, i64>,
    value_text: Cursor<'a, ByteArray>,
    meta: Cursor<'a, ByteArray>,
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
    fn new(batch: &'a Batch) -> Self {
        Items {
            what: Cursor::new(&batch.what, 1),
            rep: &batch.what.rep,
            level: 0,
            key: Cursor::new(&batch.key, 2),
            key_text: Cursor::new(&batch.key_text, 2),
            offset: Cursor::new(&batch.offset, 2),
            value: Cursor::new(&batch.value, 2),
            value_text: Cursor::new(&batch.value_text, 2),
            meta: Cursor::new(&batch.meta, 2),
        }
    }

    /// Appends the items of one row. An error says at which item, counted from 1.
    fn row(&mut self, builder: &mut HistoryBuilder) -> Result<(), (u64, String)> {
        let mut place = Place::Between;
        let mut count = 0;
        loop {
            count += 1;
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
                item.append(what, &mut place, builder).map_err(|message| (count, message))?;
            }
            self.level += 1;
            if self.rep.get(self.level).is_none_or(|rep| *rep == 0) {
                break;
            }
        }
        if place != Place::Between {
            builder.end_poll();
        }
        Ok(())
    }
}

impl Item<'_> {
    fn append(
        &self,
        what: i32,
        place: &mut Place,
        builder: &mut HistoryBuilder,
    ) -> Result<(), String> {
        if *place != Place::Between && what < what::KEY {
            builder.end_poll();
            *place = Place::Between;
        }
        match (what, &place) {
            (what::SEND, _) => {
                let (key, value) = (self.key(builder)?, self.value(builder)?);
                builder.mop_send_open(key, value);
            }
            (what::SENT, _) => {
                let (key, value) = (self.key(builder)?, self.value(builder)?);
                builder.mop_send_done(key, value, self.offset);
            }
            (what::POLL, _) => builder.mop_poll_open(),
            (what::POLLED, _) => {
                builder.begin_poll();
                *place = Place::InPoll;
            }
            (what::KEY, Place::InPoll | Place::InGroup) => {
                let key = self.key(builder)?;
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

    fn key(&self, builder: &mut HistoryBuilder) -> Result<KeyId, String> {
        match (self.key, self.key_text) {
            (Some(int), None) => Ok(builder.int_key(*int)),
            (None, Some(text)) => Ok(builder.str_key(utf8(text)?)),
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

fn process_of(code: i64) -> Result<Process, String> {
    match (code, u32::try_from(code)) {
        (NEMESIS, _) => Ok(Process::Nemesis),
        (CLUSTER, _) => Ok(Process::Cluster),
        (_, Ok(n)) if n <= PROCESS_MAX => Ok(Process::Client(n)),
        _ => Err(format!("{code} is not a process")),
    }
}

fn kind_of(word: &[u8]) -> Option<Kind> {
    [Kind::Invoke, Kind::Ok, Kind::Fail, Kind::Info]
        .into_iter()
        .find(|k| k.as_str().as_bytes() == word)
}

fn parse_meta(text: &[u8]) -> Result<RecordMeta, String> {
    serde_json::from_slice(text).map_err(|e| format!("meta: {e}"))
}

/// What few rows have, from its JSON object.
fn parse_extra(text: &[u8]) -> Result<Extra, Fault> {
    let bad = |message: String| Fault::field(0, format!("extra: {message}"));
    let value: Value = serde_json::from_slice(text).map_err(|e| bad(e.to_string()))?;
    let Value::Object(fields) = value else { return Err(bad("it is not an object".into())) };
    let mut extra = Extra::default();
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("keys", keys) => {
                let keys: Vec<Scalar> =
                    serde_json::from_value(keys).map_err(|e| bad(format!("keys: {e}")))?;
                extra.payload = Payload::Keys(keys);
            }
            ("json", value) => extra.payload = Payload::Json(value),
            ("error", error) => {
                let error: OpError =
                    serde_json::from_value(error).map_err(|e| bad(format!("error: {e}")))?;
                extra.error = Some(error);
            }
            ("ext", Value::Object(ext)) => extra.ext = ext,
            (other, _) => return Err(bad(format!("the field {other} is not known"))),
        }
    }
    Ok(extra)
}
