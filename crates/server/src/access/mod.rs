//! Who may do what.
//!
//! Three roles, each with all that the one before may: *read* sees runs, *run* starts and steers them, *admin* deletes
//! them. Who asks is known by a token in `Authorization`, by a session cookie that a token or a share link was
//! exchanged for, or, as long as no token exists and the server listens on loopback alone, by being on this machine.
//!
//! What a request needs follows from its method and path in one place ([`need`]), and what is not named there needs
//! *admin*: a route that is forgotten is closed.

pub(crate) mod rate;
mod session;
mod tokens;

pub(crate) use session::{COOKIE, Opened, Signer, cookie_of};
pub use tokens::{NewToken, TokenError, TokenInfo, Tokens};

use crate::AppState;
use crate::error::ApiError;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Carries the token against forged requests.
pub(crate) const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");

/// What somebody may do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See runs and reports.
    Read,
    /// Start and steer runs and campaigns, hand histories in, share runs.
    Run,
    /// Delete runs.
    Admin,
}

impl Role {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Run => "run",
            Role::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Role, String> {
        match text {
            "read" => Ok(Role::Read),
            "run" => Ok(Role::Run),
            "admin" => Ok(Role::Admin),
            other => Err(format!("there is no role {other:?}; the roles are admin, run and read")),
        }
    }
}

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing.
    Nothing,
    /// A role.
    Role(Role),
}

/// Who asks, as handlers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    /// What he may do; none when he is nobody.
    pub(crate) role: Option<Role>,
    /// The one run that a share link shows, `<name>/<time>`.
    pub(crate) only: Option<String>,
    /// Whether a token in `Authorization` says so: no browser adds that by itself.
    by_header: bool,
    /// What the token against forged requests is made from: the session, or nothing while everything is open.
    pub(crate) session: String,
}

/// What a request of this method and path needs.
pub(crate) fn need(method: &Method, path: &str) -> Need {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let reads = method == Method::GET || method == Method::HEAD;
    match parts.as_slice() {
        ["api", "v1", "session" | "openapi.json"] => Need::Nothing,
        ["metrics"] => Need::Role(Role::Read),
        ["api", ..] if reads => Need::Role(Role::Read),
        ["api", "v1", "campaigns" | "plans" | "histories", ..] if method == Method::POST => {
            Need::Role(Role::Run)
        }
        ["api", "v1", "runs", _, _, "replay" | "share"] if method == Method::POST => {
            Need::Role(Role::Run)
        }
        ["api", "v1", "runs", _, _, "pin"] => Need::Role(Role::Run),
        ["api", ..] => Need::Role(Role::Admin),
        // Pages, health, documentation and share links hold nothing of any run.
        _ => Need::Nothing,
    }
}

/// Whether a session of a share link may see this path: its run, and what explains it.
fn is_shared(path: &str, only: &str) -> bool {
    let Some(rest) = path.strip_prefix("/api/v1/") else { return false };
    if rest == "glossary" {
        return true;
    }
    let Some(run) = rest.strip_prefix("runs/").and_then(|r| r.strip_prefix(only)) else {
        return false;
    };
    run.is_empty() || run.starts_with('/')
}

/// Lets a request through that may pass, with [`Who`] asks among its extensions.
pub(crate) async fn gate(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let client = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |c| c.0.ip());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if path.starts_with("/api/") || path == "/metrics" {
        let is_login = method == Method::POST && path == "/api/v1/session";
        if let Err(error) = state.rates.admit(client, is_login) {
            return error.into_response();
        }
    }
    let who = state.identify(request.headers());
    if let Err(error) = check(&state, &who, &method, &path, request.headers()) {
        return error.into_response();
    }
    request.extensions_mut().insert(who);
    next.run(request).await
}

fn check(
    state: &AppState,
    who: &Who,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    let writes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let Need::Role(needed) = need(method, path) else { return Ok(()) };
    let Some(role) = who.role else { return Err(ApiError::unauthorized(state.has_tokens())) };
    if role < needed {
        return Err(ApiError::forbidden(role.as_str(), needed.as_str()));
    }
    if who.only.as_deref().is_some_and(|only| !is_shared(path, only)) {
        return Err(ApiError::only_shared());
    }
    // A browser adds cookies to requests that a page elsewhere makes, and reaches loopback for it, too.
    if writes && !who.by_header && is_browser(headers) {
        let given = headers.get(CSRF_HEADER).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if !state.signer.is_csrf(&who.session, given) {
            return Err(ApiError::forged());
        }
    }
    Ok(())
}

fn is_browser(headers: &HeaderMap) -> bool {
    [header::ORIGIN, header::COOKIE, header::REFERER, HeaderName::from_static("sec-fetch-site")]
        .iter()
        .any(|name| headers.contains_key(name))
}

impl AppState {
    /// Who asks, by the headers of his request.
    fn identify(&self, headers: &HeaderMap) -> Who {
        let nobody = Who { role: None, only: None, by_header: false, session: String::new() };
        if let Some(given) = headers.get(header::AUTHORIZATION) {
            let token = given.to_str().ok().and_then(|v| v.strip_prefix("Bearer "));
            let role = token.and_then(|t| self.tokens.find(t.trim())).map(|info| info.role);
            return Who { role, by_header: true, ..nobody };
        }
        if let Some(session) = cookie_of(headers)
            && let Some(opened) = self.signer.open_session(&session)
        {
            // A session ends with the token that it was exchanged for.
            let lives = opened.token.is_empty() || self.tokens.has(&opened.token);
            if lives {
                return Who { role: Some(opened.role), only: opened.only, session, ..nobody };
            }
        }
        let role = self.is_open().then_some(Role::Admin);
        Who { role, ..nobody }
    }

    /// Whether everybody who reaches the server may do everything: no token exists, and only this machine reaches it.
    pub(crate) fn is_open(&self) -> bool {
        self.is_local && !self.has_tokens()
    }

    fn has_tokens(&self) -> bool {
        self.tokens.any()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_link_shows_one_run_and_nothing_beside_it() {
        let only = "a/20261123T120431.207Z";
        for seen in ["", "/timeline", "/files/nodes/1/stdout.log"] {
            assert!(is_shared(&format!("/api/v1/runs/{only}{seen}"), only), "{seen}");
        }
        for hidden in [
            "/api/v1/runs",
            "/api/v1/runs/a/20261123T120431.207Zx",
            "/api/v1/campaigns",
            "/metrics",
        ] {
            assert!(!is_shared(hidden, only), "{hidden}");
        }
    }

    #[test]
    fn what_is_not_named_needs_the_highest_role() {
        let admin = Need::Role(Role::Admin);
        assert_eq!(need(&Method::PUT, "/api/v1/anything"), admin);
        assert_eq!(need(&Method::DELETE, "/api/v1/runs/a/b"), admin);
        assert_eq!(need(&Method::POST, "/api/v1/runs/a/b/timeline"), admin);
        assert_eq!(need(&Method::GET, "/api/v1/runs"), Need::Role(Role::Read));
        assert_eq!(need(&Method::GET, "/healthz"), Need::Nothing);
    }
}
