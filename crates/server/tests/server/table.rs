//! The security table: every endpoint × what a stranger may try, with the status that answers it.
//!
//! The description of the API names every route that the router has. A route without a row here, or a row without a
//! route, fails the test.

use crate::support::{RUN, SCRIPT, Served};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use perjury_server::Role;
use std::collections::BTreeSet;

/// What a path takes from its caller, beside its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// Nothing that could be malformed.
    Nothing,
    /// JSON in the body.
    Json,
    /// A history in the body.
    History,
}

/// One endpoint.
struct Row {
    method: &'static str,
    /// As the description names it.
    path: &'static str,
    /// Asked with these values.
    asked: &'static str,
    /// The lowest role that may; none when anybody may.
    role: Option<Role>,
    takes: Takes,
    /// What the right role gets for the body `{}`.
    ok: u16,
    /// What a path that leads elsewhere gets, where a part of it can.
    elsewhere: Option<(&'static str, u16)>,
}

const READ: Option<Role> = Some(Role::Read);
const RUNS: Option<Role> = Some(Role::Run);
const ADMIN: Option<Role> = Some(Role::Admin);

const fn row(
    method: &'static str,
    path: &'static str,
    asked: &'static str,
    role: Option<Role>,
    ok: u16,
) -> Row {
    Row { method, path, asked, role, takes: Takes::Nothing, ok, elsewhere: None }
}

impl Row {
    const fn takes(self, takes: Takes) -> Row {
        Row { takes, ..self }
    }

