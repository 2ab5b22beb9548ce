//! Writing the native format.

use crate::columns::{History, MopRef};
use crate::event::{Event, F, Payload, Scalar};
use crate::header::Header;
use crate::intern::{KeyId, ValueId};
use std::io::{self, Write};

/// Writes the header and its line feed.
///
/// # Errors
/// Those of the destination.
pub fn write_header(to: &mut impl Write, header: &Header) -> io::Result<()> {
    serde_json::to_writer(&mut *to, header)?;
    to.write_all(b"\n")
}

/// Writes one event and its line feed.
///
/// # Errors
/// Those of the destination.
pub fn write_event(to: &mut impl Write, event: &Event) -> io::Result<()> {
    serde_json::to_writer(&mut *to, event)?;
    to.write_all(b"\n")
}

/// Writes a whole history, header first. Many small writes: hand in a buffered destination.
///
/// # Errors
/// Those of the destination.
pub fn write(history: &History, mut to: impl Write) -> io::Result<()> {
    write_header(&mut to, &history.header)?;
    for i in 0..history.len() {
        write_row(&mut to, history, i)?;
    }
    to.flush()
}

/// Writes row `i` and its line feed: the bytes of [`write_event`] without building the event.
///
/// # Errors
/// Those of the destination.
pub fn write_row(to: &mut impl Write, history: &History, i: usize) -> io::Result<()> {
    let mut out = Numbers { to, digits: [0; 20] };
    out.to.write_all(b"{\"index\":")?;
    out.integer(i64::try_from(i).unwrap_or(i64::MAX))?;
    if let Some(time) = history.time(i) {
        out.to.write_all(b",\"time\":")?;
        out.integer(time)?;
    }
    match history.process(i) {
        None => {}
        Some(crate::event::Process::Client(n)) => {
            out.to.write_all(b",\"process\":")?;
            out.integer(i64::from(n))?;
        }
        Some(other) => write!(out.to, ",\"process\":\"{other}\"")?,
    }
    write!(out.to, ",\"type\":\"{}\",\"f\":", history.kind(i).as_str())?;
    serde_json::to_writer(&mut *out.to, history.f(i).as_str())?;
    let extra = history.extra(i);
    match extra.map(|e| &e.payload) {
        None | Some(Payload::None) => {
            if matches!(history.f(i), F::Send | F::Poll | F::Txn) {
                out.to.write_all(b",\"value\":")?;
                mops(&mut out, history, i)?;
            }
        }
        Some(Payload::Mops(mops)) => value(out.to, mops)?,
        Some(Payload::Keys(keys)) => value(out.to, keys)?,
        Some(Payload::Json(json)) => value(out.to, json)?,
    }
    if let Some(extra) = extra {
        if let Some(error) = &extra.error {
            out.to.write_all(b",\"error\":")?;
            serde_json::to_writer(&mut *out.to, error)?;
        }
        for (name, value) in &extra.ext {
            out.to.write_all(b",")?;
            serde_json::to_writer(&mut *out.to, name)?;
            out.to.write_all(b":")?;
            serde_json::to_writer(&mut *out.to, value)?;
        }
    }
    out.to.write_all(b"}\n")
}

fn value(to: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    to.write_all(b",\"value\":")?;
    serde_json::to_writer(to, value)?;
    Ok(())
}

/// A destination with room for the digits of one number.
struct Numbers<'a, W> {
    to: &'a mut W,
    digits: [u8; 20],
}

impl<W: Write> Numbers<'_, W> {
    fn integer(&mut self, n: i64) -> io::Result<()> {
        let mut rest = n.unsigned_abs();
        let mut at = self.digits.len();
        loop {
            at -= 1;
            self.digits[at] = b"0123456789"[(rest % 10) as usize];
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if n < 0 {
            self.to.write_all(b"-")?;
        }
        self.to.write_all(&self.digits[at..])
    }

    fn scalar(&mut self, scalar: &Scalar) -> io::Result<()> {
        match scalar {
            Scalar::Int(i) => self.integer(*i),
            Scalar::Str(s) => Ok(serde_json::to_writer(&mut *self.to, s)?),
        }
    }

    fn answered(&mut self, h: &History, offset: Option<i64>, value: ValueId) -> io::Result<()> {
        self.to.write_all(b"[")?;
        match offset {
            Some(offset) => self.integer(offset)?,
            None => self.to.write_all(b"null")?,
        }
        self.to.write_all(b",")?;
        self.scalar(&h.value(value))
    }

    fn field_name(&mut self, history: &History, key: KeyId) -> io::Result<()> {
        match history.key(key) {
            Scalar::Int(i) => write!(self.to, "\"{i}\":"),
            Scalar::Str(s) => {
                serde_json::to_writer(&mut *self.to, s)?;
                self.to.write_all(b":")
            }
        }
    }
}

fn mops<W: Write>(out: &mut Numbers<'_, W>, history: &History, i: usize) -> io::Result<()> {
    out.to.write_all(b"[")?;
    for (n, mop) in history.mops(i).enumerate() {
        out.to.write_all(if n == 0 { b"" } else { b"," })?;
        match mop {
            MopRef::Send { key, value, done, offset } => {
                out.to.write_all(b"[\"send\",")?;
                out.scalar(history.key(key))?;
                out.to.write_all(b",")?;
                if done {
                    out.answered(history, offset, value)?;
                    out.to.write_all(b"]")?;
                } else {
                    out.scalar(&history.value(value))?;
                }
                out.to.write_all(b"]")?;
            }
            MopRef::Poll(None) => out.to.write_all(b"[\"poll\"]")?,
            MopRef::Poll(Some(poll)) => {
                out.to.write_all(b"[\"poll\",{")?;
                for (n, group) in poll.groups().enumerate() {
                    out.to.write_all(if n == 0 { b"" } else { b"," })?;
                    out.field_name(history, group.key)?;
                    records(out, history, &group)?;
                }
                out.to.write_all(b"}]")?;
            }
        }
    }
    out.to.write_all(b"]")
}

fn records<W: Write>(
    out: &mut Numbers<'_, W>,
    history: &History,
    group: &crate::columns::RecordsRef<'_>,
) -> io::Result<()> {
    out.to.write_all(b"[")?;
    for (at, (offset, value)) in (group.first..).zip(group.iter()) {
        out.to.write_all(if at == group.first { b"" } else { b"," })?;
        out.answered(history, offset, value)?;
        if let Some(meta) = history.record_meta(at) {
            out.to.write_all(b",")?;
            serde_json::to_writer(&mut *out.to, meta)?;
        }
        out.to.write_all(b"]")?;
    }
    out.to.write_all(b"]")
}
