//! One line → one row, without an allocation where the row has nothing rare.

use super::cursor::{Cursor, decode};
use crate::columns::{Extra, ExtraId, HistoryBuilder, PROCESS_MAX};
use crate::event::{F, Kind, Process, RecordMeta};
use crate::event_json;
use crate::extras::{ExtraCache, Rare, Span};
use crate::intern::{KeyId, ValueId};
use crate::read_error::Fault;
use serde_json::Value;

/// What a line holds beside its micro-operations, which are in the builder already.
pub(super) struct Parsed {
    /// The index that the line names, and where.
    pub(super) index: Option<(u64, usize)>,
    /// The time that the line names, and where.
    pub(super) time: Option<(i64, usize)>,
    /// Who did it.
    pub(super) process: Option<Process>,
    /// Asked, or how it ended.
    pub(super) kind: Kind,
    /// What was asked.
    pub(super) f: F,
    /// What few rows have.
    pub(super) extra: Option<ExtraId>,
}

/// Reads lines into a builder.
#[derive(Default)]
pub(super) struct RowReader {
    extras: ExtraCache,
    others: Vec<(Span, Span)>,
}

#[derive(Default)]
struct Fields {
    index: Option<(u64, usize)>,
    time: Option<(i64, usize)>,
    process: Option<Process>,
    kind: Option<Kind>,
    f: Option<F>,
    /// The value, unless its micro-operations are in the builder already.
    value: Option<Span>,
    /// Whether the value stood before the function, so that nobody looked for micro-operations yet.
    value_early: bool,
    error: Option<Span>,
    seen: u8,
}

impl RowReader {
    /// Parses a line. The micro-operations go to the builder; on a fault they are dropped again.
    pub(super) fn read(
        &mut self,
        line: &str,
        builder: &mut HistoryBuilder,
    ) -> Result<Parsed, Fault> {
        let parsed = self.read_inner(line, builder);
        if parsed.is_err() {
            builder.abandon_row();
        }
        parsed
    }

    fn read_inner(&mut self, line: &str, builder: &mut HistoryBuilder) -> Result<Parsed, Fault> {
        let mut c = Cursor::new(line);
        let mut fields = Fields::default();
        self.others.clear();
        c.expect(b'{')?;
        if !c.eat(b'}') {
            loop {
                self.field(&mut c, &mut fields, builder)?;
                if !c.more(b'}')? {
                    break;
                }
            }
        }
        let end = c.at;
        c.peek();
        if c.at < line.len() {
            return Err(c.unexpected("the end of the line"));
        }
        let Some(kind) = fields.kind else {
            return Err(Fault::field(end, "the event has no type (invoke, ok, fail or info)"));
        };
        let Some(f) = fields.f.take() else {
            return Err(Fault::field(end, "the event has no f"));
        };
        if let (Some((from, to)), true) = (fields.value, fields.value_early) {
            let mut inner = Cursor::new(&line[..to]);
            inner.at = from;
            if mops(&mut inner, &f, builder)? {
                fields.value = None;
            }
        }
        let rare = Rare { value: fields.value, error: fields.error, others: &self.others };
        let extra = self.extras.of_row(line, &f, rare, builder, build_extra)?;
        Ok(Parsed {
            index: fields.index,
            time: fields.time,
            process: fields.process,
            kind,
            f,
            extra,
        })
    }

    fn field(
        &mut self,
        c: &mut Cursor<'_>,
        fields: &mut Fields,
        builder: &mut HistoryBuilder,
    ) -> Result<(), Fault> {
        c.peek();
        let name_at = c.at;
        let name = c.string()?;
        let name_end = c.at;
        c.expect(b':')?;
        c.peek();
        let at = c.at;
        match name.as_ref() {
            "index" => {
                once(&mut fields.seen, 1, "index", name_at)?;
                let index = c.integer().and_then(|i| u64::try_from(i).ok());
                let index = index.ok_or_else(|| c.not("index is a number from 0"))?;
                fields.index = Some((index, at));
            }
            "time" => {
                once(&mut fields.seen, 2, "time", name_at)?;
                if !c.eat_null() {
                    let time = c.integer().ok_or_else(|| c.not("time is in whole nanoseconds"))?;
                    fields.time = Some((time, at));
                }
            }
            "process" => {
                once(&mut fields.seen, 4, "process", name_at)?;
                fields.process = process(c)?;
            }
            "type" => {
                once(&mut fields.seen, 8, "type", name_at)?;
                fields.kind = Some(kind(c)?);
            }
            "f" => {
                once(&mut fields.seen, 16, "f", name_at)?;
                fields.f = Some(F::parse(&c.string()?));
            }
            "value" => {
                once(&mut fields.seen, 32, "value", name_at)?;
                // In the order of our own writer the function is known here.
                fields.value_early = fields.f.is_none();
                match &fields.f {
                    Some(f) if mops(c, f, builder)? => {}
                    _ => fields.value = Some(c.skip()?),
                }
            }
            "error" => {
                once(&mut fields.seen, 64, "error", name_at)?;
                fields.error = Some(c.skip()?);
            }
            _ => self.others.push(((name_at, name_end), c.skip()?)),
        }
        Ok(())
    }
}

