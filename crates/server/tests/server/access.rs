//! Signing in, share links, and requests that another page made.

use crate::support::{Answer, RUN, Served};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use perjury_server::Role;
use serde_json::{Value, json};

async fn post(served: &Served, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    served.send(request.body(Body::from(body.to_string())).unwrap()).await
}

async fn get_with(served: &Served, path: &str, cookie: &str) -> Answer {
    let request = Request::get(path).header("cookie", cookie);
    served.send(request.body(Body::empty()).unwrap()).await
}

/// The cookie of an answer as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie");
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
    set.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn without_a_token_loopback_is_open_but_not_to_other_pages() {
    let served = Served::with_runs();
    let session = served.ok("/api/v1/session").await;
    assert_eq!((&session["open"], &session["role"]), (&json!(true), &json!("admin")));
    let plan = json!({"toml": "name = \"a\""});
    assert_eq!(
        post(&served, "/api/v1/plans/validate", &[], plan.clone()).await.status,
        StatusCode::OK
    );
    // A browser says where a request comes from; only our own pages know the token.
    let foreign = [("origin", "http://elsewhere.example")];
    let refused = post(&served, "/api/v1/plans/validate", &foreign, plan.clone()).await;
    assert_eq!((refused.status, refused.error()), (StatusCode::FORBIDDEN, "csrf".into()));
    let csrf = session["csrf"].as_str().unwrap();
    let own = [("origin", "http://127.0.0.1:8080"), ("x-csrf-token", csrf)];
    assert_eq!(post(&served, "/api/v1/plans/validate", &own, plan).await.status, StatusCode::OK);
}

#[tokio::test]
async fn beyond_loopback_nobody_is_let_in_without_a_token() {
    let served = Served::beyond_loopback();
    let answer = served.get("/api/v1/runs").await;
    assert_eq!((answer.status, answer.error()), (StatusCode::UNAUTHORIZED, "unauthorized".into()));
    assert!(answer.json()["error"]["hint"].as_str().unwrap().contains("perjury token create"));
    assert_eq!(served.ok("/api/v1/session").await["open"], false);
}

#[tokio::test]
async fn a_browser_signs_in_with_a_token_writes_with_a_second_one_and_signs_out() {
    let served = Served::with_runs();
    let token = served.token(Role::Run);
    let wrong = post(&served, "/api/v1/session", &[], json!({"token": "perjury_no"})).await;
    assert_eq!((wrong.status, wrong.error()), (StatusCode::UNAUTHORIZED, "wrong-token".into()));
    let login = post(&served, "/api/v1/session", &[], json!({"token": token})).await;
    assert_eq!((login.status, &login.json()["role"]), (StatusCode::OK, &json!("run")));
    let session = cookie(&login);
    assert_eq!(get_with(&served, "/api/v1/runs", &session).await.status, StatusCode::OK);
    let csrf = get_with(&served, "/api/v1/session", &session).await.json()["csrf"].clone();
    let plan = json!({"toml": "name = \"a\""});
    let without =
        post(&served, "/api/v1/plans/validate", &[("cookie", &session)], plan.clone()).await;
    assert_eq!(without.status, StatusCode::FORBIDDEN);
    let both = [("cookie", session.as_str()), ("x-csrf-token", csrf.as_str().unwrap())];
    assert_eq!(post(&served, "/api/v1/plans/validate", &both, plan).await.status, StatusCode::OK);
    // A session that was changed, and one whose token was revoked, are worth nothing.
    let changed = session.replace("run", "admin");
    assert_eq!(get_with(&served, "/api/v1/runs", &changed).await.status, StatusCode::UNAUTHORIZED);
    served.revoke(Role::Run);
    served.token(Role::Read);
    assert_eq!(get_with(&served, "/api/v1/runs", &session).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_share_link_shows_its_run_to_a_stranger_and_nothing_else() {
    let served = Served::with_runs();
    let token = format!("Bearer {}", served.token(Role::Run));
    let path = format!("{RUN}/share");
    let made = post(&served, &path, &[("authorization", &token)], json!({"hours": 1})).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.json());
    let url = made.json()["url"].as_str().unwrap().to_owned();
    let opened = served.get(&url).await;
    assert_eq!(opened.status, StatusCode::SEE_OTHER);
    assert_eq!(opened.header("location"), "/runs/lost/20261123T120431.207Z");
    let session = cookie(&opened);
    for seen in [RUN.to_owned(), format!("{RUN}/timeline"), "/api/v1/glossary".into()] {
        assert_eq!(get_with(&served, &seen, &session).await.status, StatusCode::OK, "{seen}");
    }
    for hidden in
        ["/api/v1/runs", "/api/v1/campaigns", "/api/v1/runs/clean/20261121T000000.000Z", "/metrics"]
    {
        assert_eq!(
            get_with(&served, hidden, &session).await.status,
            StatusCode::FORBIDDEN,
            "{hidden}"
        );
    }
    let expired = post(&served, &path, &[("authorization", &token)], json!({"hours": 0})).await;
    assert_eq!(expired.status, StatusCode::BAD_REQUEST);
    let forged = url.replacen("lost", "clean", 1);
    let refused = served.get(&forged).await;
    assert_eq!((refused.status, refused.error()), (StatusCode::FORBIDDEN, "bad-link".into()));
    // Whoever opens it in a browser is told by a page.
    let page = Request::get(&forged).header("accept", "text/html,application/xhtml+xml");
    let page = served.send(page.body(Body::empty()).unwrap()).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.header("content-type").starts_with("text/html"));
    assert_eq!(page.header("set-cookie"), "");
}

#[tokio::test]
async fn who_asks_too_often_waits() {
    let served = Served::new();
    let mut refused = 0;
    for _ in 0..40 {
        let answer = post(&served, "/api/v1/session", &[], json!({"token": "x"})).await;
        refused += usize::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refused > 0);
}
