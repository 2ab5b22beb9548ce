//! From a history to a decision: which model, which algorithm.

use super::budget::Budget;
use super::convert::{self, Malformed, Object};
use super::log::{self, Holes, Log};
use super::models::{Access, CasRegister, Fifo, MultiRegister, Mutex, ReadKv};
use super::op::Op;
use super::outcome::{Answer, Method, ModelName, ObjectOutcome, Outcome, Unknown};
use super::queue::{self, Queue};
use super::register::{self, Register, RegisterCall};
use super::search::{self, Model};
use perjury_history::{History, Scalar, ValueId};

/// What a register holds before anything is written to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Initial {
    /// Nothing (nil).
    #[default]
    Nil,
    /// This value.
    Value(Scalar),
    /// The history does not say: nil, or when that cannot be and nil was never read, the one value that was read but
    /// never written, or 0. A note tells what was taken.
    Infer,
}

/// What a failed compare-and-set means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailedCas {
    /// Without an error it observed that the value differed, as in etcd; with one it did not happen.
    #[default]
    Differs,
    /// It did not happen.
    Nothing,
}

/// How a history is to be decided.
#[derive(Debug, Clone)]
pub struct Options {
    /// The model; recognised from the content when absent.
    pub model: Option<ModelName>,
    /// Whether to build a linearization where there is one.
    pub certificate: bool,
    /// What registers hold at first. Several registers under transactions infer it when this is nil.
    pub initial: Initial,
    /// What a failed compare-and-set means.
    pub failed_cas: FailedCas,
    /// What an offset of a log is that no answer attributes.
    pub holes: Holes,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            model: None,
            certificate: true,
            initial: Initial::default(),
            failed_cas: FailedCas::default(),
            holes: Holes::default(),
        }
    }
}

/// The model that the operations of a history fit, by their functions and values.
pub fn recognise(history: &History) -> Option<ModelName> {
    convert::recognise(history)
}

/// Decides whether a history is linearizable.
///
/// Structure is used before search: logs by the windows of their offsets, registers and queues with unique values in
/// near-linear time, everything else by a frontier of configurations within `budget`. Each key is decided alone.
pub fn decide(history: &History, options: &Options, budget: &mut dyn Budget) -> Outcome {
    let Some(model) = options.model.or_else(|| recognise(history)) else {
        return Outcome::undecided(
            None,
            Unknown::new("unrecognised", 0, "No model fits the operations of this history."),
        );
    };
    if !history.has_invocations() {
        let sentence = "Linearizability needs invocations, and this history has none.";
        return Outcome::undecided(Some(model), Unknown::new("no-invocations", 0, sentence));
    }
    if !convert::has_ok(history) {
        let sentence = "No operation of this history is known to have happened.";
        let unknown = Unknown::new("no-successful-operation", 0, sentence);
        return Outcome::undecided(Some(model), unknown);
    }
    let outcome = match model {
        ModelName::Log => decide_logs(history, options, budget),
        ModelName::CasRegister => decide_registers(history, options, budget),
        ModelName::Queue => Ok(decide_queues(history, options, budget)),
        ModelName::Mutex => {
            let objects = convert::mutexes(history);
            let decided = by_search(|_| Mutex, objects, options, budget);
            Ok(Outcome::of(model, decided, Vec::new()))
        }
        ModelName::Kv => convert::kvs(history).map(|objects| {
            Outcome::of(model, by_search(ReadKv::new, objects, options, budget), Vec::new())
        }),
        ModelName::MultiRegister => decide_multi(history, options, budget),
    };
    outcome.unwrap_or_else(|Malformed { index, message }| {
        let sentence = format!("Event {index} is malformed: {message}.");
        Outcome::undecided(Some(model), Unknown::new("malformed-operation", index, sentence))
    })
}

fn decide_logs(
    history: &History,
    options: &Options,
    budget: &mut dyn Budget,
) -> Result<Outcome, Malformed> {
    let name = |code: i64| history.value(ValueId(code)).to_string();
    let logs = convert::logs(history, options.holes)?;
    let objects = logs.into_iter().map(|Object { key, body }: Object<Log>| ObjectOutcome {
        key,
        operations: body.ops.len() as u64,
        method: Method::LogWindows,
        answer: log::decide(&body, options.certificate, budget, &name),
    });
    Ok(Outcome::of(ModelName::Log, objects.collect(), Vec::new()))
}

fn decide_registers(
    history: &History,
    options: &Options,
    budget: &mut dyn Budget,
) -> Result<Outcome, Malformed> {
    let (registers, mut codes) = convert::registers(history, options.failed_cas)?;
    let initial = match &options.initial {
        Initial::Value(value) => codes.scalar(value),
        _ => 0,
    };
    let name = |code: u32| codes.name(code);
    let mut notes = Vec::new();
    let objects = registers.into_iter().map(|Object { key, mut body }| {
        body.initial = initial;
        let mut outcome = decide_register(key, &body, options, budget, &name);
        if options.initial == Initial::Infer
            && outcome.is_broken()
            && let Some(other) = inferred(&body, codes.int(0))
        {
            body.initial = other;
            let again = decide_register(outcome.key.clone(), &body, options, budget, &name);
            if again.is_linearizable() {
                notes.push(inferred_note(&name(other)));
                outcome = again;
            }
        }
        outcome
    });
    let objects = objects.collect();
    Ok(Outcome::of(ModelName::CasRegister, objects, notes))
}

fn inferred_note(value: &str) -> String {
    format!(
        "The history does not say what a register holds at first; it is linearizable with {value}, not with nil."
    )
}

