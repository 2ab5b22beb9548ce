//! Concurrent clients on objects: at each step one client, drawn at random, goes one step further.

use super::models::{Answer, Call, Object, scene, wrong};
use super::objects::{Model, ObjectOptions};
use perjury_history::{Extra, F, History, HistoryBuilder, Kind, OpError, Payload, Process, Row};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Invoked,
    Applied,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Ok,
    Fail,
    /// With its effect before the completion, after it, or never.
    Unknown(Option<bool>),
}

struct Client {
    process: u32,
    state: State,
    key: usize,
    call: Call,
    answer: Answer,
    outcome: Outcome,
    /// The object that it holds locked.
    holds: Option<usize>,
    /// What is left of the scene with the wrong answer, and what came of its calls so far.
    scene: VecDeque<Call>,
    /// Whether the operation under way belongs to the scene.
    on_stage: bool,
    played: Vec<(Call, Answer)>,
}

struct World<'a> {
    options: &'a ObjectOptions,
    rng: ChaCha8Rng,
    builder: HistoryBuilder,
    time: i64,
    objects: Vec<Object>,
    clients: Vec<Client>,
    late: Vec<(usize, Call)>,
    next_value: i64,
}

/// Simulates concurrent objects.
pub(super) fn run(options: &ObjectOptions) -> History {
    let idle = |process| Client {
        process,
        state: State::Idle,
        key: 0,
        call: Call::Read,
        answer: Answer::Done,
        outcome: Outcome::Ok,
        holds: None,
        scene: VecDeque::new(),
        on_stage: false,
        played: Vec::new(),
    };
    let mut world = World {
        options,
        rng: ChaCha8Rng::seed_from_u64(options.seed),
        builder: HistoryBuilder::default(),
        time: 0,
        objects: (0..options.keys.max(1)).map(|_| Object::default()).collect(),
        clients: (0..options.processes.max(1)).map(idle).collect(),
        late: Vec::new(),
        next_value: 0,
    };
    world.play();
    world.builder.finish()
}

