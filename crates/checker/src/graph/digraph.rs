//! A static directed graph in compressed rows, on which `petgraph`'s algorithms run.

use petgraph::Direction;
use petgraph::algo::kosaraju_scc;
use petgraph::visit::{
    GraphBase, IntoNeighbors, IntoNeighborsDirected, IntoNodeIdentifiers, VisitMap, Visitable,
};

/// Neighbours of all nodes in one array.
#[derive(Debug)]
struct Rows {
    starts: Vec<u32>,
    targets: Vec<u32>,
}

impl Rows {
    fn new(nodes: usize, edges: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut starts = vec![0u32; nodes + 1];
        for (from, _) in edges.clone() {
            starts[from as usize + 1] += 1;
        }
        for i in 0..nodes {
            starts[i + 1] += starts[i];
        }
        let mut next = starts.clone();
        let mut targets = vec![0; starts[nodes] as usize];
        for (from, to) in edges {
            let at = &mut next[from as usize];
            targets[*at as usize] = to;
            *at += 1;
        }
        Rows { starts, targets }
    }

    fn of(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.targets[self.starts[node] as usize..self.starts[node + 1] as usize]
    }
}

/// A directed graph over nodes numbered from 0.
#[derive(Debug)]
pub(crate) struct Digraph {
    nodes: u32,
    out: Rows,
    into: Rows,
}

impl Digraph {
    pub(crate) fn new(nodes: usize, edges: &[(u32, u32)]) -> Self {
        Digraph {
            nodes: u32::try_from(nodes).unwrap_or(u32::MAX),
            out: Rows::new(nodes, edges.iter().copied()),
            into: Rows::new(nodes, edges.iter().map(|(a, b)| (*b, *a))),
        }
    }

    /// The strongly connected components with more than one node, each ascending, ordered by their first node.
    pub(crate) fn components(&self) -> Vec<Vec<u32>> {
        let mut components = kosaraju_scc(self);
        components.retain(|c| c.len() > 1);
        components.iter_mut().for_each(|c| c.sort_unstable());
        components.sort_unstable();
        components
    }
}

impl GraphBase for Digraph {
    type NodeId = u32;
    type EdgeId = u32;
}

impl<'g> IntoNeighbors for &'g Digraph {
    type Neighbors = std::iter::Copied<std::slice::Iter<'g, u32>>;
    fn neighbors(self, node: u32) -> Self::Neighbors {
        self.out.of(node).iter().copied()
    }
}

impl<'g> IntoNeighborsDirected for &'g Digraph {
    type NeighborsDirected = std::iter::Copied<std::slice::Iter<'g, u32>>;
    fn neighbors_directed(self, node: u32, direction: Direction) -> Self::NeighborsDirected {
        let rows = match direction {
            Direction::Outgoing => &self.out,
            Direction::Incoming => &self.into,
        };
        rows.of(node).iter().copied()
    }
}

impl IntoNodeIdentifiers for &Digraph {
    type NodeIdentifiers = std::ops::Range<u32>;
    fn node_identifiers(self) -> Self::NodeIdentifiers {
        0..self.nodes
    }
}

/// Which nodes were visited.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks(Vec<bool>);

impl VisitMap<u32> for Marks {
    fn visit(&mut self, node: u32) -> bool {
        !std::mem::replace(&mut self.0[node as usize], true)
    }

    fn is_visited(&self, node: &u32) -> bool {
        self.0[*node as usize]
    }

    fn unvisit(&mut self, node: u32) -> bool {
        std::mem::replace(&mut self.0[node as usize], false)
    }
}

impl Visitable for Digraph {
    type Map = Marks;

    fn visit_map(&self) -> Marks {
        Marks(vec![false; self.nodes as usize])
    }

    fn reset_map(&self, map: &mut Marks) {
        map.0.clear();
        map.0.resize(self.nodes as usize, false);
    }
}

#[cfg(test)]
mod tests {
    use super::Digraph;

    #[test]
    fn components_are_circles_with_their_common_nodes() {
        let graph = Digraph::new(7, &[(0, 1), (1, 2), (2, 0), (2, 3), (4, 5), (5, 4), (3, 6)]);
        assert_eq!(graph.components(), vec![vec![0, 1, 2], vec![4, 5]]);
    }

    #[test]
    fn a_million_nodes_in_a_row_need_no_deep_stack() {
        let n = 1_000_000;
        let mut edges: Vec<(u32, u32)> = (0..n - 1).map(|i| (i, i + 1)).collect();
        edges.push((n - 1, 0));
        assert_eq!(Digraph::new(n as usize, &edges).components().len(), 1);
    }
}
