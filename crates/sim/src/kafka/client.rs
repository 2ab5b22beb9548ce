//! A simulated client, and how its operations are written down.

use super::defect::Defect;
use super::log::{HOLE, Log, offset};
use perjury_history::{
    Event, ExtraId, F, HistoryBuilder, Kind, OpError, Payload, Process, RecordMeta, Scalar,
};
use serde_json::{Map, Value};
use std::collections::VecDeque;

/// Where a client stands with its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    /// Invoked, without effect so far.
    Invoked,
    /// The effect, if any, took place.
    Applied,
}

/// How an operation will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    Fail,
    Info,
    /// It never completes.
    Lost,
}

/// When an operation takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Now,
    /// After its completion.
    Later,
    Never,
}

/// A micro-operation as invoked, and what came of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Planned {
    Send { log: usize, value: i64, offset: Option<usize> },
    Poll { first: usize, end: usize },
}

/// The records of one key in one poll.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) log: usize,
    pub(super) from: usize,
    pub(super) to: usize,
    /// What is returned when that differs from the log: offset, value, and whether the record is corrupt.
    pub(super) tampered: Option<Vec<(usize, i64, bool)>>,
}

/// Where a consumer stands in a log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) log: usize,
    /// Behind the last ok poll.
    pub(super) pos: usize,
    /// Behind the polls of the operation under way.
    pub(super) cursor: usize,
    /// Whether an ok poll returned something since the log was assigned.
    pub(super) read: bool,
}

/// The step of an injection that an operation carries out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Special {
    pub(super) defect: Defect,
    pub(super) log: usize,
    /// The offset from the step before; meaningless in the first one.
    pub(super) offset: usize,
    pub(super) second: bool,
}

/// An operation that a client must invoke next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Script {
    Send { log: usize, special: Option<Special> },
    Poll,
}

/// An assignment or subscription under way.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) f: F,
    pub(super) logs: Vec<usize>,
    pub(super) extra: ExtraId,
}

/// A simulated client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) process: u32,
    pub(super) state: State,
    pub(super) outcome: Outcome,
    pub(super) effect: Effect,
    pub(super) special: Option<Special>,
    pub(super) script: VecDeque<Script>,
    pub(super) control: Option<Control>,
    pub(super) mops: Vec<Planned>,
    pub(super) groups: Vec<Group>,
    pub(super) consumer: Vec<Position>,
    /// Whether it assigned or subscribed since it began.
    pub(super) subscribed: bool,
    /// The group generation whose assignment it has (subscribe only).
    pub(super) generation: u64,
    /// What a rebalance gave and took during the operation under way.
    pub(super) rebalance: Option<Value>,
    /// A failed operation after which it did not go back in this log; complete when it polls there again.
    pub(super) unwound: Option<usize>,
    /// Where the next final poll begins in the consumer's list.
    pub(super) reading: usize,
}

impl Client {
    pub(super) fn new(process: u32) -> Client {
        Client {
            process,
            state: State::Idle,
            outcome: Outcome::Ok,
            effect: Effect::Now,
            special: None,
            script: VecDeque::new(),
            control: None,
            mops: Vec::new(),
            groups: Vec::new(),
            consumer: Vec::new(),
            subscribed: false,
            generation: 0,
            rebalance: None,
            unwound: None,
            reading: 0,
        }
    }

    /// Where this client stands in a log.
    pub(super) fn position(&self, log: usize) -> Option<&Position> {
        self.consumer.iter().find(|p| p.log == log)
    }

    /// As [`position`](Self::position).
    pub(super) fn position_mut(&mut self, log: usize) -> Option<&mut Position> {
        self.consumer.iter_mut().find(|p| p.log == log)
    }

    /// Whether the operation under way polls.
    pub(super) fn polls(&self) -> bool {
        self.mops.iter().any(|m| matches!(m, Planned::Poll { .. }))
    }

    fn f(&self) -> F {
        let sends = self.mops.iter().any(|m| matches!(m, Planned::Send { .. }));
        match (sends, self.polls()) {
            (true, true) => F::Txn,
            (true, false) => F::Send,
            _ => F::Poll,
        }
    }
}

/// Extras that many rows share.
#[derive(Debug)]
struct Shared {
    timed_out: ExtraId,
    refused: ExtraId,
    aborted: ExtraId,
    last_reads: ExtraId,
    last_crash: ExtraId,
}

/// Writes rows down as time goes by.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) builder: HistoryBuilder,
    /// Nanoseconds since the start.
    pub(super) time: i64,
    pub(super) last_phase: bool,
    details: bool,
    shared: Shared,
}

fn error(code: &str, message: &str) -> perjury_history::Extra {
    perjury_history::Extra {
        error: Some(OpError { code: code.into(), message: message.into() }),
        ..Default::default()
    }
}

impl Recorder {
    pub(super) fn new(mut builder: HistoryBuilder, details: bool) -> Recorder {
        let last = perjury_history::Extra {
            ext: Map::from_iter([("final".to_owned(), Value::Bool(true))]),
            ..Default::default()
        };
        let shared = Shared {
            timed_out: builder.share(error("_MSG_TIMED_OUT", "no answer within the time limit")),
            refused: builder.share(error("NOT_ENOUGH_REPLICAS", "the write was refused")),
            aborted: builder.share(error("TRANSACTION_ABORTED", "the transaction was aborted")),
            last_reads: builder.share(last),
            last_crash: builder.share(perjury_history::Extra {
                ext: Map::from_iter([("final".to_owned(), Value::Bool(true))]),
                ..error("crashed", "the client was torn down on purpose")
            }),
        };
        Recorder { builder, time: 0, last_phase: false, details, shared }
    }

