//! The same history under other names.

use perjury_history::{Event, History, HistoryBuilder, Mop, Payload, Process, Scalar};
use serde_json::Value;

/// A history of these events, with the header of another.
fn rebuilt(like: &History, change: impl Fn(&mut Event)) -> History {
    let mut builder = HistoryBuilder::new(like.header.clone());
    for mut event in like.events() {
        change(&mut event);
        builder.push(&event);
    }
    builder.finish()
}

/// Processes are numbered from high to low.
pub(crate) fn processes(history: &History) -> History {
    rebuilt(history, |event| {
        if let Some(Process::Client(n)) = event.process {
            event.process = Some(Process::Client(1_000_000 - n));
        }
    })
}

/// Values become text, or other numbers in another order.
pub(crate) fn values(history: &History, to_text: bool) -> History {
    let rename = |value: &mut Scalar| {
        if let Scalar::Int(n) = value {
            *value = if to_text { format!("v{n}").into() } else { Scalar::Int(7 - *n * 1_000_003) };
        }
    };
    rebuilt(history, |event| {
        let Payload::Mops(mops) = &mut event.value else { return };
        for mop in mops {
            match mop {
                Mop::Send { value, .. } => rename(value),
                Mop::Poll(Some(groups)) => {
                    let records = groups.iter_mut().flat_map(|(_, records)| records);
                    records.for_each(|r| rename(&mut r.value));
                }
                Mop::Poll(None) => {}
            }
        }
    })
}

/// No history of these tests has more topic-partitions.
const LAST: i64 = 100_000;

/// Topic-partitions are numbered from high to low, and their topic has another name.
pub(crate) fn keys(history: &History) -> History {
    rebuilt(history, |event| {
        match &mut event.value {
            Payload::Mops(mops) => {
                for mop in mops {
                    match mop {
                        Mop::Send { key, .. } => rename_key(key),
                        Mop::Poll(Some(groups)) => {
                            groups.iter_mut().for_each(|(k, _)| rename_key(k))
                        }
                        Mop::Poll(None) => {}
                    }
                }
            }
            Payload::Keys(keys) => keys.iter_mut().for_each(rename_key),
            Payload::Json(value) => rename_inside(value),
            Payload::None => {}
        }
        event.ext.values_mut().for_each(rename_inside);
    })
}

fn rename_key(key: &mut Scalar) {
    *key = match key {
        Scalar::Int(n) => Scalar::Int(LAST - *n),
        Scalar::Str(name) => renamed(name).map_or_else(|| key.clone(), Scalar::from),
    };
}

fn renamed(name: &str) -> Option<String> {
    let partition: i64 = name.strip_prefix("orders-")?.parse().ok()?;
    Some(format!("zeta-{}", LAST - partition))
}

/// Renames in what observers noted: `topic` beside `partition`, and whole names.
fn rename_inside(value: &mut Value) {
    match value {
        Value::String(name) => {
            if let Some(other) = renamed(name) {
                *name = other;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(rename_inside),
        Value::Object(fields) => {
            if let Some(partition) = fields.get("partition").and_then(Value::as_i64) {
                fields.insert("partition".into(), (LAST - partition).into());
                fields.insert("topic".into(), "zeta".into());
            }
            // A rebalance log names topic-partitions in a list, integers included.
            if let Some(Value::Array(keys)) = fields.get_mut("keys") {
                let numbers = keys.iter_mut().filter_map(|k| Some((k.as_i64()?, k)));
                numbers.for_each(|(n, key)| *key = (LAST - n).into());
            }
            let old = std::mem::take(fields);
            for (name, mut value) in old {
                rename_inside(&mut value);
                fields.insert(renamed(&name).unwrap_or(name), value);
            }
        }
        _ => {}
    }
}
