//! List-append: every anomaly by hand, each with a near miss.

use crate::support::{
    Fail, Info, Okay, On::Lists, Txn, by_processes, finds, history, names, under,
};
use perjury_checker::elle::{GeneralVerdict, Options, check};
use perjury_checker::linear::Unlimited;

#[test]
fn clean_histories_are_valid() {
    finds(&[(0, 1, Okay, "ax1"), (2, 3, Okay, "rx1 ax2"), (4, 5, Okay, "rx12 ay1")], Lists, &[]);
    finds(&[(0, 3, Okay, "ax1 ry"), (1, 2, Okay, "rx ay1")], Lists, &["G2-item"]);
    finds(&[(0, 3, Okay, "ax1 ry1"), (1, 2, Okay, "rx ay1")], Lists, &[]);
}

#[test]
fn g1a_needs_a_failed_append() {
    finds(&[(0, 1, Fail, "ax1"), (2, 3, Okay, "rx1")], Lists, &["G1a"]);
    finds(&[(0, 1, Info, "ax1"), (2, 3, Okay, "rx1")], Lists, &[]);
    finds(&[(0, 1, Fail, "ax1"), (2, 3, Okay, "rx")], Lists, &[]);
}

#[test]
fn g1b_needs_an_intermediate_version() {
    let found = finds(&[(0, 1, Okay, "ax1 ax2"), (2, 3, Okay, "rx1")], Lists, &["G-single", "G1b"]);
    assert_eq!(found.anomalies["G1b"].examples[0].ops, [1, 3]);
    finds(&[(0, 1, Okay, "ax1 ax2"), (2, 3, Okay, "rx12")], Lists, &[]);
    finds(&[(0, 1, Okay, "ax1 rx1 ax2"), (2, 3, Okay, "rx12")], Lists, &[]);
}

#[test]
fn internal_contradictions() {
    finds(&[(0, 1, Okay, "ax1 rx")], Lists, &["internal"]);
    finds(&[(0, 1, Okay, "ax1 rx1"), (2, 3, Okay, "rx1")], Lists, &[]);
    finds(
        &[(0, 1, Okay, "ax1"), (2, 3, Okay, "rx1 ax2 rx2")],
        Lists,
        &["incompatible-order", "internal"],
    );
    finds(&[(0, 1, Okay, "ax1"), (2, 3, Okay, "rx1 ax2 rx12")], Lists, &[]);
}

#[test]
fn future_reads() {
    finds(&[(0, 1, Okay, "rx1 ax1"), (2, 3, Okay, "rx1")], Lists, &["future-read"]);
    finds(&[(0, 1, Okay, "rx ax1"), (2, 3, Okay, "rx1")], Lists, &[]);
}

#[test]
fn duplicate_elements() {
    finds(&[(0, 1, Okay, "ax1"), (2, 3, Okay, "rx11")], Lists, &["duplicate-elements"]);
    finds(&[(0, 1, Okay, "ax1"), (2, 3, Okay, "ax2"), (4, 5, Okay, "rx12")], Lists, &[]);
}

#[test]
fn incompatible_orders() {
    let appends: [Txn<'_>; 2] = [(0, 4, Okay, "ax1"), (1, 5, Okay, "ax2")];
    let with = |a: &'static str, b: &'static str| {
        [appends[0], appends[1], (6, 8, Okay, a), (7, 9, Okay, b)]
    };
    let report = finds(&with("rx12", "rx21"), Lists, &["G-single-realtime", "incompatible-order"]);
    assert_eq!(report.anomalies["incompatible-order"].count, 1);
    assert_eq!(report.anomalies["incompatible-order"].examples[0].ops.len(), 2);
    finds(&with("rx12", "rx12"), Lists, &[]);
}

#[test]
fn phantom_reads() {
    finds(&[(0, 1, Okay, "rx7")], Lists, &["phantom-read"]);
    finds(&[(0, 2, Info, "ax7"), (1, 3, Okay, "rx7")], Lists, &[]);
}

#[test]
fn dirty_updates() {
    finds(
        &[(0, 1, Fail, "ax1"), (2, 3, Okay, "ax2"), (4, 5, Okay, "rx12")],
        Lists,
        &["G1a", "dirty-update"],
    );
    finds(&[(0, 1, Fail, "ax1"), (2, 3, Okay, "ax2"), (4, 5, Okay, "rx2")], Lists, &[]);
    finds(&[(0, 1, Okay, "ax2"), (2, 3, Fail, "ax1"), (4, 5, Okay, "rx21")], Lists, &["G1a"]);
}

#[test]
fn lost_updates() {
    let report = finds(
        &[(0, 3, Okay, "rx ax1"), (1, 4, Okay, "rx ax2"), (5, 6, Okay, "rx12")],
        Lists,
        &["G-single", "lost-update"],
    );
    assert_eq!(report.anomalies["lost-update"].examples[0].ops.len(), 2);
    finds(&[(0, 3, Okay, "rx ax1"), (1, 4, Okay, "rx1 ax2"), (5, 6, Okay, "rx12")], Lists, &[]);
}

#[test]
fn circles_of_writes() {
    let txns = |y: &'static str| {
        [(0, 2, Okay, "ax1 ay1"), (1, 3, Okay, "ax2 ay2"), (4, 5, Okay, "rx12"), (6, 7, Okay, y)]
    };
    let report = finds(&txns("ry21"), Lists, &["G0"]);
    let example = &report.anomalies["G0"].examples[0];
    assert_eq!(example.ops.len(), 2);
    assert!(example.sentence.contains("T2 appended 2 after T1 appended 1 to key x"));
    assert!(example.sentence.ends_with("a contradiction."));
    finds(&txns("ry12"), Lists, &[]);
}

