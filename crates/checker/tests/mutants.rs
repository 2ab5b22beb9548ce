//! One valid history, and one change at a time: exactly the anomaly of that change appears. A rule that is switched off
//! turns its row red.

mod support;

use perjury_checker::Verdict;
use perjury_history::{
    Configuration, Event, F, Header, HistoryBuilder, Kind, Mop, Payload, Process, Record, Scalar,
};
use std::collections::BTreeSet;

const KEY: &str = "orders-0";

fn event(process: u32, kind: Kind, f: F, mops: Vec<Mop>) -> Event {
    Event {
        index: 0,
        time: None,
        process: Some(Process::Client(process)),
        kind,
        f,
        value: Payload::Mops(mops),
        error: None,
        ext: serde_json::Map::new(),
    }
}

fn send(value: i64, offset: Option<Option<i64>>) -> Mop {
    Mop::Send { key: KEY.into(), value: value.into(), offset }
}

fn polled(records: &[(i64, i64)]) -> Mop {
    let record = |(offset, value): &(i64, i64)| Record {
        offset: Some(*offset),
        value: (*value).into(),
        meta: None,
    };
    Mop::Poll(Some(vec![(Scalar::from(KEY), records.iter().map(record).collect())]))
}

/// A send of `value` that process 0 sees acknowledged at `offset`.
fn sent(value: i64, offset: i64) -> [Event; 2] {
    [
        event(0, Kind::Invoke, F::Send, vec![send(value, None)]),
        event(0, Kind::Ok, F::Send, vec![send(value, Some(Some(offset)))]),
    ]
}

fn poll(process: u32, records: &[(i64, i64)]) -> [Event; 2] {
    [
        event(process, Kind::Invoke, F::Poll, vec![Mop::Poll(None)]),
        event(process, Kind::Ok, F::Poll, vec![polled(records)]),
    ]
}

/// Five values at offsets 0 to 4; two consumers read all of them in two polls each, a third reads the one at 1 and then
/// those at 2 and 3.
fn base() -> Vec<Event> {
    let mut events = Vec::new();
    for value in 1..=5 {
        events.extend(sent(value, value - 1));
    }
    events.extend(poll(1, &[(0, 1), (1, 2)]));
    events.extend(poll(1, &[(2, 3), (3, 4), (4, 5)]));
    events.extend(poll(2, &[(0, 1)]));
    events.extend(poll(2, &[(1, 2), (2, 3), (3, 4), (4, 5)]));
    events.extend(poll(3, &[(1, 2)]));
    events.extend(poll(3, &[(2, 3), (3, 4)]));
    events
}

/// The rows of the completions in `base`, by what they are.
const SENT_2: usize = 3;
const SENT_4: usize = 7;
const POLL_1_SECOND: usize = 13;
const POLL_2_SECOND: usize = 17;
const POLL_3_FIRST: usize = 19;
const POLL_3_SECOND: usize = 21;

fn found(events: &[Event]) -> (Verdict, BTreeSet<String>) {
    let config = Configuration {
        acks: Some(perjury_history::Acks::All),
        idempotence: Some(true),
        ..Configuration::default()
    };
    let mut builder = HistoryBuilder::new(Header { config, ..Header::default() });
    events.iter().for_each(|e| builder.push(e));
    let report = support::judge(&builder.finish());
    // What a duplicate makes appear by Jepsen's definitions is listed, but is no violation.
    let prohibited = report.violations().map(|(name, _)| name.to_owned());
    let names = if report.verdict == Verdict::Invalid {
        prohibited.collect()
    } else {
        report.anomalies.keys().cloned().collect()
    };
    (report.verdict, names)
}

fn set_poll(events: &mut [Event], row: usize, records: &[(i64, i64)]) {
    events[row].value = Payload::Mops(vec![polled(records)]);
}

fn set_sent(events: &mut [Event], row: usize, value: i64, offset: i64) {
    events[row].value = Payload::Mops(vec![send(value, Some(Some(offset)))]);
}

