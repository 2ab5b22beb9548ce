//! The loop over events.

use super::bits::Bits;
use super::crashed::{Kind, Used};
use super::frontier::{Config, Key, Queue, Set, narrow, prune};
use super::path::{Paths, ROOT, Step};
use super::table::{ILLEGAL, Table, small};
use super::{Event, Model, Role, ids};
use crate::linear::budget::{Budget, Exhausted};
use crate::linear::op::{Op, OpRef};
use crate::linear::outcome::{Answer, Attempt, Unknown, Violation};
use rustc_hash::FxHashMap;

const NO_SLOT: u32 = u32::MAX;
/// Ways in which the longest linearizations end that a report shows.
const ATTEMPTS_MAX: usize = 4;
/// Operations shown of each.
const TAIL_MAX: usize = 8;

/// What is looked at. A narrow search finds a linearization sooner if there is one, but its *no* says nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beam {
    /// How many more operations of unknown outcome than necessary a configuration may have used.
    pub(super) slack: u32,
    /// How many configurations are kept from one return to the next.
    pub(super) width: usize,
}

impl Beam {
    /// From narrow to everything.
    pub(super) const STAGES: [Beam; 5] = [
        Beam { slack: 1, width: 6 },
        Beam { slack: 1, width: 64 },
        Beam { slack: 4, width: 1024 },
        Beam { slack: 16, width: 16_384 },
        Beam { slack: u32::MAX, width: usize::MAX },
    ];
}

pub(super) struct Engine<'a, M: Model, B> {
    ops: &'a [Op<M::Call>],
    events: &'a [Event],
    table: Table<'a, M>,
    model: &'a M,
    call_of: Vec<u32>,
    certificate: bool,
    slot_of: Vec<u32>,
    slots: Vec<u32>,
    free: Vec<u32>,
    observers: B,
    overwrites: B,
    updates: B,
    kinds: Vec<Kind>,
    kind_of: FxHashMap<u32, u32>,
    used: Used,
    paths: Paths,
    frontier: Vec<Config<B>>,
    queue: Queue,
    seen: Set<B>,
    out: Set<B>,
    /// By state: the open observers whose answer fits, and the step for which that was found out.
    fits: Vec<(u32, B)>,
    step: u32,
    accounted: i64,
    work: u32,
    beam: Beam,
    /// Whether something was left out that the beam excludes.
    pub(super) is_partial: bool,
}

impl<'a, M: Model, B: Bits> Engine<'a, M, B> {
    pub(super) fn new(
        model: &'a M,
        ops: &'a [Op<M::Call>],
        events: &'a [Event],
        certificate: bool,
        beam: Beam,
    ) -> Self {
        let (table, call_of) = Table::new(model, ops.iter().map(|o| &o.call));
        let key = Key { done: B::default(), covered: B::default(), state: 0, used: 0 };
        Engine {
            ops,
            events,
            table,
            model,
            call_of,
            certificate,
            slot_of: vec![NO_SLOT; ops.len()],
            slots: Vec::new(),
            free: Vec::new(),
            observers: B::default(),
            overwrites: B::default(),
            updates: B::default(),
            kinds: Vec::new(),
            kind_of: FxHashMap::default(),
            used: Used::new(),
            paths: Paths::default(),
            frontier: vec![Config { key, node: ROOT, quiet: false }],
            queue: Queue::default(),
            seen: Set::new(),
            out: Set::new(),
            fits: Vec::new(),
            step: 0,
            accounted: 0,
            work: 0,
            beam,
            is_partial: false,
        }
    }

    pub(super) fn run(&mut self, budget: &mut dyn Budget) -> Answer {
        let events = self.events;
        let fixed = i64::try_from(40 * events.len()).unwrap_or(i64::MAX / 4);
        if let Err(what) = budget.step(fixed) {
            return Answer::Unknown(Unknown::exhausted(what, 0));
        }
        let mut answer = None;
        for &(event, op, is_return) in events {
            if !is_return {
                self.invoke(op);
                continue;
            }
            if let Err(what) = self.place(op, budget) {
                answer = Some(Answer::Unknown(Unknown::exhausted(what, event)));
                break;
            }
            if self.out.list.is_empty() {
                answer = Some(Answer::NotLinearizable(Box::new(self.violation(op, event))));
                break;
            }
            self.retire(op);
        }
        let order = || {
            let head = self.frontier.first().map_or(ROOT, |c| c.node);
            self.certificate.then(|| self.invocations(head))
        };
        let answer = answer.unwrap_or_else(|| Answer::Linearizable { order: order() });
        // What is given back cannot run out.
        let _ = budget.step(-fixed - self.accounted);
        answer
    }

