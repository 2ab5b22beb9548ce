//! One child process: started in its own process group, its output captured, its end noticed.

use crate::clock::Clock;
use crate::events::ClusterEventKind;
use crate::guard::kill_group_remnants;
use crate::logs::{LogCapture, LogStream};
use crate::procfs::{ExitInfo, ProcessIdentity};
use crate::signal::{self, ProcessSignal};
use crate::sync::locked;
use std::collections::BTreeMap;
use std::fs::File;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long the rest of an ended process's output is waited for. Only a process that left its group
/// can hold the pipes longer.
const DRAIN: Duration = Duration::from_millis(200);

/// Held while a child is made, and while ports are tried out. Between fork and exec a child has a copy
/// of every descriptor of this process, so a port that was bound here at that moment stays taken until
/// that child runs its program, which on a busy machine can be later than another node's own bind.
static FORKING: Mutex<()> = Mutex::new(());

/// Runs `f` while this crate makes no child process.
pub(crate) fn without_forks<T>(f: impl FnOnce() -> T) -> T {
    let _turn = locked(&FORKING);
    f()
}

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessSpec {
    /// The program. Without a slash it is looked for in `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Environment variables to set beside the inherited ones.
    pub env: BTreeMap<String, String>,
    /// Working directory; this process's own when absent.
    pub current_dir: Option<PathBuf>,
}

/// A process could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {}: {source}", program.display())]
pub struct SpawnError {
    /// The program.
    pub program: PathBuf,
    /// What the kernel or the file system said.
    #[source]
    pub source: std::io::Error,
}

/// What runs once a process has ended, before its end is made known.
pub(crate) type OnExit =
    Box<dyn FnOnce(ExitInfo) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A process that was started and is not supervised yet. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Spawned {
    identity: ProcessIdentity,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<(ChildStdout, File)>,
    stderr: Option<(ChildStderr, File)>,
}

impl Spawned {
    pub(crate) fn start(spec: &ProcessSpec, capture: &LogCapture) -> Result<Self, SpawnError> {
        let failed = |source| SpawnError { program: spec.program.clone(), source };
        let stdout_file = capture.open(LogStream::Stdout).map_err(failed)?;
        let stderr_file = capture.open(LogStream::Stderr).map_err(failed)?;
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.args)
            .envs(&spec.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(dir) = &spec.current_dir {
            command.current_dir(dir);
        }
        // Spawning returns once the child runs its program.
        let mut child = without_forks(|| command.spawn()).map_err(failed)?;
        // The child is not reaped before it is waited for, so its pid cannot be another's yet.
        let identity = child.id().and_then(ProcessIdentity::of).ok_or_else(|| {
            failed(std::io::Error::other("/proc does not show the process that was just started"))
        })?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map(|pipe| (pipe, stdout_file));
        let stderr = child.stderr.take().map(|pipe| (pipe, stderr_file));
        Ok(Self { identity, child, stdin, stdout, stderr })
    }

    pub(crate) fn identity(&self) -> ProcessIdentity {
        self.identity
    }

    /// Captures the output and waits for the end in the background.
    pub(crate) fn supervise(
        mut self,
        capture: &LogCapture,
        clock: Clock,
        on_exit: OnExit,
    ) -> ManagedProcess {
        let mut pumps = JoinSet::new();
        if let Some((pipe, file)) = self.stdout.take() {
            pumps.spawn(capture.clone().pump(LogStream::Stdout, pipe, file));
        }
        if let Some((pipe, file)) = self.stderr.take() {
            pumps.spawn(capture.clone().pump(LogStream::Stderr, pipe, file));
        }
        let (sender, exit) = watch::channel(None);
        let (identity, mut child, capture) = (self.identity, self.child, capture.clone());
        tokio::spawn(async move {
            let status = child.wait().await;
            let at_ns = clock.now_ns();
            kill_group_remnants(identity);
            let drained = async { while pumps.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(DRAIN, drained).await;
            let info = match status {
                Ok(status) => ExitInfo::from_status(status, at_ns),
                Err(error) => {
                    tracing::error!(process = %identity, %error, "cannot wait for a process");
                    ExitInfo { code: None, signal: None, at_ns }
                }
            };
            on_exit(info).await;
            // Under the lock of the value, so that whoever sees one of the two finds the other.
            sender.send_modify(|exit| {
                *exit = Some(info);
                capture.announce(ClusterEventKind::NodeDown { process: identity, exit: info });
            });
        });
        ManagedProcess { identity, exit, _stdin: self.stdin }
    }
}

/// A supervised child process. Its standard input stays open until this is dropped, and dropping it
/// kills the process with its group.
#[derive(Debug)]
pub struct ManagedProcess {
    identity: ProcessIdentity,
    exit: watch::Receiver<Option<ExitInfo>>,
    _stdin: Option<ChildStdin>,
}

impl ManagedProcess {
    /// Which process this is.
    #[must_use]
    pub fn identity(&self) -> ProcessIdentity {
        self.identity
    }

    /// How it ended; `None` while it runs.
    #[must_use]
    pub fn exit(&self) -> Option<ExitInfo> {
        *self.exit.borrow()
    }

    /// Waits for its end, at most `bound`; `None` when it still runs then. Once this returns, all of
    /// its output has been captured.
    pub async fn wait(&self, bound: Duration) -> Option<ExitInfo> {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some);
        match tokio::time::timeout(bound, ended).await {
            Ok(Ok(info)) => *info,
            Ok(Err(_)) | Err(_) => self.exit(),
        }
    }
}

impl Drop for ManagedProcess {
    fn drop(&mut self) {
        if self.exit().is_none()
            && let Err(error) = signal::send(self.identity, ProcessSignal::Kill)
        {
            tracing::error!(%error, "a process may be left over");
        }
    }
}
