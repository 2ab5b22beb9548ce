//! Who makes a run: a child process, so that a client library that crashes, or memory that runs out, ends one run and not
//! the service.

use async_trait::async_trait;
use perjury_store::RunDir;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

/// How long a run may take to end its cluster and check what it recorded once it was told to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(90);
/// How many of its last lines are kept to say why it failed.
const LINES_KEPT: usize = 20;

/// Makes one run in a directory that holds its `plan.json`.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Makes the run and returns when nothing of it is left running. When `stop` is cancelled the run ends early. What
    /// the run came to is in its directory; an error says why there may be nothing.
    ///
    /// # Errors
    /// A sentence for people.
    async fn execute(&self, dir: &RunDir, stop: &CancellationToken) -> Result<(), String>;
}

/// Runs `perjury run` as a child. The child ends itself when its standard input is closed, so that none is left when
/// this process dies, however it dies.
#[derive(Debug, Clone)]
pub struct ProcessExecutor {
    /// The program, usually this one.
    pub program: PathBuf,
    /// The folder that holds the runs.
    pub store: PathBuf,
}

#[async_trait]
impl Executor for ProcessExecutor {
    async fn execute(&self, dir: &RunDir, stop: &CancellationToken) -> Result<(), String> {
        let mut child = Command::new(&self.program)
            .args(["run", "--until-stdin-closes", "--output", "json"])
            .arg("--store")
            .arg(&self.store)
            .arg("--plan")
            .arg(dir.plan_path())
            .arg("--into")
            .arg(dir.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A Ctrl-C at the terminal of the service is the service's to pass on.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("cannot start {}: {e}", self.program.display()))?;
        let lines =
            child.stderr.take().map(|stderr| tokio::spawn(last_lines(BufReader::new(stderr))));
        // Waiting would close it, and its end tells the run that this service is gone.
        let lifeline = child.stdin.take();
        let ended_by_itself = tokio::select! {
            status = child.wait() => Some(status),
            () = stop.cancelled() => None,
        };
        drop(lifeline);
        let status = match ended_by_itself {
            Some(status) => status,
            None => ended(&mut child).await,
        };
        let status = status.map_err(|e| format!("cannot wait for the run: {e}"))?;
        let said = match lines {
            Some(lines) => lines.await.unwrap_or_default(),
            None => VecDeque::new(),
        };
        // 0, 1 and 2 are verdicts; anything else is a run that failed.
        match status.code() {
            Some(0..=2) => Ok(()),
            Some(code) => {
                let said: Vec<String> = said.into();
                Err(format!("perjury run ended with code {code}: {}", said.join(" | ")))
            }
            None => Err(format!("perjury run was ended by a signal ({status})")),
        }
    }
}

/// Waits for a child whose standard input is closed; one that does not end is killed, and its guard ends its cluster.
async fn ended(child: &mut Child) -> std::io::Result<std::process::ExitStatus> {
    match tokio::time::timeout(STOP_TIME_MAX, child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            child.start_kill()?;
            child.wait().await
        }
    }
}

async fn last_lines(reader: impl tokio::io::AsyncBufRead + Unpin) -> VecDeque<String> {
    let mut lines = reader.lines();
    let mut kept = VecDeque::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if kept.len() == LINES_KEPT {
            kept.pop_front();
        }
        kept.push_back(line.chars().take(500).collect());
    }
    kept
}
