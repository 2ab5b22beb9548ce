//! Every decision procedure of `linear` against an exhaustive checker of a few lines, on many tiny histories.
//!
//! Histories are made by running a real object at random moments of random intervals; half of them are then damaged.
//! Where the answer is yes, the certificate is replayed; where it is no, the reported event must be the first at which
//! the exhaustive checker says no.

use perjury_checker::linear::budget::Unlimited;
use perjury_checker::linear::log::{self, Cell, Holes, Log, LogCall, LogStream};
use perjury_checker::linear::models::{Access, MultiRegister};
use perjury_checker::linear::models::{CasRegister, Fifo, Kv, KvCall, Mutex, MutexCall};
use perjury_checker::linear::op::Op;
use perjury_checker::linear::outcome::Answer;
use perjury_checker::linear::queue::{self, Queue, QueueCall};
use perjury_checker::linear::register::{self, Register, RegisterCall};
use perjury_checker::linear::search::{self, Model};
use rand::Rng;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

const CASES: u64 = 20_000;

/// Tries every order.
fn exhaustive<S: Clone, C>(
    ops: &[Op<C>],
    state: &S,
    apply: &dyn Fn(&S, &C) -> Vec<S>,
    done: &mut Vec<bool>,
) -> bool {
    if ops.iter().zip(done.iter()).all(|(o, d)| *d || o.ret.is_none()) {
        return true;
    }
    let bound = ops.iter().zip(done.iter()).filter(|(_, d)| !**d).filter_map(|(o, _)| o.ret).min();
    for i in 0..ops.len() {
        if done[i] || bound.is_some_and(|b| ops[i].invoke > b) {
            continue;
        }
        done[i] = true;
        let found =
            apply(state, &ops[i].call).into_iter().any(|next| exhaustive(ops, &next, apply, done));
        done[i] = false;
        if found {
            return true;
        }
    }
    false
}

fn oracle<S: Clone, C>(ops: &[Op<C>], initial: &S, apply: &dyn Fn(&S, &C) -> Vec<S>) -> bool {
    exhaustive(ops, initial, apply, &mut vec![false; ops.len()])
}

/// Replays a certificate: all returned operations, real-time order kept, every answer right.
fn replay<S: Clone, C: std::fmt::Debug>(
    ops: &[Op<C>],
    order: &[u64],
    initial: &S,
    apply: &dyn Fn(&S, &C) -> Vec<S>,
) {
    let chosen: Vec<&Op<C>> = order
        .iter()
        .map(|invoke| ops.iter().find(|o| o.invoke == *invoke).expect("a known operation"))
        .collect();
    for op in ops.iter().filter(|o| o.ret.is_some()) {
        assert!(order.contains(&op.invoke), "operation {} is missing", op.invoke);
    }
    for (i, a) in chosen.iter().enumerate() {
        for b in &chosen[i + 1..] {
            assert!(b.ret.is_none_or(|r| r > a.invoke), "real-time order broken");
            assert!(a.invoke != b.invoke, "an operation stands twice");
        }
    }
    let mut states = vec![initial.clone()];
    for op in chosen {
        states = states.iter().flat_map(|s| apply(s, &op.call)).collect();
    }
    assert!(!states.is_empty(), "the certificate does not replay: {order:?} {ops:?}");
}

/// Intervals of `n` operations and the order of their moments, some without an end.
struct Shape {
    spans: Vec<(u64, Option<u64>)>,
    moments: Vec<usize>,
}

