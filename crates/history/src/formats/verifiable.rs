//! What Kafka's VerifiableProducer and VerifiableConsumer print, alone or one after the other in one file.
//!
//! The producer becomes process 0, the consumer process 1; there are no invocations. An acknowledged record is an ok
//! send, one that was given up is a send of unknown outcome, since a retry may have been written. Consecutive records
//! are one ok poll. Assigned and revoked partitions become the assignment that results from them.
//!
//! What stands one after the other happened side by side, so the rows are put in order of their times; not so if the clock
//! of one of the two went back, which is then a flaw of the history.

use crate::columns::{History, HistoryBuilder};
use crate::event::{Event, F, Kind, Mop, OpError, Payload, Process, Record, Scalar};
use crate::event_json::json_key;
use crate::jsonl::ReadOptions;
use crate::lines::{Line, Lines, as_text};
use crate::read_error::{Fault, ReadError, ReadErrorKind};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::io::BufRead;

const PRODUCER: Process = Process::Client(0);
const CONSUMER: Process = Process::Client(1);

/// One line. Fields that a kind of line lacks are absent.
#[derive(Debug, Deserialize)]
struct Said {
    name: String,
    timestamp: Option<i64>,
    topic: Option<String>,
    partition: Option<i64>,
    offset: Option<i64>,
    value: Option<Value>,
    message: Option<String>,
    exception: Option<String>,
    #[serde(default)]
    partitions: Vec<Partition>,
}

#[derive(Debug, Deserialize)]
struct Partition {
    topic: String,
    partition: i64,
}

/// Reads such a file.
pub(super) fn read(
    source: impl BufRead,
    name: &str,
    options: &ReadOptions,
) -> Result<History, ReadError> {
    let mut lines = Lines::new(source, options.line_bytes_max);
    let mut events = Events::default();
    let mut any = false;
    loop {
        let number = lines.number + 1;
        let line = match lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(kind) => {
                return Err(ReadError { name: name.into(), line: number, column: 1, kind });
            }
        };
        any = true;
        match parse(&line) {
            Ok(Some(said)) => events.add(said).map_err(|f| f.in_line(name, number, line.bytes))?,
            Ok(None) => {}
            Err(_) if !line.ended && !events.rows.is_empty() => {
                events.torn = line.bytes.len() as u64;
            }
            Err(fault) => return Err(fault.in_line(name, number, line.bytes)),
        }
        if events.rows.len() as u64 > options.events_max {
            let kind = ReadErrorKind::TooMany { limit: options.events_max };
            return Err(ReadError { name: name.into(), line: number, column: 1, kind });
        }
    }
    if !any {
        return Err(ReadError {
            name: name.into(),
            line: 1,
            column: 1,
            kind: ReadErrorKind::Empty,
        });
    }
    Ok(events.finish())
}

/// `None` for a blank line and for those that only people read.
fn parse(line: &Line<'_>) -> Result<Option<Said>, Fault> {
    let text = as_text(line.bytes).map_err(|(at, kind)| Fault { at, kind })?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    serde_json::from_str(text).map(Some).map_err(|e| {
        let message = e.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        let at = e.column().saturating_sub(1);
        if e.is_data() { Fault::field(at, message) } else { Fault::json(at, message) }
    })
}

#[derive(Default)]
struct Events {
    rows: Vec<Event>,
    first: Option<i64>,
    assigned: BTreeSet<Scalar>,
    /// Where the last line put a record, if it did.
    polling: bool,
    torn: u64,
}

impl Events {
    fn add(&mut self, said: Said) -> Result<(), Fault> {
        let time = said.timestamp.map(|t| {
            let first = *self.first.get_or_insert(t);
            t.saturating_sub(first).saturating_mul(1_000_000)
        });
        let polling = std::mem::replace(&mut self.polling, said.name == "record_data");
        match said.name.as_str() {
            "producer_send_success" => {
                let (key, value) = (key(&said)?, value(&said)?);
                let mop = Mop::Send { key, value, offset: Some(said.offset) };
                self.row(time, PRODUCER, Kind::Ok, F::Send, Payload::Mops(vec![mop]));
            }
            "producer_send_error" => {
                let topic = said.topic.clone().unwrap_or_default();
                let mop = Mop::Send { key: topic.into(), value: value(&said)?, offset: None };
                self.row(time, PRODUCER, Kind::Info, F::Send, Payload::Mops(vec![mop]));
                let code = said.exception.unwrap_or_else(|| "error".into());
                let error = OpError { code, message: said.message.unwrap_or_default() };
                if let Some(row) = self.rows.last_mut() {
                    row.error = Some(error);
                }
            }
            "record_data" => {
                let record = Record { offset: said.offset, value: value(&said)?, meta: None };
                self.record(time, key(&said)?, record, polling);
            }
            "partitions_assigned" | "partitions_revoked" => {
                for p in &said.partitions {
                    let key = Scalar::from(format!("{}-{}", p.topic, p.partition));
                    if said.name == "partitions_assigned" {
                        self.assigned.insert(key);
                    } else {
                        self.assigned.remove(&key);
                    }
                }
                let keys = Payload::Keys(self.assigned.iter().cloned().collect());
                self.row(time, CONSUMER, Kind::Ok, F::Assign, keys);
            }
            _ => {}
        }
        Ok(())
    }

