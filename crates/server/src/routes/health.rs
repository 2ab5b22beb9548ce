//! Whether the server lives, and whether it can answer.

use crate::{AppState, assets};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

/// It lives.
#[utoipa::path(get, path = "/healthz", tag = "service",
    responses((status = 200, description = "it lives", body = serde_json::Value)))]
pub(crate) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// The store can be read. Says too whether the pages are built in.
#[utoipa::path(get, path = "/readyz", tag = "service",
    responses((status = 200, description = "the store can be read", body = serde_json::Value)))]
pub(crate) async fn readyz(State(state): State<AppState>) -> (StatusCode, Json<Value>) {
    let pages = if assets::are_built() { "built" } else { "not-built" };
    let root = state.store.root().to_owned();
    match std::fs::read_dir(&root) {
        Ok(_) => (StatusCode::OK, Json(json!({"status": "ok", "pages": pages}))),
        Err(e) => {
            let problem = format!("cannot read the store {}: {e}", root.display());
            let body = json!({"status": "not-ready", "pages": pages, "problem": problem});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body))
        }
    }
}
