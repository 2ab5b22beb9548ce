//! The undo journal: what was done to this machine and not yet taken back.
//!
//! Each entry is appended before (a fault) or right after (a started process, whose pid is not
//! known before) it takes effect, and marked when it is taken back. After a crash [`replay`] takes
//! back the rest: it lets stopped processes go on and kills left-over ones, each only if pid, start
//! time and boot still match, and removes rules, mounts, files and namespaces, whose names no other
//! run shares. The journal is written but not forced to the disk: a crash of this
//! process keeps it in the page cache, and a crash of the machine ends every process in it anyway.

pub use crate::deed::Deed;
use crate::node::NodeId;
use crate::procfs::{ProcessIdentity, boot_id};
use crate::signal::{self, Delivery, ProcessSignal};
use crate::sync::locked;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The journal's name within a run directory.
pub const FILE_NAME: &str = "undo.jsonl";
/// A longer line is not one of ours.
const MAX_LINE_BYTES: u64 = 4096;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Entry(UndoEntry),
    Undone { undone: u64 },
}

/// Something that has to be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoEntry {
    /// Number of the entry within its journal, ascending from 1.
    pub seq: u64,
    /// The kernel's boot identifier: pids mean nothing after a reboot.
    pub boot: String,
    /// What was done.
    #[serde(flatten)]
    pub deed: Deed,
    /// The node it was done for; absent for what all nodes share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The process that did it and will take it back unless it dies.
    pub by: ProcessIdentity,
}

/// What became of an entry at a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The entry.
    pub entry: UndoEntry,
    /// What was done about it.
    pub outcome: UndoOutcome,
}

/// What was done about an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UndoOutcome {
    /// The process was stopped and goes on.
    Resumed,
    /// The process was killed.
    Killed,
    /// The thing that was made, mounted or set is gone.
    Removed,
    /// It had ended or was removed already, or the machine was restarted since.
    NothingLeft,
    /// The process that did it still runs and will take it back; the entry stays open.
    InUse,
    /// It could not be taken back; the entry stays open.
    Failed(String),
}

/// The journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("undo journal {}: {source}", path.display())]
pub struct UndoError {
    /// The journal.
    pub path: PathBuf,
    /// What the file system said.
    #[source]
    pub source: io::Error,
}

#[derive(Debug)]
struct Writer {
    file: File,
    next: u64,
}

/// A journal that is open for appending.
#[derive(Debug)]
pub struct UndoJournal {
    path: PathBuf,
    boot: String,
    by: ProcessIdentity,
    writer: Mutex<Writer>,
}

impl UndoJournal {
    /// Opens the journal at `path`, made when missing, to append to it.
    ///
    /// # Errors
    /// [`UndoError`] when it cannot be read or written.
    pub fn open(path: &Path) -> Result<Self, UndoError> {
        let failed = |source| UndoError { path: path.to_path_buf(), source };
        let text = read(path)?;
        let next = text.last + 1;
        let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
        if text.torn {
            // A line that a crash cut short must not swallow the next one.
            file.write_all(b"\n").map_err(failed)?;
        }
        let by = ProcessIdentity::of(std::process::id())
            .ok_or_else(|| failed(io::Error::other("/proc does not show this process")))?;
        let writer = Mutex::new(Writer { file, next });
        Ok(Self { path: path.to_path_buf(), boot: boot_id(), by, writer })
    }

    /// Writes down a deed and returns its number, for [`UndoJournal::undone`].
    ///
    /// # Errors
    /// [`UndoError`]; then the deed must not be done.
    pub fn record(&self, deed: Deed, node: Option<NodeId>) -> Result<u64, UndoError> {
        let mut writer = locked(&self.writer);
        let seq = writer.next;
        let (boot, by) = (self.boot.clone(), self.by);
        let entry = UndoEntry { seq, boot, deed, node, by };
        self.append(&mut writer.file, &Line::Entry(entry))?;
        writer.next += 1;
        Ok(seq)
    }

    /// Marks a deed as taken back.
    ///
    /// # Errors
    /// [`UndoError`]; a later replay then finds nothing left of it.
    pub fn undone(&self, seq: u64) -> Result<(), UndoError> {
        self.append(&mut locked(&self.writer).file, &Line::Undone { undone: seq })
    }

