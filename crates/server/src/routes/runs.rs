//! The list of runs.

use crate::AppState;
use crate::error::ApiError;
use crate::routes::params::{Asked, commas};
use axum::Json;
use axum::extract::State;
use perjury_store::{RunStatus, RunSummary};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;

/// What part of the list.
#[derive(Debug, Deserialize)]
pub(crate) struct ListQuery {
    /// Words that must all occur, in any column.
    q: Option<String>,
    /// Verdicts or statuses, separated by commas; any of them.
    verdict: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

/// A part of the list.
#[derive(Debug, Serialize)]
pub(crate) struct ListAnswer {
    runs: Vec<RunSummary>,
    /// How many runs match.
    total: usize,
    /// How many runs there are, whatever was asked.
    stored: usize,
    /// How many of those that match the words have each verdict, before the verdict filter.
    verdicts: Verdicts,
}

#[derive(Debug, Default, Serialize)]
struct Verdicts {
    invalid: usize,
    unknown: usize,
    valid: usize,
    none: usize,
}

/// Runs that match, newest first.
pub(crate) async fn list(
    State(state): State<AppState>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<ListAnswer>, ApiError> {
    let store = Arc::clone(&state.store);
    let mut runs = tokio::task::spawn_blocking(move || store.list()).await??;
    let stored = runs.len();
    let words: Vec<String> =
        query.q.unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
    if !words.is_empty() {
        runs.retain(|run| {
            let text = haystack(run);
            words.iter().all(|w| text.contains(w.as_str()))
        });
    }
    let mut verdicts = Verdicts::default();
    for run in &runs {
        *match run.verdict.as_deref() {
            Some("invalid") => &mut verdicts.invalid,
            Some("unknown") => &mut verdicts.unknown,
            Some("valid") => &mut verdicts.valid,
            _ => &mut verdicts.none,
        } += 1;
    }
    let wanted: Vec<&str> = commas(query.verdict.as_deref()).collect();
    if !wanted.is_empty() {
        runs.retain(|run| {
            wanted.contains(&run.verdict.as_deref().unwrap_or("none"))
                || wanted.contains(&status(run.status))
        });
    }
    let total = runs.len();
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX);
    let runs = runs.into_iter().skip(query.offset.unwrap_or(0)).take(limit).collect();
    Ok(Json(ListAnswer { runs, total, stored, verdicts }))
}

fn status(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Complete => "complete",
        RunStatus::Running => "running",
        RunStatus::Interrupted => "interrupted",
        RunStatus::Unchecked => "unchecked",
        RunStatus::Unreadable => "unreadable",
    }
}

/// Everything of a run that a search looks at, in small letters.
fn haystack(run: &RunSummary) -> String {
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
    text.push_str(status(run.status));
    text.to_lowercase()
}
