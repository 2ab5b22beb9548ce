//! Which runs go by themselves: what the service is told to keep, what plans say of their own runs, and what always stays.

use crate::gone::note;
use crate::matrix::parse;
use crate::shelf::Shelf;
use chrono::{DateTime, Utc};
use perjury_store::{Index, IndexError, Policy, Retention, RunId, RunSummary};
use std::collections::{BTreeMap, BTreeSet};

/// What is kept now: `rules` for all runs, but those of the newest campaign's plan for the runs of its name (`[keep]` in the
/// file). Runs of a campaign that is not over are held, since it may be resumed.
pub fn policy(shelf: &Shelf, rules: Retention) -> Policy {
    let mut policy = Policy::from(rules);
    let mut seen = BTreeSet::new();
    // The newest come first.
    for campaign in shelf.list() {
        if !campaign.state.is_over() {
            let runs = campaign.runs.iter().flat_map(|r| r.run.iter().chain(&r.earlier));
            policy.held.extend(runs.cloned());
        }
        if !seen.insert(campaign.name.clone()) {
            continue;
        }
        let plan = shelf.toml(&campaign.id).ok().and_then(|toml| parse(&toml).ok());
        if let Some(keep) = plan.and_then(|p| p.keep) {
            policy.of_names.insert(campaign.name, keep.into());
        }
    }
    policy
}

/// The runs that would go now, oldest first.
///
/// # Errors
/// [`IndexError`] when the index cannot be read.
pub fn expired(
    index: &Index,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Vec<RunId>, IndexError> {
    index.refresh_all()?;
    Ok(index.store().expired(policy, &index.all()?, now))
}

/// Deletes what would go now, and says what went. A run is noted before it goes, so that trends still count it. What cannot be
/// noted or deleted is logged and stays.
///
/// # Errors
/// [`IndexError`] when the index cannot be read.
pub fn prune(
    index: &Index,
    shelf: &Shelf,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Vec<RunId>, IndexError> {
    let mut gone = Vec::new();
    let going = expired(index, policy, now)?;
    let summaries = index.all()?;
    let summaries: BTreeMap<&str, &RunSummary> =
        summaries.iter().map(|s| (s.id.as_str(), s)).collect();
    for id in going {
        let Some(summary) = summaries.get(id.to_string().as_str()) else { continue };
        match note(shelf, summary).and_then(|()| index.store().remove_run(&id)) {
            Ok(()) => gone.push(id),
            Err(error) => tracing::warn!(%error, run = %id, "the run stays"),
        }
    }
    index.refresh()?;
    Ok(gone)
}
