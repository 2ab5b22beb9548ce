//! Clients of a transactional store: at each step one client, drawn at random, goes one step further.

use super::stage;
use super::transactions::{Isolation, StoreOptions, Workload};
use perjury_history::{Extra, F, History, HistoryBuilder, Kind, OpError, Payload, Process, Row};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// A micro-operation and, for a read, what it returned: the list, or the value alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mop {
    Write { key: usize, value: i64 },
    Read { key: usize, seen: Option<Vec<i64>> },
}

impl Mop {
    fn key(&self) -> usize {
        match self {
            Mop::Write { key, .. } | Mop::Read { key, .. } => *key,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// This many micro-operations are done.
    Running(usize),
    Finished,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Ok,
    Fail,
    /// Whether it took effect.
    Unknown(bool),
}

struct Client {
    process: u32,
    state: State,
    outcome: Outcome,
    mops: Vec<Mop>,
    /// How much of each key was there when it began, and how often it had been written.
    began: u64,
}

/// All versions of one key: the values in order, and the commit at which each was written.
#[derive(Debug, Default)]
struct Item {
    values: Vec<(i64, u64)>,
    /// Values handed out, for this key.
    written: u32,
}

/// All state of a run.
pub(super) struct World<'a> {
    options: &'a StoreOptions,
    pub(super) rng: ChaCha8Rng,
    builder: HistoryBuilder,
    time: i64,
    items: Vec<Item>,
    active: Vec<usize>,
    clients: Vec<Client>,
    commits: u64,
}

/// Simulates clients of a transactional store.
pub(super) fn run(options: &StoreOptions) -> History {
    let keys = options.keys.max(1) as usize;
    let idle = |process| Client {
        process,
        state: State::Idle,
        outcome: Outcome::Ok,
        mops: Vec::new(),
        began: 0,
    };
    let mut world = World {
        options,
        rng: ChaCha8Rng::seed_from_u64(options.seed),
        builder: HistoryBuilder::default(),
        time: 0,
        items: (0..keys).map(|_| Item::default()).collect(),
        active: (0..keys).collect(),
        clients: (0..options.processes.max(1)).map(idle).collect(),
        commits: 0,
    };
    world.play();
    world.builder.finish()
}

impl World<'_> {
    fn play(&mut self) {
        let mut invoked = 0;
        let mut phenomena: Vec<_> = self.options.phenomena.clone();
        phenomena.retain(|p| p.fits(self.options.workload));
        while invoked < self.options.operations {
            self.time += self.rng.random_range(1..=100_000);
            if invoked >= self.options.operations / 2
                && let Some(phenomenon) = phenomena.pop()
            {
                stage::play(self, phenomenon);
            }
            let c = self.rng.random_range(0..self.clients.len());
            invoked += u64::from(self.clients[c].state == State::Idle);
            self.step(c);
        }
        for phenomenon in phenomena {
            stage::play(self, phenomenon);
        }
        for c in 0..self.clients.len() {
            while self.clients[c].state != State::Idle {
                self.time += 1;
                self.step(c);
            }
        }
        self.read_everything();
    }

    fn step(&mut self, c: usize) {
        match self.clients[c].state {
            State::Idle => self.begin(c),
            State::Running(done) => self.progress(c, done),
            State::Finished => self.end(c),
        }
    }

    fn begin(&mut self, c: usize) {
        let len = self.rng.random_range(1..=self.options.mops_max.max(1));
        let mut mops: Vec<Mop> = Vec::new();
        for _ in 0..len {
            let mop = self.draw();
            // Without repeatable reads a second look at a key would contradict the first.
            let again = mops.iter().any(|m| m.key() == mop.key());
            if !again || self.options.isolation != Isolation::ReadCommitted {
                mops.push(mop);
            }
        }
        let draw = self.rng.random_range(0.0..1.0);
        let outcome = if draw < self.options.info_rate {
            Outcome::Unknown(self.rng.random_bool(0.5))
        } else if draw < self.options.info_rate + self.options.fail_rate {
            Outcome::Fail
        } else {
            Outcome::Ok
        };
        let process = self.clients[c].process;
        self.clients[c] =
            Client { process, state: State::Running(0), outcome, mops, began: self.commits };
        let client = &self.clients[c];
        let value = written(&client.mops, self.options.workload, false);
        self.row(process, Kind::Invoke, value);
    }

    fn draw(&mut self) -> Mop {
        let at = self.rng.random_range(0..self.active.len());
        let key = self.active[at];
        if self.rng.random_bool(0.5) {
            return Mop::Read { key, seen: None };
        }
        let value = self.fresh_value(key);
        if self.items[key].written >= self.options.writes_per_key.max(1) {
            self.active[at] = self.new_key();
        }
        Mop::Write { key, value }
    }

    /// A value that was not written to this key before.
    pub(super) fn fresh_value(&mut self, key: usize) -> i64 {
        self.items[key].written += 1;
        i64::from(self.items[key].written)
    }

    /// A key that nobody used before.
    pub(super) fn new_key(&mut self) -> usize {
        self.items.push(Item::default());
        self.items.len() - 1
    }

