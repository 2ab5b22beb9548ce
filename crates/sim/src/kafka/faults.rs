//! Faults, phases and the header of a simulated native history.

use super::engine::World;
use super::options::{KeyNames, Options};
use perjury_history::{Acks, Configuration, Header, IsolationLevel, Process};
use rand::Rng;
use serde_json::{Value, json};

const NODES: u64 = 3;

/// The header of a native history with these options.
pub(super) fn header(options: &Options) -> Header {
    let bugs: Vec<&str> = options.defects.iter().map(|d| d.as_str()).collect();
    let nemesis = if options.faults > 0 { vec!["kill".to_owned()] } else { Vec::new() };
    Header {
        name: Some("sim".into()),
        seed: Some(options.seed),
        workload: Some("queue".into()),
        nemesis,
        config: Configuration {
            acks: Some(Acks::All),
            idempotence: Some(true),
            transactional: Some(options.transactional),
            isolation_level: options.transactional.then_some(IsolationLevel::ReadCommitted),
            sub_via: vec![options.sub_via],
            replication_factor: Some(3),
            min_insync_replicas: Some(2),
            unclean_leader_election: Some(false),
            ..Configuration::default()
        },
        cluster: json!({"driver": "sim", "nodes": [1, 2, 3], "bugs": bugs}),
        ..Header::default()
    }
}

/// The faults of a run and how far they are.
#[derive(Debug)]
pub(super) struct Faults {
    /// The operations at which each fault begins and ends.
    windows: Vec<(u64, u64)>,
    next: usize,
    under_way: bool,
    epoch: u64,
    /// Whether writes up to the end of the next fault may be lost; not drawn yet at its beginning.
    loses: Option<bool>,
}

impl Faults {
    pub(super) fn new(options: &Options) -> Faults {
        let n = u64::from(if options.native { options.faults } else { 0 });
        let share = options.operations / (n + 1);
        // Long enough that a good share of the operations falls into them, short enough that they stay apart.
        let windows = (1..=n).map(|i| (i * share - share / 4, i * share + share / 4));
        Faults { windows: windows.collect(), next: 0, under_way: false, epoch: 0, loses: None }
    }

    pub(super) fn under_way(&self) -> bool {
        self.under_way
    }
}

impl World<'_> {
    /// The first events of a native history.
    pub(super) fn begin(&mut self) {
        if self.options.native {
            let formed = json!({"ms": 2000, "nodes": NODES});
            self.rec.observe(Process::Cluster, "formation", formed);
            self.phase("main");
        }
    }

    /// The event that a phase begins.
    pub(super) fn phase(&mut self, name: &str) {
        self.rec.observe(Process::Nemesis, "phase", json!({"phase": name}));
    }

    /// Begins or ends a fault when it is time.
    pub(super) fn faults_step(&mut self) {
        let Some((from, to)) = self.faults.windows.get(self.faults.next).copied() else { return };
        if !self.faults.under_way && self.invoked >= from {
            self.faults.under_way = true;
            self.begin_fault();
        } else if self.faults.under_way && self.invoked >= to {
            self.end_fault();
        }
    }

    /// Ends a fault that is still under way.
    pub(super) fn heal_all(&mut self) {
        if self.faults.under_way {
            self.end_fault();
        }
    }

    fn fault_event(&mut self, phase: &str, node: u64, witness: Option<Value>) {
        let mut value = json!({
            "fault": self.faults.next,
            "phase": phase,
            "target": "leader",
            "nodes": [node],
        });
        if let Some(witness) = witness {
            value["witnessed"] = json!(true);
            value["witness"] = witness;
        }
        self.rec.observe(Process::Nemesis, "kill", value);
    }

    fn begin_fault(&mut self) {
        let (topic, partition) = match &self.options.key_names {
            KeyNames::Integers => ("t", self.active[0]),
            KeyNames::Partitions { topic } => (topic.as_str(), self.active[0]),
        };
        let (from, to) = (1 + self.faults.epoch % NODES, 1 + (self.faults.epoch + 1) % NODES);
        self.faults.epoch += 1;
        let (fault, epoch) = (self.faults.next, self.faults.epoch);
        self.fault_event("inject", from, None);
        self.tick();
        self.fault_event("injected", from, Some(json!({"why": "the process is gone"})));
        self.rec.observe(Process::Cluster, "node-down", json!({"node": from}));
        let ms: i64 = self.rng.random_range(200..900);
        self.rec.time += ms * 1_000_000;
        let leader = json!({
            "topic": topic, "partition": partition, "from": from, "to": to, "epoch": epoch,
        });
        self.rec.observe(Process::Cluster, "leader", leader);
        let election = json!({"fault": fault, "topic": topic, "partition": partition, "ms": ms});
        self.rec.observe(Process::Cluster, "election", election);
    }

    fn end_fault(&mut self) {
        let node = 1 + (self.faults.epoch + NODES - 1) % NODES;
        self.fault_event("heal", node, None);
        self.tick();
        let why = json!({"why": "a new process answers"});
        self.fault_event("healed", node, Some(why));
        self.rec.observe(Process::Cluster, "node-up", json!({"node": node}));
        self.faults.under_way = false;
        self.faults.next += 1;
        // What is written after the last fault shares that one's fate.
        if self.faults.next < self.faults.windows.len() {
            self.faults.loses = None;
        }
    }

    /// Whether a write that takes effect now is lost by chance.
    pub(super) fn loses_by_chance(&mut self) -> bool {
        let Some(loss) = self.options.loss else { return false };
        let loses = match self.faults.loses {
            Some(loses) => loses,
            None => *self.faults.loses.insert(self.rng.random_bool(loss.per_fault)),
        };
        loses && self.rng.random_bool(loss.per_write)
    }
}
