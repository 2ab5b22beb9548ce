//! Writing a history in row groups.

use super::columns::Column;
use super::schema::{CLUSTER, HEADER, NEMESIS, TORN, column, message, what};
use crate::columns::{Extra, History, MopRef};
use crate::event::{Payload, Process, Scalar};
use ::parquet::basic::{Compression, Encoding};
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::types::ColumnPath;
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::sync::Arc;

/// A row group ends with the row that reaches one of these.
const ROWS: usize = 1 << 16;
const ITEMS: usize = 1 << 20;

/// Writes a history as Parquet. What [`read`](super::read) gives of it equals it: header, events in order, torn end.
///
/// # Errors
/// Those of the sink.
pub fn write(history: &History, out: impl Write + Send) -> io::Result<()> {
    write_with(history, out, properties()).map_err(|error| match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    })
}

fn write_with(
    history: &History,
    out: impl Write + Send,
    properties: WriterProperties,
) -> Result<()> {
    let header = json(&history.header)?;
    let mut file = SerializedFileWriter::new(out, Arc::new(message()?), Arc::new(properties))?;
    file.append_key_value_metadata(KeyValue::new(HEADER.into(), header));
    if history.torn {
        file.append_key_value_metadata(KeyValue::new(TORN.into(), history.torn_bytes.to_string()));
    }
    let mut group = Group::default();
    for row in 0..history.len() {
        group.push(history, row)?;
        if group.rows() >= ROWS || group.items() >= ITEMS || row + 1 == history.len() {
            let mut writer = file.next_row_group()?;
            group.flush(&mut writer)?;
            writer.close()?;
        }
    }
    file.close()?;
    Ok(())
}

/// Numbers that ascend are stored as differences, words that repeat in a dictionary.
fn properties() -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_created_by(concat!("perjury ", env!("CARGO_PKG_VERSION")).into());
    for name in ["time", "item.offset", "item.value"] {
        let path = ColumnPath::from(name.split('.').map(str::to_owned).collect::<Vec<_>>());
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    properties.build()
}

/// The rows of a row group, until they are written.
#[derive(Default)]
struct Group {
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
    /// The repetition level of the next item.
    rep: i16,
}

impl Group {
    fn rows(&self) -> usize {
        self.kind.values.len()
    }

    fn items(&self) -> usize {
        self.what.values.len()
    }

    fn push(&mut self, history: &History, row: usize) -> Result<()> {
        self.time.optional(history.time(row));
        self.process.optional(history.process(row).map(|p| match p {
            Process::Client(n) => i64::from(n),
            Process::Nemesis => NEMESIS,
            Process::Cluster => CLUSTER,
        }));
        self.kind.required(history.kind(row).as_str().into());
        self.f.required(history.f(row).as_str().into());
        let extra = history.extra(row).map(|e| json(&described(e))).transpose()?;
        self.extra.optional(extra.map(text));
        self.rep = 0;
        for mop in history.mops(row) {
            match mop {
                MopRef::Send { key, value, done, offset } => {
                    let what = if done { what::SENT } else { what::SEND };
                    let key = Some(history.key(key));
                    self.item(what, key, offset, Some(history.value(value)), None);
                }
                MopRef::Poll(None) => self.item(what::POLL, None, None, None, None),
                MopRef::Poll(Some(poll)) => {
                    self.item(what::POLLED, None, None, None, None);
                    for group in poll.groups() {
                        self.item(what::KEY, Some(history.key(group.key)), None, None, None);
                        for ((offset, value), at) in group.iter().zip(group.first..) {
                            let meta = history.record_meta(at).map(json).transpose()?;
                            let value = Some(history.value(value));
                            self.item(what::RECORD, None, offset, value, meta);
                        }
                    }
                }
            }
        }
        if self.rep == 0 {
            self.what.no_item();
            for numbers in [&mut self.key, &mut self.offset, &mut self.value] {
                numbers.no_item();
            }
            for texts in [&mut self.key_text, &mut self.value_text, &mut self.meta] {
                texts.no_item();
            }
        }
        Ok(())
    }