    fn progress(&mut self, c: usize, done: usize) {
        let atomic = self.options.isolation == Isolation::StrictSerializable;
        let len = self.clients[c].mops.len();
        // One instant for all of them, or one for each and another for the commit.
        let (upto, commits) = if atomic { (len, true) } else { ((done + 1).min(len), done == len) };
        for m in done..upto {
            let mut mop = self.clients[c].mops[m].clone();
            if let Mop::Read { key, seen } = &mut mop {
                *seen = Some(self.read(c, m, *key));
            }
            self.clients[c].mops[m] = mop;
        }
        if commits {
            self.commit(c);
        } else {
            self.clients[c].state = State::Running(done + 1);
        }
    }

    /// What a read returns: what is committed, or was when the transaction began, and its own writes so far.
    fn read(&self, c: usize, m: usize, key: usize) -> Vec<i64> {
        let client = &self.clients[c];
        let snapshot = match self.options.isolation {
            Isolation::Snapshot => client.began,
            _ => self.commits,
        };
        let committed = self.items[key].values.iter().take_while(|(_, at)| *at <= snapshot);
        let own = client.mops[..m].iter().filter_map(|mop| match mop {
            Mop::Write { key: k, value } if *k == key => Some(*value),
            _ => None,
        });
        committed.map(|(v, _)| *v).chain(own).collect()
    }

    fn commit(&mut self, c: usize) {
        let client = &mut self.clients[c];
        client.state = State::Finished;
        let overtaken = |mop: &Mop| match mop {
            Mop::Write { key, .. } => {
                self.items[*key].values.last().is_some_and(|(_, at)| *at > client.began)
            }
            Mop::Read { .. } => false,
        };
        if self.options.isolation == Isolation::Snapshot && client.mops.iter().any(overtaken) {
            client.outcome = Outcome::Fail;
        }
        if matches!(client.outcome, Outcome::Ok | Outcome::Unknown(true)) {
            let mops = client.mops.clone();
            self.write_all(&mops);
        }
    }

    /// Commits the writes of these micro-operations at one instant.
    pub(super) fn write_all(&mut self, mops: &[Mop]) {
        self.commits += 1;
        for mop in mops {
            if let Mop::Write { key, value } = mop {
                self.items[*key].values.push((*value, self.commits));
            }
        }
    }

    fn end(&mut self, c: usize) {
        let client = &mut self.clients[c];
        client.state = State::Idle;
        let (kind, answered) = match client.outcome {
            Outcome::Ok => (Kind::Ok, true),
            Outcome::Fail => (Kind::Fail, false),
            Outcome::Unknown(_) => (Kind::Info, false),
        };
        let process = client.process;
        if kind == Kind::Info {
            client.process += self.options.processes.max(1);
        }
        let value = written(&self.clients[c].mops, self.options.workload, answered);
        self.row(process, kind, value);
    }

    fn row(&mut self, process: u32, kind: Kind, value: Value) {
        let code = match kind {
            Kind::Info => Some("timeout"),
            Kind::Fail => Some("aborted"),
            _ => None,
        };
        let error = code.map(|code| OpError { code: code.into(), message: String::new() });
        let extra = Extra { payload: Payload::Json(value), error, ..Extra::default() };
        self.builder.finish_row(Row {
            time: Some(self.time),
            process: Some(Process::Client(process)),
            kind,
            f: F::Txn,
            extra: Some(Box::new(extra)),
        });
    }

    /// The process that the client with this number among the additional ones has: nobody else uses it.
    fn actor(&self, n: u32) -> u32 {
        // Clients that are retired count upwards in steps, so that numbers from half of the space on stay free.
        (1 << 31) + n
    }

    /// An invocation of one of the additional clients that play a scene.
    pub(super) fn invoked_by(&mut self, actor: u32, mops: &[Mop]) {
        self.time += 1;
        let value = written(mops, self.options.workload, false);
        self.row(self.actor(actor), Kind::Invoke, value);
    }

    /// A completion of one of the additional clients.
    pub(super) fn completed_by(&mut self, actor: u32, kind: Kind, mops: &[Mop]) {
        self.time += 1;
        let value = written(mops, self.options.workload, kind == Kind::Ok);
        self.row(self.actor(actor), kind, value);
    }

    fn read_everything(&mut self) {
        let keys: Vec<usize> = (0..self.items.len()).collect();
        for some in keys.chunks(16) {
            let all = |key: &usize| {
                let seen = self.items[*key].values.iter().map(|(v, _)| *v).collect();
                Mop::Read { key: *key, seen: Some(seen) }
            };
            let mops: Vec<Mop> = some.iter().map(all).collect();
            self.invoked_by(0, &mops);
            self.completed_by(0, Kind::Ok, &mops);
        }
    }
}

fn written(mops: &[Mop], workload: Workload, answered: bool) -> Value {
    let all = mops.iter().map(|mop| match (mop, workload) {
        (Mop::Write { key, value }, Workload::ListAppend) => json!(["append", key, value]),
        (Mop::Write { key, value }, Workload::RwRegister) => json!(["w", key, value]),
        (Mop::Read { key, seen: Some(seen) }, Workload::ListAppend) if answered => {
            json!(["r", key, seen])
        }
        (Mop::Read { key, seen: Some(seen) }, Workload::RwRegister) if answered => {
            json!(["r", key, seen.last()])
        }
        (Mop::Read { key, .. }, _) => json!(["r", key, null]),
    });
    Value::Array(all.collect())
}
