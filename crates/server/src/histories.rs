//! Parsed histories, kept for the next request.

use perjury_history::{History, jsonl};
use perjury_store::{RunDir, RunId};
use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::sync::OnceCell;

/// How many histories are kept. One of ten million operations takes more than a gigabyte.
const KEPT_MAX: usize = 4;

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
    /// The file system or a thread failed.
    #[error("{0}")]
    Broken(String),
}

/// What a file was when it was read: a changed file is read again.
type Stamp = (SystemTime, u64);

#[derive(Debug)]
struct Slot {
    id: RunId,
    stamp: Stamp,
    cell: Arc<OnceCell<Arc<History>>>,
}

/// The histories that were asked for last.
#[derive(Debug, Default)]
pub(crate) struct Histories {
    slots: Mutex<VecDeque<Slot>>,
    /// One history is parsed at a time: two large ones at once would double the peak.
    parsing: tokio::sync::Mutex<()>,
}

impl Histories {
    /// The history of the run, parsed if it is not kept or if the file changed. Requests for the same file wait for one
    /// parse.
    pub(crate) async fn get(&self, run: &RunDir) -> Result<Arc<History>, LoadError> {
        let path = match run.file("history.jsonl") {
            Ok(Some(path)) => path,
            Ok(None) => return Err(LoadError::Missing),
            Err(e) => return Err(LoadError::Broken(e.to_string())),
        };
        let stamp = stamp(&path).map_err(|e| LoadError::Broken(e.to_string()))?;
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

    fn cell(&self, id: &RunId, stamp: Stamp) -> Arc<OnceCell<Arc<History>>> {
        // What it guards is a cache: after a panic elsewhere it is still a valid one.
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let found = slots.iter().position(|s| s.id == *id).and_then(|at| slots.remove(at));
        let slot = match found {
            Some(slot) if slot.stamp == stamp => slot,
            _ => Slot { id: id.clone(), stamp, cell: Arc::default() },
        };
        let cell = Arc::clone(&slot.cell);
        slots.push_front(slot);
        slots.truncate(KEPT_MAX);
        cell
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