    fn append(&self, file: &mut File, line: &Line) -> Result<(), UndoError> {
        let failed = |source| UndoError { path: self.path.clone(), source };
        let mut bytes = serde_json::to_vec(line).map_err(|error| failed(error.into()))?;
        bytes.push(b'\n');
        file.write_all(&bytes).map_err(failed)
    }
}

struct Contents {
    open: Vec<UndoEntry>,
    last: u64,
    torn: bool,
}

fn read(path: &Path) -> Result<Contents, UndoError> {
    let failed = |source| UndoError { path: path.to_path_buf(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Contents { open: Vec::new(), last: 0, torn: false });
        }
        Err(error) => return Err(failed(error)),
    };
    let mut reader = BufReader::new(file);
    let (mut open, mut last, mut torn) = (BTreeMap::new(), 0, false);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        torn = line.last() != Some(&b'\n');
        match serde_json::from_slice(&line) {
            Ok(Line::Entry(entry)) => {
                last = last.max(entry.seq);
                open.insert(entry.seq, entry);
            }
            Ok(Line::Undone { undone }) => {
                open.remove(&undone);
            }
            Err(error) if line.trim_ascii().is_empty() => drop(error),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "line of the undo journal passed over");
            }
        }
    }
    Ok(Contents { open: open.into_values().collect(), last, torn })
}

/// The entries of the journal at `path` that were not taken back; none when there is no journal.
///
/// # Errors
/// [`UndoError`] when it cannot be read.
pub fn pending(path: &Path) -> Result<Vec<UndoEntry>, UndoError> {
    Ok(read(path)?.open)
}

/// Takes back what the journal at `path` has open: stopped processes go on, then left-over ones are
/// killed. Each entry is marked, so that a second replay finds nothing. What another process did that
/// still runs is left alone: that is a cluster in use.
///
/// # Errors
/// [`UndoError`] when the journal cannot be read or written.
pub fn replay(path: &Path) -> Result<Vec<Undone>, UndoError> {
    let mut open = pending(path)?;
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let journal = UndoJournal::open(path)?;
    open.sort_by(|a, b| (&a.deed, a.seq).cmp(&(&b.deed, b.seq)));
    let mut report = Vec::with_capacity(open.len());
    for entry in open {
        let outcome = take_back(&entry, &journal);
        if !matches!(outcome, UndoOutcome::Failed(_) | UndoOutcome::InUse) {
            journal.undone(entry.seq)?;
        }
        tracing::info!(deed = %entry.deed, ?outcome, "undone");
        report.push(Undone { entry, outcome });
    }
    Ok(report)
}

fn take_back(entry: &UndoEntry, journal: &UndoJournal) -> UndoOutcome {
    if entry.boot != journal.boot {
        return UndoOutcome::NothingLeft;
    }
    if entry.by != journal.by && entry.by.is_alive() {
        return UndoOutcome::InUse;
    }
    let (process, signal, done) = match &entry.deed {
        Deed::Stopped { process } => (*process, ProcessSignal::Continue, UndoOutcome::Resumed),
        Deed::Started { process } => (*process, ProcessSignal::Kill, UndoOutcome::Killed),
        thing => {
            return match thing.take_back_thing() {
                Ok(true) => UndoOutcome::Removed,
                Ok(false) => UndoOutcome::NothingLeft,
                Err(error) => UndoOutcome::Failed(error),
            };
        }
    };
    match signal::send(process, signal) {
        Ok(Delivery::Sent) => done,
        Ok(Delivery::Gone) => {
            let left = done == UndoOutcome::Killed && crate::guard::kill_group_remnants(process);
            if left { done } else { UndoOutcome::NothingLeft }
        }
        Err(error) => UndoOutcome::Failed(error.to_string()),
    }
}

