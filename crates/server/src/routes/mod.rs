//! The handlers, one file a resource.

pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod logs;
pub(crate) mod operations;
pub(crate) mod params;
pub(crate) mod run;
pub(crate) mod runs;

use crate::error::ApiError;
use axum::http::Uri;

/// A path under `/api` that means nothing.
pub(crate) async fn unknown(uri: Uri) -> ApiError {
    ApiError::not_found(
        format!("there is nothing at {}", uri.path()),
        "The API is under /api/v1: /runs, /runs/{name}/{time}, and below that /timeline, /operations, /log, /logs, /files.",
    )
}

/// A known path with another method than GET.
pub(crate) async fn method_not_allowed() -> ApiError {
    ApiError::method_not_allowed()
}
