//! Which runs may be deleted. A run that broke a promise never is unless it is named.

use crate::error::StoreError;
use crate::id::RunId;
use crate::store::Store;
use crate::summary::{RunStatus, RunSummary};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// What is kept. A run goes only when every rule that is given lets it go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Runs that started within so many days stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// The newest so many runs of each name stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<usize>,
}

/// What is kept of which runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Of all names that have no rules of their own.
    pub rules: Retention,
    /// Of the runs of these names.
    pub of_names: BTreeMap<String, Retention>,
    /// Runs that stay whatever the rules say, by their ids.
    pub held: BTreeSet<String>,
}

impl Retention {
    /// Whether there is any rule. Without one nothing goes.
    pub fn is_given(&self) -> bool {
        self.days.is_some() || self.newest.is_some()
    }
}

impl From<Retention> for Policy {
    fn from(rules: Retention) -> Policy {
        Policy { rules, ..Policy::default() }
    }
}

impl Policy {
    /// The runs that may go, oldest first. These stay whatever the rules say: runs with a violation, runs under way, runs
    /// without a verdict (nobody knows what they hold), runs whose start is unknown, and runs that are held. Pinned ones
    /// are told apart by [`Store::expired`].
    pub fn expired(&self, runs: &[RunSummary], now: DateTime<Utc>) -> Vec<RunId> {
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
            let rules = self.of_names.get(&run.name).unwrap_or(&self.rules);
            let old = rules.days.is_none_or(|d| now - started > TimeDelta::days(i64::from(d)));
            let many = rules.newest.is_none_or(|n| *rank > n);
            let goes = rules.is_given() && old && many && !self.held.contains(&run.id);
            if goes && is_dispensable(run) {
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
    /// Those of the runs that the policy lets go and nobody pinned, oldest first.
    pub fn expired(&self, policy: &Policy, runs: &[RunSummary], now: DateTime<Utc>) -> Vec<RunId> {
        let mut expired = policy.expired(runs, now);
        expired.retain(|id| self.run_dir(id).is_ok_and(|dir| !dir.is_pinned()));
        expired
    }

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
