//! What chronik-server is known to do, where its program is given.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod support;

use serde_json::Value;
use support::{alone, binary, ended, latest, processes_of, stderr};

/// Whether the variable names a program; tells why the test is skipped otherwise.
fn server() -> bool {
    let named = std::env::var_os("CHRONIK_SERVER").is_some_and(|path| !path.is_empty());
    if !named {
        eprintln!("skipped: CHRONIK_SERVER is not set to the path of chronik-server");
    }
    named
}

#[test]
fn raft_failover_on_chronik_loses_what_it_acknowledged_and_stays_away() {
    if !server() {
        return;
    }
    let _turn = alone();
    let store = tempfile::tempdir().unwrap();
    let output = ended(
        binary()
            .args(["run", "--cluster", "chronik", "--plan", "raft-failover", "--seed", "1"])
            .args(["--output", "json", "--store", store.path().to_str().unwrap()]),
    );
    let said = stderr(&output);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("no JSON ({error}): {said}"));
    assert_eq!(output.status.code(), Some(1), "{said}\n{report:#}");
    // Records behind which nothing can be read any more are a lost tail.
    let lost = if report["anomalies"]["lost-write"].is_null() { "lost-tail" } else { "lost-write" };
    for name in [lost, "availability-gap"] {
        let anomaly = &report["anomalies"][name];
        assert_eq!(anomaly["judgement"], "violation", "{name}: {report:#}");
        let example = &anomaly["examples"][0];
        assert!(example["sentence"].as_str().is_some_and(|s| !s.is_empty()), "{name}: {anomaly:#}");
    }
    assert!(report["anomalies"][lost]["count"].as_u64().unwrap() >= 100, "{report:#}");
    let errors = report["counts"]["errors"].as_object().unwrap();
    assert!(errors.contains_key("OUT_OF_ORDER_SEQUENCE_NUMBER"), "{errors:?}");
    let goals = report["goals"].as_array().unwrap();
    let goal = |name: &str| goals.iter().find(|goal| goal["name"] == name).unwrap();
    assert_eq!(goal("formation")["met"], true, "{said}");
    assert_eq!(goal("loss")["met"], false);
    let history = std::fs::read_to_string(latest(store.path()).join("history.jsonl")).unwrap();
    assert!(history.contains("\"raft-leader\""), "nobody was asked who leads the Raft group");
    assert_eq!(processes_of(store.path()), Vec::<i32>::new());
}
