//! Registers under transactions: every anomaly by hand, each with a near miss.

use crate::support::{
    Fail, Info, Okay, On::Registers, Txn, by_processes, finds, history, names, under,
};
use perjury_checker::elle::{GeneralReport, GeneralVerdict, Options, check};
use perjury_checker::linear::Unlimited;

fn with(txns: &[Txn<'_>], options: Options) -> GeneralReport {
    check(&history(txns, Registers), &options, &mut Unlimited)
}

#[test]
fn clean_histories_are_valid() {
    finds(&[(0, 1, Okay, "wx1"), (2, 3, Okay, "rx1 wx2"), (4, 5, Okay, "rx2")], Registers, &[]);
}

#[test]
fn aborted_intermediate_and_phantom_reads() {
    finds(&[(0, 1, Fail, "wx1"), (2, 3, Okay, "rx1")], Registers, &["G1a"]);
    finds(&[(0, 1, Info, "wx1"), (2, 3, Okay, "rx1")], Registers, &[]);
    finds(&[(0, 1, Okay, "wx1 wx2"), (2, 3, Okay, "rx1")], Registers, &["G1b"]);
    finds(&[(0, 1, Okay, "wx1 rx1 wx2"), (2, 3, Okay, "rx2")], Registers, &[]);
    finds(&[(0, 1, Okay, "rx1"), (2, 3, Okay, "rx1")], Registers, &["phantom-read"]);
}

#[test]
fn internal_contradictions() {
    finds(&[(0, 1, Okay, "wx1 rx2"), (2, 4, Info, "wx2")], Registers, &["internal"]);
    finds(
        &[(0, 1, Okay, "rx1 rx2"), (2, 4, Info, "wx2"), (3, 5, Info, "wx1")],
        Registers,
        &["internal"],
    );
    finds(&[(0, 1, Okay, "wx1 rx1"), (2, 3, Okay, "rx1")], Registers, &[]);
}

#[test]
fn lost_updates() {
    let read: Txn<'_> = (0, 1, Okay, "wx1");
    finds(&[read, (2, 4, Okay, "rx1 wx2"), (3, 5, Okay, "rx1 wx3")], Registers, &["lost-update"]);
    finds(&[read, (2, 4, Okay, "rx1 wx2"), (3, 5, Okay, "rx2 wx3")], Registers, &[]);
}

#[test]
fn circles_by_the_initial_state() {
    finds(&[(0, 2, Okay, "wx1 ry1"), (1, 3, Okay, "wy1 rx1")], Registers, &["G1c"]);
    finds(&[(0, 2, Okay, "wx1 wy1"), (1, 3, Okay, "rx ry1")], Registers, &["G-single"]);
    finds(&[(0, 2, Okay, "rx wy1"), (1, 3, Okay, "ry wx1")], Registers, &["G2-item"]);
    finds(&[(0, 2, Okay, "rx wy1"), (1, 3, Okay, "ry1 wx1")], Registers, &[]);
    finds(&[(0, 1, Okay, "wx1"), (2, 3, Okay, "rx")], Registers, &["G-single-realtime"]);
}

#[test]
fn versions_in_a_circle() {
    let txns = [(0, 2, Okay, "rx1 wx2"), (1, 3, Okay, "rx2 wx1")];
    let options = Options { wfr_keys: true, ..Options::default() };
    let report = with(&txns, options.clone());
    assert_eq!(names(&report), ["G1c", "cyclic-versions"].into_iter().collect());
    let near = [(0, 2, Okay, "rx wx2"), (1, 3, Okay, "rx2 wx1")];
    assert_eq!(with(&near, options).verdict, GeneralVerdict::Valid);
}

#[test]
fn writes_that_follow_reads_order_versions() {
    let txns = [
        (0, 1, Okay, "wx1"),
        (2, 9, Okay, "rx1 wx2 ry"),
        (3, 8, Okay, "rx1 wy1"),
        (4, 7, Okay, "rx2 ry1"),
    ];
    assert_eq!(with(&txns, Options::default()).verdict, GeneralVerdict::Valid);
    let options = Options { wfr_keys: true, ..Options::default() };
    assert_eq!(names(&with(&txns, options)), ["G2-item"].into_iter().collect());
    let stale = [(0, 1, Okay, "wx1"), (2, 6, Okay, "rx1 wx2 wy1"), (3, 7, Okay, "rx1 ry1")];
    assert_eq!(with(&stale, Options::default()).verdict, GeneralVerdict::Valid);
    let options = Options { wfr_keys: true, ..Options::default() };
    assert_eq!(names(&with(&stale, options)), ["G-single"].into_iter().collect());
}

#[test]
fn real_time_orders_versions_of_linearizable_keys() {
    let stale = [(0, 1, Okay, "wx1"), (2, 3, Okay, "wx2"), (4, 5, Okay, "rx1")];
    assert_eq!(with(&stale, Options::default()).verdict, GeneralVerdict::Valid);
    let options = Options { linearizable_keys: true, ..Options::default() };
    let report = with(&stale, options.clone());
    assert_eq!(names(&report), ["cyclic-versions"].into_iter().collect());
    assert_eq!(report.verdict, GeneralVerdict::Invalid);
    let fresh = [(0, 1, Okay, "wx1"), (2, 3, Okay, "wx2"), (4, 5, Okay, "rx2")];
    assert_eq!(with(&fresh, options).verdict, GeneralVerdict::Valid);
}

#[test]
fn processes_order_versions_of_sequential_keys() {
    let history = |second: u32| {
        by_processes(
            &[
                (0, (0, 1, Okay, "wx1")),
                (second, (2, 3, Okay, "wx2 wy1")),
                (2, (4, 5, Okay, "rx1 ry1")),
            ],
            Registers,
        )
    };
    let options = Options {
        sequential_keys: true,
        consistency_models: vec!["serializable".into()],
        ..Options::default()
    };
    let report = check(&history(0), &options, &mut Unlimited);
    assert_eq!(names(&report), ["G-single"].into_iter().collect());
    let report = check(&history(1), &options, &mut Unlimited);
    assert_eq!(report.verdict, GeneralVerdict::Valid);
    assert_eq!(under(&history(0), &["serializable"]).verdict, GeneralVerdict::Valid);
}