/// Replays the journal of every run in a store: `<store>/<name>/<time>/undo.jsonl`. A journal that
/// cannot be read is passed over with a warning, since it may be of a run that is being removed.
/// Gives what was done, with the run's folder, for each journal that had something open.
#[must_use]
pub fn replay_store(store: &Path) -> Vec<(PathBuf, Vec<Undone>)> {
    let folders = |dir: &Path| {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect();
        found.sort();
        found
    };
    let mut all = Vec::new();
    for run in folders(store).iter().flat_map(|name| folders(name)) {
        match replay(&run.join(FILE_NAME)) {
            Ok(undone) if undone.is_empty() => {}
            Ok(undone) => all.push((run, undone)),
            Err(error) => tracing::warn!(%error, "what a run left behind is not known"),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    /// A sleeping child that is killed and reaped at the end of its test.
    struct Sleeper(Child);

    impl Sleeper {
        fn start() -> (Self, ProcessIdentity) {
            let child = Command::new("sleep").arg("600").spawn().unwrap();
            let identity = ProcessIdentity::of(child.id()).unwrap();
            (Self(child), identity)
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn replay_takes_back_exactly_what_is_open_and_only_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let (mut stopped_child, stopped) = Sleeper::start();
        let (_kept, kept) = Sleeper::start();
        let journal = UndoJournal::open(&path).unwrap();
        journal.record(Deed::Started { process: stopped }, Some(NodeId(1))).unwrap();
        let done = journal.record(Deed::Started { process: kept }, Some(NodeId(2))).unwrap();
        journal.record(Deed::Stopped { process: stopped }, Some(NodeId(1))).unwrap();
        signal::send(stopped, ProcessSignal::Stop).unwrap();
        journal.undone(done).unwrap();
        let recycled = ProcessIdentity { start_ticks: kept.start_ticks + 1, ..kept };
        journal.record(Deed::Started { process: recycled }, Some(NodeId(3))).unwrap();
        drop(journal);

        assert_eq!(pending(&path).unwrap().len(), 3);
        let outcomes: Vec<_> = replay(&path)
            .unwrap()
            .into_iter()
            .map(|undone| (undone.entry.node.unwrap().0, undone.outcome))
            .collect();
        assert_eq!(
            outcomes,
            [(1, UndoOutcome::Resumed), (1, UndoOutcome::Killed), (3, UndoOutcome::NothingLeft)]
        );
        assert!(!stopped_child.0.wait().unwrap().success());
        assert!(kept.is_alive());
        assert_eq!(replay(&path).unwrap(), []);
    }

    #[test]
    fn another_boot_and_torn_lines_harm_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let (_child, process) = Sleeper::start();
        let entry = |boot: &str| UndoEntry {
            seq: 1,
            boot: boot.into(),
            deed: Deed::Started { process },
            node: Some(NodeId(1)),
            by: process,
        };
        let whole = serde_json::to_string(&Line::Entry(entry("another"))).unwrap();
        std::fs::write(&path, format!("{whole}\nnonsense\n{}", &whole[..20])).unwrap();
        let report = replay(&path).unwrap();
        assert_eq!(report.len(), 1);
        assert_eq!(report[0].outcome, UndoOutcome::NothingLeft);
        assert!(process.is_alive());
        let journal = UndoJournal::open(&path).unwrap();
        assert_eq!(journal.record(Deed::Stopped { process }, Some(NodeId(1))).unwrap(), 2);
        assert_eq!(pending(&path).unwrap().len(), 1);
    }

    #[test]
    fn what_a_running_process_did_is_its_own_business() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let (_node, process) = Sleeper::start();
        let (owner, by) = Sleeper::start();
        let boot = boot_id();
        let deed = Deed::Started { process };
        let entry = UndoEntry { seq: 1, boot, deed, node: Some(NodeId(1)), by };
        let line = serde_json::to_string(&Line::Entry(entry)).unwrap();
        std::fs::write(&path, line + "\n").unwrap();
        assert_eq!(replay(&path).unwrap()[0].outcome, UndoOutcome::InUse);
        assert!(process.is_alive());
        drop(owner);
        assert_eq!(replay(&path).unwrap()[0].outcome, UndoOutcome::Killed);
        assert_eq!(pending(&path).unwrap(), []);
    }

    #[test]
    fn no_journal_means_nothing_to_undo() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(replay(&dir.path().join(FILE_NAME)).unwrap(), []);
        assert!(!dir.path().join(FILE_NAME).exists());
    }
}
