//! Kafka histories: every topic-partition is an append log.
//!
//! Each send of an operation is an append of its own with the operation's interval, and each poll a fetch. A poll that
//! returns nothing claims nothing, because a consumer may lag behind the high watermark. `list-offsets` answers
//! `{key: end}` or `{key: {"end": end, …}}` as the leader knows it; for a read_committed client that is the last stable offset, which bounds the
//! log only from below. `fetch` is asked with `[key, offset]` and answers `[key, offset, [v, …]]`; no values means that
//! the log ended there.

use super::{Malformed, Object, Row, event, has_mops, is_answered, process, rows, scalar};
use crate::linear::log::{Aborted, Cell, Holes, Log, LogCall};
use crate::linear::op::Op;
use perjury_history::{History, IsolationLevel, KeyId, Kind, MopRef, Scalar};
use serde_json::Value;

/// The logs of a history by key. Value codes are those of the history.
pub(in crate::linear) fn logs(
    history: &History,
    holes: Holes,
) -> Result<Vec<Object<Log>>, Malformed> {
    let mut builder = Builder {
        history,
        logs: vec![Log { holes, ..Log::default() }; history.keys_len()],
        strict: history.header.config.isolation_level != Some(IsolationLevel::ReadCommitted),
    };
    for row in rows(history) {
        if has_mops(history, row.invoke) {
            builder.mops(&row);
            continue;
        }
        match super::function(history, row.invoke) {
            "list-offsets" => builder.ends(&row)?,
            "fetch" => builder.fetch(&row)?,
            _ => {}
        }
    }
    let logs = (0u32..).map(KeyId).zip(builder.logs);
    let logs = logs.filter(|(_, log)| !log.ops.is_empty() || !log.aborted.is_empty());
    Ok(logs.map(|(key, body)| Object { key: Some(history.key(key).clone()), body }).collect())
}

struct Builder<'h> {
    history: &'h History,
    logs: Vec<Log>,
    strict: bool,
}

impl Builder<'_> {
    fn mops(&mut self, row: &Row) {
        let history = self.history;
        let id = (process(history, row.invoke), event(row.invoke));
        let Some((end, kind)) = row.end else {
            return self.open_sends(row.invoke, id);
        };
        match kind {
            Kind::Ok => {
                for mop in history.mops(end) {
                    self.answered(&mop, id, event(end));
                }
            }
            Kind::Fail => {
                for mop in history.mops(end) {
                    if let MopRef::Send { key, value, .. } = mop {
                        let aborted = Aborted { value: value.0, invoke: id.1, fail: event(end) };
                        self.logs[key.index()].aborted.push(aborted);
                    }
                }
            }
            _ => self.open_sends(end, id),
        }
    }

    /// Sends whose outcome is unknown.
    fn open_sends(&mut self, at: usize, (process, invoke): (Option<u32>, u64)) {
        for mop in self.history.mops(at) {
            if let MopRef::Send { key, value, .. } = mop {
                self.logs[key.index()].push_append((process, invoke, None), [value.0], None);
            }
        }
    }

    fn answered(&mut self, mop: &MopRef<'_>, (process, invoke): (Option<u32>, u64), ret: u64) {
        match mop {
            MopRef::Send { key, value, offset, .. } => {
                let returned = is_answered(mop).then_some(ret);
                let offset = offset.and_then(|o| u64::try_from(o).ok());
                let log = &mut self.logs[key.index()];
                log.push_append((process, invoke, returned), [value.0], offset);
            }
            MopRef::Poll(None) => {}
            MopRef::Poll(Some(poll)) => {
                for group in poll.groups() {
                    let cells = group.iter().filter_map(|(offset, value)| {
                        let offset = u64::try_from(offset?).ok()?;
                        Some(Cell { offset, value: value.0 })
                    });
                    self.logs[group.key.index()].push_fetch((process, invoke, ret), cells);
                }
            }
        }
    }

    fn log(&mut self, key: &Scalar) -> Option<&mut Log> {
        let key = self.history.key_id(key)?;
        self.logs.get_mut(key.index())
    }

    /// The answer of `list-offsets`.
    fn ends(&mut self, row: &Row) -> Result<(), Malformed> {
        let Some(end) = row.returned() else { return Ok(()) };
        let Some(Value::Object(ends)) = self.history.json(end) else {
            return Err(Malformed::new(end, "list-offsets answers an object of ends by key"));
        };
        for (key, length) in ends {
            let Some(length) = natural(length.get("end").unwrap_or(length)) else {
                return Err(Malformed::new(end, format!("the end of {key} is not a number")));
            };
            let strict = self.strict;
            let (process, invoke) = (process(self.history, row.invoke), event(row.invoke));
            let call = LogCall::End { end: length, strict };
            if let Some(log) = self.log(&json_key(key)) {
                log.ops.push(Op { process, invoke, ret: Some(event(end)), call });
            }
        }
        Ok(())
    }

    fn fetch(&mut self, row: &Row) -> Result<(), Malformed> {
        let Some(end) = row.returned() else { return Ok(()) };
        let bad = || Malformed::new(end, "fetch answers [key, offset, [value, …]]");
        let answer = self.history.json(end).and_then(Value::as_array).ok_or_else(bad)?;
        let [key, offset, values] = answer.as_slice() else { return Err(bad()) };
        let offset = natural(offset).ok_or_else(bad)?;
        let values = values.as_array().ok_or_else(bad)?;
        let (process, invoke) = (process(self.history, row.invoke), event(row.invoke));
        let Some(log) = self.log(&scalar(key)) else { return Ok(()) };
        if values.is_empty() {
            let call = LogCall::Empty { offset, strict: true };
            log.ops.push(Op { process, invoke, ret: Some(event(end)), call });
            return Ok(());
        }
        let codes: Option<Vec<i64>> = values.iter().map(Value::as_i64).collect();
        let codes = codes.ok_or_else(bad)?;
        let cells = (offset..).zip(codes).map(|(offset, value)| Cell { offset, value });
        log.push_fetch((process, invoke, event(end)), cells);
        Ok(())
    }
}

/// An offset: a number that Kafka's signed 64 bits hold.
fn natural(value: &Value) -> Option<u64> {
    u64::try_from(value.as_i64()?).ok()
}

/// A field name of a JSON object stands for an integer key when it is one.
fn json_key(name: &str) -> Scalar {
    match name.parse::<i64>() {
        Ok(i) if i.to_string() == name => Scalar::Int(i),
        _ => Scalar::from(name),
    }
}
