//! The shortest circle of a class within a component.
//!
//! A walk carries what decides its class: whether it has a `wr` edge, how many `rw` edges, whether two of them stood in
//! a row, and whether an edge of the variant was used. Breadth-first search over vertices with these marks finds the
//! shortest closed walk from each start; starts are the vertices that an edge leaves without which the class cannot be.
//! Real-time edges are not stored: those that follow a vertex are a suffix of the order of invocations, and a suffix
//! that was entered once with the same marks is not entered again.

use super::classes::{Class, Variant};
use super::explain::{Cycle, Findings, GivenUp, Reason, Step, sentence};
use super::scope::Component;
use super::{Options, Rel, Source};
use crate::linear::budget::Budget;
use rustc_hash::FxHashMap;

/// Searches every class that nothing found so far implies.
pub(super) fn look(
    source: &dyn Source,
    component: &Component,
    options: &Options,
    budget: &mut dyn Budget,
    findings: &mut Findings,
) {
    let mut found: Vec<(Class, Variant)> = Vec::new();
    for variant in Variant::ALL {
        if !has_variant(component, variant) {
            continue;
        }
        for class in Class::ALL {
            if found.iter().any(|(c, v)| c.implies(*v, class, variant)) {
                continue;
            }
            let mut search = Search { component, class, variant, work: options.work_max };
            match search.run(budget) {
                Ok(None) => {}
                Ok(Some(cycle)) => {
                    found.push((class, variant));
                    findings.cycles.push(describe(source, component, &cycle, class, variant));
                }
                Err(Stopped) => {
                    let first = source.event(component.vertices[0]);
                    let size = component.len();
                    let name = class.name(variant);
                    findings.given_up.push(GivenUp { name, size, first });
                }
            }
        }
    }
}

fn has_variant(component: &Component, variant: Variant) -> bool {
    match variant {
        Variant::Plain => true,
        Variant::Process => component.out.iter().flatten().any(|(_, rel)| *rel == Rel::Process),
        Variant::Realtime => component.realtime,
    }
}

/// The work or the budget ran out before anything was found.
struct Stopped;

/// What a walk has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
struct Marks {
    wr: bool,
    /// 0, 1 or 2 for more.
    rw: u8,
    first_rw: bool,
    last_rw: bool,
    adjacent: bool,
    variant: bool,
}

/// The part of the order of invocations that real-time edges have entered with certain marks.
struct Entered {
    /// It was entered from here on,
    from: usize,
    /// but for these positions.
    left_out: Vec<usize>,
}

struct Search<'c> {
    component: &'c Component,
    class: Class,
    variant: Variant,
    work: u64,
}

type Parents = FxHashMap<(u32, Marks), (u32, Marks)>;

