//! What goes by itself and when, and the pins that keep a run.

use crate::AppState;
use crate::error::ApiError;
use crate::routes::params::InRun;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{SecondsFormat, Utc};
use perjury_campaign::{expired, policy, prune};
use perjury_store::{Retention, RunId};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The first round comes soon after the start, so that a service that is restarted every night has one, and no sooner, so
/// that whoever started it with the wrong rule can still end it.
const FIRST_AFTER: Duration = Duration::from_secs(120);
const EVERY: Duration = Duration::from_secs(3600);
/// How many runs an answer names.
const NAMED_MAX: usize = 1000;

/// The last round.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Round {
    /// When, RFC 3339.
    at: String,
    /// How many runs went.
    gone: usize,
    /// Which, the oldest first, at most a thousand.
    runs: Vec<String>,
}

/// What the service keeps, and what it took last.
#[derive(Debug, Default)]
pub(crate) struct Keeping {
    pub(crate) rules: Retention,
    last: Mutex<Option<Round>>,
}

impl Keeping {
    pub(crate) fn new(rules: Retention) -> Keeping {
        Keeping { rules, last: Mutex::default() }
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<Round>> {
        // What it guards is a note: after a panic elsewhere it is at worst old.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What would go, and by which rules.
#[derive(Debug, Serialize)]
pub(crate) struct Outlook {
    /// The rules of the service.
    rules: Retention,
    /// The rules of plans, by their names.
    plans: BTreeMap<String, Retention>,
    /// Whether there is any rule.
    active: bool,
    /// How many runs would go at the next round.
    total: usize,
    /// Which, the oldest first, at most a thousand.
    would_go: Vec<String>,
    /// How often there is a round, in seconds.
    every_s: u64,
    last: Option<Round>,
}

fn named(runs: &[RunId]) -> Vec<String> {
    runs.iter().take(NAMED_MAX).map(RunId::to_string).collect()
}

/// What the rules of retention would delete now. Nothing is deleted.
#[utoipa::path(get, path = "/retention", tag = "runs",
    responses((status = 200, description = "rules, plans, total, would_go, last", body = serde_json::Value)))]
pub(crate) async fn outlook(State(state): State<AppState>) -> Result<Json<Outlook>, ApiError> {
    let outlook = tokio::task::spawn_blocking(move || -> Result<Outlook, ApiError> {
        let policy = policy(state.queue.shelf(), state.keeping.rules);
        let going = expired(&state.index, &policy, Utc::now())?;
        let active = policy.rules.is_given() || policy.of_names.values().any(Retention::is_given);
        Ok(Outlook {
            rules: policy.rules,
            plans: policy.of_names,
            active,
            total: going.len(),
            would_go: named(&going),
            every_s: EVERY.as_secs(),
            last: state.keeping.last().clone(),
        })
    });
    Ok(Json(outlook.await??))
}

/// Deletes now what the next round would delete.
#[utoipa::path(post, path = "/retention", tag = "runs",
    responses((status = 200, description = "at, gone, runs", body = serde_json::Value)))]
pub(crate) async fn round(State(state): State<AppState>) -> Result<Json<Round>, ApiError> {
    Ok(Json(tokio::task::spawn_blocking(move || go_round(&state)).await??))
}

fn go_round(state: &AppState) -> Result<Round, ApiError> {
    let now = Utc::now();
    let shelf = state.queue.shelf();
    let gone = prune(&state.index, shelf, &policy(shelf, state.keeping.rules), now)?;
    if !gone.is_empty() {
        tracing::info!(runs = gone.len(), "runs went by the rules of retention");
    }
    let at = now.to_rfc3339_opts(SecondsFormat::Millis, true);
    let round = Round { at, gone: gone.len(), runs: named(&gone) };
    *state.keeping.last() = Some(round.clone());
    Ok(round)
}

/// A round now and then until the service stops.
pub(crate) async fn keep(state: AppState, stop: CancellationToken) {
    let mut wait = FIRST_AFTER;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = EVERY;
        let state = state.clone();
        let gone = tokio::task::spawn_blocking(move || go_round(&state)).await;
        if let Ok(Err(error)) = gone {
            tracing::warn!(?error, "the rules of retention could not be followed");
        }
    }
}

/// Keeps the run whatever the rules of retention say.
#[utoipa::path(put, path = "/runs/{name}/{time}/pin", tag = "runs", params(("name", description = "the run's name"), ("time", description = "the run's time")),
    responses((status = 204, description = "it stays")))]
pub(crate) async fn pin(InRun(run): InRun) -> Result<StatusCode, ApiError> {
    set_pin(run, true).await
}

/// Leaves the run to the rules of retention again.
#[utoipa::path(delete, path = "/runs/{name}/{time}/pin", tag = "runs", params(("name", description = "the run's name"), ("time", description = "the run's time")),
    responses((status = 204, description = "the rules hold for it again")))]
pub(crate) async fn unpin(InRun(run): InRun) -> Result<StatusCode, ApiError> {
    set_pin(run, false).await
}

async fn set_pin(run: perjury_store::RunDir, pinned: bool) -> Result<StatusCode, ApiError> {
    tokio::task::spawn_blocking(move || run.pin(pinned)).await??;
    Ok(StatusCode::NO_CONTENT)
}
