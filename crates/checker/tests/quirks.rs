//! Definitions of the reference in their corners: histories in unit-test style, without process, time or invocations.

mod support;

use perjury_checker::{Contract, Options, Report, Verdict, check};
use perjury_history::{Event, Header, History, HistoryBuilder};
use serde_json::{Value, json};

/// A history of completions alone, each given as type, function, value.
fn completions(rows: &[(&str, &str, Value)]) -> History {
    let mut builder = HistoryBuilder::new(Header::default());
    for (kind, f, value) in rows {
        let row = json!({"type": kind, "f": f, "value": value});
        let event: Event = serde_json::from_value(row).expect("a row");
        builder.push(&event);
    }
    builder.finish()
}

fn jepsen(history: &History) -> Report {
    support::under(history, Contract::Jepsen)
}

fn count(report: &Report, name: &str) -> u64 {
    report.anomalies.get(name).map_or(0, |a| a.count)
}

#[test]
fn rows_without_process_time_or_invocation_are_analysed() {
    let history = completions(&[
        ("ok", "send", json!([["send", 0, [0, 1]]])),
        ("ok", "send", json!([["send", 0, [1, 2]]])),
        ("ok", "poll", json!([["poll", {"0": [[1, 2]]}]])),
    ]);
    let report = jepsen(&history);
    assert_eq!(count(&report, "lost-write"), 1);
    assert_eq!(report.operations, 3);
    assert_eq!(report.worst_realtime_lag, None);
}

#[test]
fn a_send_without_offset_is_placed_by_whoever_reads_it() {
    let history = completions(&[
        ("ok", "send", json!([["send", 0, [null, 1]]])),
        ("ok", "send", json!([["send", 0, [null, 2]]])),
        ("info", "poll", json!([["poll", {"0": [[3, 1]]}]])),
        ("ok", "poll", json!([["poll", {"0": [[4, 2]]}]])),
    ]);
    assert_eq!(count(&jepsen(&history), "lost-write"), 1, "1 stands at 3, below what was read");
}

#[test]
fn a_read_at_an_unknown_offset_bounds_nothing() {
    let history = completions(&[
        ("ok", "send", json!([["send", 0, [0, 1]]])),
        ("ok", "send", json!([["send", 0, [null, 2]]])),
        ("ok", "poll", json!([["poll", {"0": [[null, 2]]}]])),
    ]);
    assert_eq!(count(&jepsen(&history), "lost-write"), 0);
}

#[test]
fn a_value_at_several_offsets_bounds_by_its_first() {
    let history = completions(&[
        ("ok", "send", json!([["send", 0, [0, 1]]])),
        ("ok", "send", json!([["send", 0, [1, 2]]])),
        ("info", "poll", json!([["poll", {"0": [[2, 1]]}]])),
        ("ok", "poll", json!([["poll", {"0": [[0, 1]]}]])),
    ]);
    let report = jepsen(&history);
    assert_eq!((count(&report, "duplicate"), count(&report, "lost-write")), (1, 0));
}

#[test]
fn an_unproved_info_send_gives_no_offset_and_a_proved_one_does() {
    let sends = json!([["send", 0, [5, 1]], ["send", 0, [6, 2]]]);
    let other = ("ok", "send", json!([["send", 0, [6, 3]]]));
    let rows = [("info", "send", sends.clone()), other.clone()];
    assert_eq!(count(&jepsen(&completions(&rows)), "inconsistent-offsets"), 0);
    let read = ("ok", "poll", json!([["poll", {"0": [[5, 1]]}]]));
    let rows = [("info", "send", sends), other, read];
    assert_eq!(count(&jepsen(&completions(&rows)), "inconsistent-offsets"), 1);
}

#[test]
fn holes_are_no_skips_and_values_without_index_neither() {
    let history = completions(&[
        ("ok", "poll", json!([["poll", {"0": [[0, 1], [7, 2], [9, 3]]}]])),
        ("ok", "poll", json!([["poll", {"0": [[0, 1], [7, 22], [9, 3]]}]])),
    ]);
    let report = jepsen(&history);
    assert_eq!(count(&report, "inconsistent-offsets"), 1);
    assert_eq!(count(&report, "int-poll-skip"), 0);
    assert_eq!(count(&report, "int-nonmonotonic-poll"), 0);
}

#[test]
fn what_the_last_operation_first_polls_of_a_key_without_acknowledgement_is_unseen() {
    let history = completions(&[
        ("fail", "send", json!([["send", 0, 1]])),
        ("ok", "poll", json!([["poll", {"0": [[0, 1]]}]])),
    ]);
    let report = jepsen(&history);
    assert_eq!((count(&report, "G1a"), count(&report, "unseen")), (1, 1));
    let ours = support::judge(&history);
    assert_eq!(count(&ours, "unseen"), 0);
}

#[test]
fn an_empty_history_is_invalid_for_jepsen_and_unknown_for_us() {
    let history = completions(&[]);
    assert_eq!(jepsen(&history).verdict, Verdict::Invalid);
    let ours = support::judge(&history);
    assert_eq!((ours.verdict, ours.reasons), (Verdict::Unknown, vec!["empty-history".to_owned()]));
}

#[test]
fn a_poll_without_writer_is_told_and_nothing_breaks() {
    let history = completions(&[("ok", "poll", json!([["poll", {"0": [[0, 1], [1, 2]]}]]))]);
    let report = support::judge(&history);
    assert_eq!((count(&report, "phantom-read"), report.verdict), (2, Verdict::Invalid));
    let report = jepsen(&history);
    let bad: Vec<&str> = report.violations().map(|(name, _)| name).collect();
    assert!(!bad.contains(&"phantom-read"), "{bad:?}");
}

#[test]
fn the_longest_lag_is_that_of_the_stuck_consumer() {
    let row = |time: i64, process: u32, kind: &str, f: &str, value: Value| {
        let row = json!({"time": time, "process": process, "type": kind, "f": f, "value": value});
        serde_json::from_value::<Event>(row).expect("a row")
    };
    let send = |t: i64, v: i64| {
        let (open, done) = (json!([["send", 0, v]]), json!([["send", 0, [v, v]]]));
        [row(t, 0, "invoke", "send", open), row(t + 1, 0, "ok", "send", done)]
    };
    let poll = |t: i64, p: u32, records: Value| {
        let (open, done) = (json!([["poll"]]), json!([["poll", records]]));
        [row(t, p, "invoke", "poll", open), row(t + 1, p, "ok", "poll", done)]
    };
    let mut builder = HistoryBuilder::new(Header::default());
    let rows = [
        send(10, 0),
        poll(20, 1, json!({"0": [[0, 0]]})),
        send(30, 1),
        poll(40, 2, json!({"0": [[0, 0], [1, 1]]})),
        poll(50, 1, json!({})),
        poll(90, 1, json!({})),
        poll(95, 1, json!({"0": [[1, 1]]})),
    ];
    rows.iter().flatten().for_each(|event| builder.push(event));
    let report = check(&builder.finish(), &Options::default());
    let lag = report.worst_realtime_lag.expect("a lag");
    assert_eq!(
        (lag.process, lag.time, lag.lag_ns),
        (1, 90, 59),
        "since 31, when 1 was at offset 1"
    );
}
