//! Who writes into a run directory, and how it ended.

use chrono::{DateTime, Utc};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// What the writer of a run last said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriterState {
    /// It is at work, if its process still lives.
    Running,
    /// It finished what it had planned.
    Complete,
    /// It was stopped before that.
    Interrupted,
}

/// `status.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusFile {
    /// How far the writer came.
    pub status: WriterState,
    /// The writer's process.
    pub pid: u32,
    /// The writer's start in clock ticks since boot, as in `/proc/<pid>/stat`: tells it from a later process that was
    /// given the same number. Absent where there is no `/proc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_start: Option<u64>,
    /// Wall-clock start of the run.
    pub started: DateTime<Utc>,
    /// Wall-clock end of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<DateTime<Utc>>,
    /// Why it was interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl StatusFile {
    /// A run that this process begins to write.
    pub fn running(started: DateTime<Utc>) -> StatusFile {
        let pid = std::process::id();
        StatusFile {
            status: WriterState::Running,
            pid,
            pid_start: proc_stat(pid).map(|s| s.start),
            started,
            finished: None,
            reason: None,
        }
    }

    /// Whether it says that it is at work, and its process lives.
    pub fn is_at_work(&self) -> bool {
        self.status == WriterState::Running && self.writer_lives()
    }

    /// Whether the process that wrote this is still alive: the same number *and* the same start, and not a zombie.
    pub fn writer_lives(&self) -> bool {
        let Ok(raw) = i32::try_from(self.pid) else { return false };
        // 0 and negative numbers address process groups, never a writer.
        if raw <= 0 || kill(Pid::from_raw(raw), None) == Err(Errno::ESRCH) {
            return false;
        }
        match (proc_stat(self.pid), self.pid_start) {
            (Some(stat), Some(start)) => stat.start == start && stat.state != 'Z',
            (Some(stat), None) => stat.state != 'Z',
            (None, _) => true,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct ProcStat {
    state: char,
    start: u64,
}

fn proc_stat(pid: u32) -> Option<ProcStat> {
    parse_proc_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads state (field 3) and start (field 22) of proc(5)'s `stat`. The command in field 2 may hold spaces and
/// parentheses, so the fields are counted from its last closing one.
fn parse_proc_stat(text: &str) -> Option<ProcStat> {
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let start = fields.nth(18)?.parse().ok()?;
    Some(ProcStat { state, start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_command_names_do_not_shift_the_fields() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        let stat = parse_proc_stat(&format!("17 (a) b (c) {tail}"));
        assert_eq!(stat, Some(ProcStat { state: 'S', start: 4242 }));
        assert_eq!(parse_proc_stat("17 (cut"), None);
    }

    #[test]
    fn this_process_lives_and_an_impostor_does_not() {
        let own = StatusFile::running(Utc::now());
        assert!(own.writer_lives());
        let reused = StatusFile { pid_start: own.pid_start.map(|s| s + 1), ..own.clone() };
        assert!(!reused.writer_lives() || own.pid_start.is_none());
        assert!(!StatusFile { pid: 0, ..own.clone() }.writer_lives());
        assert!(!StatusFile { pid: u32::MAX, ..own }.writer_lives());
    }

    #[test]
    fn a_child_that_ended_does_not_live() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        let gone = StatusFile { pid, pid_start: Some(0), ..StatusFile::running(Utc::now()) };
        assert!(!gone.writer_lives());
    }
}
