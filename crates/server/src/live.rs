//! Runs under way, as far as their histories tell: the recorder appends, and this reads what was appended.
//!
//! A run says nothing of itself but its history, so that watching costs it nothing and works for any run that grows in
//! the store, whoever writes it.

use perjury_campaign::Follower;
use perjury_checker::{Options, Verdict};
use perjury_history::{Event, Kind, Payload, Process};
use perjury_store::{RunDir, RunStatus, Store};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io;

/// How many lines for people are kept.
const LINES_KEPT: usize = 30;
/// How many violations are told of.
const VIOLATIONS_TOLD: usize = 32;
/// Over how many seconds of the run the rate is taken.
const RATE_SECONDS: i64 = 5;

/// What a growing history told so far.
#[derive(Debug)]
pub(crate) struct Tail {
    follower: Follower,
    seen: Seen,
}

/// What is told of a run beside its verdict.
#[derive(Debug, Default)]
struct Seen {
    phase: String,
    time_ns: i64,
    operations: u64,
    ok: u64,
    fail: u64,
    info: u64,
    faults: u64,
    leaders: BTreeMap<String, Value>,
    seconds: BTreeMap<i64, u64>,
    lines: VecDeque<String>,
}

impl Tail {
    /// Nothing read yet.
    pub(crate) fn of(dir: &RunDir) -> Tail {
        Tail {
            follower: Follower::new(&dir.history_path(), Options::default()),
            seen: Seen { phase: "forming".into(), ..Seen::default() },
        }
    }

    /// Reads what was appended; says whether all was read.
    pub(crate) fn look(&mut self) -> io::Result<bool> {
        let seen = &mut self.seen;
        self.follower.look(|event| seen.event(event))
    }

    /// The event `progress`. Before the end nothing is *valid*: only what no later event can undo is told early.
    pub(crate) fn progress(&self, run: &str) -> Value {
        let seen = &self.seen;
        let live = self.follower.live();
        let violations: Vec<Value> = live
            .map_or(&[][..], |live| live.violations())
            .iter()
            .take(VIOLATIONS_TOLD)
            .map(|v| json!({"anomaly": v.anomaly, "operation": v.event, "sentence": v.sentence}))
            .collect();
        let verdict = if violations.is_empty() { Verdict::Unknown } else { Verdict::Invalid };
        let status = live.map(perjury_checker::Live::status).unwrap_or_default();
        json!({
            "run": run,
            "phase": seen.phase,
            "elapsed_ms": seen.time_ns / 1_000_000,
            "operations": seen.operations,
            "ok": seen.ok,
            "fail": seen.fail,
            "info": seen.info,
            "ops_per_s": seen.rate(),
            "faults": seen.faults,
            "leaders": seen.leaders,
            "verdict": verdict.as_str(),
            "violations": violations,
            "violations_total": status.violations,
            "acknowledged": status.acknowledged,
            "passed_over": status.passed_over,
            "lines": seen.lines,
        })
    }
}

impl Seen {
    fn event(&mut self, event: &Event) {
        self.time_ns = self.time_ns.max(event.time.unwrap_or(0));
        if !matches!(event.process, Some(Process::Client(_))) {
            self.note(event);
            return;
        }
        match event.kind {
            Kind::Invoke => {
                self.operations += 1;
                return;
            }
            Kind::Ok => self.ok += 1,
            Kind::Fail => self.fail += 1,
            Kind::Info => self.info += 1,
        }
        let second = self.time_ns / 1_000_000_000;
        *self.seconds.entry(second).or_default() += 1;
        self.seconds = self.seconds.split_off(&(second - RATE_SECONDS - 1));
    }

    /// What the nemesis did or the cluster was seen to do.
    fn note(&mut self, event: &Event) {
        let Payload::Json(value) = &event.value else { return };
        let f = event.f.as_str();
        let phase = value["phase"].as_str().unwrap_or_default();
        match (event.process, f) {
            (Some(Process::Nemesis), "phase") => {
                self.phase = phase.to_owned();
                self.tell(format!("phase {phase}"));
            }
            (Some(Process::Nemesis), _) if !phase.is_empty() => {
                if phase == "injected" {
                    self.faults += 1;
                }
                let nodes = &value["nodes"];
                self.tell(format!("{f} {phase}: {} (nodes {nodes})", text(&value["target"])));
            }
            (Some(Process::Cluster), "leader") => {
                let key = format!("{}-{}", text(&value["topic"]), value["partition"]);
                self.tell(format!("{key} is led by {}", value["to"]));
                self.leaders.insert(key, value["to"].clone());
            }
            (Some(Process::Cluster), "formation") => {
                self.tell(format!("formed in {} ms", value["ms"]))
            }
            (Some(Process::Cluster), "node-up" | "node-down" | "node-silent") => {
                self.tell(format!("{f} {}", value["node"]));
            }
            _ => {}
        }
    }

