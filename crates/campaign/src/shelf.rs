//! Campaigns on disk: `<store>/.campaigns/<id>/` with `plan.toml` (what was asked), `plans.json` (the resolved plan of
//! each run), `campaign.json` (how far it came; written by the executor alone) and `wanted` (what people want of it;
//! written by anyone). Every file is replaced in one step.

use crate::matrix::Resolved;
use chrono::{DateTime, Utc};
use perjury_store::{Judged, RunId, Store, StoreError, write_whole};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// No more campaigns may wait or run at a time.
pub const UNFINISHED_MAX: usize = 64;
/// No more runs may wait at a time, over all campaigns.
pub const QUEUED_RUNS_MAX: usize = 20_000;

/// Why something cannot be done with campaigns.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShelfError {
    /// The file system or a name.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of a campaign does not hold what it should.
    #[error("{path} is not readable: {source}; remove the folder of the campaign to be rid of it")]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// There is none of this identifier.
    #[error("there is no campaign {id}")]
    NoSuchCampaign {
        /// What was asked for.
        id: String,
    },
    /// The queue is full.
    #[error("{0}; wait until campaigns end, or cancel some")]
    Full(String),
}

/// How far a campaign came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CampaignState {
    /// No run was started yet.
    Queued,
    /// Runs are being made.
    Running,
    /// No further run is started until it is resumed.
    Paused,
    /// It was given up; runs that were not started never will be.
    Cancelled,
    /// Every run was made.
    Done,
    /// Every run was made, and at least one was interrupted.
    Interrupted,
}

impl CampaignState {
    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            CampaignState::Queued => "queued",
            CampaignState::Running => "running",
            CampaignState::Paused => "paused",
            CampaignState::Cancelled => "cancelled",
            CampaignState::Done => "done",
            CampaignState::Interrupted => "interrupted",
        }
    }

    /// Whether nothing will happen to it any more.
    pub fn is_over(self) -> bool {
        matches!(self, CampaignState::Cancelled | CampaignState::Done | CampaignState::Interrupted)
    }
}

/// How far one run of a campaign came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// It waits.
    Queued,
    /// Its directory was chosen, and it may have been started.
    Running,
    /// It ended by itself.
    Done,
    /// It was cut short; what it left was checked.
    Interrupted,
    /// It was never started.
    Cancelled,
}

/// One run of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignRun {
    /// Its place, from 0.
    pub index: usize,
    /// How far it came.
    pub state: RunState,
    /// Its directory, `<name>/<time>`, from the moment at which it was chosen.
    pub run: Option<String>,
    /// What the checker says of it.
    pub verdict: Option<String>,
    /// Its seed.
    pub seed: u64,
    /// Its cell of the matrix.
    pub summary: String,
    /// The run's name.
    pub name: String,
    /// Directories of earlier attempts that were interrupted. They do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// `campaign.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// `<name>-<time>`.
    pub id: String,
    /// The campaign's name.
    pub name: String,
    /// How far it came.
    pub state: CampaignState,
    /// When it was handed in.
    pub created: DateTime<Utc>,
    /// Whether interrupted runs are made again.
    pub rerun_interrupted: bool,
    /// Its runs, in the order in which they are made.
    pub runs: Vec<CampaignRun>,
}

/// How many runs of a campaign are in each state, and what came out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All.
    pub total: usize,
    /// Waiting.
    pub queued: usize,
    /// Under way.
    pub running: usize,
    /// Ended by themselves.
    pub done: usize,
    /// Cut short.
    pub interrupted: usize,
    /// Never started.
    pub cancelled: usize,
    /// Verdict *invalid*.
    pub invalid: usize,
    /// Verdict *valid*.
    pub valid: usize,
    /// Verdict *unknown*.
    pub unknown: usize,
}

impl Campaign {
    /// How many of its runs are in each state.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { total: self.runs.len(), ..Counts::default() };
        for run in &self.runs {
            *match run.state {
                RunState::Queued => &mut counts.queued,
                RunState::Running => &mut counts.running,
                RunState::Done => &mut counts.done,
                RunState::Interrupted => &mut counts.interrupted,
                RunState::Cancelled => &mut counts.cancelled,
            } += 1;
            match run.verdict.as_deref() {
                Some("invalid") => counts.invalid += 1,
                Some("valid") => counts.valid += 1,
                Some("unknown") => counts.unknown += 1,
                _ => {}
            }
        }
        counts
    }

    /// How likely a run of it breaks a promise, from the runs that were judged.
    pub fn estimate(&self) -> Judged {
        let counts = self.counts();
        Judged::of(counts.invalid as u64, (counts.invalid + counts.valid) as u64)
    }

    /// The state that follows from its runs and from what is wanted of it.
    pub(crate) fn settle(&mut self, wanted: Wanted) {
        let counts = self.counts();
        if wanted == Wanted::Cancel && counts.running == 0 {
            for run in self.runs.iter_mut().filter(|r| r.state == RunState::Queued) {
                run.state = RunState::Cancelled;
            }
        }
        let counts = self.counts();
        self.state = if counts.running == 0 && counts.queued == 0 {
            match (counts.cancelled, counts.interrupted) {
                (0, 0) => CampaignState::Done,
                (0, _) => CampaignState::Interrupted,
                _ => CampaignState::Cancelled,
            }
        } else if wanted == Wanted::Pause {
            CampaignState::Paused
        } else if counts.queued == counts.total {
            CampaignState::Queued
        } else {
            CampaignState::Running
        };
    }
}

