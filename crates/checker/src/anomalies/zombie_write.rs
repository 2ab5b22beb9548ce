//! # What it is
//! A producer lost its transactional id to another one, and an operation that it invoked afterwards took effect.
//!
//! # Why it is bad
//! Two instances of one application write at the same time, which is what the transactional id is there to prevent.
//!
//! # How it is found
//! A process takes a transactional id over with `init-transactions`. From the end of another process's `init-transactions`
//! that was invoked after its own had ended, it is fenced. A case is an operation with this transactional id that it
//! invoked after that, or whose commit it asked for after that (`commit_at`), and that is ok or of whose records an ok
//! operation read one.
//!
//! # Contract
//! A violation.
//!
//! # Source
//! Ours; KIP-98 (zombie fencing), KIP-360.

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::index::writes_count;
use crate::observed::{Init, beside, text};
use crate::tally::Tally;
use perjury_history::Process;

pub(super) const ENTRY: Entry = Entry {
    name: "zombie-write",
    counted: ("write of a fenced producer", "writes of fenced producers"),
    title: "a fenced producer wrote",
    origin: Origin::Perjury,
    clause: Clause::Fencing,
    meaning: "A producer wrote although another one had taken over its transactional id.",
    impact: "Two instances of an application write at the same time.",
    causes: &[
        "a coordinator that does not raise the producer epoch",
        "a leader that does not check the producer epoch",
        "a coordinator that moved without the newest epoch",
    ],
    advice: "Compare the producer epochs in the partition's batches with those of the transaction state.",
    legal_if: "",
    run: Some(run),
};

/// Whom the operation of this process, invoked at this row and completed at `row`, was fenced by.
fn fenced(
    ctx: &Context<'_>,
    inits: &[Init],
    process: u32,
    (invoked, row): (usize, usize),
) -> Option<Init> {
    let own = inits.iter().filter(|i| i.process == process && i.invoked < invoked);
    let own = own.max_by_key(|i| i.row)?;
    let commit = beside(ctx.history, row, "commit_at").and_then(serde_json::Value::as_i64);
    let before = |init: &&Init| {
        let ended = || ctx.history.time(init.row).zip(commit);
        init.row < invoked || ended().is_some_and(|(ended, commit)| ended < commit)
    };
    let others = inits.iter().filter(|i| i.process != process && i.invoked > own.row);
    others.filter(before).min_by_key(|i| i.row).copied()
}

fn run(ctx: &Context<'_>) -> Found {
    let observed = ctx.observed();
    let mut tally = Tally::new(ctx.options.examples_max);
    if observed.inits.values().all(|inits| inits.len() < 2) {
        return Found::default();
    }
    for i in ctx.index.data_completions().filter(|i| writes_count(ctx.history.f(*i))) {
        let Some(inits) =
            text(ctx.history, i, "transactional_id").and_then(|id| observed.inits.get(id))
        else {
            continue;
        };
        let (Some(Process::Client(process)), Some(invoked)) =
            (ctx.history.process(i), ctx.invoked(i))
        else {
            continue;
        };
        let Some(by) = fenced(ctx, inits, process, (invoked, i)) else { continue };
        let (mut read, mut sent) = (None, false);
        ctx.index.for_each_write(i, |id, slot, _| {
            sent = true;
            if let Some(row) = ctx.index.key(id).first_read(slot) {
                read.get_or_insert((id, slot, row));
            }
        });
        if sent && (ctx.is_ok(i) || read.is_some()) {
            tally.add(true, 0, u32::try_from(i).unwrap_or(u32::MAX), (i, by, read));
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|(i, by, read)| {
        let (around, fault) = ctx.fault_around(i);
        let effect = match read {
            Some((id, slot, row)) => format!("{} read {}", ctx.op(row), ctx.placed(id, slot, None)),
            None => "it was acknowledged".into(),
        };
        let text = format!(
            "Process {} took the transactional id over with {}; {}, {} afterwards{around}, took effect: {effect}.",
            by.process,
            ctx.op(by.row),
            ctx.op(i),
            if ctx.invoked(i).is_some_and(|at| by.row < at) {
                "which its former owner invoked"
            } else {
                "whose commit its former owner asked for"
            },
        );
        let rows = [Some(by.row), Some(i), read.map(|r| r.2)].into_iter().flatten();
        let mut example = match read {
            Some((id, slot, _)) => ctx.example(id, slot, None, rows, text),
            None => ctx.note(None, None, rows, text),
        };
        example.fault = fault;
        example
    });
    Found { count, sound, examples: examples.collect() }
}
