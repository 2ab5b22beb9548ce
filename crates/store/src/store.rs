//! The store: all run directories under one root.

use crate::atomic;
use crate::error::StoreError;
use crate::id::{LATEST, RunId, component, time_component};
use crate::run_dir::{RunDir, entries};
use crate::summary::{Look, RunSummary};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Runs of one name that start within the same millisecond move on by one each; more than this many never do.
const NAME_ATTEMPTS_MAX: u32 = 1000;

/// All run directories under one root. Cheap to share; what it remembers is only to spare reading again what did not
/// change.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    looks: Mutex<BTreeMap<RunId, (Stamp, Look)>>,
}

/// One run, read for its page.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its directory.
    pub dir: RunDir,
    /// Its line of the list.
    pub summary: RunSummary,
    /// The report, as it stands on disk.
    pub report: Option<Value>,
    /// The plan, as it stands on disk.
    pub plan: Option<Value>,
    /// The first line of the history.
    pub header: Option<Value>,
}

/// What tells whether a run directory changed: time of change and size of its small files, and whether it has a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    files: [Option<(SystemTime, u64)>; 2],
    history: bool,
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> Stamp {
        let stamp = |name: &str| {
            let meta = fs::symlink_metadata(path.join(name)).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        };
        let history = stamp("history.jsonl").is_some_and(|(_, len)| len > 0);
        Stamp { files: [stamp("report.json"), stamp("status.json")], history }
    }

    /// Whether one of its files changed within this span before now, or is dated in the future.
    pub(crate) fn is_fresh(&self, span: Duration) -> bool {
        let now = SystemTime::now();
        let fresh = |at: SystemTime| now.duration_since(at).map_or(true, |age| age <= span);
        self.files.iter().flatten().any(|(at, _)| fresh(*at))
    }

    /// Whether there is a report.
    pub(crate) fn has_report(&self) -> bool {
        self.files[0].is_some()
    }

    /// A text that is equal when the stamps are.
    pub(crate) fn text(&self) -> String {
        let ns = |at: &SystemTime| {
            at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos())
        };
        let file = |f: &Option<(SystemTime, u64)>| {
            f.as_ref().map_or_else(|| "-".to_owned(), |(at, len)| format!("{}.{len}", ns(at)))
        };
        format!("{} {} {}", file(&self.files[0]), file(&self.files[1]), self.history)
    }
}

impl Store {
    /// Opens the store, creating its root if need be.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the root is neither a directory nor can become one.
    pub fn open(root: impl Into<PathBuf>) -> Result<Store, StoreError> {
        let root = root.into();
        // Absolute, so that the paths in messages work wherever they are pasted.
        let root = std::path::absolute(&root).map_err(StoreError::io("find", &root))?;
        fs::create_dir_all(&root).map_err(StoreError::io("create", &root))?;
        fs::read_dir(&root).map_err(StoreError::io("read", &root))?;
        Ok(Store { root, looks: Mutex::default() })
    }

    /// The directory that holds everything.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the directory of a new run, says in it that this process writes it, and points both `latest` links at it.
    /// Two runs never share a directory: the second of one millisecond is dated one later.
    ///
    /// # Errors
    /// [`StoreError::BadId`] for a name that cannot be one, [`StoreError::Io`] when the file system refuses,
    /// [`StoreError::NoFreeDirectory`] when a thousand names were taken.
    pub fn create_run(&self, name: &str, started: DateTime<Utc>) -> Result<RunDir, StoreError> {
        component(name)?;
        let parent = self.root.join(name);
        fs::create_dir_all(&parent).map_err(StoreError::io("create", &parent))?;
        for attempt in 0..NAME_ATTEMPTS_MAX {
            let dated = started + TimeDelta::milliseconds(i64::from(attempt));
            let id = RunId::new(name, &time_component(dated))?;
            let path = parent.join(id.time());
            match fs::create_dir(&path) {
                Ok(()) => {
                    let run = RunDir::new(id, path);
                    run.mark_running(started)?;
                    self.point_latest(run.id())?;
                    return Ok(run);
                }
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(StoreError::Io { action: "create", path, source }),
            }
        }
        let (name, root) = (name.to_owned(), self.root.clone());
        Err(StoreError::NoFreeDirectory { name, root, attempts: NAME_ATTEMPTS_MAX })
    }

    /// An identifier for a run of this name, dated from `started` on, that no directory has yet.
    ///
    /// # Errors
    /// [`StoreError::BadId`] for a name that cannot be one, [`StoreError::NoFreeDirectory`] when a thousand were taken.
    pub fn free_id(&self, name: &str, started: DateTime<Utc>) -> Result<RunId, StoreError> {
        for attempt in 0..NAME_ATTEMPTS_MAX {
            let dated = started + TimeDelta::milliseconds(i64::from(attempt));
            let id = RunId::new(name, &time_component(dated))?;
            if fs::symlink_metadata(self.root.join(name).join(id.time())).is_err() {
                return Ok(id);
            }
        }
        let (name, root) = (name.to_owned(), self.root.clone());
        Err(StoreError::NoFreeDirectory { name, root, attempts: NAME_ATTEMPTS_MAX })
    }

