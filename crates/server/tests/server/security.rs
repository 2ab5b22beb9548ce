//! What a hostile request or a hostile broker may try.

use crate::support::{RUN, SCRIPT, Served};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};

#[tokio::test]
async fn no_path_leads_out_of_the_store() {
    let served = Served::with_runs();
    std::fs::write(served.dir.path().join("secret.json"), "{}").unwrap();
    std::fs::write(served.dir.path().join("lost/20261123T120431.207Z/secret"), "x").unwrap();
    for path in [
        "/api/v1/runs/../secret.json",
        "/api/v1/runs/..%2f..%2fetc/passwd",
        "/api/v1/runs/%2e%2e/%2e%2e",
        "/api/v1/runs/lost/..",
        "/api/v1/runs/lost/latest",
        "/api/v1/runs/lost/%00",
        "/api/v1/runs/lost/20261123T120431.207Z/files/../../../secret.json",
        "/api/v1/runs/lost/20261123T120431.207Z/files/..%2f..%2fsecret.json",
        "/api/v1/runs/lost/20261123T120431.207Z/files/nodes/..%2f..%2fsecret/x",
        "/api/v1/runs/lost/20261123T120431.207Z/files/nodes/2/..%2f..%2f..%2fsecret.json",
        "/api/v1/runs/lost/20261123T120431.207Z/files/secret",
        "/api/v1/runs/lost/20261123T120431.207Z/files//etc/passwd",
        "/api/v1/runs/lost/20261123T120431.207Z/logs?node=..%2f..",
        "/api/v1/runs/absent/20261123T120431.207Z",
        "/api/v1/nothing",
        "/api/v2/runs",
        "/api",
    ] {
        let answer = served.get(path).await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
        answer.error();
    }
    for page in ["/../../etc/passwd", "/assets/../../../Cargo.toml", "/%2e%2e/%2e%2e/etc/passwd"] {
        let answer = served.get(page).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{page}");
        assert!(answer.header("content-type").starts_with("text/html"), "{page}");
    }
}

#[tokio::test]
async fn methods_that_a_path_does_not_take_are_refused() {
    let served = Served::with_runs();
    for path in ["/api/v1/runs", RUN, "/api/v1/runs/a/b/operations", "/", "/runs/a/b"] {
        for method in [Method::POST, Method::PUT, Method::PATCH] {
            let request = Request::builder().method(method.clone()).uri(path);
            let answer = served.send(request.body(Body::from("{}")).unwrap()).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            answer.error();
        }
    }
    let large = Request::post("/api/v1/runs").header("content-length", "10000000");
    let answer = served.send(large.body(Body::from(vec![0; 10_000_000])).unwrap()).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let served = Served::with_runs();
    for path in ["/", "/runs/a/b", "/nowhere", "/api/v1/runs", "/api/nope", RUN, "/healthz"] {
        let answer = served.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("script-src 'self';"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
    }
}

#[tokio::test]
async fn markup_of_a_broker_stays_text_in_json() {
    let served = Served::with_runs();
    for path in ["", "/operations", "/operations?index=9", "/logs", "/log?key=orders-2"] {
        let answer = served.get(&format!("{RUN}{path}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
        let text = answer.json().to_string();
        assert!(text.contains(&SCRIPT.replace('"', "\\\"")), "{path}: {text}");
    }
    let log = served.get(&format!("{RUN}/files/nodes/2/stdout.log")).await;
    assert_eq!(log.header("content-type"), "text/plain; charset=utf-8");
    assert!(log.header("content-disposition").starts_with("attachment"));
}

#[tokio::test]
async fn pages_are_revalidated_and_unknown_ones_say_so() {
    let served = Served::with_runs();
    let page = served.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.header("cache-control"), "no-cache");
    let tag = page.header("etag").to_owned();
    let again = Request::get("/").header("if-none-match", format!("\"other\", W/{tag}"));
    let again = served.send(again.body(Body::empty()).unwrap()).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    assert!(again.bytes.is_empty());
    let deep = served.get("/runs/lost/20261123T120431.207Z").await;
    assert_eq!((deep.status, deep.bytes), (StatusCode::OK, page.bytes.clone()));
    let unknown = served.get("/nowhere").await;
    assert_eq!((unknown.status, unknown.bytes), (StatusCode::NOT_FOUND, page.bytes));
}
