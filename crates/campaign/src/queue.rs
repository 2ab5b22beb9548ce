//! The queue of campaigns and its one executor.
//!
//! What makes it safe against a crash at any moment is an order: a run's directory is *chosen* and written into
//! `campaign.json` before it is *made*, and what a directory came to is read from the directory. So a start after a crash
//! finds either no directory, and the run waits again, or the one directory that counts for it.

use crate::executor::Executor;
use crate::salvage::{Ending, salvage};
use crate::shelf::{Campaign, CampaignRun, RunState, Shelf, ShelfError, Wanted};
use chrono::Utc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use perjury_checker::Options;
use perjury_store::{RunDir, RunId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

/// How often the folder is looked at for what other processes want.
const LOOK_INTERVAL: Duration = Duration::from_millis(400);
/// How long a run of an earlier service has to end by itself.
const ORPHAN_TIME_MAX: Duration = Duration::from_secs(60);
/// How often one run of a campaign is made again.
const ATTEMPTS_MAX: usize = 3;
/// Changes that a slow listener may fall behind by.
const CHANGES_KEPT: usize = 256;

/// Something changed that people may want to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A campaign was handed in, or came further; its identifier.
    Campaign(String),
    /// A run of a campaign began or ended; `<name>/<time>`.
    Run(String),
}

/// When the executor returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// When it is told to.
    Stopped,
    /// When this campaign is over or paused, too.
    Over(String),
}

/// The campaigns of a store with their executor.
pub struct Queue {
    shelf: Shelf,
    executor: Arc<dyn Executor>,
    options: Options,
    wake: Notify,
    changes: broadcast::Sender<Change>,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("shelf", &self.shelf).finish_non_exhaustive()
    }
}

impl Queue {
    /// A queue over these campaigns. Nothing is executed until [`Queue::work`].
    pub fn new(shelf: Shelf, executor: Arc<dyn Executor>, options: Options) -> Queue {
        let (changes, _) = broadcast::channel(CHANGES_KEPT);
        Queue { shelf, executor, options, wake: Notify::new(), changes }
    }

    /// The campaigns on disk.
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// What changes from now on.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Says that something was handed in or is wanted.
    pub fn wake(&self, campaign: &str) {
        self.tell(Change::Campaign(campaign.to_owned()));
        self.wake.notify_one();
    }

    fn tell(&self, change: Change) {
        // Nobody may be listening.
        let _ = self.changes.send(change);
    }

