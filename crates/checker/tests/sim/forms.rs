//! The same history written in a form and read again.

use perjury_history::formats::read_any;
use perjury_history::{Format, History, edn, jsonl, parquet};

/// The forms in which histories are written.
pub(crate) const WRITTEN: [Format; 3] = [Format::Jsonl, Format::JepsenEdn, Format::Parquet];

/// Writes a history and reads it; the format is recognised from the content.
pub(crate) fn again(history: &History, format: Format) -> History {
    let mut bytes = Vec::new();
    let written = match format {
        Format::JepsenEdn => edn::write_edn(history, &mut bytes),
        Format::Parquet => parquet::write(history, &mut bytes),
        _ => jsonl::write(history, &mut bytes),
    };
    written.unwrap();
    read_any(bytes.as_slice(), "written again", None).unwrap_or_else(|e| panic!("{format}: {e}"))
}