impl World<'_> {
    fn play(&mut self) {
        let mut flaw = self.options.flaw;
        let flawed_from = self.options.operations / 2;
        let mut invoked = 0;
        let unfinished = |w: &Self| w.clients.iter().any(|c| c.on_stage || !c.scene.is_empty());
        while invoked < self.options.operations || flaw.is_some() || unfinished(self) {
            self.time += self.rng.random_range(1..=100_000);
            let c = self.rng.random_range(0..self.clients.len());
            if self.clients[c].state == State::Idle {
                if let Some(f) = flaw
                    && invoked >= flawed_from
                    && self.clients[c].holds.is_none()
                {
                    let next = &mut self.next_value;
                    let calls = scene(self.options.model, f, || fresh(next));
                    self.clients[c].scene = calls.into();
                    self.clients[c].key = self.rng.random_range(0..self.objects.len());
                    flaw = None;
                }
                self.invoke(c);
                invoked += 1;
            } else {
                self.step(c);
            }
            if !self.late.is_empty() && self.rng.random_range(0..32) == 0 {
                let at = self.rng.random_range(0..self.late.len());
                let (key, call) = self.late.swap_remove(at);
                self.objects[key].apply(&call);
            }
        }
        for c in 0..self.clients.len() {
            while self.clients[c].state != State::Idle {
                self.time += 1;
                self.step(c);
            }
        }
    }

    fn step(&mut self, c: usize) {
        match self.clients[c].state {
            State::Idle => self.invoke(c),
            State::Invoked => self.apply(c),
            State::Applied => self.complete(c),
        }
    }

    fn invoke(&mut self, c: usize) {
        self.clients[c].outcome = Outcome::Ok;
        let next = self.clients[c].scene.pop_front();
        self.clients[c].on_stage = next.is_some();
        if let Some(call) = next {
            self.clients[c].call = call;
        } else {
            if self.clients[c].holds.is_none() {
                self.clients[c].key = self.rng.random_range(0..self.objects.len());
            }
            self.clients[c].call = self.draw(c);
            self.draw_outcome(c);
        }
        self.clients[c].state = State::Invoked;
        self.row(c, Kind::Invoke);
    }

    fn value(&mut self) -> i64 {
        match self.options.values {
            0 => fresh(&mut self.next_value),
            n => i64::from(self.rng.random_range(0..n)),
        }
    }

    fn draw(&mut self, c: usize) -> Call {
        let key = self.clients[c].key;
        let looks = self.rng.random_bool(self.options.read_share.clamp(0.0, 1.0));
        match self.options.model {
            Model::Register if looks => Call::Read,
            Model::Register => Call::Write(self.value()),
            Model::CasRegister if looks => Call::Read,
            Model::CasRegister if self.rng.random_bool(0.5) => Call::Write(self.value()),
            Model::CasRegister => {
                // Mostly the current value, so that a good part of them succeeds.
                let from = self.objects[key].value.filter(|_| self.rng.random_bool(0.7));
                let from = from.or_else(|| self.objects[key].value.map(|v| v.max(1) - 1));
                let from = from.or_else(|| Some(self.value()));
                Call::Cas(from, self.value())
            }
            Model::Kv if looks => Call::Get,
            Model::Kv => {
                let text = format!("[{}]", fresh(&mut self.next_value));
                if self.rng.random_bool(0.2) { Call::Put(text) } else { Call::Append(text) }
            }
            Model::Queue if looks => Call::Dequeue,
            Model::Queue => Call::Enqueue(fresh(&mut self.next_value)),
            Model::Mutex if self.clients[c].holds.is_some() => Call::Release,
            Model::Mutex => Call::Acquire,
            Model::Log if !looks => Call::Send(fresh(&mut self.next_value)),
            Model::Log if self.rng.random_bool(0.1) => Call::End,
            Model::Log => {
                let len = self.objects[key].log.len();
                Call::Poll(self.rng.random_range(len.saturating_sub(20)..=len))
            }
        }
    }

    fn draw_outcome(&mut self, c: usize) {
        // A lock that is lost or freed by a client of unknown fate would never be taken again.
        if self.options.model == Model::Mutex {
            return;
        }
        let draw = self.rng.random_range(0.0..1.0);
        let (info, fail) = (self.options.info_rate, self.options.fail_rate);
        self.clients[c].outcome = if draw < info {
            Outcome::Unknown([Some(true), Some(false), None][self.rng.random_range(0..3)])
        } else if draw < info + fail {
            Outcome::Fail
        } else {
            Outcome::Ok
        };
    }

    fn apply(&mut self, c: usize) {
        let client = &mut self.clients[c];
        client.state = State::Applied;
        let object = &mut self.objects[client.key];
        match client.outcome {
            Outcome::Ok | Outcome::Unknown(Some(true)) => {
                client.answer = object.apply(&client.call)
            }
            Outcome::Unknown(Some(false)) if client.call.changes() => {
                self.late.push((client.key, client.call.clone()));
            }
            Outcome::Fail | Outcome::Unknown(_) => {}
        }
        if !client.on_stage {
            return;
        }
        // A lock must be held before it can be granted twice.
        let unready = client.call == Call::Acquire
            && !client.played.iter().any(|(_, answer)| *answer == Answer::Done);
        if unready && client.scene.is_empty() {
            client.scene.push_back(Call::Acquire);
        }
        if !client.scene.is_empty() {
            client.played.push((client.call.clone(), client.answer.clone()));
        } else if let Some(flaw) = self.options.flaw {
            client.answer = wrong(flaw, &client.call, &client.played, &client.answer);
        }
    }

    fn complete(&mut self, c: usize) {
        let client = &mut self.clients[c];
        client.state = State::Idle;
        match (client.outcome, &client.call, &client.answer) {
            (Outcome::Ok, Call::Acquire, Answer::Done) => client.holds = Some(client.key),
            (Outcome::Ok, Call::Release, _) => client.holds = None,
            _ => {}
        }
        let kind = match client.outcome {
            Outcome::Ok if client.answer == Answer::Refused => Kind::Fail,
            Outcome::Ok => Kind::Ok,
            Outcome::Fail => Kind::Fail,
            Outcome::Unknown(_) => Kind::Info,
        };
        self.row(c, kind);
        self.clients[c].on_stage = false;
        if kind == Kind::Info {
            self.clients[c].process += self.options.processes.max(1);
        }
    }

    fn row(&mut self, c: usize, kind: Kind) {
        let client = &self.clients[c];
        let answered = kind == Kind::Ok;
        let mut extra = Extra::default();
        if client.outcome != Outcome::Ok && kind != Kind::Invoke {
            let code = if kind == Kind::Info { "timeout" } else { "refused" };
            extra.error = Some(OpError { code: code.into(), message: String::new() });
        }
        let f = match &client.call {
            Call::Send(_) | Call::Poll(_) => self.mops(c, answered),
            call => {
                let (name, value) = datum(call, answered.then_some(&client.answer));
                extra.payload = if value.is_null() { Payload::None } else { Payload::Json(value) };
                F::Other(name.into())
            }
        };
        let client = &self.clients[c];
        if self.options.model == Model::Log {
            if let Payload::Json(end) = &mut extra.payload {
                *end = json!({ client.key.to_string(): end.take() });
            } else if matches!(client.call, Call::End) {
                extra.payload = Payload::Json(json!([client.key]));
            }
        } else if self.options.keys > 1 {
            extra.ext = Map::from_iter([("key".to_owned(), Value::from(client.key))]);
        }
        let extra = (extra != Extra::default()).then(|| Box::new(extra));
        let process = Some(Process::Client(client.process));
        self.builder.finish_row(Row { time: Some(self.time), process, kind, f, extra });
    }

    fn mops(&mut self, c: usize, answered: bool) -> F {
        let client = &self.clients[c];
        let key = i64::try_from(client.key).unwrap_or(i64::MAX);
        match (&client.call, &client.answer) {
            (Call::Send(v), answer) => {
                let key = self.builder.int_key(key);
                let value = self.builder.int_value(*v);
                match answer {
                    Answer::Offset(at) if answered => {
                        self.builder.mop_send_done(key, value, Some(offset(*at)));
                    }
                    _ => self.builder.mop_send_open(key, value),
                }
                F::Send
            }
            (_, Answer::Records(records)) if answered => {
                self.builder.begin_poll();
                if !records.is_empty() {
                    let key = self.builder.int_key(key);
                    self.builder.begin_group(key);
                }
                for (at, value) in records {
                    let value = self.builder.int_value(*value);
                    self.builder.record(Some(offset(*at)), value, None);
                }
                self.builder.end_poll();
                F::Poll
            }
            _ => {
                self.builder.mop_poll_open();
                F::Poll
            }
        }
    }
}

fn fresh(next: &mut i64) -> i64 {
    *next += 1;
    *next
}

fn offset(at: usize) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

/// The function and the value of a row.
fn datum(call: &Call, answer: Option<&Answer>) -> (&'static str, Value) {
    let answered = match answer {
        Some(Answer::Value(v)) => json!(v),
        Some(Answer::Text(s)) => json!(s),
        Some(Answer::Offset(o)) => json!(o),
        _ => Value::Null,
    };
    match call {
        Call::Read => ("read", answered),
        Call::Write(v) => ("write", json!(v)),
        Call::Cas(from, to) => ("cas", json!([from, to])),
        Call::Get => ("get", answered),
        Call::Put(s) => ("put", json!(s)),
        Call::Append(s) => ("append", json!(s)),
        Call::Enqueue(v) => ("enqueue", json!(v)),
        Call::Dequeue => ("dequeue", answered),
        Call::Acquire => ("acquire", Value::Null),
        Call::Release => ("release", Value::Null),
        Call::End => ("list-offsets", answered),
        Call::Send(_) => ("send", Value::Null),
        Call::Poll(_) => ("poll", Value::Null),
    }
}
