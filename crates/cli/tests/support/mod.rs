//! Runs the real binary against real processes, in a store of its own.
#![cfg_attr(test, allow(dead_code, reason = "each test binary uses its part"))]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Clusters compete for two cores, so the tests of one binary take turns.
static TURN: Mutex<()> = Mutex::new(());

pub(crate) fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_perjury"));
    command.stdin(Stdio::null()).env_remove("PERJURY_STORE").env_remove("PERJURY_LOG");
    command
}

pub(crate) fn perjury(args: &[&str]) -> Output {
    binary().args(args).output().unwrap()
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
