//! `perjury shrink` and `perjury check --explain` on files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use serde_json::Value;
use support::{perjury, stderr, stdout};

/// A simulated history with a lost write, in a file.
fn lossy(dir: &tempfile::TempDir) -> String {
    let made =
        perjury(&["generate", "--defect", "lose-acked", "--operations", "400", "--seed", "5"]);
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let path = dir.path().join("history.jsonl");
    std::fs::write(&path, &made.stdout).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_lost_write_shrinks_to_a_file_that_is_still_invalid() {
    let dir = tempfile::tempdir().unwrap();
    let path = lossy(&dir);
    let out = dir.path().join("small.jsonl");
    let out = out.to_str().unwrap();
    let done =
        perjury(&["shrink", &path, "--anomaly", "lost-write", "-o", out, "--output", "json"]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let summary: Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert_eq!((&summary["anomaly"], &summary["minimal"]), (&"lost-write".into(), &true.into()));
    assert!(summary["operations"].as_u64().unwrap() <= 4, "{summary}");
    let checked = perjury(&["check", out, "--output", "json"]);
    assert_eq!(checked.status.code(), Some(1), "{}", stderr(&checked));
    let report: Value = serde_json::from_str(&stdout(&checked)).unwrap();
    assert_eq!(report["anomalies"]["lost-write"]["judgement"], "violation");
    let first = std::fs::read_to_string(out).unwrap();
    let header: Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    assert_eq!(header["shrunk_from"]["path"], path);
}

#[test]
fn without_a_file_the_small_history_is_part_of_the_text() {
    let dir = tempfile::tempdir().unwrap();
    let done = perjury(&["shrink", &lossy(&dir)]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let text = stdout(&done);
    assert!(text.contains("none of them can be left out"), "{text}");
    assert!(text.contains("What would have made it legal"), "{text}");
    let rows = text.lines().filter(|l| l.starts_with("{\"index\"")).count();
    assert!((2..=8).contains(&rows), "{text}");
}

#[test]
fn what_is_not_there_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    let done = perjury(&["shrink", &lossy(&dir), "--anomaly", "G1a"]);
    assert_eq!(done.status.code(), Some(254));
    assert!(stderr(&done).contains("lost-write"), "{}", stderr(&done));
}

#[test]
fn the_explanation_names_promise_events_and_causes() {
    let dir = tempfile::tempdir().unwrap();
    let done = perjury(&["check", &lossy(&dir), "--explain"]);
    assert_eq!(done.status.code(), Some(1), "{}", stderr(&done));
    let text = stdout(&done);
    for part in ["The promise:", "acknowledged at offset", "Usual causes", "Where to look next"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}
