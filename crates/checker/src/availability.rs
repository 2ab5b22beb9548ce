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
    /// Rows of ok completions.
    ok: Vec<u32>,
    /// When the last send was invoked.
    last_try: Option<i64>,
}

impl Sends {
    /// The longest time without an ok send that overlaps `[from, to]`, and when it began. Before the first success it
    /// begins at `start`; after the last one it counts only while sends were still tried.
    fn longest_gap(&self, history: &History, from: i64, to: i64, start: i64) -> Option<(i64, i64)> {
        let times = self.ok.iter().filter_map(|row| history.time(*row as usize));
        let mut longest: Option<(i64, i64)> = None;
        let mut before = start;
        for time in times.chain(self.last_try) {
            if before > to {
                break;
            }
            if time >= from && time > before {
                let gap = (time.saturating_sub(before), before);
                longest = Some(longest.map_or(gap, |l| if gap.0 > l.0 { gap } else { l }));
            }
            before = before.max(time);
        }
        longest
    }

    /// The time of the first ok completion whose send was invoked at or after `from`.
    fn first_ok(&self, history: &History, from: i64) -> Option<i64> {
        let at =
            self.ok.partition_point(|row| history.time(*row as usize).is_some_and(|t| t < from));
        let rows = self.ok[at..].iter().map(|row| *row as usize);
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
    let mut start = None;
    for (row, i) in (0u32..).zip(0..history.len()) {
        if !is_client(history, i) || !sends(history, i) {
            continue;
        }
        let (kind, time) = (history.kind(i), history.time(i));
        start = start.or(time);
        let note = |to: &mut Sends| match kind {
            Kind::Invoke => to.last_try = to.last_try.max(time),
            Kind::Ok => to.ok.push(row),
            Kind::Fail | Kind::Info => {}
        };
        note(&mut all);
        if by_key.is_empty() {
            continue;
        }
        for mop in history.mops(i) {
            let MopRef::Send { key, .. } = mop else { continue };
            if let Some(sends) = by_key.get_mut(&key) {
                note(sends);
            }
        }
    }
    let start = start.unwrap_or(0);
    let faults = around.faults.iter().zip(&keys).map(|(fault, key)| {
        let sends = key.and_then(|k| by_key.get(&k)).unwrap_or(&all);
        felt(history, around, fault, sends, start)
    });
    let faults = faults.collect();
    let longest = all.longest_gap(history, i64::MIN, i64::MAX, start);
    Availability {
        formation_ms: around.formation_ms,
        faults,
        longest_gap_ms: longest.and_then(|(ns, _)| ms(ns)),
        longest_gap_at: longest.map(|(_, at)| at),
        leader_changes: around.leaders.len() as u64,
    }
}

fn felt(
    history: &History,
    around: &Surroundings,
    fault: &Fault,
    sends: &Sends,
    start: i64,
) -> FaultReport {
    let end = around.end_of(fault);
    let first = fault.start.and_then(|s| Some(sends.first_ok(history, s)?.saturating_sub(s)));
    let gap = fault.start.zip(end).and_then(|(s, e)| sends.longest_gap(history, s, e, start));
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
