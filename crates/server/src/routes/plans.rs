//! Plan files: their schema, whether one makes sense, and those that come along.

use crate::AppState;
use crate::error::ApiError;
use crate::routes::params::Body;
use axum::Json;
use axum::extract::State;
use perjury_campaign::{
    CampaignPlan, NAMED_PLANS, NamedPlan, PlanError, Resolved, parse_plan, plan_schema,
};
use perjury_store::{RunId, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// How many resolved runs an answer names.
const RUNS_NAMED: usize = 1000;

/// A plan file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanText {
    /// The file's content.
    pub(crate) toml: String,
    /// The campaign's name, instead of the one in the file.
    #[serde(default)]
    pub(crate) name: Option<String>,
}

/// What a plan file would do.
#[derive(Debug, Serialize)]
pub(crate) struct Checked {
    ok: bool,
    errors: Vec<PlanError>,
    runs: Vec<Value>,
    /// How many runs there are, also when not all are named.
    total: usize,
}

/// The JSON Schema of a plan file.
#[utoipa::path(get, path = "/plans/schema", tag = "campaigns",
    responses((status = 200, description = "a JSON Schema", body = Value)))]
pub(crate) async fn schema() -> Json<Value> {
    Json(plan_schema())
}

/// Plans that come along, each ready to be started.
#[utoipa::path(get, path = "/plans/named", tag = "campaigns",
    responses((status = 200, description = "name, summary and toml of each", body = Value)))]
pub(crate) async fn named() -> Json<Value> {
    let line = |p: &NamedPlan| json!({"name": p.name, "summary": p.summary, "toml": p.toml});
    Json(NAMED_PLANS.iter().map(line).collect())
}

/// Whether a plan makes sense, and the runs that it resolves to.
#[utoipa::path(post, path = "/plans/validate", tag = "campaigns", request_body = PlanText,
    responses((status = 200, description = "ok, errors, runs", body = Value)))]
pub(crate) async fn validate(
    State(state): State<AppState>,
    Body(plan): Body<PlanText>,
) -> Result<Json<Checked>, ApiError> {
    let store = Arc::clone(&state.store);
    let checked = tokio::task::spawn_blocking(move || match resolve(&store, &plan) {
        Ok((_, runs)) => {
            let line = |r: &Resolved| json!({"name": r.name, "summary": r.summary, "seed": r.seed});
            let named = runs.iter().take(RUNS_NAMED).map(line).collect();
            Checked { ok: true, errors: Vec::new(), total: runs.len(), runs: named }
        }
        Err(errors) => Checked { ok: false, errors, runs: Vec::new(), total: 0 },
    });
    Ok(Json(checked.await?))
}

/// Reads a plan file and expands it; replays are looked up in the store.
pub(crate) fn resolve(
    store: &Store,
    text: &PlanText,
) -> Result<(CampaignPlan, Vec<Resolved>), Vec<PlanError>> {
    let mut plan = parse_plan(&text.toml).map_err(|e| vec![e])?;
    if let Some(name) = text.name.as_ref().filter(|n| !n.trim().is_empty()) {
        plan.name.clone_from(name);
    }
    let runs = plan.expand(&|id| earlier(store, id))?;
    Ok((plan, runs))
}

fn earlier(store: &Store, id: &str) -> Result<Value, String> {
    let id: RunId = id.parse().map_err(|e: perjury_store::BadId| e.to_string())?;
    let plan = store.run_dir(&id).and_then(|dir| dir.plan()).map_err(|e| e.to_string())?;
    plan.ok_or_else(|| format!("the run {id} has no plan.json"))
}
