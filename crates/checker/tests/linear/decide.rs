//! From rows to decisions: recognition, dispatch, conventions, certificates and budgets.

use perjury_checker::linear::log::Holes;
use perjury_checker::linear::{
    Answer, Decision, FailedCas, Initial, Limits, Method, ModelName, Options, Outcome, Unlimited,
    decide, recognise,
};
use perjury_history::{Event, Header, History, HistoryBuilder};
use serde_json::{Value, json};

/// Rows as JSON objects; a row of four is process, type, function, value.
fn history(rows: &Value) -> History {
    let mut builder = HistoryBuilder::new(Header::default());
    for row in rows.as_array().expect("an array of rows") {
        let row = match row {
            Value::Array(r) => json!({"process": r[0], "type": r[1], "f": r[2], "value": r[3]}),
            other => other.clone(),
        };
        let event: Event = serde_json::from_value(row).expect("a well-formed row");
        builder.push(&event);
    }
    builder.finish()
}

fn outcome(rows: &Value) -> Outcome {
    with(rows, &Options::default())
}

fn with(rows: &Value, options: &Options) -> Outcome {
    decide(&history(rows), options, &mut Unlimited)
}

#[track_caller]
fn linearizable(rows: &Value, model: ModelName, method: Method) {
    let outcome = outcome(rows);
    assert_eq!(outcome.model, Some(model));
    assert_eq!(outcome.decision, Decision::Linearizable, "{outcome:#?}");
    assert!(outcome.objects.iter().all(|o| o.method == method), "{outcome:#?}");
    for object in &outcome.objects {
        assert!(matches!(&object.answer, Answer::Linearizable { order: Some(_) }));
    }
}

#[track_caller]
fn broken(rows: &Value, rule: &str) -> String {
    let outcome = outcome(rows);
    assert_eq!(outcome.decision, Decision::NotLinearizable, "{outcome:#?}");
    let (_, violation) = outcome.violations().next().expect("a violation");
    assert_eq!(violation.rule, rule, "{}", violation.sentence);
    violation.sentence.clone()
}

#[test]
fn registers_are_recognised_and_read_their_writes() {
    let good = json!([
        [0, "invoke", "write", 1],
        [1, "invoke", "read", null],
        [0, "ok", "write", 1],
        [1, "ok", "read", null],
        [1, "invoke", "cas", [1, 2]],
        [1, "ok", "cas", [1, 2]],
        [0, "invoke", "read", null],
        [0, "ok", "read", 2],
    ]);
    linearizable(&good, ModelName::CasRegister, Method::RegisterZones);
    let stale = json!([
        [0, "invoke", "write", 1],
        [0, "ok", "write", 1],
        [0, "invoke", "read", null],
        [0, "ok", "read", null],
    ]);
    let sentence = broken(&stale, "value-within-another");
    assert_eq!(
        sentence,
        "The register held nil from the beginning to the invocation of operation 3, but 1 must have been there within \
         that time, between the invocation of operation 1 and the return of operation 1."
    );
}

#[test]
fn a_failed_compare_and_set_observes_unless_it_has_an_error() {
    let rows = |last: Value| {
        json!([
            [0, "invoke", "write", 1],
            [0, "ok", "write", 1],
            [0, "invoke", "cas", [1, 2]],
            last,
        ])
    };
    let bare = rows(json!([0, "fail", "cas", [1, 2]]));
    assert_eq!(outcome(&bare).decision, Decision::NotLinearizable);
    let error =
        json!({"process": 0, "type": "fail", "f": "cas", "value": [1, 2], "error": "refused"});
    assert_eq!(outcome(&rows(error)).decision, Decision::Linearizable);
    let options = Options { failed_cas: FailedCas::Nothing, ..Options::default() };
    assert_eq!(with(&bare, &options).decision, Decision::Linearizable);
    let current = json!({"process": 0, "type": "fail", "f": "cas", "value": [1, 2], "current": 1});
    assert_eq!(outcome(&rows(current)).decision, Decision::Linearizable);
}

#[test]
fn keys_are_decided_alone() {
    let rows = json!([
        [0, "invoke", "write", ["a", 1]],
        [1, "invoke", "write", ["b", 1]],
        [0, "ok", "write", ["a", 1]],
        [1, "ok", "write", ["b", 1]],
        [0, "invoke", "read", ["a", null]],
        [0, "ok", "read", ["a", 1]],
        [1, "invoke", "read", ["b", null]],
        [1, "ok", "read", ["b", null]],
    ]);
    let outcome = outcome(&rows);
    assert_eq!(outcome.objects.len(), 2);
    let (object, violation) = outcome.violations().next().expect("b is broken");
    assert_eq!(object.key, Some("b".into()));
    assert_eq!(violation.op.ret, Some(7));
    assert_eq!(violation.prefix_end, 7);
}

