//! The one error of the API: a status, a code for programs, a sentence for people, and what to do.

use crate::histories::LoadError;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use perjury_store::{BadId, StoreError};
use serde_json::json;
use std::any::Any;

/// An answer that is not what was asked for: `{"error": {"code", "message", "hint"}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: String,
}

impl ApiError {
    fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> ApiError {
        ApiError { status, code, message: message.into(), hint: hint.into() }
    }

    /// The thing asked for is not there.
    pub(crate) fn not_found(message: impl Into<String>, hint: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "not-found", message, hint)
    }

    /// The question makes no sense.
    pub(crate) fn bad_request(message: impl Into<String>, hint: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "bad-request", message, hint)
    }

    /// The path is known, the method is not.
    pub(crate) fn method_not_allowed() -> ApiError {
        ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "this server only reads",
            "Use GET.",
        )
    }

    /// The request names a host that this server does not answer for.
    pub(crate) fn wrong_host(host: &str) -> ApiError {
        ApiError::new(
            StatusCode::FORBIDDEN,
            "wrong-host",
            format!("this server listens on loopback and does not answer for {host:?}"),
            "Open it as http://127.0.0.1 or http://localhost, or bind it to the address that you want to use.",
        )
    }

    /// Something broke in here; the log has the details.
    pub(crate) fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            message,
            "See the server's log.",
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::error!(code = self.code, message = %self.message, "request failed");
        }
        let body =
            json!({"error": {"code": self.code, "message": self.message, "hint": self.hint}});
        (self.status, Json(body)).into_response()
    }
}

impl From<BadId> for ApiError {
    fn from(e: BadId) -> ApiError {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "bad-id",
            e.to_string(),
            "Take the id from the list of runs at /api/v1/runs.",
        )
    }
}

impl From<StoreError> for ApiError {
    fn from(e: StoreError) -> ApiError {
        match e {
            StoreError::BadId(e) => e.into(),
            StoreError::NoSuchRun { id, .. } => ApiError::not_found(
                format!("there is no run {id}"),
                "The list of runs is at /api/v1/runs. A run directory that is copied into the store appears there.",
            ),
            other => ApiError::internal(other.to_string()),
        }
    }
}

impl From<LoadError> for ApiError {
    fn from(e: LoadError) -> ApiError {
        match e {
            LoadError::Missing => ApiError::new(
                StatusCode::NOT_FOUND,
                "no-history",
                "the run has no history.jsonl",
                "Copy the file into the run directory.",
            ),
            LoadError::Unreadable(why) => ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "unreadable-history",
                why,
                "Run `perjury check` on the file: it names line and column.",
            ),
            LoadError::Broken(why) => ApiError::internal(why),
        }
    }
}

impl From<QueryRejection> for ApiError {
    fn from(e: QueryRejection) -> ApiError {
        ApiError::bad_request(e.body_text(), "Check the names and types of the parameters.")
    }
}

impl From<PathRejection> for ApiError {
    fn from(e: PathRejection) -> ApiError {
        ApiError::bad_request(e.body_text(), "Take the id from the list of runs at /api/v1/runs.")
    }
}

impl From<tokio::task::JoinError> for ApiError {
    fn from(e: tokio::task::JoinError) -> ApiError {
        ApiError::internal(format!("a worker thread failed: {e}"))
    }
}

/// A handler that panics answers like any other failure.
pub(crate) fn on_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let why = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(why, "a handler panicked");
    ApiError::internal("the server failed to answer this request").into_response()
}
