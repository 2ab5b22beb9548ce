//! Clusters, chains and zones of a register.

use super::{Register, RegisterCall};
use crate::linear::budget::{Budget, Exhausted};
use crate::linear::op::{Op, OpRef};

const NOBODY: u32 = u32::MAX;

/// What is wrong, with the operations that show it.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) rule: Rule,
    /// In the order in which the sentence of the rule names them. `None` is the beginning, when the initial value was
    /// there.
    pub(super) ops: Vec<Option<OpRef>>,
}

/// The broken rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// A value was read that nobody wrote.
    Phantom(u32),
    /// A value was read whose write failed.
    Aborted(u32),
    /// Two operations replaced the same write of a value.
    TwoSuccessors(u32),
    /// Compare-and-sets that could only succeed one after the other, in a circle.
    Circle(u32),
    /// An operation on the second value returned before one on the first, which precedes it in the register, began.
    Order(u32, u32),
    /// Two values must be held at the same time.
    Overlap(u32, u32),
    /// The first value can only be held while the second must be.
    Inside(u32, u32),
}

impl Rule {
    pub(super) fn code(self) -> &'static str {
        match self {
            Rule::Phantom(_) => "phantom-value",
            Rule::Aborted(_) => "aborted-value",
            Rule::TwoSuccessors(_) => "two-successors",
            Rule::Circle(_) => "cas-circle",
            Rule::Order(_, _) => "read-before-write",
            Rule::Overlap(_, _) => "overlapping-values",
            Rule::Inside(_, _) => "value-within-another",
        }
    }
}

impl Fault {
    pub(super) fn sentence(&self, name: &dyn Fn(u32) -> String) -> String {
        let known = |i: usize| self.ops.get(i).copied().flatten();
        let op = |i: usize| known(i).map_or_else(|| "nobody".to_owned(), |o| o.to_string());
        let from = |i: usize| match known(i) {
            Some(op) => format!("the return of {op}"),
            None => "the beginning".to_owned(),
        };
        match self.rule {
            Rule::Phantom(v) => {
                format!("{} saw the value {}, but nobody was asked to write it.", op(0), name(v))
            }
            Rule::Aborted(v) => format!(
                "{} saw the value {}, but the write of it failed ({}).",
                op(0),
                name(v),
                op(1)
            ),
            Rule::TwoSuccessors(v) => format!(
                "{} and {} both replaced the value {}, which was written only once.",
                op(0),
                op(1),
                name(v)
            ),
            Rule::Circle(v) => format!(
                "Compare-and-sets that lead from one value to the next return to the value {}; see {}.",
                name(v),
                op(0)
            ),
            Rule::Order(a, b) => format!(
                "{} saw the value {} and returned before {} began, but the value {} of the latter comes first.",
                op(1),
                name(b),
                op(0),
                name(a)
            ),
            Rule::Overlap(a, b) => format!(
                "The register held {} from {} to the invocation of {}, and {} from {} to the invocation of {}: both at once.",
                name(a),
                from(0),
                op(1),
                name(b),
                from(2),
                op(3)
            ),
            Rule::Inside(a, b) => format!(
                "The register held {} from {} to the invocation of {}, but {} must have been there within that time, between the invocation of {} and the return of {}.",
                name(b),
                from(2),
                op(3),
                name(a),
                op(1),
                op(0)
            ),
        }
    }
}

pub(super) enum Judgement {
    Holds(Option<Vec<u64>>),
    Broken(Fault),
}

/// The earliest return and the latest invocation among some operations, and whose they are.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: i64,
    first_op: u32,
    last: i64,
    last_op: u32,
}

const EMPTY: Span = Span { first: i64::MAX, first_op: NOBODY, last: i64::MIN, last_op: NOBODY };

impl Span {
    fn add(&mut self, at: u32, op: &Op<RegisterCall>) {
        let (invoke, ret) = (position(op.invoke), position(op.returned()));
        if ret < self.first || self.first_op == NOBODY {
            (self.first, self.first_op) = (ret, at);
        }
        if invoke > self.last {
            (self.last, self.last_op) = (invoke, at);
        }
    }

    fn join(&mut self, other: &Span) {
        if other.first < self.first {
            (self.first, self.first_op) = (other.first, other.first_op);
        }
        if other.last > self.last {
            (self.last, self.last_op) = (other.last, other.last_op);
        }
    }
}

/// An event on a line that has room for a write before all events.
fn position(event: u64) -> i64 {
    i64::try_from(event).unwrap_or(i64::MAX)
}

/// A chain of values that follow each other by compare-and-set.
#[derive(Debug, Clone, Copy)]
struct Block {
    head: u32,
    span: Span,
    /// Its rank among blocks that must be held for a while; otherwise the gap and rank at which it happens.
    rank: u64,
    gap: i64,
}

struct Zones<'a> {
    register: &'a Register,
    /// The operation that wrote a value.
    writer: Vec<u32>,
    /// The effective compare-and-set away from a value.
    next: Vec<u32>,
    /// The reads of a value.
    reads: Vec<Span>,
    /// The block of a value.
    block: Vec<u32>,
    /// The latest invocation in the chain before a value's write.
    before: Vec<i64>,
    /// How many values stand before a value in its chain.
    depth: Vec<u32>,
    blocks: Vec<Block>,
}

