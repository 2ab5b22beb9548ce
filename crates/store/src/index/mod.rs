//! The index: what the list of runs, its filters and its trends need, in one SQLite file.
//!
//! The run directories are the truth. The index is derived from them and may be removed at any time; a refresh looks at
//! what changed since the last one. It stands in `<store>/.index/`, which no run can be named like.
//!
//! A refresh is quick because of what it does not look at: a folder of runs whose time of change is the same has the
//! same runs, and a run that is over and has its report is *settled*. Settled runs are looked at again by
//! [`Index::refresh_all`], which finds files that were changed in place.

mod query;
mod schema;
mod trend;

pub use query::{Group, RunPage, RunQuery, Sort, SortKey, VerdictCounts};
pub use trend::{GoneRun, Interval, Judged, Trend, TrendPoint, VersionTrend, wilson};

use crate::error::StoreError;
use crate::id::RunId;
use crate::run_dir::{RunDir, entries};
use crate::store::{Stamp, Store};
use crate::summary::{Look, RunStatus, RunSummary};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// A directory or file that changed this recently may change again within the resolution of its time of change.
const FRESH: Duration = Duration::from_secs(2);

/// What can go wrong with the index. None of it touches a run directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// SQLite failed.
    #[error("the index of the runs failed: {0}; `perjury reindex` makes it anew")]
    Sqlite(#[from] rusqlite::Error),
    /// A row holds no summary.
    #[error("a row of the index is not readable: {0}; `perjury reindex` makes it anew")]
    Row(#[from] serde_json::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a refresh found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Runs that are new or changed.
    pub read: usize,
    /// Runs that are no longer there.
    pub gone: usize,
}

/// The index of one store. One connection, shared by a lock: every query is far shorter than a request.
#[derive(Debug)]
pub struct Index {
    store: Arc<Store>,
    db: Mutex<Connection>,
}

/// A run as it shall stand in the index.
struct Line {
    summary: RunSummary,
    started_ms: i64,
    stamp: String,
    settled: bool,
}

/// What the index holds of a run, as far as a refresh needs it.
struct Known {
    stamp: String,
    settled: bool,
    running: bool,
}

impl Index {
    /// Opens the index of the store, creating it if need be. A file that is damaged or of a newer version is made anew.
    ///
    /// # Errors
    /// [`IndexError::Store`] when the folder cannot be made, [`IndexError::Sqlite`] when the file cannot be used.
    pub fn open(store: Arc<Store>) -> Result<Index, IndexError> {
        let path = path_of(&store);
        let folder = path.parent().unwrap_or(store.root());
        fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        let db = match connect(&path) {
            Ok(Some(db)) => db,
            Ok(None) => rebuilt(&path)?,
            Err(IndexError::Sqlite(error)) if is_damage(&error) => {
                tracing::warn!(%error, path = %path.display(), "the index is damaged and made anew");
                rebuilt(&path)?
            }
            Err(error) => return Err(error),
        };
        Ok(Index { store, db: Mutex::new(db) })
    }

    /// The store that it is of.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Looks at what can have changed: new and removed directories, and runs that are not settled.
    ///
    /// # Errors
    /// [`IndexError::Store`] when the root cannot be read, [`IndexError::Sqlite`] when the index cannot be written.
    pub fn refresh(&self) -> Result<Refreshed, IndexError> {
        self.update(false)
    }

    /// Looks at every run directory, and reads again what changed in it.
    ///
    /// # Errors
    /// As [`Index::refresh`].
    pub fn refresh_all(&self) -> Result<Refreshed, IndexError> {
        self.update(true)
    }

    /// Forgets everything and reads all run directories.
    ///
    /// # Errors
    /// As [`Index::refresh`].
    pub fn reindex(&self) -> Result<Refreshed, IndexError> {
        {
            let mut db = self.locked();
            let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            change.execute_batch("DELETE FROM runs; DELETE FROM names;")?;
            bump(&change)?;
            change.commit()?;
        }
        self.update(true)
    }

    /// A number that grows with every change of the index.
    ///
    /// # Errors
    /// [`IndexError::Sqlite`].
    pub fn revision(&self) -> Result<i64, IndexError> {
        let sql = "SELECT value FROM meta WHERE key = 'revision'";
        Ok(self.locked().query_row(sql, [], |row| row.get(0))?)
    }

    fn update(&self, all: bool) -> Result<Refreshed, IndexError> {
        let root = self.store.root();
        fs::read_dir(root).map_err(StoreError::io("read", root))?;
        let mut db = self.locked();
        let mut changes = Changes::default();
        let known_names = names(&db)?;
        let mut on_disk = BTreeSet::new();
        for name in entries(root) {
            let path = root.join(&name);
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            if !meta.is_dir() {
                continue;
            }
            let mtime = settled_mtime(&meta);
            on_disk.insert(name.clone());
            if !all && mtime.is_some() && known_names.get(&name) == mtime.as_ref() {
                continue;
            }
            self.scan(&db, &name, all, &mut changes)?;
            changes.names.push((name, mtime.unwrap_or(0)));
        }
        for name in known_names.keys().filter(|n| !on_disk.contains(*n)) {
            changes.gone.extend(known(&db, "name = ?1", [name])?.into_keys());
            changes.names_gone.push(name.clone());
        }
        if !all {
            self.unsettled(&db, &mut changes)?;
        }
        changes.write(&mut db)
    }

    /// Compares the runs of one name with what the index holds of them.
    fn scan(
        &self,
        db: &Connection,
        name: &str,
        all: bool,
        changes: &mut Changes,
    ) -> Result<(), IndexError> {
        let mut known = known(db, "name = ?1", [name])?;
        for time in entries(&self.store.root().join(name)) {
            let Ok(id) = RunId::new(name, &time) else { continue };
            let Ok(dir) = self.store.run_dir(&id) else { continue };
            match known.remove(&id.to_string()) {
                None => changes.read(&dir),
                Some(before) if all => changes.read_if_changed(&dir, &before),
                // An unsettled one is looked at after this.
                Some(_) => {}
            }
        }
        changes.gone.extend(known.into_keys());
        Ok(())
    }

    fn unsettled(&self, db: &Connection, changes: &mut Changes) -> Result<(), IndexError> {
        for (id, before) in known(db, "settled = ?1", [0])? {
            if changes.gone.contains(&id) {
                continue;
            }
            match id.parse::<RunId>().ok().and_then(|id| self.store.run_dir(&id).ok()) {
                Some(dir) => changes.read_if_changed(&dir, &before),
                None => changes.gone.push(id),
            }
        }
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, Connection> {
        // Every change is one transaction: after a panic elsewhere the connection is whole.
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a refresh will write.
#[derive(Default)]
struct Changes {
    lines: Vec<Line>,
    gone: Vec<String>,
    names: Vec<(String, i64)>,
    names_gone: Vec<String>,
}

impl Changes {
    fn read(&mut self, dir: &RunDir) {
        let stamp = Stamp::of(dir.path());
        let look = Look::at(dir);
        let summary = look.summary(dir.id());
        let over = matches!(summary.status, RunStatus::Complete | RunStatus::Interrupted);
        let settled =
            over && summary.verdict.is_some() && !look.is_early() && !stamp.is_fresh(FRESH);
        let started_ms = look.started(dir.id()).map_or(0, |at| at.timestamp_millis());
        self.lines.push(Line { summary, started_ms, stamp: stamp.text(), settled });
    }

    fn read_if_changed(&mut self, dir: &RunDir, before: &Known) {
        let stamp = Stamp::of(dir.path());
        // A running one ends without a change of its files when its writer dies.
        if before.running || stamp.text() != before.stamp || (!before.settled && stamp.has_report())
        {
            self.read(dir);
        }
    }

    fn write(self, db: &mut Connection) -> Result<Refreshed, IndexError> {
        let refreshed = Refreshed { read: self.lines.len(), gone: self.gone.len() };
        if self.lines.is_empty()
            && self.gone.is_empty()
            && self.names_gone.is_empty()
            && self.names.iter().all(|(_, mtime)| *mtime == 0)
        {
            return Ok(refreshed);
        }
        let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for line in &self.lines {
            insert(&change, line)?;
        }
        for id in &self.gone {
            change.prepare_cached("DELETE FROM runs WHERE id = ?1")?.execute([id])?;
        }
        for (name, mtime) in &self.names {
            let sql =
                "INSERT INTO names VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET mtime_ns = ?2";
            change.prepare_cached(sql)?.execute(params![name, mtime])?;
        }
        for name in &self.names_gone {
            change.execute("DELETE FROM names WHERE name = ?1", [name])?;
        }
        if !self.lines.is_empty() || !self.gone.is_empty() {
            bump(&change)?;
        }
        change.commit()?;
        Ok(refreshed)
    }
}

fn bump(db: &Connection) -> Result<(), IndexError> {
    db.execute("UPDATE meta SET value = value + 1 WHERE key = 'revision'", [])?;
    Ok(())
}

fn insert(db: &Transaction<'_>, line: &Line) -> Result<(), IndexError> {
    let s = &line.summary;
    db.prepare_cached("DELETE FROM runs WHERE id = ?1")?.execute([&s.id])?;
    let sql =
        "INSERT INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    let verdict = s.verdict.as_deref().unwrap_or("none");
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    db.prepare_cached(sql)?.execute(params![
        s.id,
        s.name,
        line.started_ms,
        s.status.as_str(),
        verdict,
        severity(verdict),
        s.workload,
        s.cluster,
        s.operations.map_or(-1, number),
        number(s.violations),
        words(s),
        serde_json::to_string(s)?,
        line.stamp,
        line.settled,
    ])?;
    for nemesis in &s.nemesis {
        db.prepare_cached("INSERT OR IGNORE INTO nemeses VALUES (?1, ?2)")?
            .execute(params![s.id, nemesis])?;
    }
    for (anomaly, count) in &s.anomalies {
        db.prepare_cached("INSERT INTO anomalies VALUES (?1, ?2, ?3)")?.execute(params![
            s.id,
            anomaly,
            number(*count)
        ])?;
    }
    Ok(())
}

/// The order in which verdicts are looked at: what is broken first.
fn severity(verdict: &str) -> i64 {
    match verdict {
        "invalid" => 0,
        "unknown" => 1,
        "valid" => 2,
        _ => 3,
    }
}

/// Everything of a run that a search looks at, in small letters.
fn words(run: &RunSummary) -> String {
    let mut text = run.id.clone();
    let singles = [&run.headline, &run.workload, &run.cluster, &run.verdict, &run.problem];
    let lists = [&run.nemesis, &run.bugs, &run.reasons];
    let seed = run.seed.map(|s| s.to_string());
    let parts = singles
        .into_iter()
        .flatten()
        .chain(lists.into_iter().flatten())
        .chain(run.anomalies.keys())
        .chain(&seed);
    for part in parts {
        text.push(' ');
        text.push_str(part);
    }
    text.push(' ');
    text.push_str(run.status.as_str());
    text.to_lowercase()
}

fn names(db: &Connection) -> Result<BTreeMap<String, i64>, IndexError> {
    let mut query = db.prepare_cached("SELECT name, mtime_ns FROM names")?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn known<P: rusqlite::Params>(
    db: &Connection,
    condition: &str,
    values: P,
) -> Result<BTreeMap<String, Known>, IndexError> {
    let sql = format!("SELECT id, stamp, settled, status = 'running' FROM runs WHERE {condition}");
    let mut query = db.prepare_cached(&sql)?;
    let rows = query.query_map(values, |row| {
        let known = Known { stamp: row.get(1)?, settled: row.get(2)?, running: row.get(3)? };
        Ok((row.get(0)?, known))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The time of change in nanoseconds, when it is old enough to tell every later change from it.
fn settled_mtime(meta: &fs::Metadata) -> Option<i64> {
    let at = meta.modified().ok()?;
    let age = SystemTime::now().duration_since(at).ok()?;
    let ns = at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_nanos();
    (age > FRESH).then_some(i64::try_from(ns).ok()?)
}

fn path_of(store: &Store) -> PathBuf {
    store.root().join(".index").join("index.sqlite")
}

/// The connection; none when the file was written by a newer version.
fn connect(path: &Path) -> Result<Option<Connection>, IndexError> {
    let mut db = Connection::open(path)?;
    match schema::prepare(&mut db)? {
        schema::Fit::Ready => Ok(Some(db)),
        schema::Fit::Newer => Ok(None),
    }
}

fn rebuilt(path: &Path) -> Result<Connection, IndexError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(&name) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", PathBuf::from(name))(e).into());
            }
            _ => {}
        }
    }
    connect(path)?.ok_or_else(|| IndexError::Sqlite(rusqlite::Error::InvalidQuery))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}
