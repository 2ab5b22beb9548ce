//! When an injection begins and when it is complete.

use super::client::{Effect, Outcome, Planned, Script, Special, State};
use super::defect::Defect;
use super::engine::{ForcedSend, World, Zombie, send_of};
use super::log::{Gone, HOLE};
use super::truth::Injection;
use rand::Rng;

impl World<'_> {
    /// Notes an injection that is complete.
    pub(super) fn note(
        &mut self,
        defect: Defect,
        log: usize,
        offset: Option<i64>,
        value: Option<i64>,
    ) {
        let key = self.options.key_names.name(log);
        let at = self.rec.builder.len() as u64;
        let injection = Injection { defect, key, offset, value, at };
        self.truth.record(injection, self.options.final_readers > 0);
    }

    /// Tries to plan the operation of a waiting injection; false when an ordinary one shall follow.
    pub(super) fn injected(&mut self, c: usize) -> bool {
        for i in 0..self.pending.len() {
            let defect = self.pending[i];
            if defect.is_read() {
                continue;
            }
            let Some(planned) = self.begin_injection(c, defect) else { continue };
            self.pending.remove(i);
            self.truth.begun(defect);
            return planned;
        }
        false
    }

    /// `None`: not now. Otherwise whether an operation is planned for this client.
    fn begin_injection(&mut self, c: usize, defect: Defect) -> Option<bool> {
        match defect {
            Defect::CircularRead | Defect::CircularWrite => {
                return self.joint(c, defect).then_some(true);
            }
            Defect::NoRewind => return self.plan_no_rewind(c).then_some(true),
            Defect::TruncateLog => return self.truncate_log().then_some(false),
            Defect::ForgetRead => return self.forget_record().then_some(false),
            _ => {}
        }
        let log = self.free_log()?;
        if defect == Defect::PhantomRead {
            let value = self.logs[log].fresh_value();
            let offset = self.append(log, value);
            self.note(defect, log, Some(super::log::offset(offset)), Some(value));
            return Some(false);
        }
        self.plan_write(c, defect, log).then_some(true)
    }

    /// A topic-partition in use on which no injection is under way.
    pub(super) fn free_log(&mut self) -> Option<usize> {
        let start = self.rng.random_range(0..self.active.len());
        let order = (0..self.active.len()).map(|i| self.active[(start + i) % self.active.len()]);
        order.into_iter().find(|l| self.is_free(*l))
    }

    pub(super) fn is_free(&self, log: usize) -> bool {
        let log = &self.logs[log];
        !log.busy && log.hold.is_none() && log.hidden.is_none()
    }

    /// Plans a failed poll after which the consumer does not go back.
    fn plan_no_rewind(&mut self, c: usize) -> bool {
        let position = self.clients[c]
            .consumer
            .iter()
            .find(|p| p.read && self.is_free(p.log) && self.logs[p.log].lag(p.pos, 1) > 0);
        let Some(log) = position.map(|p| p.log) else { return false };
        if self.clients[c].unwound.is_some() || self.stale_assignment(c) {
            return false;
        }
        self.plan_poll(c);
        self.clients[c].outcome = Outcome::Fail;
        self.clients[c].special =
            Some(Special { defect: Defect::NoRewind, log, offset: 0, second: false });
        true
    }

    /// Whether the client's next poll takes over another assignment.
    pub(super) fn stale_assignment(&self, c: usize) -> bool {
        self.options.sub_via == perjury_history::SubVia::Subscribe
            && self.clients[c].generation != self.generation
    }

    /// Whether an operation on this log is under way.
    fn in_use(&self, log: usize) -> bool {
        self.clients.iter().any(|c| {
            c.state != State::Idle
                && (c.groups.iter().any(|g| g.log == log)
                    || c.mops.iter().filter_map(send_of).any(|(l, _)| l == log))
        })
    }

    /// Removes a record from between two others although it was read.
    fn forget_record(&mut self) -> bool {
        let Some(log) = self.free_log() else { return false };
        let state = &self.logs[log];
        let Some(last) = state.record_before(state.ok_read) else { return false };
        let middle = state.record_before(last).filter(|at| state.record_before(*at).is_some());
        let Some(middle) = middle.filter(|_| !self.in_use(log)) else { return false };
        let value = std::mem::replace(&mut self.logs[log].slots[middle], HOLE);
        let offset = super::log::offset(middle);
        self.note(Defect::ForgetRead, log, Some(offset), Some(value));
        true
    }

    /// Cuts the last record off a log although it was read.
    fn truncate_log(&mut self) -> bool {
        let Some(log) = self.free_log() else { return false };
        let Some(last) = self.logs[log].record_before(self.logs[log].slots.len()) else {
            return false;
        };
        if self.in_use(log) || self.logs[log].ok_read <= last {
            return false;
        }
        let value = self.logs[log].slots[last];
        self.logs[log].slots.truncate(last);
        for client in &mut self.clients {
            if let Some(p) = client.position_mut(log) {
                p.pos = p.pos.min(last);
                p.cursor = p.cursor.min(last);
            }
        }
        let state = &mut self.logs[log];
        state.ok_read = last;
        state.committed = state.committed.min(last);
        self.await_record(Defect::TruncateLog, log, &[(last, value)], true);
        self.forced.push_back(ForcedSend { log, except: None, special: None });
        true
    }

    /// These records are gone; the injection is complete when another one follows.
    pub(super) fn await_record(
        &mut self,
        defect: Defect,
        log: usize,
        gone: &[(usize, i64)],
        vacant: bool,
    ) {
        let state = &mut self.logs[log];
        state.busy = true;
        state.vacant = vacant;
        state.awaiting = gone
            .iter()
            .map(|(at, value)| Gone { offset: super::log::offset(*at), value: *value, defect })
            .collect();
    }

    /// What follows when the operation of an injection is complete.
    pub(super) fn after_completion(&mut self, c: usize, special: Special) {
        let Special { defect, log, .. } = special;
        let next = Special { second: true, ..special };
        let sent = self.clients[c].mops.iter().find_map(|m| match m {
            Planned::Send { value, offset, .. } => Some((offset.map(super::log::offset), *value)),
            Planned::Poll { .. } => None,
        });
        let (offset, value) = sent.map_or((None, None), |(o, v)| (o, Some(v)));
        let force = |special| ForcedSend { log, except: None, special };
        match defect {
            Defect::LoseAcked
            | Defect::LoseAckedTail
            | Defect::ReuseOffset
            | Defect::TornTransaction
            | Defect::TornInfo => self.forced.push_back(force(None)),
            Defect::ResurrectedWrite => {}
            Defect::DuplicateLate => {
                let sends = self.clients[c].mops.iter().filter_map(send_of).collect();
                self.zombies.push(Zombie { sends, duplicate: true });
            }
            Defect::NonmonotonicSend if !special.second => {
                self.clients[c].script.push_back(Script::Send { log, special: Some(next) });
            }
            Defect::RealtimeInversion if !special.second => {
                let except = Some(c);
                self.forced.push_back(ForcedSend { log, except, special: Some(next) });
            }
            Defect::FutureRead if !special.second => self.forced.push_back(force(Some(next))),
            Defect::NoRewind => {
                self.clients[c].unwound = Some(log);
                self.forced.push_back(force(None));
                self.clients[c].script.push_back(Script::Poll);
            }
            _ => {
                self.logs[log].busy = false;
                self.note(defect, log, offset, value);
            }
        }
    }

    /// What an ok poll completes: called before it moves the consumer's positions.
    pub(super) fn passed(&mut self, c: usize) {
        for g in 0..self.clients[c].groups.len() {
            let group = &self.clients[c].groups[g];
            let (log, from, to) = (group.log, group.from, group.to);
            let begins_before = |h: usize| (from..h).any(|o| self.logs[log].is_record(o));
            if let Some(hidden) = self.logs[log].hidden
                && (from..to).contains(&hidden)
                && begins_before(hidden)
            {
                let value = self.logs[log].slots[hidden];
                self.logs[log].hidden = None;
                self.logs[log].busy = false;
                let offset = super::log::offset(hidden);
                self.note(Defect::ResurrectedWrite, log, Some(offset), Some(value));
            }
        }
    }

    /// A consumer that did not go back shows it with the next records that it is known to have polled there.
    pub(super) fn show_unwound(&mut self, c: usize) {
        let Some(log) = self.clients[c].unwound else { return };
        let polled = self.clients[c].groups.iter().find(|g| g.log == log).map(|g| g.from);
        if let Some(from) = polled {
            self.clients[c].unwound = None;
            self.note(Defect::NoRewind, log, Some(super::log::offset(from)), None);
        }
    }

    /// A consumer that loses its memory of a log cannot complete an injection there any more.
    pub(super) fn forget_unwound(&mut self, c: usize) {
        if let Some(log) = self.clients[c].unwound
            && self.clients[c].position(log).is_none_or(|p| !p.read)
        {
            self.clients[c].unwound = None;
            self.pending.push(Defect::NoRewind);
        }
    }

    /// A failed operation of an injection that found nothing to do becomes an ordinary one.
    pub(super) fn give_up(&mut self, c: usize, defect: Defect) {
        self.clients[c].special = None;
        self.clients[c].outcome = Outcome::Ok;
        self.clients[c].effect = Effect::Now;
        self.pending.push(defect);
    }
}