fn build_extra(line: &str, f: &F, rare: Rare<'_>) -> Result<Extra, Fault> {
    let mut extra = Extra::default();
    if let Some((from, to)) = rare.value {
        let value: Value = decode(&line[from..to], from)?;
        extra.payload = event_json::payload(f, value).map_err(|m| Fault::field(from, m))?;
    }
    if let Some((from, to)) = rare.error {
        let value: Value = decode(&line[from..to], from)?;
        if !value.is_null() {
            extra.error = Some(event_json::op_error(value));
        }
    }
    for ((name_from, name_to), (from, to)) in rare.others {
        let name: String = decode(&line[*name_from..*name_to], *name_from)?;
        extra.ext.insert(name, decode(&line[*from..*to], *from)?);
    }
    Ok(extra)
}

fn once(seen: &mut u8, bit: u8, name: &str, at: usize) -> Result<(), Fault> {
    if *seen & bit != 0 {
        return Err(Fault::field(at, format!("the field {name} stands twice")));
    }
    *seen |= bit;
    Ok(())
}

fn process(c: &mut Cursor<'_>) -> Result<Option<Process>, Fault> {
    const WANTED: &str = "process is a number, \"nemesis\" or \"cluster\"";
    if c.eat_null() {
        return Ok(None);
    }
    let at = c.at;
    if c.peek() == b'"' {
        return match c.string()?.as_ref() {
            "nemesis" => Ok(Some(Process::Nemesis)),
            "cluster" => Ok(Some(Process::Cluster)),
            other => Err(Fault::field(at, format!("{WANTED}, not {other:?}"))),
        };
    }
    match c.integer() {
        None => Err(c.not(WANTED)),
        Some(n) => match u32::try_from(n) {
            Ok(n) if n <= PROCESS_MAX => Ok(Some(Process::Client(n))),
            _ => Err(Fault::field(at, format!("process {n} is not between 0 and {PROCESS_MAX}"))),
        },
    }
}

fn kind(c: &mut Cursor<'_>) -> Result<Kind, Fault> {
    let at = c.at;
    match c.string()?.as_ref() {
        "invoke" => Ok(Kind::Invoke),
        "ok" => Ok(Kind::Ok),
        "fail" => Ok(Kind::Fail),
        "info" => Ok(Kind::Info),
        other => Err(Fault::field(at, format!("type is invoke, ok, fail or info, not {other:?}"))),
    }
}

/// Reads the value of a send, poll or txn into the builder. False, and nothing consumed, when the value is not made
/// of Kafka micro-operations and need not be.
fn mops(c: &mut Cursor<'_>, f: &F, builder: &mut HistoryBuilder) -> Result<bool, Fault> {
    if !matches!(f, F::Send | F::Poll | F::Txn) {
        return Ok(false);
    }
    c.peek();
    let start = c.at;
    if c.peek() != b'[' {
        if *f == F::Txn || c.eat_null() {
            c.at = start;
            return Ok(false);
        }
        let wanted = format!("the value of {} is an array of micro-operations", f.as_str());
        return Err(c.not(&wanted));
    }
    if *f != F::Txn {
        return mop_list(c, builder).map(|()| true);
    }
    if is_foreign(c) {
        c.at = start;
        return Ok(false);
    }
    c.at = start;
    if let Err(fault) = mop_list(c, builder) {
        // A transaction of another kind may still show by a later micro-operation.
        builder.abandon_row();
        c.at = start;
        let (from, to) = c.skip().unwrap_or((start, start));
        c.at = start;
        let foreign = decode::<Value>(c.slice(from, to), from)
            .is_ok_and(|v| !v.as_array().is_some_and(|a| a.iter().all(event_json::is_kafka_mop)));
        return if foreign { Ok(false) } else { Err(fault) };
    }
    Ok(true)
}

/// Whether the first micro-operation is plainly none of Kafka's.
fn is_foreign(c: &mut Cursor<'_>) -> bool {
    c.eat(b'[') && c.eat(b'[') && c.string().is_ok_and(|name| name != "send" && name != "poll")
}

fn mop_list(c: &mut Cursor<'_>, builder: &mut HistoryBuilder) -> Result<(), Fault> {
    c.expect(b'[')?;
    if c.eat(b']') {
        return Ok(());
    }
    loop {
        mop(c, builder)?;
        if !c.more(b']')? {
            return Ok(());
        }
    }
}

