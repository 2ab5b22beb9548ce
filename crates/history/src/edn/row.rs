//! One operation map → one row.

use super::cursor::Cursor;
use super::datum;
use crate::columns::{Extra, HistoryBuilder, PROCESS_MAX};
use crate::event::{F, Kind, OpError, Payload, Process, RecordMeta, Scalar};
use crate::extras::{ExtraCache, Rare, Span};
use crate::intern::{KeyId, ValueId};
use crate::numbering::Numbering;
use crate::read_error::Fault;
use serde_json::Value;

/// The fields that every operation can have.
const FIELDS: [&str; 7] = ["index", "time", "process", "type", "f", "value", "error"];

/// Reads operation maps into a builder.
#[derive(Default)]
pub(crate) struct RowReader {
    extras: ExtraCache,
    others: Vec<(Span, Span)>,
    numbering: Numbering,
}

#[derive(Default)]
struct Fields {
    time: Option<i64>,
    process: Option<Process>,
    kind: Option<Kind>,
    f: Option<F>,
    value: Option<Span>,
    error: Option<Span>,
}

impl RowReader {
    /// Reads a text that holds one operation into the builder; false when it holds none (comments, discarded data).
    pub(crate) fn read(&mut self, text: &str, builder: &mut HistoryBuilder) -> Result<bool, Fault> {
        let read = self.read_inner(text, builder);
        if read.is_err() {
            builder.abandon_row();
        }
        read
    }

    fn read_inner(&mut self, text: &str, builder: &mut HistoryBuilder) -> Result<bool, Fault> {
        let mut c = Cursor::new(text);
        if c.is_at_end()? {
            return Ok(false);
        }
        if c.pass_tags()? != b'{' {
            return Err(c.not("an operation is a map"));
        }
        let start = c.at;
        let mut fields = self.fields(&mut c)?;
        if !c.is_at_end()? {
            return Err(c.unexpected("the end of the operation"));
        }
        let Some(kind) = fields.kind else {
            return Err(Fault::field(
                start,
                "the operation has no :type (:invoke, :ok, :fail or :info)",
            ));
        };
        let f = match (fields.f.take(), fields.value) {
            (Some(f), _) => f,
            // Histories of transactions alone may leave it out.
            (None, Some(span)) if Cursor::part(text, span).peek()? == b'[' => F::Txn,
            (None, _) => return Err(Fault::field(start, "the operation has no :f")),
        };
        if let Some(span) = fields.value
            && read_mops(text, span, &f, builder)?
        {
            fields.value = None;
        }
        let rare = Rare { value: fields.value, error: fields.error, others: &self.others };
        let extra = self.extras.of_row(text, &f, rare, builder, build_extra)?;
        builder.finish_row_shared(fields.time, fields.process, kind, f, extra);
        Ok(true)
    }

    fn fields(&mut self, c: &mut Cursor<'_>) -> Result<Fields, Fault> {
        let mut fields = Fields::default();
        self.others.clear();
        c.expect(b'{')?;
        while !c.eat(b'}')? {
            c.pass_tags()?;
            let name = c.skip()?;
            // Symbols and strings name a field as keywords do.
            match datum::name(c.slice(name)).trim_matches('"') {
                "index" => {
                    c.peek()?;
                    let at = c.at;
                    match c.integer()? {
                        Some(index) => self.numbering.next(index, at)?,
                        None => drop(c.skip()?),
                    }
                }
                "time" => {
                    fields.time = c.integer()?;
                    if fields.time.is_none() && !c.eat_nil()? {
                        return Err(c.not(":time is in whole nanoseconds"));
                    }
                }
                "process" => fields.process = process(c)?,
                "type" => fields.kind = Some(kind(c)?),
                "f" => {
                    if !c.eat_nil()? {
                        fields.f = Some(F::parse(&plain_name(c)?));
                    }
                }
                "value" => fields.value = Some(c.skip()?),
                "error" => fields.error = Some(c.skip()?),
                _ => self.others.push((name, c.skip()?)),
            }
        }
        Ok(fields)
    }
}

fn build_extra(text: &str, f: &F, rare: Rare<'_>) -> Result<Extra, Fault> {
    let mut extra = Extra::default();
    if let Some(span) = rare.value {
        extra.payload = payload(text, span, f)?;
    }
    if let Some(span) = rare.error {
        extra.error = error(&datum::json(&mut Cursor::part(text, span))?);
    }
    for (name, value) in rare.others {
        let value = datum::json(&mut Cursor::part(text, *value))?;
        let at = name.0;
        let (name, value) = known(&plain_name(&mut Cursor::part(text, *name))?, value);
        if FIELDS.contains(&name.as_str()) {
            return Err(Fault::field(at, format!("the field {name} is spelled in a strange way")));
        }
        extra.ext.insert(name, value);
    }
    Ok(extra)
}

