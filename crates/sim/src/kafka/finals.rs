//! The end of a run: what is open completes, and readers go through every topic-partition from the beginning.

use super::client::{Client, Planned, Position, State};
use super::engine::World;
use perjury_history::{F, Process};
use rand::Rng;
use serde_json::{Map, Value, json};

/// How far a reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Crash,
    Assign,
    Read,
    /// Everything is read; one more poll finds nothing.
    Last,
    Done,
}

impl World<'_> {
    /// Everything after the main phase.
    pub(super) fn final_phase(&mut self) {
        self.finish_open();
        self.heal_all();
        if self.options.native {
            self.phase("recovery");
            self.phase("final");
        }
        if self.options.final_readers == 0 {
            self.truth.may.insert("unseen");
        } else {
            self.final_reads();
        }
        if self.options.native {
            self.phase("done");
        }
    }

    /// Completes every open operation and lets every late write arrive.
    fn finish_open(&mut self) {
        for c in 0..self.clients.len() {
            while self.clients[c].state != State::Idle {
                self.tick();
                self.step(c);
            }
        }
        for zombie in std::mem::take(&mut self.zombies) {
            self.arrive(zombie);
        }
        for log in &mut self.logs {
            log.hidden = None;
            // A hold that is still busy waits for a write that never came; the others are meant to stay.
            if log.busy {
                log.hold = None;
            }
        }
    }

    fn final_reads(&mut self) {
        let acked: Vec<usize> = self.logs.iter().map(|l| last_record(l, l.slots.len())).collect();
        let served: Vec<usize> = self.logs.iter().map(|l| last_record(l, l.end())).collect();
        self.truth.final_read_completed = acked == served;
        if self.options.native {
            self.final_event(json!({"phase": "begin"}));
        }
        self.rec.last_phase = true;
        let readers = (self.options.final_readers as usize).min(self.clients.len());
        let mut stages = vec![Stage::Crash; readers];
        let mut open: Vec<usize> = (0..readers).collect();
        while !open.is_empty() {
            self.tick();
            let at = self.rng.random_range(0..open.len());
            let c = open[at];
            stages[c] = self.final_step(c, stages[c], &served);
            if stages[c] == Stage::Done {
                open.swap_remove(at);
            }
        }
        self.rec.last_phase = false;
        if self.options.native {
            self.final_end(&acked, &served);
        }
    }

    fn final_end(&mut self, acked: &[usize], served: &[usize]) {
        let by_key = |ends: &[usize]| -> Value {
            let entries = ends.iter().enumerate().filter(|(_, end)| **end > 0);
            let named = entries.map(|(log, end)| {
                (self.options.key_names.name(log).to_string(), Value::from(end - 1))
            });
            Value::Object(named.collect::<Map<String, Value>>())
        };
        let completed = self.truth.final_read_completed;
        let mut value = json!({
            "phase": "end",
            "completed": completed,
            "targets": by_key(acked),
            "reached": by_key(served),
        });
        if !completed {
            value["reason"] = json!("the end of a topic-partition was never served");
        }
        self.final_event(value);
    }

    fn final_event(&mut self, value: Value) {
        self.rec.observe(Process::Nemesis, "final-reads", value);
    }

    fn final_step(&mut self, c: usize, stage: Stage, targets: &[usize]) -> Stage {
        if self.clients[c].state != State::Idle {
            self.final_progress(c);
            return stage;
        }
        match stage {
            Stage::Crash => {
                self.rec.crash(self.clients[c].process);
                let process = self.clients[c].process + self.options.processes.max(1);
                self.clients[c] = Client { subscribed: true, ..Client::new(process) };
                Stage::Assign
            }
            Stage::Assign => {
                let logs: Vec<usize> = (0..self.logs.len()).collect();
                self.begin_control(c, F::Assign, logs, true);
                Stage::Read
            }
            Stage::Read | Stage::Last => {
                let reached = |p: &Position| p.pos >= targets[p.log];
                let read = self.clients[c].consumer.iter().all(reached);
                if read && stage == Stage::Last {
                    return Stage::Done;
                }
                let client = &mut self.clients[c];
                client.mops.clear();
                client.groups.clear();
                client.mops.push(Planned::Poll { first: 0, end: 0 });
                self.record_invocation(c);
                if read { Stage::Last } else { Stage::Read }
            }
            Stage::Done => Stage::Done,
        }
    }

    fn final_progress(&mut self, c: usize) {
        if self.clients[c].state == State::Applied {
            let assigns = self.clients[c].control.is_some();
            self.complete(c);
            if assigns {
                let from_start = |log| Position { log, pos: 0, cursor: 0, read: false };
                self.clients[c].consumer = (0..self.logs.len()).map(from_start).collect();
            }
            return;
        }
        self.clients[c].state = State::Applied;
        if self.clients[c].control.is_some() {
            return;
        }
        let mut budget = self.options.final_records_per_poll.max(1) as usize;
        // Logs are read one after the other, from where the last poll stopped.
        while budget > 0 && self.clients[c].reading < self.clients[c].consumer.len() {
            let at = self.clients[c].reading;
            let count = self.poll_one(c, at, budget);
            budget -= count;
            if budget > 0 {
                self.clients[c].reading += 1;
            }
        }
        let end = self.clients[c].groups.len();
        self.clients[c].mops[0] = Planned::Poll { first: 0, end };
    }
}

/// The offset behind the last record before `end`.
fn last_record(log: &super::log::Log, end: usize) -> usize {
    log.record_before(end).map_or(0, |at| at + 1)
}
