//! The monitor of append logs, batch and streaming form, against an exhaustive checker on many tiny histories.

use crate::support::{CASES, compare, cut, oracle, pick_shape, rng};
use perjury_checker::linear::budget::Unlimited;
use perjury_checker::linear::log::{self, Cell, Holes, Log, LogCall, LogStream};
use perjury_checker::linear::op::Op;
use perjury_checker::linear::outcome::Answer;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

#[derive(Clone, Default, Debug)]
struct LogState {
    cells: Vec<Option<i64>>,
    start: u64,
}

impl LogState {
    fn at(&self, offset: u64) -> Option<i64> {
        self.cells.get(usize::try_from(offset).ok()?).copied().flatten()
    }
}

/// A call without ranges, and the burning of an offset.
#[derive(Clone, Debug)]
enum Spec {
    Append(Vec<i64>, Option<u64>),
    Fetch(Vec<(u64, i64)>),
    Empty(u64, bool),
    End(u64, bool),
    Gone(u64),
    Burn,
}

fn log_apply(state: &LogState, call: &Spec) -> Vec<LogState> {
    let len = state.cells.len() as u64;
    let same = |legal: bool| if legal { vec![state.clone()] } else { Vec::new() };
    match call {
        Spec::Append(values, offset) => {
            if offset.is_some_and(|o| o != len) {
                return Vec::new();
            }
            let mut next = state.clone();
            next.cells.extend(values.iter().map(|v| Some(*v)));
            vec![next]
        }
        Spec::Burn => {
            let mut next = state.clone();
            next.cells.push(None);
            vec![next]
        }
        Spec::Fetch(cells) => {
            same(cells.iter().all(|(o, v)| *o >= state.start && state.at(*o) == Some(*v)))
        }
        Spec::Empty(o, strict) => same(!strict || *o >= len),
        Spec::End(e, strict) => same(if *strict { *e == len } else { *e <= len }),
        // The start moves up when somebody finds an offset gone.
        Spec::Gone(o) => {
            if *o >= len {
                return Vec::new();
            }
            vec![LogState { start: state.start.max(o + 1), ..state.clone() }]
        }
    }
}

struct LogKinds {
    batches: bool,
    deletions: bool,
    weak: bool,
    no_offset: bool,
}

fn log_case(rng: &mut ChaCha8Rng, kinds: &LogKinds) -> Vec<Op<Spec>> {
    let shape = pick_shape(rng);
    let n = shape.spans.len();
    let mut asked: Vec<u8> = (0..n).map(|_| rng.random_range(0..8)).collect();
    let mut calls: Vec<Option<Spec>> = vec![None; n];
    let mut state = LogState::default();
    let mut value = 100;
    for i in &shape.moments {
        let len = state.cells.len() as u64;
        let strict = !kinds.weak || rng.random_bool(0.5);
        let call = match asked[*i] {
            0..=2 => {
                let size = if kinds.batches { rng.random_range(1..=3) } else { 1 };
                let values: Vec<i64> = (value..value + size).collect();
                value += size;
                let offset = (!kinds.no_offset || rng.random_bool(0.6)).then_some(len);
                Spec::Append(values, offset)
            }
            3..=5 if len > state.start => {
                let from = rng.random_range(state.start..len);
                let to = rng.random_range(from..len);
                let cells = (from..=to).filter_map(|o| Some((o, state.at(o)?)));
                Spec::Fetch(cells.collect())
            }
            6 => Spec::Empty(len + rng.random_range(0..2), strict),
            7 if kinds.deletions && len > state.start && rng.random_bool(0.5) => {
                Spec::Gone(rng.random_range(0..len))
            }
            _ => Spec::End(len, strict),
        };
        state = log_apply(&state, &call).pop().expect("a legal call");
        calls[*i] = Some(call);
    }
    for i in 0..n {
        if calls[i].is_none() && asked[i] < 3 {
            calls[i] = Some(Spec::Append(vec![value], None));
            value += 1;
        }
    }
    asked.clear();
    let mut ops: Vec<Op<Spec>> = Vec::new();
    for ((invoke, ret), call) in shape.spans.into_iter().zip(calls) {
        let Some(mut call) = call else { continue };
        match (&mut call, ret) {
            (Spec::Append(_, offset), None) => *offset = None,
            (_, None) => continue,
            _ => {}
        }
        ops.push(Op { process: None, invoke, ret, call });
    }
    ops.sort_by_key(|o| o.invoke);
    ops
}

