//! Configurations, sets of them, and which of them can be dropped.

use super::bits::Bits;
use super::crashed::Used;
use super::engine::Beam;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, VecDeque};

/// What makes a configuration: two with equal keys have the same future.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key<B> {
    /// Open operations that took effect.
    pub(super) done: B,
    /// Open overwrites that may have been hidden before one that took effect.
    pub(super) covered: B,
    /// The state's number.
    pub(super) state: u32,
    /// The number of the counts of used operations of unknown outcome.
    pub(super) used: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Config<B> {
    pub(super) key: Key<B>,
    /// How it came about.
    pub(super) node: u32,
    /// Its last step was an overwrite whose value nobody has observed.
    pub(super) quiet: bool,
}

/// Up to this many configurations are looked through one by one.
const FEW: usize = 12;

/// Configurations in order of discovery.
#[derive(Debug)]
pub(super) struct Set<B> {
    pub(super) list: Vec<Config<B>>,
    /// Beyond a few: by everything but the used operations of unknown outcome, the last configuration found.
    index: FxHashMap<(B, B, u32), u32>,
    /// By configuration: the one found before it that differs only in what it used.
    older: Vec<u32>,
}

/// No older configuration.
const NONE: u32 = u32::MAX;

/// What a known configuration makes of a new one.
enum Known {
    /// The new one is different.
    Other,
    /// The known one can do all that the new one can.
    Covers,
    /// They are the same, but the known one was thought quiet.
    Louder,
}

