//! # What it is
//! Send A was acknowledged before send B was invoked, both to the same topic-partition, yet A stands behind B.
//!
//! # Why it is bad
//! The log's order contradicts what producers observed: a producer that was told about A, directly or through others, and
//! then sent B, finds B applied first.
//!
//! # How it is found
//! Walking the places of a key from the last to the first, with the earliest acknowledgement seen so far: a value whose
//! send was invoked after that acknowledgement stands too early. One case for each such value B; linear. Only values with
//! exactly one place take part, so that a duplicate moves nothing; A's send is ok, B's may have any outcome.
//!
//! # Contract
//! A violation with acks=all and unclean leader election off; allowed with weaker acks, where a lost record's offset is
//! given out again.
//!
//! # Source
//! Ours; the pairs that make a partition's log not linearizable without any read.

use super::{Entry, Found, Origin};
use crate::context::Context;
use crate::contract::Clause;
use crate::index::{KeyIndex, Slot};
use crate::report::Example;
use crate::tally::Tally;
use perjury_history::{KeyId, Kind};
use serde_json::json;

pub(super) const ENTRY: Entry = Entry {
    name: "realtime-order",
    counted: ("record out of real-time order", "records out of real-time order"),
    title: "log order contradicts real time",
    origin: Origin::Perjury,
    clause: Clause::RealTimeOrder,
    meaning: "A record that was acknowledged before another was sent stands behind it in the partition.",
    impact: "Consumers apply a later record first.",
    causes: &[
        "two leaders of one partition at the same time",
        "a leader that gives out offsets of records that it does not have",
        "acknowledging with an offset that is not final",
    ],
    advice: "Compare the leader epochs of both records, and which broker acknowledged each.",
    legal_if: "acks=0 or acks=1, or unclean leader election",
    run: Some(run),
};

/// A later send (the slot that stands too early), and the earlier one.
type Case = (KeyId, Slot, Slot);

fn single(key: &KeyIndex, slot: Slot, place: u32) -> bool {
    key.first_and_last(slot) == Some((place, place)) && !key.was_sent_again(slot)
}

fn reversed(ctx: &Context<'_>, id: KeyId, key: &KeyIndex) -> Tally<Case> {
    let mut tally = Tally::new(ctx.options.examples_max);
    let mut earliest: Option<(usize, Slot)> = None;
    let places = u32::try_from(key.len()).unwrap_or(u32::MAX);
    for place in (0..places).rev() {
        let slot = key.picked_at(place);
        if !single(key, slot, place) {
            continue;
        }
        if let Some((acknowledged, before)) = earliest
            && let Some(sent) = ctx.sent_at(key, slot)
            && acknowledged < sent
        {
            let row = u32::try_from(sent).unwrap_or(u32::MAX);
            tally.add(true, 0, row, (id, slot, before));
        }
        let ok = key.writer(slot).filter(|w| ctx.history.kind(*w) == Kind::Ok);
        if let Some(writer) = ok.filter(|w| earliest.is_none_or(|(e, _)| *w < e)) {
            earliest = Some((writer, slot));
        }
    }
    tally
}

fn run(ctx: &Context<'_>) -> Found {
    let mut all = Tally::new(ctx.options.examples_max);
    for tally in ctx.index.map_keys(ctx.options.threads, |id, key| reversed(ctx, id, key)) {
        all.merge(tally);
    }
    let (count, sound) = (all.count, all.sound);
    let examples = all.cases().into_iter().map(|case| example(ctx, case)).collect();
    Found { count, sound, examples }
}

fn example(ctx: &Context<'_>, (id, later, earlier): Case) -> Example {
    let key = ctx.index.key(id);
    let offset = |slot| key.index(slot).map(|i| key.offset_at(i));
    let acknowledged = key.writer(earlier).unwrap_or_default();
    let sent = ctx.sent_at(key, later).unwrap_or_default();
    let row = key.writer(later).unwrap_or(sent);
    let (around, fault) = ctx.fault_around(acknowledged);
    let text = format!(
        "{} was acknowledged by {}{around} before {} sent value {}, yet value {} stands before it, at offset {}.",
        crate::words::capital(&ctx.placed(id, earlier, offset(earlier))),
        ctx.op(acknowledged),
        ctx.op(row),
        ctx.value(key, later),
        ctx.value(key, later),
        offset(later).unwrap_or_default(),
    );
    let mut example = ctx.example(id, later, offset(later), [acknowledged, sent, row], text);
    example.more.insert("earlier".into(), json!(ctx.value(key, earlier)));
    example.more.insert("earlier_offset".into(), json!(offset(earlier)));
    example.fault = fault;
    example
}
