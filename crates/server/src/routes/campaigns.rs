//! Campaigns: handed in, listed, steered.

use crate::AppState;
use crate::error::ApiError;
use crate::routes::params::{Asked, At, Body, InRun};
use crate::routes::plans::{PlanText, resolve};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use perjury_campaign::{Campaign, PlanError, Shelf, Wanted};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;

/// Which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// How many campaigns to pass over.
    offset: Option<usize>,
    /// How many at most, up to 1,000.
    limit: Option<usize>,
}

/// A campaign without its runs.
pub(crate) fn summary(campaign: &Campaign) -> Value {
    json!({
        "id": campaign.id,
        "name": campaign.name,
        "state": campaign.state,
        "created": campaign.created.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "counts": campaign.counts(),
        "estimate": campaign.estimate(),
    })
}

/// Campaigns, newest first.
#[utoipa::path(get, path = "/campaigns", tag = "campaigns", params(ListQuery),
    responses((status = 200, description = "items, total, offset, limit", body = Value)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    let all = on_shelf(&state, |shelf| Ok(shelf.list())).await?;
    let offset = query.offset.unwrap_or(0);
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX);
    let items: Vec<Value> = all.iter().skip(offset).take(limit).map(summary).collect();
    Ok(Json(json!({"items": items, "total": all.len(), "offset": offset, "limit": limit})))
}

/// Hands a campaign in. It waits for its turn.
#[utoipa::path(post, path = "/campaigns", tag = "campaigns", request_body = PlanText,
    responses((status = 201, description = "its id", body = Value), (status = 422, description = "the plan makes no sense"), (status = 409, description = "the queue is full")))]
pub(crate) async fn create(
    State(state): State<AppState>,
    Body(plan): Body<PlanText>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let campaign = submit(&state, plan).await?;
    Ok((StatusCode::CREATED, Json(json!({"id": campaign.id}))))
}

async fn submit(state: &AppState, text: PlanText) -> Result<Campaign, ApiError> {
    let store = state.store.clone();
    let campaign = on_shelf(state, move |shelf| {
        let (plan, runs) = resolve(&store, &text).map_err(bad_plan)?;
        Ok(shelf.create(&plan.name, &text.toml, plan.rerun_interrupted, &runs, Utc::now())?)
    });
    let campaign = campaign.await?;
    state.queue.wake(&campaign.id);
    Ok(campaign)
}

fn bad_plan(errors: Vec<PlanError>) -> ApiError {
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    ApiError::unprocessable(
        told.join("; "),
        "POST it to /api/v1/plans/validate for each error with its line.",
    )
}

/// One campaign with its runs.
#[utoipa::path(get, path = "/campaigns/{id}", tag = "campaigns", params(("id", description = "the campaign")),
    responses((status = 200, description = "id, name, state, created, toml, runs, counts, estimate", body = Value), (status = 404, description = "there is none")))]
pub(crate) async fn show(
    State(state): State<AppState>,
    At(id): At<String>,
) -> Result<Json<Value>, ApiError> {
    let (campaign, toml) =
        on_shelf(&state, move |shelf| Ok((shelf.load(&id)?, shelf.toml(&id)?))).await?;
    let mut answer = summary(&campaign);
    answer["toml"] = json!(toml);
    answer["runs"] = json!(campaign.runs);
    Ok(Json(answer))
}

/// Starts no further run until it is resumed; the run under way ends by itself.
#[utoipa::path(post, path = "/campaigns/{id}/pause", tag = "campaigns", params(("id", description = "the campaign")),
    responses((status = 200, description = "the campaign", body = Value)))]
pub(crate) async fn pause(
    State(state): State<AppState>,
    At(id): At<String>,
) -> Result<Json<Value>, ApiError> {
    steer(&state, id, Wanted::Pause).await
}

/// Goes on with a paused campaign.
#[utoipa::path(post, path = "/campaigns/{id}/resume", tag = "campaigns", params(("id", description = "the campaign")),
    responses((status = 200, description = "the campaign", body = Value)))]
pub(crate) async fn resume(
    State(state): State<AppState>,
    At(id): At<String>,
) -> Result<Json<Value>, ApiError> {
    steer(&state, id, Wanted::Run).await
}

/// Gives a campaign up: the run under way is cut short and checked, the others are never started.
#[utoipa::path(post, path = "/campaigns/{id}/cancel", tag = "campaigns", params(("id", description = "the campaign")),
    responses((status = 200, description = "the campaign", body = Value)))]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    At(id): At<String>,
) -> Result<Json<Value>, ApiError> {
    steer(&state, id, Wanted::Cancel).await
}

async fn steer(state: &AppState, id: String, wanted: Wanted) -> Result<Json<Value>, ApiError> {
    let campaign = on_shelf(state, move |shelf| Ok(shelf.want(&id, wanted)?)).await?;
    state.queue.wake(&campaign.id);
    Ok(Json(summary(&campaign)))
}

/// Runs the plan of a run again, exactly.
#[utoipa::path(post, path = "/runs/{name}/{time}/replay", tag = "campaigns", params(("name", description = "the run's name"), ("time", description = "the run's time")),
    responses((status = 202, description = "the campaign that holds the new run", body = Value), (status = 422, description = "the run has no readable plan.json")))]
pub(crate) async fn replay(
    State(state): State<AppState>,
    InRun(run): InRun,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    // Both consist of letters, digits, dots, underscores and dashes.
    let toml = format!("name = \"{}\"\nreplay = \"{}\"\n", run.id().name(), run.id());
    let campaign = submit(&state, PlanText { toml, name: None }).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"campaign": campaign.id}))))
}

/// Files are read and written on a thread that may block.
async fn on_shelf<T: Send + 'static>(
    state: &AppState,
    ask: impl FnOnce(&Shelf) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let shelf = state.queue.shelf().clone();
    tokio::task::spawn_blocking(move || ask(&shelf)).await?
}