    fn row(&mut self, process: u32, kind: Kind, f: F, extra: Option<ExtraId>) {
        let process = Some(Process::Client(process));
        self.builder.finish_row_shared(Some(self.time), process, kind, f, extra);
    }

    /// A row of the nemesis or the cluster.
    pub(super) fn observe(&mut self, process: Process, f: &str, value: Value) {
        self.builder.push(&Event {
            index: 0,
            time: Some(self.time),
            process: Some(process),
            kind: Kind::Info,
            f: F::parse(f),
            value: Payload::Json(value),
            error: None,
            ext: Map::new(),
        });
    }

    /// The invocation of the micro-operations that the client holds.
    pub(super) fn invoke(&mut self, client: &Client, logs: &[Log]) {
        for mop in &client.mops {
            match *mop {
                Planned::Send { log, value, .. } => {
                    let key = self.builder.key(&logs[log].name);
                    let value = self.builder.int_value(value);
                    self.builder.mop_send_open(key, value);
                }
                Planned::Poll { .. } => self.builder.mop_poll_open(),
            }
        }
        let extra = self.last_phase.then_some(self.shared.last_reads);
        self.row(client.process, Kind::Invoke, client.f(), extra);
    }

    /// The completion of what the client holds. `offsets` and `records` say whether they are told.
    pub(super) fn complete(&mut self, client: &Client, logs: &[Log], offsets: bool, records: bool) {
        for mop in &client.mops {
            match *mop {
                Planned::Send { log, value, offset: at } => {
                    let key = self.builder.key(&logs[log].name);
                    let value = self.builder.int_value(value);
                    match at.filter(|_| offsets) {
                        Some(at) => self.builder.mop_send_done(key, value, Some(offset(at))),
                        None => self.builder.mop_send_open(key, value),
                    }
                }
                Planned::Poll { first, end } if records => {
                    self.builder.begin_poll();
                    for group in &client.groups[first..end] {
                        self.group(group, &logs[group.log]);
                    }
                    self.builder.end_poll();
                }
                Planned::Poll { .. } => self.builder.mop_poll_open(),
            }
        }
        let (kind, extra) = match client.outcome {
            Outcome::Ok => (Kind::Ok, self.last_phase.then_some(self.shared.last_reads)),
            Outcome::Fail if offsets => (Kind::Fail, Some(self.shared.aborted)),
            Outcome::Fail => (Kind::Fail, Some(self.shared.refused)),
            Outcome::Info | Outcome::Lost => (Kind::Info, Some(self.shared.timed_out)),
        };
        let extra = match &client.rebalance {
            None => extra,
            Some(log) => Some(self.with_rebalance(extra, log.clone())),
        };
        self.row(client.process, kind, client.f(), extra);
    }

    fn with_rebalance(&mut self, extra: Option<ExtraId>, log: Value) -> ExtraId {
        let shared = &self.shared;
        let mut whole = match extra {
            Some(id) if id == shared.timed_out => error("_MSG_TIMED_OUT", ""),
            Some(id) if id == shared.refused => error("NOT_ENOUGH_REPLICAS", ""),
            Some(id) if id == shared.aborted => error("TRANSACTION_ABORTED", ""),
            _ => perjury_history::Extra::default(),
        };
        whole.ext.insert("rebalance_log".into(), log);
        self.builder.share(whole)
    }

    fn group(&mut self, group: &Group, log: &Log) {
        let key = self.builder.key(&log.name);
        self.builder.begin_group(key);
        match &group.tampered {
            None => {
                for (at, value) in (group.from..group.to).zip(&log.slots[group.from..group.to]) {
                    if *value != HOLE {
                        self.record(at, *value, false);
                    }
                }
            }
            Some(records) => {
                records.iter().for_each(|(at, value, corrupt)| self.record(*at, *value, *corrupt));
            }
        }
    }

    fn record(&mut self, at: usize, value: i64, corrupt: bool) {
        let code = self.builder.int_value(value);
        if !self.details && !corrupt {
            self.builder.record(Some(offset(at)), code, None);
            return;
        }
        let meta = RecordMeta {
            ts: self.details.then_some(self.time / 1_000_000),
            key: self.details.then(|| format!("k{}", value % 16)),
            epoch: None,
            corrupt: corrupt.then(|| "checksum".into()),
        };
        self.builder.record(Some(offset(at)), code, Some(&meta));
    }

    /// An extra for the invocation and completion of an assign or subscribe.
    pub(super) fn keys_extra(&mut self, keys: Vec<Scalar>, from_start: bool) -> ExtraId {
        let mut ext = Map::new();
        if from_start {
            ext.insert("seek_to_beginning".into(), Value::Bool(true));
        }
        if self.last_phase {
            ext.insert("final".into(), Value::Bool(true));
        }
        self.builder.share(perjury_history::Extra {
            payload: Payload::Keys(keys),
            error: None,
            ext,
        })
    }

    /// A row of an assign or subscribe.
    pub(super) fn control(&mut self, process: u32, kind: Kind, f: &F, extra: ExtraId) {
        self.row(process, kind, f.clone(), Some(extra));
    }

    /// Both rows of a crash.
    pub(super) fn crash(&mut self, process: u32) {
        let (invoked, crashed) = (self.shared.last_reads, self.shared.last_crash);
        self.row(process, Kind::Invoke, F::Crash, Some(invoked));
        self.row(process, Kind::Info, F::Crash, Some(crashed));
    }
}
