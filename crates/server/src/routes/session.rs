//! Signing in from a browser, and links that show one run.

use crate::AppState;
use crate::access::{COOKIE, Opened, Role, Who};
use crate::assets;
use crate::error::ApiError;
use crate::routes::params::{At, Body, InRun};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// How long a browser stays signed in, in seconds.
const SESSION_SECONDS: i64 = 12 * 3600;
/// No link lasts longer, in hours.
const SHARE_HOURS_MAX: u32 = 24 * 90;

/// Who asks.
#[utoipa::path(get, path = "/session", tag = "access",
    responses((status = 200, description = "authenticated, role, open, csrf, only", body = Value)))]
pub(crate) async fn session(
    State(state): State<AppState>,
    Extension(who): Extension<Who>,
) -> Json<Value> {
    Json(describe(&state, who.role, &who.session, who.only.as_deref()))
}

fn describe(state: &AppState, role: Option<Role>, session: &str, only: Option<&str>) -> Value {
    json!({
        "authenticated": role.is_some() && !session.is_empty(),
        "role": role.map(Role::as_str),
        "open": state.is_open(),
        "csrf": role.map(|_| state.signer.csrf(session)),
        "only": only,
    })
}

/// A token to sign in with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// The token.
    token: String,
}

/// Exchanges a token for a session cookie.
#[utoipa::path(post, path = "/session", tag = "access", request_body = Login,
    responses((status = 200, description = "as GET; sets the cookie", body = Value), (status = 401, description = "no such token")))]
pub(crate) async fn login(
    State(state): State<AppState>,
    Body(login): Body<Login>,
) -> Result<Response, ApiError> {
    let Some(token) = state.tokens.find(login.token.trim()) else {
        return Err(ApiError::wrong_token());
    };
    let opened = Opened { role: token.role, token: token.name, only: None };
    let session = state.signer.session(&opened, Utc::now().timestamp() + SESSION_SECONDS);
    let body = describe(&state, Some(token.role), &session, None);
    Ok(with_cookie(Json(body).into_response(), &session, SESSION_SECONDS))
}

/// Signs out.
#[utoipa::path(delete, path = "/session", tag = "access",
    responses((status = 204, description = "the cookie is gone")))]
pub(crate) async fn logout() -> Response {
    with_cookie(StatusCode::NO_CONTENT.into_response(), "", 0)
}

/// Sets the cookie. Scripts cannot read it, and no page elsewhere has it sent along with what it posts.
fn with_cookie(mut response: Response, session: &str, seconds: i64) -> Response {
    let cookie = format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

/// How long a link lasts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Share {
    /// Hours, 1 to 2,160.
    hours: u32,
}

/// Makes a link that shows this one run to whoever has it, until it expires.
#[utoipa::path(post, path = "/runs/{name}/{time}/share", tag = "access", request_body = Share, params(("name", description = "the run's name"), ("time", description = "the run's time")),
    responses((status = 200, description = "url, expires", body = Value)))]
pub(crate) async fn share(
    State(state): State<AppState>,
    InRun(run): InRun,
    Body(share): Body<Share>,
) -> Result<Json<Value>, ApiError> {
    if share.hours == 0 || share.hours > SHARE_HOURS_MAX {
        return Err(ApiError::bad_request(
            format!("a link cannot last {} hours", share.hours),
            "Give 1 to 2160 hours.",
        ));
    }
    let expires = Utc::now() + chrono::TimeDelta::hours(i64::from(share.hours));
    let link = state.signer.share(&run.id().to_string(), expires.timestamp());
    Ok(Json(json!({
        "url": format!("/share/{link}"),
        "expires": expires.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    })))
}

/// Opens a link: a session that sees its run and nothing else.
#[utoipa::path(get, path = "/share/{signed}", tag = "access", params(("signed", description = "the link's text")),
    responses((status = 303, description = "to the run's page; sets the cookie"), (status = 403, description = "the link has expired or is none")))]
pub(crate) async fn open_share(
    State(state): State<AppState>,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
    At(signed): At<String>,
) -> Result<Response, ApiError> {
    let Some((run, expires)) = state.signer.open_share(&signed) else {
        // The page says the same, and what to do.
        if assets::wants_page(&headers) {
            return Ok(assets::drawn(StatusCode::FORBIDDEN, &headers));
        }
        return Err(ApiError::bad_share());
    };
    let page = format!("/runs/{run}");
    let to_page = [(header::LOCATION, page)];
    // Who may see every run keeps his own session.
    if who.role.is_some() && who.only.is_none() {
        return Ok((StatusCode::SEE_OTHER, to_page).into_response());
    }
    let opened = Opened { role: Role::Read, token: String::new(), only: Some(run) };
    let session = state.signer.session(&opened, expires);
    let seconds = expires - Utc::now().timestamp();
    Ok(with_cookie((StatusCode::SEE_OTHER, to_page).into_response(), &session, seconds))
}
