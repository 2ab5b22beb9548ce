//! Which models exclude a component, by the subgraphs that they require to be free of circles.

use super::digraph::Digraph;
use super::explain::{CycleExists, Findings};
use super::scope::{Component, chain};
use super::{Rel, Source};

/// How many operations of a component are listed.
const OPS_MAX: usize = 32;

/// A model and the edges that must not form a circle.
struct Spec {
    name: &'static str,
    model: &'static str,
    /// Dependencies and orders that count.
    rels: &'static [Rel],
    /// `rw` edges count only directly after another edge, as under snapshot isolation.
    rw_apart: bool,
    /// Positions of the models in [`SPECS`] that this one is directly stronger than.
    over: &'static [usize],
}

/// The models in the order in which they are tried; each stands after those that it is stronger than (Elle's
/// `cycle-exists` cases).
const SPECS: [Spec; 12] = {
    use Rel::{Process, Realtime, Rw, Wr, Ww};
    const fn spec(
        name: &'static str,
        model: &'static str,
        rels: &'static [Rel],
        rw_apart: bool,
        over: &'static [usize],
    ) -> Spec {
        Spec { name, model, rels, rw_apart, over }
    }
    [
        spec("PL-1-cycle-exists", "read-uncommitted", &[Ww], false, &[]),
        spec("PL-2-cycle-exists", "read-committed", &[Ww, Wr], false, &[0]),
        spec("PL-SI-cycle-exists", "snapshot-isolation", &[Ww, Wr, Rw], true, &[1]),
        spec("PL-3-cycle-exists", "serializable", &[Ww, Wr, Rw], false, &[2]),
        spec(
            "strong-session-PL-1-cycle-exists",
            "strong-session-read-uncommitted",
            &[Ww, Process],
            false,
            &[0],
        ),
        spec(
            "strong-session-PL-2-cycle-exists",
            "strong-session-read-committed",
            &[Ww, Wr, Process],
            false,
            &[1, 4],
        ),
        spec(
            "strong-session-snapshot-isolation-cycle-exists",
            "strong-session-snapshot-isolation",
            &[Ww, Wr, Rw, Process],
            true,
            &[2, 5],
        ),
        spec(
            "strong-session-serializable-cycle-exists",
            "strong-session-serializable",
            &[Ww, Wr, Rw, Process],
            false,
            &[3, 6],
        ),
        spec("strong-PL-1-cycle-exists", "strong-read-uncommitted", &[Ww, Realtime], false, &[4]),
        spec(
            "strong-PL-2-cycle-exists",
            "strong-read-committed",
            &[Ww, Wr, Realtime],
            false,
            &[5, 8],
        ),
        spec(
            "strong-snapshot-isolation-cycle-exists",
            "strong-snapshot-isolation",
            &[Ww, Wr, Rw, Realtime],
            true,
            &[6, 9],
        ),
        spec(
            "PL-SS-cycle-exists",
            "strict-serializable",
            &[Ww, Wr, Rw, Realtime],
            false,
            &[3, 7, 10],
        ),
    ]
};

/// Names the weakest models that exclude a component.
pub(super) fn look(source: &dyn Source, component: &Component, findings: &mut Findings) {
    let mut excluded = [false; SPECS.len()];
    for (i, spec) in SPECS.iter().enumerate() {
        if spec.over.iter().any(|weaker| excluded[*weaker]) {
            excluded[i] = true;
            continue;
        }
        let Some(smallest) = smallest(component, spec) else { continue };
        excluded[i] = true;
        let mut ops: Vec<u64> =
            smallest.iter().map(|v| source.event(component.vertices[*v as usize])).collect();
        ops.sort_unstable();
        let size = ops.len();
        ops.truncate(OPS_MAX);
        let first = ops.first().copied().unwrap_or_default();
        let sentence = format!(
            "{size} operations, the first of them operation {first}, depend on each other in a circle, which {} excludes.",
            spec.model
        );
        findings.exists.push(CycleExists { name: spec.name, not: spec.model, size, ops, sentence });
    }
}

/// The smallest set of operations that these edges put into a circle.
fn smallest(component: &Component, spec: &Spec) -> Option<Vec<u32>> {
    let n = component.len();
    let realtime = component.realtime && spec.rels.contains(&Rel::Realtime);
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mut edges: Vec<(u32, u32)> = Vec::new();
    let mut nodes = n;
    if realtime {
        nodes += chain(&component.spans, n, &mut edges);
    }
    // Under snapshot isolation a vertex that an rw edge led to stands in a second layer, which no rw edge leaves.
    let layers = nodes;
    if spec.rw_apart {
        nodes += n;
        let again: Vec<(u32, u32)> = edges
            .iter()
            .filter(|(from, _)| (*from as usize) < n)
            .map(|(from, to)| (from + small(layers), *to))
            .collect();
        edges.extend(again);
    }
    for (from, out) in (0u32..).zip(&component.out) {
        for (to, rel) in out.iter().filter(|(_, rel)| spec.rels.contains(rel)) {
            match (rel, spec.rw_apart) {
                (Rel::Rw, true) => edges.push((from, to + small(layers))),
                (_, true) => {
                    edges.push((from, *to));
                    edges.push((from + small(layers), *to));
                }
                _ => edges.push((from, *to)),
            }
        }
    }
    let components = Digraph::new(nodes, &edges).components().into_iter().map(|c| {
        let vertices = c.into_iter().filter_map(|v| {
            let at = v as usize;
            if at < n {
                return Some(v);
            }
            (spec.rw_apart && at >= layers).then(|| v - small(layers))
        });
        let mut vertices: Vec<u32> = vertices.collect();
        vertices.sort_unstable();
        vertices.dedup();
        vertices
    });
    components.filter(|c| c.len() > 1).min_by_key(Vec::len)
}
