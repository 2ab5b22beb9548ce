//! Histories of any known format: which one it is, and how it is read.

mod elle_json;
mod text_log;
mod verifiable;

use crate::columns::History;
use crate::jsonl::{self, ReadOptions};
use crate::lines::as_text;
use crate::parquet;
use crate::read_error::{ReadError, ReadErrorKind};
use std::io::BufRead;

/// A format of histories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Our own: a header, then one event a line.
    Jsonl,
    /// Jepsen's `history.edn`: operation maps, one a line or in one vector, tagged or not.
    JepsenEdn,
    /// Jepsen's `history.txt`: process, type, function and value, separated by tabs.
    JepsenTxt,
    /// elle-cli's JSON: operations in one array or one a line.
    ElleJson,
    /// Porcupine's key-value logs: one EDN map a line with `:key`.
    PorcupineKv,
    /// Logs of Jepsen's etcd test: operations behind `INFO jepsen.util -`, other lines in between.
    EtcdLog,
    /// Knossos' data, in EDN.
    KnossosEdn,
    /// What Kafka's VerifiableProducer and VerifiableConsumer print: one JSON object a line.
    Verifiable,
    /// The Parquet twin of our own form.
    Parquet,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 9] = [
        Format::Jsonl,
        Format::JepsenEdn,
        Format::JepsenTxt,
        Format::ElleJson,
        Format::PorcupineKv,
        Format::EtcdLog,
        Format::KnossosEdn,
        Format::Verifiable,
        Format::Parquet,
    ];

    /// Its name in every interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Jsonl => "jsonl",
            Format::JepsenEdn => "jepsen-edn",
            Format::JepsenTxt => "jepsen-txt",
            Format::ElleJson => "elle-json",
            Format::PorcupineKv => "porcupine-kv",
            Format::EtcdLog => "etcd-log",
            Format::KnossosEdn => "knossos-edn",
            Format::Verifiable => "verifiable",
            Format::Parquet => "parquet",
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Format {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        // elle-cli's EDN and Jepsen's are one.
        let name = if name == "elle-edn" { "jepsen-edn" } else { name };
        Format::ALL.into_iter().find(|f| f.as_str() == name).ok_or_else(|| {
            let names = Format::ALL.map(Format::as_str).join(", ");
            format!("{name:?} is not a format; there are {names}")
        })
    }
}

/// The field of a header that names the foreign format from which a history was read, where its meaning depends on it: in
/// logs of the etcd test a register holds nothing at first.
pub const SOURCE: &str = "source";

/// The files of a run directory or a Jepsen store directory that hold its history, the best first.
pub fn candidates() -> &'static [&'static str] {
    &["history.jsonl", "history.parquet", "history.edn", "history.txt"]
}

