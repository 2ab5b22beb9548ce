//! Jepsen's `history.txt` and the logs of its etcd test: one operation a line, as process, type, function and value,
//! separated by white space; what follows the value is the error.

use crate::columns::{Extra, History, HistoryBuilder, Row};
use crate::edn::{self, Cursor};
use crate::event::{F, OpError, Payload};
use crate::jsonl::ReadOptions;
use crate::lines::{Lines, as_text};
use crate::read_error::{Fault, ReadError, ReadErrorKind};
use serde_json::Value;
use std::io::BufRead;

/// What a client of Jepsen's etcd test records instead of a value.
const TIMED_OUT: &str = ":timed-out";

/// What was logged by the operation logger, without date and level.
pub(super) fn logged(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("jepsen.util")?;
    let (_, rest) = rest.split_once("- ")?;
    Some(rest)
}

/// Reads such a history; with `log` the operations stand between other lines.
pub(super) fn read(
    source: impl BufRead,
    name: &str,
    log: bool,
    options: &ReadOptions,
) -> Result<History, ReadError> {
    let mut lines = Lines::new(source, options.line_bytes_max);
    let mut builder = HistoryBuilder::default();
    let mut any = false;
    loop {
        let number = lines.number + 1;
        let line = match lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) if any => return Ok(builder.finish()),
            Ok(None) => {
                let kind = ReadErrorKind::Empty;
                return Err(ReadError { name: name.into(), line: 1, column: 1, kind });
            }
            Err(kind) => {
                return Err(ReadError { name: name.into(), line: number, column: 1, kind });
            }
        };
        any = true;
        let fault = |f: Fault| f.in_line(name, number, line.bytes);
        match read_line(line.bytes, log, &mut builder) {
            Ok(()) => {}
            Err(_) if !line.ended && !builder.is_empty() => {
                builder.mark_torn(line.bytes.len() as u64);
                return Ok(builder.finish());
            }
            Err(f) => return Err(fault(f)),
        }
        if builder.is_full() || builder.len() as u64 > options.events_max {
            let kind = ReadErrorKind::TooMany { limit: options.events_max };
            return Err(fault(Fault { at: 0, kind }));
        }
    }
}

fn read_line(bytes: &[u8], log: bool, builder: &mut HistoryBuilder) -> Result<(), Fault> {
    let text = as_text(bytes).map_err(|(at, kind)| Fault { at, kind })?;
    let from = if log {
        match logged(text).filter(|rest| super::is_text_row(rest)) {
            Some(rest) => text.len() - rest.len(),
            None => return Ok(()),
        }
    } else {
        0
    };
    if text.trim().is_empty() {
        return Ok(());
    }
    let read = operation(text, from, builder);
    if read.is_err() {
        builder.abandon_row();
    }
    read
}

fn operation(text: &str, from: usize, builder: &mut HistoryBuilder) -> Result<(), Fault> {
    let mut c = Cursor::part(text, (from, text.len()));
    let process = edn::process(&mut c)?;
    let kind = edn::kind(&mut c)?;
    c.pass_tags()?;
    let f = c.token();
    if f.is_empty() {
        return Err(c.unexpected("the function"));
    }
    let f = F::parse(edn::name(f));
    let mut extra = Extra::default();
    if !c.is_at_end()? {
        let span = c.skip()?;
        if !edn::read_mops(text, span, &f, builder)? {
            match edn::json(&mut Cursor::part(text, span))? {
                Value::Null => {}
                Value::String(s) if s == TIMED_OUT => {
                    let code = edn::name(&s).to_owned();
                    extra.error = Some(OpError { code, message: String::new() });
                }
                value => extra.payload = payload(&f, value),
            }
        }
        let rest = text.get(c.at..).unwrap_or_default().trim();
        if !rest.is_empty() {
            extra.error = Some(error(rest));
        }
    }
    let extra = (extra != Extra::default()).then(|| Box::new(extra));
    builder.finish_row(Row { time: None, process, kind, f, extra });
    Ok(())
}

fn payload(f: &F, value: Value) -> Payload {
    if !matches!(f, F::Assign | F::Subscribe | F::DebugTopicPartitions) {
        return Payload::Json(value);
    }
    match crate::event_json::payload(f, value.clone()) {
        Ok(payload) => payload,
        Err(_) => Payload::Json(value),
    }
}

/// The rest of a line as an error: one EDN datum, or any text.
fn error(rest: &str) -> OpError {
    let mut c = Cursor::new(rest);
    let whole = edn::json(&mut c).ok().filter(|_| c.is_at_end().unwrap_or(false));
    whole
        .and_then(|datum| edn::error(&datum))
        .unwrap_or_else(|| OpError { code: rest.to_owned(), message: String::new() })
}
