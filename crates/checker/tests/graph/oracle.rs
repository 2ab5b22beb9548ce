//! The search for circles against an enumeration of all simple circles of small random graphs.

use perjury_checker::graph::{
    Class, Findings, Options, Reason, Rel, Source, Span, Variant, classify, find,
};
use perjury_checker::linear::Unlimited;
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;

struct Graph {
    spans: Vec<Span>,
    edges: Vec<(u32, u32, Rel)>,
}

impl Source for Graph {
    fn vertices(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        Box::new((0u32..).take(self.spans.len()))
    }

    fn event(&self, vertex: u32) -> u64 {
        u64::from(vertex)
    }

    fn span(&self, vertex: u32) -> Span {
        self.spans[vertex as usize]
    }

    fn phase(&self, vertex: u32) -> u64 {
        let span = self.spans[vertex as usize];
        span.ret.or(span.invoke).unwrap_or_default()
    }

    fn each_edge_into(&self, vertex: u32, each: &mut dyn FnMut(u32, Rel)) {
        for (from, to, rel) in &self.edges {
            if *to == vertex {
                each(*from, *rel);
            }
        }
    }

    fn explain(&self, _from: u32, _to: u32, rel: Rel, a: &str, b: &str) -> Reason {
        Reason { text: format!("{a} {rel:?} {b}"), ..Reason::default() }
    }
}

impl Graph {
    fn before(&self, a: u32, b: u32) -> bool {
        let ends = self.spans[a as usize].ret.zip(self.spans[b as usize].invoke);
        ends.is_some_and(|(ret, invoke)| ret < invoke)
    }

    /// The kind of an edge, dependencies first.
    fn rel(&self, a: u32, b: u32, realtime: bool) -> Option<Rel> {
        let direct = self.edges.iter().filter(|(from, to, _)| (*from, *to) == (a, b));
        let direct = direct.map(|(_, _, rel)| *rel).min();
        direct.or_else(|| (realtime && self.before(a, b)).then_some(Rel::Realtime))
    }

    fn circles(&self, realtime: bool) -> Vec<(Vec<u32>, Class, Variant)> {
        let mut found = Vec::new();
        for start in self.vertices() {
            self.extend(&mut vec![start], &mut Vec::new(), realtime, &mut found);
        }
        found
    }

    fn extend(
        &self,
        path: &mut Vec<u32>,
        rels: &mut Vec<Rel>,
        realtime: bool,
        found: &mut Vec<(Vec<u32>, Class, Variant)>,
    ) {
        let (start, at) = (path[0], path[path.len() - 1]);
        for next in self.vertices() {
            if next == at {
                continue;
            }
            let Some(rel) = self.rel(at, next, realtime) else { continue };
            rels.push(rel);
            if next == start {
                let (class, variant) = classify(rels);
                found.push((path.clone(), class, variant));
            } else if next > start && !path.contains(&next) {
                path.push(next);
                self.extend(path, rels, realtime, found);
                path.pop();
            }
            rels.pop();
        }
    }
}

fn graph(rng: &mut ChaCha8Rng, kinds: &[Rel]) -> Graph {
    let n = rng.random_range(2..=6u64);
    let mut events: Vec<u64> = (0..2 * n).collect();
    for i in 0..events.len() {
        let j = (i + rng.random_range(0..4)).min(events.len() - 1);
        events.swap(i, j);
    }
    let spans: Vec<Span> = events
        .chunks(2)
        .map(|pair| Span {
            invoke: Some(pair[0].min(pair[1])),
            ret: rng.random_bool(0.8).then_some(pair[0].max(pair[1])),
        })
        .collect();
    let m = rng.random_range(1..=2 * n);
    let vertex = |rng: &mut ChaCha8Rng| u32::try_from(rng.random_range(0..n)).expect("small");
    let edges = (0..m)
        .map(|_| (vertex(rng), vertex(rng), kinds[rng.random_range(0..kinds.len())]))
        .filter(|(a, b, _)| a != b);
    // One client does one thing after the other.
    let in_turn = |a: u32, b: u32| {
        let (a, b): (Span, Span) = (spans[a as usize], spans[b as usize]);
        a.invoke < b.invoke && a.ret.is_none_or(|ret| Some(ret) < b.invoke)
    };
    let edges = edges
        .map(|(a, b, rel)| {
            (a, b, if rel == Rel::Process && !in_turn(a, b) { Rel::Ww } else { rel })
        })
        .collect();
    Graph { spans, edges }
}

