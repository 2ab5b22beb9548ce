//! The JSON form of an [`Event`]: one object, micro-operations as arrays in Jepsen's shape.

use crate::columns::PROCESS_MAX;
use crate::event::{
    Event, F, Kind, Mop, OpError, Payload, PolledKey, Process, Record, RecordMeta, Scalar,
};
use serde::de::Error as _;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

impl Serialize for Process {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Process::Client(n) => s.serialize_u32(*n),
            Process::Nemesis => s.serialize_str("nemesis"),
            Process::Cluster => s.serialize_str("cluster"),
        }
    }
}

impl<'de> Deserialize<'de> for Process {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Value::deserialize(d)? {
            Value::String(s) if s == "nemesis" => Ok(Process::Nemesis),
            Value::String(s) if s == "cluster" => Ok(Process::Cluster),
            Value::Number(n) => match n.as_u64().and_then(client) {
                Some(n) => Ok(Process::Client(n)),
                None => {
                    Err(D::Error::custom(format!("process {n} is not between 0 and {PROCESS_MAX}")))
                }
            },
            other => Err(D::Error::custom(format!(
                "process is a number, \"nemesis\" or \"cluster\", not {other}"
            ))),
        }
    }
}

fn client(number: u64) -> Option<u32> {
    u32::try_from(number).ok().filter(|n| *n <= PROCESS_MAX)
}

impl Serialize for Mop {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Mop::Send { key, value, offset: None } => ("send", key, value).serialize(s),
            Mop::Send { key, value, offset: Some(offset) } => {
                ("send", key, (offset, value)).serialize(s)
            }
            Mop::Poll(None) => ["poll"].serialize(s),
            Mop::Poll(Some(groups)) => ("poll", Groups(groups)).serialize(s),
        }
    }
}

struct Groups<'a>(&'a [PolledKey]);

impl Serialize for Groups<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.0.len()))?;
        for (key, records) in self.0 {
            match key {
                Scalar::Int(i) => map.serialize_entry(&i.to_string(), records)?,
                Scalar::Str(k) => map.serialize_entry(k, records)?,
            }
        }
        map.end()
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut seq = s.serialize_seq(Some(2 + usize::from(self.meta.is_some())))?;
        seq.serialize_element(&self.offset)?;
        seq.serialize_element(&self.value)?;
        if let Some(meta) = &self.meta {
            seq.serialize_element(meta)?;
        }
        seq.end()
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("index", &self.index)?;
        if let Some(time) = self.time {
            map.serialize_entry("time", &time)?;
        }
        if let Some(process) = self.process {
            map.serialize_entry("process", &process)?;
        }
        map.serialize_entry("type", &self.kind)?;
        map.serialize_entry("f", self.f.as_str())?;
        match &self.value {
            Payload::None => {}
            Payload::Mops(mops) => map.serialize_entry("value", mops)?,
            Payload::Keys(keys) => map.serialize_entry("value", keys)?,
            Payload::Json(value) => map.serialize_entry("value", value)?,
        }
        if let Some(error) = &self.error {
            map.serialize_entry("error", error)?;
        }
        for (key, value) in &self.ext {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[derive(Deserialize)]
struct RawEvent {
    #[serde(default)]
    index: u64,
    time: Option<i64>,
    process: Option<Process>,
    #[serde(rename = "type")]
    kind: Kind,
    f: String,
    #[serde(default)]
    value: Value,
    error: Option<Value>,
    #[serde(flatten)]
    ext: serde_json::Map<String, Value>,
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let raw = RawEvent::deserialize(d)?;
        let f = F::parse(&raw.f);
        let value = payload(&f, raw.value).map_err(D::Error::custom)?;
        let error = raw.error.filter(|e| !e.is_null()).map(op_error);
        Ok(Event {
            index: raw.index,
            time: raw.time,
            process: raw.process,
            kind: raw.kind,
            f,
            value,
            error,
            ext: raw.ext,
        })
    }
}

/// Reads the value of an event whose function is `f` from JSON. Values of a txn that are not Kafka micro-operations
/// (list-append, rw-register) stay JSON.
///
/// # Errors
/// A sentence that names the malformed part.
pub(crate) fn payload(f: &F, value: Value) -> Result<Payload, String> {
    match (f, value) {
        (_, Value::Null) => Ok(Payload::None),
        (F::Send | F::Poll, Value::Array(mops)) => {
            mops.iter().map(mop).collect::<Result<_, _>>().map(Payload::Mops)
        }
        (F::Send | F::Poll, other) => {
            Err(format!("the value of {} is an array of micro-operations, not {other}", f.as_str()))
        }
        (F::Txn, Value::Array(mops)) if mops.iter().all(is_kafka_mop) => {
            mops.iter().map(mop).collect::<Result<_, _>>().map(Payload::Mops)
        }
        (F::Assign | F::Subscribe | F::DebugTopicPartitions, Value::Array(keys))
            if keys.iter().all(is_scalar) =>
        {
            keys.iter().map(key).collect::<Result<_, _>>().map(Payload::Keys)
        }
        (_, other) => Ok(Payload::Json(other)),
    }
}

