//! Injections that two operations share.

use super::client::{Effect, Outcome, State};
use super::defect::Defect;
use super::engine::World;

impl World<'_> {
    /// Invokes and applies two operations at once: this client's and another's. False when that is not possible now.
    pub(super) fn joint(&mut self, c: usize, defect: Defect) -> bool {
        let partner = (0..self.clients.len()).find(|d| {
            let other = &self.clients[*d];
            *d != c && other.state == State::Idle && other.subscribed && other.script.is_empty()
        });
        let Some(d) = partner else { return false };
        let Some(one) = self.free_log() else { return false };
        let Some(two) = self.active.iter().copied().find(|l| *l != one && self.is_free(*l)) else {
            return false;
        };
        if defect == Defect::CircularRead
            && !(self.can_read_all(c, two) && self.can_read_all(d, one))
        {
            return false;
        }
        self.reset(d);
        self.plan_send(c, one);
        if defect == Defect::CircularRead {
            self.plan_poll(c);
            self.plan_send(d, two);
            self.plan_poll(d);
        } else {
            self.plan_send(c, two);
            self.plan_send(d, one);
            self.plan_send(d, two);
        }
        self.invoked += 1;
        self.record_invocation(c);
        self.record_invocation(d);
        if defect == Defect::CircularRead {
            self.write_in_order(c, &[0]);
            self.write_in_order(d, &[0]);
            self.read_own(c, two);
            self.read_own(d, one);
        } else {
            self.write_in_order(c, &[0]);
            self.write_in_order(d, &[1, 0]);
            self.write_in_order(c, &[1]);
        }
        self.append_markers(c);
        self.append_markers(d);
        self.clients[c].state = State::Applied;
        self.clients[d].state = State::Applied;
        self.note(defect, one, None, None);
        true
    }

    fn can_read_all(&self, c: usize, log: usize) -> bool {
        let budget = self.options.records_per_poll.max(1) as usize;
        let position = self.clients[c].position(log);
        position.is_some_and(|p| self.logs[log].lag(p.cursor, budget) < budget)
            && !self.stale_assignment(c)
    }

    fn reset(&mut self, c: usize) {
        let client = &mut self.clients[c];
        client.mops.clear();
        client.groups.clear();
        client.special = None;
        client.rebalance = None;
        client.outcome = Outcome::Ok;
        client.effect = Effect::Now;
    }

    /// Appends the sends at these places of the operation, in this order.
    fn write_in_order(&mut self, c: usize, places: &[usize]) {
        for place in places {
            let mut mop = self.clients[c].mops[*place];
            if let super::client::Planned::Send { log, value, offset } = &mut mop {
                *offset = Some(self.append(*log, *value));
            }
            self.clients[c].mops[*place] = mop;
        }
    }
}
