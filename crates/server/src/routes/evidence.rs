//! A run as a file to be given away: evidence bundle, one-file report, text for a ticket.

use crate::AppState;
use crate::error::ApiError;
use crate::routes::params::{Asked, InRun, given};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use perjury_checker::render::{self, Origin};
use perjury_checker::{Options, Report, check};
use perjury_evidence::{EvidenceError, Source, Wanted, bundle, report_page};
use perjury_store::RunDir;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Evidence is made one at a time: each holds a history twice.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What evidence shall show.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EvidenceQuery {
    /// The anomaly, such as `lost-write`, or `lost-write:2` for its second case; the worst one if absent.
    anomaly: Option<String>,
    /// What to replace by pseudonyms: `values`, `hosts`, `keys`, separated by commas.
    redact: Option<String>,
}

/// The evidence bundle of the run: a zip file that `perjury verify` checks.
#[utoipa::path(get, path = "/runs/{name}/{time}/evidence", tag = "runs", params(("name", description = "the run's name"), ("time", description = "the run's time"), EvidenceQuery),
    responses((status = 200, description = "the bundle", content_type = "application/zip"), (status = 400, description = "no such anomaly"), (status = 422, description = "no evidence can be made of it")))]
pub(crate) async fn zip(
    State(state): State<AppState>,
    InRun(run): InRun,
    Asked(query): Asked<EvidenceQuery>,
) -> Result<Response, ApiError> {
    let made = make(&state, run, query, |source, wanted| {
        let made = bundle(source, wanted, None)?;
        Ok((made.bytes, made.file_name))
    });
    let (bytes, name) = made.await?;
    Ok(saved(bytes, &name, "application/zip"))
}

/// The report of the run as one page that needs no server.
#[utoipa::path(get, path = "/runs/{name}/{time}/report.html", tag = "runs", params(("name", description = "the run's name"), ("time", description = "the run's time"), EvidenceQuery),
    responses((status = 200, description = "the page", content_type = "text/html"), (status = 400, description = "no such anomaly"), (status = 422, description = "no evidence can be made of it")))]
pub(crate) async fn page(
    State(state): State<AppState>,
    InRun(run): InRun,
    Asked(query): Asked<EvidenceQuery>,
) -> Result<Response, ApiError> {
    let made = make(&state, run, query, |source, wanted| {
        let (html, name) = report_page(source, wanted, None)?;
        Ok((html.into_bytes(), name))
    });
    let (bytes, name) = made.await?;
    Ok(saved(bytes, &name, "text/html; charset=utf-8"))
}

/// Which tracker's markup.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MarkdownQuery {
    /// `github` (for Gitea too), or `jira`; `github` if absent.
    flavor: Option<String>,
}

/// The report of the run as text for a ticket, at most 60 lines.
#[utoipa::path(get, path = "/runs/{name}/{time}/markdown", tag = "runs", params(("name", description = "the run's name"), ("time", description = "the run's time"), MarkdownQuery),
    responses((status = 200, description = "the text", content_type = "text/plain"), (status = 400, description = "no such flavor"), (status = 404, description = "the run has no history")))]
pub(crate) async fn markdown(
    State(state): State<AppState>,
    InRun(run): InRun,
    Asked(query): Asked<MarkdownQuery>,
) -> Result<String, ApiError> {
    let write = match given(query.flavor).as_deref() {
        None | Some("github") => render::markdown_from,
        Some("jira") => render::jira,
        Some(other) => {
            return Err(ApiError::bad_request(
                format!("{other:?} is not a flavor"),
                "flavor is github or jira.",
            ));
        }
    };
    let (store, id) = (Arc::clone(&state.store), run.id().clone());
    let loaded = tokio::task::spawn_blocking(move || store.load(&id)).await??;
    let report = match loaded.report.and_then(|r| serde_json::from_value::<Report>(r).ok()) {
        Some(report) => report,
        // There is none, or one of another version: the history says all.
        None => {
            let history = state.histories.get(&run).await?;
            tokio::task::spawn_blocking(move || check(&history, &Options::default())).await?
        }
    };
    let header = loaded.header.and_then(|h| serde_json::from_value(h).ok()).unwrap_or_default();
    let run = Some(loaded.summary.id);
    Ok(write(&report, &Origin { run, ..Origin::of(&header) }))
}

/// Makes evidence of the run on a thread that may block.
async fn make(
    state: &AppState,
    run: RunDir,
    query: EvidenceQuery,
    made: impl FnOnce(Source, &Wanted) -> Result<(Vec<u8>, String), EvidenceError> + Send + 'static,
) -> Result<(Vec<u8>, String), ApiError> {
    let redaction = given(query.redact).unwrap_or_default().parse().map_err(
        |e: perjury_evidence::BadRedaction| {
            ApiError::bad_request(e.to_string(), "redact is a list such as values,hosts,keys.")
        },
    )?;
    let wanted = Wanted { anomaly: given(query.anomaly), redaction };
    let store = Arc::clone(&state.store);
    let _turn = TURN.lock().await;
    let work = move || made(Source::run(&store, run.id())?, &wanted);
    tokio::task::spawn_blocking(work).await?.map_err(refused)
}

fn refused(error: EvidenceError) -> ApiError {
    let why = error.to_string();
    match error {
        EvidenceError::NoSuchAnomaly { .. } => {
            ApiError::bad_request(why, "The run's report names its anomalies.")
        }
        EvidenceError::NoHistory(_) | EvidenceError::History(_) => {
            ApiError::unprocessable(why, "Evidence is drawn from a history.")
        }
        EvidenceError::VerdictChanged { .. } => ApiError::unprocessable(why, "Redact less."),
        EvidenceError::TooLarge { .. } => {
            ApiError::unprocessable(why, "Cut the history down with perjury shrink.")
        }
        _ => ApiError::internal(why),
    }
}

/// A file to be saved, never to be opened as a page of this server. Its name holds plain characters only.
fn saved(bytes: Vec<u8>, name: &str, mime: &'static str) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(mime));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}
