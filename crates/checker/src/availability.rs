//! What clients felt of the faults: elections, first successes, gaps.

use crate::faults::{Fault, Surroundings};
use crate::index::{is_client, writes_count};
use crate::report::{Availability, FaultReport};
use perjury_history::{History, KeyId, Kind, MopRef};
use rustc_hash::FxHashMap;

const NS_PER_MS: i64 = 1_000_000;

/// The sends of one key, or of all.
#[derive(Debug, Default)]
struct Sends {
    /// Ok completions: row, and since when some send had waited for a success.
    ok: Vec<(u32, i64)>,
    /// When the last send was invoked.
    last_try: Option<i64>,
    /// Since when a send has been waiting without any success, if one has.
    waiting: Option<i64>,
    /// Sends that have yet to complete.
    open: u64,
}

impl Sends {
    /// Takes one row of the history.
    fn note(&mut self, row: u32, kind: Kind, time: Option<i64>) {
        match kind {
            Kind::Invoke => {
                self.last_try = self.last_try.max(time);
                self.waiting = self.waiting.or(time);
                self.open += 1;
            }
            Kind::Ok => {
                self.open = self.open.saturating_sub(1);
                let since = self.waiting.or(time).unwrap_or(0);
                self.ok.push((row, since));
                self.waiting = time.filter(|_| self.open > 0);
            }
            Kind::Fail | Kind::Info => self.open = self.open.saturating_sub(1),
        }
    }

    /// The longest wait for an ok send between two successes that overlap `[from, to]`, and when it began. Time in which
    /// nobody wanted to send does not count: a gap begins with the last success if a send was open then, else with the
    /// next send.
    fn longest_gap(&self, history: &History, from: i64, to: i64) -> Option<(i64, i64)> {
        let ended = self
            .ok
            .iter()
            .filter_map(|(row, since)| history.time(*row as usize).map(|time| (*since, time)));
        let mut longest: Option<(i64, i64)> = None;
        let mut before = i64::MIN;
        for (since, time) in ended.chain(self.waiting.zip(self.last_try)) {
            if before > to {
                break;
            }
            if time >= from && time > since {
                let gap = (time.saturating_sub(since), since);
                longest = Some(longest.map_or(gap, |l| if gap.0 > l.0 { gap } else { l }));
            }
            before = time;
        }
        longest
    }

    /// The time of the first ok completion whose send was invoked at or after `from`.
    fn first_ok(&self, history: &History, from: i64) -> Option<i64> {
        let at = self
            .ok
            .partition_point(|(row, _)| history.time(*row as usize).is_some_and(|t| t < from));
        let rows = self.ok[at..].iter().map(|(row, _)| *row as usize);
        let mut invoked_after = rows.filter(|row| {
            history.pair(*row).and_then(|j| history.time(j)).is_none_or(|t| t >= from)
        });
        invoked_after.next().and_then(|row| history.time(row))
    }
}

/// How sends went on from some time.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Sends invoked since.
    pub(crate) tries: u64,
    /// When the last of them was invoked.
    pub(crate) last_try: Option<i64>,
    /// When the first of them succeeded.
    pub(crate) first_ok: Option<i64>,
}

impl Progress {
    /// Looks at the sends that were invoked at or after `time`.
    pub(crate) fn since(history: &History, time: i64) -> Self {
        let mut progress = Progress::default();
        for i in 0..history.len() {
            let tried = history.kind(i) == Kind::Invoke
                && history.time(i).is_some_and(|t| t >= time)
                && is_client(history, i)
                && sends(history, i);
            if !tried {
                continue;
            }
            progress.tries += 1;
            progress.last_try = history.time(i);
            let ok = history.pair(i).filter(|j| history.kind(*j) == Kind::Ok);
            let succeeded = ok.and_then(|j| history.time(j));
            progress.first_ok = progress.first_ok.into_iter().chain(succeeded).min();
        }
        progress
    }
}

fn sends(history: &History, i: usize) -> bool {
    writes_count(history.f(i)) && history.mops(i).any(|m| matches!(m, MopRef::Send { .. }))
}

/// Measures availability. A history without times gives what its cluster events say and nothing else.
pub(crate) fn measure(history: &History, around: &Surroundings) -> Availability {
    let keys: Vec<Option<KeyId>> =
        around.faults.iter().map(|f| key_of(history, f.key.as_deref())).collect();
    let mut by_key: FxHashMap<KeyId, Sends> =
        keys.iter().flatten().map(|k| (*k, Sends::default())).collect();
    let mut all = Sends::default();
    for (row, i) in (0u32..).zip(0..history.len()) {
        if !is_client(history, i) || !sends(history, i) {
            continue;
        }
        let (kind, time) = (history.kind(i), history.time(i));
        all.note(row, kind, time);
        if by_key.is_empty() {
            continue;
        }
        for mop in history.mops(i) {
            let MopRef::Send { key, .. } = mop else { continue };
            if let Some(sends) = by_key.get_mut(&key) {
                sends.note(row, kind, time);
            }
        }
    }
    let faults = around.faults.iter().zip(&keys).map(|(fault, key)| {
        let sends = key.and_then(|k| by_key.get(&k)).unwrap_or(&all);
        felt(history, around, fault, sends)
    });
    let faults = faults.collect();
    let longest = all.longest_gap(history, i64::MIN, i64::MAX);
    Availability {
        formation_ms: around.formation_ms,
        faults,
        longest_gap_ms: longest.and_then(|(ns, _)| ms(ns)),
        longest_gap_at: longest.map(|(_, at)| at),
        leader_changes: around.leaders.len() as u64,
    }
}

fn felt(history: &History, around: &Surroundings, fault: &Fault, sends: &Sends) -> FaultReport {
    let end = around.end_of(fault);
    let first = fault.start.and_then(|s| Some(sends.first_ok(history, s)?.saturating_sub(s)));
    let gap = fault.start.zip(end).and_then(|(s, e)| sends.longest_gap(history, s, e));
    FaultReport {
        fault: fault.id,
        f: fault.f.clone(),
        target: fault.target.clone(),
        nodes: fault.nodes.clone(),
        key: fault.key.clone(),
        start: fault.start,
        end,
        witnessed: fault.witnessed,
        why: fault.why.clone(),
        election_ms: fault.election_ms.or_else(|| leader_after(around, fault)),
        first_ok_send_after_ms: first.and_then(ms),
        longest_gap_ms: gap.and_then(|(ns, _)| ms(ns)),
    }
}

/// From the beginning of a fault that hit a leader to the first change of leader inside of its band.
fn leader_after(around: &Surroundings, fault: &Fault) -> Option<u64> {
    let (start, end) = (fault.start?, around.end_of(fault)?);
    if !fault.hit_leader {
        return None;
    }
    let mine = |key: &str| fault.key.as_deref().is_none_or(|k| k == key);
    let changes = around.leaders.iter().filter(|c| mine(&c.key)).filter_map(|c| c.time);
    changes.filter(|t| *t >= start && *t <= end).min().and_then(|t| ms(t.saturating_sub(start)))
}

fn key_of(history: &History, name: Option<&str>) -> Option<KeyId> {
    let name = name?;
    history.key_id(&name.into()).or_else(|| {
        let number = name.parse::<i64>().ok()?;
        history.key_id(&number.into())
    })
}

fn ms(ns: i64) -> Option<u64> {
    u64::try_from(ns / NS_PER_MS).ok()
}
