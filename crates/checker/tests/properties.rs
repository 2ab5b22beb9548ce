//! Properties over random histories of a correct log: nothing is held against them; names of keys and processes do not
//! matter; a loss that is cut into them is found. (The number of threads is varied in every judgement.)

mod support;

use perjury_checker::{Report, Verdict};
use perjury_history::{
    Event, F, Header, History, HistoryBuilder, Kind, Mop, Payload, Process, Record, Scalar,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// SplitMix64: enough randomness for a test, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % below as u64).expect("below a usize")
    }
}

/// A correct log with clients that send, poll and fail in every legal way.
struct World {
    random: Random,
    logs: Vec<Vec<Option<i64>>>,
    positions: BTreeMap<(u32, usize), usize>,
    events: Vec<Event>,
    next_value: i64,
    next_process: u32,
}

fn key(k: usize) -> Scalar {
    format!("t-{k}").into()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let keys = 1 + random.next(3);
        World {
            random,
            logs: vec![Vec::new(); keys],
            positions: BTreeMap::new(),
            events: Vec::new(),
            next_value: 0,
            next_process: 100,
        }
    }

    fn push(&mut self, process: u32, kind: Kind, f: F, mops: Vec<Mop>) {
        self.events.push(Event {
            index: self.events.len() as u64,
            time: Some(self.events.len() as i64 * 1_000_000),
            process: Some(Process::Client(process)),
            kind,
            f,
            value: Payload::Mops(mops),
            error: None,
            ext: serde_json::Map::new(),
        });
    }

    fn send(&mut self) {
        let k = self.random.next(self.logs.len());
        let value = self.next_value;
        self.next_value += 1;
        let mop = |offset| vec![Mop::Send { key: key(k), value: value.into(), offset }];
        // A hole, as a transaction marker leaves one.
        if self.random.next(8) == 0 {
            self.logs[k].push(None);
        }
        let outcome = self.random.next(10);
        // An operation of unknown outcome retires its process, so it gets one of its own.
        let process = match outcome {
            0 | 1 => {
                self.next_process += 1;
                self.next_process
            }
            _ => u32::try_from(self.random.next(4)).expect("small"),
        };
        self.push(process, Kind::Invoke, F::Send, mop(None));
        match outcome {
            0 => {
                self.logs[k].push(Some(value));
                self.push(process, Kind::Info, F::Send, mop(None));
            }
            1 => self.push(process, Kind::Info, F::Send, mop(None)),
            2 => self.push(process, Kind::Fail, F::Send, mop(None)),
            _ => {
                self.logs[k].push(Some(value));
                let offset = self.logs[k].len() as i64 - 1;
                self.push(process, Kind::Ok, F::Send, mop(Some(Some(offset))));
            }
        }
    }

    fn poll(&mut self) {
        let process = 10 + u32::try_from(self.random.next(3)).expect("small");
        let mut groups = Vec::new();
        for k in 0..self.logs.len() {
            if self.random.next(3) == 0 {
                continue;
            }
            let from = self.positions.get(&(process, k)).copied().unwrap_or(0);
            let to = self.logs[k].len().min(from + 1 + self.random.next(6));
            let records: Vec<Record> = (from..to)
                .filter_map(|o| {
                    let value = self.logs[k][o]?.into();
                    Some(Record { offset: Some(o as i64), value, meta: None })
                })
                .collect();
            self.positions.insert((process, k), to.max(from));
            groups.push((key(k), records));
        }
        self.push(process, Kind::Invoke, F::Poll, vec![Mop::Poll(None)]);
        self.push(process, Kind::Ok, F::Poll, vec![Mop::Poll(Some(groups))]);
    }

    fn run(mut self, steps: u64) -> Vec<Event> {
        for _ in 0..steps {
            if self.random.next(2) == 0 { self.send() } else { self.poll() }
        }
        self.events
    }
}

fn history(events: &[Event]) -> History {
    let mut builder = HistoryBuilder::new(Header::default());
    events.iter().for_each(|e| builder.push(e));
    builder.finish()
}

