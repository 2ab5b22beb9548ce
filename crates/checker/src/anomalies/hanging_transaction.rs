//! # What it is
//! The last stable offset of a topic-partition stood still below the high watermark for longer than any transaction may
//! stay open.
//!
//! # Why it is bad
//! Consumers that read committed get nothing more from the partition, for ever, although writes go on.
//!
//! # How it is found
//! From the answers to `list-offsets` that tell both figures: the last stable offset is the place of the first open
//! transaction, so one that does not move belongs to one transaction. A case is one that was the same, below the high
//! watermark, from the end of one answer to the beginning of another for longer than the transaction timeout (the plan's
//! `transaction_timeout_ms`, otherwise 60 s) and 20 s, since the coordinator looks for old transactions every 10 s. One
//! case at most for each last stable offset.
//!
//! # Contract
//! A violation where the plan declares the timeout; otherwise unspecified.
//!
//! # Source
//! Ours; KIP-664 (hanging transactions), KIP-890.

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::{Budget, Clause};
use crate::observed::{Ends, HIGH_WATERMARK, LAST_STABLE};
use crate::tally::Tally;
use crate::words::duration;
use std::collections::BTreeMap;

const GRACE_MS: u64 = 20_000;
const TIMEOUT_MS: u64 = 60_000;

pub(super) const ENTRY: Entry = Entry {
    name: "hanging-transaction",
    counted: ("hanging transaction", "hanging transactions"),
    title: "the last stable offset stood still",
    origin: Origin::Perjury,
    clause: Clause::Budget(Budget::Transaction),
    meaning: "A transaction stayed open for longer than its timeout, so that nothing behind it can be read.",
    impact: "Consumers that read committed stand still.",
    causes: &[
        "a late produce request that reopened an ended transaction (KIP-890)",
        "a marker that never reached the partition",
        "a coordinator that forgot the transaction",
    ],
    advice: "Run kafka-transactions.sh find-hanging, and describe the producers of the partition.",
    legal_if: "a longer transaction timeout",
    run: Some(run),
};

/// How long a last stable offset may stand still, in nanoseconds.
fn limit(ctx: &Context<'_>) -> i64 {
    let ms = ctx.promises.budgets.transaction_ms.unwrap_or(TIMEOUT_MS).saturating_add(GRACE_MS);
    i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

fn run(ctx: &Context<'_>) -> Found {
    let mut since: BTreeMap<&str, (&Ends, bool)> = BTreeMap::new();
    let mut tally = Tally::new(ctx.options.examples_max);
    let limit = limit(ctx);
    for ends in &ctx.observed().ends {
        let stable = ends.figures[LAST_STABLE];
        let open = stable.is_some() && stable < ends.figures[HIGH_WATERMARK];
        let before = since.get(ends.key.as_str()).filter(|(e, _)| e.figures[LAST_STABLE] == stable);
        match (open, before.copied()) {
            (false, _) => drop(since.remove(ends.key.as_str())),
            (true, None) => drop(since.insert(&ends.key, (ends, false))),
            (true, Some((first, told))) => {
                let times = (ctx.history.time(first.row), ctx.history.time(ends.invoked));
                let (Some(from), Some(to)) = times else { continue };
                let stood = to.saturating_sub(from);
                if stood > limit && !told {
                    since.insert(&ends.key, (first, true));
                    let row = u32::try_from(ends.row).unwrap_or(u32::MAX);
                    tally.add(true, 0, row, (first, ends, stood));
                }
            }
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|(first, last, stood)| {
        let offset = last.figures[LAST_STABLE];
        let text = format!(
            "The last stable offset of {} stood at {} for {}, from {} to {}, while the high watermark was at {}: a \
             transaction that begins there was open all that time.",
            last.key,
            offset.unwrap_or_default(),
            duration(stood),
            ctx.op(first.row),
            ctx.op(last.row),
            last.figures[HIGH_WATERMARK].unwrap_or_default(),
        );
        ctx.note(Some(&last.key), offset, [first.row, last.row], text)
    });
    Found { count, sound, examples: examples.collect() }
}
