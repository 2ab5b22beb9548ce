//! Taking a run's files away.

use crate::error::ApiError;
use crate::routes::params::{At, InRun};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;
use tower_http::services::ServeFile;

/// A file of the run, whole or in ranges, to be saved.
#[utoipa::path(get, path = "/runs/{name}/{time}/files/{*path}", tag = "runs", params(("name", description = "the run's name"), ("time", description = "the run's time"), ("path", description = "the file, as the run lists it")),
    responses((status = 200, description = "the file", content_type = "application/octet-stream")))]
pub(crate) async fn file(
    InRun(run): InRun,
    place: At<(String, String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let At((_, _, path)) = place;
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