fn name(class: Class, variant: Variant) -> &'static str {
    class.name(variant)
}

/// Which names the rules leave, component by component, given every circle.
fn expected(
    circles: &[(Vec<u32>, Class, Variant)],
    members: &BTreeSet<u32>,
) -> BTreeSet<&'static str> {
    let inside: Vec<_> = circles.iter().filter(|(c, _, _)| members.contains(&c[0])).collect();
    let mut found: Vec<(Class, Variant)> = Vec::new();
    for variant in Variant::ALL {
        for class in Class::ALL {
            let implied = found.iter().any(|(c, v)| {
                *v <= variant
                    && ((*c == class && *v < variant)
                        || (*c == Class::G0 && class == Class::G1c)
                        || (*c == Class::GSingle && class == Class::GNonadjacent))
            });
            if !implied && inside.iter().any(|(_, c, v)| (*c, *v) == (class, variant)) {
                found.push((class, variant));
            }
        }
    }
    found.into_iter().map(|(c, v)| name(c, v)).collect()
}

/// Components by mutual membership in circles.
fn components(circles: &[(Vec<u32>, Class, Variant)]) -> Vec<BTreeSet<u32>> {
    let mut components: Vec<BTreeSet<u32>> = Vec::new();
    for (circle, _, _) in circles {
        let mut joined: BTreeSet<u32> = circle.iter().copied().collect();
        components.retain(|c| {
            let meets = !c.is_disjoint(&joined);
            if meets {
                joined.extend(c.iter().copied());
            }
            !meets
        });
        components.push(joined);
    }
    components
}

fn check(seed: u64, graph: &Graph, realtime: bool) -> Findings {
    let options = Options { realtime, ..Options::default() };
    let findings = find(graph, &options, &mut Unlimited);
    let circles = graph.circles(realtime);
    let components = components(&circles);
    assert_eq!(findings.components, components.len(), "seed {seed}");
    let mut names: Vec<&str> = components.iter().flat_map(|c| expected(&circles, c)).collect();
    let mut said: Vec<&str> = findings.cycles.iter().map(|c| c.name).collect();
    names.sort_unstable();
    said.sort_unstable();
    assert_eq!(said, names, "seed {seed}: {:?} {:?}", graph.edges, graph.spans);
    for cycle in &findings.cycles {
        let vertices: Vec<u32> =
            cycle.ops.iter().map(|o| u32::try_from(*o).expect("small")).collect();
        let n = vertices.len();
        let rels: Vec<Rel> = (0..n)
            .map(|i| graph.rel(vertices[i], vertices[(i + 1) % n], realtime).expect("an edge"))
            .collect();
        let (class, variant) = classify(&rels);
        assert_eq!(cycle.name, name(class, variant), "seed {seed}");
        assert!(cycle.steps.iter().map(|s| s.rel).eq(rels.iter().copied()));
        let component = components.iter().find(|c| c.contains(&vertices[0])).expect("one");
        let shortest = circles
            .iter()
            .filter(|(c, k, v)| component.contains(&c[0]) && (*k, *v) == (class, variant))
            .map(|(c, _, _)| c.len())
            .min();
        assert_eq!(Some(n), shortest, "seed {seed}: {} is not shortest", cycle.name);
        assert!(cycle.sentence.ends_with("a contradiction."));
    }
    assert!(findings.given_up.is_empty());
    findings
}

#[test]
fn every_circle_of_random_graphs_is_found_and_classified() {
    let all = [Rel::Ww, Rel::Wr, Rel::Rw, Rel::Process];
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for seed in 0..30_000 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let kinds = &all[..rng.random_range(1..=4)];
        let graph = graph(&mut rng, kinds);
        let realtime = rng.random_bool(0.6);
        let findings = check(seed, &graph, realtime);
        seen.extend(findings.cycles.iter().map(|c| c.name));
        seen.extend(findings.exists.iter().map(|c| c.name));
    }
    assert!(seen.len() > 24, "only {seen:?}");
}

