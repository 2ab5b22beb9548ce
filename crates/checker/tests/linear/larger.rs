//! Histories too long for the exhaustive checker: the monitors against the search, two algorithms without a line in
//! common, and histories that are linearizable because a real object made them.

use crate::support::{replay, rng};
use perjury_checker::linear::budget::Limits;
use perjury_checker::linear::models::{CasRegister, Fifo, Kv, KvCall, ReadKv};
use perjury_checker::linear::op::Op;
use perjury_checker::linear::outcome::Answer;
use perjury_checker::linear::queue::{self, Queue, QueueCall};
use perjury_checker::linear::register::{self, Register, RegisterCall};
use perjury_checker::linear::search::{self, Model};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// What a client is doing.
#[derive(Clone, Copy)]
enum Client {
    Idle,
    Asked(usize),
    Done(usize),
}

/// `n` operations of `clients` clients on a real object, each taking effect at some moment of its interval. `ask` gives
/// the call for a state, `unknown` what is left of it when its outcome is not known.
fn run<M: Model>(
    rng: &mut ChaCha8Rng,
    model: &M,
    (n, clients, info): (usize, usize, f64),
    mut ask: impl FnMut(&mut ChaCha8Rng, &M::State) -> M::Call,
    unknown: impl Fn(&M::Call) -> Option<M::Call>,
) -> Vec<Op<M::Call>> {
    let mut state = model.initial();
    let mut ops: Vec<Op<Option<M::Call>>> = Vec::new();
    let mut at = vec![Client::Idle; clients];
    let mut event = 0;
    while event < 2 * n as u64 {
        let c = rng.random_range(0..clients);
        match at[c] {
            Client::Idle => {
                ops.push(Op { process: None, invoke: event, ret: None, call: None });
                at[c] = Client::Asked(ops.len() - 1);
                event += 1;
            }
            Client::Asked(i) => {
                let call = ask(rng, &state);
                let is_lost = rng.random_bool(info);
                let happens = !is_lost || rng.random_bool(0.5);
                if happens && let Some(next) = model.apply(&state, &call) {
                    state = next;
                }
                ops[i].call = if is_lost { unknown(&call) } else { Some(call) };
                at[c] = if is_lost { Client::Idle } else { Client::Done(i) };
            }
            Client::Done(i) => {
                ops[i].ret = Some(event);
                event += 1;
                at[c] = Client::Idle;
            }
        }
    }
    let known = ops.into_iter().filter_map(|op| {
        let call = if op.ret.is_some() { op.call } else { op.call.and_then(|c| unknown(&c)) };
        Some(Op { process: op.process, invoke: op.invoke, ret: op.ret, call: call? })
    });
    known.collect()
}

fn says(answer: &Answer) -> Option<bool> {
    match answer {
        Answer::Linearizable { .. } => Some(true),
        Answer::NotLinearizable(_) => Some(false),
        Answer::Unknown(_) => None,
    }
}

fn checked<M: Model>(model: &M, ops: &[Op<M::Call>], answer: &Answer)
where
    M::Call: std::fmt::Debug,
{
    if let Answer::Linearizable { order: Some(order) } = answer {
        let apply = |s: &M::State, c: &M::Call| model.apply(s, c).into_iter().collect();
        replay(ops, order, &model.initial(), &apply);
    }
}

fn limits() -> Limits {
    Limits::new(3_000_000, 1 << 30)
}

const NAME: &dyn Fn(u32) -> String = &|v| v.to_string();

fn effects(call: &RegisterCall) -> Option<RegisterCall> {
    matches!(call, RegisterCall::Write(_) | RegisterCall::Cas(_, _)).then_some(*call)
}

/// Calls on a register whose written values are new, or one of `values` if that is not 0.
fn register_calls(values: u32) -> impl FnMut(&mut ChaCha8Rng, &u32) -> RegisterCall {
    let mut next = 0;
    move |rng, state| {
        let mut fresh = |rng: &mut ChaCha8Rng| {
            next += 1;
            if values == 0 { next } else { rng.random_range(1..=values) }
        };
        match rng.random_range(0..4) {
            0 => RegisterCall::Write(fresh(rng)),
            1 => RegisterCall::Cas(*state, fresh(rng)),
            _ => RegisterCall::Read(*state),
        }
    }
}

