//! Raft's vote and log on disk: one journal, replayed at start.
//!
//! Every change is one line, `crc32c(json) json`, written and `fdatasync`ed before openraft hears of
//! it. Metadata traffic is a few lines a second at most, so one file is enough. A torn last line is
//! cut off at start; it was never confirmed to anyone. When the journal outgrew what it holds, it is
//! rewritten beside the old one and renamed over it.
//!
//! The file is filled with zeros ahead of the lines: overwriting them changes neither the size nor
//! the extents of the file, so `fdatasync` waits for one block and not for a commit of the file
//! system's own journal, which on a busy disk takes long enough to cost an election.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::RangeBounds;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogId, RaftLogReader, StorageIOError};
use serde::{Deserialize, Serialize};

use super::raft::{Entry, LogId, NodeId, StorageError, TypeConfig, Vote};

/// Rewriting starts when the file holds this many lines more than there are live entries.
const REWRITE_SLACK: usize = 4_096;

/// Zeros are written ahead in steps of this many bytes.
const FILL_BYTES: usize = 256 * 1024;

/// One line of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Vote(Vote),
    Committed(Option<LogId>),
    Append(Entry),
    /// Removes entries from this index on.
    Truncate(u64),
    /// Removes entries up to and including this one.
    Purge(LogId),
}

/// What the lines amount to.
#[derive(Debug, Default)]
struct Memory {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    entries: BTreeMap<u64, Entry>,
}

/// The file, with how much of it is lines and how much is filled.
#[derive(Debug)]
struct Disk {
    path: PathBuf,
    file: File,
    lines: usize,
    end: u64,
    filled: u64,
}

/// The Raft log storage; clones share one journal. The disk's lock is held while waiting for the
/// disk, the memory's lock never, so that readers are not held up by a sync.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    disk: Arc<Mutex<Disk>>,
    memory: Arc<Mutex<Memory>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Journal {
    /// Opens or creates the journal in a directory and replays it.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let path = dir.join("raft.journal");
        let file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
        let mut memory = Memory::default();
        let disk = Disk::replay(path, file, &mut memory)?;
        crate::log::sync_dir(dir)?;
        Ok(Self { disk: Arc::new(Mutex::new(disk)), memory: Arc::new(Mutex::new(memory)) })
    }

    /// Writes lines on a thread that may block; they count in memory when they are on disk.
    async fn write(&self, lines: Vec<Line>, sync: bool) -> io::Result<()> {
        let journal = self.clone();
        tokio::task::spawn_blocking(move || journal.write_now(lines, sync))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    fn write_now(&self, lines: Vec<Line>, sync: bool) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        disk.append(&lines, sync)?;
        let mut memory = lock(&self.memory);
        for line in lines {
            memory.remember(line);
        }
        if disk.lines > memory.entries.len() + REWRITE_SLACK {
            let lines = memory.lines();
            drop(memory);
            disk.rewrite(&lines)?;
        }
        Ok(())
    }
}

impl Memory {
    fn remember(&mut self, line: Line) {
        match line {
            Line::Vote(vote) => self.vote = Some(vote),
            Line::Committed(committed) => self.committed = committed,
            Line::Append(entry) => {
                self.entries.insert(entry.get_log_id().index, entry);
            }
            Line::Truncate(from) => {
                self.entries.split_off(&from);
            }
            Line::Purge(upto) => {
                self.entries = self.entries.split_off(&(upto.index + 1));
                self.purged = Some(upto);
            }
        }
    }

    /// The fewest lines that amount to the same.
    fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        lines.extend(self.vote.map(Line::Vote));
        lines.extend(self.purged.map(Line::Purge));
        lines.extend(self.entries.values().cloned().map(Line::Append));
        lines.push(Line::Committed(self.committed));
        lines
    }
}

impl Disk {
    fn replay(path: PathBuf, file: File, memory: &mut Memory) -> io::Result<Self> {
        let bytes = fs::read(&path)?;
        let mut disk = Self { path, file, lines: 0, end: 0, filled: bytes.len() as u64 };
        for raw in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = parse(raw) else { break };
            memory.remember(line);
            disk.lines += 1;
            disk.end += raw.len() as u64;
        }
        let torn = bytes.iter().skip(usize::try_from(disk.end).unwrap_or(usize::MAX));
        if torn.clone().any(|byte| *byte != 0) {
            tracing::warn!(path = %disk.path.display(), "raft journal had a torn tail");
            disk.file.set_len(disk.end)?;
            disk.filled = disk.end;
            disk.file.sync_all()?;
        }
        Ok(disk)
    }

    fn append(&mut self, lines: &[Line], sync: bool) -> io::Result<()> {
        let mut bytes = Vec::new();
        for line in lines {
            render(line, &mut bytes)?;
        }
        let end = self.end + bytes.len() as u64;
        if end > self.filled {
            let zeros = vec![0; bytes.len() + FILL_BYTES];
            self.file.write_all_at(&zeros, self.end)?;
            self.file.sync_all()?;
            self.filled = self.end + zeros.len() as u64;
        }
        self.file.write_all_at(&bytes, self.end)?;
        if sync {
            crate::log::sync_data(&self.file, "raft journal")?;
        }
        self.end = end;
        self.lines += lines.len();
        Ok(())
    }

    fn rewrite(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for line in lines {
            render(line, &mut bytes)?;
        }
        crate::log::replace_file(&self.path, &bytes)?;
        self.file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        self.lines = lines.len();
        self.end = bytes.len() as u64;
        self.filled = self.end;
        Ok(())
    }
}

