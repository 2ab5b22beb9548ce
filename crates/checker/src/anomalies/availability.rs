//! # What it is
//! Four findings about progress, apart from safety: a long time without an ok send (`availability-gap`), a long election
//! (`slow-election`), no ok send after everything was healed (`never-recovered`), an operation that stays open
//! (`stuck-client`).
//!
//! # Why it is bad
//! The data is safe, but clients wait, time out, or stop for good.
//!
//! # How it is found
//! From the report's availability section: against the declared budget, or where none is declared against a generous
//! threshold (gap and recovery 30 s, election 10 s, open operation 60 s).
//!
//! # Contract
//! A violation of a declared budget; otherwise unspecified, since Kafka promises no times.
//!
//! # Source
//! Ours; Redpanda's chaos suite reports the same figures.

use super::{Entry, Found, Origin};
use crate::availability::Progress;
use crate::context::Context;
use crate::contract::{Budget, Clause};
use crate::report::Example;
use crate::tally::Tally;
use crate::words::{self, duration};
use perjury_history::{F, Kind};
use serde_json::{Map, json};

const NS_PER_MS: i64 = 1_000_000;

pub(super) const AVAILABILITY_GAP: Entry = Entry {
    name: "availability-gap",
    counted: ("long gap without a successful send", "long gaps without a successful send"),
    title: "a long time without a successful send",
    origin: Origin::Perjury,
    clause: Clause::Budget(Budget::Gap),
    meaning: "Producers kept trying, and for a long time none of them succeeded.",
    impact: "Producers wait or time out.",
    causes: &[
        "a slow election",
        "in-sync replicas below min.insync.replicas",
        "clients with stale metadata",
    ],
    advice: "Compare the gap with the leader changes and the fault next to it.",
    legal_if: "a larger declared budget",
    run: Some(gap),
};

pub(super) const SLOW_ELECTION: Entry = Entry {
    name: "slow-election",
    counted: ("slow election", "slow elections"),
    title: "a slow election",
    origin: Origin::Perjury,
    clause: Clause::Budget(Budget::Election),
    meaning: "After a fault it took long until the partition had a leader again.",
    impact: "The partition cannot be written or read meanwhile.",
    causes: &["long session or election timeouts", "a controller that was hit as well"],
    advice: "Look at the controller's log between the fault and the new leader.",
    legal_if: "a larger declared budget",
    run: Some(election),
};

pub(super) const NEVER_RECOVERED: Entry = Entry {
    name: "never-recovered",
    counted: ("failure to recover", "failures to recover"),
    title: "no successful send after everything was healed",
    origin: Origin::Perjury,
    clause: Clause::Budget(Budget::Recovery),
    meaning: "All faults were healed, producers kept trying, and none succeeded for a long time or ever.",
    impact: "The cluster needs help from outside.",
    causes: &[
        "replicas that never rejoin",
        "an election that cannot complete",
        "clients that are stuck",
    ],
    advice: "Look at the nodes' logs after the last heal: which partition has no leader, or too few in-sync replicas?",
    legal_if: "a larger declared budget",
    run: Some(recovery),
};

pub(super) const STUCK_CLIENT: Entry = Entry {
    name: "stuck-client",
    counted: ("stuck operation", "stuck operations"),
    title: "an operation stayed open",
    origin: Origin::Perjury,
    clause: Clause::Budget(Budget::Stuck),
    meaning: "A client's operation took very long, or never came back.",
    impact: "The application hangs.",
    causes: &[
        "a request that was never answered",
        "a deadlock in the client library",
        "timeouts that are too long",
    ],
    advice: "Look for the request in the broker's log; take a stack of the client.",
    legal_if: "a larger declared budget",
    run: Some(stuck),
};

fn note(text: String, key: Option<String>, ops: Vec<u64>, fault: Option<u64>, ms: u64) -> Example {
    let mut more = Map::new();
    more.insert("ms".into(), json!(ms));
    Example { sentence: text, key, offset: None, value: None, ops, fault, more }
}

fn ns(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX / NS_PER_MS).saturating_mul(NS_PER_MS)
}

fn all(examples: Vec<Example>) -> Found {
    let count = examples.len() as u64;
    Found { count, sound: count, examples }
}

/// Errors after which an idempotent producer cannot go on (KIP-360: the broker and the producer no longer agree on what was
/// written last).
const FATAL: [&str; 4] =
    ["OUT_OF_ORDER_SEQUENCE_NUMBER", "UNKNOWN_PRODUCER_ID", "INVALID_PRODUCER_EPOCH", "_FATAL"];