#[test]
fn zones_and_search_agree() {
    let model = CasRegister { initial: 0, name: NAME };
    let mut counts = [0, 0];
    for seed in 0..1500 {
        let mut rng = rng(20_000_000 + seed);
        let size = (rng.random_range(20..120), rng.random_range(2..9), 0.05);
        let mut ops = run(&mut rng, &model, size, register_calls(0), effects);
        if rng.random_bool(0.6) && !ops.is_empty() {
            let i = rng.random_range(0..ops.len());
            if let RegisterCall::Read(v) = &mut ops[i].call {
                *v = v.saturating_sub(rng.random_range(1..4));
            }
        }
        let register = Register { ops, initial: 0, aborted: Vec::new() };
        let zones = register::decide(&register, true, &mut limits(), NAME);
        checked(&model, &register.ops, &zones);
        let searched = search::decide(&model, &register.ops, true, &mut limits());
        checked(&model, &register.ops, &searched);
        let (Some(a), Some(b)) = (says(&zones), says(&searched)) else { continue };
        assert_eq!(a, b, "seed {seed}: {zones:?}");
        counts[usize::from(a)] += 1;
        if let (Answer::NotLinearizable(a), Answer::NotLinearizable(b)) = (&zones, &searched) {
            assert_eq!(a.prefix_end, b.prefix_end, "seed {seed}: {} {}", a.sentence, b.sentence);
        }
    }
    assert!(counts[0] > 200 && counts[1] > 600, "{counts:?}");
}

#[test]
fn queue_patterns_and_search_agree() {
    let model = Fifo { name: NAME };
    let mut counts = [0, 0];
    for seed in 0..1000 {
        let mut rng = rng(21_000_000 + seed);
        let size = (rng.random_range(20..40), rng.random_range(2..5), 0.03);
        let mut next = 0;
        let calls = |rng: &mut ChaCha8Rng, state: &<Fifo<'_> as Model>::State| {
            if rng.random_bool(0.5) {
                next += 1;
                return QueueCall::Enqueue(next);
            }
            state.front().map_or(QueueCall::Empty, |v| QueueCall::Dequeue(*v))
        };
        let unknown = |c: &QueueCall| match c {
            QueueCall::Enqueue(_) => Some(*c),
            _ => Some(QueueCall::Take),
        };
        let mut ops = run(&mut rng, &model, size, calls, unknown);
        let dequeues: Vec<usize> =
            (0..ops.len()).filter(|i| matches!(ops[*i].call, QueueCall::Dequeue(_))).collect();
        if rng.random_bool(0.5) && dequeues.len() > 1 {
            let i = rng.random_range(0..dequeues.len() - 1);
            let (a, b) = (dequeues[i], dequeues[i + 1]);
            (ops[a].call, ops[b].call) = (ops[b].call, ops[a].call);
        }
        let queue = Queue { ops, aborted: Vec::new() };
        let Some(fast) = queue::decide(&queue, true, &mut limits(), NAME) else { continue };
        checked(&model, &queue.ops, &fast);
        // The states of a queue are many: a search of it is small or given up.
        let searched = search::decide(&model, &queue.ops, true, &mut Limits::new(20_000, 1 << 30));
        checked(&model, &queue.ops, &searched);
        let (Some(a), Some(b)) = (says(&fast), says(&searched)) else { continue };
        assert_eq!(a, b, "seed {seed}: {fast:?}");
        counts[usize::from(a)] += 1;
    }
    assert!(counts[0] > 50 && counts[1] > 300, "{counts:?}");
}

#[test]
fn what_a_real_register_did_is_linearizable() {
    let model = CasRegister { initial: 0, name: NAME };
    let mut decided = 0;
    for seed in 0..150 {
        let mut rng = rng(22_000_000 + seed);
        let info = if seed % 2 == 0 { 0.0 } else { 0.1 };
        let size = (rng.random_range(100..800), rng.random_range(5..18), info);
        let ops = run(&mut rng, &model, size, register_calls(5), effects);
        let answer = search::decide(&model, &ops, true, &mut limits());
        assert_ne!(says(&answer), Some(false), "seed {seed}");
        checked(&model, &ops, &answer);
        decided += u64::from(says(&answer) == Some(true));
    }
    assert!(decided > 120, "only {decided} were decided");
}

#[test]
fn what_a_real_string_did_is_linearizable_and_a_lost_append_is_not() {
    let plain = Kv;
    for seed in 0..150 {
        let mut rng = rng(23_000_000 + seed);
        let size = (rng.random_range(50..200), rng.random_range(2..6), 0.0);
        let mut next = 0;
        let calls = |rng: &mut ChaCha8Rng, state: &<Kv as Model>::State| {
            if rng.random_bool(0.5) {
                return KvCall::Get(state.clone());
            }
            next += 1;
            KvCall::Append(format!("{next},").into())
        };
        let unknown = |c: &KvCall| (!matches!(c, KvCall::Get(_))).then(|| c.clone());
        let mut ops = run(&mut rng, &plain, size, calls, unknown);
        let answer = search::decide(&ReadKv::new(&ops), &ops, true, &mut limits());
        assert_eq!(says(&answer), Some(true), "seed {seed}");
        checked(&plain, &ops, &answer);
        let last = ops.iter_mut().rev().find_map(|o| match &mut o.call {
            KvCall::Get(v) if v.matches(',').count() > 2 => Some(v),
            _ => None,
        });
        let Some(last) = last else { continue };
        let cut = last.find(',').map_or(0, |at| at + 1);
        *last = last[cut..].into();
        let answer = search::decide(&ReadKv::new(&ops), &ops, true, &mut limits());
        assert_eq!(says(&answer), Some(false), "seed {seed}");
    }
}
