//! One run with a group, transactions and questions about ends of logs, and one change at a time: exactly the anomaly of
//! that change appears. A rule that is switched off turns its row red.

mod support;

use perjury_checker::Verdict;
use perjury_history::{Event, Header, HistoryBuilder};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What the run says, each in one place.
#[derive(Debug, Clone)]
struct Knobs {
    /// Where the second member begins to read.
    start: i64,
    /// The generation in which the second member is assigned.
    generation: i64,
    /// The committed offset that is found at the end.
    committed: Value,
    /// The last answer about the end of the log.
    end: i64,
    /// The last answer about the last stable offset.
    stable: i64,
    /// How long after the first answer the last one comes, in seconds.
    wait: i64,
    /// Whether the first producer begins its last transaction after the second has taken over.
    zombie: bool,
    /// The input of the second output.
    second_input: i64,
    /// The position that the second transaction commits.
    position: i64,
    /// When the commit of the first transaction began, in milliseconds after its invocation.
    commit_after: i64,
    /// Whether the first producer asks for its last commit after the second has taken over.
    late_commit: bool,
    /// What consumers that read uncommitted see at offset 1.
    peeked: [i64; 2],
}

const RIGHT: Knobs = Knobs {
    start: 1,
    generation: 2,
    committed: Value::Null,
    end: 9,
    stable: 9,
    wait: 90,
    zombie: false,
    second_input: 2,
    position: 2,
    commit_after: 1,
    late_commit: false,
    peeked: [2, 2],
};

#[derive(Default)]
struct Run {
    rows: Vec<Value>,
    time: i64,
}

impl Run {
    fn row(&mut self, process: u32, kind: &str, f: &str, value: &Value, beside: &Value) {
        self.time += 10_000_000;
        let mut row = json!({"index": self.rows.len(), "time": self.time, "process": process, "type": kind, "f": f});
        if !value.is_null() {
            row["value"] = value.clone();
        }
        for (name, value) in beside.as_object().into_iter().flatten() {
            row[name] = value.clone();
        }
        self.rows.push(row);
    }

    fn op(&mut self, process: u32, f: &str, asked: Value, answer: Value, beside: Value) {
        self.row(process, "invoke", f, &asked, &Value::Null);
        self.row(process, "ok", f, &answer, &beside);
    }

    fn txn(&mut self, process: u32, sends: &[(&str, i64, i64)], beside: Value) {
        let asked: Vec<Value> = sends.iter().map(|(k, v, _)| json!(["send", k, v])).collect();
        let answer: Vec<Value> = sends.iter().map(|(k, v, o)| json!(["send", k, [o, v]])).collect();
        self.op(process, "txn", json!(asked), json!(answer), beside);
    }

    fn poll(&mut self, process: u32, records: Value, beside: Value) {
        self.op(process, "poll", json!([["poll"]]), json!([["poll", records]]), beside);
    }
}

fn run(knobs: &Knobs) -> Vec<Value> {
    let mut run = Run::default();
    let id = json!({"transactional_id": "x"});
    run.op(0, "init-transactions", Value::Null, Value::Null, id.clone());
    let commit_at = run.time + 10_000_000 + knobs.commit_after * 1_000_000;
    let mut first = id.clone();
    first["commit_at"] = json!(commit_at);
    run.row(0, "invoke", "txn", &json!([["send", "in-0", 1], ["send", "in-0", 2]]), &Value::Null);
    run.poll(7, json!({"in-0": [[0, 1]]}), Value::Null);
    run.row(0, "ok", "txn", &json!([["send", "in-0", [0, 1]], ["send", "in-0", [1, 2]]]), &first);
    if !knobs.zombie {
        run.row(0, "invoke", "txn", &json!([["send", "in-0", 3]]), &Value::Null);
    }
    run.op(1, "init-transactions", Value::Null, Value::Null, id.clone());
    if knobs.zombie {
        run.row(0, "invoke", "txn", &json!([["send", "in-0", 3]]), &Value::Null);
    }
    let mut last = id.clone();
    if knobs.late_commit {
        last["commit_at"] = json!(run.time + 1);
    }
    run.row(0, "ok", "txn", &json!([["send", "in-0", [2, 3]]]), &last);

    let assigned = |generation: i64| json!({"rebalance_log": [{"type": "assigned", "keys": ["in-0"], "generation": generation}]});
    run.op(2, "subscribe", json!(["in-0"]), json!(["in-0"]), json!({"group": "g"}));
    run.poll(2, json!({"in-0": [[0, 1]]}), assigned(1));
    let derived = |input: i64, output: i64, position: i64| json!({"group": "g", "offsets": {"in-0": position}, "derived": [["in-0", input, "out-0", output]]});
    run.txn(2, &[("out-0", 11, 0)], derived(1, 11, 1));
    run.op(3, "subscribe", json!(["in-0"]), json!(["in-0"]), json!({"group": "g"}));
    let rest: Vec<Value> = (knobs.start..3).map(|o| json!([o, o + 1])).collect();
    run.poll(3, json!({"in-0": rest}), assigned(knobs.generation));
    run.txn(3, &[("out-0", 12, 2)], derived(knobs.second_input, 12, knobs.position));
    let found = match &knobs.committed {
        Value::Null => json!(knobs.position),
        other => other.clone(),
    };
    run.op(4, "committed", json!(["in-0"]), json!({"in-0": found}), json!({"group": "g"}));
    run.poll(5, json!({"in-0": [[0, 1], [1, 2], [2, 3]]}), Value::Null);
    for seen in knobs.peeked {
        // Values 90 and above were never committed.
        run.op(9, "peek", Value::Null, json!({"in-0": [[1, seen], [3, 90]]}), Value::Null);
    }
    run.poll(6, json!({"out-0": [[0, 11], [2, 12]]}), Value::Null);

    let ends = |end: i64, stable: i64| json!({"in-0": {"end": end, "high_watermark": 9, "last_stable": stable, "leader_epoch": 2}});
    run.op(8, "list-offsets", json!(["in-0"]), ends(9, 8), Value::Null);
    run.time += knobs.wait * 1_000_000_000;
    run.op(8, "list-offsets", json!(["in-0"]), ends(knobs.end, knobs.stable), Value::Null);
    run.rows
}

