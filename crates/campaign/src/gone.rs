//! Runs whose directories are no longer there and that statistics still count.
//!
//! A rule of retention deletes valid runs and keeps violations. Counted from what is left, violations would look more likely with
//! every round. So two things tell of a run that went: `campaign.json`, which names each run of a campaign with its verdict,
//! and `<store>/.campaigns/gone/<name>.jsonl`, to which a run is added before the rules delete it, whoever made it.

use crate::shelf::{CampaignRun, RunState, Shelf};
use perjury_store::{GoneRun, Index, IndexError, RunId, RunSummary, StoreError, Trend};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The trend of the runs of one name: of those that are there, and of those that a record tells of.
///
/// # Errors
/// [`IndexError`] when the index cannot be read.
pub fn trend(index: &Index, shelf: &Shelf, name: &str) -> Result<Trend, IndexError> {
    index.trend(name, &recorded(shelf, name))
}

/// Every run of this name that a record tells of, whether it is there or not.
fn recorded(shelf: &Shelf, name: &str) -> Vec<GoneRun> {
    let mut runs: BTreeMap<String, GoneRun> = BTreeMap::new();
    // What is no name of a run must not become a path either.
    if RunId::new(name, "time").is_err() {
        return Vec::new();
    }
    for campaign in shelf.list_where(|id| may_make(id, name)) {
        let of_name = campaign.runs.iter().filter(|r| r.name == name);
        runs.extend(of_name.filter_map(|r| of_campaign(r).map(|gone| (gone.id.clone(), gone))));
    }
    // The list knows the version, too, and so has the last word.
    runs.extend(listed(&list_path(shelf, name)).map(|gone| (gone.id.clone(), gone)));
    runs.into_values().collect()
}

/// Whether the campaign of this identifier, `<name>-<time>`, can have made runs of this name: they are called after it.
fn may_make(id: &str, name: &str) -> bool {
    let Some((called, _)) = id.rsplit_once('-') else { return false };
    name.strip_prefix(called).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// A run that is over. Earlier attempts do not count, and neither does what never began.
fn of_campaign(run: &CampaignRun) -> Option<GoneRun> {
    if !matches!(run.state, RunState::Done | RunState::Interrupted) {
        return None;
    }
    let id = run.run.clone()?;
    let started_ms = started_ms(&id);
    Some(GoneRun { id, started_ms, verdict: run.verdict.clone(), cluster: None })
}

fn started_ms(id: &str) -> i64 {
    let started = id.parse::<RunId>().ok().and_then(|id| id.started());
    started.map_or(0, |at| at.timestamp_millis())
}

fn list_path(shelf: &Shelf, name: &str) -> PathBuf {
    shelf.root().join("gone").join(format!("{name}.jsonl"))
}

/// The lines of a list; none when there is no list. A line that was cut short by a crash is passed over: its run was not
/// deleted.
fn listed(path: &Path) -> impl Iterator<Item = GoneRun> + use<> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let runs: Vec<GoneRun> = text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    runs.into_iter()
}

/// Adds the run to the list of its name, on disk before this returns.
pub(crate) fn note(shelf: &Shelf, run: &RunSummary) -> Result<(), StoreError> {
    let at = run.started.as_deref().and_then(|t| chrono::DateTime::parse_from_rfc3339(t).ok());
    let gone = GoneRun {
        id: run.id.clone(),
        started_ms: at.map_or_else(|| started_ms(&run.id), |at| at.timestamp_millis()),
        verdict: run.verdict.clone(),
        cluster: run.cluster.clone(),
    };
    let path = list_path(shelf, &run.name);
    let failed = |source| StoreError::Io { action: "write", path: path.clone(), source };
    let line = serde_json::to_string(&gone).map_err(|e| failed(e.into()))?;
    let written = (|| {
        fs::create_dir_all(shelf.root().join("gone"))?;
        let mut file = File::options().create(true).append(true).open(&path)?;
        // The line before may have been cut short.
        file.write_all(format!("\n{line}\n").as_bytes())?;
        file.sync_all()
    })();
    written.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_called_after_their_campaign() {
        let id = "night-run-20261123T120431.207Z";
        for (name, may) in [
            ("night-run", true),
            ("night-run-acks-1", true),
            ("night", false),
            ("night-runs", false),
            ("", false),
        ] {
            assert_eq!(may_make(id, name), may, "{name}");
        }
        assert!(!may_make("executor.lock", "executor.lock"));
    }
}
