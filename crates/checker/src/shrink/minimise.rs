//! The search: neighbourhoods, then delta debugging.

use super::case::{Case, Likeness};
use super::parts::{self, Unit};
use super::{Progress, build};
use crate::check::check;
use crate::options::Options;
use perjury_history::{Event, History, KeyId};
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Search<'a> {
    history: &'a History,
    options: Options,
    case: &'a Case,
    go_on: &'a mut dyn FnMut(Progress) -> bool,
    units: Vec<Unit>,
    /// Units with parts removed, by their numbers.
    changed: BTreeMap<usize, Vec<Event>>,
    likeness: Likeness,
    left: usize,
    /// Histories checked so far.
    pub(super) checks: u64,
    /// Whether the caller ended the search.
    pub(super) is_stopped: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        history: &'a History,
        options: &Options,
        case: &'a Case,
        go_on: &'a mut dyn FnMut(Progress) -> bool,
    ) -> Self {
        let units = parts::units(history);
        Search {
            history,
            options: Case::options(options),
            case,
            go_on,
            left: units.len(),
            units,
            changed: BTreeMap::new(),
            likeness: Likeness::Same,
            checks: 0,
            is_stopped: false,
        }
    }

    /// The rows of the smallest history that was found, ascending.
    pub(super) fn run(&mut self) -> Vec<usize> {
        let mut kept = self.neighbourhood();
        let steps = match self.case.needs_all {
            true => &[Likeness::Same][..],
            false => &[Likeness::Same, Likeness::Value, Likeness::Name][..],
        };
        for likeness in steps {
            self.likeness = *likeness;
            kept = self.reduce(kept);
        }
        self.rows(&kept)
    }

    /// The events of these rows, with what was removed within them.
    pub(super) fn into_events(self, rows: &[usize]) -> Vec<Event> {
        let mut events: BTreeMap<usize, Event> =
            rows.iter().map(|row| (*row, self.history.event(*row))).collect();
        for (unit, changed) in &self.changed {
            for (row, event) in self.units[*unit].rows.iter().zip(changed) {
                if let Some(slot) = events.get_mut(row) {
                    *slot = event.clone();
                }
            }
        }
        events.into_values().collect()
    }

    fn rows(&self, units: &[usize]) -> Vec<usize> {
        let mut rows: Vec<usize> =
            units.iter().flat_map(|u| self.units[*u].rows.iter().copied()).collect();
        rows.sort_unstable();
        rows
    }

    fn events_of(&self, unit: usize) -> Vec<Event> {
        let whole = || self.units[unit].rows.iter().map(|row| self.history.event(*row)).collect();
        self.changed.get(&unit).cloned().unwrap_or_else(whole)
    }

    /// Whether these units show the case.
    fn shows(&mut self, units: &[usize]) -> bool {
        if self.is_stopped || !(self.go_on)(Progress { checks: self.checks, left: self.left }) {
            self.is_stopped = true;
            return false;
        }
        self.checks += 1;
        let mut events: Vec<(usize, Event)> = units
            .iter()
            .flat_map(|u| self.units[*u].rows.iter().copied().zip(self.events_of(*u)))
            .collect();
        events.sort_unstable_by_key(|(row, _)| *row);
        let (rows, events): (Vec<usize>, Vec<Event>) = events.into_iter().unzip();
        let history = build(self.history.header.clone(), &events);
        let report = check(&history, &self.options);
        self.case.is_in(&report, self.likeness, &rows)
    }

    /// The narrowest neighbourhood of the case that shows it.
    fn neighbourhood(&mut self) -> Vec<usize> {
        let case = self.case;
        let own = |u: &Unit| u.rows.iter().any(|row| case.rows.binary_search(row).is_ok());
        let named = |id: &KeyId| case.key.as_deref() == Some(&self.history.key(*id).to_string());
        let key = (0u32..).take(self.history.keys_len()).map(KeyId).find(named);
        let all: Vec<usize> = (0..self.units.len()).collect();
        let (mut own_units, mut with_value, mut with_key) = (Vec::new(), Vec::new(), Vec::new());
        for unit in &all {
            if own(&self.units[*unit]) {
                own_units.push(*unit);
            }
            let Some(key) = key else { continue };
            if parts::keys(self.history, &self.units[*unit]).binary_search(&key).is_err() {
                continue;
            }
            with_key.push(*unit);
            let value = case.value.as_ref();
            if value.is_some_and(|v| parts::touches(self.history, &self.units[*unit], key, v)) {
                with_value.push(*unit);
            }
        }
        let processes: BTreeSet<u32> =
            own_units.iter().filter_map(|u| self.units[*u].process).collect();
        let theirs = |u: &usize| self.units[*u].process.is_some_and(|p| processes.contains(&p));
        let of_processes: Vec<usize> = all.iter().copied().filter(theirs).collect();
        let both: Vec<usize> = with_key.iter().copied().filter(|u| theirs(u)).collect();
        let around: Vec<usize> =
            all.iter().copied().filter(|u| self.units[*u].process.is_none()).collect();
        let unite = |parts: &[&Vec<usize>]| -> Vec<usize> {
            let all: BTreeSet<usize> = parts.iter().flat_map(|p| p.iter().copied()).collect();
            all.into_iter().collect()
        };
        let tries = [
            own_units.clone(),
            unite(&[&own_units, &with_value]),
            unite(&[&own_units, &with_value, &around]),
            unite(&[&own_units, &both]),
            unite(&[&own_units, &with_key]),
            unite(&[&own_units, &of_processes]),
            unite(&[&own_units, &with_key, &of_processes, &around]),
        ];
        let mut tried: Vec<Vec<usize>> = Vec::new();
        for candidate in tries {
            if candidate.len() < all.len() && !tried.contains(&candidate) {
                if self.shows(&candidate) {
                    return candidate;
                }
                tried.push(candidate);
            }
        }
        all
    }

    /// Removes what can be removed, until nothing can.
    fn reduce(&mut self, mut kept: Vec<usize>) -> Vec<usize> {
        kept = self.without_groups(kept, |s, unit| parts::keys(s.history, &s.units[unit]));
        kept = self.without_groups(kept, |s, unit| s.units[unit].process.into_iter().collect());
        loop {
            self.left = kept.len();
            let groups = kept.iter().map(|u| vec![*u]).collect();
            kept = self.ddmin(kept, groups);
            if !self.within(&kept) {
                return kept;
            }
        }
    }

    fn without_groups<K: Ord>(
        &mut self,
        kept: Vec<usize>,
        of: impl Fn(&Self, usize) -> Vec<K>,
    ) -> Vec<usize> {
        let groups = parts::groups(&kept, |unit| of(self, unit));
        if groups.len() < 2 {
            return kept;
        }
        self.ddmin(kept, groups)
    }

    /// Delta debugging by complements over groups of units: many groups at once, then fewer, until no single one can go.
    fn ddmin(&mut self, mut kept: Vec<usize>, mut groups: Vec<Vec<usize>>) -> Vec<usize> {
        let mut chunks = 2;
        while !groups.is_empty() && !self.is_stopped {
            let size = groups.len().div_ceil(chunks.min(groups.len()));
            let mut removed = None;
            let mut at = 0;
            while at < groups.len() {
                let end = (at + size).min(groups.len());
                let gone: BTreeSet<usize> = groups[at..end].iter().flatten().copied().collect();
                let rest: Vec<usize> = kept.iter().copied().filter(|u| !gone.contains(u)).collect();
                if rest.len() < kept.len() && self.shows(&rest) {
                    kept = rest;
                    self.left = kept.len();
                    groups.drain(at..end);
                    removed = Some(());
                } else {
                    at = end;
                }
            }
            // What could not be removed before may be removable once others are gone.
            match (removed, size) {
                (Some(()), 1) => chunks = groups.len().max(2),
                (None, 1) => break,
                _ => chunks = (chunks * 2).min(groups.len().max(2)),
            }
        }
        kept
    }

    /// Removes parts of the units. True when anything was removed.
    fn within(&mut self, kept: &[usize]) -> bool {
        let mut any = false;
        for unit in kept {
            let mut again = true;
            while again && !self.is_stopped {
                again = false;
                let before = self.changed.get(unit).cloned();
                for candidate in parts::smaller(&self.events_of(*unit)) {
                    self.changed.insert(*unit, candidate);
                    if self.shows(kept) {
                        (again, any) = (true, true);
                        break;
                    }
                    match &before {
                        Some(events) => drop(self.changed.insert(*unit, events.clone())),
                        None => drop(self.changed.remove(unit)),
                    }
                }
            }
        }
        any
    }
}
