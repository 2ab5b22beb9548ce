//! What Apache Kafka loses and writes twice where its configuration allows that. Each run takes about a minute and a half,
//! so that all of this is left out unless the environment variable PERJURY_TEST_KAFKA is set.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod support;

use serde_json::Value;
use support::{alone, binary, ended, processes_of, stderr};

fn wanted() -> bool {
    let wanted = std::env::var_os("PERJURY_TEST_KAFKA").is_some_and(|value| !value.is_empty());
    if !wanted {
        eprintln!("skipped: PERJURY_TEST_KAFKA is not set; java and mvn are needed then");
    }
    wanted
}

fn run(args: &[&str]) -> Value {
    let _turn = alone();
    let store = tempfile::tempdir().unwrap();
    let output = ended(
        binary()
            .args(["run", "--cluster", "kafka", "--seed", "1", "--output", "json"])
            .args(["--store", store.path().to_str().unwrap()])
            .args(args),
    );
    let said = stderr(&output);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("no JSON ({error}): {said}"));
    assert_eq!(report["coverage"]["final_read"], "completed", "{said}\n{report:#}");
    assert_eq!(processes_of(store.path()), Vec::<i32>::new());
    report
}

fn count(report: &Value, anomaly: &str) -> u64 {
    report["anomalies"][anomaly]["count"].as_u64().unwrap_or(0)
}

#[test]
fn a_lost_acknowledgement_makes_a_duplicate_unless_the_producer_is_idempotent() {
    if !wanted() {
        return;
    }
    let lossy =
        ["--nemesis", "drop-response", "--fault-set", "api=Produce", "--fault-set", "frames=3"];
    let pace = ["--target", "leader", "--time-limit", "25s", "--nemesis-interval", "4s"];
    let load =
        ["--fault-duration", "3s", "--rate", "200", "--concurrency", "8", "--partitions", "2"];
    let all = [&lossy[..], &pace, &load].concat();
    let plain = run(&[&all[..], &["--idempotence", "false"]].concat());
    assert!(count(&plain, "duplicate") > 0, "{plain:#}");
    assert_eq!(plain["anomalies"]["duplicate"]["judgement"], "allowed");
    let idempotent = run(&[&all[..], &["--idempotence", "true"]].concat());
    assert_eq!(count(&idempotent, "duplicate"), 0, "{idempotent:#}");
    assert_eq!(idempotent["verdict"], "valid", "{idempotent:#}");
}

#[test]
fn the_named_sequences_lose_what_was_acknowledged() {
    if !wanted() {
        return;
    }
    for (plan, anomaly, judgement) in [
        ("acks1-lost-leader", "lost-write", "allowed"),
        ("unclean-election", "lost-write", "allowed"),
        ("power-loss", "lost-write", "violation"),
        ("retry-duplicates", "duplicate", "allowed"),
    ] {
        let report = run(&["--plan", plan]);
        assert!(count(&report, anomaly) > 0, "{plan}: {report:#}");
        assert_eq!(report["anomalies"][anomaly]["judgement"], judgement, "{plan}: {report:#}");
    }
}
