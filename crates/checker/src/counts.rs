//! What is counted: outcomes, errors, values by key, unread values over time.

use crate::anomalies;
use crate::context::Context;
use crate::index::{KeyIndex, is_client};
use crate::report::{Counts, KeyCounts, UnseenPoint};
use perjury_history::{F, History, KeyId, Kind, MopRef};
use rustc_hash::FxHashMap;

/// How many keys are listed.
const KEYS_MAX: usize = 256;
/// How many points the series of unread values has at most.
const POINTS_MAX: usize = 256;

/// Counts what needs no index: outcomes, records and errors.
pub(crate) fn rows(history: &History) -> Counts {
    let mut counts = Counts::default();
    for i in 0..history.len() {
        if !is_client(history, i) {
            continue;
        }
        let outcomes = match history.f(i) {
            F::Send => &mut counts.sends,
            F::Poll => &mut counts.polls,
            F::Txn => &mut counts.txns,
            _ => &mut counts.others,
        };
        match history.kind(i) {
            Kind::Invoke if history.pair(i).is_some() || history.process(i).is_none() => continue,
            Kind::Invoke | Kind::Info => outcomes.info += 1,
            Kind::Ok => outcomes.ok += 1,
            Kind::Fail => outcomes.fail += 1,
        }
        count_records(history, i, &mut counts);
        if history.kind(i) != Kind::Ok
            && let Some(error) = history.error(i)
        {
            *counts.errors.entry(error.code.clone()).or_default() += 1;
            if history.kind(i) == Kind::Info {
                *counts.info_causes.entry(error.code.clone()).or_default() += 1;
            }
        }
    }
    counts
}

fn count_records(history: &History, i: usize, counts: &mut Counts) {
    for mop in history.mops(i) {
        if let MopRef::Poll(Some(poll)) = mop {
            counts.polled_records += poll.records_len() as u64;
        }
    }
}

/// Adds what the index knows: values by key, and unread values over time.
pub(crate) fn values(ctx: &Context<'_>, counts: &mut Counts) {
    let mut lost: FxHashMap<KeyId, u64> = FxHashMap::default();
    for case in ctx.lost() {
        *lost.entry(case.key).or_default() += 1;
    }
    for (key, ..) in anomalies::lost_tails(ctx) {
        *lost.entry(key).or_default() += 1;
    }
    let mut keys: Vec<KeyCounts> = ctx.index.map_keys(ctx.options.threads, |id, key| {
        let lost = lost.get(&id).copied().unwrap_or(0);
        of_key(ctx.key(id), key, lost)
    });
    counts.keys_total = keys.len() as u64;
    counts.acknowledged = keys.iter().map(|k| k.acknowledged).sum();
    counts.unseen = keys.iter().map(|k| k.unseen).sum();
    counts.acknowledged_read = counts.acknowledged - counts.unseen;
    if keys.len() > KEYS_MAX {
        keys.sort_by_key(|k| std::cmp::Reverse((k.lost, k.unseen, k.acknowledged)));
        keys.truncate(KEYS_MAX);
    }
    keys.sort_by_cached_key(|k| natural(&k.key));
    counts.keys = keys;
    counts.unseen_series = series(ctx);
}

/// Sorts `orders-2` before `orders-10`.
fn natural(key: &str) -> (String, i64) {
    let digits = key.len() - key.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (name, number) = key.split_at(key.len() - digits);
    (name.to_owned(), number.parse().unwrap_or(-1))
}

fn of_key(name: String, key: &KeyIndex, lost: u64) -> KeyCounts {
    let (mut acknowledged, mut read, mut unseen) = (0, 0, 0);
    for slot in key.slots() {
        let (acked, was_read) = (key.was_sent(slot, Kind::Ok), key.first_read(slot).is_some());
        acknowledged += u64::from(acked);
        read += u64::from(was_read);
        unseen += u64::from(acked && !was_read);
    }
    let last = u32::try_from(key.len()).ok().and_then(|n| n.checked_sub(1));
    let highest_offset = last.map(|i| key.offset_at(i));
    KeyCounts { key: name, acknowledged, read, unseen, lost, highest_offset }
}

/// Acknowledged values that no ok operation had polled, at up to 256 rows spread evenly over the history.
fn series(ctx: &Context<'_>) -> Vec<UnseenPoint> {
    let rows = ctx.history.len();
    let points = rows.min(POINTS_MAX);
    if points == 0 {
        return Vec::new();
    }
    let width = rows.div_ceil(points);
    let mut change = vec![0i64; points];
    for (_, key) in ctx.index.keys() {
        for slot in key.slots().filter(|s| key.was_sent(*s, Kind::Ok)) {
            let Some(sent) = key.writer(slot) else { continue };
            let read = key.first_read(slot);
            if read.is_some_and(|r| r <= sent) {
                continue;
            }
            change[sent / width] += 1;
            if let Some(read) = read {
                change[read / width] -= 1;
            }
        }
    }
    let mut unseen = 0i64;
    let mut all = Vec::new();
    for (i, change) in change.into_iter().enumerate() {
        unseen += change;
        let row = ((i + 1) * width - 1).min(rows - 1);
        if let Some(time) = ctx.history.time(row) {
            all.push(UnseenPoint { time, unseen: u64::try_from(unseen).unwrap_or(0) });
        }
    }
    all.dedup_by_key(|p| p.time);
    all
}

/// Operations that completed as ok and sent, or polled, inside of the bands of witnessed faults; and sends and polls that
/// were ok at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct OkOps {
    /// Ok operations with a send.
    pub(crate) sends: u64,
    /// Ok operations with a poll that returned at least one record.
    pub(crate) reads: u64,
    /// Ok operations with a send during faults.
    pub(crate) sends_during: u64,
    /// Ok operations with a poll during faults, whatever it returned.
    pub(crate) polls_during: u64,
    /// Ok operations during faults.
    pub(crate) during: u64,
}

impl OkOps {
    /// Counts them; `bands` are disjoint and ascending.
    pub(crate) fn count(history: &History, bands: &[(i64, i64)]) -> Self {
        let mut ok = OkOps::default();
        for i in 0..history.len() {
            let data = matches!(history.f(i), F::Send | F::Poll | F::Txn);
            if history.kind(i) != Kind::Ok || !data || !is_client(history, i) {
                continue;
            }
            let (mut sends, mut polls, mut read) = (false, false, false);
            for mop in history.mops(i) {
                match mop {
                    MopRef::Send { .. } => sends = true,
                    MopRef::Poll(None) => {}
                    MopRef::Poll(Some(poll)) => {
                        polls = true;
                        read |= poll.records_len() > 0;
                    }
                }
            }
            ok.sends += u64::from(sends);
            ok.reads += u64::from(read);
            let inside = |t: i64| {
                let at = bands.partition_point(|(_, end)| *end < t);
                bands.get(at).is_some_and(|(start, _)| *start <= t)
            };
            if history.time(i).is_some_and(inside) {
                ok.during += 1;
                ok.sends_during += u64::from(sends);
                ok.polls_during += u64::from(polls);
            }
        }
        ok
    }
}
