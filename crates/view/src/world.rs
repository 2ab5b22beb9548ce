//! What was done to the cluster and what it was seen to do: fault bands, leader changes, phases.

use perjury_history::{History, Process};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// No page draws more marks of one kind.
const MARKS_MAX: usize = 5000;

/// A fault from its injection to its healing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Band {
    fault: u64,
    f: String,
    target: Value,
    nodes: Value,
    key: Value,
    /// When it was asked for, ns.
    pub start: i64,
    /// When it was in place, ns.
    injected: Option<i64>,
    /// When it was healed, ns; the end of the history for one that never was.
    pub end: i64,
    healed: bool,
    witnessed: Option<bool>,
    why: Option<String>,
}

/// A change of a topic-partition's leader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leader {
    t: i64,
    topic: Value,
    partition: Value,
    from: Value,
    to: Value,
    epoch: Value,
}

/// A named moment: a phase of the run, or a node that came or went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    t: i64,
    kind: Cow<'static, str>,
    label: String,
}

/// Everything that happened round the clients.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct World {
    /// Faults, by their beginning.
    pub bands: Vec<Band>,
    /// Changes of leaders, in order.
    pub leaders: Vec<Leader>,
    /// Phases, and nodes that came or went, in order.
    pub marks: Vec<Mark>,
}

/// Gathers what happened round the clients, event by event. Events of another shape are passed over: histories of strangers
/// have theirs.
#[derive(Debug, Default)]
pub struct Gathering {
    world: World,
    open: BTreeMap<u64, Band>,
}

impl Gathering {
    /// The next event, if it is one of the nemesis or of the cluster.
    pub fn add(&mut self, history: &History, i: usize) {
        let process = history.process(i);
        if process.is_none_or(Process::is_client) {
            return;
        }
        let (Some(t), Some(value)) = (history.time(i), history.json(i)) else { return };
        let f = history.f(i).as_str();
        let world = &mut self.world;
        match (process, f) {
            (Some(Process::Nemesis), "phase") => mark(world, t, "phase", &value["phase"]),
            (Some(Process::Nemesis), _) => fault(&mut self.open, t, f, value),
            (Some(Process::Cluster), "leader") if world.leaders.len() < MARKS_MAX => {
                let field = |name: &str| value[name].clone();
                world.leaders.push(Leader {
                    t,
                    topic: field("topic"),
                    partition: field("partition"),
                    from: field("from"),
                    to: field("to"),
                    epoch: field("epoch"),
                });
            }
            (Some(Process::Cluster), "node-up") => mark(world, t, "node-up", &value["node"]),
            (Some(Process::Cluster), "node-down") => mark(world, t, "node-down", &value["node"]),
            _ => {}
        }
    }

    /// All of it; a fault that was never healed lasts until `end`.
    pub fn finish(mut self, end: i64) -> World {
        self.world.bands = self.open.into_values().collect();
        for band in self.world.bands.iter_mut().filter(|b| !b.healed) {
            band.end = end;
        }
        self.world.bands.sort_by_key(|b| (b.start, b.fault));
        self.world
    }
}

/// Reads the events of the nemesis and of the cluster of a whole history.
pub fn world(history: &History, end: i64) -> World {
    let mut gathering = Gathering::default();
    (0..history.len()).for_each(|i| gathering.add(history, i));
    gathering.finish(end)
}

fn mark(world: &mut World, t: i64, kind: &'static str, label: &Value) {
    if world.marks.len() < MARKS_MAX {
        let label = label.as_str().map_or_else(|| label.to_string(), str::to_owned);
        world.marks.push(Mark { t, kind: kind.into(), label });
    }
}

fn fault(open: &mut BTreeMap<u64, Band>, t: i64, f: &str, value: &Value) {
    let (Some(fault), Some(phase)) = (value["fault"].as_u64(), value["phase"].as_str()) else {
        return;
    };
    if open.len() >= MARKS_MAX && !open.contains_key(&fault) {
        return;
    }
    let band = open.entry(fault).or_insert_with(|| Band {
        fault,
        f: f.to_owned(),
        target: Value::Null,
        nodes: Value::Null,
        key: Value::Null,
        start: t,
        injected: None,
        end: t,
        healed: false,
        witnessed: None,
        why: None,
    });
    for (field, kept) in
        [("target", &mut band.target), ("nodes", &mut band.nodes), ("key", &mut band.key)]
    {
        if !value[field].is_null() {
            *kept = value[field].clone();
        }
    }
    match phase {
        "injected" => {
            band.injected = Some(t);
            band.witnessed = value["witnessed"].as_bool();
            band.why = value["witness"]["why"].as_str().map(str::to_owned);
        }
        "healed" => {
            band.end = t;
            band.healed = true;
        }
        _ => {}
    }
}
