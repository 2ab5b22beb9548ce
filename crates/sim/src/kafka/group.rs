//! Which topic-partitions a consumer reads: assignments, subscriptions and the rebalances of the group.

use super::client::{Control, Position, State};
use super::engine::World;
use perjury_history::{F, Kind, SubVia};
use rand::Rng;
use serde_json::{Value, json};

impl World<'_> {
    pub(super) fn invoke_control(&mut self, c: usize) {
        let all = self.rng.random_bool(0.7);
        let mut logs = self.active.clone();
        if !all {
            logs.retain(|_| self.rng.random_bool(0.5));
        }
        if logs.is_empty() {
            logs.clone_from(&self.active);
        }
        let f = match self.options.sub_via {
            SubVia::Assign => F::Assign,
            SubVia::Subscribe => F::Subscribe,
        };
        self.begin_control(c, f, logs, false);
    }

    /// Invokes an assign or subscribe.
    pub(super) fn begin_control(&mut self, c: usize, f: F, logs: Vec<usize>, from_start: bool) {
        let keys = logs.iter().map(|l| self.options.key_names.name(*l)).collect();
        let extra = self.rec.keys_extra(keys, from_start);
        let client = &mut self.clients[c];
        self.rec.control(client.process, Kind::Invoke, &f, extra);
        client.control = Some(Control { f, logs, extra });
        client.state = State::Invoked;
    }

    pub(super) fn complete_control(&mut self, c: usize, control: Control) {
        let process = self.clients[c].process;
        self.rec.control(process, Kind::Ok, &control.f, control.extra);
        self.clients[c].subscribed = true;
        if control.f == F::Subscribe {
            // By the reference's definition a consumer's place counts no longer once it asks for others.
            let dropped = self.clients[c].consumer.iter_mut();
            dropped.filter(|p| !control.logs.contains(&p.log)).for_each(|p| p.read = false);
            self.rebalance();
            return;
        }
        let old = std::mem::take(&mut self.clients[c].consumer);
        for log in control.logs {
            let kept = old.iter().find(|p| p.log == log).copied();
            let position = kept.unwrap_or_else(|| {
                // Never beyond what was read, so that nothing is passed over.
                let ok_read = self.logs[log].ok_read;
                let back =
                    if self.rng.random_bool(0.75) { 0 } else { self.rng.random_range(0..50) };
                let pos = ok_read.saturating_sub(back);
                Position { log, pos, cursor: pos, read: false }
            });
            self.clients[c].consumer.push(position);
        }
    }

    /// Hands the topic-partitions out anew to the members of the group.
    pub(super) fn rebalance(&mut self) {
        self.generation += 1;
        let members: Vec<usize> =
            (0..self.clients.len()).filter(|c| self.clients[*c].subscribed).collect();
        let shift = self.rng.random_range(0..=1);
        for (n, log) in self.active.iter().enumerate() {
            let owner = (n + shift).checked_rem(members.len());
            self.logs[*log].owner = owner.map(|m| members[m]);
        }
    }

    /// A poll of a group member takes over what the last rebalance gave it.
    pub(super) fn take_assignment(&mut self, c: usize) {
        if self.clients[c].generation == self.generation {
            return;
        }
        let name = |log: usize| self.options.key_names.name(log);
        let client = &mut self.clients[c];
        client.generation = self.generation;
        let mut lost = Vec::new();
        client.consumer.retain(|p| {
            let keep = self.logs[p.log].owner == Some(c);
            if !keep {
                lost.push(name(p.log));
            }
            keep
        });
        let mut won = Vec::new();
        for log in &self.active {
            let pos = self.logs[*log].committed;
            if self.logs[*log].owner == Some(c) && client.position(*log).is_none() {
                won.push(name(*log));
                client.consumer.push(Position { log: *log, pos, cursor: pos, read: false });
            }
        }
        if !lost.is_empty() || !won.is_empty() {
            let log: Value =
                json!([{"kind": "revoked", "keys": lost}, {"kind": "assigned", "keys": won}]);
            client.rebalance = Some(log);
        }
    }
}
