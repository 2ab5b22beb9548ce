//! `/metrics` in OpenMetrics.

use crate::AppState;
use crate::error::ApiError;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use perjury_campaign::CampaignState;
use perjury_store::RunQuery;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::sync::Arc;

/// The media type of OpenMetrics 1.0.
const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Labels have few values: never an offset, a key or the name of a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfVerdict {
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    state: &'static str,
}

/// What the server counts of itself.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    answers: Family<Answered, Counter>,
}

impl Metrics {
    /// Counts an answer.
    pub(crate) fn answered(&self, method: &axum::http::Method, status: u16) {
        let method = match method.as_str() {
            "GET" => "GET",
            "HEAD" => "HEAD",
            "POST" => "POST",
            "DELETE" => "DELETE",
            _ => "other",
        };
        self.answers.get_or_create(&Answered { method, status }).inc();
    }
}

/// Counts of requests, runs and campaigns.
#[utoipa::path(get, path = "/metrics", tag = "service",
    responses((status = 200, description = "OpenMetrics text", content_type = "application/openmetrics-text")))]
pub(crate) async fn metrics(State(state): State<AppState>) -> Result<Response, ApiError> {
    let (index, shelf) = (Arc::clone(&state.index), state.queue.shelf().clone());
    let looked = tokio::task::spawn_blocking(move || {
        index.refresh()?;
        let page = index.list(&RunQuery { limit: 0, ..RunQuery::default() })?;
        let running =
            index.list(&RunQuery { status: vec!["running".into()], ..RunQuery::default() })?;
        Ok::<_, ApiError>((page, running.total, shelf.list()))
    });
    let (page, running, campaigns) = looked.await??;
    let mut registry = Registry::with_prefix("perjury");
    let version = vec![("version", env!("CARGO_PKG_VERSION"))];
    registry.register("build", "The version that runs", Info::new(version));
    registry.register(
        "http_requests",
        "Requests that were answered",
        state.metrics.answers.clone(),
    );
    let size = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let runs = Family::<OfVerdict, Gauge>::default();
    let v = page.verdicts;
    for (verdict, n) in
        [("invalid", v.invalid), ("unknown", v.unknown), ("valid", v.valid), ("none", v.none)]
    {
        runs.get_or_create(&OfVerdict { verdict }).set(size(n));
    }
    registry.register("runs", "Runs in the store by verdict", runs);
    let under_way = Gauge::<i64>::default();
    under_way.set(size(running));
    registry.register("runs_running", "Runs under way", under_way);
    let by_state = Family::<OfState, Gauge>::default();
    for state in [
        CampaignState::Queued,
        CampaignState::Running,
        CampaignState::Paused,
        CampaignState::Cancelled,
        CampaignState::Done,
        CampaignState::Interrupted,
    ] {
        let n = campaigns.iter().filter(|c| c.state == state).count();
        by_state.get_or_create(&OfState { state: state.as_str() }).set(size(n));
    }
    registry.register("campaigns", "Campaigns by state", by_state);
    let queued = Gauge::<i64>::default();
    queued.set(size(campaigns.iter().map(|c| c.counts().queued).sum()));
    registry.register("queued_runs", "Runs of campaigns that wait", queued);
    let mut text = String::new();
    encode(&mut text, &registry)
        .map_err(|e| ApiError::internal(format!("the metrics cannot be written: {e}")))?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}
