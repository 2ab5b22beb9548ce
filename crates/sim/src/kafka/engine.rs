//! The run: at each step one client, drawn at random, goes one step further with its operation.

use super::client::{Client, Effect, Group, Outcome, Planned, Recorder, Script, Special, State};
use super::defect::Defect;
use super::faults::Faults;
use super::log::Log;
use super::options::Options;
use super::truth::Truth;
use perjury_history::{History, HistoryBuilder, SubVia};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;

/// How many topic-partitions one poll returns records of at most, as a fetch does that has little time.
const GROUPS_MAX: usize = 3;

/// The writes of an operation that take effect after its completion.
#[derive(Debug)]
pub(super) struct Zombie {
    pub(super) sends: Vec<(usize, i64)>,
    /// Set for the second copy of a record.
    pub(super) duplicate: bool,
}

/// A send that some client must invoke soon.
#[derive(Debug)]
pub(super) struct ForcedSend {
    pub(super) log: usize,
    /// This client must not be the one.
    pub(super) except: Option<usize>,
    pub(super) special: Option<Special>,
}

/// All state of a run.
pub(super) struct World<'a> {
    pub(super) options: &'a Options,
    pub(super) rng: ChaCha8Rng,
    pub(super) rec: Recorder,
    pub(super) logs: Vec<Log>,
    /// The topic-partitions in use.
    pub(super) active: Vec<usize>,
    pub(super) clients: Vec<Client>,
    pub(super) zombies: Vec<Zombie>,
    pub(super) forced: VecDeque<ForcedSend>,
    pub(super) pending: Vec<Defect>,
    pub(super) faults: Faults,
    pub(super) truth: Truth,
    pub(super) invoked: u64,
    /// Grows with each rebalance.
    pub(super) generation: u64,
}

/// Simulates a run: its history, and what really happened.
pub fn generate(options: &Options) -> (History, Truth) {
    let mut world = World::new(options);
    world.begin();
    world.main_phase();
    world.final_phase();
    (world.rec.builder.finish(), world.truth)
}

impl<'a> World<'a> {
    fn new(options: &'a Options) -> Self {
        let header =
            if options.native { super::faults::header(options) } else { Default::default() };
        let builder = HistoryBuilder::new(header);
        let mut world = World {
            options,
            rng: ChaCha8Rng::seed_from_u64(options.seed),
            rec: Recorder::new(builder, options.record_details),
            logs: Vec::new(),
            active: Vec::new(),
            clients: (0..options.processes.max(1)).map(Client::new).collect(),
            zombies: Vec::new(),
            forced: VecDeque::new(),
            pending: Vec::new(),
            faults: Faults::new(options),
            truth: Truth::default(),
            invoked: 0,
            generation: 0,
        };
        if options.sub_via == SubVia::Subscribe {
            // A rebalance may give a topic-partition to another consumer, and later back.
            world.truth.may.extend(["poll-skip", "nonmonotonic-poll"]);
        }
        for _ in 0..options.keys.max(1) {
            let log = world.new_log();
            world.active.push(log);
        }
        world
    }

    fn main_phase(&mut self) {
        let schedule = self.schedule();
        let mut due = schedule.into_iter().peekable();
        // Injections that wait for an opportunity make the run longer, within this bound.
        let end = self.options.operations + 4000 + 200 * self.options.defects.len() as u64;
        while self.invoked < self.options.operations || (self.invoked < end && !self.settled()) {
            while due.peek().is_some_and(|(at, _)| *at <= self.invoked) {
                self.pending.extend(due.next().map(|(_, defect)| defect));
            }
            self.tick();
            let c = self.rng.random_range(0..self.clients.len());
            self.step(c);
            if !self.zombies.is_empty() && self.rng.random_range(0..64) == 0 {
                let at = self.rng.random_range(0..self.zombies.len());
                let zombie = self.zombies.swap_remove(at);
                self.arrive(zombie);
            }
            self.faults_step();
        }
        self.truth.missed = std::mem::take(&mut self.pending);
        let unwound = self.clients.iter().filter(|c| c.unwound.is_some());
        self.truth.missed.extend(unwound.map(|_| Defect::NoRewind));
    }

    fn schedule(&mut self) -> Vec<(u64, Defect)> {
        let n = self.options.operations;
        let mut schedule = Vec::new();
        for defect in &self.options.defects {
            for _ in 0..self.options.injections {
                schedule.push((self.rng.random_range(n / 10..=n / 10 * 8), *defect));
            }
        }
        schedule.sort();
        schedule
    }

