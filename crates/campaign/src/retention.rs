//! Which runs go by themselves: what the service is told to keep, what plans say of their own runs, and what always stays.

use crate::matrix::parse;
use crate::shelf::Shelf;
use chrono::{DateTime, Utc};
use perjury_store::{Index, IndexError, Policy, Retention, RunId};

/// What is kept now: `rules` for all runs, but those of the newest campaign's plan for the runs of its name (`[keep]` in the
/// file). Runs of a campaign that is not over are held, since it may be resumed.
pub fn policy(shelf: &Shelf, rules: Retention) -> Policy {
    let mut policy = Policy::from(rules);
    let mut seen = std::collections::BTreeSet::new();
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

/// Deletes what would go now, and says what went. What cannot be deleted is logged and stays.
///
/// # Errors
/// [`IndexError`] when the index cannot be read.
pub fn prune(index: &Index, policy: &Policy, now: DateTime<Utc>) -> Result<Vec<RunId>, IndexError> {
    let mut gone = Vec::new();
    for id in expired(index, policy, now)? {
        match index.store().remove_run(&id) {
            Ok(()) => gone.push(id),
            Err(error) => tracing::warn!(%error, run = %id, "the run stays"),
        }
    }
    index.refresh()?;
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use perjury_store::Store;
    use serde_json::json;
    use std::sync::Arc;

    fn place(store: &Store, name: &str, at: DateTime<Utc>, verdict: &str) -> RunId {
        let dir = store.create_run(name, at).unwrap();
        let found = if verdict == "invalid" { "violation" } else { "allowed" };
        dir.write_report(&json!({
            "schema": "perjury.report/1", "verdict": verdict,
            "anomalies": {"lost-write": {"count": 1, "judgement": found}},
        }))
        .unwrap();
        std::fs::write(dir.history_path(), "{\"perjury\":\"history\",\"format\":\"1.0\"}\n")
            .unwrap();
        dir.mark_running(at).unwrap();
        dir.mark_complete(at).unwrap();
        dir.id().clone()
    }

    #[test]
    fn violations_pins_and_unfinished_campaigns_stay_and_plans_have_their_own_rules() {
        let root = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(root.path()).unwrap());
        let index = Index::open(Arc::clone(&store)).unwrap();
        let shelf = Shelf::open(Arc::clone(&store)).unwrap();
        let now = Utc::now();
        let old = |days: i64| now - TimeDelta::days(days);
        let gone = place(&store, "night", old(9), "valid");
        let lost = place(&store, "night", old(8), "invalid");
        let pinned = place(&store, "night", old(7), "valid");
        let young = place(&store, "night", old(1), "valid");
        let own = place(&store, "release", old(6), "valid");
        store.run_dir(&pinned).unwrap().pin(true).unwrap();
        let rules = Retention { days: Some(5), newest: None };

        let none = expired(&index, &policy(&shelf, Retention::default()), now).unwrap();
        assert_eq!(none, []);
        assert_eq!(
            expired(&index, &policy(&shelf, rules), now).unwrap(),
            [gone.clone(), own.clone()]
        );

        let toml = "name = \"release\"\n[keep]\nnewest = 3\n";
        let runs = parse(toml).unwrap().expand(&|_| Err("none".into())).unwrap();
        let campaign = shelf.create("release", toml, false, &runs, now).unwrap();
        let kept = policy(&shelf, rules);
        assert_eq!(kept.of_names["release"], Retention { days: None, newest: Some(3) });
        assert_eq!(prune(&index, &kept, now).unwrap(), [gone.clone()]);
        assert!(!store.run_dir(&gone).is_ok_and(|d| d.path().exists()));

        let mut under_way = campaign.clone();
        under_way.runs[0].run = Some(own.to_string());
        shelf.save(&under_way).unwrap();
        let none_of_it = Retention { days: Some(0), newest: None };
        let mut all = policy(&shelf, none_of_it);
        all.of_names.clear();
        assert_eq!(
            expired(&index, &all, now).unwrap(),
            [young],
            "{lost} broke a promise, {own} is wanted"
        );
    }
}
