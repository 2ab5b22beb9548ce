//! The walk over all rows for the keys of one shard.

use super::lag::{Follower, Lag, Reach};
use super::{Gap, Jump, Walk};
use crate::index::{Index, KeyIndex, NONE, Slot, is_client, reads_count, writes_count};
use perjury_history::{F, History, KeyId, Kind, MopRef, Process, RecordsRef, Scalar};
use rustc_hash::{FxHashMap, FxHashSet};

type At = (Slot, Option<i64>);

/// What one operation did with one key so far.
#[derive(Debug, Clone, Copy)]
struct Run {
    row: u32,
    first: At,
    last: At,
}

impl Run {
    const EMPTY: Run = Run { row: NONE, first: (Slot(NONE), None), last: (Slot(NONE), None) };
}

/// Where a process stood after its last operation on a key.
#[derive(Debug, Clone, Copy)]
struct Stand {
    row: u32,
    last: At,
    /// Whether the consumer was moved on purpose since.
    moved: bool,
}

#[derive(Debug, Default)]
struct Client {
    polls: FxHashMap<u32, Stand>,
    sends: FxHashMap<u32, Stand>,
    follower: Follower,
}

struct KeyState {
    id: KeyId,
    walk: Walk,
    polls: Run,
    sends: Run,
    gaps: Vec<Gap>,
    /// The last operation that polled the key out of order: what it passed over it may have returned later.
    disordered: u32,
    reach: Reach,
    /// The highest offset that the operation under way showed.
    shown: i64,
}

struct Shard<'a, 'h> {
    index: &'a Index<'h>,
    history: &'h History,
    shard: usize,
    shards: usize,
    keys: Vec<KeyState>,
    clients: FxHashMap<u32, Client>,
    /// Keys of this shard that the operation under way polled, and those that it sent to.
    polled: Vec<u32>,
    sent: Vec<u32>,
    shown: Vec<u32>,
}

/// Walks all rows and gives one [`Walk`] for each key of the shard, in order.
pub(super) fn walk(
    index: &Index<'_>,
    shard: usize,
    shards: usize,
    examples_max: usize,
) -> Vec<Walk> {
    let mine = (0u32..).zip(0..index.keys_len()).skip(shard).step_by(shards);
    let keys = mine.map(|(id, _)| KeyState {
        id: KeyId(id),
        walk: Walk::new(examples_max),
        polls: Run::EMPTY,
        sends: Run::EMPTY,
        gaps: Vec::new(),
        disordered: NONE,
        reach: Reach::default(),
        shown: i64::MIN,
    });
    let mut state = Shard {
        index,
        history: index.history,
        shard,
        shards,
        keys: keys.collect(),
        clients: FxHashMap::default(),
        polled: Vec::new(),
        sent: Vec::new(),
        shown: Vec::new(),
    };
    for (row, i) in (0u32..).zip(0..index.history.len()) {
        state.row(row, i);
    }
    state.finish()
}

impl Shard<'_, '_> {
    fn local(&self, key: KeyId) -> Option<usize> {
        let k = key.index();
        (k % self.shards == self.shard).then_some(k / self.shards)
    }

    fn row(&mut self, row: u32, i: usize) {
        let kind = self.history.kind(i);
        if kind == Kind::Invoke || !is_client(self.history, i) {
            return;
        }
        match self.history.f(i) {
            F::Send | F::Poll | F::Txn => {
                self.operation(row, i);
                self.process(row, i, kind);
            }
            F::Assign | F::Subscribe if kind != Kind::Fail => self.assigned(i),
            _ => {}
        }
    }

    /// Looks at what the operation did, key by key.
    fn operation(&mut self, row: u32, i: usize) {
        self.polled.clear();
        self.sent.clear();
        let f = self.history.f(i);
        let (reads, writes) = (reads_count(f), writes_count(f));
        let (index, history) = (self.index, self.history);
        for mop in history.mops(i) {
            match mop {
                MopRef::Send { key, value, offset, .. } if writes => {
                    let Some(local) = self.local(key) else { continue };
                    let table = index.key(key);
                    let Some(slot) = table.slot_of(value) else { continue };
                    self.send(row, local, table, (slot, offset));
                }
                MopRef::Poll(Some(poll)) if reads => {
                    for group in poll.groups() {
                        let Some(local) = self.local(group.key) else { continue };
                        let table = index.key(group.key);
                        let state = &mut self.keys[local];
                        if state.polls.row != row && !group.is_empty() {
                            state.polls = Run { row, ..Run::EMPTY };
                            self.polled.push(small(local));
                        }
                        state.group(history, table, group, i);
                    }
                }
                MopRef::Send { .. } | MopRef::Poll(_) => {}
            }
        }
        if history.kind(i) != Kind::Fail {
            self.show(i, reads, writes);
        }
    }

