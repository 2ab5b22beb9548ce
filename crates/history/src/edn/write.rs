//! Writing Jepsen's EDN: one operation map a line.

use super::HEADER_COMMENT;
use crate::columns::{History, MopRef};
use crate::event::{F, Payload, Scalar};
use crate::header::Header;
use serde_json::Value;
use std::io::{self, Write};

/// Writes a history as Jepsen's `history.edn`: one operation map a line. The header, where there is one, stands in a
/// comment before them, which other readers pass over. Hand in a buffered destination.
///
/// # Errors
/// Those of the destination.
pub fn write_edn(history: &History, mut to: impl Write) -> io::Result<()> {
    if history.header != Header::default() {
        to.write_all(HEADER_COMMENT.as_bytes())?;
        serde_json::to_writer(&mut to, &history.header)?;
        to.write_all(b"\n")?;
    }
    for i in 0..history.len() {
        row(&mut to, history, i)?;
    }
    to.flush()
}

fn row(to: &mut impl Write, history: &History, i: usize) -> io::Result<()> {
    write!(to, "{{:index {i}")?;
    if let Some(time) = history.time(i) {
        write!(to, ", :time {time}")?;
    }
    match history.process(i) {
        None => {}
        Some(p) if p.is_client() => write!(to, ", :process {p}")?,
        Some(p) => write!(to, ", :process :{p}")?,
    }
    write!(to, ", :type :{}, :f ", history.kind(i).as_str())?;
    keyword(to, history.f(i).as_str())?;
    to.write_all(b", :value ")?;
    let extra = history.extra(i);
    match extra.map(|e| &e.payload) {
        Some(Payload::Keys(keys)) => scalars(to, keys)?,
        Some(Payload::Json(Value::Array(mops))) if *history.f(i) == F::Txn => general(to, mops)?,
        Some(Payload::Json(value)) => datum(to, value)?,
        _ if matches!(history.f(i), F::Send | F::Poll | F::Txn) => mops(to, history, i)?,
        _ => to.write_all(b"nil")?,
    }
    if let Some(extra) = extra {
        if let Some(error) = &extra.error {
            to.write_all(b", :error [")?;
            keyword(to, &error.code)?;
            if !error.message.is_empty() {
                to.write_all(b" ")?;
                string(to, &error.message)?;
            }
            to.write_all(b"]")?;
        }
        for (name, value) in &extra.ext {
            to.write_all(b", ")?;
            ext(to, name, value)?;
        }
    }
    to.write_all(b"}\n")
}

/// The micro-operations of a general transaction: their names are keywords there, whatever they are here.
fn general(to: &mut impl Write, mops: &[Value]) -> io::Result<()> {
    to.write_all(b"[")?;
    for (n, mop) in mops.iter().enumerate() {
        to.write_all(if n == 0 { b"" } else { b" " })?;
        match mop.as_array().and_then(|parts| parts.split_first()) {
            Some((Value::String(name), rest)) => {
                to.write_all(b"[")?;
                // Under their own names those of Kafka would be read as such, which they are not when they stand here.
                match super::name(name) {
                    "send" | "poll" => string(to, name)?,
                    plain => keyword(to, plain)?,
                }
                for part in rest {
                    to.write_all(b" ")?;
                    datum(to, part)?;
                }
                to.write_all(b"]")?;
            }
            _ => datum(to, mop)?,
        }
    }
    to.write_all(b"]")
}

/// A field under the name that Jepsen gives it.
fn ext(to: &mut impl Write, name: &str, value: &Value) -> io::Result<()> {
    match name {
        "seek_to_beginning" => to.write_all(b":seek-to-beginning? ")?,
        "poll_ms" => to.write_all(b":poll-ms ")?,
        "rebalance_log" => {
            to.write_all(b":rebalance-log ")?;
            return with_keywords(to, value);
        }
        _ => {
            keyword(to, name)?;
            to.write_all(b" ")?;
        }
    }
    datum(to, value)
}