    fn item(
        &mut self,
        what: i32,
        key: Option<&Scalar>,
        offset: Option<i64>,
        value: Option<Scalar>,
        meta: Option<String>,
    ) {
        let rep = self.rep;
        self.rep = 1;
        // A required field of an item is there whenever the item is.
        self.what.rep.push(rep);
        self.what.def.push(1);
        self.what.values.push(what);
        let (key, key_text) = match key {
            Some(Scalar::Int(i)) => (Some(*i), None),
            Some(Scalar::Str(s)) => (None, Some(ByteArray::from(s.as_ref()))),
            None => (None, None),
        };
        let (value, value_text) = match value {
            Some(Scalar::Int(i)) => (Some(i), None),
            Some(Scalar::Str(s)) => (None, Some(text(s.into_string()))),
            None => (None, None),
        };
        self.key.item(rep, key);
        self.key_text.item(rep, key_text);
        self.offset.item(rep, offset);
        self.value.item(rep, value);
        self.value_text.item(rep, value_text);
        self.meta.item(rep, meta.map(text));
    }

    fn flush<W: Write + Send>(
        &mut self,
        writer: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<()> {
        for at in 0..column::COUNT {
            match at {
                column::TIME => flush::<Int64Type, W>(writer, &mut self.time)?,
                column::PROCESS => flush::<Int64Type, W>(writer, &mut self.process)?,
                column::TYPE => flush::<ByteArrayType, W>(writer, &mut self.kind)?,
                column::F => flush::<ByteArrayType, W>(writer, &mut self.f)?,
                column::EXTRA => flush::<ByteArrayType, W>(writer, &mut self.extra)?,
                column::WHAT => flush::<Int32Type, W>(writer, &mut self.what)?,
                column::KEY => flush::<Int64Type, W>(writer, &mut self.key)?,
                column::KEY_TEXT => flush::<ByteArrayType, W>(writer, &mut self.key_text)?,
                column::OFFSET => flush::<Int64Type, W>(writer, &mut self.offset)?,
                column::VALUE => flush::<Int64Type, W>(writer, &mut self.value)?,
                column::VALUE_TEXT => flush::<ByteArrayType, W>(writer, &mut self.value_text)?,
                _ => flush::<ByteArrayType, W>(writer, &mut self.meta)?,
            }
        }
        Ok(())
    }
}

/// Writes the next column of a row group.
fn flush<T: DataType, W: Write + Send>(
    writer: &mut SerializedRowGroupWriter<'_, W>,
    column: &mut Column<T::T>,
) -> Result<()> {
    let Some(mut next) = writer.next_column()? else {
        return Err(ParquetError::General("the schema has fewer columns".into()));
    };
    let def = (!column.def.is_empty()).then_some(column.def.as_slice());
    let rep = (!column.rep.is_empty()).then_some(column.rep.as_slice());
    next.typed::<T>().write_batch(&column.values, def, rep)?;
    column.clear();
    next.close()
}

/// What few rows have, as one JSON object.
fn described(extra: &Extra) -> Value {
    let mut fields = Map::new();
    match &extra.payload {
        Payload::Keys(keys) => {
            let keys = keys.iter().map(|k| match k {
                Scalar::Int(i) => Value::from(*i),
                Scalar::Str(s) => Value::from(s.as_ref()),
            });
            fields.insert("keys".into(), keys.collect());
        }
        Payload::Json(value) => {
            fields.insert("json".into(), value.clone());
        }
        // Micro-operations stand in columns of their own.
        Payload::None | Payload::Mops(_) => {}
    }
    if let Some(error) = &extra.error {
        let error = Map::from_iter([
            ("code".to_owned(), Value::from(error.code.as_str())),
            ("message".to_owned(), Value::from(error.message.as_str())),
        ]);
        fields.insert("error".into(), error.into());
    }
    if !extra.ext.is_empty() {
        fields.insert("ext".into(), extra.ext.clone().into());
    }
    fields.into()
}

fn text(text: String) -> ByteArray {
    text.into_bytes().into()
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| ParquetError::External(Box::new(e)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonl;
    use crate::{HistoryBuilder, ReadOptions};
    use ::parquet::file::properties::WriterVersion;

    /// Rows of every kind: polls with and without holes, texts, absent offsets, details, rows without items.
    fn history(operations: u32) -> History {
        let mut builder = HistoryBuilder::default();
        for i in 0..operations {
            let at = i64::from(i);
            let records: Vec<String> = (0..i % 90)
                .map(|r| match (i % 7, r % 40) {
                    (3, 39) => format!("[null,{r}]"),
                    (4, 39) => format!("[{r},\"text {i}\"]"),
                    (5, 39) => format!("[{r},{r},{{\"ts\":{i}}}]"),
                    (6, _) => format!("[{},{r}]", 2 * r),
                    _ => format!("[{},{}]", at + i64::from(r), -i64::from(r)),
                })
                .collect();
            let key = if i % 2 == 0 { format!("a-{}", i % 5) } else { (i % 5).to_string() };
            let records = records.join(",");
            let value = match i % 4 {
                0 => format!("[[\"send\",\"{key}\",{i}]]"),
                1 => {
                    format!("[[\"send\",\"{key}\",[{i},{i}]],[\"poll\",{{\"{key}\":[{records}]}}]]")
                }
                2 => format!("[[\"poll\",{{\"{key}\":[{records}],\"9\":[{records}]}}],[\"poll\"]]"),
                _ => "[]".into(),
            };
            let row = format!(
                "{{\"index\":{i},\"time\":{i},\"process\":{},\"type\":\"ok\",\"f\":\"txn\",\"value\":{value}}}",
                i % 3
            );
            let event = jsonl::read_event(row.as_bytes(), "row", 1).expect("a row");
            builder.push(&event);
        }
        builder.finish()
    }

    fn native(history: &History) -> Vec<u8> {
        let mut text = Vec::new();
        jsonl::write(history, &mut text).expect("memory takes it");
        text
    }

    #[test]
    fn what_other_writers_choose_is_read_alike() {
        let before = history(3_000);
        let expected = native(&before);
        for (version, dictionary, differences, rows) in [
            (WriterVersion::PARQUET_1_0, true, false, 7),
            (WriterVersion::PARQUET_1_0, false, false, 1_000),
            (WriterVersion::PARQUET_2_0, true, true, 100),
            (WriterVersion::PARQUET_2_0, false, true, 20_000),
        ] {
            let numbers = if differences { Encoding::DELTA_BINARY_PACKED } else { Encoding::PLAIN };
            let mut properties = WriterProperties::builder()
                .set_writer_version(version)
                .set_dictionary_enabled(dictionary)
                .set_encoding(Encoding::PLAIN)
                .set_write_batch_size(rows)
                .set_dictionary_page_size_limit(300)
                .set_data_page_row_count_limit(rows);
            for name in ["time", "process", "item.what", "item.key", "item.offset", "item.value"] {
                let path = name.split('.').map(str::to_owned).collect::<Vec<_>>();
                properties = properties.set_column_encoding(ColumnPath::from(path), numbers);
            }
            let mut bytes = Vec::new();
            write_with(&before, &mut bytes, properties.build()).expect("memory takes it");
            let source = ::bytes::Bytes::from(bytes);
            let after = super::super::read(source, "x", &ReadOptions::default());
            let after = after.unwrap_or_else(|e| panic!("{version:?}, {dictionary}, {rows}: {e}"));
            assert!(native(&after) == expected, "{version:?}, {dictionary}, {rows}");
        }
    }
}