/// The first send that ended its producer between a fault and the next one: the row of its completion, and the error.
fn ended_producer<'a>(ctx: &Context<'a>, fault: u64) -> Option<(usize, &'a str)> {
    let at = ctx.around.faults.iter().position(|f| f.id == fault)?;
    let next = ctx.around.faults.get(at + 1).map_or(ctx.history.len(), |f| f.row);
    (ctx.around.faults[at].row..next).find_map(|row| {
        let is_send = matches!(ctx.history.f(row), F::Send | F::Txn) && ctx.index.is_data(row);
        let error = ctx.history.error(row).filter(|_| is_send)?;
        FATAL.contains(&error.code.as_str()).then_some((row, error.code.as_str()))
    })
}

fn gap(ctx: &Context<'_>) -> Found {
    let limit = ctx.promises.budgets.gap_ms.unwrap_or(30_000);
    let of_faults = ctx.availability.faults.iter().filter_map(|f| {
        let ms = f.longest_gap_ms.filter(|ms| *ms > limit)?;
        let who = f.key.as_ref().map_or_else(|| "no send".into(), |k| format!("no send to {k}"));
        let mut text = format!(
            "Around fault {} ({}), {who} succeeded for {}.",
            f.fault,
            f.f,
            duration(ns(ms))
        );
        let ended = ended_producer(ctx, f.fault);
        if let Some((row, code)) = ended {
            let send = words::capital(&ctx.op(row));
            text += &format!(
                " {send} ended with {code}, after which its idempotent producer could not go on."
            );
        }
        let ops = ended.iter().map(|(row, _)| *row as u64).collect();
        Some(note(text, f.key.clone(), ops, Some(f.fault), ms))
    });
    let mut examples: Vec<Example> = of_faults.collect();
    if let Some(ms) =
        ctx.availability.longest_gap_ms.filter(|ms| *ms > limit && examples.is_empty())
    {
        let at = ctx
            .availability
            .longest_gap_at
            .map_or_else(String::new, |t| format!(", from {} on", duration(t)));
        let text = format!("No send succeeded for {}{at}.", duration(ns(ms)));
        examples.push(note(text, None, Vec::new(), None, ms));
    }
    all(examples)
}

fn election(ctx: &Context<'_>) -> Found {
    let limit = ctx.promises.budgets.election_ms.unwrap_or(10_000);
    let slow = ctx.availability.faults.iter().filter_map(|f| {
        let ms = f.election_ms.filter(|ms| *ms > limit)?;
        let text =
            format!("After fault {} ({}) the election took {}.", f.fault, f.f, duration(ns(ms)));
        Some(note(text, f.key.clone(), Vec::new(), Some(f.fault), ms))
    });
    all(slow.collect())
}

fn recovery(ctx: &Context<'_>) -> Found {
    const TRIES_MIN: u64 = 10;
    let limit = ctx.promises.budgets.recovery_ms.unwrap_or(30_000);
    let faults = &ctx.around.faults;
    if faults.is_empty() || faults.iter().any(|f| f.healed.is_none()) {
        return Found::default();
    }
    let Some(healed) = faults.iter().filter_map(|f| f.healed).max() else {
        return Found::default();
    };
    let progress = Progress::since(ctx.history, healed);
    let took = match progress.first_ok {
        Some(time) => time.saturating_sub(healed),
        None if progress.tries >= TRIES_MIN => progress.last_try.unwrap_or(healed) - healed,
        None => 0,
    };
    let ms = u64::try_from(took / NS_PER_MS).unwrap_or(0);
    if ms <= limit {
        return Found::default();
    }
    let text = match progress.first_ok {
        Some(_) => {
            format!("After the last heal it took {} until a send succeeded.", duration(took))
        }
        None => format!(
            "After the last heal {} were tried for {}, and none succeeded.",
            words::counted(progress.tries, "send", "sends"),
            duration(took)
        ),
    };
    all(vec![note(text, None, Vec::new(), None, ms)])
}

fn stuck(ctx: &Context<'_>) -> Found {
    let limit = ns(ctx.promises.budgets.stuck_ms.unwrap_or(60_000));
    let mut tally = Tally::new(ctx.options.examples_max);
    for i in 0..ctx.history.len() {
        if ctx.history.kind(i) != Kind::Invoke || !ctx.index.is_data(i) {
            continue;
        }
        let ended = ctx.history.pair(i);
        let until = ended.and_then(|j| ctx.history.time(j)).or(ctx.around.end);
        let (Some(from), Some(until)) = (ctx.history.time(i), until) else { continue };
        let took = until.saturating_sub(from);
        if took > limit {
            let row = u32::try_from(i).unwrap_or(u32::MAX);
            tally.add(true, -took, row, (i, ended, took));
        }
    }
    let (count, sound) = (tally.count, tally.sound);
    let examples = tally.cases().into_iter().map(|(i, ended, took)| {
        let end = if ended.is_some() { "took" } else { "never came back; it was open for" };
        let text = format!("{} {end} {}.", words::capital(&ctx.op(i)), duration(took));
        let ms = u64::try_from(took / NS_PER_MS).unwrap_or(0);
        note(text, None, vec![ended.unwrap_or(i) as u64], None, ms)
    });
    Found { count, sound, examples: examples.collect() }
}