fn outline(report: &Report) -> (Vec<(String, u64, u64)>, u64, u64) {
    let anomalies = report.anomalies.iter().map(|(n, a)| (n.clone(), a.count, a.violations));
    (anomalies.collect(), report.counts.acknowledged, report.counts.unseen)
}

/// The same history under other names: keys become integers from the last to the first, processes are turned round.
fn renamed(events: &[Event]) -> Vec<Event> {
    let rename = |k: &Scalar| {
        let number: i64 = k.to_string().trim_start_matches("t-").parse().expect("a key of ours");
        Scalar::Int(90 - number)
    };
    let mut out = events.to_vec();
    for event in &mut out {
        if let Some(Process::Client(p)) = event.process {
            event.process = Some(Process::Client(5_000 - p));
        }
        let Payload::Mops(mops) = &mut event.value else { continue };
        for mop in mops {
            match mop {
                Mop::Send { key, .. } => *key = rename(key),
                Mop::Poll(Some(groups)) => groups.iter_mut().for_each(|(k, _)| *k = rename(k)),
                Mop::Poll(None) => {}
            }
        }
    }
    out
}

fn reads(event: &mut Event) -> Vec<&mut Vec<Record>> {
    match &mut event.value {
        Payload::Mops(mops) => mops
            .iter_mut()
            .filter_map(|m| match m {
                Mop::Poll(Some(groups)) => Some(groups),
                _ => None,
            })
            .flatten()
            .map(|(_, records)| records)
            .collect(),
        _ => Vec::new(),
    }
}

/// A value that was acknowledged and read, with a later value of the same key read as well: cut it out of every poll.
fn cut_out(events: &[Event]) -> Option<Vec<Event>> {
    let mut acknowledged = BTreeMap::new();
    for event in events.iter().filter(|e| e.kind == Kind::Ok) {
        let Payload::Mops(mops) = &event.value else { continue };
        for mop in mops {
            if let Mop::Send { key, value, offset: Some(Some(offset)) } = mop {
                acknowledged.insert((key.clone(), *offset), value.clone());
            }
        }
    }
    let mut read: BTreeMap<Scalar, i64> = BTreeMap::new();
    for event in events {
        let Payload::Mops(mops) = &event.value else { continue };
        for mop in mops {
            let Mop::Poll(Some(groups)) = mop else { continue };
            for (key, records) in groups {
                let highest = records.iter().filter_map(|r| r.offset).max().unwrap_or(-1);
                let entry = read.entry(key.clone()).or_insert(-1);
                *entry = highest.max(*entry);
            }
        }
    }
    let passed = acknowledged.iter().find(|((k, o), _)| read.get(k).is_some_and(|r| r > o))?;
    let lost = passed.1.clone();
    let mut out = events.to_vec();
    for event in &mut out {
        for records in reads(event) {
            records.retain(|r| r.value != lost);
        }
    }
    Some(out)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_held_against_a_correct_log(seed in any::<u64>(), steps in 2u64..120) {
        let report = support::judge(&history(&World::new(seed).run(steps)));
        let others: Vec<_> = report.anomalies.keys().filter(|n| *n != "unseen").collect();
        prop_assert!(others.is_empty(), "{others:?}\n{}", perjury_checker::render::text(&report));
        prop_assert_ne!(report.verdict, Verdict::Invalid);
    }

    #[test]
    fn names_do_not_matter(seed in any::<u64>(), steps in 2u64..80) {
        let events = World::new(seed).run(steps);
        let damaged = cut_out(&events).unwrap_or(events);
        let (plain, other) = (history(&damaged), history(&renamed(&damaged)));
        let (plain, other) = (support::judge(&plain), support::judge(&other));
        prop_assert_eq!(plain.verdict, other.verdict);
        prop_assert_eq!(outline(&plain), outline(&other));
    }

    #[test]
    fn what_is_cut_out_is_found_lost(seed in any::<u64>(), steps in 20u64..120) {
        let events = World::new(seed).run(steps);
        if let Some(damaged) = cut_out(&events) {
            let report = support::judge(&history(&damaged));
            prop_assert_eq!(report.verdict, Verdict::Invalid);
            prop_assert_eq!(report.anomalies.get("lost-write").map(|a| a.count), Some(1));
        }
    }
}
