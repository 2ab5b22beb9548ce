//! The part of a graph in which circles can be, split into components.

use super::digraph::Digraph;
use super::{Options, Rel, Source, Span};
use rustc_hash::FxHashMap;

/// Vertices between which a circle can be.
#[derive(Debug, Default)]
pub(super) struct Stretch {
    vertices: Vec<u32>,
}

pub(super) struct Scope {
    pub(super) stretches: Vec<Stretch>,
    /// Whether the graph has any edge.
    pub(super) has_edges: bool,
}

/// Finds the stretches that edges against the phases span.
pub(super) fn trim(source: &dyn Source, options: &Options) -> Scope {
    let mut back: Vec<(u64, u64)> = Vec::new();
    let mut has_edges = false;
    let mut first_return: Option<u64> = None;
    let mut last_invoke: Option<u64> = None;
    for to in source.vertices() {
        let phase = source.phase(to);
        source.each_edge_into(to, &mut |from, _| {
            has_edges |= from != to;
            let earlier = source.phase(from);
            if earlier >= phase && from != to {
                back.push((phase, earlier));
            }
        });
        if options.realtime && !has_edges {
            let Span { invoke, ret } = source.span(to);
            first_return = first_return.into_iter().chain(ret).min();
            last_invoke = last_invoke.max(invoke);
            has_edges = first_return.zip(last_invoke).is_some_and(|(r, i)| r < i);
        }
    }
    if back.is_empty() {
        return Scope { stretches: Vec::new(), has_edges };
    }
    let merged = merge(back);
    let mut stretches: Vec<Stretch> = Vec::new();
    stretches.resize_with(merged.len(), Stretch::default);
    for vertex in source.vertices() {
        let phase = source.phase(vertex);
        let at = merged.partition_point(|(_, to)| *to < phase);
        if merged.get(at).is_some_and(|(from, _)| *from <= phase) {
            stretches[at].vertices.push(vertex);
        }
    }
    Scope { stretches, has_edges }
}

fn merge(mut spans: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    spans.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.0 <= last.1 => last.1 = last.1.max(span.1),
            _ => merged.push(span),
        }
    }
    merged
}

/// A strongly connected component: its vertices, numbered from 0, with the edges between them.
#[derive(Debug)]
pub(super) struct Component {
    /// The vertices of the source, ascending.
    pub(super) vertices: Vec<u32>,
    /// When each ran.
    pub(super) spans: Vec<Span>,
    /// Edges by start: end and kind. Of several kinds between two vertices the first in the order of [`Rel`] stands.
    pub(super) out: Vec<Vec<(u32, Rel)>>,
    /// Whether real-time edges are drawn.
    pub(super) realtime: bool,
    /// The vertices with an invocation, in order of it.
    pub(super) by_invoke: Vec<(u64, u32)>,
}

impl Component {
    fn new(
        vertices: Vec<u32>,
        edges: Vec<(u32, u32, Rel)>,
        source: &dyn Source,
        realtime: bool,
    ) -> Self {
        let spans: Vec<Span> = vertices.iter().map(|v| source.span(*v)).collect();
        let mut out: Vec<Vec<(u32, Rel)>> = vec![Vec::new(); vertices.len()];
        for (from, to, rel) in edges {
            out[from as usize].push((to, rel));
        }
        for edges in &mut out {
            edges.sort_unstable();
            edges.dedup_by_key(|(to, _)| *to);
        }
        let invokes = (0u32..).zip(&spans).filter_map(|(v, s)| Some((s.invoke?, v)));
        let mut by_invoke: Vec<(u64, u32)> = invokes.collect();
        by_invoke.sort_unstable();
        Component { vertices, spans, out, realtime, by_invoke }
    }

    pub(super) fn len(&self) -> usize {
        self.vertices.len()
    }

    /// The first position in [`Component::by_invoke`] of a vertex that follows `vertex` in real time.
    pub(super) fn first_after(&self, vertex: u32) -> usize {
        match self.spans[vertex as usize].ret {
            Some(ret) if self.realtime => self.by_invoke.partition_point(|(i, _)| *i <= ret),
            _ => self.by_invoke.len(),
        }
    }

