//! The general decision: any model, by a frontier of configurations with a budget.
//!
//! # How it is decided
//! A *configuration* is a state of the model with the set of open operations that have already taken effect (Lowe 2017,
//! just-in-time linearization). The frontier holds all configurations that explain the events so far; it grows only
//! when an operation returns that some configuration has not yet placed, and its size does not depend on the length of
//! the history. The decision is exact; five observations keep the frontier small:
//!
//! 1. An operation that only observes takes effect as soon as its answer fits: it changes nothing, so moving it there
//!    keeps any linearization valid.
//! 2. An operation that overwrites the whole state can always be hidden directly before another overwrite that took
//!    effect during it. Such an operation is *covered*: when it returns it may have been hidden there, so the sets of
//!    hidden writes need not be enumerated.
//! 3. Two overwrites in a row with nothing observed between them are covered by 2, and are not tried.
//! 4. Operations of unknown outcome with equal calls are interchangeable, and those whose effect no answer shows
//!    ([`Model::may_be_seen`]) are left out.
//! 5. A configuration that another one can imitate is dropped: it used more operations of unknown outcome, or has a
//!    write placed or not placed that the other has covered.
//!
//! The search runs in stages, from a narrow beam of configurations to all of them. A linearization that a narrow search
//! finds is one; only the last stage, or one that left nothing out, can say that there is none.
//!
//! # Certificate
//! Each configuration remembers how it came about. On a violation the report shows the operation that returned without
//! a place and how the longest linearizations before it end.

mod bits;
mod crashed;
mod engine;
mod frontier;
mod path;
mod table;

use super::budget::Budget;
use super::op::{Op, OpRef};
use super::outcome::{Answer, Unknown};
use engine::{Beam, Engine};
use std::hash::Hash;

/// What an operation does to the state, whatever the state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// It never changes the state.
    Observer,
    /// It is possible in every state, its answer says nothing, and the state afterwards does not depend on the one
    /// before.
    Overwrite,
    /// Anything else.
    Update,
}

/// A sequential object.
pub trait Model {
    /// The object's state.
    type State: Clone + Eq + Hash;
    /// What is asked, together with the answer, if one came.
    type Call: Clone + Eq + Hash;

    /// The state at first.
    fn initial(&self) -> Self::State;

    /// The state after a call, or `None` when the call cannot be answered like that in this state.
    fn apply(&self, state: &Self::State, call: &Self::Call) -> Option<Self::State>;

    /// What a call does to any state. [`Role::Update`] is always right; the others make the decision faster.
    fn role(&self, call: &Self::Call) -> Role;

    /// Whether any answer could show this state or one that follows from it by further updates. An operation of unknown
    /// outcome whose effect nobody can have seen need not be considered. `true` is always right.
    fn may_be_seen(&self, _state: &Self::State) -> bool {
        true
    }

    /// About how many bytes a state holds.
    fn weight(&self, _state: &Self::State) -> usize {
        std::mem::size_of::<Self::State>()
    }

    /// A state for people.
    fn show_state(&self, state: &Self::State) -> String;

    /// A state for people, which these calls lead to. For models whose states do not hold all that people want to know.
    fn show_state_after(&self, _calls: &[&Self::Call], state: &Self::State) -> String {
        self.show_state(state)
    }

    /// A call with its answer for people, as a verb phrase: "read 3", "wrote 5".
    fn show_call(&self, call: &Self::Call) -> String;
}

/// Decides whether `ops`, in order of invocation, can be linearized by `model`. Operations that never returned may take
/// effect or not; those that only observe should be left out. `base` maps an operation to how people know it.
///
/// Cost: exponential in the operations open at once in the worst case, within `budget`; memory does not grow with the
/// length of the history beyond 16 bytes an operation and the certificate.
pub fn decide<M: Model>(
    model: &M,
    ops: &[Op<M::Call>],
    certificate: bool,
    budget: &mut dyn Budget,
) -> Answer {
    let events = events(ops);
    let width = open_max(&events, ops);
    match width {
        0..=64 => in_stages::<M, u64>(model, ops, &events, certificate, budget),
        65..=128 => in_stages::<M, u128>(model, ops, &events, certificate, budget),
        129..=1024 => in_stages::<M, bits::Wide>(model, ops, &events, certificate, budget),
        _ => Answer::Unknown(Unknown::new(
            "too-many-open",
            ops.first().map_or(0, |o| o.invoke),
            format!("{width} operations are open at once; the search takes up to 1024."),
        )),
    }
}

/// Searches narrowly first: where there is a linearization, one is usually found without looking at every
/// configuration. A narrow search that fails although it left something out says nothing, and a wider one follows.
fn in_stages<M: Model, B: bits::Bits>(
    model: &M,
    ops: &[Op<M::Call>],
    events: &[Event],
    certificate: bool,
    budget: &mut dyn Budget,
) -> Answer {
    let mut answer = None;
    for beam in Beam::STAGES {
        let mut engine = Engine::<M, B>::new(model, ops, events, certificate, beam);
        let found = engine.run(budget);
        let is_open = matches!(found, Answer::NotLinearizable(_)) && engine.is_partial;
        answer = Some(found);
        if !is_open {
            break;
        }
    }
    answer.unwrap_or(Answer::Linearizable { order: None })
}

/// A position in the history, the operation, and whether it returns there.
type Event = (u64, u32, bool);

/// All events in order.
fn events<C>(ops: &[Op<C>]) -> Vec<Event> {
    let mut returns: Vec<Event> =
        (0u32..).zip(ops).filter_map(|(i, op)| Some((op.ret?, i, true))).collect();
    // Operations mostly return in the order in which they were invoked, which this sort makes use of.
    returns.sort();
    let mut invocations: Vec<Event> =
        (0u32..).zip(ops).map(|(i, op)| (op.invoke, i, false)).collect();
    invocations.sort();
    let mut events = Vec::with_capacity(invocations.len() + returns.len());
    let mut returns = returns.into_iter().peekable();
    for invocation in invocations {
        while let Some(ret) = returns.next_if(|r| *r < invocation) {
            events.push(ret);
        }
        events.push(invocation);
    }
    events.extend(returns);
    events
}

/// The greatest number of operations that are open at once and return at some time.
fn open_max<C>(events: &[Event], ops: &[Op<C>]) -> usize {
    let (mut open, mut most) = (0usize, 0);
    for (_, op, is_return) in events {
        if *is_return {
            open -= 1;
        } else if ops[*op as usize].ret.is_some() {
            open += 1;
            most = most.max(open);
        }
    }
    most
}

/// Names operations by their events.
fn ids<C>(ops: &[Op<C>]) -> Vec<OpRef> {
    ops.iter().map(Op::id).collect()
}