    /// Makes the directory of a run whose identifier was chosen before, and says in it that this process writes it.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when it is there already, [`StoreError::Io`] when the file system refuses.
    pub fn create_exactly(&self, id: &RunId, started: DateTime<Utc>) -> Result<RunDir, StoreError> {
        let parent = self.root.join(id.name());
        fs::create_dir_all(&parent).map_err(StoreError::io("create", &parent))?;
        let path = parent.join(id.time());
        match fs::create_dir(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(StoreError::Taken { id: id.to_string() });
            }
            Err(source) => return Err(StoreError::Io { action: "create", path, source }),
        }
        let run = RunDir::new(id.clone(), path);
        run.mark_running(started)?;
        self.point_latest(run.id())?;
        Ok(run)
    }

    /// Takes over a directory that was made for this run and holds no history yet.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`] when it is not there, [`StoreError::Taken`] when it holds a history.
    pub fn claim(&self, id: &RunId, started: DateTime<Utc>) -> Result<RunDir, StoreError> {
        let dir = self.run_dir(id)?;
        if fs::symlink_metadata(dir.history_path()).is_ok() {
            return Err(StoreError::Taken { id: id.to_string() });
        }
        dir.mark_running(started)?;
        Ok(dir)
    }

    /// Sets the links to the newest run of this name and of all after one was removed.
    pub(crate) fn point_latest_anew(&self, name: &str) -> Result<(), StoreError> {
        let newest_of = |name: &str| {
            let times = entries(&self.root.join(name));
            times.iter().rev().find_map(|t| RunId::new(name, t).ok())
        };
        match newest_of(name) {
            Some(id) => {
                atomic::symlink(Path::new(id.time()), &self.root.join(name).join(LATEST))?;
            }
            None => {
                // What cannot be removed is an empty folder at worst.
                let _ = fs::remove_file(self.root.join(name).join(LATEST));
                let _ = fs::remove_dir(self.root.join(name));
            }
        }
        let newest = entries(&self.root)
            .iter()
            .filter_map(|n| newest_of(n))
            .max_by(|a, b| a.time().cmp(b.time()));
        let link = self.root.join(LATEST);
        match newest {
            Some(id) => atomic::symlink(&Path::new(id.name()).join(id.time()), &link),
            None => {
                let _ = fs::remove_file(&link);
                Ok(())
            }
        }
    }

    fn point_latest(&self, id: &RunId) -> Result<(), StoreError> {
        atomic::symlink(Path::new(id.time()), &self.root.join(id.name()).join(LATEST))?;
        atomic::symlink(&Path::new(id.name()).join(id.time()), &self.root.join(LATEST))
    }

    /// The newest run, of this name or of all: what `latest` points at.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`] when there is none, [`StoreError::BadId`] for an impossible name or link.
    pub fn latest(&self, name: Option<&str>) -> Result<RunDir, StoreError> {
        let none = || StoreError::NoSuchRun {
            id: name.map_or(LATEST.into(), |n| format!("{n}/{LATEST}")),
            root: self.root.clone(),
        };
        let id = match name {
            Some(name) => {
                component(name)?;
                let target =
                    fs::read_link(self.root.join(name).join(LATEST)).map_err(|_| none())?;
                RunId::new(name, target.to_str().ok_or_else(none)?)?
            }
            None => {
                let target = fs::read_link(self.root.join(LATEST)).map_err(|_| none())?;
                target.to_str().ok_or_else(none)?.parse()?
            }
        };
        self.run_dir(&id)
    }

    /// The directory of a run.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`] when it is not there or is a symbolic link.
    pub fn run_dir(&self, id: &RunId) -> Result<RunDir, StoreError> {
        let mut path = self.root.clone();
        for part in [id.name(), id.time()] {
            path.push(part);
            // Links are not followed: a run that was copied in must not show files from elsewhere.
            if !fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir()) {
                let root = self.root.clone();
                return Err(StoreError::NoSuchRun { id: id.to_string(), root });
            }
        }
        Ok(RunDir::new(id.clone(), path))
    }

    /// All runs, newest first. A run directory that cannot be read is listed with its problem.
    ///
    /// # Errors
    /// [`StoreError::Io`] only when the root itself cannot be read.
    pub fn list(&self) -> Result<Vec<RunSummary>, StoreError> {
        fs::read_dir(&self.root).map_err(StoreError::io("read", &self.root))?;
        let mut found = BTreeMap::new();
        let mut before = std::mem::take(&mut *self.locked());
        for name in entries(&self.root) {
            for time in entries(&self.root.join(&name)) {
                let Ok(id) = RunId::new(&name, &time) else { continue };
                let Ok(dir) = self.run_dir(&id) else { continue };
                let known = before.remove(&id);
                let entry = look(&dir, known);
                found.insert(id, entry);
            }
        }
        let mut lines: Vec<_> = found
            .iter()
            .map(|(id, (_, look))| (Reverse(look.started(id)), id, look.summary(id)))
            .collect();
        lines.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        let summaries = lines.into_iter().map(|(_, _, summary)| summary).collect();
        *self.locked() = found;
        Ok(summaries)
    }

    /// One run with its report, plan and header. What is broken is absent, and the summary's problem says why.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`] when it is not there.
    pub fn load(&self, id: &RunId) -> Result<Run, StoreError> {
        let dir = self.run_dir(id)?;
        let summary = Look::at(&dir).summary(id);
        // The same reasons that make these fail are in the summary's problem.
        let report = dir.report().unwrap_or_default();
        let plan = dir.plan().unwrap_or_default();
        let header = dir.header().unwrap_or_default();
        Ok(Run { dir, summary, report, plan, header })
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<RunId, (Stamp, Look)>> {
        // What it guards is a cache: after a panic elsewhere it is at worst empty.
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of the run if nothing changed since, else a new look.
fn look(dir: &RunDir, known: Option<(Stamp, Look)>) -> (Stamp, Look) {
    let stamp = Stamp::of(dir.path());
    match known {
        Some((old, look)) if old == stamp && !look.is_early() => (stamp, look),
        _ => (stamp, Look::at(dir)),
    }
}