/// One more than the greatest value code.
pub(super) fn values_len(register: &Register) -> usize {
    let codes = register.ops.iter().map(|op| match op.call {
        RegisterCall::Read(v) | RegisterCall::Write(v) | RegisterCall::Differs(v) => v,
        RegisterCall::Cas(a, b) => a.max(b),
    });
    let aborted = register.aborted.iter().map(|(v, _)| *v);
    codes.chain(aborted).chain([register.initial]).max().map_or(0, |v| v as usize + 1)
}

pub(super) fn judge(
    register: &Register,
    certificate: bool,
    budget: &mut dyn Budget,
) -> Result<Judgement, Exhausted> {
    let n = values_len(register);
    let bytes = i64::try_from(n * 64 + register.ops.len() * 32).unwrap_or(i64::MAX);
    budget.step(bytes)?;
    let mut zones = Zones {
        register,
        writer: vec![NOBODY; n],
        next: vec![NOBODY; n],
        reads: vec![EMPTY; n],
        block: vec![NOBODY; n],
        before: vec![i64::MIN; n],
        depth: vec![0; n],
        blocks: Vec::new(),
    };
    let result = zones.judge(certificate);
    budget.step(-bytes)?;
    Ok(match result {
        Ok(order) => Judgement::Holds(order),
        Err(fault) => Judgement::Broken(fault),
    })
}

