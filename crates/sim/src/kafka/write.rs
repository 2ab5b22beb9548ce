//! Injections on the way into the log.

use super::client::{Effect, Outcome, Planned, Special};
use super::defect::Defect;
use super::engine::World;
use super::log::HOLE;
use rand::Rng;

impl World<'_> {
    /// Plans the write of an injection on this log; false when it does not fit now.
    pub(super) fn plan_write(&mut self, c: usize, defect: Defect, log: usize) -> bool {
        let mut logs = vec![log];
        match defect {
            Defect::TornTransaction | Defect::TornInfo => {
                let other = self.active.iter().copied().find(|l| *l != log && self.is_free(*l));
                let Some(other) = other else { return false };
                if defect == Defect::TornTransaction && !self.options.transactional {
                    return false;
                }
                logs.push(other);
            }
            Defect::LoseAckedTail | Defect::ResurrectedWrite => logs = vec![log; 3],
            Defect::IntNonmonotonicSend => logs = vec![log; 2],
            Defect::RealtimeInversion if self.clients.len() < 2 => return false,
            Defect::PrecommittedRead => {
                let budget = self.options.records_per_poll.max(1) as usize;
                let position = self.clients[c].position(log);
                let fits = position.is_some_and(|p| self.logs[log].lag(p.cursor, budget) < budget);
                if !fits || self.stale_assignment(c) {
                    return false;
                }
            }
            _ => {}
        }
        for log in logs {
            self.plan_send(c, log);
        }
        if defect == Defect::PrecommittedRead {
            self.plan_poll(c);
        }
        self.logs[log].busy = true;
        let client = &mut self.clients[c];
        client.special = Some(Special { defect, log, offset: 0, second: false });
        client.outcome = match defect {
            Defect::AbortedRead => Outcome::Fail,
            Defect::TornInfo | Defect::ResurrectedWrite => Outcome::Info,
            _ => Outcome::Ok,
        };
        client.effect = Effect::Now;
        true
    }

    /// The effect of an operation that carries an injection.
    pub(super) fn apply_special(&mut self, c: usize, special: Special) {
        let Special { defect, log, .. } = special;
        match defect {
            Defect::NoRewind => return,
            // The reader of a record from the future; its own sends are ordinary.
            Defect::FutureRead if !special.second => return self.apply_sends(c),
            _ => {}
        }
        let mut mops = std::mem::take(&mut self.clients[c].mops);
        if special.second {
            self.fill(special, &mut mops);
        } else {
            self.first_write(defect, log, &mut mops);
        }
        self.clients[c].mops = mops;
        match defect {
            Defect::NonmonotonicSend | Defect::RealtimeInversion if !special.second => {
                let offset = self.reserved(c);
                if let Some(special) = &mut self.clients[c].special {
                    special.offset = offset;
                }
            }
            Defect::PrecommittedRead => self.read_own(c, log),
            // The markers of this transaction are in the log already.
            Defect::WrongAckOffset => return,
            _ => {}
        }
        self.append_markers(c);
    }

    fn first_write(&mut self, defect: Defect, log: usize, mops: &mut [Planned]) {
        let mut gone = Vec::new();
        let mut sends: Vec<(usize, i64, &mut Option<usize>)> = mops
            .iter_mut()
            .filter_map(|m| match m {
                Planned::Send { log, value, offset } => Some((*log, *value, offset)),
                Planned::Poll { .. } => None,
            })
            .collect();
        if defect == Defect::IntNonmonotonicSend {
            sends.reverse();
        }
        for (n, (l, value, offset)) in sends.into_iter().enumerate() {
            let ours = l == log;
            *offset = match defect {
                Defect::LoseAcked | Defect::LoseAckedTail => Some(self.logs[l].append(HOLE)),
                Defect::TornTransaction | Defect::TornInfo if ours => {
                    Some(self.logs[l].append(HOLE))
                }
                Defect::ReuseOffset => Some(self.logs[l].slots.len()),
                Defect::DuplicateOnRetry => {
                    let first = self.append(l, value);
                    let second = self.append(l, value);
                    Some(if self.rng.random_bool(0.5) { first } else { second })
                }
                Defect::WrongAckOffset => {
                    self.append(l, value);
                    Some(self.logs[l].append(HOLE))
                }
                Defect::NonmonotonicSend | Defect::RealtimeInversion => {
                    let reserved = self.logs[l].append(HOLE);
                    self.logs[l].hold = Some(reserved);
                    Some(self.append(l, value))
                }
                Defect::ResurrectedWrite => {
                    let at = self.append(l, value);
                    // Of the three the one in the middle.
                    if n == 1 {
                        self.logs[l].hidden = Some(at);
                    }
                    None
                }
                Defect::UnseenTail => {
                    let at = self.append(l, value);
                    self.logs[l].hold = Some(at);
                    Some(at)
                }
                Defect::AbortedRead => {
                    self.append(l, value);
                    None
                }
                _ => Some(self.append(l, value)),
            };
            if let Some(at) = *offset
                && defect.loses()
                && ours
            {
                gone.push((at, value));
            }
        }
        if !gone.is_empty() {
            self.await_record(defect, log, &gone, defect == Defect::ReuseOffset);
        }
    }

    /// The second step of an injection: the write takes the place that was kept for it.
    fn fill(&mut self, special: Special, mops: &mut [Planned]) {
        let state = &mut self.logs[special.log];
        for mop in mops {
            if let Planned::Send { value, offset, .. } = mop {
                state.slots[special.offset] = *value;
                *offset = Some(special.offset);
            }
        }
        if special.defect != Defect::FutureRead {
            state.hold = None;
        }
    }

    /// The place that was kept before the record which this operation wrote.
    fn reserved(&self, c: usize) -> usize {
        let written = self.clients[c].mops.iter().find_map(|m| match m {
            Planned::Send { offset, .. } => *offset,
            Planned::Poll { .. } => None,
        });
        written.unwrap_or(1).saturating_sub(1)
    }

    /// Polls this log up to what the operation itself wrote.
    pub(super) fn read_own(&mut self, c: usize, log: usize) {
        let Some(at) = self.clients[c].consumer.iter().position(|p| p.log == log) else { return };
        let first = self.clients[c].groups.len();
        // Without a limit: others may have written since it was clear that there is little to read.
        self.poll_one(c, at, usize::MAX);
        let end = self.clients[c].groups.len();
        for mop in &mut self.clients[c].mops {
            if let Planned::Poll { .. } = mop {
                *mop = Planned::Poll { first, end };
            }
        }
    }
}
