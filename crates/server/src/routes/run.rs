//! One run: its report, and its history over time.

use crate::AppState;
use crate::error::ApiError;
use crate::histories::Windows;
use crate::routes::params::{Asked, InRun};
use axum::Json;
use axum::extract::State;
use perjury_store::{FileEntry, RunSummary};
use perjury_view::timeline::timeline as build;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

const POINTS_DEFAULT: usize = 5000;
const POINTS_MAX: usize = 20_000;

/// All that a report page needs but the history.
#[derive(Debug, Serialize)]
pub(crate) struct Detail {
    summary: RunSummary,
    report: Option<Value>,
    plan: Option<Value>,
    header: Option<Value>,
    files: Vec<FileEntry>,
    /// The nodes that left logs.
    nodes: Vec<String>,
    /// Whether it stays whatever the rules of retention say.
    pinned: bool,
    /// Where the run directory is on the server's machine, for commands to copy.
    path: String,
}

/// Summary, report, plan, header and files of a run.
#[utoipa::path(get, path = "/runs/{name}/{time}", tag = "runs", params(("name", description = "the run's name"), ("time", description = "the run's time")),
    responses((status = 200, description = "summary, report, plan, header, files, nodes, path", body = serde_json::Value)))]
pub(crate) async fn detail(
    State(state): State<AppState>,
    InRun(run): InRun,
) -> Result<Json<Detail>, ApiError> {
    let store = Arc::clone(&state.store);
    let loaded = tokio::task::spawn_blocking(move || store.load(run.id())).await??;
    Ok(Json(Detail {
        files: loaded.dir.files(),
        nodes: loaded.dir.nodes(),
        pinned: loaded.dir.is_pinned(),
        path: loaded.dir.path().display().to_string(),
        summary: loaded.summary,
        report: loaded.report,
        plan: loaded.plan,
        header: loaded.header,
    }))
}

/// Which window of time.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TimelineQuery {
    points: Option<usize>,
    /// Nanoseconds since the start of the run.
    from: Option<i64>,
    to: Option<i64>,
}

/// Latency points, rates, fault bands and leader changes.
#[utoipa::path(get, path = "/runs/{name}/{time}/timeline", tag = "runs", params(("name", description = "the run's name"), ("time", description = "the run's time"), TimelineQuery),
    responses((status = 200, description = "latency points, rates, fault bands, leader changes", body = serde_json::Value),
        (status = 202, description = "the index of a long history is being made: preparing, with done_bytes of bytes; ask again")))]
pub(crate) async fn timeline(
    State(state): State<AppState>,
    InRun(run): InRun,
    Asked(query): Asked<TimelineQuery>,
) -> Result<Json<Value>, ApiError> {
    let points = query.points.unwrap_or(POINTS_DEFAULT).min(POINTS_MAX);
    // The whole run at the usual density is what a page asks first.
    if query.from.is_none() && query.to.is_none() && points <= POINTS_DEFAULT {
        let dir = run.clone();
        let kept = tokio::task::spawn_blocking(move || dir.first_screen()).await??;
        if let Some(mut kept) = kept {
            return Ok(Json(kept["timeline"].take()));
        }
    }
    let windows = state.histories.windows(&run).await?;
    let built = tokio::task::spawn_blocking(move || -> Result<_, ApiError> {
        Ok(match windows {
            Windows::Whole(history) => {
                let Ok(built) = build(&*history, query.from, query.to, points);
                built
            }
            Windows::Paged(paged) => build(&*paged, query.from, query.to, points)?,
        })
    });
    let built = serde_json::to_value(built.await??);
    Ok(Json(built.map_err(|e| ApiError::internal(e.to_string()))?))
}
