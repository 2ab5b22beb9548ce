//! From jumps of the walk to examples with sentences.

use super::Found;
use crate::context::Context;
use crate::report::Example;
use crate::tally::Tally;
use crate::walk::Jump;
use crate::words;
use serde_json::json;

/// Turns jumps between polls into findings.
pub(super) fn polls(ctx: &Context<'_>, tally: &Tally<Jump>) -> Found {
    found(ctx, tally, poll_sentence)
}

/// Turns jumps between sends into findings.
pub(super) fn sends(ctx: &Context<'_>, tally: &Tally<Jump>) -> Found {
    found(ctx, tally, send_sentence)
}

fn found(
    ctx: &Context<'_>,
    tally: &Tally<Jump>,
    sentence: fn(&Context<'_>, &Jump) -> String,
) -> Found {
    let cases = tally.clone().cases();
    let examples = cases.iter().map(|jump| example(ctx, jump, sentence(ctx, jump)));
    Found { count: tally.count, sound: tally.sound, examples: examples.collect() }
}

fn example(ctx: &Context<'_>, jump: &Jump, mut sentence: String) -> Example {
    let (around, fault) = ctx.fault_around(jump.row as usize);
    sentence.push_str(&around);
    sentence.push('.');
    let rows = [jump.before as usize, jump.row as usize];
    let mut example = ctx.example(jump.key, jump.to.0, jump.to.1, rows, sentence);
    let table = ctx.index.key(jump.key);
    let values = [ctx.value(table, jump.from.0), ctx.value(table, jump.to.0)];
    example.more.insert("delta".into(), json!(jump.delta));
    example.more.insert("values".into(), json!(values));
    let skipped = skipped(ctx, jump);
    if !skipped.is_empty() {
        example.more.insert("skipped".into(), json!(skipped));
    }
    example.fault = fault;
    example
}

/// The first sixteen values between the two in the version order.
fn skipped(ctx: &Context<'_>, jump: &Jump) -> Vec<perjury_history::Scalar> {
    const SKIPPED_MAX: u32 = 16;
    let table = ctx.index.key(jump.key);
    let (Some(a), Some(b)) = (table.index(jump.from.0), table.index(jump.to.0)) else {
        return Vec::new();
    };
    let between = a.saturating_add(1)..b;
    between.take(SKIPPED_MAX as usize).map(|i| ctx.value(table, table.picked_at(i))).collect()
}

fn process(ctx: &Context<'_>, jump: &Jump) -> String {
    match ctx.history.process(jump.row as usize) {
        Some(p) => format!("process {p}"),
        None => "one process".into(),
    }
}

/// "passing over 12 records" or "17 records back".
fn how_far(jump: &Jump) -> String {
    let n = jump.delta.unsigned_abs();
    match jump.delta {
        0 => "the same record again".into(),
        1.. => format!("passing over {}", words::counted(n - 1, "record", "records")),
        _ => format!("{} back", words::counted(n, "record", "records")),
    }
}

fn offset(at: Option<i64>) -> String {
    at.map_or_else(String::new, |o| format!(" at offset {o}"))
}

fn poll_sentence(ctx: &Context<'_>, jump: &Jump) -> String {
    let table = ctx.index.key(jump.key);
    let from = ctx.placed(jump.key, jump.from.0, jump.from.1);
    let to = ctx.value(table, jump.to.0);
    let (far, at) = (how_far(jump), offset(jump.to.1));
    let after = ctx.op(jump.row as usize);
    if jump.before == jump.row {
        return format!("Within {after}, {from} was followed by value {to}{at}, {far}");
    }
    let (who, before) = (process(ctx, jump), ctx.op(jump.before as usize));
    format!(
        "The last record that {who} read in {before} was {from}; its next read, {after}, began with value {to}{at}, {far}"
    )
}

fn send_sentence(ctx: &Context<'_>, jump: &Jump) -> String {
    let table = ctx.index.key(jump.key);
    let (from, to) = (ctx.value(table, jump.from.0), ctx.placed(jump.key, jump.to.0, jump.to.1));
    let place = jump.from.1.or_else(|| table.index(jump.from.0).map(|i| table.offset_at(i)));
    let (far, at) = (how_far(jump), offset(place));
    let after = ctx.op(jump.row as usize);
    if jump.before == jump.row {
        return format!("{} sent value {from}{at} and next {to}, {far}", words::capital(&after));
    }
    let (who, before) = (process(ctx, jump), ctx.op(jump.before as usize));
    format!(
        "{} sent value {from}{at} in {before} and next, in {after}, {to}, {far}",
        words::capital(&who)
    )
}
