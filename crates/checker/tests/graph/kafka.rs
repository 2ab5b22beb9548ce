//! Circles in Kafka histories: by hand, each with a near miss.

use perjury_checker::graph::{Findings, KafkaOptions, find_kafka};
use perjury_checker::linear::Unlimited;
use perjury_history::{Event, Header, History, HistoryBuilder};
use serde_json::{Value, json};

/// Rows of process, type, function, value.
fn history(rows: &[(u32, &str, &str, Value)]) -> History {
    let mut builder = HistoryBuilder::new(Header::default());
    for (process, kind, f, value) in rows {
        let row = json!({"process": process, "type": kind, "f": f, "value": value});
        let event: Event = serde_json::from_value(row).expect("a well-formed row");
        builder.push(&event);
    }
    builder.finish()
}

fn find(rows: &[(u32, &str, &str, Value)], ww: bool) -> Findings {
    let options = KafkaOptions { ww, ..KafkaOptions::default() };
    find_kafka(&history(rows), &options, &mut Unlimited)
}

fn names(findings: &Findings) -> (Vec<&str>, Vec<&str>) {
    let cycles = findings.cycles.iter().map(|c| c.name).collect();
    (cycles, findings.exists.iter().map(|c| c.name).collect())
}

#[test]
fn two_transactions_that_read_each_other() {
    let rows = |polled: Value| {
        vec![
            (0, "invoke", "txn", json!([["send", "x", 1], ["poll"]])),
            (1, "invoke", "txn", json!([["send", "y", 1], ["poll"]])),
            (0, "ok", "txn", json!([["send", "x", [0, 1]], ["poll", {"y": [[0, 1]]}]])),
            (1, "ok", "txn", json!([["send", "y", [0, 1]], ["poll", polled]])),
        ]
    };
    let findings = find(&rows(json!({"x": [[0, 1]]})), false);
    assert_eq!(names(&findings), (vec!["G1c"], vec!["PL-2-cycle-exists"]));
    assert_eq!(findings.cycles[0].ops, [2, 3]);
    assert_eq!(
        findings.cycles[0].sentence,
        "Let T1 be operation 2 and T2 be operation 3. Then T1 < T2, because T2 polled 1 from key x, which T1 sent; \
         however, T2 < T1, because T1 polled 1 from key y, which T2 sent: a contradiction."
    );
    assert_eq!(names(&find(&rows(json!({})), false)), (vec![], vec![]));
}

#[test]
fn a_poll_that_returned_before_the_send_was_invoked() {
    let early = [
        (1, "invoke", "poll", json!([["poll"]])),
        (1, "ok", "poll", json!([["poll", {"x": [[0, 1]]}]])),
        (0, "invoke", "send", json!([["send", "x", 1]])),
        (0, "ok", "send", json!([["send", "x", [0, 1]]])),
    ];
    let findings = find(&early, false);
    assert_eq!(names(&findings), (vec!["G1c-realtime"], vec!["strong-PL-2-cycle-exists"]));
    let concurrent = [early[2].clone(), early[0].clone(), early[1].clone(), early[3].clone()];
    assert_eq!(names(&find(&concurrent, false)), (vec![], vec![]));
}

#[test]
fn writes_interleave_only_when_asked_for() {
    let rows = [
        (0, "invoke", "txn", json!([["send", "x", 1], ["send", "y", 1]])),
        (1, "invoke", "txn", json!([["send", "x", 2], ["send", "y", 2]])),
        (0, "ok", "txn", json!([["send", "x", [0, 1]], ["send", "y", [1, 1]]])),
        (1, "ok", "txn", json!([["send", "x", [1, 2]], ["send", "y", [0, 2]]])),
    ];
    let findings = find(&rows, true);
    assert_eq!(names(&findings), (vec!["G0"], vec!["PL-1-cycle-exists"]));
    assert_eq!(names(&find(&rows, false)), (vec![], vec![]));
}

#[test]
fn a_send_that_overtakes_an_acknowledged_one() {
    let rows = |first: i64, second: i64| {
        [
            (0, "invoke", "send", json!([["send", "x", 1]])),
            (0, "ok", "send", json!([["send", "x", [first, 1]]])),
            (1, "invoke", "send", json!([["send", "x", 2]])),
            (1, "ok", "send", json!([["send", "x", [second, 2]]])),
        ]
    };
    let findings = find(&rows(1, 0), true);
    assert_eq!(names(&findings), (vec!["G0-realtime"], vec!["strong-PL-1-cycle-exists"]));
    assert_eq!(names(&find(&rows(0, 1), true)), (vec![], vec![]));
}

#[test]
fn nothing_follows_an_operation_of_unknown_outcome_in_real_time() {
    let rows = |kind: &'static str| {
        [
            (0, "invoke", "txn", json!([["poll"]])),
            (0, kind, "txn", json!([["poll", {"x": [[0, 1]]}]])),
            (1, "invoke", "send", json!([["send", "x", 1]])),
            (1, "ok", "send", json!([["send", "x", [0, 1]]])),
        ]
    };
    assert_eq!(names(&find(&rows("ok"), false)).0, ["G1c-realtime"]);
    assert_eq!(names(&find(&rows("info"), false)).0, Vec::<&str>::new());
    assert_eq!(names(&find(&rows("fail"), false)).0, Vec::<&str>::new());
}

#[test]
fn a_polled_value_without_a_writer_is_no_edge() {
    let rows = [
        (0, "invoke", "poll", json!([["poll"]])),
        (0, "ok", "poll", json!([["poll", {"x": [[0, 1]]}]])),
    ];
    let findings = find(&rows, true);
    assert_eq!(names(&findings), (vec![], vec![]));
    assert!(findings.is_empty);
    assert!(find(&[], true).is_empty);
}