fn mops(to: &mut impl Write, history: &History, i: usize) -> io::Result<()> {
    to.write_all(b"[")?;
    for (n, mop) in history.mops(i).enumerate() {
        to.write_all(if n == 0 { b"" } else { b" " })?;
        match mop {
            MopRef::Send { key, value, done, offset } => {
                to.write_all(b"[:send ")?;
                scalar(to, history.key(key))?;
                to.write_all(b" ")?;
                if done {
                    answered(to, history, offset, value)?;
                    to.write_all(b"]")?;
                } else {
                    scalar(to, &history.value(value))?;
                }
                to.write_all(b"]")?;
            }
            MopRef::Poll(None) => to.write_all(b"[:poll]")?,
            MopRef::Poll(Some(poll)) => {
                to.write_all(b"[:poll {")?;
                for (n, group) in poll.groups().enumerate() {
                    to.write_all(if n == 0 { b"" } else { b", " })?;
                    scalar(to, history.key(group.key))?;
                    to.write_all(b" [")?;
                    for (at, (offset, value)) in (group.first..).zip(group.iter()) {
                        to.write_all(if at == group.first { b"" } else { b" " })?;
                        answered(to, history, offset, value)?;
                        if let Some(meta) = history.record_meta(at) {
                            to.write_all(b" ")?;
                            with_keywords(to, &serde_json::to_value(meta)?)?;
                        }
                        to.write_all(b"]")?;
                    }
                    to.write_all(b"]")?;
                }
                to.write_all(b"}]")?;
            }
        }
    }
    to.write_all(b"]")
}

fn answered(
    to: &mut impl Write,
    history: &History,
    offset: Option<i64>,
    value: crate::intern::ValueId,
) -> io::Result<()> {
    match offset {
        Some(offset) => write!(to, "[{offset} ")?,
        None => to.write_all(b"[nil ")?,
    }
    scalar(to, &history.value(value))
}

fn scalars(to: &mut impl Write, list: &[Scalar]) -> io::Result<()> {
    to.write_all(b"[")?;
    for (n, item) in list.iter().enumerate() {
        to.write_all(if n == 0 { b"" } else { b" " })?;
        scalar(to, item)?;
    }
    to.write_all(b"]")
}

fn scalar(to: &mut impl Write, scalar: &Scalar) -> io::Result<()> {
    match scalar {
        Scalar::Int(i) => write!(to, "{i}"),
        Scalar::Str(s) => text(to, s),
    }
}

/// Text that begins with a colon is a keyword where it can be one.
fn text(to: &mut impl Write, text: &str) -> io::Result<()> {
    match text.strip_prefix(':') {
        Some(name) if is_name(name) => to.write_all(text.as_bytes()),
        _ => string(to, text),
    }
}

/// A name as keyword, or as a string where it cannot be one.
fn keyword(to: &mut impl Write, name: &str) -> io::Result<()> {
    if is_name(name) { write!(to, ":{name}") } else { string(to, name) }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.*+!?<>=$%&|/".contains(&b))
        && name != "/"
}

fn string(to: &mut impl Write, text: &str) -> io::Result<()> {
    to.write_all(b"\"")?;
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let escape = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            c if c.is_control() => "",
            _ => continue,
        };
        to.write_all(&text.as_bytes()[plain..at])?;
        plain = at + c.len_utf8();
        // All control characters lie below 0x10000.
        if escape.is_empty() {
            write!(to, "\\u{:04x}", u32::from(c))?;
        } else {
            to.write_all(escape.as_bytes())?;
        }
    }
    to.write_all(&text.as_bytes()[plain..])?;
    to.write_all(b"\"")
}

fn datum(to: &mut impl Write, value: &Value) -> io::Result<()> {
    collection(to, value, &|to, name| text(to, name))
}

/// As [`datum`], with keywords as the keys of maps.
fn with_keywords(to: &mut impl Write, value: &Value) -> io::Result<()> {
    collection(to, value, &|to, name| keyword(to, name))
}

fn collection<W: Write>(
    to: &mut W,
    value: &Value,
    key: &impl Fn(&mut W, &str) -> io::Result<()>,
) -> io::Result<()> {
    match value {
        Value::Null => to.write_all(b"nil"),
        Value::Bool(b) => write!(to, "{b}"),
        Value::Number(n) => write!(to, "{n}"),
        Value::String(s) => text(to, s),
        Value::Array(items) => {
            to.write_all(b"[")?;
            for (n, item) in items.iter().enumerate() {
                to.write_all(if n == 0 { b"" } else { b" " })?;
                collection(to, item, key)?;
            }
            to.write_all(b"]")
        }
        Value::Object(fields) => {
            to.write_all(b"{")?;
            for (n, (name, value)) in fields.iter().enumerate() {
                to.write_all(if n == 0 { b"" } else { b", " })?;
                key(to, name)?;
                to.write_all(b" ")?;
                collection(to, value, key)?;
            }
            to.write_all(b"}")
        }
    }
}
