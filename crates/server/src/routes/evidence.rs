//! Taking a run away: the bundle, the one-file report, text for a tracker.

use crate::AppState;
use crate::error::ApiError;
use crate::routes::params::{Asked, InRun, given};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use perjury_checker::render::{self, Origin};
use perjury_checker::{Options, check};
use perjury_evidence::{Redaction, Source, Wanted, bundle, report_page};
use perjury_store::RunDir;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// What the evidence shows and hides.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EvidenceQuery {
    /// The anomaly to show, by name; `lost-write:2` is its second case. The worst one when absent.
    anomaly: Option<String>,
    /// What is redacted: values, hosts, keys, separated by commas.
    redact: Option<String>,
}

impl EvidenceQuery {
    fn wanted(self) -> Result<Wanted, ApiError> {
        let redaction = given(self.redact).unwrap_or_default().parse::<Redaction>();
        let redaction = redaction.map_err(|e| {
            ApiError::bad_request(e.to_string(), "Leave redact out to redact nothing but secrets.")
        })?;
        Ok(Wanted { anomaly: given(self.anomaly), redaction })
    }
}

/// The evidence bundle: report, history, plan, logs and a manifest of hashes in one zip.
#[utoipa::path(get, path = "/runs/{name}/{time}/evidence", tag = "runs", params(("name", description = "the run's name"), ("time", description = "the run's time"), EvidenceQuery),
    responses((status = 200, description = "a zip file", content_type = "application/zip"), (status = 422, description = "the run shows no such anomaly, or holds nothing to prove")))]
pub(crate) async fn evidence(
    State(state): State<AppState>,
    InRun(run): InRun,
    Asked(query): Asked<EvidenceQuery>,
) -> Result<Response, ApiError> {
    let bundled = |source, wanted: &Wanted| Ok(bundle(source, wanted, None)?);
    let made = in_turn(&state, run, query, bundled).await?;
    Ok(saved(made.bytes, "application/zip", &made.file_name))
}

/// The report as one HTML file that needs no server.
#[utoipa::path(get, path = "/runs/{name}/{time}/report.html", tag = "runs", params(("name", description = "the run's name"), ("time", description = "the run's time"), EvidenceQuery),
    responses((status = 200, description = "an HTML file to be saved", content_type = "text/html"), (status = 422, description = "the run shows no such anomaly, or holds nothing to prove")))]
pub(crate) async fn report(
    State(state): State<AppState>,
    InRun(run): InRun,
    Asked(query): Asked<EvidenceQuery>,
) -> Result<Response, ApiError> {
    let page = |source, wanted: &Wanted| Ok(report_page(source, wanted, None)?);
    let (html, name) = in_turn(&state, run, query, page).await?;
    Ok(saved(html.into_bytes(), "text/html; charset=utf-8", &name))
}

/// Makes evidence of a run, one at a time, as with uploads: each takes a history into memory and checks it.
async fn in_turn<T: Send + 'static>(
    state: &AppState,
    run: RunDir,
    query: EvidenceQuery,
    make: impl FnOnce(Source, &Wanted) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let (store, wanted) = (Arc::clone(&state.store), query.wanted()?);
    let _turn = state.uploads.lock().await;
    let made = tokio::task::spawn_blocking(move || make(Source::run(&store, run.id())?, &wanted));
    made.await?
}

/// Everything is saved and not opened: nothing that a broker wrote becomes a page of this server.
fn saved(bytes: Vec<u8>, mime: &'static str, name: &str) -> Response {
    let mut response = ([(header::CONTENT_TYPE, mime)], bytes).into_response();
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .collect();
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{plain}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// For which tracker.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MarkdownQuery {
    /// `github`, which is the default, or `jira`.
    flavor: Option<String>,
}

/// The report as text for a ticket, at most 60 lines.
#[utoipa::path(get, path = "/runs/{name}/{time}/markdown", tag = "runs", params(("name", description = "the run's name"), ("time", description = "the run's time"), MarkdownQuery),
    responses((status = 200, description = "text", content_type = "text/plain")))]
pub(crate) async fn markdown(
    State(state): State<AppState>,
    InRun(run): InRun,
    Asked(query): Asked<MarkdownQuery>,
) -> Result<Response, ApiError> {
    let draw = match given(query.flavor).as_deref() {
        None | Some("github") => render::markdown_from,
        Some("jira") => render::jira,
        Some(other) => {
            let message = format!("there is no text for {other:?}");
            return Err(ApiError::bad_request(message, "flavor is github or jira."));
        }
    };
    let history = state.histories.get(&run).await?;
    let id = run.id().to_string();
    let drawn = tokio::task::spawn_blocking(move || {
        let report = check(&history, &Options::default());
        let origin = Origin::of(&history.header);
        draw(&report, &Origin { run: Some(id), ..origin })
    });
    let text = drawn.await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}
