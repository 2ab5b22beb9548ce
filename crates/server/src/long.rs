//! Long histories, of which windows are read from disk through an index.
//!
//! An index that is not there yet is made by a task of its own: a request waits for it a moment and is then told how far it
//! is, so that no request is cut off and none makes it a second time. A history that still grows is read as far as it had come
//! a while ago; how long ago depends on how long that index took, so that following a run costs a small part of a core.

use crate::histories::{LoadError, Stamp};
use perjury_campaign::{windows, windows_so_far};
use perjury_store::{RunDir, RunId};
use perjury_view::paged::{Paged, PagedError};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How many long histories are kept open. Each holds some megabytes.
const OPEN_MAX: usize = 8;
/// The windows of a growing history are kept at least so long.
const AGE_MIN: Duration = Duration::from_secs(5);
/// They are kept so many times as long as making their index took.
const AGE_FACTOR: u32 = 10;

/// How far the index of a history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Preparing {
    /// How many bytes of the history were read.
    pub(crate) done: u64,
    /// How many there are.
    pub(crate) bytes: u64,
}

/// What becomes of an index: nothing yet, the windows and how long they took to make, or why there are none.
type Made = Option<Result<(Arc<Paged>, Duration), LoadError>>;

#[derive(Debug, Clone)]
struct Slot {
    id: RunId,
    stamp: Stamp,
    /// Whether the history was growing.
    grows: bool,
    since: Instant,
    read: Arc<AtomicU64>,
    made: watch::Receiver<Made>,
}

impl Slot {
    /// Whether what it has answers a question about the history as it is now.
    fn answers(&self, stamp: Stamp, grows: bool) -> bool {
        if self.stamp == stamp {
            return true;
        }
        if !(self.grows && grows) {
            return false;
        }
        match &*self.made.borrow() {
            Some(Ok((_, took))) => self.since.elapsed() < AGE_MIN.max(*took * AGE_FACTOR),
            Some(Err(_)) => false,
            None => true,
        }
    }

    fn failed(&self) -> bool {
        matches!(&*self.made.borrow(), Some(Err(_)))
    }
}

/// The long histories that were asked for last.
#[derive(Debug)]
pub(crate) struct Long {
    slots: Mutex<VecDeque<Slot>>,
    /// Held while a history is read.
    reading: Arc<tokio::sync::Mutex<()>>,
    patience: Duration,
}

impl Long {
    /// Nothing is open yet. Whoever reads a history takes a turn of `reading`; a request waits for an index for as long as
    /// `patience`.
    pub(crate) fn new(reading: Arc<tokio::sync::Mutex<()>>, patience: Duration) -> Long {
        Long { slots: Mutex::default(), reading, patience }
    }

    /// The windows of the run's history, which is `stamp` now.
    pub(crate) async fn windows(
        &self,
        run: &RunDir,
        stamp: Stamp,
    ) -> Result<Arc<Paged>, LoadError> {
        let mut slot = self.slot(run, stamp);
        if !self.patience.is_zero() {
            // Whether it came in time is looked at below.
            let _ = tokio::time::timeout(self.patience, slot.made.wait_for(Option::is_some)).await;
        }
        // Looked at before the outcome: whoever makes it tells the outcome first and goes then.
        let given_up = slot.made.has_changed().is_err();
        let made = slot.made.borrow().clone();
        match made {
            Some(made) => made.map(|(paged, _)| paged),
            None if given_up => {
                Err(LoadError::Broken("making the index of the history failed".into()))
            }
            None => {
                let done = slot.read.load(Ordering::Relaxed).min(slot.stamp.1);
                Err(LoadError::Preparing(Preparing { done, bytes: slot.stamp.1 }))
            }
        }
    }

    /// The place of a run's history, new when what is there does not answer; the oldest go while there are too many.
    fn slot(&self, run: &RunDir, stamp: Stamp) -> Slot {
        let grows = run.status().ok().flatten().is_some_and(|s| s.is_at_work());
        // What it guards is a cache: after a panic elsewhere it is still a valid one.
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let found = slots.iter().position(|s| s.id == *run.id()).and_then(|at| slots.remove(at));
        let kept = found.filter(|slot| slot.answers(stamp, grows));
        // What failed is told once, to who asked again for it; whoever comes after has it tried anew.
        if let Some(failed) = kept.as_ref().filter(|slot| slot.failed()) {
            return failed.clone();
        }
        let slot = kept.unwrap_or_else(|| self.make(run, stamp, grows));
        slots.push_front(slot.clone());
        slots.truncate(OPEN_MAX);
        slot
    }

    fn make(&self, run: &RunDir, stamp: Stamp, grows: bool) -> Slot {
        let (told, made) = watch::channel(None);
        let read = Arc::new(AtomicU64::new(0));
        let slot = Slot { id: run.id().clone(), stamp, grows, since: Instant::now(), read, made };
        let (run, read, reading) = (run.clone(), slot.read.clone(), Arc::clone(&self.reading));
        tokio::spawn(async move {
            let _turn = reading.lock_owned().await;
            let made = tokio::task::spawn_blocking(move || -> Result<_, PagedError> {
                let begun = Instant::now();
                let paged = if grows {
                    windows_so_far(&run, stamp.1, &read)?
                } else {
                    windows(&run, &read)?
                };
                Ok((Arc::new(paged), begun.elapsed()))
            });
            let made = match made.await {
                Ok(made) => made.map_err(LoadError::from),
                Err(e) => Err(LoadError::Broken(format!("the index of the history: {e}"))),
            };
            // Nobody may be waiting any more.
            let _ = told.send(Some(made));
        });
        slot
    }
}
