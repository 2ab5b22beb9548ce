//! Histories of simulated stores: no false alarm under the model that a store keeps, and its weaknesses found under
//! stronger ones.

use perjury_checker::elle::{GeneralReport, GeneralVerdict, Options, check};
use perjury_checker::linear::Unlimited;
use perjury_history::{Event, F, Header, History, HistoryBuilder, Kind, Payload, Process};
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a store promises.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    /// Every transaction happens at one moment of its interval.
    Strict,
    /// Reads from a snapshot taken in its interval, first committer wins.
    StrongSnapshot,
    /// The same with snapshots that may be older than the transaction.
    Snapshot,
    /// Every read sees what is committed at that moment; writes appear at commit.
    Committed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Lists,
    Registers,
}

struct Plan {
    process: u32,
    invoke: f64,
    snapshot: f64,
    commit: f64,
    complete: f64,
    kind: Kind,
    commits: bool,
    mops: Vec<(bool, usize)>,
}

fn plans(rng: &mut ChaCha8Rng, store: Store, clients: u32, txns: usize, keys: usize) -> Vec<Plan> {
    let mut plans = Vec::new();
    for client in 0..clients {
        let mut process = client;
        let mut now = rng.random_range(0.0..1.0);
        for _ in 0..txns {
            let invoke = now;
            let complete = invoke + rng.random_range(0.2..2.0);
            let commit = rng.random_range(invoke..complete);
            let snapshot = match store {
                Store::Strict => commit,
                Store::Snapshot => f64::max(0.0, invoke - rng.random_range(0.0..3.0)),
                _ => rng.random_range(invoke..=commit),
            };
            let kind = match rng.random_range(0..12) {
                0 => Kind::Info,
                1 => Kind::Fail,
                _ => Kind::Ok,
            };
            let commits = kind == Kind::Ok || (kind == Kind::Info && rng.random_bool(0.5));
            let len = rng.random_range(1..=4);
            let mops =
                (0..len).map(|_| (rng.random_bool(0.5), rng.random_range(0..keys))).collect();
            plans.push(Plan { process, invoke, snapshot, commit, complete, kind, commits, mops });
            if kind == Kind::Info {
                process += clients;
            }
            now = complete + rng.random_range(0.01..0.5);
        }
    }
    plans.sort_by(|a, b| a.commit.total_cmp(&b.commit));
    plans
}

/// Versions of keys with the moments of their commits.
struct Data {
    versions: Vec<Vec<(f64, Vec<i64>)>>,
}

impl Data {
    fn at(&self, key: usize, moment: f64) -> &[i64] {
        let versions = &self.versions[key];
        let at = versions.partition_point(|(t, _)| *t <= moment);
        at.checked_sub(1).map_or(&[], |i| &versions[i].1)
    }

    fn changed_since(&self, key: usize, moment: f64) -> bool {
        self.versions[key].last().is_some_and(|(t, _)| *t > moment)
    }
}

fn row(process: u32, kind: Kind, mops: Vec<Value>) -> Event {
    Event {
        index: 0,
        time: None,
        process: Some(Process::Client(process)),
        kind,
        f: F::Txn,
        value: Payload::Json(Value::Array(mops)),
        error: None,
        ext: serde_json::Map::new(),
    }
}

