//! What was done to the cluster and what was seen of it: the rows that are not clients'.

use perjury_history::{F, History, Process};
use serde_json::Value;
use std::collections::BTreeMap;

/// One fault, from its injection to its healing.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// Its number in the plan.
    pub(crate) id: u64,
    /// What was done.
    pub(crate) f: String,
    /// Whom it was aimed at.
    pub(crate) target: Option<String>,
    /// The nodes it hit.
    pub(crate) nodes: Vec<u64>,
    /// The topic-partition whose leader or follower was meant.
    pub(crate) key: Option<String>,
    /// The row in which it began.
    pub(crate) row: usize,
    /// When it began.
    pub(crate) start: Option<i64>,
    /// When it was healed; nothing if it never was.
    pub(crate) healed: Option<i64>,
    /// Whether an independent observation proves that it bit.
    pub(crate) witnessed: bool,
    /// Why that is believed, or not.
    pub(crate) why: Option<String>,
    /// Whether one of the nodes led a topic-partition when it was hit.
    pub(crate) hit_leader: bool,
    /// How long the longest election that it caused took.
    pub(crate) election_ms: Option<u64>,
}

impl Fault {
    /// What happened, as the end of a sentence: "node 2 was killed while leading orders-2".
    pub(crate) fn phrase(&self) -> String {
        let done = match self.f.as_str() {
            "kill" => "killed".to_owned(),
            "pause" => "paused".to_owned(),
            "partition" | "isolate" => "cut off from the others".to_owned(),
            other => format!("hit by {other}"),
        };
        let who = match self.nodes.as_slice() {
            [] => return format!("the fault {} began", self.f),
            [one] => format!("node {one} was"),
            many => format!("nodes {} were", crate::words::list(many)),
        };
        let role = match (self.hit_leader, &self.key) {
            (true, Some(key)) if self.target.as_deref() == Some("leader") => {
                format!(" while leading {key}")
            }
            (true, _) if self.nodes.len() == 1 => " while leader".to_owned(),
            _ => String::new(),
        };
        format!("{who} {done}{role}")
    }
}

/// A change of a topic-partition's leader.
#[derive(Debug, Clone)]
pub(crate) struct LeaderChange {
    /// When it was seen.
    pub(crate) time: Option<i64>,
    /// The topic-partition, `topic-partition`.
    pub(crate) key: String,
}

/// The phase in which every topic-partition is read once more from its beginning.
#[derive(Debug, Clone, Default)]
pub(crate) struct FinalRead {
    /// The row in which it began.
    pub(crate) begin: usize,
    /// Whether it ended with every target reached.
    pub(crate) completed: bool,
    /// Why not.
    pub(crate) reason: Option<String>,
    /// The offset up to which each key had to be read, by the name of the key.
    pub(crate) targets: BTreeMap<String, i64>,
    /// The offset up to which each key was read, by the name of the key.
    pub(crate) reached: BTreeMap<String, i64>,
}

/// Everything that the rows of nemesis and cluster say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// The faults, in order of their beginning.
    pub(crate) faults: Vec<Fault>,
    /// The changes of leaders, in order.
    pub(crate) leaders: Vec<LeaderChange>,
    /// How long the cluster took to form.
    pub(crate) formation_ms: Option<u64>,
    /// The last final read phase.
    pub(crate) final_read: Option<FinalRead>,
    /// What went wrong with the recording, by row.
    pub(crate) recorder_errors: Vec<(usize, String)>,
    /// Why the run was cut short.
    pub(crate) interrupted: Option<String>,
    /// The time of the last row.
    pub(crate) end: Option<i64>,
}

impl Surroundings {
    /// Reads the rows of nemesis and cluster.
    pub(crate) fn read(history: &History) -> Self {
        let mut all = Surroundings::default();
        let mut leading: BTreeMap<String, u64> = BTreeMap::new();
        let mut open: BTreeMap<u64, usize> = BTreeMap::new();
        for i in 0..history.len() {
            all.end = all.end.max(history.time(i));
            let F::Other(f) = history.f(i) else { continue };
            let Some(value) = history.json(i) else { continue };
            match history.process(i) {
                Some(Process::Cluster) => all.cluster(history, i, f, value, &mut leading),
                Some(Process::Nemesis) => match &**f {
                    "final-reads" => all.final_reads(i, value),
                    "recorder-error" => all.recorder_errors.push((i, text(value, "message"))),
                    "interrupted" => all.interrupted = Some(text(value, "reason")),
                    "phase" => {}
                    fault => all.fault(history, i, fault, value, &leading, &mut open),
                },
                _ => {}
            }
        }
        all
    }

