//! A small store with one run that lost a record, and a client that speaks to the router without a socket.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use perjury_campaign::Executor;
use perjury_server::{AppState, Role, Tokens, router};
use perjury_store::{RunDir, Store};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The run with a full set of files.
pub(crate) const RUN: &str = "/api/v1/runs/lost/20261123T120431.207Z";

/// What a broker could send to hurt a page.
pub(crate) const SCRIPT: &str = "<script>alert(\"x\")</script>";

/// One second of the history, ns.
pub(crate) const S: i64 = 1_000_000_000;

pub(crate) struct Served {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) app: Router,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.bytes);
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The code of an error answer, whose message and hint are there too.
    pub(crate) fn error(&self) -> String {
        let error = &self.json()["error"];
        for field in ["message", "hint"] {
            assert!(error[field].as_str().is_some_and(|t| !t.is_empty()), "{field}: {error}");
        }
        error["code"].as_str().unwrap().to_owned()
    }
}

/// No test here makes runs.
struct Idle;

#[async_trait::async_trait]
impl Executor for Idle {
    async fn execute(&self, _: &RunDir, _: &CancellationToken) -> Result<(), String> {
        Err("nothing is executed here".into())
    }
}

pub(crate) fn idle() -> Arc<dyn Executor> {
    Arc::new(Idle)
}

impl Served {
    pub(crate) fn new() -> Served {
        Served::with_state(|state| state)
    }

    pub(crate) fn beyond_loopback() -> Served {
        Served::with_state(AppState::beyond_loopback)
    }

    fn with_state(change: impl FnOnce(AppState) -> AppState) -> Served {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let state = AppState::open(store, idle()).unwrap();
        Served { app: router(change(state)), dir }
    }

    /// A new token of this role, called after it.
    pub(crate) fn token(&self, role: Role) -> String {
        let tokens = Tokens::open(self.dir.path()).unwrap();
        tokens.create(role.as_str(), role).unwrap().secret
    }

    pub(crate) fn revoke(&self, role: Role) {
        Tokens::open(self.dir.path()).unwrap().revoke(role.as_str()).unwrap();
    }

    /// The status of an answer, whose body may never end.
    pub(crate) async fn status(&self, request: Request<Body>) -> StatusCode {
        self.app.clone().oneshot(request).await.unwrap().status()
    }

    /// Every history is read a block at a time. A request waits for the index.
    pub(crate) fn with_runs_paged() -> Served {
        Served::with_state(|state| state.paged_from(0, Duration::from_secs(60))).and_runs()
    }

    /// Every history is read a block at a time. No request waits for the index.
    pub(crate) fn with_runs_paged_impatiently() -> Served {
        Served::with_state(|state| state.paged_from(0, Duration::ZERO)).and_runs()
    }

    pub(crate) fn with_rules(rules: perjury_store::Retention) -> Served {
        Served::with_state(|state| state.keeping(rules)).and_runs()
    }

    pub(crate) fn with_runs() -> Served {
        Served::new().and_runs()
    }

    fn and_runs(self) -> Served {
        let served = self;
        write_lost(&served.place("lost/20261123T120431.207Z"));
        let bad = served.place("broken/20261122T000000.000Z");
        fs::write(bad.join("report.json"), "{\"schema\":").unwrap();
        fs::write(bad.join("history.jsonl"), format!("{}\n{{\"index\":0,oops}}\n", header(22)))
            .unwrap();
        let valid = served.place("clean/20261121T000000.000Z");
        fs::write(valid.join("history.jsonl"), format!("{}\n", header(21))).unwrap();
        fs::write(valid.join("report.json"), report("valid").to_string()).unwrap();
        served
    }

    pub(crate) fn place(&self, id: &str) -> PathBuf {
        let path = self.dir.path().join(id);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 26).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        self.send(Request::get(uri).body(Body::empty()).unwrap()).await
    }

    /// The answer of a route that must succeed.
    pub(crate) async fn ok(&self, uri: &str) -> Value {
        let answer = self.get(uri).await;
        assert_eq!(answer.status, StatusCode::OK, "{uri}: {}", answer.json());
        answer.json()
    }
}