fn mop(c: &mut Cursor<'_>, builder: &mut HistoryBuilder) -> Result<(), Fault> {
    const WANTED: &str = "a micro-operation is [\"send\", k, v], [\"send\", k, [offset, v]], [\"poll\"] or \
                          [\"poll\", {k: [[offset, v], …]}]";
    if c.peek() != b'[' {
        return Err(c.not(WANTED));
    }
    let start = c.at;
    c.at += 1;
    let name = if c.peek() == b'"' { c.string()? } else { "".into() };
    match name.as_ref() {
        "send" => send(c, builder).map_err(|f| f.within("in a send"))?,
        "poll" if c.eat(b']') => {
            builder.mop_poll_open();
            return Ok(());
        }
        "poll" => {
            c.expect(b',')?;
            polled(c, builder)?;
        }
        _ => {
            c.at = start;
            return Err(c.not(WANTED));
        }
    }
    c.expect(b']')
}

fn send(c: &mut Cursor<'_>, builder: &mut HistoryBuilder) -> Result<(), Fault> {
    c.expect(b',')?;
    let key = key(c, builder)?;
    c.expect(b',')?;
    if !c.eat(b'[') {
        let value = value(c, builder)?;
        builder.mop_send_open(key, value);
        return Ok(());
    }
    let offset = offset(c)?;
    c.expect(b',')?;
    let value = value(c, builder)?;
    c.expect(b']')?;
    builder.mop_send_done(key, value, offset);
    Ok(())
}

fn polled(c: &mut Cursor<'_>, builder: &mut HistoryBuilder) -> Result<(), Fault> {
    if c.peek() != b'{' {
        return Err(c.not("a poll returns an object of records by key"));
    }
    c.at += 1;
    builder.begin_poll();
    if !c.eat(b'}') {
        loop {
            let name = c.string()?;
            let key = named_key(&name, builder);
            c.expect(b':')?;
            builder.begin_group(key);
            if c.peek() != b'[' {
                return Err(c.not(&format!("the records of key {name} are an array")));
            }
            c.at += 1;
            if !c.eat(b']') {
                loop {
                    record(c, builder).map_err(|f| f.within("in a record"))?;
                    if !c.more(b']')? {
                        break;
                    }
                }
            }
            if !c.more(b'}')? {
                break;
            }
        }
    }
    builder.end_poll();
    Ok(())
}

fn record(c: &mut Cursor<'_>, builder: &mut HistoryBuilder) -> Result<(), Fault> {
    if c.peek() != b'[' {
        return Err(c.not("a record is [offset, value] or [offset, value, details]"));
    }
    c.at += 1;
    let offset = offset(c)?;
    c.expect(b',')?;
    let value = value(c, builder)?;
    if !c.more(b']')? {
        builder.record(offset, value, None);
        return Ok(());
    }
    let (from, to) = c.skip()?;
    let meta: RecordMeta = decode(c.slice(from, to), from)?;
    builder.record(offset, value, Some(&meta));
    c.expect(b']')
}

fn offset(c: &mut Cursor<'_>) -> Result<Option<i64>, Fault> {
    match c.integer() {
        Some(offset) => Ok(Some(offset)),
        None if c.eat_null() => Ok(None),
        None => Err(c.not("an offset is an integer or null")),
    }
}

/// Keys name the fields of polls, where only text can stand: in canonical decimal form it is an integer, there and
/// everywhere else.
fn named_key(name: &str, builder: &mut HistoryBuilder) -> KeyId {
    match event_json::integer_key(name) {
        Some(i) => builder.int_key(i),
        None => builder.str_key(name),
    }
}

fn key(c: &mut Cursor<'_>, builder: &mut HistoryBuilder) -> Result<KeyId, Fault> {
    if let Some(i) = c.integer() {
        return Ok(builder.int_key(i));
    }
    if c.peek() == b'"' {
        return Ok(named_key(&c.string()?, builder));
    }
    let scalar = event_json::scalar(&other_scalar(c)?.1).map_err(|m| Fault::field(c.at, m))?;
    Ok(builder.key(&scalar))
}

fn value(c: &mut Cursor<'_>, builder: &mut HistoryBuilder) -> Result<ValueId, Fault> {
    if let Some(i) = c.integer() {
        return Ok(builder.int_value(i));
    }
    if c.peek() == b'"' {
        return Ok(builder.str_value(&c.string()?));
    }
    let (at, datum) = other_scalar(c)?;
    let scalar = event_json::scalar(&datum).map_err(|m| Fault::field(at, m))?;
    Ok(builder.value(&scalar))
}

/// A fraction, a boolean or a number beyond 64 bits; it becomes its text.
fn other_scalar(c: &mut Cursor<'_>) -> Result<(usize, Value), Fault> {
    let (from, to) = c.skip()?;
    Ok((from, decode(c.slice(from, to), from)?))
}
