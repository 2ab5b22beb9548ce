//! Circles of dependencies between operations.
//!
//! # The graph
//! Vertices are completed operations. An edge *a → b* says that *a* must come before *b*: `ww`, *b* wrote the version
//! after one that *a* wrote; `wr`, *b* read what *a* wrote; `rw`, *b* wrote the version after one that *a* read;
//! `process`, one client did *a* before *b*; `realtime`, *a* returned before *b* was invoked. A circle is a
//! contradiction. Its class follows from its edges (Adya 1999; Elle, Kingsbury and Alvaro 2020):
//!
//! | class | edges |
//! |---|---|
//! | `G0` | `ww` only |
//! | `G1c` | `ww` and at least one `wr` |
//! | `G-single` | exactly one `rw` |
//! | `G-nonadjacent` | several `rw`, no two in a row |
//! | `G2-item` | several `rw`, two in a row |
//!
//! with `-process` or `-realtime` when such an edge is needed.
//!
//! # How circles are found
//! 1. *Trimming.* Every operation has a *phase*, a moment within its interval, so that real-time edges never go back in
//!    phase. A circle must contain an edge that does, and lies within the union of overlapping stretches that such edges
//!    span. Everything else is left out: a history in order costs one look at each edge and no memory.
//! 2. *Components.* The rest is split into strongly connected components (`petgraph`, Kosaraju's algorithm, which does
//!    not recurse). Real-time edges are drawn through a chain of returns, two edges an operation.
//! 3. *Classes.* In each component the shortest circle of each class is searched in the order of the table, first
//!    without, then with process, then with real-time edges. A class that a circle already found implies is not searched,
//!    and at most one circle of a class is reported for a component, the one with the smallest first operation among
//!    the shortest. Beside them stands which models exclude such a component (`PL-2-cycle-exists`, …), the weakest first;
//!    models stronger than one that is excluded are not named again. These rules are Elle's, as `tests.kafka` uses them.

mod classes;
mod digraph;
mod exists;
mod explain;
mod kafka;
mod scope;
mod search;

pub use classes::{ALL_NAMES, Class, Variant};
pub(crate) use digraph::Digraph;
pub use explain::{Cycle, CycleExists, Findings, GivenUp, Reason, Rel, Step, classify};

pub(crate) use kafka::find_indexed;
pub use kafka::{KafkaOptions, find_kafka};

use crate::linear::budget::Budget;

/// When an operation ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The event of its invocation, if the history has it.
    pub invoke: Option<u64>,
    /// The event of its completion, if it definitely happened: only then do others follow it in real time.
    pub ret: Option<u64>,
}

/// The operations of a history and what orders them.
pub trait Source {
    /// Every vertex in ascending order.
    fn vertices(&self) -> Box<dyn Iterator<Item = u32> + '_>;

    /// The event by which reports name a vertex.
    fn event(&self, vertex: u32) -> u64;

    /// When a vertex ran.
    fn span(&self, vertex: u32) -> Span;

    /// A moment of a vertex: not before its invocation, and not after its completion if anything follows that in real
    /// time. Vertices without any edge out of them are best at `u64::MAX`.
    fn phase(&self, vertex: u32) -> u64;

    /// Calls `each` with the start of every edge into a vertex, real-time edges left out. Edges may repeat; an edge
    /// from a vertex to itself is ignored.
    fn each_edge_into(&self, vertex: u32, each: &mut dyn FnMut(u32, Rel));

    /// Why there is an edge of this kind, other than a real-time edge. `a` and `b` are how the text shall call them.
    fn explain(&self, from: u32, to: u32, rel: Rel, a: &str, b: &str) -> Reason;
}

/// What to search for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether real-time edges are drawn.
    pub realtime: bool,
    /// How many edges the search for one class may look at in one component.
    pub work_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { realtime: true, work_max: 20_000_000 }
    }
}

/// Finds the circles of a graph.
///
/// A search that runs out of work or of budget is told in [`Findings::given_up`]; what was found until then stays.
pub fn find(source: &dyn Source, options: &Options, budget: &mut dyn Budget) -> Findings {
    let scope = scope::trim(source, options);
    let mut findings = Findings { is_empty: !scope.has_edges, ..Findings::default() };
    for stretch in &scope.stretches {
        for component in scope::components(source, stretch, options) {
            findings.components += 1;
            exists::look(source, &component, &mut findings);
            search::look(source, &component, options, budget, &mut findings);
        }
    }
    findings
}
