//! The one error of the API: a status, a code for programs, a sentence for people, and what to do.
//!
//! Beside errors there is one answer that is not what was asked for: *not yet* (202), with how far it is.

use crate::histories::LoadError;
use crate::long::Preparing;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use perjury_campaign::ShelfError;
use perjury_evidence::EvidenceError;
use perjury_store::{BadId, IndexError, StoreError};
use perjury_view::paged::PagedError;
use serde_json::json;
use std::any::Any;

/// An answer that is not what was asked for: `{"error": {"code", "message", "hint"}}`, or with status 202
/// `{"preparing": {"message", "done_bytes", "bytes"}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: String,
    preparing: Option<Preparing>,
}

/// In how many seconds it is worth asking again for what is being prepared.
const ASK_AGAIN_S: &str = "1";

impl ApiError {
    fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> ApiError {
        ApiError { status, code, message: message.into(), hint: hint.into(), preparing: None }
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
            "this path does not take that method",
            "The description of the API at /docs names the methods of each path.",
        )
    }

    /// The content is understood and cannot be used.
    pub(crate) fn unprocessable(message: impl Into<String>, hint: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", message, hint)
    }

    /// It cannot be done as things stand.
    pub(crate) fn conflict(message: impl Into<String>, hint: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::CONFLICT, "conflict", message, hint)
    }

    /// The body, or what it unpacks to, is beyond the bound.
    pub(crate) fn too_large(message: impl Into<String>) -> ApiError {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            message,
            "Send less; a history of any size can be checked with `perjury check`.",
        )
    }

    /// Nobody is known to ask. `has_tokens`: whether there is a token to sign in with.
    pub(crate) fn unauthorized(has_tokens: bool) -> ApiError {
        let hint = if has_tokens {
            "Sign in at /login, or send Authorization: Bearer TOKEN."
        } else {
            "This server listens beyond loopback: make a token with `perjury token create NAME --role admin`."
        };
        ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", "a token is needed", hint)
    }

    /// The token that was given is none.
    pub(crate) fn wrong_token() -> ApiError {
        ApiError::new(
            StatusCode::UNAUTHORIZED,
            "wrong-token",
            "this is no token of this server",
            "Copy the whole token, or make a new one with `perjury token create`.",
        )
    }

    /// Who asks may not do that.
    pub(crate) fn forbidden(role: &str, needed: &str) -> ApiError {
        ApiError::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            format!("this needs the role {needed}, and yours is {role}"),
            "Sign in with a token of that role.",
        )
    }

    /// A share link shows one run and nothing else.
    pub(crate) fn only_shared() -> ApiError {
        ApiError::new(
            StatusCode::FORBIDDEN,
            "only-shared",
            "the link that you opened shows one run",
            "Sign in with a token to see more.",
        )
    }

    /// A share link that has expired, or that this server did not make.
    pub(crate) fn bad_share() -> ApiError {
        ApiError::new(
            StatusCode::FORBIDDEN,
            "bad-link",
            "this link has expired or is not complete",
            "Ask for a new one.",
        )
    }

    /// A request of a browser that may have been made by another page.
    pub(crate) fn forged() -> ApiError {
        ApiError::new(
            StatusCode::FORBIDDEN,
            "csrf",
            "the request does not show that a page of this server made it",
            "Send the token of GET /api/v1/session as X-CSRF-Token, or use Authorization: Bearer TOKEN.",
        )
    }

    /// More requests than one address may make.
    pub(crate) fn too_many() -> ApiError {
        ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "this address asks too often",
            "Wait a second and ask again.",
        )
    }

    /// No more can be done at the same time.
    pub(crate) fn busy(message: impl Into<String>) -> ApiError {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            message,
            "Close other pages and try again.",
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

    /// What the answer is read from is being made.
    fn preparing(preparing: Preparing) -> ApiError {
        let message = "the index of the history is being made";
        let hint = "Ask again in a second.";
        let waits = ApiError::new(StatusCode::ACCEPTED, "preparing", message, hint);
        ApiError { preparing: Some(preparing), ..waits }
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
        if let Some(Preparing { done, bytes }) = self.preparing {
            let body = json!({"preparing": {
                "message": self.message, "hint": self.hint, "done_bytes": done, "bytes": bytes,
            }});
            return (self.status, [(header::RETRY_AFTER, ASK_AGAIN_S)], Json(body)).into_response();
        }
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
            StoreError::Running { .. } | StoreError::Taken { .. } => {
                ApiError::conflict(e.to_string(), "Wait until it is over, or cancel its campaign.")
            }
            other => ApiError::internal(other.to_string()),
        }
    }
}

impl From<IndexError> for ApiError {
    fn from(e: IndexError) -> ApiError {
        match e {
            IndexError::Store(e) => e.into(),
            other => ApiError::internal(other.to_string()),
        }
    }
}

impl From<ShelfError> for ApiError {
    fn from(e: ShelfError) -> ApiError {
        match e {
            ShelfError::Store(e) => e.into(),
            ShelfError::NoSuchCampaign { .. } => {
                ApiError::not_found(e.to_string(), "The list of campaigns is at /api/v1/campaigns.")
            }
            ShelfError::Full(_) => ApiError::conflict(e.to_string(), "Cancel a campaign, or wait."),
            other => ApiError::internal(other.to_string()),
        }
    }
}

impl From<EvidenceError> for ApiError {
    fn from(e: EvidenceError) -> ApiError {
        match e {
            EvidenceError::Store(e) => e.into(),
            EvidenceError::NoHistory(_)
            | EvidenceError::NoSuchAnomaly { .. }
            | EvidenceError::VerdictChanged { .. }
            | EvidenceError::TooLarge { .. }
            | EvidenceError::History(_) => {
                ApiError::unprocessable(e.to_string(), "The run's page lists its anomalies.")
            }
            EvidenceError::PageBroken => ApiError::busy(e.to_string()),
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
            LoadError::Preparing(preparing) => ApiError::preparing(preparing),
            LoadError::Broken(why) => ApiError::internal(why),
        }
    }
}

impl From<PagedError> for ApiError {
    fn from(e: PagedError) -> ApiError {
        LoadError::from(e).into()
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