    fn tell(&mut self, what: String) {
        #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
        let seconds = self.time_ns as f64 / 1e9;
        if self.lines.len() == LINES_KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{seconds:.1} s: {what}"));
    }

    fn rate(&self) -> f64 {
        let now = self.time_ns / 1_000_000_000;
        // The second under way is not whole.
        let done: u64 = self.seconds.range(now - RATE_SECONDS..now).map(|(_, n)| *n).sum();
        #[expect(clippy::cast_precision_loss, reason = "a rate of a few seconds is far below 2^53")]
        let rate = done as f64 / RATE_SECONDS.min(now.max(1)) as f64;
        (rate * 10.0).round() / 10.0
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The event `state` of a run, and whether it is over.
pub(crate) fn state_of(store: &Store, dir: &RunDir) -> (Value, bool) {
    match store.load(dir.id()) {
        Ok(run) => {
            let s = run.summary;
            let over = s.status != RunStatus::Running;
            (json!({"run": s.id, "status": s.status, "verdict": s.verdict}), over)
        }
        Err(_) => {
            (json!({"run": dir.id().to_string(), "status": "unreadable", "verdict": null}), true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;

    #[test]
    fn a_history_is_followed_as_it_grows() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let dir = store.create_run("a", chrono::Utc::now()).unwrap();
        let mut tail = Tail::of(&dir);
        assert!(tail.look().unwrap());
        let mut file = File::create(dir.history_path()).unwrap();
        write!(file, "{{\"perjury\":\"history\",\"format\":\"1.0\"}}\n{{\"index\":0,\"time\":2000000000,\"process\":\"nemesis\",\"type\":\"info\",\"f\":\"phase\",\"value\":{{\"phase\":\"main\"}}}}\n").unwrap();
        writeln!(file, "{{\"index\":1,\"time\":2000000001,\"process\":3,\"type\":\"invoke\",\"f\":\"send\",\"value\":[]}}").unwrap();
        write!(file, "{{\"index\":2,\"time\":2000000009,\"process\":3,\"type\":\"o").unwrap();
        assert!(tail.look().unwrap());
        let seen = &tail.seen;
        assert_eq!((seen.operations, seen.ok, seen.phase.as_str()), (1, 0, "main"));
        writeln!(file, "k\",\"f\":\"send\",\"value\":[]}}").unwrap();
        let leader = json!({"index": 3, "time": 3_000_000_000i64, "process": "cluster", "type": "info", "f": "leader",
                            "value": {"topic": "t", "partition": 0, "to": 2}});
        writeln!(file, "{leader}").unwrap();
        assert!(tail.look().unwrap());
        let progress = tail.progress("a/t");
        assert_eq!((&progress["ok"], &progress["leaders"]["t-0"]), (&json!(1), &json!(2)));
        assert_eq!(progress["elapsed_ms"], 3000);
        assert_eq!(progress["lines"].as_array().unwrap().len(), 2);
        assert_eq!(progress["verdict"], "unknown");
        for (index, value) in [(4, 1), (5, 2)] {
            writeln!(file, "{{\"index\":{index},\"time\":4000000000,\"process\":{index},\"type\":\"ok\",\"f\":\"send\",\"value\":[[\"send\",\"t-0\",[7,{value}]]]}}").unwrap();
        }
        assert!(tail.look().unwrap());
        let progress = tail.progress("a/t");
        assert_eq!(
            (&progress["verdict"], &progress["violations_total"]),
            (&json!("invalid"), &json!(1))
        );
        assert_eq!(progress["violations"][0]["anomaly"], "inconsistent-offsets");
        assert_eq!(progress["violations"][0]["operation"], 5);
    }
}
