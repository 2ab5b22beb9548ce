//! elle-cli's JSON: operation objects in one array or one after the other.

use crate::columns::{History, PROCESS_MAX};
use crate::edn;
use crate::event::{Event, F, Kind, Process};
use crate::event_json;
use crate::jsonl::ReadOptions;
use crate::numbering::Numbering;
use crate::read_error::{Fault, ReadError};
use serde_json::{Map, Value};
use std::io::BufRead;

/// Reads such a history.
pub(super) fn read(
    source: impl BufRead,
    name: &str,
    options: &ReadOptions,
) -> Result<History, ReadError> {
    let mut numbering = Numbering::default();
    edn::read_forms(source, name, options, |text, builder| {
        builder.push(&operation(text, &mut numbering)?);
        Ok(())
    })
}

fn operation(text: &str, numbering: &mut Numbering) -> Result<Event, Fault> {
    let value: Value = serde_json::from_str(text).map_err(|e| {
        let before = text.split_inclusive('\n').take(e.line().saturating_sub(1)).map(str::len);
        let at = before.sum::<usize>() + e.column().saturating_sub(1);
        let message = e.to_string();
        Fault::json(at, message.split(" at line ").next().unwrap_or_default())
    })?;
    let Value::Object(fields) = value else {
        return Err(Fault::field(0, "an operation is an object"));
    };
    let index = fields.iter().find(|(name, _)| edn::name(name) == "index");
    if let Some(index) = index.and_then(|(_, index)| index.as_i64()) {
        let at = text.find("\"index\"").or_else(|| text.find("\":index\""));
        numbering.next(index, at.unwrap_or_default())?;
    }
    event(fields).map_err(|message| Fault::field(0, message))
}

fn event(fields: Map<String, Value>) -> Result<Event, String> {
    let mut fields: Map<String, Value> =
        fields.into_iter().map(|(k, v)| (edn::name(&k).to_owned(), v)).collect();
    let mut take = |name: &str| fields.shift_remove(name).unwrap_or(Value::Null);
    take("index");
    let time = match take("time") {
        Value::Null => None,
        v => Some(v.as_i64().ok_or_else(|| format!("time is in whole nanoseconds, not {v}"))?),
    };
    let process = process(&take("process"))?;
    let kind = kind(&take("type"))?;
    let value = take("value");
    let f = match take("f") {
        Value::String(f) => F::parse(edn::name(&f)),
        Value::Null if value.is_array() => F::Txn,
        Value::Null => return Err("the operation has no f".into()),
        other => return Err(format!("f is a string, not {other}")),
    };
    let error = edn::error(&take("error"));
    let value = event_json::payload(&f, value)?;
    Ok(Event { index: 0, time, process, kind, f, value, error, ext: fields })
}

fn process(value: &Value) -> Result<Option<Process>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(s) if edn::name(s) == "cluster" => Ok(Some(Process::Cluster)),
        Value::String(_) => Ok(Some(Process::Nemesis)),
        other => {
            let number = other.as_u64().and_then(|n| u32::try_from(n).ok());
            let number = number.filter(|n| *n <= PROCESS_MAX).map(Process::Client);
            let message = || format!("process is a number up to {PROCESS_MAX}, not {other}");
            number.map(Some).ok_or_else(message)
        }
    }
}

fn kind(value: &Value) -> Result<Kind, String> {
    match value.as_str().map(edn::name) {
        Some("invoke") => Ok(Kind::Invoke),
        Some("ok") => Ok(Kind::Ok),
        Some("fail") => Ok(Kind::Fail),
        Some("info") => Ok(Kind::Info),
        _ => Err(format!("type is invoke, ok, fail or info, not {value}")),
    }
}
