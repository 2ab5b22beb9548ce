//! Which runs may be deleted. A run that broke a promise never is unless it is named.

use crate::error::StoreError;
use crate::id::RunId;
use crate::store::Store;
use crate::summary::{RunStatus, RunSummary};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::fs;

/// What is kept. A run goes only when every rule that is given lets it go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Runs that started within so many days stay.
    pub days: Option<u32>,
    /// The newest so many runs of each name stay.
    pub newest: Option<usize>,
}

impl Retention {
    /// The runs that may go, oldest first. These stay whatever the rules say: runs with a violation, runs under way, runs
    /// without a verdict (nobody knows what they hold), runs whose start is unknown. Without any rule nothing goes.
    pub fn expired(&self, runs: &[RunSummary], now: DateTime<Utc>) -> Vec<RunId> {
        if self.days.is_none() && self.newest.is_none() {
            return Vec::new();
        }
        let mut newest_first: Vec<(DateTime<Utc>, &RunSummary)> = runs
            .iter()
            .filter_map(|run| {
                let at = DateTime::parse_from_rfc3339(run.started.as_deref()?).ok()?;
                Some((at.with_timezone(&Utc), run))
            })
            .collect();
        newest_first.sort_by(|a, b| (b.0, &b.1.id).cmp(&(a.0, &a.1.id)));
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let mut expired = Vec::new();
        for (started, run) in newest_first {
            let rank = seen.entry(&run.name).or_default();
            *rank += 1;
            let old = self.days.is_none_or(|d| now - started > TimeDelta::days(i64::from(d)));
            let many = self.newest.is_none_or(|n| *rank > n);
            if old && many && is_dispensable(run) {
                expired.extend(run.id.parse::<RunId>().ok());
            }
        }
        expired.reverse();
        expired
    }
}

/// Whether the run is over, judged, and without any violation.
pub fn is_dispensable(run: &RunSummary) -> bool {
    run.status != RunStatus::Running
        && run.violations == 0
        && matches!(run.verdict.as_deref(), Some("valid" | "unknown"))
}

impl Store {
    /// Deletes a run's directory: first it is renamed to a hidden name, so that no reader sees a half of it, and so that
    /// what a crash leaves is no run. Links to the newest run are set anew.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`] when it is not there, [`StoreError::Running`] while its writer lives,
    /// [`StoreError::Io`] when the file system refuses.
    pub fn remove_run(&self, id: &RunId) -> Result<(), StoreError> {
        let dir = self.run_dir(id)?;
        let path = dir.path();
        if dir.status().ok().flatten().is_some_and(|s| s.is_at_work()) {
            return Err(StoreError::Running { id: id.to_string() });
        }
        let doomed = path.with_file_name(format!(".deleted-{}", id.time()));
        if doomed.exists() {
            fs::remove_dir_all(&doomed).map_err(StoreError::io("delete", &doomed))?;
        }
        fs::rename(path, &doomed).map_err(StoreError::io("rename", path))?;
        fs::remove_dir_all(&doomed).map_err(StoreError::io("delete", &doomed))?;
        self.point_latest_anew(id.name())
    }
}