/// The first value that a register may have had when it cannot have been nil.
fn inferred(register: &Register, zero: Option<u32>) -> Option<u32> {
    let mut written: Vec<u32> = Vec::new();
    let mut seen: Vec<u32> = Vec::new();
    for op in &register.ops {
        match op.call {
            RegisterCall::Read(v) => seen.push(v),
            RegisterCall::Write(v) => written.push(v),
            RegisterCall::Cas(a, b) => {
                seen.push(a);
                written.push(b);
            }
            RegisterCall::Differs(_) => {}
        }
    }
    single_or_zero(seen, written, zero)
}

fn single_or_zero(mut seen: Vec<u32>, mut written: Vec<u32>, zero: Option<u32>) -> Option<u32> {
    seen.sort_unstable();
    seen.dedup();
    if seen.first() == Some(&0) {
        return None;
    }
    written.sort_unstable();
    seen.retain(|v| written.binary_search(v).is_err());
    match seen.as_slice() {
        [] => zero,
        [one] => Some(*one),
        _ => None,
    }
}

fn decide_register(
    key: Option<Scalar>,
    body: &Register,
    options: &Options,
    budget: &mut dyn Budget,
    name: &dyn Fn(u32) -> String,
) -> ObjectOutcome {
    let operations = body.ops.len() as u64;
    let outcome = |method, answer| ObjectOutcome { key, operations, method, answer };
    if body.is_unique() {
        let answer = register::decide(body, options.certificate, budget, name);
        return outcome(Method::RegisterZones, answer);
    }
    let without = body.without_failed_cas();
    if without.ops.len() < body.ops.len() && without.is_unique() {
        let answer = register::decide(&without, false, budget, name);
        if matches!(answer, Answer::NotLinearizable(_)) {
            return outcome(Method::RegisterZones, answer);
        }
    }
    let model = CasRegister { initial: body.initial, name };
    let ops = body.without_unseen();
    outcome(Method::Frontier, search::decide(&model, &ops, options.certificate, budget))
}

fn decide_queues(history: &History, options: &Options, budget: &mut dyn Budget) -> Outcome {
    let (queues, codes) = convert::queues(history);
    let name = |code: u32| codes.name(code);
    let objects = queues.into_iter().map(|Object { key, body }: Object<Queue>| {
        let operations = body.ops.len() as u64;
        let fast = if body.is_unique() {
            queue::decide(&body, options.certificate, budget, &name)
        } else {
            None
        };
        let (method, answer) = match fast {
            Some(answer) => (Method::QueuePatterns, answer),
            None => {
                let model = Fifo { name: &name };
                let answer = search::decide(&model, &body.ops, options.certificate, budget);
                (Method::Frontier, answer)
            }
        };
        ObjectOutcome { key, operations, method, answer }
    });
    let objects = objects.collect();
    Outcome::of(ModelName::Queue, objects, Vec::new())
}

fn by_search<M: Model>(
    model: impl Fn(&[Op<M::Call>]) -> M,
    objects: Vec<Object<Vec<Op<M::Call>>>>,
    options: &Options,
    budget: &mut dyn Budget,
) -> Vec<ObjectOutcome> {
    let outcomes = objects.into_iter().map(|Object { key, body }| ObjectOutcome {
        key,
        operations: body.len() as u64,
        method: Method::Frontier,
        answer: search::decide(&model(&body), &body, options.certificate, budget),
    });
    outcomes.collect()
}

fn decide_multi(
    history: &History,
    options: &Options,
    budget: &mut dyn Budget,
) -> Result<Outcome, Malformed> {
    let mut multi = convert::multi_register(history)?;
    let first = match &options.initial {
        Initial::Value(value) => multi.values.scalar(value),
        _ => 0,
    };
    let registers = multi.registers();
    let run = |initial: Vec<u32>, budget: &mut dyn Budget| {
        let model = MultiRegister {
            initial,
            key: &|k| multi.keys.name(k + 1),
            name: &|v| multi.values.name(v),
        };
        ObjectOutcome {
            key: None,
            operations: multi.ops.len() as u64,
            method: Method::Frontier,
            answer: search::decide(&model, &multi.ops, options.certificate, budget),
        }
    };
    let mut notes = Vec::new();
    let mut outcome = run(vec![first; registers], budget);
    let open = !matches!(options.initial, Initial::Value(_));
    if open && outcome.is_broken() {
        let initial: Vec<u32> = (0u32..)
            .take(registers)
            .map(|k| inferred_of(&multi.ops, k, multi.values.int(0)).unwrap_or(0))
            .collect();
        if initial.iter().any(|v| *v != 0) {
            let again = run(initial.clone(), budget);
            if again.is_linearizable() {
                let values: Vec<String> = initial.iter().map(|v| multi.values.name(*v)).collect();
                notes.push(inferred_note(&values.join(", ")));
                outcome = again;
            }
        }
    }
    Ok(Outcome::of(ModelName::MultiRegister, vec![outcome], notes))
}

fn inferred_of(ops: &[Op<Box<[Access]>>], register: u32, zero: Option<u32>) -> Option<u32> {
    let (mut seen, mut written) = (Vec::new(), Vec::new());
    for access in ops.iter().flat_map(|o| o.call.iter()) {
        match *access {
            Access::Read(k, v) if k == register => seen.push(v),
            Access::Write(k, v) if k == register => written.push(v),
            _ => {}
        }
    }
    single_or_zero(seen, written, zero)
}

impl ObjectOutcome {
    fn is_broken(&self) -> bool {
        matches!(self.answer, Answer::NotLinearizable(_))
    }

    fn is_linearizable(&self) -> bool {
        matches!(self.answer, Answer::Linearizable { .. })
    }
}