    fn send(&mut self, row: u32, local: usize, table: &KeyIndex, at: At) {
        let state = &mut self.keys[local];
        if state.sends.row != row {
            state.sends = Run { row, first: at, last: at };
            self.sent.push(small(local));
            return;
        }
        let from = std::mem::replace(&mut state.sends.last, at);
        let delta = delta(table, from.0, at.0);
        if delta == 1 {
            return;
        }
        let jump = Jump { key: state.id, before: row, row, from, to: at, delta };
        if delta > 1 {
            state.walk.int_send_skip.add(true, -delta, row, jump);
        } else {
            let sound = sends_go_back(table, from, at);
            state.walk.int_send_back.add(sound, delta, row, jump);
        }
    }

    /// Collects the highest offset that the operation shows of each key. A send without a known offset hides the
    /// offsets of the sends before it in the same operation, as in the definition's source.
    fn show(&mut self, i: usize, reads: bool, writes: bool) {
        let Some(time) = self.history.time(i) else { return };
        self.shown.clear();
        let (history, shards, shard) = (self.history, self.shards, self.shard);
        let mut hidden = 0;
        if writes && history.mops(i).len() > 1 {
            let unknown = |m| matches!(m, MopRef::Send { offset: None, .. });
            hidden = (0..)
                .zip(history.mops(i))
                .filter(|(_, m)| unknown(*m))
                .map(|(n, _)| n)
                .last()
                .unwrap_or(0);
        }
        let (keys, shown) = (&mut self.keys, &mut self.shown);
        let mut see = |key: KeyId, offset: i64| {
            if key.index() % shards != shard {
                return;
            }
            let local = key.index() / shards;
            let state = &mut keys[local];
            if state.shown == i64::MIN {
                shown.push(small(local));
            }
            state.shown = state.shown.max(offset);
        };
        for (n, mop) in history.mops(i).enumerate() {
            match mop {
                MopRef::Send { key, offset: Some(offset), .. } if writes && n >= hidden => {
                    see(key, offset);
                }
                MopRef::Poll(Some(poll)) if reads => {
                    for group in poll.groups() {
                        if let Some(offset) = highest(group) {
                            see(group.key, offset);
                        }
                    }
                }
                _ => {}
            }
        }
        for local in &*shown {
            let state = &mut keys[*local as usize];
            state.reach.show(state.shown, time);
        }
    }

    /// Compares the operation with the earlier ones of its process, and moves the process on.
    fn process(&mut self, row: u32, i: usize, kind: Kind) {
        if let Some(Process::Client(process)) = self.history.process(i) {
            let client = self.clients.entry(process).or_default();
            for local in &self.polled {
                let state = &mut self.keys[*local as usize];
                let table = self.index.key(state.id);
                if let Some(stand) = client.polls.get(local).copied() {
                    state.continue_polls(self.history, table, stand, i);
                }
                if kind == Kind::Ok {
                    let stand = Stand { row, last: state.polls.last, moved: false };
                    client.polls.insert(*local, stand);
                }
            }
            for local in self.sent.iter().filter(|_| kind != Kind::Fail) {
                let state = &mut self.keys[*local as usize];
                let table = self.index.key(state.id);
                let stand = Stand { row, last: state.sends.last, moved: false };
                if let Some(before) = client.sends.insert(*local, stand) {
                    state.continue_sends(self.history, table, before);
                }
            }
            if kind == Kind::Ok {
                follow(self.history, client, &mut self.keys, &self.shown, process, i);
            }
        }
        for local in self.shown.drain(..) {
            self.keys[local as usize].shown = i64::MIN;
        }
    }

    /// A completed assign or subscribe: the process keeps its place only in the keys that it names.
    fn assigned(&mut self, i: usize) {
        let Some(Process::Client(process)) = self.history.process(i) else { return };
        let named = self.history.keys_of(i).unwrap_or_default();
        let ids = named.iter().filter_map(|k| self.history.key_id(k));
        let locals: FxHashSet<u32> = ids.filter_map(|id| self.local(id)).map(small).collect();
        let sought = seeks(self.history, i);
        let client = self.clients.entry(process).or_default();
        client.polls.retain(|local, _| locals.contains(local));
        client.sends.retain(|local, _| locals.contains(local));
        if sought {
            client.polls.values_mut().for_each(|stand| stand.moved = true);
        }
        if self.history.kind(i) != Kind::Ok {
            return;
        }
        let assign = *self.history.f(i) == F::Assign;
        let keys = &mut self.keys;
        let ended =
            client.follower.retain(|k| assign && locals.contains(&k), |k| &keys[k as usize].reach);
        for (local, ns, time) in ended {
            keys[local as usize].lag(ns, time, process);
        }
        if assign {
            let mut locals: Vec<u32> = locals.into_iter().collect();
            locals.sort_unstable();
            locals.into_iter().for_each(|local| client.follower.assign(local));
        }
    }