/// Recognises the format from the first bytes of a file and, where these leave it open, from its name. `None` when
/// neither says.
pub fn detect(first: &[u8], name: &str) -> Option<Format> {
    if first.starts_with(parquet::MAGIC) {
        return Some(Format::Parquet);
    }
    let valid = match std::str::from_utf8(first) {
        Ok(text) => text,
        // The cut may go through a character.
        Err(e) if e.valid_up_to() + 4 > first.len() => {
            std::str::from_utf8(&first[..e.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return None,
    };
    let text = valid.trim_start_matches('\u{feff}').trim_start();
    let uncommented = text.lines().find(|l| !l.trim_start().starts_with(';')).unwrap_or(text);
    let begins = uncommented.trim_start();
    let inside = begins.trim_start_matches(['[', '(']).trim_start();
    let inside = if inside.is_empty() { after_bracket(text) } else { inside };
    if text.lines().any(is_etcd_line) {
        Some(Format::EtcdLog)
    } else if is_text_row(begins) {
        Some(Format::JepsenTxt)
    } else if is_json_object(inside) {
        Some(json_format(begins))
    } else if inside.starts_with(['{', '#']) {
        Some(edn_format(inside))
    } else {
        by_name(name)
    }
}

/// What follows the bracket that stands alone on the first line.
fn after_bracket(text: &str) -> &str {
    text.trim_start_matches(['[', '(', '\n', '\r', ' ', '\t'])
}

fn is_json_object(text: &str) -> bool {
    let Some(fields) = text.strip_prefix('{') else { return false };
    let fields = fields.trim_start();
    fields.starts_with('"')
        && text
            .split('\n')
            .next()
            .is_some_and(|line| line.contains("\":") || line.trim() == "{" || line.contains("\" :"))
}

fn json_format(text: &str) -> Format {
    let line = text.lines().next().unwrap_or_default();
    let names = [
        "producer_send_success",
        "producer_send_error",
        "startup_complete",
        "shutdown_complete",
        "records_consumed",
        "record_data",
        "partitions_assigned",
        "partitions_revoked",
        "offsets_committed",
        "tool_data",
    ];
    if line.contains("\"perjury\"") {
        Format::Jsonl
    } else if names.iter().any(|n| line.contains(n)) {
        Format::Verifiable
    } else {
        Format::ElleJson
    }
}

fn edn_format(text: &str) -> Format {
    let line = text.lines().next().unwrap_or_default();
    let kv = [":f :get", ":f :put", ":f :append"].iter().any(|f| line.contains(f));
    if kv && line.contains(":key ") { Format::PorcupineKv } else { Format::JepsenEdn }
}

/// Whether this begins like a row of `history.txt`.
fn is_text_row(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let process = words.next().unwrap_or_default();
    let is_process = process == ":nemesis" || process.parse::<u32>().is_ok();
    is_process && is_type(words.next())
}

fn is_type(word: Option<&str>) -> bool {
    matches!(word, Some(":invoke" | ":ok" | ":fail" | ":info"))
}

/// Whether an operation was logged in this line.
fn is_etcd_line(line: &str) -> bool {
    text_log::logged(line).is_some_and(is_text_row)
}

fn by_name(name: &str) -> Option<Format> {
    match name.rsplit('.').next()? {
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        "parquet" => Some(Format::Parquet),
        "edn" => Some(Format::JepsenEdn),
        "json" => Some(Format::ElleJson),
        "log" => Some(Format::EtcdLog),
        _ => None,
    }
}

/// Reads a history of this format, or of the one that its content shows. `name` is for messages and, where the content
/// leaves it open, for the format.
///
/// # Errors
/// Names line and column of the first flaw; says so when no format is recognised.
pub fn read_any(
    source: impl BufRead,
    name: &str,
    format: Option<Format>,
) -> Result<History, ReadError> {
    read_with(source, name, format, &ReadOptions::default())
}

/// As [`read_any`], within these limits.
///
/// # Errors
/// As [`read_any`].
pub fn read_with(
    mut source: impl BufRead,
    name: &str,
    format: Option<Format>,
    options: &ReadOptions,
) -> Result<History, ReadError> {
    let error = |kind| ReadError { name: name.into(), line: 1, column: 1, kind };
    let first = loop {
        match source.fill_buf() {
            Ok(first) => break first,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(error(ReadErrorKind::Io(e))),
        }
    };
    if first.is_empty() {
        return Err(error(ReadErrorKind::Empty));
    }
    let Some(format) = format.or_else(|| detect(first, name)) else {
        return Err(unrecognised(first, name));
    };
    match format {
        Format::Jsonl => jsonl::read(source, name, options),
        Format::JepsenEdn | Format::PorcupineKv | Format::KnossosEdn => {
            crate::edn::read_edn(source, name, options)
        }
        Format::JepsenTxt => text_log::read(source, name, false, options),
        Format::EtcdLog => {
            let mut history = text_log::read(source, name, true, options)?;
            history.header.other.insert(SOURCE.into(), format.as_str().into());
            Ok(history)
        }
        Format::ElleJson => elle_json::read(source, name, options),
        Format::Verifiable => verifiable::read(source, name, options),
        Format::Parquet => {
            // Its table of contents stands at the end, so a stream is taken in whole.
            let mut bytes = Vec::new();
            source.read_to_end(&mut bytes).map_err(|e| error(ReadErrorKind::Io(e)))?;
            parquet::read(bytes::Bytes::from(bytes), name, options)
        }
    }
}

fn unrecognised(first: &[u8], name: &str) -> ReadError {
    let packed =
        [(&b"\x1f\x8b"[..], "gzip"), (b"PK\x03\x04", "zip"), (b"\x28\xb5\x2f\xfd", "zstd")];
    let packed = packed.iter().find(|(magic, _)| first.starts_with(magic));
    let kind = match (packed, as_text(first)) {
        (Some((_, what)), _) => ReadErrorKind::NotText(format!("it is packed with {what}")),
        (None, Err((_, kind))) => kind,
        (None, Ok(text)) => {
            let line = text.lines().find(|l| !l.trim().is_empty()).unwrap_or_default();
            let begin = crate::read_error::excerpt(line.trim());
            ReadErrorKind::UnknownFormat(format!("it begins with {:?}", begin.to_string()))
        }
    };
    ReadError { name: name.into(), line: 1, column: 1, kind }
}