#[test]
fn failed_reads_and_writes_did_not_happen() {
    let rows = json!([
        [0, "invoke", "write", 1],
        [0, "fail", "write", 1],
        [1, "invoke", "read", null],
        [1, "fail", "read", 7],
        [1, "invoke", "read", null],
        [1, "ok", "read", null],
    ]);
    assert_eq!(outcome(&rows).decision, Decision::Linearizable);
    let aborted = json!([
        [0, "invoke", "write", 1],
        [0, "fail", "write", 1],
        [1, "invoke", "read", null],
        [1, "ok", "read", 1],
    ]);
    let sentence = broken(&aborted, "aborted-value");
    assert!(sentence.contains("saw the value 1"), "{sentence}");
}

#[test]
fn the_initial_value_is_nil_unless_it_may_be_inferred() {
    let rows = json!([
        [0, "invoke", "read", null],
        [0, "ok", "read", 0],
        [0, "invoke", "write", 1],
        [0, "ok", "write", 1],
    ]);
    broken(&rows, "phantom-value");
    let infer = with(&rows, &Options { initial: Initial::Infer, ..Options::default() });
    assert_eq!(infer.decision, Decision::Linearizable);
    assert_eq!(infer.notes.len(), 1);
    let given = Options { initial: Initial::Value(0.into()), ..Options::default() };
    assert_eq!(with(&rows, &given).decision, Decision::Linearizable);
}

#[test]
fn repeated_values_are_left_to_the_search() {
    let rows = |last: i64| {
        json!([
            [0, "invoke", "write", 1],
            [0, "ok", "write", 1],
            [0, "invoke", "write", 2],
            [0, "ok", "write", 2],
            [0, "invoke", "write", 1],
            [0, "ok", "write", 1],
            [1, "invoke", "read", null],
            [1, "ok", "read", last],
        ])
    };
    linearizable(&rows(1), ModelName::CasRegister, Method::Frontier);
    let sentence = broken(&rows(2), "cannot-be-placed");
    assert!(sentence.contains("read 2") && sentence.contains("finds 1"), "{sentence}");
}

#[test]
fn string_stores() {
    let op = |process: u32, kind: &str, f: &str, value: &str| json!({"process": process, "type": kind, "f": f, "key": "k", "value": value});
    let rows = |last: &str| {
        json!([
            op(0, "invoke", "append", "x"),
            op(1, "invoke", "append", "y"),
            op(0, "ok", "append", "x"),
            op(1, "ok", "append", "y"),
            op(0, "invoke", "get", ""),
            op(0, "ok", "get", last),
        ])
    };
    linearizable(&rows("yx"), ModelName::Kv, Method::Frontier);
    broken(&rows("x"), "cannot-be-placed");
}

#[test]
fn locks() {
    let rows = |last: &str| {
        json!([
            [0, "invoke", "acquire", null],
            [0, "ok", "acquire", null],
            [1, "invoke", "acquire", null],
            [1, last, "acquire", null],
        ])
    };
    linearizable(&rows("fail"), ModelName::Mutex, Method::Frontier);
    linearizable(&rows("info"), ModelName::Mutex, Method::Frontier);
    let sentence = broken(&rows("ok"), "cannot-be-placed");
    assert!(sentence.contains("acquired the lock"), "{sentence}");
}

#[test]
fn several_registers() {
    let rows = |x: i64| {
        json!([
            [0, "invoke", "txn", [[":write", ":x", 1], [":write", ":y", 1]]],
            [0, "ok", "txn", [[":write", ":x", 1], [":write", ":y", 1]]],
            [1, "invoke", "txn", [[":read", ":x", null], [":read", ":y", null]]],
            [1, "ok", "txn", [[":read", ":x", x], [":read", ":y", 1]]],
        ])
    };
    linearizable(&rows(1), ModelName::MultiRegister, Method::Frontier);
    broken(&rows(0), "cannot-be-placed");
    let zeros = json!([
        [1, "invoke", "txn", [["read", "x", null]]],
        [1, "ok", "txn", [["read", "x", 0]]],
        [0, "invoke", "txn", [["write", "x", 1]]],
        [0, "ok", "txn", [["write", "x", 1]]],
    ]);
    let outcome = outcome(&zeros);
    assert_eq!(outcome.decision, Decision::Linearizable);
    assert_eq!(outcome.notes.len(), 1);
}

#[test]
fn queues() {
    let rows = |first: Value| {
        json!([
            [0, "invoke", "enqueue", 1],
            [0, "ok", "enqueue", 1],
            [0, "invoke", "enqueue", 2],
            [0, "ok", "enqueue", 2],
            [1, "invoke", "dequeue", null],
            [1, "ok", "dequeue", first],
        ])
    };
    linearizable(&rows(json!(1)), ModelName::Queue, Method::QueuePatterns);
    broken(&rows(json!(2)), "overtaken");
    broken(&rows(json!(null)), "empty-while-not-empty");
    broken(&rows(json!(7)), "phantom-value");
}

