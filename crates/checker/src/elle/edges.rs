//! The dependency graph of transactions as the search for circles reads it.

use super::txns::Txns;
use crate::graph::{Reason, Rel, Source, Span};
use perjury_history::Kind;

/// Explains an edge between two transactions: kind, start, end, and how the text shall call them.
pub(super) type Explain<'a> = dyn Fn(Rel, u32, u32, &str, &str) -> Reason + 'a;

/// Transactions that may have happened, with the edges between them. Vertices are transactions.
pub(super) struct TxnGraph<'a> {
    txns: &'a Txns,
    starts: Vec<u32>,
    edges: Vec<(u32, Rel)>,
    explain: &'a Explain<'a>,
}

impl<'a> TxnGraph<'a> {
    /// The graph of `edges` (from, to, kind), with the order of each process if `process`.
    pub(super) fn new(
        txns: &'a Txns,
        mut edges: Vec<(u32, u32, Rel)>,
        process: bool,
        explain: &'a Explain<'a>,
    ) -> Self {
        if process {
            edges.extend(process_order(txns));
        }
        edges.retain(|(from, to, _)| from != to);
        edges.sort_unstable_by_key(|(from, to, rel)| (*to, *from, *rel));
        edges.dedup();
        let mut starts = vec![0u32; txns.txns.len() + 1];
        for (_, to, _) in &edges {
            starts[*to as usize + 1] += 1;
        }
        for i in 0..txns.txns.len() {
            starts[i + 1] += starts[i];
        }
        let edges = edges.into_iter().map(|(from, _, rel)| (from, rel)).collect();
        TxnGraph { txns, starts, edges, explain }
    }
}

/// From each ok transaction of a process to its next one. One of unknown outcome may still happen later.
fn process_order(txns: &Txns) -> Vec<(u32, u32, Rel)> {
    let mut by_process: Vec<(u32, u64, u32)> = (0u32..)
        .zip(&txns.txns)
        .filter(|(_, t)| t.is_ok())
        .filter_map(|(i, t)| Some((t.process?, t.invoke.unwrap_or(t.event), i)))
        .collect();
    by_process.sort_unstable();
    let next = by_process.windows(2).filter(|w| w[0].0 == w[1].0);
    next.map(|w| (w[0].2, w[1].2, Rel::Process)).collect()
}

impl Source for TxnGraph<'_> {
    fn vertices(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        let txns = (0u32..).zip(&self.txns.txns);
        Box::new(txns.filter(|(_, t)| t.is_possible()).map(|(i, _)| i))
    }

    fn event(&self, vertex: u32) -> u64 {
        self.txns.event(vertex)
    }

    fn span(&self, vertex: u32) -> Span {
        let txn = &self.txns.txns[vertex as usize];
        Span { invoke: txn.invoke, ret: txn.is_ok().then_some(txn.event) }
    }

    fn phase(&self, vertex: u32) -> u64 {
        let txn = &self.txns.txns[vertex as usize];
        match txn.kind {
            Kind::Ok => txn.event,
            _ => txn.invoke.unwrap_or(txn.event),
        }
    }

    fn each_edge_into(&self, vertex: u32, each: &mut dyn FnMut(u32, Rel)) {
        let (from, to) = (self.starts[vertex as usize], self.starts[vertex as usize + 1]);
        for (from, rel) in &self.edges[from as usize..to as usize] {
            each(*from, *rel);
        }
    }

    fn explain(&self, from: u32, to: u32, rel: Rel, a: &str, b: &str) -> Reason {
        if rel == Rel::Process {
            let process = self.txns.txns[from as usize].process.unwrap_or_default();
            let text = format!("process {process} did {a} before {b}");
            return Reason { text, ..Reason::default() };
        }
        (self.explain)(rel, from, to, a, b)
    }
}