impl<B: Bits> Set<B> {
    pub(super) fn new() -> Self {
        Set { list: Vec::new(), index: FxHashMap::default(), older: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        // The list may have been exchanged for another one meanwhile.
        if !self.older.is_empty() {
            self.index.clear();
            self.older.clear();
        }
        self.list.clear();
    }

    pub(super) fn bytes(&self) -> i64 {
        let configs = self.list.capacity() * (std::mem::size_of::<Config<B>>() + 4);
        let index = self.index.capacity() * (std::mem::size_of::<(B, B, u32)>() + 8);
        i64::try_from(configs + index).unwrap_or(i64::MAX / 4)
    }

    /// The position of a configuration that must be looked at (again), or `None` when one that is known can do all that
    /// it can.
    pub(super) fn insert(
        &mut self,
        key: Key<B>,
        quiet: bool,
        used: &Used,
        node: impl FnOnce() -> u32,
    ) -> Option<usize> {
        let at = self.list.len();
        let place = |k: &Key<B>| (k.done, k.covered, k.state);
        if at < FEW {
            for (i, other) in self.list.iter_mut().enumerate() {
                if place(&other.key) != place(&key) {
                    continue;
                }
                match other.compare(&key, quiet, used) {
                    Known::Other => {}
                    Known::Covers => return None,
                    Known::Louder => return Some(i),
                }
            }
            self.list.push(Config { key, node: node(), quiet });
            return Some(at);
        }
        if self.older.is_empty() {
            for (i, config) in (0u32..).zip(&self.list) {
                let last = self.index.insert(place(&config.key), i);
                self.older.push(last.unwrap_or(NONE));
            }
        }
        let head = self.index.entry(place(&key)).or_insert(NONE);
        let mut known = *head;
        while known != NONE {
            match self.list[known as usize].compare(&key, quiet, used) {
                Known::Other => known = self.older[known as usize],
                Known::Covers => return None,
                Known::Louder => return Some(known as usize),
            }
        }
        self.older.push(*head);
        *head = super::table::small(at);
        self.list.push(Config { key, node: node(), quiet });
        Some(at)
    }
}

impl<B: Bits> Config<B> {
    /// Compares a known configuration with a new one that differs at most in what it used.
    fn compare(&mut self, key: &Key<B>, quiet: bool, used: &Used) -> Known {
        let as_loud = !self.quiet || quiet;
        if self.key.used == key.used {
            self.quiet &= quiet;
            return if as_loud { Known::Covers } else { Known::Louder };
        }
        if as_loud && used.is_within(self.key.used, key.used) {
            return Known::Covers;
        }
        Known::Other
    }
}

/// At most this many configurations of one group are kept as rulers by which others are dropped.
const RULERS_MAX: usize = 64;

/// Drops configurations that another one can imitate.
pub(super) fn prune<B: Bits>(configs: &mut Vec<Config<B>>, overwrites: B, used: &Used) {
    if configs.len() < 2 {
        return;
    }
    let group = |c: &Config<B>| (c.key.state, c.key.done.difference(overwrites));
    configs.sort_by_key(|c| {
        let free = std::cmp::Reverse(c.key.covered.count());
        (group(c), free, used.total(c.key.used))
    });
    let mut kept: Vec<Config<B>> = Vec::with_capacity(configs.len());
    let mut first = 0;
    for config in configs.iter() {
        if kept.last().is_some_and(|k| group(k) != group(config)) {
            first = kept.len();
        }
        let rulers = &kept[first..kept.len().min(first + RULERS_MAX)];
        if !rulers.iter().any(|r| imitates(&r.key, &config.key, overwrites, used)) {
            kept.push(*config);
        }
    }
    *configs = kept;
}

/// Whether `a` can do whatever `b` can. Both have the same state and the same operations other than overwrites done.
fn imitates<B: Bits>(a: &Key<B>, b: &Key<B>, overwrites: B, used: &Used) -> bool {
    let differ = a.done.difference(b.done).union(b.done.difference(a.done));
    b.covered.difference(a.covered).is_empty()
        && differ.intersection(overwrites).difference(a.covered).is_empty()
        && used.is_within(a.used, b.used)
}

/// Keeps what a beam allows; whether anything was left out. Of every state the configurations stay that used the fewest
/// operations of unknown outcome and have the most writes covered.
pub(super) fn narrow<B: Bits>(configs: &mut Vec<Config<B>>, used: &Used, beam: Beam) -> bool {
    let before = configs.len();
    if beam.slack != u32::MAX && before > 1 {
        let least = configs.iter().map(|c| used.total(c.key.used)).min().unwrap_or(0);
        configs.retain(|c| used.total(c.key.used) <= least.saturating_add(beam.slack));
    }
    if configs.len() > beam.width {
        configs.sort_by_key(|c| {
            (c.key.state, used.total(c.key.used), std::cmp::Reverse(c.key.covered.count()))
        });
        let states = configs.chunk_by(|a, b| a.key.state == b.key.state).count();
        let quota = (beam.width / states).max(1);
        let mut kept = Vec::with_capacity(beam.width + states);
        for group in configs.chunk_by(|a, b| a.key.state == b.key.state) {
            kept.extend_from_slice(&group[..group.len().min(quota)]);
        }
        *configs = kept;
    }
    configs.len() < before
}

/// Configurations still to be looked at: those that used fewer operations of unknown outcome first, among them the
/// oldest, which took the fewest steps.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Those that used the fewest.
    first: VecDeque<usize>,
    /// How many those used.
    used: u32,
    later: BTreeMap<u32, VecDeque<usize>>,
}

impl Queue {
    pub(super) fn clear(&mut self) {
        self.first.clear();
        self.later.clear();
    }

    /// Adds a configuration. None that used fewer than those looked at before is ever added.
    pub(super) fn push(&mut self, used: u32, at: usize) {
        if self.first.is_empty() && self.later.is_empty() {
            self.used = used;
        }
        if used == self.used {
            self.first.push_back(at);
        } else {
            self.later.entry(used).or_default().push_back(at);
        }
    }

    pub(super) fn pop(&mut self) -> Option<(u32, usize)> {
        if let Some((used, _)) = self.later.first_key_value()
            && (self.first.is_empty() || *used < self.used)
        {
            let (used, next) = self.later.pop_first()?;
            if !self.first.is_empty() {
                self.later.insert(self.used, std::mem::take(&mut self.first));
            }
            (self.used, self.first) = (used, next);
        }
        self.first.pop_front().map(|at| (self.used, at))
    }
}