impl Search<'_> {
    fn run(&mut self, budget: &mut dyn Budget) -> Result<Option<Vec<u32>>, Stopped> {
        let needed = self.class.needs();
        let mut best: Option<Vec<u32>> = None;
        for start in 0..u32::try_from(self.component.len()).unwrap_or(u32::MAX) {
            let edges = &self.component.out[start as usize];
            if !edges.iter().any(|(_, rel)| *rel == needed) {
                continue;
            }
            let limit = best.as_ref().map_or(usize::MAX, Vec::len);
            if limit == 2 {
                break;
            }
            match self.from(start, limit, budget) {
                Ok(Some(cycle)) => best = Some(cycle),
                Ok(None) => {}
                Err(Stopped) if best.is_some() => break,
                Err(Stopped) => return Err(Stopped),
            }
        }
        Ok(best)
    }

    /// The shortest simple circle through `start` that is shorter than `limit`.
    fn from(
        &mut self,
        start: u32,
        limit: usize,
        budget: &mut dyn Budget,
    ) -> Result<Option<Vec<u32>>, Stopped> {
        let mut parents: Parents = FxHashMap::default();
        let mut level: Vec<(u32, Marks)> = vec![(start, Marks::default())];
        let mut entered: FxHashMap<Marks, Entered> = FxHashMap::default();
        let mut length = 0;
        while !level.is_empty() && length + 1 < limit {
            length += 1;
            let mut next = Vec::new();
            for at in level {
                budget.step(0).map_err(|_| Stopped)?;
                let mut closed = None;
                let work = self.each_next(at, length == 1, &mut entered, |to, marks| {
                    if to == start {
                        if closed.is_none() && self.accepts(marks) {
                            closed = Some(at);
                        }
                        return;
                    }
                    if let std::collections::hash_map::Entry::Vacant(e) = parents.entry((to, marks))
                    {
                        e.insert(at);
                        next.push((to, marks));
                    }
                });
                self.work = self.work.saturating_sub(work);
                if self.work == 0 {
                    return Err(Stopped);
                }
                if let Some(cycle) = closed.and_then(|at| path(&parents, start, at)) {
                    return Ok(Some(cycle));
                }
            }
            level = next;
        }
        Ok(None)
    }

    /// Calls `each` with every vertex that an edge leads to and the marks of the longer walk; gives the work done.
    fn each_next(
        &self,
        (vertex, marks): (u32, Marks),
        is_first: bool,
        entered: &mut FxHashMap<Marks, Entered>,
        mut each: impl FnMut(u32, Marks),
    ) -> u64 {
        let edges = &self.component.out[vertex as usize];
        for (to, rel) in edges {
            if let Some(after) = self.after(marks, *rel, is_first) {
                each(*to, after);
            }
        }
        let mut work = 1 + edges.len() as u64;
        let Some(after) = self.after(marks, Rel::Realtime, is_first) else { return work };
        let by_invoke = &self.component.by_invoke;
        let from = self.component.first_after(vertex);
        // Where a dependency leads as well, real time is not the reason.
        let depends = |to: u32| edges.binary_search_by_key(&to, |(t, _)| *t).is_ok();
        let known = entered
            .entry(after)
            .or_insert_with(|| Entered { from: by_invoke.len(), left_out: Vec::new() });
        known.left_out.retain(|at| {
            let to = by_invoke[*at].1;
            let keep = *at < from || depends(to);
            if !keep {
                each(to, after);
            }
            keep
        });
        let until = known.from.max(from);
        for (at, (_, to)) in by_invoke.iter().enumerate().take(until).skip(from) {
            work += 1;
            if depends(*to) {
                known.left_out.push(at);
            } else {
                each(*to, after);
            }
        }
        known.from = from.min(known.from);
        work
    }

    /// The marks after another edge, or `None` when the class forbids it here.
    fn after(&self, marks: Marks, rel: Rel, is_first: bool) -> Option<Marks> {
        if !self.class.allows(rel) || !self.variant.allows(rel) {
            return None;
        }
        let is_rw = rel == Rel::Rw;
        let several = self.class >= Class::GNonadjacent;
        let after = Marks {
            wr: marks.wr || (self.class == Class::G1c && rel == Rel::Wr),
            rw: if is_rw { (marks.rw + 1).min(2) } else { marks.rw },
            first_rw: several && if is_first { is_rw } else { marks.first_rw },
            last_rw: several && is_rw,
            adjacent: marks.adjacent || (is_rw && marks.last_rw),
            variant: marks.variant
                || matches!(
                    (self.variant, rel),
                    (Variant::Process, Rel::Process) | (Variant::Realtime, Rel::Realtime)
                ),
        };
        let fits = match self.class {
            Class::G0 | Class::G1c => true,
            Class::GSingle => after.rw < 2,
            Class::GNonadjacent => !after.adjacent,
            Class::G2Item => true,
        };
        fits.then_some(after)
    }

    /// Whether a closed walk with these marks is a circle of the class.
    fn accepts(&self, marks: Marks) -> bool {
        let adjacent = marks.adjacent || (marks.rw == 2 && marks.first_rw && marks.last_rw);
        let class = match self.class {
            Class::G0 => true,
            Class::G1c => marks.wr,
            Class::GSingle => marks.rw == 1,
            Class::GNonadjacent => marks.rw == 2 && !adjacent,
            Class::G2Item => marks.rw == 2 && adjacent,
        };
        class && (self.variant == Variant::Plain || marks.variant)
    }
}

/// The vertices from `start` to `at`, unless one stands twice.
fn path(parents: &Parents, start: u32, at: (u32, Marks)) -> Option<Vec<u32>> {
    let mut vertices = Vec::new();
    let mut at = at;
    while at.0 != start {
        if vertices.contains(&at.0) {
            return None;
        }
        vertices.push(at.0);
        at = *parents.get(&at)?;
    }
    vertices.push(start);
    vertices.reverse();
    Some(vertices)
}

/// A circle of vertices as data. It begins with its first operation.
fn describe(
    source: &dyn Source,
    component: &Component,
    cycle: &[u32],
    class: Class,
    variant: Variant,
) -> Cycle {
    let n = cycle.len();
    let first = (0..n).min_by_key(|i| source.event(component.vertices[cycle[*i] as usize]));
    let first = first.unwrap_or(0);
    let cycle: Vec<u32> = (0..n).map(|i| cycle[(first + i) % n]).collect();
    let vertex = |i: usize| component.vertices[cycle[i % n] as usize];
    let ops: Vec<u64> = (0..n).map(|i| source.event(vertex(i))).collect();
    let mut steps = Vec::with_capacity(n);
    for i in 0..n {
        let rel = component.rel(cycle[i], cycle[(i + 1) % n]).unwrap_or(Rel::Realtime);
        let (a, b) = (format!("T{}", i + 1), format!("T{}", (i + 1) % n + 1));
        let reason = match rel {
            Rel::Realtime => {
                let spans = &component.spans;
                let ret = spans[cycle[i] as usize].ret;
                let invoke = spans[cycle[(i + 1) % n] as usize].invoke;
                realtime((ret, invoke), &a, &b)
            }
            _ => source.explain(vertex(i), vertex(i + 1), rel, &a, &b),
        };
        steps.push(Step { from: ops[i], to: ops[(i + 1) % n], rel, reason });
    }
    let sentence = sentence(&ops, &steps);
    Cycle { name: class.name(variant), ops, steps, sentence }
}

fn realtime((ret, invoke): (Option<u64>, Option<u64>), a: &str, b: &str) -> Reason {
    let text = match (ret, invoke) {
        (Some(ret), Some(invoke)) => {
            format!("{a} had returned at event {ret} when {b} was invoked at event {invoke}")
        }
        _ => format!("{a} had returned before {b} was invoked"),
    };
    Reason { text, ..Reason::default() }
}