    /// Whether there is a real-time edge.
    pub(super) fn is_before(&self, from: u32, to: u32) -> bool {
        let ends = self.spans[from as usize].ret.zip(self.spans[to as usize].invoke);
        self.realtime && ends.is_some_and(|(ret, invoke)| ret < invoke)
    }

    /// The kind of the edge between two vertices, dependencies before real time.
    pub(super) fn rel(&self, from: u32, to: u32) -> Option<Rel> {
        let edges = &self.out[from as usize];
        match edges.binary_search_by_key(&to, |(t, _)| *t) {
            Ok(at) => Some(edges[at].1),
            Err(_) => self.is_before(from, to).then_some(Rel::Realtime),
        }
    }
}

/// Appends the chain through which real-time edges go: each returned vertex leads to a link, links lead to the next, and
/// the last link before a vertex's invocation leads to it. Gives the number of links.
pub(super) fn chain(spans: &[Span], first: usize, edges: &mut Vec<(u32, u32)>) -> usize {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mut returns: Vec<(u64, u32)> =
        (0u32..).zip(spans).filter_map(|(v, s)| Some((s.ret?, v))).collect();
    returns.sort_unstable();
    for (link, (_, vertex)) in returns.iter().enumerate() {
        edges.push((*vertex, small(first + link)));
        if link > 0 {
            edges.push((small(first + link - 1), small(first + link)));
        }
    }
    for (vertex, span) in (0u32..).zip(spans) {
        let Some(invoke) = span.invoke else { continue };
        let before = returns.partition_point(|(ret, _)| *ret < invoke);
        if before > 0 {
            edges.push((small(first + before - 1), vertex));
        }
    }
    returns.len()
}

/// The components of a stretch that have a circle.
pub(super) fn components(
    source: &dyn Source,
    stretch: &Stretch,
    options: &Options,
) -> Vec<Component> {
    let numbers: FxHashMap<u32, u32> = stretch.vertices.iter().copied().zip(0u32..).collect();
    let mut edges: Vec<(u32, u32, Rel)> = Vec::new();
    for (to, vertex) in (0u32..).zip(&stretch.vertices) {
        source.each_edge_into(*vertex, &mut |from, rel| {
            if let Some(from) = numbers.get(&from).filter(|f| **f != to) {
                edges.push((*from, to, rel));
            }
        });
    }
    let n = stretch.vertices.len();
    let mut plain: Vec<(u32, u32)> = edges.iter().map(|(a, b, _)| (*a, *b)).collect();
    let mut links = 0;
    if options.realtime {
        let spans: Vec<Span> = stretch.vertices.iter().map(|v| source.span(*v)).collect();
        links = chain(&spans, n, &mut plain);
    }
    let graph = Digraph::new(n + links, &plain);
    let mut of: Vec<u32> = vec![u32::MAX; n];
    let mut members: Vec<Vec<u32>> = Vec::new();
    for mut component in graph.components() {
        component.retain(|v| (*v as usize) < n);
        if component.len() < 2 {
            continue;
        }
        for v in &component {
            of[*v as usize] = u32::try_from(members.len()).unwrap_or(u32::MAX);
        }
        members.push(component);
    }
    let mut inside: Vec<Vec<(u32, u32, Rel)>> = vec![Vec::new(); members.len()];
    for (from, to, rel) in edges {
        let component = of[from as usize];
        if component != u32::MAX && component == of[to as usize] {
            let within = &members[component as usize];
            let number =
                |v: u32| u32::try_from(within.partition_point(|m| *m < v)).unwrap_or(u32::MAX);
            inside[component as usize].push((number(from), number(to), rel));
        }
    }
    members
        .into_iter()
        .zip(inside)
        .map(|(members, edges)| {
            let vertices = members.iter().map(|m| stretch.vertices[*m as usize]).collect();
            Component::new(vertices, edges, source, options.realtime)
        })
        .collect()
}
