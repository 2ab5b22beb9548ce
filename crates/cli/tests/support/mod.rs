//! Runs the real binary against real processes, in a store of its own.
#![cfg_attr(test, allow(dead_code, reason = "each test binary uses its part"))]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// No call of the binary takes as long as this on any machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// The first line of a history.
pub(crate) const HEADER: &str = "{\"perjury\":\"history\",\"format\":\"1.0\"}\n";

/// How many clusters the tests of one binary have at a time: their clients wait most of the time, on two cores.
const AT_A_TIME: usize = 2;
static TAKEN: Mutex<usize> = Mutex::new(0);
static LET_GO: Condvar = Condvar::new();

/// What a test holds while its cluster runs.
pub(crate) struct Turn(usize);

impl Drop for Turn {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        LET_GO.notify_all();
    }
}

fn take(count: usize) -> Turn {
    let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let full = |taken: &mut usize| *taken + count > AT_A_TIME;
    *LET_GO.wait_while(taken, full).unwrap_or_else(PoisonError::into_inner) += count;
    Turn(count)
}

/// A turn beside one other test.
pub(crate) fn turn() -> Turn {
    take(1)
}

/// A turn without any other: for clusters of Java virtual machines, and for tests that look at the whole machine.
pub(crate) fn alone() -> Turn {
    take(AT_A_TIME)
}

pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_perjury"));
    command.stdin(Stdio::null()).env_remove("PERJURY_STORE").env_remove("PERJURY_LOG");
    command
}

/// The binary with these arguments, as [`ended`] waits for it.
pub(crate) fn perjury(args: &[&str]) -> Output {
    ended(binary().args(args))
}

/// What the command said until its end. One that does not end is killed, so that its test fails and says what it had said.
pub(crate) fn ended(command: &mut Command) -> Output {
    ended_within(command, PATIENCE)
}

/// The same for a command that has a shorter time.
pub(crate) fn ended_within(command: &mut Command, limit: Duration) -> Output {
    ended_if_started(command, limit).unwrap()
}

/// The same for a program that may be missing: an error where it does not start.
pub(crate) fn ended_if_started(command: &mut Command, limit: Duration) -> std::io::Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    let (over, watched) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if watched.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    });
    let output = child.wait_with_output();
    drop(over);
    watch.join().unwrap();
    output
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a run printed as JSON, its exit code, and everything that it said.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) report: Value,
    pub(crate) said: String,
}

impl Ran {
    pub(crate) fn reasons(&self) -> Vec<&str> {
        self.report["reasons"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
    }

    /// An error that says how it ended where it should have ended otherwise.
    pub(crate) fn ended_with(&self, code: i32) -> Result<(), String> {
        if self.code == code {
            return Ok(());
        }
        let (anomalies, reasons) = (self.anomalies(), self.reasons());
        Err(format!("exit {}, {anomalies:?}, {reasons:?}\n{}", self.code, self.said))
    }

    pub(crate) fn anomalies(&self) -> Vec<&str> {
        self.report["anomalies"].as_object().unwrap().keys().map(String::as_str).collect()
    }

    pub(crate) fn violations(&self) -> Vec<&str> {
        let anomalies = self.report["anomalies"].as_object().unwrap();
        anomalies
            .iter()
            .filter(|(_, a)| a["judgement"] == "violation")
            .map(|(name, _)| name.as_str())
            .collect()
    }
}

/// `perjury run` on the testbed with the verdict as JSON.
pub(crate) fn run(store: &Path, args: &[&str]) -> Ran {
    let mut all =
        vec!["run", "--cluster", "testbed", "--output", "json", "--store", store.to_str().unwrap()];
    all.extend(args);
    let output = perjury(&all);
    let said = stderr(&output);
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("no JSON ({e}): {}\n{said}", stdout(&output)));
    Ran { code: output.status.code().unwrap(), report, said }
}

/// A few tries at something that a run shows only if the machine lets clients work meanwhile: each with another seed and a
/// time limit twice as long as the one before, so that a busy machine costs time and nothing else. What must not happen in
/// any run is asserted by the try itself; what this one did not come to is its error.
pub(crate) fn patiently(
    seed: u64,
    time_limit_s: u64,
    attempt: impl Fn(&Path, &[&str]) -> Result<(), String>,
) {
    let _turn = turn();
    let mut tries = Vec::new();
    for n in 0..4 {
        let store = tempfile::tempdir().unwrap();
        let (seed, limit) = ((seed + n).to_string(), format!("{}s", time_limit_s << n));
        let outcome = attempt(store.path(), &["--seed", &seed, "--time-limit", &limit]);
        assert_eq!(processes_of(store.path()), Vec::<i32>::new(), "nothing is left running");
        match outcome {
            Ok(()) => return,
            Err(why) => tries.push(format!("seed {seed}, {limit}: {why}")),
        }
    }
    panic!("{tries:#?}");
}

/// A correct cluster: never a violation, and sooner or later a verdict.
pub(crate) fn kept(seed: u64, time_limit_s: u64, args: &[&str], more: impl Fn(&Path, &Ran)) {
    patiently(seed, time_limit_s, |store, tried| {
        let ran = run(store, &[args, tried].concat());
        assert_eq!(ran.violations(), Vec::<&str>::new(), "{}\n{:#}", ran.said, ran.report);
        ran.ended_with(0)?;
        assert_eq!(ran.report["verdict"], "valid");
        assert_eq!(ran.report["coverage"]["final_read"], "completed");
        more(store, &ran);
        Ok(())
    });
}

/// A cluster with this bug is caught breaking this promise, or any where none is named.
pub(crate) fn caught(bug: &str, anomaly: Option<&str>, time_limit_s: u64, args: &[&str]) {
    patiently(1, time_limit_s, |store, tried| {
        let ran = run(store, &[args, &["--bug", bug], tried].concat());
        ran.ended_with(1)?;
        let found = ran.violations();
        if found.is_empty() || anomaly.is_some_and(|name| !found.contains(&name)) {
            return Err(format!("found only {found:?}"));
        }
        let history = std::fs::read_to_string(latest(store).join("history.jsonl")).unwrap();
        assert!(history.lines().next().unwrap().contains(bug), "the header names the bug");
        Ok(())
    });
}

/// The pids of all processes whose command line names this folder.
pub(crate) fn processes_of(store: &Path) -> Vec<i32> {
    let needle = store.to_str().unwrap().as_bytes();
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok()) else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if line.windows(needle.len()).any(|w| w == needle) {
            pids.push(pid);
        }
    }
    pids
}

/// The newest run directory of a store.
pub(crate) fn latest(store: &Path) -> PathBuf {
    std::fs::canonicalize(store.join("latest")).unwrap()
}
