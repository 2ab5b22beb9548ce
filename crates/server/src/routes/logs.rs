//! What the nodes printed.

use crate::AppState;
use crate::error::ApiError;
use crate::routes::params::{Asked, InRun, given};
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use perjury_store::{LogLine, LogQuery, read_logs};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const LIMIT_DEFAULT: usize = 500;
const LIMIT_MAX: usize = 10_000;

/// Which lines.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogsQuery {
    node: Option<String>,
    /// Nanoseconds since the start of the run.
    from: Option<i64>,
    to: Option<i64>,
    limit: Option<usize>,
}

/// Lines in the order of time.
#[derive(Debug, Serialize)]
pub(crate) struct LogsAnswer {
    lines: Vec<Line>,
    /// Whether there may be more lines than were sent.
    more: bool,
}

#[derive(Debug, Serialize)]
struct Line {
    #[serde(flatten)]
    line: LogLine,
    /// Nanoseconds since the start of the run, on the history's axis as far as two clocks of one machine agree.
    t: Option<i64>,
}

/// Lines of all nodes or of one within a window of the run.
#[utoipa::path(get, path = "/runs/{name}/{time}/logs", tag = "runs", params(("name", description = "the run's name"), ("time", description = "the run's time"), LogsQuery),
    responses((status = 200, description = "lines, more", body = serde_json::Value)))]
pub(crate) async fn logs(
    State(state): State<AppState>,
    InRun(run): InRun,
    Asked(query): Asked<LogsQuery>,
) -> Result<Json<LogsAnswer>, ApiError> {
    let store = Arc::clone(&state.store);
    let answer = tokio::task::spawn_blocking(move || -> Result<LogsAnswer, ApiError> {
        let started = start(&store.load(run.id())?);
        let limit = query.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
        let at = |ns: Option<i64>| Some(started? + TimeDelta::nanoseconds(ns?));
        let wanted = LogQuery {
            node: given(query.node),
            from: at(query.from),
            to: at(query.to),
            limit: limit + 1,
        };
        let mut lines = read_logs(&run, &wanted)?;
        let more = lines.len() > limit;
        lines.truncate(limit);
        let since = |line: &LogLine| (line.at? - started?).num_nanoseconds();
        let lines = lines.into_iter().map(|line| Line { t: since(&line), line }).collect();
        Ok(LogsAnswer { lines, more })
    });
    Ok(Json(answer.await??))
}

/// The wall-clock time at which the history's clock read 0: what the header says, else the start of the run.
fn start(run: &perjury_store::Run) -> Option<DateTime<Utc>> {
    let header = run.header.as_ref().and_then(|h| h["started"].as_str());
    let text = header.or(run.summary.started.as_deref())?;
    Some(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc))
}
