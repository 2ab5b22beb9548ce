//! Reading a history in batches of rows.

use super::chunk::{Chunk, Plain, Shape};
use super::columns::Decoded;
use super::guard::Guarded;
use super::items::{Cursor, Items};
use super::schema::{CLUSTER, HEADER, NEMESIS, TORN, column, message};
use crate::columns::{Extra, History, HistoryBuilder, PROCESS_MAX};
use crate::event::{F, Kind, OpError, Payload, Process, Scalar};
use crate::extras::ExtraCache;
use crate::jsonl::{ReadOptions, parse_header};
use crate::read_error::{Fault, ReadError, ReadErrorKind};
use ::parquet::basic::Compression;
use ::parquet::data_type::ByteArray;
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
struct Chunks {
    time: Chunk<i64>,
    process: Chunk<i64>,
    kind: Chunk<ByteArray>,
    f: Chunk<ByteArray>,
    extra: Chunk<ByteArray>,
    what: Chunk<i32>,
    key: Chunk<i64>,
    key_text: Chunk<ByteArray>,
    offset: Chunk<i64>,
    value: Chunk<i64>,
    value_text: Chunk<ByteArray>,
    meta: Chunk<ByteArray>,
}

/// A field of every row, one that some rows have, every item's, and one that some items have.
const ALWAYS: Shape = Shape { full: 0, repeated: false };
const SOMETIMES: Shape = Shape { full: 1, repeated: false };
const ITEM: Shape = Shape { full: 1, repeated: true };
const ITEMS_FIELD: Shape = Shape { full: 2, repeated: true };

impl Chunks {
    fn open(group: &dyn RowGroupReader, levels: u64) -> ParquetResult<Self> {
        Ok(Chunks {
            time: open(group, column::TIME, levels, SOMETIMES)?,
            process: open(group, column::PROCESS, levels, SOMETIMES)?,
            kind: open(group, column::TYPE, levels, ALWAYS)?,
            f: open(group, column::F, levels, ALWAYS)?,
            extra: open(group, column::EXTRA, levels, SOMETIMES)?,
            what: open(group, column::WHAT, levels, ITEM)?,
            key: open(group, column::KEY, levels, ITEMS_FIELD)?,
            key_text: open(group, column::KEY_TEXT, levels, ITEMS_FIELD)?,
            offset: open(group, column::OFFSET, levels, ITEMS_FIELD)?,
            value: open(group, column::VALUE, levels, ITEMS_FIELD)?,
            value_text: open(group, column::VALUE_TEXT, levels, ITEMS_FIELD)?,
            meta: open(group, column::META, levels, ITEMS_FIELD)?,
        })
    }
}

fn open<T: Plain>(
    group: &dyn RowGroupReader,
    at: usize,
    levels: u64,
    shape: Shape,
) -> ParquetResult<Chunk<T>> {
    Ok(Chunk::new(Guarded::new(group.get_column_page_reader(at)?, levels), shape))
}

/// Some rows of all columns.
#[derive(Default)]
pub(super) struct Batch {
    time: Decoded<i64>,
    process: Decoded<i64>,
    kind: Decoded<ByteArray>,
    f: Decoded<ByteArray>,
    extra: Decoded<ByteArray>,
    pub(super) what: Decoded<i32>,
    pub(super) key: Decoded<i64>,
    pub(super) key_text: Decoded<ByteArray>,
    pub(super) offset: Decoded<i64>,
    pub(super) value: Decoded<i64>,
    pub(super) value_text: Decoded<ByteArray>,
    pub(super) meta: Decoded<ByteArray>,
}

fn fill<T: Plain>(chunk: &mut Chunk<T>, into: &mut Decoded<T>, levels: u64) -> ParquetResult<()> {
    into.clear();
    chunk.levels(levels, into)
}

impl Batch {
    fn fill(&mut self, from: &mut Chunks, rows: u64) -> Result<(), Bad> {
        fill(&mut from.time, &mut self.time, rows)?;
        fill(&mut from.process, &mut self.process, rows)?;
        fill(&mut from.kind, &mut self.kind, rows)?;
        fill(&mut from.f, &mut self.f, rows)?;
        fill(&mut from.extra, &mut self.extra, rows)?;
        self.what.clear();
        from.what.rows(rows, &mut self.what)?;
        let items = self.what.rep.len();
        fill(&mut from.key, &mut self.key, items)?;
        fill(&mut from.key_text, &mut self.key_text, items)?;
        fill(&mut from.offset, &mut self.offset, items)?;
        fill(&mut from.value, &mut self.value, items)?;
        fill(&mut from.value_text, &mut self.value_text, items)?;
        fill(&mut from.meta, &mut self.meta, items)?;
        // Every field has a level for each item, and rows begin at the same ones. Where a field is there without an item, or
        // an item without what it needs, reading the items tells.
        let same = [&self.key.rep, &self.offset.rep, &self.value.rep]
            .into_iter()
            .chain([&self.key_text.rep, &self.value_text.rep, &self.meta.rep])
            .all(|rep| *rep == self.what.rep);
        if same {
            Ok(())
        } else {
            Err(flaw(0, 0, "the fields of its items do not belong together"))
        }
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
        let mut chunks = Chunks::open(group, levels)?;
        let mut left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        while left > 0 {
            let rows = left.min(BATCH);
            left -= rows;
            let mut batch = std::mem::take(&mut self.batch);
            batch.fill(&mut chunks, rows as u64)?;
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
