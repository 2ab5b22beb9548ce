//! Calibrations: how many known bugs runs find, and how often they accuse a correct cluster.

use crate::AppState;
use crate::error::ApiError;
use crate::routes::params::At;
use axum::Json;
use axum::extract::State;
use perjury_campaign::calibrate::{CalibrationError, Calibrations};
use serde_json::{Value, json};

/// No more are listed; the newest come first.
const LISTED_MAX: usize = 100;

/// Calibrations, newest first, without their cells.
#[utoipa::path(get, path = "/calibrations", tag = "calibrations",
    responses((status = 200, description = "items: id, made, perjury, scope, complete, runs, took_ms, statement; total", body = Value)))]
pub(crate) async fn list(State(state): State<AppState>) -> Result<Json<Value>, ApiError> {
    let store = state.store.clone();
    let all = tokio::task::spawn_blocking(move || Calibrations::of(&store).list()).await?;
    let item = |c: &perjury_campaign::calibrate::Calibration| {
        json!({
            "id": c.id,
            "made": c.made,
            "perjury": c.perjury,
            "scope": c.scope,
            "complete": c.complete,
            "runs": c.runs,
            "took_ms": c.took_ms,
            "statement": c.statement,
        })
    };
    let items: Vec<Value> = all.iter().take(LISTED_MAX).map(item).collect();
    Ok(Json(json!({"items": items, "total": all.len()})))
}

/// One calibration: recall by bug, workload and fault, anomalies found, false positives. `latest` is the newest.
#[utoipa::path(get, path = "/calibrations/{id}", tag = "calibrations", params(("id", description = "the calibration, or latest")),
    responses((status = 200, description = "the schema perjury.calibration/1", body = Value), (status = 404, description = "there is none")))]
pub(crate) async fn show(
    State(state): State<AppState>,
    At(id): At<String>,
) -> Result<Json<Value>, ApiError> {
    let store = state.store.clone();
    let found = tokio::task::spawn_blocking(move || {
        let calibrations = Calibrations::of(&store);
        match &*id {
            "latest" => calibrations
                .list()
                .into_iter()
                .next()
                .ok_or_else(|| CalibrationError::NoSuchCalibration("in this store".into())),
            id => calibrations.load(id),
        }
    });
    let calibration = found.await?.map_err(|error| match error {
        CalibrationError::NoSuchCalibration(_) => ApiError::not_found(
            error.to_string(),
            "`perjury calibrate --quick --store STORE` makes one in about ten minutes.",
        ),
        CalibrationError::Store(error) => error.into(),
        other => ApiError::unprocessable(other.to_string(), "Make another calibration."),
    })?;
    Ok(Json(json!(calibration)))
}