    fn settled(&self) -> bool {
        self.pending.is_empty()
            && self.forced.is_empty()
            && self.zombies.iter().all(|z| !z.duplicate)
            && self.clients.iter().all(|c| c.script.is_empty())
            && self.logs.iter().all(|l| !l.busy)
    }

    /// Lets time pass between two events.
    pub(super) fn tick(&mut self) {
        // Three steps make an operation.
        #[expect(clippy::cast_possible_truncation, reason = "saturates, and rates are ordinary")]
        let mean = (1e9 / (self.options.rate.max(0.001) * 3.0)) as i64;
        self.rec.time += self.rng.random_range(1..=2 * mean.max(1));
    }

    /// Goes one step further with the operation of this client.
    pub(super) fn step(&mut self, c: usize) {
        match self.clients[c].state {
            State::Idle => self.invoke(c),
            State::Invoked => self.apply(c),
            State::Applied => self.complete(c),
        }
    }

    fn invoke(&mut self, c: usize) {
        self.invoked += 1;
        let client = &self.clients[c];
        let scripted = !client.script.is_empty();
        if !client.subscribed || (!scripted && self.chance(self.options.resubscribe_rate)) {
            self.invoke_control(c);
            return;
        }
        let client = &mut self.clients[c];
        client.mops.clear();
        client.groups.clear();
        client.special = None;
        client.rebalance = None;
        client.outcome = Outcome::Ok;
        client.effect = Effect::Now;
        if !self.scripted(c) && !self.injected(c) {
            self.ordinary(c);
        }
        // A joint injection has invoked and applied it already.
        if self.clients[c].state == State::Idle {
            self.record_invocation(c);
        }
    }

    /// Writes the invocation of what the client holds.
    pub(super) fn record_invocation(&mut self, c: usize) {
        self.clients[c].state = State::Invoked;
        self.rec.invoke(&self.clients[c], &self.logs);
    }

    pub(super) fn chance(&mut self, rate: f64) -> bool {
        rate > 0.0 && self.rng.random_bool(rate.min(1.0))
    }

    fn scripted(&mut self, c: usize) -> bool {
        match self.clients[c].script.pop_front() {
            Some(Script::Send { log, special }) => {
                self.plan_send(c, log);
                self.clients[c].special = special;
                return true;
            }
            Some(Script::Poll) => {
                self.plan_poll(c);
                return true;
            }
            None => {}
        }
        let Some(at) = self.forced.iter().position(|f| f.except != Some(c)) else { return false };
        let Some(forced) = self.forced.remove(at) else { return false };
        match forced.special {
            // The value of a record that was read before its write is known already.
            Some(special) if special.defect == Defect::FutureRead => {
                let value = self.logs[forced.log].slots[special.offset];
                self.clients[c].mops.push(Planned::Send { log: forced.log, value, offset: None });
            }
            _ => self.plan_send(c, forced.log),
        }
        self.clients[c].special = forced.special;
        true
    }

    /// Adds a send of a new value to the operation that is being planned.
    pub(super) fn plan_send(&mut self, c: usize, log: usize) {
        let value = self.logs[log].fresh_value();
        self.clients[c].mops.push(Planned::Send { log, value, offset: None });
        self.logs[log].writes_left = self.logs[log].writes_left.saturating_sub(1);
    }

    /// Adds a poll to the operation that is being planned.
    pub(super) fn plan_poll(&mut self, c: usize) {
        self.clients[c].mops.push(Planned::Poll { first: 0, end: 0 });
    }

    fn ordinary(&mut self, c: usize) {
        let mix = self.options.mix;
        let wants_reader = self.pending.iter().any(|d| d.is_read());
        let draw =
            self.rng.random_range(0.0..(mix.send + mix.poll + mix.txn).max(f64::MIN_POSITIVE));
        let len = self.rng.random_range(1..=self.options.mops_max.max(1));
        if (wants_reader && self.rng.random_bool(0.5))
            || (mix.send..mix.send + mix.poll).contains(&draw)
        {
            (0..len).for_each(|_| self.plan_poll(c));
        } else if draw < mix.send {
            (0..len).for_each(|_| self.send_somewhere(c));
        } else {
            for n in 0..len.max(2) {
                // At least one of each makes it a mixed operation.
                let send = if n < 2 { n == 0 } else { self.rng.random_bool(0.5) };
                if send { self.send_somewhere(c) } else { self.plan_poll(c) }
            }
            if self.rng.random_bool(0.5) {
                self.clients[c].mops.reverse();
            }
        }
        if !wants_reader {
            self.draw_outcome(c);
        }
    }

