//! What the tests of this crate share: the corpus, and a run directory with hosts, topics and secrets of its own.

use perjury_evidence::Source;
use perjury_store::{RunId, Store};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A password that is given as client property, as node configuration and in a log line.
pub(crate) const PASSWORD: &str = "correct-horse-battery";
/// Texts of the run directory that redaction must take out: topics, hosts, values, paths.
pub(crate) const ORIGINALS: [&str; 7] = [
    "payments.eu",
    "broker-7.corp.example",
    "10.1.2.3",
    "iban-DE02-1001",
    "iban-DE02-1002",
    "customer-4711",
    "/home/somebody",
];

/// The histories of the corpus that are judged invalid by hand.
pub(crate) fn invalid() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../histories");
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("malformed") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "jsonl") {
                let expected = fs::read_to_string(path.with_extension("expected.json"));
                let expected = expected.ok().and_then(|e| serde_json::from_str::<Value>(&e).ok());
                if expected.is_some_and(|e| e["verdict"] == "invalid") {
                    found.push(path);
                }
            }
        }
    }
    found.sort();
    assert!(found.len() >= 30, "only {} histories", found.len());
    found
}

/// A store with one run that lost a write, and the run's identifier.
pub(crate) fn run_directory() -> (TempDir, Store, RunId) {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("lost/20261123T120000.000Z");
    fs::create_dir_all(run.join("nodes/1")).unwrap();
    let plan = serde_json::json!({
        "name": "lost", "seed": 7,
        "cluster": {"driver": "attach", "bootstrap_servers": "broker-7.corp.example:9093,10.1.2.3:9092"},
        "client": {"properties": {"sasl.username": "probe", "sasl.password": PASSWORD}},
        "topic": {"topic": "payments.eu", "partitions": 1},
        "schedule": [],
    });
    let header = serde_json::json!({
        "perjury": "history", "format": "1.0", "name": "lost", "started": "2026-11-23T12:00:00.000Z",
        "seed": 7, "workload": "queue",
        "config": {"acks": "all", "idempotence": true, "sub_via": ["assign"], "replication_factor": 3,
            "min_insync_replicas": 2, "unclean_leader_election": false},
        "plan": plan, "cluster": {"driver": "attach", "version": "4.1.0", "bugs": []},
        "versions": {"perjury": "0.1.0", "librdkafka": "2.12.1"},
    });
    let mut lines = vec![header.to_string()];
    lines.extend(EVENTS.map(str::to_owned));
    fs::write(run.join("history.jsonl"), lines.join("\n") + "\n").unwrap();
    fs::write(run.join("plan.json"), format!("{plan:#}")).unwrap();
    let config =
        format!("listeners=PLAINTEXT://broker-7.corp.example:9093\nssl.key.password={PASSWORD}\n");
    fs::write(run.join("nodes/1/server.properties"), config).unwrap();
    let log = format!(
        "2026-11-23T12:00:00.040000Z INFO broker-7.corp.example:9093 leads payments.eu-0 from /home/somebody/data/log\n\
         2026-11-23T12:00:00.060000Z DEBUG login with {PASSWORD} by 10.1.2.3:50000, wrote iban-DE02-1002 of customer-4711\n\
         2026-11-23T12:00:09.000000Z INFO long after\n"
    );
    fs::write(run.join("nodes/1/stderr.log"), log).unwrap();
    let store = Store::open(dir.path()).unwrap();
    let id = "lost/20261123T120000.000Z".parse().unwrap();
    (dir, store, id)
}

/// Value 2 of the log is acknowledged at offset 1 and passed over.
const EVENTS: [&str; 9] = [
    r#"{"index":0,"time":10000000,"process":0,"type":"invoke","f":"send","value":[["send","payments.eu-0","iban-DE02-1001"]]}"#,
    r#"{"index":1,"time":20000000,"process":0,"type":"ok","f":"send","value":[["send","payments.eu-0",[0,"iban-DE02-1001"]]]}"#,
    r#"{"index":2,"time":30000000,"process":0,"type":"invoke","f":"send","value":[["send","payments.eu-0","iban-DE02-1002"]]}"#,
    r#"{"index":3,"time":40000000,"process":0,"type":"ok","f":"send","value":[["send","payments.eu-0",[1,"iban-DE02-1002"]]]}"#,
    r#"{"index":4,"time":45000000,"process":"cluster","type":"info","f":"leader","value":{"topic":"payments.eu","partition":0,"from":7,"to":8,"epoch":2}}"#,
    r#"{"index":5,"time":50000000,"process":1,"type":"invoke","f":"send","value":[["send","payments.eu-0","iban-DE02-1003"]]}"#,
    r#"{"index":6,"time":60000000,"process":1,"type":"ok","f":"send","value":[["send","payments.eu-0",[2,"iban-DE02-1003"]]]}"#,
    r#"{"index":7,"time":70000000,"process":2,"type":"invoke","f":"poll","value":[["poll"]]}"#,
    r#"{"index":8,"time":80000000,"process":2,"type":"ok","f":"poll","value":[["poll",{"payments.eu-0":[[0,"iban-DE02-1001",{"key":"customer-4711"}],[2,"iban-DE02-1003"]]}]]}"#,
];

/// The run of [`run_directory`] as a source.
pub(crate) fn run_source() -> (TempDir, Source) {
    let (dir, store, id) = run_directory();
    let source = Source::run(&store, &id).unwrap();
    (dir, source)
}