    fn row(&mut self, time: Option<i64>, process: Process, kind: Kind, f: F, value: Payload) {
        self.rows.push(Event {
            index: self.rows.len() as u64,
            time,
            process: Some(process),
            kind,
            f,
            value,
            error: None,
            ext: Map::new(),
        });
    }

    fn record(&mut self, time: Option<i64>, key: Scalar, record: Record, same_poll: bool) {
        if !same_poll {
            let mops = Payload::Mops(vec![Mop::Poll(Some(Vec::new()))]);
            self.row(time, CONSUMER, Kind::Ok, F::Poll, mops);
        }
        let Some(Payload::Mops(mops)) = self.rows.last_mut().map(|r| &mut r.value) else { return };
        let Some(Mop::Poll(Some(groups))) = mops.last_mut() else { return };
        match groups.last_mut().filter(|(k, _)| *k == key) {
            Some((_, records)) => records.push(record),
            None => groups.push((key, vec![record])),
        }
    }

    /// A send that was given up names no partition: the records that were read tell where it went, if anywhere.
    fn finish(mut self) -> History {
        in_order_of_time(&mut self.rows);
        let mut places: FxHashMap<Scalar, Scalar> = FxHashMap::default();
        let given_up = |e: &Event| e.kind == Kind::Info && e.f == F::Send;
        if self.rows.iter().any(given_up) {
            for row in &self.rows {
                let Payload::Mops(mops) = &row.value else { continue };
                for mop in mops {
                    let Mop::Poll(Some(groups)) = mop else { continue };
                    for (key, records) in groups {
                        places.extend(records.iter().map(|r| (r.value.clone(), key.clone())));
                    }
                }
            }
        }
        let mut builder = HistoryBuilder::default();
        for row in &mut self.rows {
            if given_up(row)
                && let Payload::Mops(mops) = &mut row.value
                && let [Mop::Send { key, value, .. }] = mops.as_mut_slice()
                && let Some(place) = places.get(value)
            {
                *key = place.clone();
            }
            builder.push(row);
        }
        if self.torn > 0 {
            builder.mark_torn(self.torn);
        }
        builder.finish()
    }
}

/// Puts the rows of producer and consumer in order of their times, of which each has its own in order already.
fn in_order_of_time(rows: &mut Vec<Event>) {
    let mut last = [i64::MIN; 2];
    let mut timed = Vec::with_capacity(rows.len());
    for row in rows.iter() {
        let last = &mut last[usize::from(row.process == Some(CONSUMER))];
        let time = row.time.unwrap_or(*last);
        if time < *last {
            return;
        }
        *last = time;
        timed.push(time);
    }
    let mut sorted: Vec<(i64, Event)> = timed.into_iter().zip(rows.drain(..)).collect();
    sorted.sort_by_key(|(time, _)| *time);
    rows.extend(sorted.into_iter().map(|(_, row)| row));
}

fn key(said: &Said) -> Result<Scalar, Fault> {
    match (&said.topic, said.partition) {
        (Some(topic), Some(partition)) => Ok(Scalar::from(format!("{topic}-{partition}"))),
        _ => Err(Fault::field(0, format!("{} names no topic and partition", said.name))),
    }
}

fn value(said: &Said) -> Result<Scalar, Fault> {
    match &said.value {
        Some(Value::String(s)) => Ok(json_key(s)),
        Some(Value::Number(n)) => Ok(n.as_i64().map_or_else(|| n.to_string().into(), Scalar::Int)),
        _ => Err(Fault::field(0, format!("{} has no value", said.name))),
    }
}