    fn finish(mut self) -> Vec<Walk> {
        let mut clients: Vec<(u32, Client)> = self.clients.drain().collect();
        clients.sort_unstable_by_key(|(process, _)| *process);
        for (process, mut client) in clients {
            let keys = &mut self.keys;
            let ended = client.follower.retain(|_| false, |k| &keys[k as usize].reach);
            for (local, ns, time) in ended {
                keys[local as usize].lag(ns, time, process);
            }
        }
        let walks = self.keys.into_iter().map(|mut state| {
            state.walk.gaps = vec![state.gaps];
            state.walk
        });
        walks.collect()
    }
}

/// Raises the offsets that the process follows by what its ok operation showed.
fn follow(
    history: &History,
    client: &mut Client,
    keys: &mut [KeyState],
    shown: &[u32],
    process: u32,
    i: usize,
) {
    for local in shown {
        let state = &mut keys[*local as usize];
        let ended = client.follower.raise(*local, state.shown, &state.reach);
        if let Some((ns, time)) = ended {
            state.lag(ns, time, process);
        }
    }
    if reads_count(history.f(i)) {
        let invoked = history.pair(i).and_then(|j| history.time(j)).or(history.time(i));
        if let Some(time) = invoked {
            client.follower.polled(time);
        }
    }
}

impl KeyState {
    fn lag(&mut self, ns: i64, time: i64, process: u32) {
        if ns > 0 {
            let lag = Lag { ns, time, process, key: self.id };
            self.walk.lag = Lag::longer(self.walk.lag, Some(lag));
        }
    }

    /// The records of one answer of the operation at row `i`.
    fn group(&mut self, history: &History, table: &KeyIndex, group: RecordsRef<'_>, i: usize) {
        if let Some(run) = run(table, group) {
            self.read(history, table, run.0, i, false);
            self.polls.last = run.1;
            return;
        }
        let mut in_group = false;
        for (offset, value) in group.iter() {
            let Some(slot) = table.slot_of_record(offset, value) else { continue };
            self.read(history, table, (slot, offset), i, in_group);
            in_group = true;
        }
    }

    /// One polled record of the operation at row `i`; `in_group` if the record before it came with the same answer.
    fn read(&mut self, history: &History, table: &KeyIndex, at: At, i: usize, in_group: bool) {
        if self.polls.first.0.0 == NONE {
            self.polls.first = at;
            self.polls.last = at;
            return;
        }
        let from = std::mem::replace(&mut self.polls.last, at);
        if let (Some(a), Some(b)) = (table.index(from.0), table.index(at.0))
            && a + 1 == b
        {
            return;
        }
        self.jump(history, table, (from, at), i, in_group);
    }

    fn jump(&mut self, history: &History, table: &KeyIndex, pair: (At, At), i: usize, near: bool) {
        if rebalanced(history, i, self.id) {
            return;
        }
        let (from, to) = pair;
        let row = self.polls.row;
        let passed = passed_over(table, from, to);
        let back = reads_go_back(table, from, to);
        if back {
            self.disordered = row;
            while self.gaps.last().is_some_and(|gap| gap.row == row) {
                self.gaps.pop();
            }
        }
        let shown = near && self.disordered != row && from.1.is_some() && to.1.is_some();
        if let Some((first, end)) = passed.filter(|_| shown) {
            self.gaps.push(Gap { row, first, end });
        }
        let delta = delta(table, from.0, to.0);
        let jump = Jump { key: self.id, before: row, row, from, to, delta };
        if delta > 1 {
            self.walk.int_poll_skip.add(passed.is_some(), -delta, row, jump);
        } else if delta < 1 {
            self.walk.int_poll_back.add(back, delta, row, jump);
        }
    }

    /// Compares the first record of the operation at row `i` with the last one of the process's last ok poll.
    fn continue_polls(&mut self, history: &History, table: &KeyIndex, stand: Stand, i: usize) {
        let (from, to) = (stand.last, self.polls.first);
        if to.0.0 == NONE {
            return;
        }
        let delta = delta(table, from.0, to.0);
        if delta == 1 {
            return;
        }
        let row = self.polls.row;
        let jump = Jump { key: self.id, before: stand.row, row, from, to, delta };
        let still = !stand.moved && !rebalanced(history, i, self.id);
        if delta > 1 {
            let sound = still && passed_over(table, from, to).is_some();
            self.walk.poll_skip.add(sound, -delta, row, jump);
        } else {
            let sound = still && reads_go_back(table, from, to);
            self.walk.poll_back.add(sound, delta, row, jump);
        }
    }

