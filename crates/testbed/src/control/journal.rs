//! Raft's vote and log on disk: one append-only journal, replayed at start.
//!
//! Every change is one line, `crc32c(json) json`, appended and `fdatasync`ed before openraft hears
//! of it. Metadata traffic is a few lines a second at most, so one file and one lock are enough. A
//! torn last line is cut off at start; it was never confirmed to anyone. When the journal outgrew
//! what it holds, it is rewritten beside the old one and renamed over it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogId, RaftLogReader, StorageIOError};
use serde::{Deserialize, Serialize};

use super::raft::{Entry, LogId, NodeId, StorageError, TypeConfig, Vote};

/// Rewriting starts when the file holds this many lines more than there are live entries.
const REWRITE_SLACK: usize = 4_096;

/// One line of the journal.
#[derive(Debug, Serialize, Deserialize)]
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

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    lines: usize,
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    entries: BTreeMap<u64, Entry>,
}

/// The Raft log storage; clones share one journal.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    inner: Arc<Mutex<Inner>>,
}

impl Journal {
    /// Opens or creates the journal in a directory and replays it.
    ///
    /// # Errors
    /// The file cannot be read, written or cut after its last whole line.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let path = dir.join("raft.journal");
        let file = OpenOptions::new().create(true).append(true).read(true).open(&path)?;
        let mut inner = Inner {
            path,
            file,
            lines: 0,
            vote: None,
            committed: None,
            purged: None,
            entries: BTreeMap::new(),
        };
        inner.replay()?;
        crate::log::sync_dir(dir)?;
        Ok(Self { inner: Arc::new(Mutex::new(inner)) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines on a thread that may block.
    async fn write(&self, lines: Vec<Line>, sync: bool) -> io::Result<()> {
        let journal = self.clone();
        tokio::task::spawn_blocking(move || journal.lock().write(lines, sync))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

impl Inner {
    fn replay(&mut self) -> io::Result<()> {
        let bytes = fs::read(&self.path)?;
        let mut good = 0;
        for raw in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = parse(raw) else { break };
            self.remember(line);
            self.lines += 1;
            good += raw.len();
        }
        if good < bytes.len() {
            let dropped_bytes = bytes.len() - good;
            tracing::warn!(dropped_bytes, path = %self.path.display(), "raft journal had a torn tail");
            self.file.set_len(good as u64)?;
            self.file.sync_all()?;
        }
        Ok(())
    }

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

    fn write(&mut self, lines: Vec<Line>, sync: bool) -> io::Result<()> {
        let mut bytes = Vec::new();
        for line in &lines {
            render(line, &mut bytes)?;
        }
        self.file.write_all(&bytes)?;
        if sync {
            self.file.sync_data()?;
        }
        self.lines += lines.len();
        for line in lines {
            self.remember(line);
        }
        if self.lines > self.entries.len() + REWRITE_SLACK {
            self.rewrite()?;
        }
        Ok(())
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut lines = 0;
        let mut put = |line: &Line| {
            lines += 1;
            render(line, &mut bytes)
        };
        if let Some(vote) = self.vote {
            put(&Line::Vote(vote))?;
        }
        if let Some(purged) = self.purged {
            put(&Line::Purge(purged))?;
        }
        for entry in self.entries.values() {
            put(&Line::Append(entry.clone()))?;
        }
        put(&Line::Committed(self.committed))?;
        crate::log::replace_file(&self.path, &bytes)?;
        self.file = OpenOptions::new().append(true).read(true).open(&self.path)?;
        self.lines = lines;
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
        Ok(self.lock().entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<TypeConfig> for Journal {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let inner = self.lock();
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
        Ok(self.lock().vote)
    }

    /// Written without an fsync: losing it only delays when a restarted node applies its log.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.write(vec![Line::Committed(committed)], false)
            .await
            .map_err(|error| StorageIOError::<NodeId>::write_logs(&error).into())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        let inner = self.lock();
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

    #[test]
    fn a_reopened_journal_holds_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        let lines = (0..6).map(|index| Line::Append(entry(index))).collect();
        journal.lock().write(lines, true).unwrap();
        let more = vec![
            Line::Vote(Vote::new(3, 2)),
            Line::Truncate(5),
            Line::Purge(entry(1).log_id),
            Line::Committed(Some(entry(3).log_id)),
        ];
        journal.lock().write(more, true).unwrap();
        journal.lock().rewrite().unwrap();
        drop(journal);
        let again = Journal::open(dir.path()).unwrap();
        let inner = again.lock();
        assert_eq!(inner.entries.keys().copied().collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(inner.vote, Some(Vote::new(3, 2)));
        assert_eq!(inner.purged, Some(entry(1).log_id));
        assert_eq!(inner.committed, Some(entry(3).log_id));
    }

    #[test]
    fn a_torn_or_corrupt_tail_is_cut_and_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        let lines = (0..3).map(|index| Line::Append(entry(index))).collect();
        journal.lock().write(lines, true).unwrap();
        let path = journal.lock().path.clone();
        drop(journal);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        assert_eq!(journal.lock().entries.len(), 2);
        journal.lock().write(vec![Line::Append(entry(2))], true).unwrap();
        drop(journal);
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}