fn header(day: u32) -> Value {
    json!({
        "perjury": "history", "format": "1.0", "name": "lost", "seed": 7, "workload": "queue",
        "nemesis": ["kill"], "started": format!("2026-11-{day}T12:04:31.207Z"),
        "config": {"acks": "all"}, "cluster": {"driver": "testbed", "bugs": ["forget-unsynced"]},
    })
}

fn report(verdict: &str) -> Value {
    json!({
        "schema": "perjury.report/1", "verdict": verdict, "operations": 5, "headline": SCRIPT,
        "anomalies": {"lost-write": {"count": 1, "judgement": "violation", "examples": [
            {"sentence": SCRIPT, "key": "orders-2", "offset": 1, "ops": [3, 9]}]}},
    })
}

fn write_lost(run: &Path) {
    let fault = |phase: &str| {
        json!({"fault": 0, "phase": phase, "target": "leader", "nodes": [2], "key": "orders-2",
               "witnessed": true, "witness": {"why": "the process is gone"}})
    };
    let events = [
        json!({"time": 0, "process": 0, "type": "invoke", "f": "send", "value": [["send", "orders-2", 1]]}),
        json!({"time": S / 100, "process": 0, "type": "ok", "f": "send", "value": [["send", "orders-2", [0, 1]]]}),
        json!({"time": S, "process": 0, "type": "invoke", "f": "send", "value": [["send", "orders-2", 2]]}),
        json!({"time": S + S / 50, "process": 0, "type": "ok", "f": "send", "value": [["send", "orders-2", [1, 2]]]}),
        json!({"time": 2 * S, "process": "nemesis", "type": "info", "f": "kill", "value": fault("inject")}),
        json!({"time": 2 * S + 5, "process": "nemesis", "type": "info", "f": "kill", "value": fault("injected")}),
        json!({"time": 3 * S, "process": 1, "type": "invoke", "f": "send", "value": [["send", "orders-2", 3]]}),
        json!({"time": 3 * S, "process": "cluster", "type": "info", "f": "leader",
               "value": {"topic": "orders", "partition": 2, "from": 2, "to": 3, "epoch": 5}}),
        json!({"time": 4 * S, "process": 2, "type": "invoke", "f": "poll", "value": [["poll"]]}),
        json!({"time": 4 * S + 9, "process": 2, "type": "ok", "f": "poll", "final": true,
               "value": [["poll", {"orders-2": [[0, 1], [2, SCRIPT]]}]]}),
        json!({"time": 5 * S, "process": 1, "type": "info", "f": "send", "value": [["send", "orders-2", 3]],
               "error": {"code": "_MSG_TIMED_OUT", "message": SCRIPT}}),
        json!({"time": 6 * S, "process": "nemesis", "type": "info", "f": "kill", "value": fault("healed")}),
        json!({"time": 7 * S, "process": 3, "type": "invoke", "f": "poll", "value": [["poll"]]}),
        json!({"time": 8 * S, "process": "nemesis", "type": "info", "f": "phase", "value": {"phase": "done"}}),
    ];
    let mut text = format!("{}\n", header(23));
    for (index, mut event) in events.into_iter().enumerate() {
        event["index"] = json!(index);
        text.push_str(&format!("{event}\n"));
    }
    fs::write(run.join("history.jsonl"), text).unwrap();
    fs::write(run.join("report.json"), report("invalid").to_string()).unwrap();
    fs::write(run.join("plan.json"), "{\"seed\": 7}").unwrap();
    fs::create_dir_all(run.join("nodes/2")).unwrap();
    let log = format!("2026-11-23T12:04:32.000Z up\n2026-11-23T12:04:33.207Z {SCRIPT}\n");
    fs::write(run.join("nodes/2/stdout.log"), log).unwrap();
}