    const fn elsewhere(self, path: &'static str, status: u16) -> Row {
        Row { elsewhere: Some((path, status)), ..self }
    }
}

const LOST: &str = "/api/v1/runs/{name}/{time}";

/// The service itself, and runs.
fn rows_of_runs() -> Vec<Row> {
    let of = |part: &str| -> (&'static str, &'static str) {
        (String::leak(format!("{LOST}{part}")), String::leak(format!("{RUN}{part}")))
    };
    let read_run = |part: &str, ok: u16, query: &str| {
        let (path, asked) = of(part);
        let outside = String::leak(format!("/api/v1/runs/..%2f..%2fetc/passwd{part}"));
        row("get", path, String::leak(format!("{asked}{query}")), READ, ok).elsewhere(outside, 400)
    };
    let (replay, ask_replay) = of("/replay");
    let (share, ask_share) = of("/share");
    let (pin, ask_pin) = of("/pin");
    let (files, _) = of("/files/{*path}");
    vec![
        row("get", "/healthz", "/healthz", None, 200),
        row("get", "/readyz", "/readyz", None, 200),
        row("get", "/metrics", "/metrics", READ, 200),
        row("get", "/openapi.json", "/openapi.json", None, 200),
        row("get", "/docs", "/docs", None, 200),
        row("get", "/docs/{file}", "/docs/docs.js", None, 200)
            .elsewhere("/docs/..%2f..%2fCargo.toml", 404),
        row("get", "/share/{signed}", "/share/lost~x~1~0", None, 403)
            .elsewhere("/share/..%2f..%2fetc", 403),
        row("get", "/api/v1/openapi.json", "/api/v1/openapi.json", None, 200),
        row("get", "/api/v1/runs", "/api/v1/runs", READ, 200),
        row("get", "/api/v1/trends", "/api/v1/trends?name=lost", READ, 200),
        row(
            "get",
            "/api/v1/compare",
            "/api/v1/compare?a=lost/20261123T120431.207Z&b=clean/20261121T000000.000Z",
            READ,
            200,
        )
        .elsewhere("/api/v1/compare?a=../../etc/passwd&b=a/b", 400),
        read_run("", 200, ""),
        row("delete", LOST, "/api/v1/runs/lost/20261123T120431.207Z", ADMIN, 409)
            .elsewhere("/api/v1/runs/..%2f../x", 400),
        read_run("/timeline", 200, ""),
        read_run("/operations", 200, ""),
        read_run("/log", 200, "?key=orders-2"),
        read_run("/logs", 200, ""),
        read_run("/events", 200, ""),
        read_run("/evidence", 422, "?anomaly=nothing"),
        read_run("/report.html", 422, "?anomaly=nothing"),
        read_run("/markdown", 200, ""),
        row("get", files, "/api/v1/runs/lost/20261123T120431.207Z/files/report.json", READ, 200)
            .elsewhere("/api/v1/runs/lost/20261123T120431.207Z/files/..%2f..%2fsecret", 404),
        row("get", "/api/v1/retention", "/api/v1/retention", READ, 200),
        row("post", "/api/v1/retention", "/api/v1/retention", ADMIN, 200),
        row("put", pin, ask_pin, RUNS, 204).elsewhere("/api/v1/runs/..%2f../x/pin", 400),
        row("delete", pin, ask_pin, RUNS, 204).elsewhere("/api/v1/runs/..%2f../x/pin", 400),
        row("post", replay, ask_replay, RUNS, 422).elsewhere("/api/v1/runs/..%2f../x/replay", 400),
        row("post", share, ask_share, RUNS, 400)
            .takes(Takes::Json)
            .elsewhere("/api/v1/runs/..%2f../x/share", 400),
    ]
}

/// Campaigns, plans, uploads and sessions.
fn rows_of_the_service() -> Vec<Row> {
    vec![
        row("get", "/api/v1/events", "/api/v1/events", READ, 200),
        row("get", "/api/v1/campaigns", "/api/v1/campaigns", READ, 200),
        row("post", "/api/v1/campaigns", "/api/v1/campaigns", RUNS, 400).takes(Takes::Json),
        row("get", "/api/v1/campaigns/{id}", "/api/v1/campaigns/none", READ, 404)
            .elsewhere("/api/v1/campaigns/..%2f..%2fx", 404),
        row("post", "/api/v1/campaigns/{id}/pause", "/api/v1/campaigns/none/pause", RUNS, 404)
            .elsewhere("/api/v1/campaigns/..%2f../pause", 404),
        row("post", "/api/v1/campaigns/{id}/resume", "/api/v1/campaigns/none/resume", RUNS, 404)
            .elsewhere("/api/v1/campaigns/..%2f../resume", 404),
        row("post", "/api/v1/campaigns/{id}/cancel", "/api/v1/campaigns/none/cancel", RUNS, 404)
            .elsewhere("/api/v1/campaigns/..%2f../cancel", 404),
        row("get", "/api/v1/calibrations", "/api/v1/calibrations", READ, 200),
        row("get", "/api/v1/calibrations/{id}", "/api/v1/calibrations/none", READ, 404)
            .elsewhere("/api/v1/calibrations/..%2f..%2fx", 404),
        row("get", "/api/v1/plans/schema", "/api/v1/plans/schema", READ, 200),
        row("get", "/api/v1/plans/named", "/api/v1/plans/named", READ, 200),
        row("post", "/api/v1/plans/validate", "/api/v1/plans/validate", RUNS, 400)
            .takes(Takes::Json),
        row("post", "/api/v1/histories", "/api/v1/histories?name=up", RUNS, 422)
            .takes(Takes::History)
            .elsewhere("/api/v1/histories?name=../../etc", 400),
        row("get", "/api/v1/glossary", "/api/v1/glossary", READ, 200),
        row("get", "/api/v1/session", "/api/v1/session", None, 200),
        row("post", "/api/v1/session", "/api/v1/session", None, 400).takes(Takes::Json),
        row("delete", "/api/v1/session", "/api/v1/session", None, 204),
    ]
}

fn rows() -> Vec<Row> {
    let mut rows = rows_of_runs();
    rows.extend(rows_of_the_service());
    rows
}

/// A store with runs, one token of each role, and a client without a browser's habits.
struct Guarded {
    served: Served,
    tokens: Vec<(Role, String)>,
}

impl Guarded {
    fn new() -> Guarded {
        let served = Served::with_runs();
        let made = |role: Role| (role, served.token(role));
        let tokens = [Role::Read, Role::Run, Role::Admin].map(made).to_vec();
        std::fs::write(served.dir.path().join("secret"), "x").unwrap();
        Guarded { served, tokens }
    }