fn found(knobs: &Knobs) -> (Verdict, BTreeSet<String>) {
    let header = json!({
        "perjury": "history", "format": "1.0",
        "config": {"acks": "all", "idempotence": true, "transactional": true, "isolation_level": "read_committed", "sub_via": ["subscribe"]},
        "plan": {"transaction_timeout_ms": 60_000},
    });
    let header: Header = serde_json::from_value(header).expect("a header");
    let mut builder = HistoryBuilder::new(header);
    for row in run(knobs) {
        let event: Event = serde_json::from_value(row).expect("a row");
        builder.push(&event);
    }
    let report = support::judge(&builder.finish());
    (report.verdict, report.violations().map(|(name, _)| name.to_owned()).collect())
}

#[test]
fn the_run_itself_is_right() {
    assert_eq!(found(&RIGHT), (Verdict::Valid, BTreeSet::new()));
}

#[test]
fn each_change_brings_its_anomaly_and_no_other() {
    let mutants: [(&str, Knobs); 14] = [
        ("skipped-past-commit", Knobs { start: 2, ..RIGHT }),
        ("redelivery-outside-window", Knobs { start: 0, ..RIGHT }),
        ("double-ownership", Knobs { generation: 1, ..RIGHT }),
        ("commit-regression", Knobs { committed: json!(1), ..RIGHT }),
        ("offset-regression", Knobs { end: 8, ..RIGHT }),
        ("offset-regression", Knobs { stable: 7, ..RIGHT }),
        ("hanging-transaction", Knobs { stable: 8, ..RIGHT }),
        ("zombie-write", Knobs { zombie: true, ..RIGHT }),
        ("exactly-once-violation", Knobs { second_input: 1, ..RIGHT }),
        ("exactly-once-violation", Knobs { position: 3, ..RIGHT }),
        ("early-read", Knobs { commit_after: 25, ..RIGHT }),
        ("zombie-write", Knobs { late_commit: true, ..RIGHT }),
        ("inconsistent-offsets", Knobs { peeked: [91, 91], ..RIGHT }),
        ("inconsistent-offsets", Knobs { peeked: [2, 3], ..RIGHT }),
    ];
    for (name, knobs) in mutants {
        let (verdict, names) = found(&knobs);
        assert_eq!(verdict, Verdict::Invalid, "{name}: {knobs:?}");
        assert_eq!(names, BTreeSet::from([name.to_owned()]), "{knobs:?}");
    }
}

#[test]
fn near_misses_of_the_same_changes_are_right() {
    let near = [
        // Above the high watermark nothing is promised, and 79 s are less than the timeout and its grace.
        Knobs { end: 10, ..RIGHT },
        Knobs { stable: 8, wait: 79, ..RIGHT },
        Knobs { commit_after: 19, ..RIGHT },
        Knobs { generation: 3, ..RIGHT },
    ];
    for knobs in near {
        assert_eq!(found(&knobs), (Verdict::Valid, BTreeSet::new()), "{knobs:?}");
    }
}