    fn invoke(&mut self, op: u32) {
        let call = self.call_of[op as usize];
        let role = self.table.role(call);
        if self.ops[op as usize].ret.is_none() {
            if role != Role::Observer {
                let kind = *self.kind_of.entry(call).or_insert_with(|| {
                    self.kinds.push(Kind { call, ops: Vec::new(), open: 0 });
                    small(self.kinds.len() - 1)
                });
                let kind = &mut self.kinds[kind as usize];
                kind.ops.push(op);
                kind.open += 1;
            }
            return;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(NO_SLOT);
            small(self.slots.len() - 1)
        });
        self.slots[slot as usize] = op;
        self.slot_of[op as usize] = slot;
        let set = self.role_set(role);
        *set = set.with(slot as usize);
    }

    fn role_set(&mut self, role: Role) -> &mut B {
        match role {
            Role::Observer => &mut self.observers,
            Role::Overwrite => &mut self.overwrites,
            Role::Update => &mut self.updates,
        }
    }

    fn retire(&mut self, op: u32) {
        let slot = self.slot_of[op as usize];
        let role = self.table.role(self.call_of[op as usize]);
        let set = self.role_set(role);
        *set = set.without(slot as usize);
        self.free.push(slot);
        std::mem::swap(&mut self.frontier, &mut self.out.list);
        prune(&mut self.frontier, self.overwrites, &self.used);
        self.is_partial |= narrow(&mut self.frontier, &self.used, self.beam);
        if self.paths.is_due() {
            self.paths.keep(self.frontier.iter_mut().map(|c| &mut c.node));
        }
    }

    /// Extends every configuration until `op`, which returns now, has taken effect. Configurations that used fewer
    /// operations of unknown outcome come first, so that they can stand in for others.
    fn place(&mut self, op: u32, budget: &mut dyn Budget) -> Result<(), Exhausted> {
        self.step += 1;
        self.seen.clear();
        self.out.clear();
        let slot = self.slot_of[op as usize] as usize;
        let mut queue = std::mem::take(&mut self.queue);
        queue.clear();
        for i in 0..self.frontier.len() {
            let Config { key, node, .. } = self.frontier[i];
            if let Some(at) = self.visit(key, node, None) {
                queue.push(self.used.total(key.used), at);
            }
        }
        let extended = self.extend(op, slot, &mut queue, budget);
        self.queue = queue;
        extended
    }

    /// Looks at what is in the queue, the fewest used first.
    fn extend(
        &mut self,
        op: u32,
        slot: usize,
        queue: &mut Queue,
        budget: &mut dyn Budget,
    ) -> Result<(), Exhausted> {
        let mut most = u32::MAX;
        while let Some((used, at)) = queue.pop() {
            if used > most || self.out.list.len() > self.beam.width.saturating_mul(4) {
                self.is_partial = true;
                break;
            }
            let config = self.seen.list[at];
            self.spend(budget)?;
            if most == u32::MAX && !self.out.list.is_empty() {
                let least = self.out.list.iter().map(|c| self.used.total(c.key.used)).min();
                most = least.map_or(u32::MAX, |l| l.saturating_add(self.beam.slack));
            }
            if config.key.done.has(slot) {
                self.emit(config.key, slot, config.node);
                continue;
            }
            if config.key.covered.has(slot) {
                let node = self.push_step(config.node, Step::Hidden(op));
                self.emit(config.key, slot, node);
            }
            self.expand(&config, queue);
        }
        Ok(())
    }

    fn emit(&mut self, key: Key<B>, slot: usize, node: u32) {
        let key = Key { done: key.done.without(slot), covered: key.covered.without(slot), ..key };
        let _ = self.out.insert(key, false, &self.used, || node);
    }

    fn push_step(&mut self, node: u32, step: Step) -> u32 {
        if self.certificate { self.paths.push(node, step) } else { ROOT }
    }

    /// Lets each open operation that changes the state take effect next.
    fn expand(&mut self, config: &Config<B>, queue: &mut Queue) {
        let key = config.key;
        let writes = if config.quiet { B::default() } else { self.overwrites };
        writes.union(self.updates).difference(key.done).each(|slot| {
            let op = self.slots[slot];
            let state = self.table.apply(key.state, self.call_of[op as usize]);
            if state == ILLEGAL {
                return;
            }
            let next = Key {
                done: key.done.with(slot),
                covered: key.covered.without(slot),
                state,
                used: key.used,
            };
            let step = if self.overwrites.has(slot) { Step::Overwrite(op) } else { Step::Live(op) };
            if let Some(at) = self.visit(next, config.node, Some(step)) {
                queue.push(self.used.total(next.used), at);
            }
        });
        for kind in 0..self.kinds.len() {
            self.expand_crashed(config, kind, queue);
        }
    }

    /// Lets an operation of unknown outcome take effect next.
    fn expand_crashed(&mut self, config: &Config<B>, kind: usize, queue: &mut Queue) {
        let key = config.key;
        let call = self.kinds[kind].call;
        let is_overwrite = self.table.role(call) == Role::Overwrite;
        if config.quiet && is_overwrite {
            return;
        }
        let state = self.table.apply(key.state, call);
        if state == ILLEGAL
            || (state == key.state && !is_overwrite)
            || !self.table.may_be_seen(state)
        {
            return;
        }
        let count = self.used.count(key.used, small(kind));
        if count >= self.kinds[kind].open {
            return;
        }
        let op = self.kinds[kind].ops[count];
        let next = Key { state, used: self.used.plus(key.used, small(kind)), ..key };
        let step = if is_overwrite { Step::Overwrite(op) } else { Step::Live(op) };
        if let Some(at) = self.visit(next, config.node, Some(step)) {
            queue.push(self.used.total(next.used), at);
        }
    }

    /// Notes a configuration after letting every observer whose answer fits take effect.
    fn visit(&mut self, mut key: Key<B>, parent: u32, step: Option<Step>) -> Option<usize> {
        let overwrote = matches!(step, Some(Step::Overwrite(_)));
        if overwrote {
            key.covered = key.covered.union(self.overwrites.difference(key.done));
        }
        let observed = self.fitting(key.state).difference(key.done);
        key.done = key.done.union(observed);
        let quiet = overwrote && observed.is_empty();
        let (paths, slots, certificate) = (&mut self.paths, &self.slots, self.certificate);
        self.seen.insert(key, quiet, &self.used, || {
            if !certificate {
                return ROOT;
            }
            let mut node = parent;
            if let Some(step) = step {
                node = paths.push(node, step);
            }
            observed.each(|slot| node = paths.push(node, Step::Live(slots[slot])));
            node
        })
    }

    /// The open observers whose answer fits a state.
    fn fitting(&mut self, state: u32) -> B {
        let at = state as usize;
        if self.fits.len() < self.table.states_len() {
            self.fits.resize(self.table.states_len(), (0, B::default()));
        }
        if self.fits[at].0 != self.step {
            let mut fitting = B::default();
            self.observers.each(|slot| {
                let call = self.call_of[self.slots[slot] as usize];
                if self.table.apply(state, call) != ILLEGAL {
                    fitting = fitting.with(slot);
                }
            });
            self.fits[at] = (self.step, fitting);
        }
        self.fits[at].1
    }

    fn spend(&mut self, budget: &mut dyn Budget) -> Result<(), Exhausted> {
        self.work = self.work.wrapping_add(1);
        if !self.work.is_multiple_of(64) {
            return budget.step(0);
        }
        let bytes = self.seen.bytes()
            + self.out.bytes()
            + self.paths.bytes()
            + self.table.bytes
            + self.used.bytes;
        let delta = bytes - self.accounted;
        self.accounted = bytes;
        budget.step(delta)
    }

    fn invocations(&self, head: u32) -> Vec<u64> {
        let order = self.paths.order(head);
        order.into_iter().map(|op| self.ops[op as usize].invoke).collect()
    }

    fn violation(&self, op: u32, event: u64) -> Violation {
        let x = self.ops[op as usize].id();
        let refs: Vec<OpRef> = ids(self.ops);
        let mut longest: Vec<&Config<B>> = self.seen.list.iter().collect();
        longest
            .sort_by_key(|c| std::cmp::Reverse(c.key.done.count() + self.used.total(c.key.used)));
        let call = self.table.call(self.call_of[op as usize]);
        let mut states: Vec<u32> = Vec::new();
        let mut attempts = Vec::new();
        for config in longest {
            if states.contains(&config.key.state) {
                continue;
            }
            states.push(config.key.state);
            if attempts.len() == ATTEMPTS_MAX {
                continue;
            }
            let order = self.paths.order(config.node);
            let tail = &order[order.len().saturating_sub(TAIL_MAX)..];
            let calls: Vec<&M::Call> = order.iter().map(|o| &self.ops[*o as usize].call).collect();
            let state = self.table.state(config.key.state);
            let state = if self.certificate {
                self.model.show_state_after(&calls, state)
            } else {
                self.model.show_state(state)
            };
            attempts.push(Attempt {
                tail: tail.iter().map(|o| refs[*o as usize]).collect(),
                why: format!("{x} {}, which does not fit {state}", self.model.show_call(call)),
                state,
            });
        }
        let shown: Vec<&str> = attempts.iter().map(|a| a.state.as_str()).collect();
        let more = states.len() - attempts.len();
        let more = if more > 0 { format!(", or one of {more} more") } else { String::new() };
        let sentence = format!(
            "{x} {}, but however the operations before its return are ordered, it finds {}{more}.",
            self.model.show_call(call),
            shown.join(", or ")
        );
        let mut others: Vec<OpRef> =
            attempts.iter().filter_map(|a| a.tail.last().copied()).filter(|o| *o != x).collect();
        others.sort_unstable();
        others.dedup();
        let head = self.frontier.first().map_or(ROOT, |c| c.node);
        let mut prefix = self.paths.order(head);
        // An open read is not part of the prefix, although its answer already fits.
        prefix.retain(|o| {
            let open = self.ops[*o as usize].returned() >= event;
            !(open && self.table.role(self.call_of[*o as usize]) == Role::Observer)
        });
        Violation {
            rule: "cannot-be-placed",
            op: x,
            others,
            prefix_end: event,
            prefix: prefix.into_iter().map(|o| self.ops[o as usize].invoke).collect(),
            attempts,
            sentence,
        }
    }
}
