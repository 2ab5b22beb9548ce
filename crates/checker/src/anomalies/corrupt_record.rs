//! # What it is
//! A polled record differs from what was sent: its checksum, its key, its partition or its headers.
//!
//! # Why it is bad
//! Data was changed on its way or on disk, and handed to a consumer as if it were whole.
//!
//! # How it is found
//! The recorder compares each polled record with what was sent and notes what differs (`corrupt` in the record's details).
//! One case for each such record of each poll.
//!
//! # Contract
//! A violation.
//!
//! # Source
//! Ours; kgo-verifier and TigerBeetle's auditor check payloads in the same way.

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::index::{Slot, reads_count};
use crate::report::Example;
use crate::tally::Tally;
use perjury_history::{KeyId, MopRef};
use serde_json::json;

pub(super) const ENTRY: Entry = Entry {
    name: "corrupt-record",
    counted: ("corrupt record read", "corrupt records read"),
    title: "a record differs from what was sent",
    origin: Origin::Perjury,
    clause: Clause::Integrity,
    meaning: "A consumer was given a record whose payload, key, partition or headers are not those that were sent.",
    impact: "Consumers process damaged data.",
    causes: &[
        "a payload that was damaged on disk or in memory after its checksum was made",
        "a record that was routed to the wrong partition",
        "a broker that converts record formats",
    ],
    advice: "Fetch the record from each replica and compare; check the disks.",
    legal_if: "",
    run: Some(run),
};

type Case = (usize, KeyId, Slot, Option<i64>, u32);

fn run(ctx: &Context<'_>) -> Found {
    let mut tally = Tally::new(ctx.options.examples_max);
    let corrupt = ctx.history.record_metas().filter(|(_, meta)| meta.corrupt.is_some());
    let mut corrupt = corrupt.map(|(at, _)| at).peekable();
    for i in ctx.index.data_completions().filter(|i| reads_count(ctx.history.f(*i))) {
        if corrupt.peek().is_none() {
            break;
        }
        for mop in ctx.history.mops(i) {
            let MopRef::Poll(Some(poll)) = mop else { continue };
            for group in poll.groups() {
                let end =
                    group.first.saturating_add(u32::try_from(group.len()).unwrap_or(u32::MAX));
                while let Some(at) = corrupt.next_if(|at| *at < end) {
                    let Some(n) = at.checked_sub(group.first) else { continue };
                    let (offset, value) = (group.offset(n as usize), group.value(n as usize));
                    let slot = ctx.index.key(group.key).slot_of_record(offset, value);
                    if let Some(slot) = slot {
                        let row = u32::try_from(i).unwrap_or(u32::MAX);
                        tally.add(true, 0, row, (i, group.key, slot, offset, at));
                    }
                }
            }
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|case| example(ctx, case)).collect();
    Found { count, sound, examples }
}

fn example(ctx: &Context<'_>, (row, id, slot, offset, at): Case) -> Example {
    let key = ctx.index.key(id);
    let what = ctx.history.record_meta(at).and_then(|m| m.corrupt.as_deref()).unwrap_or("payload");
    let writer = key.writer(slot);
    let sender = writer.map_or_else(String::new, |w| format!(" by {}", ctx.op(w)));
    let (around, fault) = ctx.fault_around(row);
    let text = format!(
        "{} returned {}{around}; its {what} is not what was sent{sender}.",
        crate::words::capital(&ctx.op(row)),
        ctx.placed(id, slot, offset),
    );
    let mut example = ctx.example(id, slot, offset, writer.into_iter().chain([row]), text);
    example.more.insert("corrupt".into(), json!(what));
    example.fault = fault;
    example
}