    fn cluster(
        &mut self,
        history: &History,
        i: usize,
        f: &str,
        value: &Value,
        leading: &mut BTreeMap<String, u64>,
    ) {
        match f {
            "formation" => self.formation_ms = value.get("ms").and_then(Value::as_u64),
            "leader" => {
                let Some(key) = topic_partition(value) else { return };
                let node = |name: &str| value.get(name).and_then(Value::as_u64);
                let Some(to) = node("to") else { return };
                let before = leading.insert(key.clone(), to).or(node("from"));
                if before.is_none_or(|b| b == to) {
                    return;
                }
                self.leaders.push(LeaderChange { time: history.time(i), key });
            }
            "election" => {
                let (id, ms) = (value.get("fault"), value.get("ms").and_then(Value::as_u64));
                let Some(id) = id.and_then(Value::as_u64) else { return };
                if let Some(fault) = self.faults.iter_mut().rev().find(|f| f.id == id) {
                    fault.election_ms = fault.election_ms.max(ms);
                }
            }
            _ => {}
        }
    }

    fn fault(
        &mut self,
        history: &History,
        i: usize,
        f: &str,
        value: &Value,
        leading: &BTreeMap<String, u64>,
        open: &mut BTreeMap<u64, usize>,
    ) {
        let (id, phase) = (value.get("fault").and_then(Value::as_u64), value.get("phase"));
        let (Some(id), Some(phase)) = (id, phase.and_then(Value::as_str)) else { return };
        let at = *open.entry(id).or_insert_with(|| {
            self.faults.push(Fault {
                id,
                f: f.to_owned(),
                target: None,
                nodes: Vec::new(),
                key: None,
                row: i,
                start: history.time(i),
                healed: None,
                witnessed: false,
                why: None,
                hit_leader: false,
                election_ms: None,
            });
            self.faults.len() - 1
        });
        let fault = &mut self.faults[at];
        let string = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        fault.target = fault.target.take().or_else(|| string("target"));
        fault.key = fault.key.take().or_else(|| string("key"));
        if let Some(nodes) = value.get("nodes").and_then(Value::as_array) {
            fault.nodes = nodes.iter().filter_map(Value::as_u64).collect();
        }
        if matches!(phase, "inject" | "injected") && !fault.hit_leader {
            let led = leading.values().any(|n| fault.nodes.contains(n));
            let aimed = matches!(fault.target.as_deref(), Some("leader" | "all"));
            fault.hit_leader = aimed || led;
        }
        if phase == "injected" && value.get("witnessed").and_then(Value::as_bool) == Some(true) {
            fault.witnessed = true;
        }
        let why = value.get("witness").and_then(|w| w.get("why")).and_then(Value::as_str);
        if let Some(why) = why.filter(|_| phase == "injected" || fault.why.is_none()) {
            fault.why = Some(why.to_owned());
        }
        if phase == "healed" {
            fault.healed = history.time(i);
        }
    }

    fn final_reads(&mut self, i: usize, value: &Value) {
        match value.get("phase").and_then(Value::as_str) {
            Some("begin") => {
                self.final_read = Some(FinalRead { begin: i, ..FinalRead::default() });
            }
            Some("end") => {
                let read = self.final_read.get_or_insert_with(FinalRead::default);
                read.completed = value.get("completed").and_then(Value::as_bool) == Some(true);
                read.reason = value.get("reason").and_then(Value::as_str).map(str::to_owned);
                read.targets = numbers(value.get("targets"));
                read.reached = numbers(value.get("reached"));
            }
            _ => {}
        }
    }

    /// The end of a fault's band: its healing, or the end of the history.
    pub(crate) fn end_of(&self, fault: &Fault) -> Option<i64> {
        fault.healed.or(self.end)
    }

    /// The fault that this time belongs to, and how long after the fault's beginning the time is (negative: before).
    /// The last of the faults whose band holds the time, otherwise the nearest one within 60 s.
    pub(crate) fn around(&self, time: i64) -> Option<(&Fault, i64)> {
        self.nearest(time, |fault, after| {
            after >= 0 && self.end_of(fault).is_some_and(|end| time <= end)
        })
    }

    /// The fault whose beginning is nearest to this time, witnessed ones first. An acknowledgement is endangered by the
    /// fault that follows it at once, not by the one in whose band it was given.
    pub(crate) fn beginning_near(&self, time: i64) -> Option<(&Fault, i64)> {
        self.nearest(time, |fault, _| fault.witnessed)
    }

    fn nearest(&self, time: i64, preferred: impl Fn(&Fault, i64) -> bool) -> Option<(&Fault, i64)> {
        const NEAR_NS: u64 = 60_000_000_000;
        let known = self.faults.iter().filter_map(|f| Some((f, time.saturating_sub(f.start?))));
        let rated = known.map(|(f, after)| (preferred(f, after), after.unsigned_abs(), f, after));
        let near = rated.filter(|(preferred, distance, ..)| *preferred || *distance <= NEAR_NS);
        let best = near.min_by_key(|(preferred, distance, ..)| (!preferred, *distance))?;
        Some((best.2, best.3))
    }
}

fn topic_partition(value: &Value) -> Option<String> {
    let topic = value.get("topic")?.as_str()?;
    let partition = value.get("partition")?.as_i64()?;
    Some(format!("{topic}-{partition}"))
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or("no reason was recorded").to_owned()
}

fn numbers(value: Option<&Value>) -> BTreeMap<String, i64> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(key, n)| Some((key.clone(), n.as_i64()?))).collect()
}
