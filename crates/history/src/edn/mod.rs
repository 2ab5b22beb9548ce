//! Histories in EDN: Jepsen's `history.edn`, Knossos' data, Porcupine's key-value logs, elle-cli's EDN.
//!
//! One operation map a line, or one vector of them; maps may be tagged (`#jepsen.history.Op{…}`). Operations may lack
//! `:index`, `:time`, `:process`, and whole histories their invocations, as in Jepsen's unit tests. Keywords become
//! strings with their colon where they are data, and plain names where they name fields, functions and types.

mod cursor;
mod datum;
mod row;
mod write;

pub(crate) use cursor::Cursor;
pub(crate) use datum::{json, name};
pub(crate) use row::{error, kind, process, read_mops};
pub use write::write_edn;

use crate::columns::{History, HistoryBuilder};
use crate::forms::Forms;
use crate::header::Header;
use crate::jsonl::ReadOptions;
use crate::read_error::{Fault, ReadError, ReadErrorKind};
use row::RowReader;
use std::io::BufRead;

/// The comment that carries the header of a native history through EDN.
const HEADER_COMMENT: &str = ";; perjury-header ";

/// Reads a history in EDN. `name` is only for messages.
///
/// A last operation that is cut off is left out, as in native histories.
///
/// # Errors
/// Names line and column of the first flaw.
pub fn read_edn(
    source: impl BufRead,
    name: &str,
    options: &ReadOptions,
) -> Result<History, ReadError> {
    let mut reader = RowReader::default();
    read_forms(source, name, options, |text, builder| {
        if builder.is_empty()
            && let Some(header) = header_in(text)
        {
            *builder = HistoryBuilder::new(header);
        }
        reader.read(text, builder).map(drop)
    })
}

/// Reads a history whose operations are forms of EDN or JSON, each of which `row` puts into the builder.
pub(crate) fn read_forms(
    source: impl BufRead,
    name: &str,
    options: &ReadOptions,
    mut row: impl FnMut(&str, &mut HistoryBuilder) -> Result<(), Fault>,
) -> Result<History, ReadError> {
    let mut forms = Forms::new(source, name, options.line_bytes_max);
    let mut builder = HistoryBuilder::default();
    while let Some(text) = forms.next_form()? {
        if let Err(fault) = row(text, &mut builder) {
            return Err(forms.error(fault));
        }
        if builder.is_full() || builder.len() as u64 > options.events_max {
            let kind = ReadErrorKind::TooMany { limit: options.events_max };
            return Err(forms.error(Fault { at: 0, kind }));
        }
    }
    if forms.is_empty() {
        return Err(forms.error(Fault { at: 0, kind: ReadErrorKind::Empty }));
    }
    if let Some(bytes) = forms.torn() {
        if builder.is_empty() {
            return Err(forms.error(Fault::edn(0, "the text ends inside the first operation")));
        }
        builder.mark_torn(bytes);
    }
    Ok(builder.finish())
}

fn header_in(text: &str) -> Option<Header> {
    let line = text.lines().next()?.strip_prefix(HEADER_COMMENT)?;
    serde_json::from_str(line).ok()
}