fn shape(rng: &mut ChaCha8Rng, n: usize, info: f64) -> Shape {
    let mut places: Vec<u64> = (0..2 * n as u64).collect();
    if rng.random_bool(0.5) {
        // Short intervals: neighbouring places.
        for at in 0..places.len() {
            let other = (at + rng.random_range(0..4)).min(places.len() - 1);
            places.swap(at, other);
        }
    } else {
        places.shuffle(rng);
    }
    let mut spans = Vec::new();
    let mut moments: Vec<(f64, usize)> = Vec::new();
    for pair in places.chunks(2) {
        let (from, to) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
        let pending = rng.random_bool(info);
        let last = if pending { 2.0 * n as f64 } else { to as f64 };
        if !(pending && rng.random_bool(0.4)) {
            moments.push((rng.random_range(from as f64..last), spans.len()));
        }
        spans.push((from, (!pending).then_some(to)));
    }
    moments.sort_by(|a, b| a.0.total_cmp(&b.0));
    Shape { spans, moments: moments.into_iter().map(|(_, i)| i).collect() }
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn pick_shape(rng: &mut ChaCha8Rng) -> Shape {
    let n = rng.random_range(2..=7);
    let info = *[0.0, 0.1, 0.3, 0.6].get(rng.random_range(0..4)).expect("in range");
    shape(rng, n, info)
}

/// Compares an answer with the oracle on the whole history and on its prefixes.
fn compare<S: Clone, C: Clone + std::fmt::Debug>(
    answer: &Answer,
    ops: &[Op<C>],
    initial: &S,
    apply: &dyn Fn(&S, &C) -> Vec<S>,
    before: &dyn Fn(&[Op<C>], u64) -> Vec<Op<C>>,
    counts: &mut [u64; 2],
    seed: u64,
) {
    let expected = oracle(ops, initial, apply);
    match answer {
        Answer::Linearizable { order } => {
            assert!(expected, "seed {seed}: said linearizable");
            counts[0] += 1;
            replay(ops, order.as_ref().expect("a certificate"), initial, apply);
        }
        Answer::NotLinearizable(v) => {
            assert!(!expected, "seed {seed}: said not linearizable: {}", v.sentence);
            counts[1] += 1;
            let end = v.prefix_end;
            assert!(
                oracle(&before(ops, end), initial, apply),
                "seed {seed}: the prefix before {end} is broken already: {}",
                v.sentence
            );
            assert!(
                !oracle(&before(ops, end + 1), initial, apply),
                "seed {seed}: the prefix up to {end} is not broken: {} {:?}",
                v.sentence,
                ops.iter().map(|o| (o.invoke, o.ret, &o.call)).collect::<Vec<_>>()
            );
            replay(&before(ops, end), &v.prefix, initial, apply);
            assert!(!v.sentence.is_empty());
        }
        Answer::Unknown(u) => panic!("seed {seed}: unknown: {}", u.sentence),
    }
}

fn cut<C: Clone>(ops: &[Op<C>], before: u64, pending: impl Fn(&C) -> Option<C>) -> Vec<Op<C>> {
    let cut = ops.iter().filter(|o| o.invoke < before).filter_map(|o| {
        if o.ret.is_some_and(|r| r < before) {
            return Some(o.clone());
        }
        Some(Op { ret: None, call: pending(&o.call)?, ..o.clone() })
    });
    cut.collect()
}

// ---- the log ----

#[derive(Clone, Default, Debug)]
struct LogState {
    cells: Vec<Option<i64>>,
    start: u64,
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
        Spec::Fetch(cells) => same(cells.iter().all(|(o, v)| {
            *o >= state.start && state.cells.get(*o as usize).copied().flatten() == Some(*v)
        })),
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
                let cells = (from..=to).filter_map(|o| Some((o, state.cells[o as usize]?)));
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
            let cut = cut(ops, at, |c| match c {
                Spec::Append(v, _) => Some(Spec::Append(v.clone(), None)),
                Spec::Burn => Some(Spec::Burn),
                _ => None,
            });
            cut
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

// ---- registers ----

fn register_apply(state: &u32, call: &RegisterCall) -> Vec<u32> {
    let model = CasRegister { initial: 0, name: &|v| v.to_string() };
    model.apply(state, call).into_iter().collect()
}

/// `values` distinct values at most; 0 means that every written value is new.
fn register_case(rng: &mut ChaCha8Rng, values: u32, bare_failures: bool) -> Vec<Op<RegisterCall>> {
    let shape = pick_shape(rng);
    let asked: Vec<u8> = shape.spans.iter().map(|_| rng.random_range(0..6)).collect();
    let mut calls: Vec<Option<RegisterCall>> = vec![None; asked.len()];
    let mut state = 0;
    let mut next = 0;
    let mut fresh = |rng: &mut ChaCha8Rng| {
        next += 1;
        if values == 0 { next } else { rng.random_range(0..values) }
    };
    for i in &shape.moments {
        let call = match asked[*i] {
            0 | 1 => RegisterCall::Write(fresh(rng)),
            2 | 3 => RegisterCall::Read(state),
            4 => RegisterCall::Cas(state, fresh(rng)),
            _ if bare_failures => RegisterCall::Differs((state + 1) % values.max(2)),
            _ => RegisterCall::Read(state),
        };
        state = register_apply(&state, &call)[0];
        calls[*i] = Some(call);
    }
    for i in 0..asked.len() {
        let call = match asked[i] {
            0 | 1 => RegisterCall::Write(fresh(rng)),
            4 => RegisterCall::Cas(rng.random_range(0..3), fresh(rng)),
            _ => continue,
        };
        calls[i].get_or_insert(call);
    }
    let ops = shape.spans.into_iter().zip(calls).filter_map(|((invoke, ret), call)| {
        let call = call?;
        let changes = matches!(call, RegisterCall::Write(_) | RegisterCall::Cas(_, _));
        (ret.is_some() || changes).then_some(Op { process: None, invoke, ret, call })
    });
    let mut ops: Vec<_> = ops.collect();
    ops.sort_by_key(|o| o.invoke);
    ops
}

fn damage_register(rng: &mut ChaCha8Rng, ops: &mut [Op<RegisterCall>]) {
    if ops.is_empty() {
        return;
    }
    for _ in 0..3 {
        let i = rng.random_range(0..ops.len());
        match &mut ops[i].call {
            RegisterCall::Read(v) | RegisterCall::Cas(v, _) => *v = rng.random_range(0..4),
            _ => continue,
        }
        break;
    }
}

fn before_register(ops: &[Op<RegisterCall>], at: u64) -> Vec<Op<RegisterCall>> {
    cut(ops, at, |c| match c {
        RegisterCall::Write(_) | RegisterCall::Cas(_, _) => Some(*c),
        _ => None,
    })
}

#[test]
fn register_with_unique_values() {
    let mut counts = [0; 2];
    let mut chains = 0;
    for seed in 0..2 * CASES {
        let mut rng = rng(6_000_000 + seed);
        let mut ops = register_case(&mut rng, 0, false);
        if rng.random_bool(0.5) {
            damage_register(&mut rng, &mut ops);
        }
        let register = Register { ops, initial: 0, aborted: Vec::new() };
        if !register.is_unique() {
            continue;
        }
        chains += u64::from(register.ops.iter().any(|o| matches!(o.call, RegisterCall::Cas(_, _))));
        let answer = register::decide(&register, true, &mut Unlimited, &|v| v.to_string());
        let ops = &register.ops;
        compare(&answer, ops, &0, &register_apply, &before_register, &mut counts, seed);
    }
    assert!(counts.iter().all(|c| *c > CASES / 20), "too few of one kind: {counts:?}");
    assert!(chains > CASES / 4);
}

fn register_search(seed_base: u64, values: u32, bare_failures: bool) {
    let mut counts = [0; 2];
    let name = |v: u32| v.to_string();
    let model = CasRegister { initial: 0, name: &name };
    for seed in 0..CASES {
        let mut rng = rng(seed_base + seed);
        let mut ops = register_case(&mut rng, values, bare_failures);
        if rng.random_bool(0.5) {
            damage_register(&mut rng, &mut ops);
        }
        let answer = search::decide(&model, &ops, true, &mut Unlimited);
        compare(&answer, &ops, &0, &register_apply, &before_register, &mut counts, seed);
    }
    assert!(counts.iter().all(|c| *c > CASES / 20), "too few of one kind: {counts:?}");
}

#[test]
fn register_with_few_values_and_failed_cas() {
    register_search(7_000_000, 3, true);
}

#[test]
fn register_with_few_values() {
    register_search(8_000_000, 2, false);
}

#[test]
fn register_with_many_values_by_search() {
    register_search(9_000_000, 0, true);
}

// ---- strings, locks, several registers, queues ----

/// Fills a shape by running a model; `ask` gives the call for an operation in a state.
fn run<M: Model>(
    rng: &mut ChaCha8Rng,
    model: &M,
    mut ask: impl FnMut(&mut ChaCha8Rng, &M::State) -> M::Call,
) -> Vec<Op<M::Call>> {
    let shape = pick_shape(rng);
    let mut state = model.initial();
    let mut calls: Vec<Option<M::Call>> = vec![None; shape.spans.len()];
    for i in &shape.moments {
        let call = ask(rng, &state);
        if let Some(next) = model.apply(&state, &call) {
            state = next;
            calls[*i] = Some(call);
        }
    }
    let ops =
        shape.spans.into_iter().zip(calls).filter_map(|((invoke, ret), call)| {
            Some(Op { process: None, invoke, ret, call: call? })
        });
    let mut ops: Vec<_> = ops.collect();
    ops.sort_by_key(|o| o.invoke);
    ops
}

#[test]
fn string_with_append() {
    let mut counts = [0; 2];
    let apply = |s: &Box<str>, c: &KvCall| Kv.apply(s, c).into_iter().collect::<Vec<_>>();
    let pending = |c: &KvCall| (!matches!(c, KvCall::Get(_))).then(|| c.clone());
    for seed in 0..CASES {
        let mut rng = rng(10_000_000 + seed);
        let mut ops = run(&mut rng, &Kv, |rng, state| match rng.random_range(0..5) {
            0 => KvCall::Put(rng.random_range(0..3).to_string().into()),
            1 | 2 => KvCall::Append(rng.random_range(0..3).to_string().into()),
            _ => KvCall::Get(state.clone()),
        });
        ops.retain(|o| o.ret.is_some() || pending(&o.call).is_some());
        if rng.random_bool(0.6) {
            for op in &mut ops {
                if let KvCall::Get(v) = &mut op.call {
                    let keep = v.len().saturating_sub(1);
                    *v = v[..keep].into();
                    break;
                }
            }
        }
        let answer = search::decide(&Kv, &ops, true, &mut Unlimited);
        let before = |ops: &[Op<KvCall>], at: u64| cut(ops, at, pending);
        compare(&answer, &ops, &Box::default(), &apply, &before, &mut counts, seed);
    }
    assert!(counts.iter().all(|c| *c > CASES / 50), "too few of one kind: {counts:?}");
}

#[test]
fn lock() {
    let mut counts = [0; 2];
    let apply = |s: &bool, c: &MutexCall| Mutex.apply(s, c).into_iter().collect::<Vec<_>>();
    for seed in 0..CASES {
        let mut rng = rng(11_000_000 + seed);
        let mut ops =
            run(
                &mut rng,
                &Mutex,
                |_, held| {
                    if *held { MutexCall::Release } else { MutexCall::Acquire }
                },
            );
        if rng.random_bool(0.5) && !ops.is_empty() {
            let i = rng.random_range(0..ops.len());
            ops[i].call = MutexCall::Acquire;
        }
        let answer = search::decide(&Mutex, &ops, true, &mut Unlimited);
        let before = |ops: &[Op<MutexCall>], at: u64| cut(ops, at, |c| Some(*c));
        compare(&answer, &ops, &false, &apply, &before, &mut counts, seed);
    }
    assert!(counts.iter().all(|c| *c > CASES / 20), "too few of one kind: {counts:?}");
}

#[test]
fn several_registers() {
    let mut counts = [0; 2];
    let name = |v: u32| v.to_string();
    let model = MultiRegister { initial: vec![0, 0], key: &name, name: &name };
    let apply =
        |s: &Box<[u32]>, c: &Box<[Access]>| model.apply(s, c).into_iter().collect::<Vec<_>>();
    let pending =
        |c: &Box<[Access]>| c.iter().any(|a| matches!(a, Access::Write(_, _))).then(|| c.clone());
    for seed in 0..CASES {
        let mut rng = rng(12_000_000 + seed);
        let mut ops = run(&mut rng, &model, |rng, state| {
            let mut now = state.clone();
            let accesses = (0..rng.random_range(1..3)).map(|_| {
                let k = rng.random_range(0..2u32);
                if rng.random_bool(0.5) {
                    return Access::Read(k, now[k as usize]);
                }
                now[k as usize] = rng.random_range(0..3);
                Access::Write(k, now[k as usize])
            });
            accesses.collect()
        });
        ops.retain(|o| o.ret.is_some() || pending(&o.call).is_some());
        if rng.random_bool(0.5) && !ops.is_empty() {
            let i = rng.random_range(0..ops.len());
            for access in &mut ops[i].call {
                if let Access::Read(_, v) = access {
                    *v = rng.random_range(0..3);
                }
            }
        }
        let answer = search::decide(&model, &ops, true, &mut Unlimited);
        let before = |ops: &[Op<Box<[Access]>>], at: u64| cut(ops, at, pending);
        let initial: Box<[u32]> = Box::new([0, 0]);
        compare(&answer, &ops, &initial, &apply, &before, &mut counts, seed);
    }
    assert!(counts.iter().all(|c| *c > CASES / 20), "too few of one kind: {counts:?}");
}

fn queue_property(seed_base: u64, by_search: bool) {
    let mut counts = [0; 2];
    let mut open = 0;
    let name = |v: u32| v.to_string();
    let model = Fifo { name: &name };
    let apply = |s: &std::collections::VecDeque<u32>, c: &QueueCall| {
        model.apply(s, c).into_iter().collect::<Vec<_>>()
    };
    let pending = |c: &QueueCall| match c {
        QueueCall::Enqueue(_) => Some(*c),
        _ => Some(QueueCall::Take),
    };
    for seed in 0..2 * CASES {
        let mut rng = rng(seed_base + seed);
        let mut next = 0;
        let mut ops = run(&mut rng, &model, |rng, state| {
            if rng.random_bool(0.5) {
                next += 1;
                return QueueCall::Enqueue(next);
            }
            state.front().map_or(QueueCall::Empty, |v| QueueCall::Dequeue(*v))
        });
        for op in &mut ops {
            if op.ret.is_none() {
                op.call = pending(&op.call).expect("always");
            }
        }
        if rng.random_bool(0.6) && !ops.is_empty() {
            let i = rng.random_range(0..ops.len());
            let j = rng.random_range(0..ops.len());
            if let (QueueCall::Dequeue(a), QueueCall::Dequeue(b)) = (ops[i].call, ops[j].call) {
                ops[i].call = QueueCall::Dequeue(b);
                ops[j].call = QueueCall::Dequeue(a);
            } else if let QueueCall::Dequeue(_) = ops[i].call {
                ops[i].call = QueueCall::Empty;
            }
        }
        let queue = Queue { ops: ops.clone(), aborted: Vec::new() };
        let answer = if by_search {
            search::decide(&model, &ops, true, &mut Unlimited)
        } else {
            match queue::decide(&queue, true, &mut Unlimited, &name) {
                Some(answer) => answer,
                None => {
                    open += 1;
                    continue;
                }
            }
        };
        // The search knows what an open dequeue will answer; the patterns do not use it.
        let open = |c: &QueueCall| if by_search { Some(*c) } else { pending(c) };
        let before = |ops: &[Op<QueueCall>], at: u64| cut(ops, at, open);
        compare(&answer, &ops, &Default::default(), &apply, &before, &mut counts, seed);
    }
    assert!(counts.iter().all(|c| *c > CASES / 20), "too few of one kind: {counts:?}");
    assert!(open < CASES / 10, "{open} histories left to the search");
}

#[test]
fn queue_by_patterns() {
    queue_property(13_000_000, false);
}

#[test]
fn queue_by_search() {
    queue_property(14_000_000, true);
}
