//! Process identity and state from `/proc/<pid>/stat`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// The fields of `/proc/<pid>/stat` that this crate uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcStat {
    /// Process id (field 1).
    pub pid: u32,
    /// Name of the executable, cut at 15 bytes by the kernel (field 2). It may hold any byte,
    /// spaces and parentheses included.
    pub comm: String,
    /// State letter (field 3): `R`, `S`, `D`, `T` stopped, `Z` zombie, `X` dead.
    pub state: char,
    /// Process id of the parent (field 4).
    pub parent: u32,
    /// Process group (field 5).
    pub group: u32,
    /// Start time in clock ticks since boot (field 22).
    pub start_ticks: u64,
}

/// Parses one line of `/proc/<pid>/stat`; `None` when it does not have that form.
///
/// The name stands between the first `(` and the *last* `)`, since it may itself hold both.
#[must_use]
pub fn parse_stat(text: &str) -> Option<ProcStat> {
    let open = text.find('(')?;
    let close = text.rfind(')')?;
    let pid = text.get(..open)?.trim().parse().ok()?;
    let comm = text.get(open + 1..close)?.to_owned();
    let mut rest = text.get(close + 1..)?.split_ascii_whitespace();
    let state = rest.next()?.chars().next()?;
    let parent = rest.next()?.parse().ok()?;
    let group = rest.next()?.parse().ok()?;
    // Fields 6 to 21 lie between the process group and the start time.
    let start_ticks = rest.nth(16)?.parse().ok()?;
    Some(ProcStat { pid, comm, state, parent, group, start_ticks })
}

/// Reads the stat line of a process; `Ok(None)` when there is no such process.
///
/// # Errors
/// Any other I/O error, and `InvalidData` when the line cannot be parsed.
pub fn read_stat(pid: u32) -> io::Result<Option<ProcStat>> {
    let bytes = match std::fs::read(format!("/proc/{pid}/stat")) {
        Ok(bytes) => bytes,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&bytes);
    parse_stat(&text)
        .map(Some)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unreadable /proc stat line"))
}

/// A process may vanish between opening and reading its file; the kernel then says ESRCH.
fn is_gone(error: &io::Error) -> bool {
    const ESRCH: i32 = 3;
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH)
}

/// The identifier that the kernel drew at boot, or an empty text where it cannot be read. Process
/// identities are comparable within one boot only.
#[must_use]
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// A process that cannot be mistaken for a later one with a recycled pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot, field 22 of `/proc/<pid>/stat`.
    pub start_ticks: u64,
}

impl fmt::Display for ProcessIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} (start time {})", self.pid, self.start_ticks)
    }
}

impl ProcessIdentity {
    /// The identity of the process that has `pid` now, zombies included; `None` when there is none.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = read_stat(pid).ok().flatten()?;
        Some(Self { pid, start_ticks: stat.start_ticks })
    }

    /// The stat line if this very process still exists, zombies included.
    #[must_use]
    pub fn stat(&self) -> Option<ProcStat> {
        read_stat(self.pid).ok().flatten().filter(|stat| stat.start_ticks == self.start_ticks)
    }

    /// Whether this very process still runs or is stopped. A zombie has ended.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.stat().is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
    }

    /// Whether every thread of this process is stopped (state `T`). The state of a process's main
    /// thread alone does not prove that its other threads stand still.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        if self.stat().is_none_or(|stat| stat.state != 'T') {
            return false;
        }
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{}/task", self.pid)) else {
            return false;
        };
        tasks.flatten().all(|task| {
            // A thread that has just ended stands still too.
            std::fs::read(task.path().join("stat")).map_or(true, |bytes| {
                parse_stat(&String::from_utf8_lossy(&bytes)).is_some_and(|stat| stat.state == 'T')
            })
        })
    }
}

/// The processes that belong to process group `group` now, ordered by pid.
#[must_use]
pub fn group_members(group: u32) -> Vec<ProcessIdentity> {
    let mut members: Vec<_> = all_pids()
        .into_iter()
        .filter_map(|pid| read_stat(pid).ok().flatten())
        .filter(|stat| stat.group == group)
        .map(|stat| ProcessIdentity { pid: stat.pid, start_ticks: stat.start_ticks })
        .collect();
    members.sort_unstable();
    members
}

/// Every pid that `/proc` lists, in no particular order.
pub(super) fn all_pids() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitInfo {
    /// Exit code, when the process ended by itself.
    pub code: Option<i32>,
    /// Signal number, when a signal ended it.
    pub signal: Option<i32>,
    /// When this was noticed, in nanoseconds on the run's clock.
    pub at_ns: u64,
}

impl ExitInfo {
    /// From what wait(2) said.
    #[must_use]
    pub fn from_status(status: ExitStatus, at_ns: u64) -> Self {
        Self { code: status.code(), signal: status.signal(), at_ns }
    }
}

impl fmt::Display for ExitInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => write!(f, "ended by signal {signal}"),
            (None, None) => f.write_str("ended, status unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(comm: &str) -> String {
        format!(
            "4242 ({comm}) T 1 4242 4240 0 -1 4194304 103 0 0 0 1 2 3 4 20 0 7 0 987654321 10 20 30"
        )
    }

    #[test]
    fn a_plain_stat_line_is_read() {
        let stat = parse_stat(&line("java")).unwrap();
        let expected = ProcStat {
            pid: 4242,
            comm: "java".into(),
            state: 'T',
            parent: 1,
            group: 4242,
            start_ticks: 987_654_321,
        };
        assert_eq!(stat, expected);
    }

    #[test]
    fn names_with_spaces_and_parentheses_do_not_shift_the_fields() {
        for comm in ["a b", "(sd-pam)", "x) R 1 2 3", ") (", "", "tmux: server", "a\nb)"] {
            let stat = parse_stat(&line(comm)).unwrap();
            assert_eq!(stat.comm, comm);
            assert_eq!((stat.state, stat.parent, stat.start_ticks), ('T', 1, 987_654_321));
        }
    }

    #[test]
    fn what_is_no_stat_line_is_refused() {
        for text in ["", "12", "12 (x", "12 (x) S 1", "x (y) S 1 2 3", ") 12 ("] {
            assert_eq!(parse_stat(text), None, "{text:?}");
        }
    }

    #[test]
    fn this_process_has_an_identity_and_a_wrong_start_time_is_another_process() {
        let own = ProcessIdentity::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        assert!(!own.is_stopped());
        let other = ProcessIdentity { start_ticks: own.start_ticks + 1, ..own };
        assert!(!other.is_alive());
        assert_eq!(other.stat(), None);
    }

    #[test]
    fn there_is_no_process_with_an_impossible_pid() {
        assert_eq!(ProcessIdentity::of(u32::MAX), None);
        assert!(read_stat(u32::MAX).unwrap().is_none());
    }

    #[test]
    fn exits_are_told_apart_by_code_and_signal() {
        let code = ExitInfo::from_status(ExitStatus::from_raw(3 << 8), 7);
        assert_eq!(code, ExitInfo { code: Some(3), signal: None, at_ns: 7 });
        assert_eq!(code.to_string(), "exit code 3");
        let killed = ExitInfo::from_status(ExitStatus::from_raw(9), 8);
        assert_eq!(killed.to_string(), "ended by signal 9");
    }
}
