//! The handlers, one file a resource.

pub(crate) mod calibrations;
pub(crate) mod campaigns;
pub(crate) mod docs;
pub(crate) mod events;
pub(crate) mod evidence;
pub(crate) mod files;
pub(crate) mod glossary;
pub(crate) mod health;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod operations;
pub(crate) mod params;
pub(crate) mod plans;
pub(crate) mod retention;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod session;
pub(crate) mod upload;

use crate::error::ApiError;
use axum::http::Uri;

/// A path under `/api` that means nothing.
pub(crate) async fn unknown(uri: Uri) -> ApiError {
    ApiError::not_found(
        format!("there is nothing at {}", uri.path()),
        "The API is under /api/v1; /docs describes every path.",
    )
}

/// A known path with another method than it takes.
pub(crate) async fn method_not_allowed() -> ApiError {
    ApiError::method_not_allowed()
}