    fn send_somewhere(&mut self, c: usize) {
        let at = self.rng.random_range(0..self.active.len());
        let log = self.active[at];
        self.plan_send(c, log);
        if self.logs[log].writes_left == 0 && !self.logs[log].busy {
            self.active[at] = self.new_log();
        }
    }

    fn new_log(&mut self) -> usize {
        let n = self.logs.len();
        let name = self.options.key_names.name(n);
        self.logs.push(Log::new(name, self.options.writes_per_key));
        n
    }

    fn draw_outcome(&mut self, c: usize) {
        let o = self.options;
        // Faults make it worse, but half of the operations succeed even then.
        let most = if self.faults.under_way() { 5.0_f64 } else { 1.0 };
        let worse = most.min((0.5 / (o.info_rate + o.fail_rate).max(0.001)).max(1.0));
        let draw = self.rng.random_range(0.0..1.0);
        let (info, fail) = (o.info_rate * worse, o.fail_rate * worse);
        let outcome = if draw < info {
            Outcome::Info
        } else if draw < info + fail {
            Outcome::Fail
        } else if draw < info + fail + o.lost_rate {
            Outcome::Lost
        } else {
            return;
        };
        self.clients[c].outcome = outcome;
        if outcome != Outcome::Fail {
            let effect = [Effect::Now, Effect::Later, Effect::Never];
            self.clients[c].effect = effect[self.rng.random_range(0..3)];
        }
    }

    fn apply(&mut self, c: usize) {
        let client = &mut self.clients[c];
        client.state = State::Applied;
        if client.control.is_some() {
            return;
        }
        match client.effect {
            Effect::Never => {}
            Effect::Later => {
                let sends: Vec<(usize, i64)> = client.mops.iter().filter_map(send_of).collect();
                if !sends.is_empty() {
                    self.zombies.push(Zombie { sends, duplicate: false });
                }
            }
            Effect::Now => {
                if client.special.is_none_or(|s| s.defect != Defect::PrecommittedRead) {
                    self.apply_polls(c);
                }
                match self.clients[c].special {
                    Some(special) => self.apply_special(c, special),
                    None => self.apply_sends(c),
                }
            }
        }
    }

    /// Polls come first, whatever their place: an operation sees nothing of its own writes.
    pub(super) fn apply_polls(&mut self, c: usize) {
        if !self.clients[c].polls() {
            return;
        }
        if self.options.sub_via == SubVia::Subscribe {
            self.take_assignment(c);
        }
        self.before_polls(c);
        let budget = self.options.records_per_poll.max(1) as usize;
        for m in 0..self.clients[c].mops.len() {
            if let Planned::Poll { .. } = self.clients[c].mops[m] {
                let first = self.clients[c].groups.len();
                self.poll(c, budget);
                let end = self.clients[c].groups.len();
                self.clients[c].mops[m] = Planned::Poll { first, end };
            }
        }
        self.after_polls(c);
    }

    fn poll(&mut self, c: usize, mut budget: usize) {
        let n = self.clients[c].consumer.len();
        if n == 0 {
            return;
        }
        let start = self.rng.random_range(0..n);
        let mut groups = 0;
        for i in 0..n {
            let count = self.poll_one(c, (start + i) % n, budget);
            groups += usize::from(count > 0);
            budget -= count;
            if groups == GROUPS_MAX || budget == 0 {
                break;
            }
        }
    }

    /// Polls the log at this place of the consumer's list; gives the number of records.
    pub(super) fn poll_one(&mut self, c: usize, at: usize, budget: usize) -> usize {
        let client = &mut self.clients[c];
        let p = &mut client.consumer[at];
        let log = &self.logs[p.log];
        let (from, (to, count)) = (p.cursor, log.batch(p.cursor, budget));
        if count > 0 {
            let tampered = log.hidden.filter(|h| (from..to).contains(h)).map(|hidden| {
                let served = (from..to).filter(|o| log.is_record(*o) && *o != hidden);
                served.map(|o| (o, log.slots[o], false)).collect()
            });
            client.groups.push(Group { log: p.log, from, to, tampered });
            p.cursor = to;
        }
        count
    }

    pub(super) fn apply_sends(&mut self, c: usize) {
        let aborted = self.clients[c].outcome == Outcome::Fail;
        if aborted && !self.options.transactional {
            return;
        }
        let mut mops = std::mem::take(&mut self.clients[c].mops);
        let is_ok = self.clients[c].outcome == Outcome::Ok;
        for mop in &mut mops {
            if let Planned::Send { log, value, offset } = mop {
                *offset = Some(if aborted || is_ok && self.loses_by_chance() {
                    self.logs[*log].append_hole()
                } else {
                    self.append(*log, *value)
                });
            }
        }
        self.clients[c].mops = mops;
        self.append_markers(c);
    }

