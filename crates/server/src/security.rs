//! What every answer carries, and who is answered at all.

use crate::AppState;
use crate::error::ApiError;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Scripts and styles come from this server alone, nothing is framed, nothing is sent elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Refuses requests for other hosts and puts the security headers on every answer, errors included.
pub(crate) async fn guard(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let mut response = match refused_host(&state, &request) {
        Some(host) => ApiError::wrong_host(&host).into_response(),
        None => next.run(request).await,
    };
    state.metrics.answered(&method, response.status().as_u16());
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The host that the request names, if this server does not answer for it. Browsers always name one; what names none is
/// no browser.
fn refused_host(state: &AppState, request: &Request) -> Option<String> {
    let allowed = state.allowed_hosts.as_deref()?;
    let named = request.headers().get(header::HOST).map(|h| h.to_str().unwrap_or("?").to_owned());
    let named = named.or_else(|| request.uri().authority().map(ToString::to_string))?;
    // The port is left out; an IPv6 address stands in brackets and has colons of its own.
    let host = match named.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => named.as_str(),
    };
    (!allowed.iter().any(|a| a.eq_ignore_ascii_case(host))).then(|| host.to_owned())
}
