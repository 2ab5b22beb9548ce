//! Histories, kept for the next request: short ones parsed whole, of long ones an index and a few blocks.

use crate::long::{Long, Preparing};
use perjury_history::{History, jsonl};
use perjury_store::{RunDir, RunId};
use perjury_view::paged::{Paged, PagedError};
use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::OnceCell;

/// How many histories are kept, and of how many bytes together: parsed, one takes about as much memory as on disk.
const KEPT_MAX: usize = 4;
const KEPT_BYTES_MAX: u64 = 256 << 20;

/// Larger buffers no longer make reading faster.
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// Why a run's history cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum LoadError {
    /// There is none.
    #[error("the run has no history.jsonl")]
    Missing,
    /// It is not a history; the sentence names line and column.
    #[error("{0}")]
    Unreadable(String),
    /// The index of a long history is being made.
    #[error("the index of the history is being made")]
    Preparing(Preparing),
    /// The file system or a thread failed.
    #[error("{0}")]
    Broken(String),
}

/// What a file was when it was read: a changed file is read again.
pub(crate) type Stamp = (SystemTime, u64);

type Cell = Arc<OnceCell<Arc<History>>>;

#[derive(Debug)]
struct Slot {
    id: RunId,
    stamp: Stamp,
    cell: Cell,
}

/// Where windows of a history come from.
#[derive(Debug, Clone)]
pub(crate) enum Windows {
    /// A history in memory.
    Whole(Arc<History>),
    /// One on disk.
    Paged(Arc<Paged>),
}

/// The histories that were asked for last.
#[derive(Debug)]
pub(crate) struct Histories {
    whole: Mutex<VecDeque<Slot>>,
    long: Long,
    /// One history is parsed at a time: two large ones at once would double the peak.
    parsing: Arc<tokio::sync::Mutex<()>>,
    /// From how many bytes on a history is read a block at a time.
    long_bytes: u64,
}

impl Histories {
    /// Histories of at least so many bytes are not taken into memory for a window. A request waits so long for the index of
    /// one, and is then told how far it is.
    pub(crate) fn new(long_bytes: u64, patience: Duration) -> Histories {
        let parsing = Arc::default();
        let long = Long::new(Arc::clone(&parsing), patience);
        Histories { whole: Mutex::default(), long, parsing, long_bytes }
    }

    /// Where windows of the run's history come from. The index of a long one is made at the first request.
    pub(crate) async fn windows(&self, run: &RunDir) -> Result<Windows, LoadError> {
        let (_, stamp) = self.at(run)?;
        if stamp.1 < self.long_bytes {
            return self.get(run).await.map(Windows::Whole);
        }
        self.long.windows(run, stamp).await.map(Windows::Paged)
    }

    fn at(&self, run: &RunDir) -> Result<(PathBuf, Stamp), LoadError> {
        let path = match run.file("history.jsonl") {
            Ok(Some(path)) => path,
            Ok(None) => return Err(LoadError::Missing),
            Err(e) => return Err(LoadError::Broken(e.to_string())),
        };
        let stamp = stamp(&path).map_err(|e| LoadError::Broken(e.to_string()))?;
        Ok((path, stamp))
    }

    /// The history of the run, parsed if it is not kept or if the file changed. Requests for the same file wait for one
    /// parse.
    pub(crate) async fn get(&self, run: &RunDir) -> Result<Arc<History>, LoadError> {
        let (path, stamp) = self.at(run)?;
        let cell = self.cell(run.id(), stamp);
        let parsed = cell.get_or_try_init(|| async {
            let _turn = self.parsing.lock().await;
            let id = run.id().to_string();
            tokio::task::spawn_blocking(move || parse(path, &id))
                .await
                .map_err(|e| LoadError::Broken(format!("parsing the history failed: {e}")))?
        });
        parsed.await.cloned()
    }

    /// The place of a run's history, new when the file changed; the oldest places go while there are too many.
    fn cell(&self, id: &RunId, stamp: Stamp) -> Cell {
        // What it guards is a cache: after a panic elsewhere it is still a valid one.
        let mut slots = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        let found = slots.iter().position(|s| s.id == *id).and_then(|at| slots.remove(at));
        let slot = match found {
            Some(slot) if slot.stamp == stamp => slot,
            _ => Slot { id: id.clone(), stamp, cell: Arc::default() },
        };
        let cell = Arc::clone(&slot.cell);
        slots.push_front(slot);
        let too_many = |kept: &VecDeque<Slot>| {
            let bytes: u64 = kept.iter().map(|s| s.stamp.1).sum();
            kept.len() > KEPT_MAX || bytes > KEPT_BYTES_MAX && kept.len() > 1
        };
        while too_many(&slots) {
            slots.pop_back();
        }
        cell
    }
}

impl From<PagedError> for LoadError {
    fn from(error: PagedError) -> LoadError {
        match error {
            PagedError::History(error) => LoadError::Unreadable(error.to_string()),
            other => LoadError::Broken(other.to_string()),
        }
    }
}

fn stamp(path: &std::path::Path) -> std::io::Result<Stamp> {
    let meta = std::fs::metadata(path)?;
    Ok((meta.modified()?, meta.len()))
}

fn parse(path: PathBuf, id: &str) -> Result<Arc<History>, LoadError> {
    let file =
        File::open(&path).map_err(|e| LoadError::Broken(format!("{}: {e}", path.display())))?;
    let reader = BufReader::with_capacity(READ_BUFFER_BYTES, file);
    let name = format!("{id}/history.jsonl");
    jsonl::read(reader, &name, &jsonl::ReadOptions::default())
        .map(Arc::new)
        .map_err(|e| LoadError::Unreadable(e.to_string()))
}
