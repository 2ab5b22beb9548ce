//! States and calls as numbers, with what each call does in each state.

use super::{Model, Role};
use rustc_hash::FxHashMap;

/// The call cannot happen in that state.
pub(super) const ILLEGAL: u32 = u32::MAX;
const NOT_KNOWN: u32 = u32::MAX - 1;

/// Up to this many different calls, each state has a row with one entry a call.
const DENSE_CALLS_MAX: usize = 512;

pub(super) struct Table<'m, M: Model> {
    model: &'m M,
    states: Vec<M::State>,
    visible: Vec<bool>,
    ids: FxHashMap<M::State, u32>,
    calls: Vec<M::Call>,
    roles: Vec<Role>,
    dense: Vec<Vec<u32>>,
    sparse: FxHashMap<(u32, u32), u32>,
    /// What the states hold in memory, in bytes.
    pub(super) bytes: i64,
}

impl<'m, M: Model> Table<'m, M> {
    /// Numbers the calls of a history; also gives the number of each operation's call.
    pub(super) fn new<'c>(
        model: &'m M,
        history: impl Iterator<Item = &'c M::Call>,
    ) -> (Self, Vec<u32>)
    where
        M::Call: 'c,
    {
        let mut numbers: FxHashMap<&M::Call, u32> = FxHashMap::default();
        let mut calls: Vec<M::Call> = Vec::new();
        let of_op = history.map(|call| {
            *numbers.entry(call).or_insert_with(|| {
                calls.push(call.clone());
                small(calls.len() - 1)
            })
        });
        let of_op: Vec<u32> = of_op.collect();
        let roles = calls.iter().map(|c| model.role(c)).collect();
        let mut table = Table {
            model,
            states: Vec::new(),
            visible: Vec::new(),
            ids: FxHashMap::default(),
            calls,
            roles,
            dense: Vec::new(),
            sparse: FxHashMap::default(),
            bytes: 0,
        };
        table.state_id(model.initial());
        (table, of_op)
    }

    pub(super) fn role(&self, call: u32) -> Role {
        self.roles[call as usize]
    }

    pub(super) fn call(&self, call: u32) -> &M::Call {
        &self.calls[call as usize]
    }

    pub(super) fn state(&self, state: u32) -> &M::State {
        &self.states[state as usize]
    }

    /// Whether an answer could show the state.
    pub(super) fn may_be_seen(&self, state: u32) -> bool {
        self.visible[state as usize]
    }

    pub(super) fn states_len(&self) -> usize {
        self.states.len()
    }

    fn state_id(&mut self, state: M::State) -> u32 {
        if let Some(id) = self.ids.get(&state) {
            return *id;
        }
        let id = small(self.states.len());
        let row = if self.calls.len() <= DENSE_CALLS_MAX { self.calls.len() } else { 0 };
        let weight = 2 * self.model.weight(&state) + 4 * row + 64;
        self.bytes += i64::try_from(weight).unwrap_or(i64::MAX / 2);
        self.visible.push(self.model.may_be_seen(&state));
        self.states.push(state.clone());
        self.ids.insert(state, id);
        if row > 0 {
            self.dense.push(vec![NOT_KNOWN; row]);
        }
        id
    }

    /// The state after a call, or [`ILLEGAL`].
    pub(super) fn apply(&mut self, state: u32, call: u32) -> u32 {
        let known = match self.dense.get(state as usize) {
            Some(row) => row[call as usize],
            None => self.sparse.get(&(state, call)).copied().unwrap_or(NOT_KNOWN),
        };
        if known != NOT_KNOWN {
            return known;
        }
        let after = self.model.apply(&self.states[state as usize], &self.calls[call as usize]);
        let after = after.map_or(ILLEGAL, |s| self.state_id(s));
        match self.dense.get_mut(state as usize) {
            Some(row) => row[call as usize] = after,
            None => {
                self.bytes += 24;
                self.sparse.insert((state, call), after);
            }
        }
        after
    }
}

pub(super) fn small(n: usize) -> u32 {
    #[expect(clippy::expect_used, reason = "the budget ends before 2^32 states")]
    u32::try_from(n).expect("fewer than 2^32")
}