/// A name: that of a keyword or symbol, a string as it stands, or the text of any other datum.
fn plain_name(c: &mut Cursor<'_>) -> Result<String, Fault> {
    if c.pass_tags()? == b'"' {
        return Ok(c.string()?.into_owned());
    }
    match datum::json(c)? {
        Value::String(s) => Ok(datum::name(&s).to_owned()),
        other => Ok(other.to_string()),
    }
}

/// Fields of Jepsen's that our own recorder writes under other names.
fn known(name: &str, value: Value) -> (String, Value) {
    match name {
        "seek-to-beginning?" => ("seek_to_beginning".into(), value),
        "poll-ms" => ("poll_ms".into(), value),
        "rebalance-log" => ("rebalance_log".into(), datum::without_colons(value)),
        _ => (name.into(), value),
    }
}

fn payload(text: &str, span: Span, f: &F) -> Result<Payload, Fault> {
    if matches!(f, F::Assign | F::Subscribe | F::DebugTopicPartitions)
        && let Some(keys) = keys(&mut Cursor::part(text, span))?
    {
        return Ok(Payload::Keys(keys));
    }
    match datum::json(&mut Cursor::part(text, span))? {
        Value::Null => Ok(Payload::None),
        other => Ok(Payload::Json(other)),
    }
}

/// The keys of an assign or subscribe; `None` when the datum is no collection.
fn keys(c: &mut Cursor<'_>) -> Result<Option<Vec<Scalar>>, Fault> {
    let close = match c.pass_tags()? {
        b'[' => b']',
        b'(' => b')',
        b'#' => {
            c.at += 1;
            b'}'
        }
        _ => return Ok(None),
    };
    c.at += 1;
    let mut keys = Vec::new();
    while !c.eat(close)? {
        keys.push(datum::scalar(c)?);
    }
    Ok(Some(keys))
}

/// An error: a code alone, or a code and what explains it.
pub(crate) fn error(datum: &Value) -> Option<OpError> {
    let text = |v: &Value| match v {
        Value::String(s) => datum::name(s).to_owned(),
        other => other.to_string(),
    };
    match datum {
        Value::Null => None,
        Value::Array(parts) if !parts.is_empty() => {
            let rest = parts[1..].iter().map(|part| match part {
                Value::String(s) => s.clone(),
                other => other.to_string(),
            });
            let rest: Vec<String> = rest.collect();
            Some(OpError { code: text(&parts[0]), message: rest.join(" ") })
        }
        other => Some(OpError { code: text(other), message: String::new() }),
    }
}

/// Reads who did it.
pub(crate) fn process(c: &mut Cursor<'_>) -> Result<Option<Process>, Fault> {
    const WANTED: &str = ":process is a number or :nemesis";
    c.pass_tags()?;
    let at = c.at;
    if let Some(n) = c.integer()? {
        let number = u32::try_from(n).ok().filter(|n| *n <= PROCESS_MAX);
        return match number {
            Some(n) => Ok(Some(Process::Client(n))),
            None => {
                Err(Fault::field(at, format!("process {n} is not between 0 and {PROCESS_MAX}")))
            }
        };
    }
    match datum::json(c)? {
        Value::Null => Ok(None),
        Value::String(name) if datum::name(&name) == "cluster" => Ok(Some(Process::Cluster)),
        // Whatever else it is called, it is no client.
        Value::String(_) => Ok(Some(Process::Nemesis)),
        other => Err(Fault::field(at, format!("{WANTED}, not {other}"))),
    }
}

/// Reads where the operation stands.
pub(crate) fn kind(c: &mut Cursor<'_>) -> Result<Kind, Fault> {
    c.pass_tags()?;
    let at = c.at;
    let text = match datum::json(c)? {
        Value::String(s) => s,
        other => other.to_string(),
    };
    match datum::name(&text) {
        "invoke" => Ok(Kind::Invoke),
        "ok" => Ok(Kind::Ok),
        "fail" => Ok(Kind::Fail),
        "info" => Ok(Kind::Info),
        _ => Err(Fault::field(at, format!(":type is :invoke, :ok, :fail or :info, not {text}"))),
    }
}

/// Reads the value of a send, poll or txn into the builder; false when it is not made of Kafka micro-operations.
pub(crate) fn read_mops(
    text: &str,
    span: Span,
    f: &F,
    builder: &mut HistoryBuilder,
) -> Result<bool, Fault> {
    if !matches!(f, F::Send | F::Poll | F::Txn) {
        return Ok(false);
    }
    let mut c = Cursor::part(text, span);
    if *f == F::Txn && !is_kafka(&mut Cursor::part(text, span))? {
        return Ok(false);
    }
    if c.eat_nil()? {
        return Ok(true);
    }
    let Some(close) = open_sequence(&mut c)? else {
        return Err(c.not("the value of a send, poll or txn is a vector of micro-operations"));
    };
    while !c.eat(close)? {
        mop(&mut c, builder)?;
    }
    Ok(true)
}