impl Zones<'_> {
    fn judge(&mut self, certificate: bool) -> Result<Option<Vec<u64>>, Fault> {
        self.gather()?;
        self.chain()?;
        self.place()?;
        Ok(certificate.then(|| self.order()))
    }

    fn op(&self, at: u32) -> Option<OpRef> {
        self.register.ops.get(at as usize).map(Op::id)
    }

    fn fault<T>(&self, rule: Rule, ops: &[u32]) -> Result<T, Fault> {
        Err(Fault { rule, ops: ops.iter().map(|o| self.op(*o)).collect() })
    }

    /// Finds the writer of every value, its reads, and which compare-and-sets took effect.
    fn gather(&mut self) -> Result<(), Fault> {
        for (i, op) in (0u32..).zip(&self.register.ops) {
            match op.call {
                RegisterCall::Read(v) => self.reads[v as usize].add(i, op),
                RegisterCall::Write(v) | RegisterCall::Cas(_, v) => self.writer[v as usize] = i,
                RegisterCall::Differs(_) => {}
            }
        }
        // An operation of unknown outcome took effect if its value was read, or replaced by one that took effect.
        let mut open: Vec<u32> = Vec::new();
        for (i, op) in (0u32..).zip(&self.register.ops) {
            match op.call {
                RegisterCall::Cas(a, _) if op.ret.is_some() => {
                    self.effective(i, a)?;
                    open.push(a);
                }
                RegisterCall::Read(v) => open.push(v),
                _ => {}
            }
        }
        while let Some(v) = open.pop() {
            let writer = self.writer[v as usize];
            let Some(op) = self.register.ops.get(writer as usize) else { continue };
            if let (RegisterCall::Cas(a, _), None) = (op.call, op.ret)
                && self.next[a as usize] != writer
            {
                self.effective(writer, a)?;
                open.push(a);
            }
        }
        self.phantoms()
    }

    fn effective(&mut self, cas: u32, from: u32) -> Result<(), Fault> {
        let slot = &mut self.next[from as usize];
        let other = std::mem::replace(slot, cas);
        if other != NOBODY && other != cas {
            return self.fault(Rule::TwoSuccessors(from), &[other, cas]);
        }
        Ok(())
    }

    fn phantoms(&self) -> Result<(), Fault> {
        for v in (0u32..).take(self.reads.len()) {
            let at = v as usize;
            let seen = if self.reads[at].first_op == NOBODY {
                self.next[at]
            } else {
                self.reads[at].first_op
            };
            if seen == NOBODY || self.writer[at] != NOBODY || v == self.register.initial {
                continue;
            }
            let failed = self.register.aborted.iter().find(|(value, _)| *value == v);
            let rule = if failed.is_some() { Rule::Aborted(v) } else { Rule::Phantom(v) };
            let mut ops = vec![self.op(seen)];
            ops.extend(failed.map(|(_, id)| Some(*id)));
            return Err(Fault { rule, ops });
        }
        Ok(())
    }

    /// Follows every chain from its first value, joins it into a block and checks the order within.
    fn chain(&mut self) -> Result<(), Fault> {
        for v in (0u32..).take(self.writer.len()) {
            let writer = self.writer[v as usize];
            let is_head = match self.register.ops.get(writer as usize).map(|o| o.call) {
                Some(RegisterCall::Write(_)) => {
                    self.register.ops[writer as usize].ret.is_some() || self.is_seen(v)
                }
                Some(_) => false,
                None => v == self.register.initial,
            };
            if is_head {
                self.follow(v)?;
            }
        }
        for v in (0u32..).take(self.writer.len()) {
            let at = v as usize;
            if self.next[at] != NOBODY && self.block[at] == NOBODY {
                return self.fault(Rule::Circle(v), &[self.next[at]]);
            }
        }
        Ok(())
    }

    fn is_seen(&self, v: u32) -> bool {
        self.reads[v as usize].first_op != NOBODY || self.next[v as usize] != NOBODY
    }

    fn follow(&mut self, head: u32) -> Result<(), Fault> {
        #[expect(clippy::cast_possible_truncation, reason = "values are numbered by u32")]
        let block = self.blocks.len() as u32;
        let mut span = EMPTY;
        if self.writer[head as usize] == NOBODY {
            // The initial value was written before every event.
            (span.first, span.last) = (-1, -2);
        }
        let mut v = head;
        let mut at = self.writer[head as usize];
        let mut from = head;
        let mut depth = 0;
        loop {
            self.depth[v as usize] = depth;
            depth += 1;
            self.block[v as usize] = block;
            self.before[v as usize] = span.last;
            if let Some(op) = self.register.ops.get(at as usize) {
                let mut group = EMPTY;
                group.add(at, op);
                self.extend(&mut span, &group, from, v)?;
            }
            let reads = self.reads[v as usize];
            if reads.first_op != NOBODY {
                self.extend(&mut span, &reads, v, v)?;
            }
            at = self.next[v as usize];
            let Some(RegisterCall::Cas(_, to)) = self.register.ops.get(at as usize).map(|o| o.call)
            else {
                break;
            };
            from = v;
            v = to;
        }
        self.blocks.push(Block { head, span, rank: 0, gap: 0 });
        Ok(())
    }

    /// Appends a group to a chain: none of its operations may have returned before an earlier one began.
    fn extend(&self, span: &mut Span, group: &Span, a: u32, b: u32) -> Result<(), Fault> {
        if span.last > group.first {
            return self.fault(Rule::Order(a, b), &[span.last_op, group.first_op]);
        }
        span.join(group);
        Ok(())
    }

    /// Orders the zones in which a block must be held, and finds an instant for the others.
    fn place(&mut self) -> Result<(), Fault> {
        let mut held: Vec<usize> = (0..self.blocks.len())
            .filter(|b| self.blocks[*b].span.first < self.blocks[*b].span.last)
            .collect();
        held.sort_unstable_by_key(|b| self.blocks[*b].span.first);
        for pair in held.windows(2) {
            let (a, b) = (self.blocks[pair[0]], self.blocks[pair[1]]);
            if b.span.first < a.span.last {
                let ops = [a.span.first_op, a.span.last_op, b.span.first_op, b.span.last_op];
                return self.fault(Rule::Overlap(a.head, b.head), &ops);
            }
        }
        for (rank, b) in (0u64..).zip(&held) {
            self.blocks[*b].rank = 2 * rank + 1;
            self.blocks[*b].gap = self.blocks[*b].span.first - 1;
        }
        for b in 0..self.blocks.len() {
            let block = self.blocks[b];
            if block.span.first < block.span.last {
                continue;
            }
            let started = held.partition_point(|h| self.blocks[*h].span.first < block.span.last);
            let mut gap = block.span.last;
            if let Some(zone) = started.checked_sub(1).map(|i| self.blocks[held[i]]) {
                if zone.span.last > block.span.first {
                    let ops = [
                        block.span.first_op,
                        block.span.last_op,
                        zone.span.first_op,
                        zone.span.last_op,
                    ];
                    return self.fault(Rule::Inside(block.head, zone.head), &ops);
                }
                gap = gap.max(zone.span.last);
            }
            self.blocks[b].gap = gap;
            self.blocks[b].rank = 2 * started as u64;
        }
        Ok(())
    }

    /// Invocations in the order of the moments at which the operations took effect.
    fn order(&self) -> Vec<u64> {
        let mut moments: Vec<(i64, u64, u32, u64, u64)> =
            Vec::with_capacity(self.register.ops.len());
        for op in &self.register.ops {
            let (v, is_read) = match op.call {
                RegisterCall::Read(v) => (v, true),
                RegisterCall::Write(v) | RegisterCall::Cas(_, v) => (v, false),
                RegisterCall::Differs(_) => continue,
            };
            let b = self.block[v as usize];
            let Some(block) = self.blocks.get(b as usize) else { continue };
            let invoke = position(op.invoke);
            let writer = self.register.ops.get(self.writer[v as usize] as usize);
            let before = match writer {
                Some(writer) if is_read => self.before[v as usize].max(position(writer.invoke)),
                _ => self.before[v as usize],
            };
            // A value is written, then read; the next one of the chain is written after that.
            let step = 2 * u64::from(self.depth[v as usize]) + u64::from(is_read);
            let gap =
                if block.rank % 2 == 1 { before.max(invoke).max(block.gap) } else { block.gap };
            moments.push((gap, block.rank, b, step, op.invoke));
        }
        moments.sort_unstable();
        moments.into_iter().map(|m| m.4).collect()
    }
}
