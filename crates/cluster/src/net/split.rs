//! Which member no longer hears which: every network split as a set of directed cuts.

use crate::fault::FaultKind;
use crate::node::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Who sends or receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Member {
    /// A node.
    Node(NodeId),
    /// All clients together, the observer included.
    Clients,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "node {node}"),
            Self::Clients => f.write_str("clients"),
        }
    }
}

/// A direction in which nothing gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cut {
    /// Who is not heard.
    pub from: Member,
    /// Who does not hear.
    pub to: Member,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from, self.to)
    }
}

fn between(from: NodeId, to: NodeId) -> Cut {
    Cut { from: Member::Node(from), to: Member::Node(to) }
}

/// The cuts of a split. Empty when `kind` is no split or `victims` are all nodes.
///
/// [`FaultKind::Halves`] takes the first victim into a minority of ⌊(n−1)/2⌋ nodes, or of one.
/// [`FaultKind::Ring`] is Jepsen's `majorities-ring`: each node hears the majority that begins with
/// itself in a ring, so that with three nodes every link is cut one way.
#[must_use]
pub fn cuts(kind: FaultKind, victims: &[NodeId], nodes: &[NodeId]) -> BTreeSet<Cut> {
    let is_victim = |node: &NodeId| victims.contains(node);
    let others: Vec<NodeId> = nodes.iter().copied().filter(|node| !is_victim(node)).collect();
    let mut cuts = BTreeSet::new();
    match kind {
        FaultKind::Partition | FaultKind::Isolate => {
            separate(victims, &others, &mut cuts);
            if kind == FaultKind::Isolate {
                for victim in victims.iter().map(|node| Member::Node(*node)) {
                    cuts.insert(Cut { from: victim, to: Member::Clients });
                    cuts.insert(Cut { from: Member::Clients, to: victim });
                }
            }
        }
        FaultKind::OneWayIn => {
            cuts.extend(
                victims.iter().flat_map(|to| others.iter().map(|from| between(*from, *to))),
            );
        }
        FaultKind::OneWayOut => {
            cuts.extend(
                victims.iter().flat_map(|from| others.iter().map(|to| between(*from, *to))),
            );
        }
        FaultKind::Halves => {
            let size = (nodes.len().saturating_sub(1) / 2).max(1);
            let first = victims.iter().take(1).copied();
            let rest = nodes.iter().copied().filter(|node| Some(node) != victims.first());
            let minority: Vec<NodeId> = first.chain(rest).take(size).collect();
            let majority: Vec<NodeId> =
                nodes.iter().copied().filter(|node| !minority.contains(node)).collect();
            separate(&minority, &majority, &mut cuts);
        }
        FaultKind::Ring => {
            let heard = nodes.len() / 2 + 1;
            for (at, to) in nodes.iter().enumerate() {
                let circle = nodes.iter().cycle().skip(at).take(nodes.len());
                cuts.extend(circle.skip(heard).map(|from| between(*from, *to)));
            }
        }
        _ => {}
    }
    cuts
}

fn separate(one: &[NodeId], other: &[NodeId], cuts: &mut BTreeSet<Cut>) {
    for a in one {
        for b in other {
            cuts.insert(between(*a, *b));
            cuts.insert(between(*b, *a));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(count: i32) -> Vec<NodeId> {
        (1..=count).map(NodeId).collect()
    }

    fn pairs(kind: FaultKind, victims: &[i32], count: i32) -> Vec<(i32, i32)> {
        let victims: Vec<_> = victims.iter().copied().map(NodeId).collect();
        let number = |member| match member {
            Member::Node(node) => node.0,
            Member::Clients => 0,
        };
        cuts(kind, &victims, &nodes(count))
            .into_iter()
            .map(|cut| (number(cut.from), number(cut.to)))
            .collect()
    }

    #[test]
    fn each_split_cuts_what_its_name_says() {
        use FaultKind::{Halves, Isolate, OneWayIn, OneWayOut, Partition, Ring};
        assert_eq!(pairs(Partition, &[2], 3), [(1, 2), (2, 1), (2, 3), (3, 2)]);
        assert_eq!(pairs(OneWayIn, &[2], 3), [(1, 2), (3, 2)]);
        assert_eq!(pairs(OneWayOut, &[2], 3), [(2, 1), (2, 3)]);
        assert_eq!(pairs(Isolate, &[1], 2), [(1, 2), (1, 0), (2, 1), (0, 1)]);
        assert_eq!(pairs(Halves, &[3], 3), pairs(Partition, &[3], 3));
        assert_eq!(pairs(Halves, &[5], 5), pairs(Partition, &[5, 1], 5));
        assert_eq!(pairs(Ring, &[1], 3), [(1, 2), (2, 3), (3, 1)]);
    }

    #[test]
    fn in_a_ring_everybody_hears_a_majority_and_no_two_the_same() {
        for count in 3..8 {
            let all = nodes(count);
            let cut = cuts(FaultKind::Ring, &all[..1], &all);
            let heard: BTreeSet<Vec<NodeId>> = all
                .iter()
                .map(|to| {
                    all.iter().copied().filter(|from| !cut.contains(&between(*from, *to))).collect()
                })
                .collect();
            assert_eq!(heard.len(), all.len());
            assert!(heard.iter().all(|peers| peers.len() == all.len() / 2 + 1));
        }
    }

    #[test]
    fn all_victims_or_no_split_cut_nothing() {
        assert!(cuts(FaultKind::Partition, &nodes(3), &nodes(3)).is_empty());
        assert!(cuts(FaultKind::Kill, &nodes(1), &nodes(3)).is_empty());
    }
}