#[test]
fn existence_names_the_weakest_model() {
    let span = |i: u64| Span { invoke: Some(2 * i), ret: Some(2 * i + 1) };
    let overlapping = Span { invoke: Some(0), ret: Some(9) };
    let case = |spans: [Span; 2], a: Rel, b: Rel| {
        let graph = Graph { spans: spans.to_vec(), edges: vec![(0, 1, a), (1, 0, b)] };
        let findings = find(&graph, &Options::default(), &mut Unlimited);
        let exists: Vec<&str> = findings.exists.iter().map(|e| e.name).collect();
        (findings.cycles[0].name, exists)
    };
    let both = [overlapping, overlapping];
    assert_eq!(case(both, Rel::Ww, Rel::Ww), ("G0", vec!["PL-1-cycle-exists"]));
    assert_eq!(case(both, Rel::Ww, Rel::Wr), ("G1c", vec!["PL-2-cycle-exists"]));
    assert_eq!(case(both, Rel::Wr, Rel::Rw), ("G-single", vec!["PL-SI-cycle-exists"]));
    assert_eq!(case(both, Rel::Rw, Rel::Rw), ("G2-item", vec!["PL-3-cycle-exists"]));
    let in_turn = |rel: Rel| {
        let graph = Graph { spans: vec![span(0), span(1)], edges: vec![(1, 0, rel)] };
        let findings = find(&graph, &Options::default(), &mut Unlimited);
        let exists: Vec<&str> = findings.exists.iter().map(|e| e.name).collect();
        (findings.cycles[0].name, exists)
    };
    assert_eq!(in_turn(Rel::Ww), ("G0-realtime", vec!["strong-PL-1-cycle-exists"]));
    assert_eq!(in_turn(Rel::Wr), ("G1c-realtime", vec!["strong-PL-2-cycle-exists"]));
    assert_eq!(
        in_turn(Rel::Rw),
        ("G-single-realtime", vec!["strong-snapshot-isolation-cycle-exists"])
    );
}

#[test]
fn a_graph_without_edges_is_empty() {
    let overlapping = Span { invoke: Some(0), ret: Some(9) };
    let graph = Graph { spans: vec![overlapping; 3], edges: Vec::new() };
    assert!(find(&graph, &Options::default(), &mut Unlimited).is_empty);
    let later = Span { invoke: Some(10), ret: None };
    let graph = Graph { spans: vec![overlapping, later], edges: Vec::new() };
    assert!(!find(&graph, &Options::default(), &mut Unlimited).is_empty);
}

#[test]
fn a_hundred_thousand_operations_in_one_circle() {
    let n = 100_000u32;
    let span = |i: u32| Span { invoke: Some(u64::from(i)), ret: Some(u64::from(i + n)) };
    let spans: Vec<Span> = (0..n).map(span).collect();
    // Edges into a vertex are few, so that the source stays linear.
    struct Ring(Vec<Span>);
    impl Source for Ring {
        fn vertices(&self) -> Box<dyn Iterator<Item = u32> + '_> {
            Box::new((0u32..).take(self.0.len()))
        }
        fn event(&self, vertex: u32) -> u64 {
            u64::from(vertex)
        }
        fn span(&self, vertex: u32) -> Span {
            self.0[vertex as usize]
        }
        fn phase(&self, vertex: u32) -> u64 {
            self.0[vertex as usize].ret.unwrap_or_default()
        }
        fn each_edge_into(&self, vertex: u32, each: &mut dyn FnMut(u32, Rel)) {
            let n = u32::try_from(self.0.len()).expect("small");
            each((vertex + n - 1) % n, if vertex == 0 { Rel::Wr } else { Rel::Ww });
        }
        fn explain(&self, _: u32, _: u32, _: Rel, _: &str, _: &str) -> Reason {
            Reason::default()
        }
    }
    let findings = find(&Ring(spans), &Options::default(), &mut Unlimited);
    assert_eq!(findings.components, 1);
    assert_eq!(findings.cycles[0].name, "G1c");
    assert_eq!(findings.cycles[0].ops.len(), n as usize);
}
