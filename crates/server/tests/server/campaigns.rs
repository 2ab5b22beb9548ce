//! Plans, campaigns, uploads and events over the API.

use crate::support::{RUN, Served};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures::StreamExt;
use serde_json::{Value, json};
use std::io::Write;

async fn post(served: &Served, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let answer = served.send(Request::post(path).body(body.into()).unwrap()).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn a_plan_is_validated_and_becomes_a_campaign() {
    let served = Served::new();
    let toml =
        "name = \"c\"\nseeds = [1, 2]\n[matrix]\nclient = [{acks = \"all\"}, {acks = \"1\"}]";
    let (_, checked) =
        post(&served, "/api/v1/plans/validate", json!({"toml": toml}).to_string()).await;
    assert_eq!((&checked["ok"], &checked["total"]), (&json!(true), &json!(4)));
    assert_eq!(checked["runs"][1]["name"], "c-acks-1");
    let bad = json!({"toml": "name = \"c\"\n\nspeed = 3"}).to_string();
    let (status, checked) = post(&served, "/api/v1/plans/validate", bad.clone()).await;
    assert_eq!((status, &checked["ok"]), (StatusCode::OK, &json!(false)));
    assert_eq!(checked["errors"][0]["line"], 3);
    assert_eq!(post(&served, "/api/v1/campaigns", bad).await.0, StatusCode::UNPROCESSABLE_ENTITY);

    let ask = json!({"toml": toml, "name": "renamed"}).to_string();
    let (status, made) = post(&served, "/api/v1/campaigns", ask).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let path = format!("/api/v1/campaigns/{}", made["id"].as_str().unwrap());
    let campaign = served.ok(&path).await;
    assert_eq!((&campaign["state"], &campaign["name"]), (&json!("queued"), &json!("renamed")));
    assert_eq!(campaign["runs"].as_array().unwrap().len(), 4);
    assert_eq!(campaign["toml"], toml);
    for (verb, state) in [("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")] {
        let (status, answer) = post(&served, &format!("{path}/{verb}"), Body::empty()).await;
        assert_eq!((status, &answer["state"]), (StatusCode::OK, &json!(state)), "{verb}");
    }
    let list = served.ok("/api/v1/campaigns").await;
    assert_eq!((&list["total"], &list["items"][0]["counts"]["cancelled"]), (&json!(1), &json!(4)));
}

#[tokio::test]
async fn a_history_that_is_handed_in_is_checked_and_becomes_a_run() {
    let served = Served::with_runs();
    let history = std::fs::read("../../histories/lost-write/passed-over.jsonl").unwrap();
    let (status, made) = post(&served, "/api/v1/histories?name=handed-in", history.clone()).await;
    assert_eq!((status, &made["verdict"]), (StatusCode::CREATED, &json!("invalid")), "{made}");
    let run = served.ok(&format!("/api/v1/runs/{}", made["id"].as_str().unwrap())).await;
    assert_eq!(run["report"]["anomalies"]["lost-write"]["count"], 1);
    assert_eq!(run["summary"]["status"], "complete");
    assert_eq!(served.ok("/api/v1/runs?name=handed-in").await["total"], 1);

    let (status, made) =
        post(&served, "/api/v1/histories?name=packed", packed("x/history.jsonl", &history)).await;
    assert_eq!((status, &made["verdict"]), (StatusCode::CREATED, &json!("invalid")), "{made}");
    let bomb = packed("history.jsonl", &vec![b' '; 40 << 20]);
    assert!(bomb.len() < 2 << 20);
    let (status, refused) = post(&served, "/api/v1/histories?name=bomb", bomb).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{refused}");
    for bad in [b"PK\x03\x04 and then nothing".to_vec(), packed("other.txt", b"x"), Vec::new()] {
        assert_eq!(
            post(&served, "/api/v1/histories?name=bad", bad).await.0,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
    assert_eq!(
        served.ok("/api/v1/runs?name=bad").await["total"],
        0,
        "what is refused leaves no run"
    );
    assert_eq!(std::fs::read_dir(served.dir.path().join(".uploads")).unwrap().count(), 0);
}

fn packed(name: &str, content: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(content).unwrap();
    zip.finish().unwrap().into_inner()
}

#[tokio::test]
async fn runs_are_filtered_grouped_compared_and_deleted() {
    let served = Served::with_runs();
    let total =
        async |query: &str| served.ok(&format!("/api/v1/runs?{query}")).await["total"].clone();
    assert_eq!(total("anomaly=lost-write").await, 2);
    assert_eq!(total("workload=queue&nemesis=kill&cluster=TESTBED").await, 3);
    assert_eq!(total("since=2026-11-22&until=2026-11-22").await, 1);
    assert_eq!(total("since=2026-11-23T00:00:00Z").await, 1);
    let sorted = served.ok("/api/v1/runs?sort=name&group=name").await;
    assert_eq!(sorted["runs"][0]["name"], "broken");
    assert_eq!(sorted["groups"][0]["latest"]["name"], "lost");
    for bad in ["sort=colour", "since=yesterday", "group=day"] {
        assert_eq!(
            served.get(&format!("/api/v1/runs?{bad}")).await.status,
            StatusCode::BAD_REQUEST
        );
    }
    let trend = served.ok("/api/v1/trends?name=lost").await;
    assert_eq!((&trend["violations"], &trend["judged"]), (&json!(1), &json!(1)));
    let (a, b) = ("lost/20261123T120431.207Z", "clean/20261121T000000.000Z");
    let compared = served.ok(&format!("/api/v1/compare?a={a}&b={b}")).await;
    assert_eq!(compared["settings"][0], json!({"path": "plan.seed", "a": 7, "b": null}));
    assert_eq!(compared["anomalies"][0]["name"], "lost-write");
    assert_eq!(compared["figures"][0]["a"], 5.0);

    let delete = async |path: &str| {
        served.send(Request::delete(path).body(Body::empty()).unwrap()).await.status
    };
    assert_eq!(delete(RUN).await, StatusCode::CONFLICT);
    assert_eq!(delete(&format!("{RUN}?violation=yes")).await, StatusCode::NO_CONTENT);
    assert_eq!(served.get(RUN).await.status, StatusCode::NOT_FOUND);
    assert_eq!(total("name=lost").await, 0);
}

#[tokio::test]
async fn an_answer_that_is_known_already_is_not_sent_again() {
    let served = Served::with_runs();
    let first = served.get("/api/v1/runs").await;
    let tag = first.header("etag").to_owned();
    let again = Request::get("/api/v1/runs").header("if-none-match", &tag);
    let again = served.send(again.body(Body::empty()).unwrap()).await;
    assert_eq!((again.status, again.bytes.len()), (StatusCode::NOT_MODIFIED, 0));
    std::fs::remove_dir_all(served.dir.path().join("clean")).unwrap();
    assert_ne!(served.get("/api/v1/runs").await.header("etag"), tag);
}

#[tokio::test]
async fn events_of_a_run_end_with_its_state() {
    let served = Served::with_runs();
    let request = Request::get(format!("{RUN}/events")).body(Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(served.app.clone(), request).await.unwrap();
    let mut body = response.into_body().into_data_stream();
    let mut text = String::new();
    // The run is over, so the stream ends by itself.
    while let Some(chunk) = body.next().await {
        text.push_str(&String::from_utf8_lossy(&chunk.unwrap()));
        assert!(text.len() < 100_000);
    }
    let progress = text.lines().find_map(|l| l.strip_prefix("data: ")).unwrap();
    let progress: Value = serde_json::from_str(progress).unwrap();
    assert_eq!(
        (&progress["operations"], &progress["ok"], &progress["info"]),
        (&json!(5), &json!(3), &json!(1))
    );
    assert_eq!(progress["leaders"]["orders-2"], 3);
    assert!(text.contains("event: state") && text.contains("\"complete\""), "{text}");
}

#[tokio::test]
async fn metrics_are_openmetrics() {
    let served = Served::with_runs();
    let answer = served.get("/metrics").await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    let text = String::from_utf8(answer.bytes).unwrap();
    assert!(text.contains("perjury_runs{verdict=\"invalid\"} 1"), "{text}");
    assert!(text.contains("perjury_build_info{version=") && text.ends_with("# EOF\n"), "{text}");
    let again = String::from_utf8(served.get("/metrics").await.bytes).unwrap();
    assert!(again.contains("perjury_http_requests_total{"), "{again}");
}
