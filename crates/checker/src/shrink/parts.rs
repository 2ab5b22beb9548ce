//! Operations as units, and what can be removed within one.

use perjury_history::{Event, History, KeyId, Mop, MopRef, Payload, PolledKey, Scalar};
use std::collections::BTreeMap;

/// An operation (its events), or one event of nemesis or cluster.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    /// Its rows in the whole history, ascending.
    pub(super) rows: Vec<usize>,
    /// Who did it: a client's number, nothing for nemesis, cluster and nobody.
    pub(super) process: Option<u32>,
}

/// All units, by their first rows.
pub(super) fn units(history: &History) -> Vec<Unit> {
    let first = |i: &usize| history.pair(*i).is_none_or(|j| *i < j);
    let unit = |i: usize| {
        let process = match history.process(i) {
            Some(perjury_history::Process::Client(n)) => Some(n),
            _ => None,
        };
        Unit { rows: std::iter::once(i).chain(history.pair(i)).collect(), process }
    };
    (0..history.len()).filter(first).map(unit).collect()
}

/// The topic-partitions that a unit touches, ascending.
pub(super) fn keys(history: &History, unit: &Unit) -> Vec<KeyId> {
    let mut keys = Vec::new();
    for mop in unit.rows.iter().flat_map(|row| history.mops(*row)) {
        match mop {
            MopRef::Send { key, .. } => keys.push(key),
            MopRef::Poll(None) => {}
            MopRef::Poll(Some(poll)) => keys.extend(poll.groups().map(|group| group.key)),
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Whether a unit sent or polled this value of this topic-partition.
pub(super) fn touches(history: &History, unit: &Unit, of: KeyId, wanted: &Scalar) -> bool {
    let same = |value| history.value(value) == *wanted;
    unit.rows.iter().flat_map(|row| history.mops(*row)).any(|mop| match mop {
        MopRef::Send { key, value, .. } => key == of && same(value),
        MopRef::Poll(None) => false,
        MopRef::Poll(Some(poll)) => {
            let mut groups = poll.groups().filter(|group| group.key == of);
            groups.any(|group| group.iter().any(|(_, value)| same(value)))
        }
    })
}

/// The events of one unit with one part less, in the order in which they are tried. Only what cannot make a gap that was
/// not there is removed: whole micro-operations of an operation that has several, whole answers, and records from both
/// ends of an answer.
pub(super) fn smaller(events: &[Event]) -> Vec<Vec<Event>> {
    let mut all = Vec::new();
    let lists: Vec<Option<&Vec<Mop>>> = events.iter().map(mops).collect();
    let len = lists.iter().flatten().map(|l| l.len()).max().unwrap_or(0);
    let alike = lists.iter().all(|l| l.is_some_and(|l| l.len() == len));
    if alike && len > 1 {
        all.extend((0..len).map(|at| edit(events, |mops| drop(mops.remove(at)))));
    }
    let Some((last, polls)) = lists.last().and_then(|l| Some((lists.len() - 1, (*l)?))) else {
        return all;
    };
    for (at, mop) in polls.iter().enumerate() {
        let Mop::Poll(Some(groups)) = mop else { continue };
        let cut = |change: &dyn Fn(&mut Vec<PolledKey>)| {
            let mut changed = events.to_vec();
            if let Payload::Mops(mops) = &mut changed[last].value
                && let Some(Mop::Poll(Some(groups))) = mops.get_mut(at)
            {
                change(groups);
            }
            changed
        };
        for (n, (_, records)) in groups.iter().enumerate() {
            if groups.len() > 1 {
                all.push(cut(&|groups| drop(groups.remove(n))));
            }
            let len = records.len();
            let mut step = len / 2;
            while step > 0 {
                all.push(cut(&|groups| drop(groups[n].1.drain(..step))));
                all.push(cut(&|groups| groups[n].1.truncate(len - step)));
                step /= 2;
            }
        }
    }
    all
}

fn mops(event: &Event) -> Option<&Vec<Mop>> {
    match &event.value {
        Payload::Mops(mops) => Some(mops),
        _ => None,
    }
}

fn edit(events: &[Event], change: impl Fn(&mut Vec<Mop>)) -> Vec<Event> {
    let mut changed = events.to_vec();
    for event in &mut changed {
        if let Payload::Mops(mops) = &mut event.value {
            change(mops);
        }
    }
    changed
}

/// Units by whatever they share, in order of it; those that share nothing are left out.
pub(super) fn groups<K: Ord>(units: &[usize], of: impl Fn(usize) -> Vec<K>) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for unit in units {
        for key in of(*unit) {
            groups.entry(key).or_default().push(*unit);
        }
    }
    groups.into_values().collect()
}