fn nudge(rng: &mut ChaCha8Rng, n: u64) -> u64 {
    if rng.random_bool(0.5) { n + 1 } else { n.saturating_sub(1) }
}

fn damage_log(rng: &mut ChaCha8Rng, ops: &mut [Op<Spec>]) {
    if ops.is_empty() {
        return;
    }
    let i = rng.random_range(0..ops.len());
    match &mut ops[i].call {
        Spec::Append(_, Some(o)) | Spec::Empty(o, _) | Spec::End(o, _) | Spec::Gone(o) => {
            *o = nudge(rng, *o);
        }
        Spec::Fetch(cells) => {
            let shift = nudge(rng, 1);
            for (o, v) in cells {
                if rng.random_bool(0.3) {
                    *v += 1;
                }
                *o = (*o + shift).saturating_sub(1);
            }
        }
        _ => {}
    }
}

fn build(ops: &[Op<Spec>], holes: Holes) -> Log {
    let mut log = Log { holes, ..Log::default() };
    for op in ops {
        let id = (op.process, op.invoke, op.ret);
        let call = match &op.call {
            Spec::Append(values, offset) => {
                log.push_append(id, values.iter().copied(), *offset);
                continue;
            }
            Spec::Fetch(cells) => {
                let ret = op.ret.expect("reads return");
                let cells =
                    cells.iter().map(|(offset, value)| Cell { offset: *offset, value: *value });
                log.push_fetch((op.process, op.invoke, ret), cells);
                continue;
            }
            Spec::Empty(offset, strict) => LogCall::Empty { offset: *offset, strict: *strict },
            Spec::End(end, strict) => LogCall::End { end: *end, strict: *strict },
            Spec::Gone(offset) => LogCall::Gone { offset: *offset },
            Spec::Burn => continue,
        };
        log.ops.push(Op { process: op.process, invoke: op.invoke, ret: op.ret, call });
    }
    log
}

/// The spec's operations, with enough burnings when offsets may be burned.
fn with_burnings(ops: &[Op<Spec>], holes: Holes) -> Vec<Op<Spec>> {
    let mut ops = ops.to_vec();
    if holes == Holes::Burned {
        let mut high = 0;
        for op in &ops {
            high = high.max(match &op.call {
                Spec::Append(_, Some(o)) | Spec::Gone(o) => *o,
                Spec::End(o, _) => *o,
                Spec::Fetch(cells) => cells.iter().map(|c| c.0).max().unwrap_or(0),
                _ => 0,
            });
        }
        let burn = |_| Op { process: None, invoke: 0, ret: None, call: Spec::Burn };
        ops.extend((0..high.min(4)).map(burn));
    }
    ops
}