fn run(seed: u64, store: Store, over: Over, size: (u32, usize, usize)) -> History {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (clients, txns, keys) = size;
    let plans = plans(&mut rng, store, clients, txns, keys);
    let mut data = Data { versions: vec![Vec::new(); keys] };
    let mut next = vec![0i64; keys];
    let mut rows: Vec<(f64, Event)> = Vec::new();
    for plan in &plans {
        let mut kind = plan.kind;
        let writes: BTreeSet<usize> = plan.mops.iter().filter(|m| m.0).map(|m| m.1).collect();
        let snapshots = matches!(store, Store::Snapshot | Store::StrongSnapshot);
        let conflict = snapshots && writes.iter().any(|k| data.changed_since(*k, plan.snapshot));
        if conflict && kind == Kind::Ok {
            kind = Kind::Fail;
        }
        let mut own: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        let mut moment = plan.snapshot;
        for (is_write, key) in &plan.mops {
            if store == Store::Committed {
                moment = rng.random_range(moment..=plan.commit);
            }
            let mine = own.get(key).map(Vec::as_slice).unwrap_or_default();
            if *is_write {
                next[*key] += 1;
                own.entry(*key).or_default().push(next[*key]);
                let f = if over == Over::Lists { "append" } else { "w" };
                let mop = json!([f, key, next[*key]]);
                asked.push(mop.clone());
                answered.push(mop);
                continue;
            }
            asked.push(json!(["r", key, null]));
            // What a transaction has written nobody else changes until it commits.
            let locked = store == Store::Committed && !mine.is_empty();
            let seen = [data.at(*key, if locked { plan.commit } else { moment }), mine].concat();
            answered.push(match over {
                Over::Lists => json!(["r", key, seen]),
                Over::Registers => json!(["r", key, seen.last()]),
            });
        }
        if plan.commits && !conflict {
            for (key, values) in own {
                let mut whole = data.at(key, plan.commit).to_vec();
                whole.extend(values);
                data.versions[key].push((plan.commit, whole));
            }
        }
        rows.push((plan.invoke, row(plan.process, Kind::Invoke, asked.clone())));
        let answer = if kind == Kind::Ok { answered } else { asked };
        rows.push((plan.complete, row(plan.process, kind, answer)));
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut builder = HistoryBuilder::new(Header::default());
    rows.iter().for_each(|(_, event)| builder.push(event));
    builder.finish()
}

fn judge(history: &History, model: &str, infer: bool) -> GeneralReport {
    let options = Options {
        consistency_models: vec![model.to_owned()],
        wfr_keys: infer,
        sequential_keys: infer,
        linearizable_keys: infer,
        ..Options::default()
    };
    check(history, &options, &mut Unlimited)
}

const SMALL: (u32, usize, usize) = (4, 12, 3);

/// Never invalid under `keeps`; gives what is found under `breaks`.
fn never_and_sometimes(
    store: Store,
    over: Over,
    keeps: &str,
    breaks: &str,
    seeds: std::ops::Range<u64>,
) -> BTreeMap<String, u64> {
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for seed in seeds {
        let history = run(seed, store, over, SMALL);
        let infer = over == Over::Registers && store == Store::Strict;
        let report = judge(&history, keeps, infer);
        assert_ne!(report.verdict, GeneralVerdict::Invalid, "seed {seed}: {report:#?}");
        for (name, anomaly) in judge(&history, breaks, infer).anomalies {
            *found.entry(name).or_default() += anomaly.count;
        }
    }
    found
}

#[test]
fn a_strict_store_is_never_accused() {
    for over in [Over::Lists, Over::Registers] {
        let model = "strict-serializable";
        let found = never_and_sometimes(Store::Strict, over, model, model, 0..1500);
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn snapshots_show_write_skew_but_no_more() {
    let found = never_and_sometimes(
        Store::StrongSnapshot,
        Over::Lists,
        "strong-snapshot-isolation",
        "strict-serializable",
        2000..3000,
    );
    assert!(found.contains_key("G2-item"), "{found:?}");
    let expected = ["G2-item", "G2-item-realtime"];
    assert!(found.keys().all(|k| expected.contains(&k.as_str())), "{found:?}");
}

#[test]
fn old_snapshots_break_real_time_only() {
    let found = never_and_sometimes(
        Store::Snapshot,
        Over::Lists,
        "snapshot-isolation",
        "strong-snapshot-isolation",
        3000..4000,
    );
    assert!(found.contains_key("G-single-realtime"), "{found:?}");
    assert!(!found.contains_key("G-single"), "{found:?}");
}

#[test]
fn committed_reads_lose_updates_and_skew() {
    let found = never_and_sometimes(
        Store::Committed,
        Over::Lists,
        "read-committed",
        "serializable",
        4000..4500,
    );
    for name in ["G-single", "lost-update", "internal"] {
        assert!(found.contains_key(name), "{name} is missing in {found:?}");
    }
    for name in ["G0", "G1a", "G1b", "G1c"] {
        assert!(!found.contains_key(name), "{name} stands in {found:?}");
    }
}

#[test]
fn long_histories_are_checked_too() {
    let history = run(1, Store::Strict, Over::Lists, (10, 400, 60));
    let report = judge(&history, "strict-serializable", false);
    assert_eq!(report.verdict, GeneralVerdict::Valid, "{:#?}", report.anomalies.keys());
    assert_eq!(report.operations, 4000);
}

#[test]
fn the_same_history_gives_the_same_report() {
    for seed in 0..20 {
        let history = run(seed, Store::Committed, Over::Lists, SMALL);
        let first = judge(&history, "strict-serializable", false);
        let again = judge(&history, "strict-serializable", false);
        assert_eq!(first, again);
    }
}
