//! The guard: a process that outlives its parent just long enough to kill what the parent started.
//!
//! A parent that is killed with SIGKILL cannot clean up. A node that reads its standard input
//! notices the end of it, but a server of somebody else's does not read it, and a stopped process
//! cannot notice anything. So one guard per cluster holds the other end of a pipe: when the pipe
//! ends without the word `done`, it sends SIGKILL to every process that it was told of and that
//! still is the same process (pid and start time). It leads its own process group, which Ctrl-C in
//! the terminal does not reach.
//!
//! Protocol, one line each on the guard's standard input: `watch <pid> <start time in ticks>`,
//! `forget <pid>`, `done`. The guard says `ready` on its standard output once it listens.

use crate::process::without_forks;
use crate::procfs::{ProcessIdentity, group_members};
use crate::signal::{self, Delivery, ProcessSignal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{BufRead, Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// What the guard says when it listens.
const READY: &str = "ready";
/// The longest line that the guard accepts.
const MAX_LINE_BYTES: u64 = 256;
/// The most processes that one guard watches.
const MAX_WATCHED: usize = 10_000;
/// How long a guard may take to start or to end on a busy machine.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// How often the guard looks whether a killed process is gone, and how often it repeats that.
const KILL_POLL: Duration = Duration::from_millis(20);
const KILL_POLLS: u32 = 100;

/// What a guard did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardReport {
    /// Whether the parent took leave with `done`. Then nothing was killed.
    pub done: bool,
    /// The processes that were killed.
    pub killed: Vec<ProcessIdentity>,
    /// Those among them that were still there 2 s later.
    pub survived: Vec<ProcessIdentity>,
    /// How many lines of input were not understood.
    pub bad_lines: u64,
}

/// The guard's main loop: reads commands from `input` until it ends, then kills what is left.
/// This is what a hidden subcommand of the parent's own binary runs, with standard input and
/// output. It blocks, and it survives a broken `output`.
#[must_use]
pub fn run(mut input: impl BufRead, mut output: impl Write) -> GuardReport {
    let mut report = GuardReport::default();
    let mut watched = BTreeMap::new();
    // A parent that is gone already is noticed by the end of the input.
    let _ = writeln!(output, "{READY}").and_then(|()| output.flush());
    let mut line = Vec::new();
    loop {
        line.clear();
        match input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        }
        match parse(&line) {
            Some(GuardLine::Watch(process)) if watched.len() < MAX_WATCHED => {
                watched.insert(process.pid, process);
            }
            Some(GuardLine::Forget(pid)) => {
                watched.remove(&pid);
            }
            Some(GuardLine::Done) => {
                report.done = true;
                return report;
            }
            Some(GuardLine::Watch(_)) | None => report.bad_lines += 1,
        }
    }
    report.killed = watched.into_values().filter(|process| kill_all_of(*process)).collect();
    report.survived = survivors(&report.killed);
    report
}

/// Kills a process with its group, and says whether there was anything to kill.
fn kill_all_of(process: ProcessIdentity) -> bool {
    if matches!(signal::send(process, ProcessSignal::Kill), Ok(Delivery::Sent)) {
        return true;
    }
    kill_group_remnants(process)
}

/// Kills what is left of the group that an ended `leader` led. While a group has members, the
/// kernel does not give its number to another process.
pub(crate) fn kill_group_remnants(leader: ProcessIdentity) -> bool {
    if ProcessIdentity::of(leader.pid).is_some_and(|now| now != leader) {
        return false;
    }
    let mut any = false;
    for member in group_members(leader.pid) {
        if member != leader && member.start_ticks >= leader.start_ticks {
            any |= matches!(signal::send(member, ProcessSignal::Kill), Ok(Delivery::Sent));
        }
    }
    any
}

fn survivors(killed: &[ProcessIdentity]) -> Vec<ProcessIdentity> {
    for _ in 0..KILL_POLLS {
        if !killed.iter().any(ProcessIdentity::is_alive) {
            return Vec::new();
        }
        std::thread::sleep(KILL_POLL);
    }
    killed.iter().copied().filter(ProcessIdentity::is_alive).collect()
}

#[derive(Debug, PartialEq, Eq)]
enum GuardLine {
    Watch(ProcessIdentity),
    Forget(u32),
    Done,
}

/// Only whole lines count: half a number at the end of a broken pipe could name another process.
fn parse(line: &[u8]) -> Option<GuardLine> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let words: Vec<&str> = text.split(' ').collect();
    match words.as_slice() {
        ["watch", pid, start] => {
            let (pid, start_ticks) = (pid.parse().ok()?, start.parse().ok()?);
            // Pids 0 and 1 are never ours.
            (pid > 1).then_some(GuardLine::Watch(ProcessIdentity { pid, start_ticks }))
        }
        ["forget", pid] => Some(GuardLine::Forget(pid.parse().ok()?)),
        ["done"] => Some(GuardLine::Done),
        _ => None,
    }
}

/// How to start a guard: a program that runs [`run`] on its standard input and output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardCommand {
    /// The program, usually the running binary itself.
    pub program: PathBuf,
    /// Its arguments, such as `guard`.
    pub args: Vec<String>,
}

