//! The exhaustive checker, the certificate's replay and the shapes of tiny histories.
use perjury_checker::linear::op::Op;
use perjury_checker::linear::outcome::Answer;
use rand::Rng;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// How many histories of each kind.
pub(crate) const CASES: u64 = 20_000;

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

pub(crate) fn oracle<S: Clone, C>(
    ops: &[Op<C>],
    initial: &S,
    apply: &dyn Fn(&S, &C) -> Vec<S>,
) -> bool {
    exhaustive(ops, initial, apply, &mut vec![false; ops.len()])
}

/// Replays a certificate: all returned operations, real-time order kept, every answer right.
pub(crate) fn replay<S: Clone, C: std::fmt::Debug>(
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
pub(crate) struct Shape {
    pub(crate) spans: Vec<(u64, Option<u64>)>,
    pub(crate) moments: Vec<usize>,
}

pub(crate) fn shape(rng: &mut ChaCha8Rng, n: usize, info: f64) -> Shape {
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

pub(crate) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub(crate) fn pick_shape(rng: &mut ChaCha8Rng) -> Shape {
    let n = rng.random_range(2..=7);
    let info = *[0.0, 0.1, 0.3, 0.6].get(rng.random_range(0..4)).expect("in range");
    shape(rng, n, info)
}

/// What had happened before an event.
pub(crate) type Cut<'c, C> = dyn Fn(&[Op<C>], u64) -> Vec<Op<C>> + 'c;

/// Compares an answer with the oracle on the whole history and on its prefixes.
pub(crate) fn compare<S: Clone, C: Clone + std::fmt::Debug>(
    answer: &Answer,
    ops: &[Op<C>],
    initial: &S,
    apply: &dyn Fn(&S, &C) -> Vec<S>,
    before: &Cut<'_, C>,
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

pub(crate) fn cut<C: Clone>(
    ops: &[Op<C>],
    before: u64,
    pending: impl Fn(&C) -> Option<C>,
) -> Vec<Op<C>> {
    let cut = ops.iter().filter(|o| o.invoke < before).filter_map(|o| {
        if o.ret.is_some_and(|r| r < before) {
            return Some(o.clone());
        }
        Some(Op { ret: None, call: pending(&o.call)?, ..o.clone() })
    });
    cut.collect()
}
