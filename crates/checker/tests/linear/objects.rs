//! Registers, strings, locks and queues against an exhaustive checker of a few lines, on many tiny histories.
//!
//! Histories are made by running a real object at random moments of random intervals; half of them are then damaged.
//! Where the answer is yes, the certificate is replayed; where it is no, the reported event must be the first at which
//! the exhaustive checker says no.

use crate::support::{CASES, compare, cut, pick_shape, rng};
use perjury_checker::linear::budget::Unlimited;
use perjury_checker::linear::models::{
    Access, CasRegister, Fifo, Kv, KvCall, MultiRegister, Mutex, MutexCall, ReadKv,
};
use perjury_checker::linear::op::Op;
use perjury_checker::linear::queue::{self, Queue, QueueCall};
use perjury_checker::linear::register::{self, Register, RegisterCall};
use perjury_checker::linear::search::{self, Model};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

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
    let plain = Kv;
    let apply =
        |s: &<Kv as Model>::State, c: &KvCall| plain.apply(s, c).into_iter().collect::<Vec<_>>();
    let pending = |c: &KvCall| (!matches!(c, KvCall::Get(_))).then(|| c.clone());
    for seed in 0..CASES {
        let mut rng = rng(10_000_000 + seed);
        let mut ops = run(&mut rng, &plain, |rng, state| match rng.random_range(0..5) {
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
        let answer = search::decide(&ReadKv::new(&ops), &ops, true, &mut Unlimited);
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

type State = Box<[u32]>;
type Call = Box<[Access]>;

#[test]
fn several_registers() {
    let mut counts = [0; 2];
    let name = |v: u32| v.to_string();
    let model = MultiRegister { initial: vec![0, 0], key: &name, name: &name };
    let apply = |s: &State, c: &Call| model.apply(s, c).into_iter().collect::<Vec<_>>();
    let pending = |c: &Call| c.iter().any(|a| matches!(a, Access::Write(_, _))).then(|| c.clone());
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
        let before = |ops: &[Op<Call>], at: u64| cut(ops, at, pending);
        let initial: State = Box::new([0, 0]);
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