/// Whether every micro-operation of a transaction is one of Kafka's.
fn is_kafka(c: &mut Cursor<'_>) -> Result<bool, Fault> {
    let Some(close) = open_sequence(c)? else { return Ok(false) };
    while !c.eat(close)? {
        let start = c.at;
        if open_sequence(c)?.is_none() {
            return Ok(false);
        }
        c.peek()?;
        if !matches!(c.token(), ":send" | ":poll") {
            return Ok(false);
        }
        c.at = start;
        c.skip()?;
    }
    Ok(true)
}

/// Consumes the bracket of a vector or list and gives the one that closes it.
fn open_sequence(c: &mut Cursor<'_>) -> Result<Option<u8>, Fault> {
    let close = match c.pass_tags()? {
        b'[' => b']',
        b'(' => b')',
        _ => return Ok(None),
    };
    c.at += 1;
    Ok(Some(close))
}

fn mop(c: &mut Cursor<'_>, builder: &mut HistoryBuilder) -> Result<(), Fault> {
    const WANTED: &str = "a micro-operation is [:send k v], [:send k [offset v]], [:poll] or [:poll {k [[offset v] …]}]";
    let start = c.at;
    let Some(close) = open_sequence(c)? else { return Err(c.not(WANTED)) };
    c.peek()?;
    match datum::name(c.token()) {
        "send" => send(c, builder).map_err(|f| f.within("in a send"))?,
        "poll" if c.eat(close)? => {
            builder.mop_poll_open();
            return Ok(());
        }
        "poll" if c.eat_nil()? => builder.mop_poll_open(),
        "poll" => polled(c, builder)?,
        _ => {
            c.at = start;
            return Err(c.not(WANTED));
        }
    }
    c.expect(close)
}

fn send(c: &mut Cursor<'_>, builder: &mut HistoryBuilder) -> Result<(), Fault> {
    let key = key(c, builder)?;
    let Some(end) = open_sequence(c)? else {
        let value = value(c, builder)?;
        builder.mop_send_open(key, value);
        return Ok(());
    };
    let offset = offset(c)?;
    let value = value(c, builder)?;
    c.expect(end)?;
    builder.mop_send_done(key, value, offset);
    Ok(())
}

fn polled(c: &mut Cursor<'_>, builder: &mut HistoryBuilder) -> Result<(), Fault> {
    if c.pass_tags()? != b'{' {
        return Err(c.not("a poll returns a map of records by key"));
    }
    c.at += 1;
    builder.begin_poll();
    while !c.eat(b'}')? {
        let key = key(c, builder)?;
        builder.begin_group(key);
        if c.eat_nil()? {
            continue;
        }
        let Some(close) = open_sequence(c)? else {
            return Err(c.not("the records of a key are a vector"));
        };
        while !c.eat(close)? {
            record(c, builder).map_err(|f| f.within("in a record"))?;
        }
    }
    builder.end_poll();
    Ok(())
}

fn record(c: &mut Cursor<'_>, builder: &mut HistoryBuilder) -> Result<(), Fault> {
    let Some(close) = open_sequence(c)? else {
        return Err(c.not("a record is [offset value]"));
    };
    let offset = offset(c)?;
    let value = value(c, builder)?;
    if c.eat(close)? {
        builder.record(offset, value, None);
        return Ok(());
    }
    c.peek()?;
    let at = c.at;
    let details = datum::without_colons(datum::json(c)?);
    let meta: RecordMeta = serde_json::from_value(details)
        .map_err(|e| Fault::field(at, format!("the details of a record: {e}")))?;
    builder.record(offset, value, Some(&meta));
    c.expect(close)
}

fn offset(c: &mut Cursor<'_>) -> Result<Option<i64>, Fault> {
    match c.integer()? {
        Some(offset) => Ok(Some(offset)),
        None if c.eat_nil()? => Ok(None),
        None => Err(c.not("an offset is an integer or nil")),
    }
}

fn key(c: &mut Cursor<'_>, builder: &mut HistoryBuilder) -> Result<KeyId, Fault> {
    if let Some(i) = c.integer()? {
        return Ok(builder.int_key(i));
    }
    if c.pass_tags()? == b'"' {
        return Ok(builder.str_key(&c.string()?));
    }
    let span = c.skip()?;
    Ok(builder.str_key(c.slice(span)))
}

fn value(c: &mut Cursor<'_>, builder: &mut HistoryBuilder) -> Result<ValueId, Fault> {
    if let Some(i) = c.integer()? {
        return Ok(builder.int_value(i));
    }
    if c.pass_tags()? == b'"' {
        return Ok(builder.str_value(&c.string()?));
    }
    let span = c.skip()?;
    Ok(builder.str_value(c.slice(span)))
}