fn render(line: &Line, bytes: &mut Vec<u8>) -> io::Result<()> {
    let json = serde_json::to_vec(line)?;
    bytes.extend_from_slice(format!("{:08x} ", crc32c::crc32c(&json)).as_bytes());
    bytes.extend_from_slice(&json);
    bytes.push(b'\n');
    Ok(())
}

fn parse(raw: &[u8]) -> Option<Line> {
    let line = raw.strip_suffix(b"\n")?;
    let (crc, json) = line.split_at_checked(9)?;
    let crc = u32::from_str_radix(std::str::from_utf8(crc).ok()?.trim_end(), 16).ok()?;
    (crc32c::crc32c(json) == crc).then(|| serde_json::from_slice(json).ok())?
}

impl RaftLogReader<TypeConfig> for Journal {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        Ok(lock(&self.memory).entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<TypeConfig> for Journal {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let inner = lock(&self.memory);
        let last = inner.entries.values().next_back().map(|entry| *entry.get_log_id());
        let last_purged_log_id = inner.purged;
        Ok(LogState { last_purged_log_id, last_log_id: last.or(last_purged_log_id) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.write(vec![Line::Vote(*vote)], true)
            .await
            .map_err(|error| StorageIOError::<NodeId>::write_vote(&error).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(lock(&self.memory).vote)
    }

    /// Written without an fsync: losing it only delays when a restarted node applies its log.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.write(vec![Line::Committed(committed)], false)
            .await
            .map_err(|error| StorageIOError::<NodeId>::write_logs(&error).into())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        let inner = lock(&self.memory);
        // The line about the commit may have outlived unsynced entries that it names.
        let last = inner.entries.keys().next_back().copied().or(inner.purged.map(|id| id.index));
        Ok(inner.committed.filter(|committed| Some(committed.index) <= last))
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let lines = entries.into_iter().map(Line::Append).collect();
        let result = self.write(lines, true).await;
        let failed = result.as_ref().err().map(StorageIOError::<NodeId>::write_logs);
        callback.log_io_completed(result);
        match failed {
            None => Ok(()),
            Some(error) => Err(error.into()),
        }
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.write(vec![Line::Truncate(log_id.index)], true)
            .await
            .map_err(|error| StorageIOError::<NodeId>::write_logs(&error).into())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.write(vec![Line::Purge(log_id)], true)
            .await
            .map_err(|error| StorageIOError::<NodeId>::write_logs(&error).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openraft::{CommittedLeaderId, EntryPayload};

    fn entry(index: u64) -> Entry {
        let log_id = LogId::new(CommittedLeaderId::new(1, 1), index);
        Entry { log_id, payload: EntryPayload::Blank }
    }

    fn appends(indexes: std::ops::Range<u64>) -> Vec<Line> {
        indexes.map(|index| Line::Append(entry(index))).collect()
    }

    #[test]
    fn a_reopened_journal_holds_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        journal.write_now(appends(0..6), true).unwrap();
        let more = vec![
            Line::Vote(Vote::new(3, 2)),
            Line::Truncate(5),
            Line::Purge(entry(1).log_id),
            Line::Committed(Some(entry(3).log_id)),
        ];
        journal.write_now(more, true).unwrap();
        for _ in 0..2 {
            let again = Journal::open(dir.path()).unwrap();
            let memory = lock(&again.memory);
            assert_eq!(memory.entries.keys().copied().collect::<Vec<_>>(), [2, 3, 4]);
            assert_eq!(memory.vote, Some(Vote::new(3, 2)));
            assert_eq!(memory.purged, Some(entry(1).log_id));
            assert_eq!(memory.committed, Some(entry(3).log_id));
            // The second round reads what a rewrite left.
            lock(&again.disk).rewrite(&memory.lines()).unwrap();
        }
    }

    #[test]
    fn a_torn_or_corrupt_tail_is_cut_and_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        journal.write_now(appends(0..3), true).unwrap();
        let (path, end) = {
            let disk = lock(&journal.disk);
            (disk.path.clone(), usize::try_from(disk.end).unwrap())
        };
        drop(journal);
        let whole = fs::read(&path).unwrap();
        assert!(whole.len() > end, "filled ahead");
        fs::write(&path, &whole[..end - 5]).unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        assert_eq!(lock(&journal.memory).entries.len(), 2);
        journal.write_now(appends(2..3), true).unwrap();
        drop(journal);
        assert_eq!(fs::read(&path).unwrap()[..end], whole[..end]);
    }
}
