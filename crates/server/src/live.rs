//! Runs under way, as far as their histories tell: the recorder appends, and this reads what was appended.
//!
//! A run says nothing of itself but its history, so that watching costs it nothing and works for any run that grows in
//! the store, whoever writes it.

use perjury_campaign::judge_file;
use perjury_checker::{Options, Verdict};
use perjury_store::{RunDir, RunStatus, Store};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much is read at a time; a long history is caught up with over several looks.
const BYTES_A_LOOK: u64 = 16 << 20;
/// A longer line is no event of ours.
const LINE_BYTES_MAX: usize = 1 << 20;
/// How many lines for people are kept.
const LINES_KEPT: usize = 30;
/// Over how many seconds of the run the rate is taken.
const RATE_SECONDS: i64 = 5;
/// A longer history is not judged while it grows.
const JUDGED_BYTES_MAX: u64 = 64 << 20;
/// The least time between two judgements of one run.
const JUDGED_EVERY: Duration = Duration::from_secs(4);
/// Judging may take one part in so many of the time.
const JUDGED_SHARE: u32 = 10;

/// What a growing history told so far.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    path: PathBuf,
    read: u64,
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
        Tail { path: dir.history_path(), phase: "forming".into(), ..Tail::default() }
    }

    /// Reads what was appended; says whether all was read. A line that is not whole yet is read the next time.
    pub(crate) fn look(&mut self) -> io::Result<bool> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(e) => return Err(e),
        };
        file.seek(SeekFrom::Start(self.read))?;
        let mut reader = BufReader::with_capacity(256 << 10, file.take(BYTES_A_LOOK));
        let (mut line, mut seen) = (Vec::new(), 0u64);
        loop {
            line.clear();
            let n = reader.read_until(b'\n', &mut line)?;
            if n == 0 || line.last() != Some(&b'\n') {
                // What is longer than a whole look is passed over, so that a look always gets on.
                if seen == 0 && n as u64 == BYTES_A_LOOK {
                    self.read += n as u64;
                }
                return Ok(seen + (n as u64) < BYTES_A_LOOK);
            }
            seen += n as u64;
            self.read += n as u64;
            if n <= LINE_BYTES_MAX {
                self.line(&line);
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        // The fields before the value come first in every line that the recorder writes.
        let start = String::from_utf8_lossy(&line[..line.len().min(200)]);
        if let Some(t) = integer(&start, "\"time\":") {
            self.time_ns = self.time_ns.max(t);
        }
        let Some((_, process)) = start.split_once("\"process\":") else { return };
        if !process.starts_with(|c: char| c.is_ascii_digit()) {
            if let Ok(event) = serde_json::from_slice::<Value>(line) {
                self.note(&event);
            }
            return;
        }
        let Some((_, kind)) = start.split_once("\"type\":\"") else { return };
        match kind.split('"').next() {
            Some("invoke") => {
                self.operations += 1;
                return;
            }
            Some("ok") => self.ok += 1,
            Some("fail") => self.fail += 1,
            Some("info") => self.info += 1,
            _ => return,
        }
        let second = self.time_ns / 1_000_000_000;
        *self.seconds.entry(second).or_default() += 1;
        self.seconds = self.seconds.split_off(&(second - RATE_SECONDS - 1));
    }

    /// What the nemesis did or the cluster was seen to do.
    fn note(&mut self, event: &Value) {
        let (f, value) = (event["f"].as_str().unwrap_or_default(), &event["value"]);
        let phase = value["phase"].as_str().unwrap_or_default();
        match (event["process"].as_str(), f) {
            (Some("nemesis"), "phase") => {
                self.phase = phase.to_owned();
                self.tell(format!("phase {phase}"));
            }
            (Some("nemesis"), _) if !phase.is_empty() => {
                if phase == "injected" {
                    self.faults += 1;
                }
                let nodes = &value["nodes"];
                self.tell(format!("{f} {phase}: {} (nodes {nodes})", text(&value["target"])));
            }
            (Some("cluster"), "leader") => {
                let key = format!("{}-{}", text(&value["topic"]), value["partition"]);
                self.tell(format!("{key} is led by {}", value["to"]));
                self.leaders.insert(key, value["to"].clone());
            }
            (Some("cluster"), "formation") => self.tell(format!("formed in {} ms", value["ms"])),
            (Some("cluster"), "node-up" | "node-down" | "node-silent") => {
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

    /// The event `progress`.
    pub(crate) fn progress(&self, run: &str, so_far: &SoFar) -> Value {
        json!({
            "run": run,
            "phase": self.phase,
            "elapsed_ms": self.time_ns / 1_000_000,
            "operations": self.operations,
            "ok": self.ok,
            "fail": self.fail,
            "info": self.info,
            "ops_per_s": self.rate(),
            "faults": self.faults,
            "leaders": self.leaders,
            "verdict": so_far.verdict,
            "violations": so_far.violations,
            "lines": self.lines,
        })
    }
}

fn integer(text: &str, name: &str) -> Option<i64> {
    let (_, rest) = text.split_once(name)?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What the history shows so far. Before the end nothing is *valid*: only violations can be told early.
#[derive(Debug, Clone)]
pub(crate) struct SoFar {
    verdict: &'static str,
    violations: Vec<Value>,
}

impl Default for SoFar {
    fn default() -> SoFar {
        SoFar { verdict: "unknown", violations: Vec::new() }
    }
}

#[derive(Debug, Default)]
struct Judgement {
    so_far: SoFar,
    under_way: bool,
    next: Option<Instant>,
}

/// Judgements of growing histories, shared by all who watch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Judgements(Arc<Mutex<BTreeMap<String, Judgement>>>);

impl Judgements {
    /// What is known of the run so far; begins to find out more when it is time.
    pub(crate) fn of(&self, dir: &RunDir) -> SoFar {
        let id = dir.id().to_string();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.entry(id.clone()).or_default();
        let due = entry.next.is_none_or(|at| Instant::now() >= at);
        let small =
            std::fs::metadata(dir.history_path()).is_ok_and(|m| m.len() <= JUDGED_BYTES_MAX);
        if due && small && !entry.under_way {
            entry.under_way = true;
            let (path, shared) = (dir.history_path(), self.clone());
            tokio::task::spawn_blocking(move || {
                let began = Instant::now();
                let options = Options { threads: 1, ..Options::default() };
                let judged = judge_file(&path, &options).ok().map(|(_, report)| so_far(&report));
                shared.done(&id, judged, began.elapsed());
            });
        }
        entry.so_far.clone()
    }

    fn done(&self, id: &str, judged: Option<SoFar>, took: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = all.get_mut(id) {
            entry.so_far = judged.unwrap_or_else(|| entry.so_far.clone());
            entry.under_way = false;
            entry.next = Some(Instant::now() + JUDGED_EVERY.max(took * JUDGED_SHARE));
        }
    }

    /// Forgets a run that is over.
    pub(crate) fn forget(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

fn so_far(report: &perjury_checker::Report) -> SoFar {
    let violations = report.violations().map(|(name, anomaly)| {
        let operation = anomaly.examples.first().and_then(|e| e.ops.first());
        json!({"anomaly": name, "operation": operation})
    });
    let violations: Vec<Value> = violations.collect();
    let verdict = if violations.is_empty() { Verdict::Unknown } else { Verdict::Invalid };
    SoFar { verdict: verdict.as_str(), violations }
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
    use std::io::Write;

    #[test]
    fn a_history_is_followed_as_it_grows() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let dir = store.create_run("a", chrono::Utc::now()).unwrap();
        let mut tail = Tail::of(&dir);
        assert!(tail.look().unwrap());
        let mut file = File::create(dir.history_path()).unwrap();
        write!(file, "{{\"perjury\":\"history\"}}\n{{\"index\":0,\"time\":2000000000,\"process\":\"nemesis\",\"type\":\"info\",\"f\":\"phase\",\"value\":{{\"phase\":\"main\"}}}}\n").unwrap();
        writeln!(file, "{{\"index\":1,\"time\":2000000001,\"process\":3,\"type\":\"invoke\",\"f\":\"send\",\"value\":[]}}").unwrap();
        write!(file, "{{\"index\":2,\"time\":2000000009,\"process\":3,\"type\":\"o").unwrap();
        assert!(tail.look().unwrap());
        assert_eq!((tail.operations, tail.ok, tail.phase.as_str()), (1, 0, "main"));
        writeln!(file, "k\",\"f\":\"send\",\"value\":[]}}").unwrap();
        let leader = json!({"index": 3, "time": 3_000_000_000i64, "process": "cluster", "type": "info", "f": "leader",
                            "value": {"topic": "t", "partition": 0, "to": 2}});
        writeln!(file, "{leader}").unwrap();
        assert!(tail.look().unwrap());
        let progress = tail.progress("a/t", &SoFar::default());
        assert_eq!((&progress["ok"], &progress["leaders"]["t-0"]), (&json!(1), &json!(2)));
        assert_eq!(progress["elapsed_ms"], 3000);
        assert_eq!(progress["lines"].as_array().unwrap().len(), 2);
        assert_eq!(progress["verdict"], "unknown");
    }
}