/// A change of the history, and every anomaly that it brings.
type Mutant = (&'static str, fn(&mut Vec<Event>), &'static [&'static str]);

const MUTANTS: &[Mutant] = &[
    (
        "the consumers' reads of 2 are dropped",
        |e| {
            set_poll(e, 11, &[(0, 1)]);
            e[12..14].iter_mut().for_each(|e| e.process = Some(Process::Client(9)));
            set_poll(e, POLL_1_SECOND, &[(2, 3), (3, 4), (4, 5)]);
            e.drain(14..20);
        },
        &["lost-write"],
    ),
    ("2 stands at a second offset", |e| e.extend(poll(13, &[(7, 2)])), &["duplicate"]),
    (
        "3 is read at the offset of 4",
        |e| set_poll(e, POLL_3_SECOND, &[(2, 3), (3, 9)]),
        &["inconsistent-offsets", "phantom-read"],
    ),
    ("the send of 4 fails", |e| e[SENT_4].kind = Kind::Fail, &["G1a"]),
    (
        "5 is read before it is sent",
        |e| {
            e.splice(8..8, poll(14, &[(4, 5)]));
        },
        &["early-read"],
    ),
    (
        "a consumer leaves 3 out within a poll",
        |e| set_poll(e, POLL_2_SECOND, &[(1, 2), (3, 4), (4, 5)]),
        &["int-poll-skip", "stale-read"],
    ),
    (
        "the last poll leaves out what was read before",
        |e| e.extend(poll(15, &[(1, 2), (3, 4)])),
        &["int-poll-skip", "truncated-log"],
    ),
    (
        "a consumer leaves 3 out between polls",
        |e| set_poll(e, POLL_3_SECOND, &[(3, 4)]),
        &["poll-skip"],
    ),
    (
        "a consumer is given 2 again",
        |e| set_poll(e, POLL_3_SECOND, &[(1, 2), (2, 3), (3, 4)]),
        &["nonmonotonic-poll"],
    ),
    (
        "a poll goes back",
        |e| set_poll(e, POLL_3_SECOND, &[(2, 3), (3, 4), (2, 3)]),
        &["int-nonmonotonic-poll"],
    ),
    (
        "a consumer is given what nobody sent",
        |e| set_poll(e, POLL_3_FIRST, &[(-1, 77), (0, 1), (1, 2)]),
        &["phantom-read"],
    ),
    (
        "a record is damaged",
        |e| {
            let meta = perjury_history::RecordMeta {
                corrupt: Some("checksum".into()),
                ..Default::default()
            };
            let record = Record { offset: Some(1), value: 2.into(), meta: Some(Box::new(meta)) };
            let records = vec![(Scalar::from(KEY), vec![record])];
            e[POLL_3_FIRST].value = Payload::Mops(vec![Mop::Poll(Some(records))]);
        },
        &["corrupt-record"],
    ),
    (
        "two operations of one process change places in the log",
        |e| {
            set_sent(e, 1, 1, 1);
            set_sent(e, SENT_2, 2, 0);
            set_poll(e, 11, &[(0, 2), (1, 1)]);
            set_poll(e, 15, &[(0, 2)]);
            set_poll(e, POLL_2_SECOND, &[(1, 1), (2, 3), (3, 4), (4, 5)]);
            set_poll(e, POLL_3_FIRST, &[(1, 1)]);
        },
        &["nonmonotonic-send", "realtime-order"],
    ),
    (
        "the same by two processes",
        |e| {
            set_sent(e, 1, 1, 1);
            set_sent(e, SENT_2, 2, 0);
            e[2..4].iter_mut().for_each(|e| e.process = Some(Process::Client(7)));
            set_poll(e, 11, &[(0, 2), (1, 1)]);
            set_poll(e, 15, &[(0, 2)]);
            set_poll(e, POLL_2_SECOND, &[(1, 1), (2, 3), (3, 4), (4, 5)]);
            set_poll(e, POLL_3_FIRST, &[(1, 1)]);
        },
        &["realtime-order"],
    ),
    (
        "one operation sends 1 and 2 the wrong way round",
        |e| {
            let both = vec![send(2, Some(Some(1))), send(1, Some(Some(0)))];
            e[SENT_2].value = Payload::Mops(both);
            e[2].value = Payload::Mops(vec![send(2, None), send(1, None)]);
            e.drain(0..2);
        },
        &["int-nonmonotonic-send"],
    ),
    (
        "a transaction reads what it sends",
        |e| {
            let mut mops = vec![send(6, Some(Some(5)))];
            mops.push(polled(&[(5, 6)]));
            e.push(event(8, Kind::Invoke, F::Txn, vec![send(6, None), Mop::Poll(None)]));
            e.push(event(8, Kind::Ok, F::Txn, mops));
        },
        &["precommitted-read"],
    ),
    (
        "an unknown send appears where a poll saw nothing",
        |e| {
            e.push(event(6, Kind::Invoke, F::Send, vec![send(8, None)]));
            e.push(event(6, Kind::Info, F::Send, vec![send(8, None)]));
            e.extend(sent(9, 6));
            e.extend(poll(11, &[(4, 5), (6, 9)]));
            e.extend(poll(12, &[(4, 5), (5, 8), (6, 9)]));
        },
        &["int-poll-skip", "resurrected-write"],
    ),
    (
        "an acknowledged record is passed over and read later",
        |e| {
            e.extend(sent(8, 5));
            e.extend(sent(9, 6));
            e.extend(poll(11, &[(4, 5), (6, 9)]));
            e.extend(poll(12, &[(4, 5), (5, 8), (6, 9)]));
        },
        &["int-poll-skip", "stale-read"],
    ),
];

#[test]
fn the_base_is_valid() {
    assert_eq!(found(&base()), (Verdict::Valid, BTreeSet::new()));
}

#[test]
fn each_change_brings_exactly_its_anomalies() {
    let mut wrong = Vec::new();
    for (what, change, expected) in MUTANTS {
        let mut events = base();
        change(&mut events);
        let (verdict, names) = found(&events);
        let expected: BTreeSet<String> = expected.iter().map(|s| (*s).to_owned()).collect();
        // Cycles follow from causality: a read before its send is the shortest of them.
        let names: BTreeSet<String> = names
            .into_iter()
            .filter(|n| !n.ends_with("-cycle-exists") && !n.starts_with("G1c"))
            .collect();
        if verdict != Verdict::Invalid || names != expected {
            wrong.push(format!("{what}: {verdict} {names:?}, expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