    /// Appends a record; an injection that waited for the next record of this log is complete then.
    pub(super) fn append(&mut self, log: usize, value: i64) -> usize {
        let offset = self.logs[log].append(value);
        self.logs[log].vacant = false;
        for gone in std::mem::take(&mut self.logs[log].awaiting) {
            self.logs[log].busy = false;
            self.note(gone.defect, log, Some(gone.offset), Some(gone.value));
        }
        offset
    }

    /// The end of a transaction leaves a marker in each log that it wrote to.
    pub(super) fn append_markers(&mut self, c: usize) {
        if !self.options.transactional {
            return;
        }
        let mops = std::mem::take(&mut self.clients[c].mops);
        for (n, mop) in mops.iter().enumerate() {
            let Planned::Send { log, .. } = mop else { continue };
            let again = |m: &Planned| matches!(m, Planned::Send { log: l, .. } if l == log);
            if !mops[..n].iter().any(again) {
                self.logs[*log].append_hole();
            }
        }
        self.clients[c].mops = mops;
    }

    /// The late effect of an operation.
    pub(super) fn arrive(&mut self, zombie: Zombie) {
        for (log, value) in zombie.sends {
            let offset = self.append(log, value);
            if self.options.transactional && !zombie.duplicate {
                self.logs[log].append_hole();
            }
            if zombie.duplicate {
                self.logs[log].busy = false;
                let offset = super::log::offset(offset);
                self.note(Defect::DuplicateLate, log, Some(offset), Some(value));
            }
        }
    }

    pub(super) fn complete(&mut self, c: usize) {
        self.clients[c].state = State::Idle;
        if let Some(control) = self.clients[c].control.take() {
            self.complete_control(c, control);
            return;
        }
        let outcome = self.clients[c].outcome;
        if outcome != Outcome::Lost {
            let (offsets, records) = self.told(c);
            self.rec.complete(&self.clients[c], &self.logs, offsets, records);
            if records {
                self.show_unwound(c);
            }
        }
        match outcome {
            Outcome::Ok => self.commit_positions(c),
            Outcome::Fail => self.rewind(c),
            Outcome::Info | Outcome::Lost => self.retire(c),
        }
        if outcome == Outcome::Ok {
            let sends = self.clients[c].mops.iter().filter_map(send_of).count();
            self.truth.acknowledged += sends as u64;
        }
        if let Some(special) = self.clients[c].special.take() {
            self.after_completion(c, special);
        }
    }

    /// Whether the completion tells offsets and records.
    fn told(&mut self, c: usize) -> (bool, bool) {
        let client = &self.clients[c];
        let forced = client.special.is_some();
        // What nobody was told of can come to life.
        if client.special.is_some_and(|s| s.defect == Defect::ResurrectedWrite) {
            return (false, true);
        }
        match (client.outcome, client.effect) {
            (Outcome::Ok, _) => (true, true),
            (_, Effect::Later | Effect::Never) => (false, false),
            (Outcome::Fail, _) if forced => (false, true),
            (Outcome::Fail, _) => (self.options.transactional, self.rng.random_bool(0.5)),
            _ if forced => (true, true),
            _ => (self.rng.random_bool(0.5), self.rng.random_bool(0.5)),
        }
    }

    fn commit_positions(&mut self, c: usize) {
        self.passed(c);
        let client = &mut self.clients[c];
        for p in &mut client.consumer {
            if p.cursor == p.pos {
                continue;
            }
            p.pos = p.cursor;
            p.read = true;
            let log = &mut self.logs[p.log];
            log.ok_read = log.ok_read.max(p.pos);
            log.committed = log.committed.max(p.pos);
        }
    }

    fn rewind(&mut self, c: usize) {
        let kept = self.clients[c].special.filter(|s| s.defect == Defect::NoRewind);
        for p in &mut self.clients[c].consumer {
            if kept.is_some_and(|s| s.log == p.log) {
                p.pos = p.cursor;
            } else {
                p.cursor = p.pos;
            }
        }
    }

    /// The process is over; its thread goes on under a new number.
    pub(super) fn retire(&mut self, c: usize) {
        let client = &mut self.clients[c];
        client.process += self.options.processes.max(1);
        client.consumer.clear();
        client.subscribed = false;
        if self.options.sub_via == SubVia::Subscribe {
            self.rebalance();
        }
    }
}

/// The log and value of a send.
pub(super) fn send_of(mop: &Planned) -> Option<(usize, i64)> {
    match mop {
        Planned::Send { log, value, .. } => Some((*log, *value)),
        Planned::Poll { .. } => None,
    }
}