#[test]
fn circles_of_reads() {
    finds(&[(0, 2, Okay, "ax1 ry1"), (1, 3, Okay, "ay1 rx1")], Lists, &["G1c"]);
    finds(&[(0, 2, Okay, "ax1 ry"), (1, 3, Okay, "ay1 rx1")], Lists, &[]);
}

#[test]
fn circles_with_one_missed_write() {
    let skew = [(0, 2, Okay, "ax1 ay1"), (1, 3, Okay, "rx ry1")];
    finds(&skew, Lists, &["G-single"]);
    assert_eq!(under(&history(&skew, Lists), &["read-committed"]).verdict, GeneralVerdict::Valid);
    assert_eq!(
        under(&history(&skew, Lists), &["snapshot-isolation"]).verdict,
        GeneralVerdict::Invalid
    );
    finds(&[(0, 2, Okay, "ax1 ay1"), (1, 3, Okay, "rx1 ry1")], Lists, &[]);
}

#[test]
fn long_forks_have_missed_writes_apart() {
    let fork = |b: &'static str| {
        [(0, 4, Okay, "ax1"), (1, 5, Okay, "ay1"), (2, 6, Okay, "rx1 ry"), (3, 7, Okay, b)]
    };
    finds(&fork("rx ry1"), Lists, &["G-nonadjacent"]);
    finds(&fork("rx1 ry1"), Lists, &[]);
}

#[test]
fn write_skew_is_not_prohibited_by_snapshot_isolation() {
    let skew = [(0, 2, Okay, "rx ay1"), (1, 3, Okay, "ry ax1")];
    finds(&skew, Lists, &["G2-item"]);
    let report = under(&history(&skew, Lists), &["snapshot-isolation"]);
    assert_eq!(report.verdict, GeneralVerdict::Valid);
    assert_eq!(report.not, ["repeatable-read"]);
    assert_eq!(under(&history(&skew, Lists), &["serializable"]).verdict, GeneralVerdict::Invalid);
}

#[test]
fn real_time_counts_only_when_asked_for() {
    let stale = [(0, 1, Okay, "ax1"), (2, 3, Okay, "rx")];
    finds(&stale, Lists, &["G-single-realtime"]);
    let report = under(&history(&stale, Lists), &["serializable"]);
    assert_eq!(report.verdict, GeneralVerdict::Valid);
    finds(&[(0, 2, Okay, "ax1"), (1, 3, Okay, "rx")], Lists, &[]);
}

#[test]
fn the_order_of_a_process_counts_for_sessions() {
    let stale =
        |other: u32| by_processes(&[(0, (0, 1, Okay, "ax1")), (other, (2, 3, Okay, "rx"))], Lists);
    let report = under(&stale(0), &["strong-session-serializable"]);
    assert_eq!(names(&report), ["G-single-process"].into_iter().collect());
    let report = under(&stale(1), &["strong-session-serializable"]);
    assert_eq!(report.verdict, GeneralVerdict::Valid);
}

#[test]
fn a_value_appended_twice_cannot_be_judged() {
    let report = under(&history(&[(0, 1, Okay, "ax1"), (2, 3, Okay, "ax1")], Lists), &["PL-3"]);
    assert_eq!(report.verdict, GeneralVerdict::Unknown);
    assert_eq!(report.reasons[0].code, "values-not-unique");
}

#[test]
fn a_history_without_dependencies_proves_nothing() {
    let report = under(&history(&[(0, 2, Okay, "ax1"), (1, 3, Okay, "ay1")], Lists), &["PL-SS"]);
    assert_eq!(report.verdict, GeneralVerdict::Unknown);
    assert_eq!(report.reasons[0].code, "empty-transaction-graph");
}

#[test]
fn an_unknown_model_is_no_verdict() {
    let options = Options { consistency_models: vec!["strong".into()], ..Options::default() };
    let history = history(&[(0, 1, Okay, "ax1")], Lists);
    let report = check(&history, &options, &mut Unlimited);
    assert_eq!(report.reasons[0].code, "unknown-model");
}