/// The guard cannot do its duty.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// It could not be started.
    #[error("cannot start the guard process {program}: {source}")]
    Start {
        /// Its program.
        program: String,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// It did not say that it listens.
    #[error("the guard process {program} did not say `ready` but {said:?}")]
    NotReady {
        /// Its program.
        program: String,
        /// What it said instead, empty when nothing.
        said: String,
    },
    /// It does not take commands any more.
    #[error("the guard process takes no commands: {source}")]
    Gone {
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
}

/// A running guard. Dropping it without [`Guard::done`] makes it kill what it watches.
#[derive(Debug)]
pub struct Guard {
    stdin: tokio::sync::Mutex<Option<ChildStdin>>,
    child: tokio::sync::Mutex<Child>,
    identity: Option<ProcessIdentity>,
}

impl Guard {
    /// Starts a guard and waits until it listens.
    ///
    /// # Errors
    /// [`GuardError`] when it cannot be started or does not say `ready` in time.
    pub async fn start(command: &GuardCommand) -> Result<Self, GuardError> {
        let program = command.program.display().to_string();
        let mut guard = Command::new(&command.program);
        guard
            .args(&command.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        let mut child = without_forks(|| guard.spawn())
            .map_err(|source| GuardError::Start { program: program.clone(), source })?;
        let identity = child.id().and_then(ProcessIdentity::of);
        let stdin = child.stdin.take();
        let mut said = String::new();
        if let Some(stdout) = child.stdout.take() {
            let mut lines = BufReader::new(stdout).lines();
            if let Ok(Ok(Some(line))) = tokio::time::timeout(HANDSHAKE, lines.next_line()).await {
                said = line;
            }
        }
        if said != READY {
            let _ = child.start_kill();
            let _ = tokio::time::timeout(HANDSHAKE, child.wait()).await;
            return Err(GuardError::NotReady { program, said });
        }
        let (stdin, child) = (tokio::sync::Mutex::new(stdin), tokio::sync::Mutex::new(child));
        Ok(Self { stdin, child, identity })
    }

    /// The guard's own process.
    #[must_use]
    pub fn identity(&self) -> Option<ProcessIdentity> {
        self.identity
    }

    /// Has `process` killed if this process ends without [`Guard::done`]. Once this returns, the
    /// command is in the pipe, where it survives the end of this process.
    ///
    /// # Errors
    /// [`GuardError::Gone`] when the guard has ended.
    pub async fn watch(&self, process: ProcessIdentity) -> Result<(), GuardError> {
        self.write(&format!("watch {} {}\n", process.pid, process.start_ticks)).await
    }

    /// Takes back [`Guard::watch`], after the process has ended.
    ///
    /// # Errors
    /// [`GuardError::Gone`] when the guard has ended.
    pub async fn forget(&self, process: ProcessIdentity) -> Result<(), GuardError> {
        self.write(&format!("forget {}\n", process.pid)).await
    }

    /// Dismisses the guard: it ends and kills nothing. Can be repeated.
    pub async fn done(&self) {
        let _ = self.write("done\n").await;
        *self.stdin.lock().await = None;
        let mut child = self.child.lock().await;
        if tokio::time::timeout(HANDSHAKE, child.wait()).await.is_err() {
            tracing::warn!("the guard process does not end, it is killed");
            let _ = child.kill().await;
        }
    }

    async fn write(&self, line: &str) -> Result<(), GuardError> {
        let mut stdin = self.stdin.lock().await;
        let gone = |source| GuardError::Gone { source };
        let Some(pipe) = stdin.as_mut() else {
            return Err(gone(std::io::ErrorKind::BrokenPipe.into()));
        };
        // Far less than PIPE_BUF, so the line goes into the pipe as one piece.
        pipe.write_all(line.as_bytes()).await.map_err(gone)?;
        pipe.flush().await.map_err(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_and_exact_lines_are_commands() {
        let identity = ProcessIdentity { pid: 12, start_ticks: 99 };
        assert_eq!(parse(b"watch 12 99\n"), Some(GuardLine::Watch(identity)));
        assert_eq!(parse(b"forget 12\n"), Some(GuardLine::Forget(12)));
        assert_eq!(parse(b"done\n"), Some(GuardLine::Done));
        for bad in [
            &b"watch 12 9"[..],
            b"watch 12\n",
            b"watch 1 99\n",
            b"watch 0 99\n",
            b"watch -1 99\n",
            b"watch 12 99 1\n",
            b"done",
            b"\n",
            b"\xff\n",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn done_spares_everything_and_its_absence_kills_only_matching_processes() {
        let mut sleeper = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let identity = ProcessIdentity::of(sleeper.id()).unwrap();
        let watch = format!("watch {} {}\n", identity.pid, identity.start_ticks);

        let report = run(format!("{watch}done\n").as_bytes(), Vec::new());
        assert_eq!(report, GuardReport { done: true, ..GuardReport::default() });
        let report = run(format!("{watch}forget {}\n", identity.pid).as_bytes(), Vec::new());
        assert_eq!(report, GuardReport::default());
        let recycled = format!("watch {} {}\n", identity.pid, identity.start_ticks + 1);
        let report = run(recycled.as_bytes(), Vec::new());
        assert_eq!(report.killed, []);
        assert!(identity.is_alive());

        let mut said = Vec::new();
        let report = run(watch.as_bytes(), &mut said);
        assert_eq!(said, b"ready\n");
        assert_eq!((report.done, report.killed.as_slice()), (false, &[identity][..]));
        assert_eq!(report.survived, []);
        let status = sleeper.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }
}