    /// Executes campaigns, oldest first, one run at a time, until `stop` is cancelled. Another process that executes
    /// campaigns of this store is waited for.
    ///
    /// # Errors
    /// [`ShelfError`] when campaigns cannot be read or written: going on would lose count.
    pub async fn work(&self, stop: &CancellationToken, until: &Until) -> Result<(), ShelfError> {
        let _lock = loop {
            match self.shelf.lock()? {
                Some(lock) => break lock,
                None if self.is_reached(until) => return Ok(()),
                None => {}
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        };
        self.recover(stop).await?;
        let mut over = BTreeSet::new();
        while !stop.is_cancelled() {
            if let Some((campaign, index)) = self.next(&mut over)? {
                self.one(campaign, index, stop).await?;
                continue;
            }
            if self.is_reached(until) {
                return Ok(());
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
        Ok(())
    }

    fn is_reached(&self, until: &Until) -> bool {
        match until {
            Until::Stopped => false,
            Until::Over(id) => self.shelf.load(id).map_or(true, |c| {
                c.state.is_over() || c.state == crate::shelf::CampaignState::Paused
            }),
        }
    }

    /// Brings runs to an end that an earlier executor had under way.
    async fn recover(&self, stop: &CancellationToken) -> Result<(), ShelfError> {
        for mut campaign in self.shelf.list().into_iter().filter(|c| !c.state.is_over()) {
            let under_way: Vec<usize> = campaign
                .runs
                .iter()
                .filter(|r| r.state == RunState::Running)
                .map(|r| r.index)
                .collect();
            for index in under_way {
                let dir = chosen(&campaign.runs[index])
                    .and_then(|id| self.shelf.store().run_dir(&id).ok());
                let Some(dir) = dir else {
                    let run = &mut campaign.runs[index];
                    (run.state, run.run) = (RunState::Queued, None);
                    continue;
                };
                if !writer_gone(&dir, stop).await {
                    return Ok(());
                }
                let ending =
                    self.ending(&dir, "the service ended while the run was under way").await;
                let again = campaign.rerun_interrupted;
                note(&mut campaign.runs[index], ending, again);
            }
            self.update(&mut campaign)?;
        }
        Ok(())
    }

    /// The next run to make. Campaigns in `over` are not read again.
    fn next(&self, over: &mut BTreeSet<String>) -> Result<Option<(Campaign, usize)>, ShelfError> {
        let mut campaigns = self.shelf.list_where(|id| !over.contains(id));
        campaigns.reverse();
        for mut campaign in campaigns {
            if self.shelf.is_unsaved(&campaign) {
                self.update(&mut campaign)?;
            }
            if campaign.state.is_over() {
                over.insert(campaign.id);
                continue;
            }
            if self.shelf.wanted(&campaign.id) != Wanted::Run {
                continue;
            }
            let queued = campaign.runs.iter().position(|r| r.state == RunState::Queued);
            if let Some(index) = queued {
                return Ok(Some((campaign, index)));
            }
        }
        Ok(None)
    }

    /// Makes one run, from the choice of its directory to its end.
    async fn one(
        &self,
        mut campaign: Campaign,
        index: usize,
        stop: &CancellationToken,
    ) -> Result<(), ShelfError> {
        let store = self.shelf.store();
        let plan = self.shelf.plan(&campaign.id, index)?;
        let started = Utc::now();
        let id = store.free_id(&campaign.runs[index].name, started)?;
        campaign.runs[index].state = RunState::Running;
        campaign.runs[index].run = Some(id.to_string());
        self.update(&mut campaign)?;
        let dir = store.create_exactly(&id, started)?;
        dir.write_plan(&plan)?;
        self.tell(Change::Run(id.to_string()));
        let halt = stop.child_token();
        let made = {
            let making = self.executor.execute(&dir, &halt);
            tokio::pin!(making);
            loop {
                tokio::select! {
                    made = &mut making => break made,
                    () = tokio::time::sleep(LOOK_INTERVAL) => {
                        if self.shelf.wanted(&campaign.id) == Wanted::Cancel {
                            halt.cancel();
                        }
                    }
                }
            }
        };
        self.tell(Change::Run(id.to_string()));
        if stop.is_cancelled() {
            // The run counts as one that the end of the service cut short: the next executor brings it to an end.
            return Ok(());
        }
        let why = match &made {
            Err(why) => why.as_str(),
            Ok(()) if halt.is_cancelled() => "the campaign was cancelled",
            Ok(()) => "the run ended without saying why",
        };
        let ending = self.ending(&dir, why).await;
        note(&mut campaign.runs[index], ending, false);
        self.update(&mut campaign)
    }

    async fn ending(&self, dir: &RunDir, why: &str) -> Ending {
        let (dir, options, why) = (dir.clone(), self.options.clone(), why.to_owned());
        let failed =
            |problem: String| Ending { complete: false, verdict: None, problem: Some(problem) };
        match tokio::task::spawn_blocking(move || salvage(&dir, &options, &why)).await {
            Ok(Ok(ending)) => ending,
            Ok(Err(error)) => failed(error.to_string()),
            Err(error) => failed(format!("checking what it left failed: {error}")),
        }
    }

    fn update(&self, campaign: &mut Campaign) -> Result<(), ShelfError> {
        campaign.settle(self.shelf.wanted(&campaign.id));
        self.shelf.save(campaign)?;
        self.tell(Change::Campaign(campaign.id.clone()));
        Ok(())
    }
}

fn chosen(run: &CampaignRun) -> Option<RunId> {
    run.run.as_ref()?.parse().ok()
}

/// Writes down how a run ended, and lets it wait again if it was cut short and shall be made anew.
fn note(run: &mut CampaignRun, ending: Ending, again: bool) {
    if !ending.complete && again && run.earlier.len() + 1 < ATTEMPTS_MAX.max(1) {
        run.earlier.extend(run.run.take());
        run.state = RunState::Queued;
        run.problem = ending.problem;
        return;
    }
    run.state = if ending.complete { RunState::Done } else { RunState::Interrupted };
    run.verdict = ending.verdict;
    run.problem = ending.problem;
}

/// Waits until the process that writes the run is gone; one that does not end is killed. Answers whether it is gone.
async fn writer_gone(dir: &RunDir, stop: &CancellationToken) -> bool {
    let looks = ORPHAN_TIME_MAX.as_millis() / LOOK_INTERVAL.as_millis();
    for look in 0..looks * 2 {
        let status = dir.status().ok().flatten();
        let Some(status) = status.filter(|s| s.is_at_work()) else { return true };
        // This very process is not at work on it any more: it has just become the executor.
        if status.pid == std::process::id() {
            return true;
        }
        if look == looks {
            tracing::warn!(run = %dir.id(), pid = status.pid, "a run of an earlier service does not end and is killed");
            if let Ok(pid) = i32::try_from(status.pid) {
                // It may have ended by itself in this moment.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }
    false
}