/// Reads an error: an object with a code, or any other datum, which becomes the code.
pub(crate) fn op_error(value: Value) -> OpError {
    match serde_json::from_value::<OpError>(value.clone()) {
        Ok(error) => error,
        Err(_) => match value {
            Value::String(code) => OpError { code, message: String::new() },
            other => OpError { code: other.to_string(), message: String::new() },
        },
    }
}

/// Whether this is named like a Kafka micro-operation.
pub(crate) fn is_kafka_mop(value: &Value) -> bool {
    matches!(value.get(0).and_then(Value::as_str), Some("send" | "poll"))
}

fn is_scalar(value: &Value) -> bool {
    value.is_i64() || value.is_string()
}

/// The scalar that a JSON value stands for.
///
/// # Errors
/// A sentence, when it is null, an array or an object.
pub(crate) fn scalar(value: &Value) -> Result<Scalar, String> {
    match value {
        Value::String(s) => Ok(Scalar::Str(s.as_str().into())),
        Value::Number(n) if n.is_i64() => Ok(Scalar::Int(n.as_i64().unwrap_or_default())),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(format!("a key or value is an integer or a string, not {value}"))
        }
        other => Ok(Scalar::Str(other.to_string().into())),
    }
}

fn mop(value: &Value) -> Result<Mop, String> {
    let Some(parts) = value.as_array() else {
        return Err(format!("a micro-operation is an array, not {value}"));
    };
    match (parts.first().and_then(Value::as_str), parts.len()) {
        (Some("send"), 3) => send(&parts[1], &parts[2]),
        (Some("poll"), 1) => Ok(Mop::Poll(None)),
        (Some("poll"), 2) => polled(&parts[1]),
        _ => Err(format!(
            "a micro-operation is [\"send\", k, v], [\"send\", k, [offset, v]], [\"poll\"] or [\"poll\", {{k: [[offset, v], …]}}], not {value}"
        )),
    }
}

/// A key: as [`scalar`], but text in canonical decimal form is an integer, as it must be where keys name fields.
fn key(value: &Value) -> Result<Scalar, String> {
    match value {
        Value::String(s) => Ok(json_key(s)),
        other => scalar(other),
    }
}

fn send(k: &Value, value: &Value) -> Result<Mop, String> {
    let key = key(k)?;
    match value.as_array().map(Vec::as_slice) {
        None => Ok(Mop::Send { key, value: scalar(value)?, offset: None }),
        Some([offset, v]) => {
            Ok(Mop::Send { key, value: scalar(v)?, offset: Some(offset_of(offset)?) })
        }
        Some(_) => Err(format!("an answered send holds [offset, value], not {value}")),
    }
}

fn offset_of(value: &Value) -> Result<Option<i64>, String> {
    match value {
        Value::Null => Ok(None),
        other => other
            .as_i64()
            .map(Some)
            .ok_or_else(|| format!("an offset is an integer or null, not {other}")),
    }
}

fn polled(value: &Value) -> Result<Mop, String> {
    let Some(map) = value.as_object() else {
        return Err(format!("a poll returns an object of records by key, not {value}"));
    };
    let groups = map.iter().map(|(key, records)| {
        let Some(records) = records.as_array() else {
            return Err(format!("the records of key {key} are an array, not {records}"));
        };
        Ok((json_key(key), records.iter().map(record).collect::<Result<_, _>>()?))
    });
    groups.collect::<Result<_, String>>().map(|g| Mop::Poll(Some(g)))
}

/// The key that a JSON object's field name stands for: JSON knows only strings there, so a canonical decimal integer
/// is an integer key.
pub(crate) fn json_key(name: &str) -> Scalar {
    integer_key(name).map_or_else(|| Scalar::Str(name.into()), Scalar::Int)
}

/// The integer whose canonical decimal form this is.
pub(crate) fn integer_key(name: &str) -> Option<i64> {
    let digits = name.strip_prefix('-').unwrap_or(name);
    let canonical = digits != "0" || digits.len() == name.len();
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (canonical && !leading_zero && all_digits).then(|| name.parse().ok()).flatten()
}

fn record(value: &Value) -> Result<Record, String> {
    match value.as_array().map(Vec::as_slice) {
        Some([offset, v]) => {
            Ok(Record { offset: offset_of(offset)?, value: scalar(v)?, meta: None })
        }
        Some([offset, v, meta]) => {
            let meta: RecordMeta =
                serde_json::from_value(meta.clone()).map_err(|e| format!("record details: {e}"))?;
            Ok(Record { offset: offset_of(offset)?, value: scalar(v)?, meta: Some(Box::new(meta)) })
        }
        _ => Err(format!("a record is [offset, value] or [offset, value, details], not {value}")),
    }
}
