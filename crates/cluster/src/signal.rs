//! Sending signals to processes that are known by pid *and* start time, never by name.

use crate::procfs::ProcessIdentity;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// The signals that this crate sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessSignal {
    /// SIGTERM: end in order.
    Terminate,
    /// SIGKILL: end at once, as a crash does.
    Kill,
    /// SIGSTOP: stand still, keeping memory and sockets.
    Stop,
    /// SIGCONT: go on.
    Continue,
}

impl ProcessSignal {
    fn as_nix(self) -> Signal {
        match self {
            Self::Terminate => Signal::SIGTERM,
            Self::Kill => Signal::SIGKILL,
            Self::Stop => Signal::SIGSTOP,
            Self::Continue => Signal::SIGCONT,
        }
    }
}

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It went to the process and, if that leads a process group, to the whole group.
    Sent,
    /// There is no such process any more; nothing was sent.
    Gone,
}

/// The kernel refused a signal.
#[derive(Debug, thiserror::Error)]
#[error("cannot send {signal:?} to {process}: {source}")]
pub struct SignalError {
    /// The signal.
    pub signal: ProcessSignal,
    /// The process it was meant for.
    pub process: ProcessIdentity,
    /// The kernel's reason.
    #[source]
    pub source: std::io::Error,
}

/// Sends `signal` to `process` if that very process still exists. A process that leads its own
/// process group, as all that this crate starts do, gets it together with its group, so that a
/// wrapper script cannot leave its server behind.
///
/// # Errors
/// [`SignalError`] when the kernel refuses, such as for a process of another user.
pub fn send(process: ProcessIdentity, signal: ProcessSignal) -> Result<Delivery, SignalError> {
    let Some(stat) = process.stat().filter(|stat| !matches!(stat.state, 'Z' | 'X')) else {
        return Ok(Delivery::Gone);
    };
    let refused = |errno: Errno| SignalError { signal, process, source: errno.into() };
    let pid = Pid::from_raw(i32::try_from(process.pid).map_err(|_| refused(Errno::ESRCH))?);
    let sent = if stat.group == process.pid {
        killpg(pid, signal.as_nix())
    } else {
        kill(pid, signal.as_nix())
    };
    match sent {
        Ok(()) => Ok(Delivery::Sent),
        Err(Errno::ESRCH) => Ok(Delivery::Gone),
        Err(errno) => Err(refused(errno)),
    }
}