fn log_property(seed_base: u64, holes: Holes, kinds: &LogKinds) {
    let mut counts = [0; 2];
    for seed in 0..CASES {
        let mut rng = rng(seed_base + seed);
        let mut ops = log_case(&mut rng, kinds);
        if rng.random_bool(0.5) {
            damage_log(&mut rng, &mut ops);
        }
        let log = build(&ops, holes);
        let answer = log::decide(&log, true, &mut Unlimited, &|v| v.to_string());
        if let Answer::Unknown(u) = &answer {
            assert!(kinds.batches && u.reason == "batch-holes");
            continue;
        }
        let initial = LogState::default();
        let before = |ops: &[Op<Spec>], at: u64| {
            cut(ops, at, |c| match c {
                Spec::Append(v, _) => Some(Spec::Append(v.clone(), None)),
                Spec::Burn => Some(Spec::Burn),
                _ => None,
            })
        };
        let spec = with_burnings(&ops, holes);
        if holes == Holes::Burned && spec.len() > 9 {
            continue;
        }
        let expected = oracle(&spec, &initial, &log_apply);
        if holes == Holes::Burned || kinds.batches {
            // A certificate does not list burnings, and prefixes may leave batches open: only the verdict is compared.
            let said = matches!(answer, Answer::Linearizable { .. });
            assert_eq!(said, expected, "seed {seed}: {ops:?} {answer:?}");
            counts[usize::from(!said)] += 1;
        } else {
            compare(&answer, &ops, &initial, &log_apply, &before, &mut counts, seed);
        }
        if !kinds.batches || answer_is_plain(&answer) {
            stream_agrees(&log, expected, seed);
        }
    }
    assert!(counts.iter().all(|c| *c > CASES / 20), "too few of one kind: {counts:?}");
}

fn answer_is_plain(answer: &Answer) -> bool {
    matches!(answer, Answer::Linearizable { .. })
}

/// The streaming form says the same, holes included.
fn stream_agrees(log: &Log, expected: bool, seed: u64) {
    let mut stream = LogStream::new(log.holes);
    let mut events: Vec<(u64, usize, bool)> = Vec::new();
    for (i, op) in log.ops.iter().enumerate() {
        events.push((op.invoke, i, false));
        events.extend(op.ret.map(|r| (r, i, true)));
    }
    events.sort_unstable();
    let mut writers = vec![None; log.ops.len()];
    let mut readers = vec![None; log.ops.len()];
    let mut holds = true;
    for (event, i, is_return) in events {
        let call = log.ops[i].call;
        let cells = log.cells_of(&call);
        if !is_return {
            match call {
                LogCall::Append { .. } => {
                    writers[i] = Some(stream.append(event, cells.iter().map(|c| c.value)));
                }
                _ => readers[i] = Some(stream.read(event)),
            }
            continue;
        }
        let step = match (call, writers[i], readers[i]) {
            (LogCall::Append { offset, .. }, Some(w), _) => stream.appended(w, event, offset),
            (LogCall::Fetch { .. }, _, Some(r)) => stream.fetched(r, event, cells),
            (LogCall::Empty { offset, strict: true }, _, Some(r)) => stream.empty(r, event, offset),
            (LogCall::End { end, strict }, _, Some(r)) => stream.end(r, event, end, strict),
            (LogCall::Gone { offset }, _, Some(r)) => stream.gone(r, event, offset),
            _ => Ok(()),
        };
        if step.is_err() {
            holds = false;
            break;
        }
    }
    holds = holds && stream.finish().is_ok();
    assert_eq!(holds, expected, "seed {seed}: the stream disagrees: {:?}", log.ops);
}

const PLAIN: LogKinds =
    LogKinds { batches: false, deletions: false, weak: false, no_offset: false };

#[test]
fn log_with_offsets() {
    log_property(1_000_000, Holes::Filled, &PLAIN);
}

#[test]
fn log_with_weak_reads_and_acknowledgements_without_offset() {
    let kinds = LogKinds { weak: true, no_offset: true, ..PLAIN };
    log_property(2_000_000, Holes::Filled, &kinds);
}

#[test]
fn log_with_batches() {
    let kinds = LogKinds { batches: true, weak: true, ..PLAIN };
    log_property(3_000_000, Holes::Filled, &kinds);
}

#[test]
fn log_with_deletions() {
    let kinds = LogKinds { deletions: true, ..PLAIN };
    log_property(4_000_000, Holes::Filled, &kinds);
}

#[test]
fn log_with_burned_offsets() {
    let kinds = LogKinds { no_offset: true, weak: true, ..PLAIN };
    log_property(5_000_000, Holes::Burned, &kinds);
}