/// What people want of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wanted {
    /// It shall go on.
    #[default]
    Run,
    /// The run under way ends, and no other is started.
    Pause,
    /// The run under way is cut short, and no other is started.
    Cancel,
}

impl Wanted {
    fn as_str(self) -> &'static str {
        match self {
            Wanted::Run => "run",
            Wanted::Pause => "pause",
            Wanted::Cancel => "cancel",
        }
    }
}

/// Held by the one process that executes campaigns of a store; given back when it is dropped or its process ends.
#[derive(Debug)]
pub struct ExecutorLock {
    _file: File,
}

/// The campaigns of a store.
#[derive(Debug, Clone)]
pub struct Shelf {
    store: Arc<Store>,
    root: PathBuf,
}

impl Shelf {
    /// The campaigns of this store; the folder is made if need be.
    ///
    /// # Errors
    /// [`ShelfError::Store`] when it cannot be made.
    pub fn open(store: Arc<Store>) -> Result<Shelf, ShelfError> {
        let root = store.root().join(".campaigns");
        fs::create_dir_all(&root).map_err(io("create", &root))?;
        Ok(Shelf { store, root })
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The folder of the campaigns.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Becomes the executor; none when another process is.
    ///
    /// # Errors
    /// [`ShelfError::Store`] when the lock file cannot be opened.
    pub fn lock(&self) -> Result<Option<ExecutorLock>, ShelfError> {
        let path = self.root.join("executor.lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(ExecutorLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(io("lock", &path)(e)),
        }
    }

    /// Hands a campaign in; it waits for the executor. It is there whole or not at all.
    ///
    /// # Errors
    /// [`ShelfError::Full`] when too much waits already, [`ShelfError::Store`] when it cannot be written.
    pub fn create(
        &self,
        name: &str,
        toml: &str,
        rerun_interrupted: bool,
        runs: &[Resolved],
        now: DateTime<Utc>,
    ) -> Result<Campaign, ShelfError> {
        self.room_for(runs.len())?;
        let id = self.free_id(name, now)?;
        let line = |(index, run): (usize, &Resolved)| CampaignRun {
            index,
            state: RunState::Queued,
            run: None,
            verdict: None,
            seed: run.seed,
            summary: run.summary.clone(),
            name: run.name.clone(),
            earlier: Vec::new(),
            problem: None,
        };
        let campaign = Campaign {
            id: id.clone(),
            name: name.to_owned(),
            state: CampaignState::Queued,
            created: now,
            rerun_interrupted,
            runs: runs.iter().enumerate().map(line).collect(),
        };
        let making = self.root.join(format!(".making-{id}"));
        fs::create_dir_all(&making).map_err(io("create", &making))?;
        let plans: Vec<_> = runs.iter().map(|r| &r.plan).collect();
        write_whole(&making.join("plan.toml"), toml.as_bytes())?;
        write_whole(&making.join("plans.json"), &json(&plans, &making)?)?;
        write_whole(&making.join("campaign.json"), &json(&campaign, &making)?)?;
        let path = self.root.join(&id);
        fs::rename(&making, &path).map_err(io("rename", &making))?;
        Ok(campaign)
    }

    fn room_for(&self, runs: usize) -> Result<(), ShelfError> {
        let unfinished: Vec<Campaign> =
            self.list().into_iter().filter(|c| !c.state.is_over()).collect();
        if unfinished.len() >= UNFINISHED_MAX {
            return Err(ShelfError::Full(format!("{UNFINISHED_MAX} campaigns wait already")));
        }
        let queued: usize = unfinished.iter().map(|c| c.counts().queued).sum();
        if queued + runs > QUEUED_RUNS_MAX {
            let message =
                format!("{queued} runs wait already, and {runs} more are beyond {QUEUED_RUNS_MAX}");
            return Err(ShelfError::Full(message));
        }
        Ok(())
    }

    fn free_id(&self, name: &str, now: DateTime<Utc>) -> Result<String, ShelfError> {
        for attempt in 0..1000 {
            let at = now + chrono::TimeDelta::milliseconds(attempt);
            let id = format!("{name}-{}", at.format("%Y%m%dT%H%M%S%.3fZ"));
            RunId::new(name, &id).map_err(StoreError::from)?;
            if !self.root.join(&id).exists() {
                return Ok(id);
            }
        }
        Err(ShelfError::Full(format!("a thousand campaigns {name} were handed in at this moment")))
    }

    /// All campaigns that can be read, newest first.
    pub fn list(&self) -> Vec<Campaign> {
        self.list_where(|_| true)
    }

    /// As [`Shelf::list`], of those alone whose identifiers are wanted. Others are not read.
    pub(crate) fn list_where(&self, wanted: impl Fn(&str) -> bool) -> Vec<Campaign> {
        let Ok(read) = fs::read_dir(&self.root) else { return Vec::new() };
        let ids = read.filter_map(|e| e.ok()?.file_name().into_string().ok());
        let mut campaigns: Vec<Campaign> = ids
            .filter(|id| is_id(id) && wanted(id))
            .filter_map(|id| match self.load(&id) {
                Ok(campaign) => Some(campaign),
                Err(ShelfError::NoSuchCampaign { .. }) => None,
                Err(error) => {
                    tracing::warn!(%error, "a campaign is left out");
                    None
                }
            })
            .collect();
        campaigns.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
        campaigns
    }

    /// One campaign. What is wanted of it shows at once, also while nobody executes.
    ///
    /// # Errors
    /// [`ShelfError::NoSuchCampaign`] or [`ShelfError::Json`].
    pub fn load(&self, id: &str) -> Result<Campaign, ShelfError> {
        let mut campaign: Campaign = self.read(id, "campaign.json")?;
        if !campaign.state.is_over() {
            campaign.settle(self.wanted(id));
        }
        Ok(campaign)
    }

    /// What was handed in.
    ///
    /// # Errors
    /// [`ShelfError::NoSuchCampaign`].
    pub fn toml(&self, id: &str) -> Result<String, ShelfError> {
        fs::read_to_string(self.path(id)?.join("plan.toml"))
            .map_err(|_| ShelfError::NoSuchCampaign { id: id.to_owned() })
    }

    /// The resolved plan of one of its runs.
    ///
    /// # Errors
    /// [`ShelfError::NoSuchCampaign`] or [`ShelfError::Json`].
    pub fn plan(&self, id: &str, index: usize) -> Result<Value, ShelfError> {
        let mut plans: Vec<Value> = self.read(id, "plans.json")?;
        if index >= plans.len() {
            return Err(ShelfError::NoSuchCampaign { id: format!("{id}, run {index}") });
        }
        Ok(plans.swap_remove(index))
    }

    /// Writes how far it came. The executor alone does.
    pub(crate) fn save(&self, campaign: &Campaign) -> Result<(), ShelfError> {
        let path = self.path(&campaign.id)?.join("campaign.json");
        Ok(write_whole(&path, &json(campaign, &path)?)?)
    }

    /// Whether the file says another state than what follows from what is wanted.
    pub(crate) fn is_unsaved(&self, campaign: &Campaign) -> bool {
        self.read::<Campaign>(&campaign.id, "campaign.json").is_ok_and(|saved| saved != *campaign)
    }

    /// Says what is wanted of it. A cancelled campaign stays so.
    ///
    /// # Errors
    /// [`ShelfError::NoSuchCampaign`] or [`ShelfError::Store`].
    pub fn want(&self, id: &str, wanted: Wanted) -> Result<Campaign, ShelfError> {
        let campaign = self.load(id)?;
        if !campaign.state.is_over() && self.wanted(id) != Wanted::Cancel {
            write_whole(&self.path(id)?.join("wanted"), wanted.as_str().as_bytes())?;
        }
        self.load(id)
    }

    /// What is wanted of it.
    pub fn wanted(&self, id: &str) -> Wanted {
        let text = self.path(id).ok().and_then(|p| fs::read_to_string(p.join("wanted")).ok());
        match text.as_deref().map(str::trim) {
            Some("pause") => Wanted::Pause,
            Some("cancel") => Wanted::Cancel,
            _ => Wanted::Run,
        }
    }

    fn path(&self, id: &str) -> Result<PathBuf, ShelfError> {
        if is_id(id) {
            Ok(self.root.join(id))
        } else {
            Err(ShelfError::NoSuchCampaign { id: id.chars().take(120).collect() })
        }
    }

    fn read<T: serde::de::DeserializeOwned>(&self, id: &str, file: &str) -> Result<T, ShelfError> {
        let path = self.path(id)?.join(file);
        let text = fs::read(&path).map_err(|_| ShelfError::NoSuchCampaign { id: id.to_owned() })?;
        serde_json::from_slice(&text).map_err(|source| ShelfError::Json { path, source })
    }
}

/// Whether the text can name a campaign: no path leads out of the folder, and none to a hidden or half-made one.
fn is_id(text: &str) -> bool {
    RunId::new("campaign", text).is_ok()
}

fn json(value: &impl Serialize, path: &Path) -> Result<Vec<u8>, ShelfError> {
    serde_json::to_vec(value).map_err(|source| ShelfError::Json { path: path.into(), source })
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ShelfError + use<> {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }.into()
}
