//! An operation: an invocation and its completion, either of which may be missing.

use perjury_history::{Event, History, KeyId, Kind, Mop, MopRef, Payload, Process};
use serde::Serialize;

/// Positions of an operation's rows. At least one is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// The row that asked.
    pub invoke: Option<usize>,
    /// The row that tells how it ended.
    pub complete: Option<usize>,
}

impl Op {
    /// The operation that row `i` belongs to. Rows of the nemesis and of the cluster stand alone.
    pub fn of(history: &History, i: usize) -> Op {
        if history.kind(i) == Kind::Invoke {
            return Op { invoke: Some(i), complete: history.pair(i) };
        }
        Op { invoke: history.pair(i), complete: Some(i) }
    }

    /// The position by which lists of operations are ordered: of the invocation, where there is one.
    pub fn first(self) -> usize {
        self.invoke.or(self.complete).unwrap_or_default()
    }

    /// The row that says most: of the completion, where there is one.
    pub fn row(self) -> usize {
        self.complete.or(self.invoke).unwrap_or_default()
    }

    /// How it ended; one without completion counts as info, since it may have happened.
    pub fn outcome(self, history: &History) -> Kind {
        self.complete.map_or(Kind::Info, |c| history.kind(c))
    }
}

/// The key of the row's first micro-operation that names one.
pub(crate) fn first_key(history: &History, row: usize) -> Option<KeyId> {
    let mut keys = history.mops(row).filter_map(|m| match m {
        MopRef::Send { key, .. } => Some(key),
        MopRef::Poll(poll) => poll?.groups().next().map(|g| g.key),
    });
    keys.next()
}

/// Every operation, of clients, nemesis and cluster, with its process.
pub fn rows(history: &History) -> impl Iterator<Item = (Op, Option<Process>)> + '_ {
    (0..history.len()).filter_map(|i| {
        let op = Op::of(history, i);
        (op.first() == i).then(|| (op, history.process(i)))
    })
}

/// An operation in its readable form.
#[derive(Debug, Serialize)]
pub struct OperationView {
    invoke: Option<Event>,
    complete: Option<Event>,
    /// How many polled records were left out to keep the answer short.
    #[serde(skip_serializing_if = "is_zero")]
    hidden_records: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl OperationView {
    /// The rows of the operation, with at most `records_max` polled records.
    pub fn of(history: &History, op: Op, records_max: usize) -> OperationView {
        let event = |row: Option<usize>| row.map(|i| history.event(i));
        OperationView::new(event(op.invoke), event(op.complete), records_max)
    }

    /// From the rows themselves.
    pub fn new(
        invoke: Option<Event>,
        mut complete: Option<Event>,
        records_max: usize,
    ) -> OperationView {
        let hidden_records = complete.as_mut().map_or(0, |e| cut_records(e, records_max));
        OperationView { invoke, complete, hidden_records }
    }
}

/// Leaves out all but the first `max` polled records; says how many went.
fn cut_records(event: &mut Event, max: usize) -> usize {
    let Payload::Mops(mops) = &mut event.value else { return 0 };
    let (mut room, mut hidden) = (max, 0);
    for mop in mops {
        let Mop::Poll(Some(groups)) = mop else { continue };
        for (_, records) in groups.iter_mut() {
            let kept = records.len().min(room);
            hidden += records.len() - kept;
            room -= kept;
            records.truncate(kept);
        }
        groups.retain(|(_, records)| !records.is_empty());
    }
    hidden
}