    async fn ask(&self, row: &Row, path: &str, role: Option<Role>, body: Vec<u8>) -> StatusCode {
        let method: Method = row.method.to_uppercase().parse().unwrap();
        let mut request = Request::builder().method(method).uri(path);
        if let Some((_, token)) = self.tokens.iter().find(|(r, _)| Some(*r) == role) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if !body.is_empty() {
            request = request.header("content-length", body.len());
        }
        self.served.status(request.body(Body::from(body)).unwrap()).await
    }
}

fn body_of(row: &Row) -> Vec<u8> {
    if row.takes == Takes::History { b"no history".to_vec() } else { Vec::new() }
}

#[tokio::test]
async fn every_route_has_a_row_and_every_row_a_route() {
    let description = Served::new().ok("/openapi.json").await;
    let mut routes = BTreeSet::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            routes.insert(format!("{method} {path}"));
        }
    }
    let rows: BTreeSet<String> =
        rows().iter().map(|r| format!("{} {}", r.method, r.path)).collect();
    assert_eq!(rows, routes);
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_or_beyond_his_role() {
    let guarded = Guarded::new();
    for row in rows() {
        let name = format!("{} {}", row.method, row.path);
        let Some(needed) = row.role else {
            let status = guarded.ask(&row, row.asked, None, body_of(&row)).await;
            assert_eq!(status.as_u16(), row.ok, "{name} for anybody");
            continue;
        };
        let status = guarded.ask(&row, row.asked, None, body_of(&row)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{name} without a token");
        for role in [Role::Read, Role::Run, Role::Admin] {
            let status = guarded.ask(&row, row.asked, Some(role), body_of(&row)).await;
            let expected = if role < needed { 403 } else { row.ok };
            assert_eq!(status.as_u16(), expected, "{name} as {role:?}");
        }
    }
}

#[tokio::test]
async fn oversized_bodies_are_refused_everywhere() {
    let guarded = Guarded::new();
    for row in rows() {
        let bytes = if row.takes == Takes::History { 256 << 20 } else { 600 * 1024 };
        let method: Method = row.method.to_uppercase().parse().unwrap();
        // It says so of itself, and is refused before any of it is read.
        let request = Request::builder()
            .method(method)
            .uri(row.asked)
            .header("content-length", bytes + 1)
            .header("authorization", format!("Bearer {}", guarded.tokens[2].1));
        let status = guarded.served.status(request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{} {}", row.method, row.path);
    }
    for row in rows().iter().filter(|r| r.takes == Takes::Json) {
        // It does not say so.
        let method: Method = row.method.to_uppercase().parse().unwrap();
        let chunks = (0..70).map(|_| Ok::<_, std::io::Error>(vec![b' '; 10_000]));
        let request = Request::builder()
            .method(method)
            .uri(row.asked)
            .header("authorization", format!("Bearer {}", guarded.tokens[2].1));
        let body = Body::from_stream(futures::stream::iter(chunks));
        let status = guarded.served.status(request.body(body).unwrap()).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{} {} in chunks", row.method, row.path);
    }
}

#[tokio::test]
async fn paths_and_names_that_lead_elsewhere_are_refused() {
    let guarded = Guarded::new();
    for row in rows() {
        let takes_a_place =
            row.path.contains('{') || row.path.ends_with("compare") || row.takes == Takes::History;
        assert_eq!(takes_a_place, row.elsewhere.is_some(), "{} {}", row.method, row.path);
        let Some((path, expected)) = row.elsewhere else { continue };
        let status = guarded.ask(&row, path, Some(Role::Admin), body_of(&row)).await;
        assert_eq!(status.as_u16(), expected, "{} {path}", row.method);
    }
}

#[tokio::test]
async fn malformed_json_and_markup_are_refused_with_words() {
    let guarded = Guarded::new();
    for row in rows().iter().filter(|r| r.takes != Takes::Nothing) {
        let expected = if row.takes == Takes::History { 422 } else { 400 };
        for body in ["{\"", "[]", "\u{0}", "{\"unknown\": 1}", SCRIPT] {
            let status = guarded.ask(row, row.asked, Some(Role::Admin), body.into()).await;
            assert_eq!(status.as_u16(), expected, "{} {} {body:?}", row.method, row.path);
        }
    }
}

#[tokio::test]
async fn markup_of_a_broker_comes_out_as_text_everywhere() {
    let guarded = Guarded::new();
    let token = &guarded.tokens[2].1;
    for row in rows().iter().filter(|r| r.method == "get" && !r.path.ends_with("/events")) {
        let request = Request::get(row.asked).header("authorization", format!("Bearer {token}"));
        let answer = guarded.served.send(request.body(Body::empty()).unwrap()).await;
        let is_page = answer.header("content-type").starts_with("text/html");
        let text = String::from_utf8_lossy(&answer.bytes).into_owned();
        assert!(!is_page || !text.contains("alert("), "{}: markup in a page", row.path);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{}", row.path);
        assert!(!answer.header("content-security-policy").contains("unsafe"), "{}", row.path);
    }
}