#[test]
fn topic_partitions_are_logs() {
    let rows = |second: i64, polled: Value| {
        json!([
            [0, "invoke", "send", [["send", "t-0", 10]]], [0, "ok", "send", [["send", "t-0", [0, 10]]]],
            [1, "invoke", "send", [["send", "t-0", 11]]], [1, "ok", "send", [["send", "t-0", [second, 11]]]],
            [2, "invoke", "poll", [["poll"]]], [2, "ok", "poll", [["poll", {"t-0": polled}]]],
            [3, "invoke", "list-offsets", ["t-0"]], [3, "ok", "list-offsets", {"t-0": 2}],
        ])
    };
    linearizable(&rows(1, json!([[0, 10], [1, 11]])), ModelName::Log, Method::LogWindows);
    broken(&rows(0, json!([[0, 10]])), "two-values-at-one-offset");
    broken(&rows(1, json!([[0, 12]])), "phantom-value");
    let sentence = broken(&rows(2, json!([])), "stale");
    assert!(sentence.contains("found the log's end at 2"), "{sentence}");
}

#[test]
fn a_send_that_overtakes_an_acknowledged_one_is_stale() {
    let rows = json!([
        [0, "invoke", "send", [["send", "t-0", 10]]],
        [0, "ok", "send", [["send", "t-0", [5, 10]]]],
        [1, "invoke", "send", [["send", "t-0", 11]]],
        [1, "ok", "send", [["send", "t-0", [4, 11]]]],
    ]);
    let sentence = broken(&rows, "stale");
    assert_eq!(
        sentence,
        "operation 1 had returned at event 1 having seen offset 5; operation 3, invoked later, at event 2, was given offset 4."
    );
    let filled = Options { holes: Holes::Filled, ..Options::default() };
    assert_eq!(with(&rows, &filled).decision, Decision::NotLinearizable);
}

#[test]
fn what_cannot_be_judged_is_unknown() {
    let none = outcome(&json!([[0, "invoke", "dance", null], [0, "ok", "dance", null]]));
    assert_eq!((none.decision, none.model), (Decision::Unknown, None));
    assert_eq!(none.unknown.map(|u| u.reason), Some("unrecognised"));
    let unit = outcome(&json!([[0, "ok", "write", 1]]));
    assert_eq!(unit.unknown.map(|u| u.reason), Some("no-invocations"));
    let open = outcome(&json!([[0, "invoke", "write", 1], [1, "invoke", "read", null]]));
    assert_eq!(open.unknown.map(|u| u.reason), Some("no-successful-operation"));
    let bad = outcome(&json!([[0, "invoke", "cas", 1], [0, "ok", "cas", 1]]));
    assert_eq!(bad.unknown.map(|u| u.reason), Some("malformed-operation"));
    let twice = outcome(&json!([
        [0, "invoke", "send", [["send", "t-0", 1]]],
        [0, "ok", "send", [["send", "t-0", [0, 1]]]],
        [0, "invoke", "send", [["send", "t-0", 1]]],
        [0, "ok", "send", [["send", "t-0", [1, 1]]]],
    ]));
    assert_eq!(twice.unknowns().next().map(|u| u.reason), Some("values-not-unique"));
}

/// Many concurrent writes of the same values, and a read at the end.
fn crowded() -> History {
    let mut rows = Vec::new();
    for round in 0..6 {
        for p in 0..14 {
            rows.push(json!([p, "invoke", "cas", [(p + round) % 5, p % 4]]));
        }
        for p in 0..14 {
            rows.push(json!([p, "info", "cas", [(p + round) % 5, p % 4]]));
        }
        for p in 20..34 {
            rows.push(json!([p, "invoke", "write", p % 5]));
        }
        for p in 20..34 {
            rows.push(json!([p, "ok", "write", p % 5]));
        }
        rows.push(json!([50, "invoke", "read", null]));
        rows.push(json!([50, "ok", "read", 9]));
    }
    rows.push(json!([60, "invoke", "write", 9]));
    history(&Value::Array(rows))
}

#[test]
fn a_spent_budget_is_unknown_with_the_event_that_was_reached() {
    let history = crowded();
    let options = Options::default();
    let time = decide(&history, &options, &mut Limits::new(40, u64::MAX));
    let unknown = time.unknowns().next().expect("unknown");
    assert_eq!(unknown.reason, "budget-time");
    assert!(unknown.reached > 0);
    let memory = decide(&history, &options, &mut Limits::new(u64::MAX, 20_000));
    assert_eq!(memory.unknowns().next().map(|u| u.reason), Some("budget-memory"));
    assert_eq!(memory.decision, Decision::Unknown);
}

#[test]
fn recognition_and_names() {
    assert_eq!(recognise(&history(&json!([[0, "invoke", "enqueue", 1]]))), Some(ModelName::Queue));
    for model in ModelName::ALL {
        assert_eq!(model.as_str().parse(), Ok(model));
    }
    assert!("stack".parse::<ModelName>().is_err());
}
