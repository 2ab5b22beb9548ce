//! Shrinking: the same anomaly, well-formed, and nothing that could be left out.

mod support;

use perjury_checker::{Options, ShrinkError, Verdict, check, shrink};
use perjury_history::{Event, History, wellformed};
use perjury_sim::{Defect, generate};

/// Operations (with both of their events) and single events of nemesis and cluster, as rows.
fn units(history: &History) -> Vec<Vec<usize>> {
    let first = (0..history.len()).filter(|i| history.pair(*i).is_none_or(|j| *i < j));
    first.map(|i| std::iter::once(i).chain(history.pair(i)).collect()).collect()
}

fn without(history: &History, rows: &[usize]) -> History {
    let events: Vec<Event> =
        (0..history.len()).filter(|i| !rows.contains(i)).map(|i| history.event(i)).collect();
    support::rebuild(history, &events)
}

/// Shrinks, and checks what shrinking promises. Gives the number of operations.
fn shrunk(history: &History, anomaly: &str, name: &str) -> u64 {
    let options = Options::default();
    let small = shrink(history, &options, Some(anomaly), &mut |_| true).expect("an anomaly");
    let shows = |history: &History| {
        let report = check(history, &options);
        report.violations().any(|(found, _)| found == anomaly)
    };
    assert!(small.minimal, "{name}: {anomaly}");
    assert!(shows(&small.history), "{name}: {anomaly} is gone");
    assert_eq!(small.rows.len(), small.history.len(), "{name}: {anomaly}");
    if wellformed::check(history).is_empty() {
        let problems = wellformed::check(&small.history);
        assert!(problems.is_empty(), "{name}: {anomaly}: {problems:?}");
    }
    // A read looks wrong without the write that explains it, so there the search keeps exactly one case.
    let exact = anomaly == "nonlinearizable";
    for rows in units(&small.history).into_iter().filter(|_| !exact) {
        let less = without(&small.history, &rows);
        assert!(!shows(&less), "{name}: {anomaly} does not need rows {rows:?}");
    }
    let note = &small.history.header.other["shrunk_from"];
    assert_eq!(note["operations"], history.operations(), "{name}");
    small.operations
}

fn violations(history: &History) -> Vec<String> {
    check(history, &Options::default()).violations().map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn every_invalid_history_of_the_corpus_shrinks() {
    for case in support::corpus().into_iter().filter(|c| c.expected.verdict == "invalid") {
        let history = support::read(&case.path);
        for anomaly in violations(&history) {
            let left = shrunk(&history, &anomaly, &case.name);
            assert!(left <= 12, "{}: {left} operations", case.name);
        }
    }
}

#[test]
fn every_defect_shrinks_to_a_few_operations() {
    for (n, defect) in Defect::ALL.into_iter().enumerate() {
        let options = perjury_sim::Options {
            operations: 300,
            defects: vec![defect],
            injections: 1,
            transactional: n.is_multiple_of(2),
            ..perjury_sim::Options::seeded(n as u64)
        };
        let (history, _) = generate(&options);
        let Some(anomaly) = violations(&history).into_iter().next() else { continue };
        let left = shrunk(&history, &anomaly, &format!("{defect:?}"));
        assert!(left <= 12, "{defect:?}: {left} operations show {anomaly}");
    }
}

#[test]
fn the_same_history_shrinks_to_the_same_bytes_and_keeps_the_value_that_was_lost() {
    let options = perjury_sim::Options {
        operations: 20_000,
        defects: vec![Defect::LoseAcked],
        ..perjury_sim::Options::seeded(11)
    };
    let (history, _) = generate(&options);
    let small = |threads| {
        let options = Options { threads, ..Options::default() };
        shrink(&history, &options, Some("lost-write"), &mut |_| true).expect("a loss")
    };
    let (one, two) = (small(1), small(2));
    assert_eq!(one.rows, two.rows);
    assert!(one.checks < 200, "{} checks: the neighbourhood did not help", one.checks);
    let text = |h: &History| {
        let mut bytes = Vec::new();
        perjury_history::jsonl::write(h, &mut bytes).expect("memory");
        bytes
    };
    assert_eq!(text(&one.history), text(&two.history));
    let value = |history: &History| {
        check(history, &Options::default()).anomalies["lost-write"].examples[0].value.clone()
    };
    assert_eq!(value(&one.history), value(&history), "another record only looks lost");
}

#[test]
fn a_search_that_is_stopped_gives_what_it_has() {
    let options = perjury_sim::Options {
        defects: vec![Defect::LoseAcked],
        ..perjury_sim::Options::seeded(3)
    };
    let (history, _) = generate(&options);
    let mut left = 3;
    let small = shrink(&history, &Options::default(), Some("lost-write"), &mut |_| {
        left -= 1;
        left >= 0
    });
    let small = small.expect("a loss");
    assert!(!small.minimal && small.checks <= 3);
    assert!(violations(&small.history).contains(&"lost-write".to_owned()));
}

#[test]
fn what_is_not_there_cannot_be_kept() {
    let (clean, _) = generate(&perjury_sim::Options::seeded(1));
    let error = shrink(&clean, &Options::default(), None, &mut |_| true).expect_err("clean");
    let verdict = check(&clean, &Options::default()).verdict;
    assert_ne!(verdict, Verdict::Invalid);
    assert_eq!(error, ShrinkError::NotInvalid(verdict));
    let error = shrink(&clean, &Options::default(), Some("duplicate"), &mut |_| true);
    assert!(matches!(error, Err(ShrinkError::NotFound { .. })), "{error:?}");
}

#[test]
fn a_stale_read_keeps_the_writes_that_make_it_stale() {
    let row = |process: u32, kind: &str, f: &str, value: serde_json::Value| serde_json::json!({"process": process, "type": kind, "f": f, "value": value});
    let mut rows = Vec::new();
    for value in 1..=6 {
        rows.push(row(0, "invoke", "write", value.into()));
        rows.push(row(0, "ok", "write", value.into()));
        rows.push(row(1, "invoke", "read", serde_json::Value::Null));
        rows.push(row(1, "ok", "read", value.into()));
    }
    rows.push(row(2, "invoke", "read", serde_json::Value::Null));
    rows.push(row(2, "ok", "read", 3.into()));
    let mut builder = perjury_history::HistoryBuilder::default();
    for row in rows {
        let event: Event = serde_json::from_value(row).expect("a row");
        builder.push(&event);
    }
    let history = builder.finish();
    let small = shrink(&history, &Options::default(), None, &mut |_| true).expect("a stale read");
    assert_eq!((small.anomaly.as_str(), small.minimal), ("nonlinearizable", true));
    assert!(small.operations < history.operations(), "{:?}", small.rows);
    let writes: Vec<Event> = small.history.events().filter(|e| e.f.as_str() == "write").collect();
    let wrote = |n: i64| writes.iter().any(|e| e.value == perjury_history::Payload::Json(n.into()));
    assert!(
        wrote(3),
        "the read of 3 is wrong because 3 was overwritten, not because nobody wrote it"
    );
}
