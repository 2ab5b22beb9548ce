//! How configurations came about: a tree of steps that share their beginnings.

use super::table::small;

/// No step before.
pub(super) const ROOT: u32 = u32::MAX;

/// What happened in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// An operation took effect.
    Live(u32),
    /// An overwrite took effect.
    Overwrite(u32),
    /// An overwrite returned and was hidden directly before the last overwrite that took effect.
    Hidden(u32),
}

#[derive(Debug, Clone, Copy)]
struct Node {
    parent: u32,
    step: Step,
}

/// The tree. Nodes stand after their parents.
#[derive(Debug, Default)]
pub(super) struct Paths {
    nodes: Vec<Node>,
    kept: usize,
}

impl Paths {
    pub(super) fn push(&mut self, parent: u32, step: Step) -> u32 {
        self.nodes.push(Node { parent, step });
        small(self.nodes.len() - 1)
    }

    pub(super) fn bytes(&self) -> i64 {
        i64::try_from(self.nodes.capacity() * std::mem::size_of::<Node>()).unwrap_or(i64::MAX / 2)
    }

    /// Whether enough has been added since the last time to make [`Paths::keep`] worth while.
    pub(super) fn is_due(&self) -> bool {
        self.nodes.len() > 2 * self.kept + (1 << 18)
    }

    /// Drops everything that no head reaches. Heads are renumbered in place.
    pub(super) fn keep<'h>(&mut self, heads: impl Iterator<Item = &'h mut u32>) {
        let mut heads: Vec<&mut u32> = heads.collect();
        let mut used = vec![false; self.nodes.len()];
        for head in &heads {
            if **head != ROOT {
                used[**head as usize] = true;
            }
        }
        for i in (0..self.nodes.len()).rev() {
            let parent = self.nodes[i].parent;
            if used[i] && parent != ROOT {
                used[parent as usize] = true;
            }
        }
        let mut moved = vec![ROOT; self.nodes.len()];
        let mut next = 0;
        for i in 0..self.nodes.len() {
            if used[i] {
                let mut node = self.nodes[i];
                if node.parent != ROOT {
                    node.parent = moved[node.parent as usize];
                }
                self.nodes[next] = node;
                moved[i] = small(next);
                next += 1;
            }
        }
        self.nodes.truncate(next);
        self.nodes.shrink_to(2 * next);
        self.kept = next;
        for head in &mut heads {
            if **head != ROOT {
                **head = moved[**head as usize];
            }
        }
    }

    /// The operations up to a head in the order in which they took effect.
    pub(super) fn order(&self, head: u32) -> Vec<u32> {
        // From the last step to the first: what was hidden stands before the next overwrite that is met.
        let mut order = Vec::new();
        let mut hidden = Vec::new();
        let mut at = head;
        while at != ROOT {
            let node = self.nodes[at as usize];
            match node.step {
                Step::Live(op) => order.push(op),
                Step::Hidden(op) => hidden.push(op),
                Step::Overwrite(op) => {
                    order.push(op);
                    order.append(&mut hidden);
                }
            }
            at = node.parent;
        }
        order.reverse();
        order
    }
}
