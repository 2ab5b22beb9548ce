//! Taking a run's files away.

use crate::error::ApiError;
use crate::routes::params::{At, InRun};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;
use tower_http::services::ServeFile;

/// A file of the run, whole or in ranges, to be saved.
pub(crate) async fn file(
    InRun(run): InRun,
    At((_, _, path)): At<(String, String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let Some(on_disk) = run.file(&path)? else {
        return Err(ApiError::not_found(
            format!("the run has no file {path:?} to take away"),
            "The run's answer lists its files.",
        ));
    };
    let served = ServeFile::new(on_disk).oneshot(request).await;
    let mut response = served.into_response();
    let name = path.rsplit('/').next().unwrap_or("file");
    // Nothing that a broker wrote may be opened as a page of this server.
    let mime = match name.rsplit('.').next() {
        Some("json") => "application/json",
        Some("jsonl") => "application/x-ndjson",
        _ => "text/plain; charset=utf-8",
    };
    let saved_as =
        format!("attachment; filename=\"{}-{}-{name}\"", run.id().name(), run.id().time());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(mime));
    if let Ok(value) = HeaderValue::from_str(&saved_as) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