    /// Compares the first send of the operation under way with the last one of the process's operation before. An
    /// operation of unknown outcome may take effect at any later time.
    fn continue_sends(&mut self, history: &History, table: &KeyIndex, before: Stand) {
        let (from, to) = (before.last, self.sends.first);
        let delta = delta(table, from.0, to.0);
        if delta < 1 {
            let row = self.sends.row;
            let jump = Jump { key: self.id, before: before.row, row, from, to, delta };
            let ended = history.kind(before.row as usize) == Kind::Ok;
            let sound = ended && sends_go_back(table, from, to);
            self.walk.send_back.add(sound, delta, row, jump);
        }
    }
}

/// The first and the last record of an answer whose records are neighbours in the version order, as far as that can be
/// told without looking at each of them.
fn run(table: &KeyIndex, group: RecordsRef<'_>) -> Option<(At, At)> {
    let first = group.consecutive_from().filter(|_| table.is_plain() && !group.is_empty())?;
    let last = first + i64::try_from(group.len() - 1).ok()?;
    let at = |offset| Some((table.slot_at_offset(offset)?, Some(offset)));
    Some((at(first)?, at(last)?))
}

/// The highest offset of an answer.
fn highest(group: RecordsRef<'_>) -> Option<i64> {
    match group.consecutive_from() {
        Some(first) if !group.is_empty() => Some(first + i64::try_from(group.len() - 1).ok()?),
        _ => group.iter().filter_map(|(o, _)| o).max(),
    }
}

fn small(local: usize) -> u32 {
    u32::try_from(local).unwrap_or(NONE)
}

fn delta(table: &KeyIndex, from: Slot, to: Slot) -> i64 {
    match (table.index(from), table.index(to)) {
        (Some(a), Some(b)) => i64::from(b) - i64::from(a),
        _ => 1,
    }
}

/// The places strictly between two reads, if there are any.
fn passed_over(table: &KeyIndex, from: At, to: At) -> Option<(u32, u32)> {
    let (first, end) = match (from.1, to.1) {
        (Some(a), Some(b)) => (table.index_from(a.saturating_add(1)), table.index_from(b)),
        _ => (table.first_and_last(from.0)?.1 + 1, table.first_and_last(to.0)?.0),
    };
    (first < end).then_some((first, end))
}

fn reads_go_back(table: &KeyIndex, from: At, to: At) -> bool {
    match (from.1, to.1) {
        (Some(a), Some(b)) => b <= a,
        _ => entirely_before(table, to.0, from.0),
    }
}

fn sends_go_back(table: &KeyIndex, from: At, to: At) -> bool {
    match (from.1, to.1) {
        (Some(a), Some(b)) => b <= a,
        _ => entirely_before(table, to.0, from.0),
    }
}

/// Whether every place of `early` is at or below every place of `late`.
fn entirely_before(table: &KeyIndex, early: Slot, late: Slot) -> bool {
    match (table.first_and_last(early), table.first_and_last(late)) {
        (Some((_, last)), Some((first, _))) => last <= first,
        _ => false,
    }
}

/// Whether the operation's rebalance log names the key. Looked up only where something jumped.
fn rebalanced(history: &History, i: usize, key: KeyId) -> bool {
    let Some(extra) = history.extra(i) else { return false };
    let log = ["rebalance_log", "rebalance-log"].iter().find_map(|name| extra.ext.get(*name));
    let Some(log) = log.and_then(serde_json::Value::as_array) else { return false };
    let key = history.key(key);
    let names = |datum: &serde_json::Value| match key {
        Scalar::Int(n) => datum.as_i64() == Some(*n),
        Scalar::Str(s) => datum.as_str() == Some(s),
    };
    let keys = log.iter().filter_map(|entry| entry.get("keys")?.as_array());
    keys.flatten().any(names)
}

/// Whether an assign also moves the consumer to the beginning.
fn seeks(history: &History, i: usize) -> bool {
    let said = |row: usize| {
        history.extra(row).is_some_and(|extra| {
            let names = ["seek_to_beginning", "seek-to-beginning?", "seek-to-beginning"];
            names
                .iter()
                .any(|n| extra.ext.get(*n).and_then(serde_json::Value::as_bool) == Some(true))
        })
    };
    said(i) || history.pair(i).is_some_and(said)
}
