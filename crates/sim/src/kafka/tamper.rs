//! Injections on the way out of the log.

use super::client::{Group, Outcome, Planned, Special};
use super::defect::Defect;
use super::engine::World;
use rand::Rng;

impl World<'_> {
    /// Moves the consumer, for injections that show between two polls; they are complete when it polls there now.
    pub(super) fn before_polls(&mut self, c: usize) {
        if let Some(Special { defect: Defect::NoRewind, .. }) = self.clients[c].special {
            return;
        }
        self.forget_unwound(c);
        let client = &self.clients[c];
        if client.outcome != Outcome::Ok || client.special.is_some() || client.rebalance.is_some() {
            return;
        }
        if client.unwound.is_some() {
            return;
        }
        let Some(i) = self.pending.iter().position(|d| between_polls(*d)) else { return };
        let defect = self.pending[i];
        let place = self.clients[c].consumer.iter().position(|p| {
            p.read && self.is_free(p.log) && self.target(defect, p.log, p.pos).is_some()
        });
        let Some(place) = place else { return };
        let p = self.clients[c].consumer[place];
        let Some(cursor) = self.target(defect, p.log, p.pos) else { return };
        self.pending.remove(i);
        // The first poll reads this log, wherever else it goes.
        self.clients[c].consumer[place].cursor = cursor;
        self.clients[c].consumer.swap(0, place);
        self.clients[c].special =
            Some(Special { defect, log: p.log, offset: cursor, second: false });
    }

    /// Where a consumer at `pos` is moved to.
    fn target(&self, defect: Defect, log: usize, pos: usize) -> Option<usize> {
        let state = &self.logs[log];
        if defect == Defect::ReReadBetweenPolls {
            return state.record_before(pos);
        }
        if state.lag(pos, 2) < 2 {
            return None;
        }
        (pos..state.end()).find(|o| state.is_record(*o)).map(|o| o + 1)
    }

    /// Changes what was polled, or notes that a moved consumer polled.
    pub(super) fn after_polls(&mut self, c: usize) {
        if let Some(special) = self.clients[c].special {
            self.check_moved(c, special);
            return;
        }
        let client = &self.clients[c];
        if self.pending.is_empty() || client.outcome != Outcome::Ok || client.rebalance.is_some() {
            return;
        }
        for i in 0..self.pending.len() {
            let defect = self.pending[i];
            let done = match defect {
                Defect::FutureRead => self.read_future(c),
                _ if defect.is_read() && !between_polls(defect) => self.tamper(c, defect),
                _ => false,
            };
            if done {
                self.pending.remove(i);
                return;
            }
        }
    }

    fn check_moved(&mut self, c: usize, special: Special) {
        let Special { defect, log, offset, .. } = special;
        let polled = self.clients[c].groups.iter().any(|g| g.log == log);
        if defect == Defect::NoRewind {
            if !polled {
                self.give_up(c, defect);
            }
        } else if between_polls(defect) {
            self.clients[c].special = None;
            if polled {
                self.note(defect, log, Some(super::log::offset(offset)), None);
            } else {
                if let Some(p) = self.clients[c].position_mut(log) {
                    p.cursor = p.pos;
                }
                self.pending.push(defect);
            }
        }
    }

    /// Serves a record whose write is still to be invoked.
    fn read_future(&mut self, c: usize) -> bool {
        let place = self.clients[c].consumer.iter().position(|p| {
            self.is_free(p.log)
                && self.active.contains(&p.log)
                && self.logs[p.log].lag(p.cursor, 1) == 0
        });
        let Some(place) = place else { return false };
        let log = self.clients[c].consumer[place].log;
        let value = self.logs[log].fresh_value();
        let offset = self.append(log, value);
        self.logs[log].busy = true;
        let client = &mut self.clients[c];
        client.consumer[place].cursor = offset + 1;
        // The group joins the last poll, so that no other poll's groups move.
        client.groups.push(Group { log, from: offset, to: offset + 1, tampered: None });
        let end = client.groups.len();
        let last = client.mops.iter_mut().rev().find(|m| matches!(m, Planned::Poll { .. }));
        if let Some(Planned::Poll { end: e, .. }) = last {
            *e = end;
        }
        client.special = Some(Special { defect: Defect::FutureRead, log, offset, second: false });
        true
    }

    fn tamper(&mut self, c: usize, defect: Defect) -> bool {
        let needed = match defect {
            Defect::SkipInPoll | Defect::StaleRead => 3,
            Defect::ReorderOnRead => 2,
            _ => 1,
        };
        for g in 0..self.clients[c].groups.len() {
            let group = &self.clients[c].groups[g];
            let log = &self.logs[group.log];
            if group.tampered.is_some() || log.busy {
                continue;
            }
            let mut records: Vec<(usize, i64, bool)> = (group.from..group.to)
                .filter(|o| log.is_record(*o))
                .map(|o| (o, log.slots[o], false))
                .collect();
            if records.len() < needed {
                continue;
            }
            let name = group.log;
            let at = match defect {
                Defect::SkipInPoll => self.rng.random_range(1..records.len() - 1),
                Defect::StaleRead => 1,
                Defect::ReorderOnRead => self.rng.random_range(0..records.len() - 1),
                _ => self.rng.random_range(0..records.len()),
            };
            let (offset, value, _) = records[at];
            if defect == Defect::StaleRead && offset >= log.ok_read {
                continue;
            }
            match defect {
                Defect::SkipInPoll | Defect::StaleRead => {
                    records.remove(at);
                }
                Defect::ReorderOnRead => records.swap(at, at + 1),
                Defect::ReReadInPoll => records.insert(at, records[at]),
                _ => records[at].2 = true,
            }
            self.clients[c].groups[g].tampered = Some(records);
            self.note(defect, name, Some(super::log::offset(offset)), Some(value));
            return true;
        }
        false
    }
}

fn between_polls(defect: Defect) -> bool {
    matches!(defect, Defect::SkipBetweenPolls | Defect::ReReadBetweenPolls)
}
