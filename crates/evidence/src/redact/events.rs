//! A history without secrets and with pseudonyms.

use crate::redact::dictionary::{Dictionary, micro};
use crate::redact::text::Cleaner;
use perjury_history::{Event, Header, Mop, OpError, Payload, Process, Scalar};
use serde_json::Value;

impl Cleaner {
    /// The event with pseudonyms and without secrets.
    pub(crate) fn event(&self, mut event: Event) -> Event {
        let d = self.dictionary();
        match &mut event.value {
            Payload::Mops(mops) => mops.iter_mut().for_each(|mop| redact_mop(d, mop)),
            Payload::Keys(keys) => keys.iter_mut().for_each(|key| *key = d.key_of(key)),
            Payload::Json(value)
                if d.is_general && event.process.is_none_or(Process::is_client) =>
            {
                operation(d, value);
            }
            Payload::Json(value) => self.json(value),
            Payload::None => {}
        }
        if let Some(OpError { code, message }) = &mut event.error {
            *code = self.text(code);
            *message = self.text(message);
        }
        if let Some(derived) = event.ext.get_mut(DERIVED) {
            pairs(d, derived);
        }
        let mut ext = Value::Object(std::mem::take(&mut event.ext));
        self.json(&mut ext);
        if let Value::Object(ext) = ext {
            event.ext = ext;
        }
        event
    }

    /// The header with pseudonyms and without secrets.
    pub(crate) fn header(&self, header: &Header) -> Header {
        let Ok(mut value) = serde_json::to_value(header) else { return header.clone() };
        self.json(&mut value);
        serde_json::from_value(value).unwrap_or_else(|_| header.clone())
    }
}

/// Which records a transaction made of which: `[key, value, key, value]` for each.
const DERIVED: &str = "derived";

/// Lists in which keys and values take turns.
fn pairs(d: &Dictionary, lists: &mut Value) {
    for list in lists.as_array_mut().into_iter().flatten() {
        for pair in list.as_array_mut().into_iter().flat_map(|l| l.chunks_mut(2)) {
            if let [key, value] = pair {
                json_key(d, key);
                operation(d, value);
            }
        }
    }
}

fn redact_mop(d: &Dictionary, mop: &mut Mop) {
    match mop {
        Mop::Send { key, value, .. } => {
            *key = d.key_of(key);
            *value = d.value_of(value);
        }
        Mop::Poll(groups) => {
            for (key, records) in groups.iter_mut().flatten() {
                *key = d.key_of(key);
                for record in records {
                    record.value = d.value_of(&record.value);
                    let Some(own) = record.meta.as_mut().and_then(|m| m.key.as_mut()) else {
                        continue;
                    };
                    if let Some(pseudonym) = d.record_key_of(own) {
                        *own = pseudonym.to_owned();
                    }
                }
            }
        }
    }
}

/// The value of an operation that is not Kafka's; the counterpart of what the dictionary learnt from it.
fn operation(d: &Dictionary, value: &mut Value) {
    match value {
        Value::Array(items) => {
            let from = if micro(items).is_some() {
                json_key(d, &mut items[1]);
                2
            } else {
                0
            };
            items[from..].iter_mut().for_each(|v| operation(d, v));
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "key" { json_key(d, value) } else { operation(d, value) }
            }
        }
        Value::String(text) => {
            if let Scalar::Str(pseudonym) = d.value_of(&Scalar::from(text.as_str())) {
                *text = pseudonym.into();
            }
        }
        Value::Number(n) => {
            if let Some(Scalar::Int(pseudonym)) = n.as_i64().map(|n| d.value_of(&Scalar::Int(n))) {
                *value = pseudonym.into();
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn json_key(d: &Dictionary, key: &mut Value) {
    if let Value::String(text) = key
        && let Scalar::Str(pseudonym) = d.key_of(&Scalar::from(text.as_str()))
    {
        *text = pseudonym.into();
    }
}
