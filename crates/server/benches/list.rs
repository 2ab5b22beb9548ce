//! The list page over ten thousand runs: how long the API takes to answer, through the whole router.
//!
//! `cargo xtask bench --index [RUNS]` prints the median, the 95th percentile and the longest of each question.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on panics, and prints its figures"
)]

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use perjury_campaign::Executor;
use perjury_server::{AppState, router};
use perjury_store::{RunDir, RunId, Store};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const RUNS: usize = 10_000;
const ROUNDS: usize = 60;
const QUESTIONS: [&str; 6] = [
    "/api/v1/runs",
    "/api/v1/runs?q=lost+queue",
    "/api/v1/runs?verdict=invalid&anomaly=lost-write&sort=-violations",
    "/api/v1/runs?group=name",
    "/api/v1/runs?offset=9000&limit=1000",
    "/api/v1/trends?name=plan-3",
];

struct Idle;

#[async_trait]
impl Executor for Idle {
    async fn execute(&self, _: &RunDir, _: &CancellationToken) -> Result<(), String> {
        Err("a measurement makes no runs".into())
    }
}

/// A run as it lies on disk when it is over; without fsync, since ten thousand of them would take minutes.
fn place(root: &Path, n: usize, started: DateTime<Utc>) {
    let name = format!("plan-{}", n % 40);
    let id = RunId::new(&name, &started.format("%Y%m%dT%H%M%S%.3fZ").to_string()).unwrap();
    let dir = root.join(id.to_string());
    std::fs::create_dir_all(&dir).unwrap();
    let verdict = ["valid", "valid", "valid", "invalid", "unknown"][n % 5];
    let anomalies = match verdict {
        "invalid" => json!({"lost-write": {"count": n % 9 + 1, "judgement": "violation"}}),
        _ => json!({"unseen": {"count": 1, "judgement": "allowed"}}),
    };
    let report = json!({
        "schema": "perjury.report/1", "verdict": verdict, "operations": 30_000 + n, "anomalies": anomalies,
        "headline": format!("{verdict}: run {n} of the measurement, with a headline of the usual length"),
    });
    let header = json!({
        "perjury": "history", "format": "1.0", "name": name, "seed": n, "workload": "queue",
        "nemesis": ["kill"], "cluster": {"driver": "testbed", "version": "0.1.0"},
    });
    let status = json!({"status": "complete", "pid": 1, "started": started, "finished": started});
    std::fs::write(dir.join("history.jsonl"), format!("{header}\n")).unwrap();
    std::fs::write(dir.join("report.json"), report.to_string()).unwrap();
    std::fs::write(dir.join("status.json"), status.to_string()).unwrap();
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // `cargo bench` adds words of its own.
    let runs = std::env::args().find_map(|a| a.parse().ok()).unwrap_or(RUNS);
    let dir = tempfile::tempdir().unwrap();
    let start = Utc::now() - TimeDelta::days(30);
    for n in 0..runs {
        place(dir.path(), n, start + TimeDelta::milliseconds(i64::try_from(n).unwrap() * 1001));
    }
    let app = router(AppState::open(Store::open(dir.path()).unwrap(), Arc::new(Idle)).unwrap());
    let began = Instant::now();
    ask(&app, QUESTIONS[0]).await;
    println!(
        "{runs} runs; first list, with the index made from the directories: {:?}",
        began.elapsed()
    );
    // What changed within the last seconds is looked at again each time; a settled store is what is measured.
    tokio::time::sleep(Duration::from_secs(3)).await;
    ask(&app, QUESTIONS[0]).await;
    println!("{:<70} {:>10} {:>10} {:>10}", "question", "p50", "p95", "max");
    for question in QUESTIONS {
        let mut times = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let began = Instant::now();
            ask(&app, question).await;
            times.push(began.elapsed());
        }
        times.sort();
        let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
        println!("{question:<70} {:>10.2?} {:>10.2?} {:>10.2?}", at(50), at(95), at(100));
    }
}

async fn ask(app: &axum::Router, path: &str) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    to_bytes(response.into_body(), usize::MAX).await.unwrap();
}
