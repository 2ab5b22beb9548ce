//! Event by event: the report at the end is the batch one, what is said before holds, and memory is bounded.

mod support;

use perjury_checker::{Live, LiveOptions, Options, Stream, check};
use perjury_history::History;
use perjury_sim::{Defect, generate};
use std::collections::BTreeSet;

fn streamed(history: &History) -> Stream {
    let mut stream = Stream::new(history.header.clone(), Options::default());
    history.events().for_each(|event| stream.push(&event));
    stream
}

fn simulated(seed: u64, defects: Vec<Defect>) -> History {
    let options = perjury_sim::Options {
        operations: 150 + seed % 100,
        defects,
        injections: 1,
        transactional: seed.is_multiple_of(2),
        mops_max: 1 + u32::try_from(seed % 3).expect("small"),
        ..perjury_sim::Options::seeded(seed)
    };
    generate(&options).0
}

/// What may be said under another name at the end: see the documentation of the module.
fn holds(name: &str, at_the_end: &BTreeSet<String>) -> bool {
    let other = ["duplicate", "inconsistent-offsets", "early-read"];
    at_the_end.contains(name) || other.iter().any(|n| at_the_end.contains(*n))
}

#[test]
fn the_corpus_streams_to_the_batch_report_and_nothing_is_taken_back() {
    for case in support::corpus() {
        let history = support::read(&case.path);
        let stream = streamed(&history);
        let batch = check(&history, &Options::default());
        let end: BTreeSet<String> = batch.violations().map(|(name, _)| name.to_owned()).collect();
        let repeated = batch.reasons.iter().any(|r| r == "values-not-unique");
        for violation in stream.violations_so_far() {
            let known = holds(violation.anomaly, &end) || repeated;
            assert!(known, "{}: {violation:?}, at the end {end:?}", case.name);
            assert!(violation.ops.iter().all(|op| *op <= violation.event), "{violation:?}");
        }
        if !history.torn {
            assert_eq!(support::bytes(&stream.finish()), support::bytes(&batch), "{}", case.name);
        }
    }
}

#[test]
fn nothing_is_said_of_clean_runs() {
    for seed in 0..150 {
        let history = simulated(seed, Vec::new());
        let mut live = Live::new(&history.header, &Options::default(), LiveOptions::default());
        history.events().for_each(|event| live.push(&event));
        assert!(live.violations().is_empty(), "seed {seed}: {:?}", live.violations());
        let window = LiveOptions { window: 16, listed_max: 8 };
        let mut narrow = Live::new(&history.header, &Options::default(), window);
        history.events().for_each(|event| narrow.push(&event));
        assert!(narrow.violations().is_empty(), "seed {seed}: {:?}", narrow.violations());
        assert!(narrow.status().remembered <= 16);
    }
}

#[test]
fn defects_that_show_at_once_are_said_at_once() {
    let at_once = [
        (Defect::ReuseOffset, "inconsistent-offsets"),
        (Defect::DuplicateOnRetry, "duplicate"),
        (Defect::AbortedRead, "G1a"),
        (Defect::CorruptRecord, "corrupt-record"),
        (Defect::PhantomRead, "phantom-read"),
        (Defect::SkipInPoll, "int-poll-skip"),
        (Defect::ReReadInPoll, "int-nonmonotonic-poll"),
        (Defect::NonmonotonicSend, "nonmonotonic-send"),
    ];
    for (defect, name) in at_once {
        let mut found = 0;
        for seed in 0..12 {
            let history = simulated(seed, vec![defect]);
            let batch = check(&history, &Options::default());
            if !batch.violations().any(|(n, _)| n == name) {
                continue;
            }
            let stream = streamed(&history);
            found += usize::from(stream.violations_so_far().iter().any(|v| v.anomaly == name));
        }
        assert!(found > 0, "{defect:?} is never said as {name}");
    }
}

#[test]
fn what_is_said_of_defects_holds_at_the_end() {
    for (n, defect) in Defect::ALL.into_iter().enumerate() {
        for seed in 0..8 {
            let history = simulated(seed * 31 + n as u64, vec![defect]);
            // The simulator names keys before they are used; a stream learns of them event by event.
            let events: Vec<_> = history.events().collect();
            let history = support::rebuild(&history, &events);
            let stream = streamed(&history);
            let batch = check(&history, &Options::default());
            let end: BTreeSet<String> =
                batch.violations().map(|(name, _)| name.to_owned()).collect();
            for violation in stream.violations_so_far() {
                let known = holds(violation.anomaly, &end);
                assert!(known, "{defect:?}, seed {seed}: {violation:?}, at the end {end:?}");
            }
            assert_eq!(support::bytes(&stream.finish()), support::bytes(&batch));
        }
    }
}

#[test]
fn a_report_so_far_is_that_of_the_events_so_far() {
    let history = simulated(5, vec![Defect::LoseAcked]);
    let mut stream = Stream::new(history.header.clone(), Options::default());
    let mut so_far = Vec::new();
    for (i, event) in history.events().enumerate() {
        stream.push(&event);
        so_far.push(event);
        if i % 97 == 0 {
            let expected = check(&support::rebuild(&history, &so_far), &Options::default());
            assert_eq!(support::bytes(&stream.report_so_far()), support::bytes(&expected));
        }
    }
}

#[test]
fn lost_records_are_counted_as_passed_over() {
    let history = simulated(3, vec![Defect::LoseAcked]);
    let lost = check(&history, &Options::default()).anomalies["lost-write"].count;
    let status = streamed(&history).live().status();
    assert!(status.passed_over >= lost, "{status:?}, {lost} lost");
    assert!(status.unread >= status.passed_over && status.acknowledged > 0);
}
