//! Reading paths and queries: what is malformed is named in the answer.

use crate::AppState;
use crate::error::ApiError;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use perjury_store::{RunDir, RunId};
use serde::de::DeserializeOwned;

/// The run that the first two parts of the path name; refused before any handler when it could lead elsewhere or is not
/// there.
pub(crate) struct InRun(pub(crate) RunDir);

impl FromRequestParts<AppState> for InRun {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<InRun, ApiError> {
        let params =
            axum::extract::RawPathParams::from_request_parts(parts, state).await.map_err(|e| {
                ApiError::bad_request(e.body_text(), "Take the id from the list of runs.")
            })?;
        let of = |wanted: &str| {
            params
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| value)
                .unwrap_or_default()
        };
        let id = RunId::new(of("name"), of("time"))?;
        Ok(InRun(state.store.run_dir(&id)?))
    }
}

/// A query whose errors are answered as ours.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Asked<T>, ApiError> {
        Ok(Asked(Query::from_request_parts(parts, state).await?.0))
    }
}

/// A path whose errors are answered as ours.
pub(crate) struct At<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for At<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<At<T>, ApiError> {
        Ok(At(Path::from_request_parts(parts, state).await?.0))
    }
}

/// A body of JSON whose errors are answered as ours. An empty one is an empty object.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, ApiError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|e| {
            if e.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
                ApiError::too_large("the body is too large")
            } else {
                ApiError::bad_request(e.body_text(), "Send the body again.")
            }
        })?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Body).map_err(|e| {
            ApiError::bad_request(
                format!("the body is not the JSON that is expected here: {e}"),
                "The description of the API is at /docs.",
            )
        })
    }
}

/// A list separated by commas; empty parts are left out.
pub(crate) fn commas(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.unwrap_or_default().split(',').map(str::trim).filter(|p| !p.is_empty())
}

/// An empty parameter, as forms send it, asks for nothing.
pub(crate) fn given(text: Option<String>) -> Option<String> {
    text.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty())
}
