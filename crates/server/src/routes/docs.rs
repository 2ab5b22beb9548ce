//! The API's description, and a page that shows it. Everything on the page comes from this server.

use crate::error::ApiError;
use crate::routes::params::At;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};

/// What the description says beside the handlers' own words.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Perjury",
        description = "Consistency campaigns on Kafka-compatible clusters: runs, reports, evidence. Errors are {\"error\": {\"code\", \"message\", \"hint\"}}. GETs that answer JSON carry an ETag.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Schemes),
    tags(
        (name = "runs", description = "Runs, their reports and histories"),
        (name = "campaigns", description = "Plans, campaigns, live progress"),
        (name = "calibrations", description = "How many known bugs runs find, and how often they accuse a correct cluster"),
        (name = "access", description = "Sessions and share links"),
        (name = "service", description = "Health, metrics, this description")
    ),
    security(("token" = []), ("session" = []))
)]
pub(crate) struct Description;

struct Schemes;

impl utoipa::Modify for Schemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let parts = openapi.components.get_or_insert_default();
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        parts.add_security_scheme("token", SecurityScheme::Http(token));
        let cookie = ApiKey::Cookie(ApiKeyValue::new(crate::access::COOKIE));
        parts.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    }
}

/// The description that the router was built with.
pub(crate) type Built = Arc<utoipa::openapi::OpenApi>;

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "service",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
pub(crate) async fn openapi(Extension(built): Extension<Built>) -> Json<utoipa::openapi::OpenApi> {
    Json((*built).clone())
}

/// A page that shows the description.
#[utoipa::path(get, path = "/docs", tag = "service",
    responses((status = 200, description = "HTML", content_type = "text/html")))]
pub(crate) async fn page() -> Response {
    typed("text/html; charset=utf-8", include_str!("docs/index.html"))
}

/// The page's script and style.
#[utoipa::path(get, path = "/docs/{file}", tag = "service", params(("file", description = "docs.js or docs.css")),
    responses((status = 200, description = "a script or a style sheet"), (status = 404, description = "neither")))]
pub(crate) async fn part(At(file): At<String>) -> Result<Response, ApiError> {
    match file.as_str() {
        "docs.js" => Ok(typed("text/javascript; charset=utf-8", include_str!("docs/docs.js"))),
        "docs.css" => Ok(typed("text/css; charset=utf-8", include_str!("docs/docs.css"))),
        _ => Err(ApiError::not_found("the documentation has no such part", "Open /docs.")),
    }
}

fn typed(mime: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, mime)], text).into_response()
}
