//! Against the simulator, whose truth is known: clean histories hold nothing against the cluster, every injected defect is
//! found under its names, and nothing is found that was not caused.

mod support;

use perjury_checker::{Contract, Report, check};
use perjury_history::SubVia;
use perjury_sim::{Defect, KeyNames, Mix, Options, generate};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Options of every kind that follow from a seed.
fn varied(seed: u64) -> Options {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xc4ec);
    let transactional = rng.random_bool(0.5);
    Options {
        operations: rng.random_range(20..400),
        processes: rng.random_range(1..8),
        keys: rng.random_range(1..6),
        writes_per_key: if rng.random_bool(0.3) { rng.random_range(1..40) } else { 0 },
        key_names: if rng.random_bool(0.5) {
            KeyNames::Integers
        } else {
            KeyNames::Partitions { topic: "orders".into() }
        },
        mix: Mix { send: 1.0, poll: 1.0, txn: if transactional { 0.7 } else { 0.0 } },
        mops_max: if transactional { rng.random_range(1..5) } else { 1 },
        records_per_poll: rng.random_range(1..30),
        final_readers: rng.random_range(1..4),
        info_rate: rng.random_range(0.0..0.3),
        fail_rate: rng.random_range(0.0..0.3),
        lost_rate: rng.random_range(0.0..0.05),
        transactional,
        sub_via: if rng.random_bool(0.3) { SubVia::Subscribe } else { SubVia::Assign },
        native: rng.random_bool(0.7),
        record_details: rng.random_bool(0.2),
        ..Options::seeded(seed)
    }
}

/// Cases that the Kafka contract lists and excuses: a consumer that subscribes may be moved, and a seek moves it.
fn excused(name: &str) -> bool {
    matches!(name, "poll-skip" | "nonmonotonic-poll" | "int-send-skip" | "unseen")
        || name.starts_with("G0")
        || name.ends_with("-cycle-exists")
}

fn judge(history: &perjury_history::History, contract: Contract) -> Report {
    check(history, &perjury_checker::Options { contract, ..Default::default() })
}

#[test]
fn clean_histories_are_not_invalid() {
    for seed in 0..600 {
        let options = varied(seed);
        let (history, _) = generate(&options);
        for contract in [Contract::Kafka, Contract::Jepsen] {
            let report = judge(&history, contract);
            let held: Vec<_> = report.violations().map(|(name, _)| name).collect();
            assert!(held.is_empty(), "seed {seed}, {contract:?}: {held:?} in {options:?}");
            let found: Vec<_> = report.anomalies.keys().filter(|n| !excused(n)).collect();
            assert!(found.is_empty(), "seed {seed}, {contract:?}: {found:?} in {options:?}");
        }
    }
}

#[test]
fn every_defect_is_found_and_nothing_else() {
    let mut wrong = Vec::new();
    for defect in Defect::ALL {
        let mut injected = 0;
        for seed in 0..40 {
            let options = Options { defects: vec![defect], injections: 1, ..varied(seed) };
            let (history, truth) = generate(&options);
            injected += truth.injections.len();
            let report = judge(&history, Contract::Kafka);
            for (name, least) in &truth.must {
                let found = report.anomalies.get(*name).map_or(0, |a| a.count);
                if found < *least {
                    wrong.push(format!("{defect:?}, seed {seed}: {name} × {found}, not {least}"));
                }
            }
            for name in report.anomalies.keys() {
                if !truth.permits(name) && !excused(name) {
                    wrong.push(format!("{defect:?}, seed {seed}: {name} was not caused"));
                }
            }
        }
        if injected == 0 {
            wrong.push(format!("{defect:?} was never injected"));
        }
    }
    let shown = wrong.len().min(60);
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong[..shown].join("\n"));
}

#[test]
fn with_write_write_edges_the_circles_of_writes_are_found() {
    let mut wrong = Vec::new();
    for defect in Defect::ALL {
        for seed in 0..15 {
            let options = Options { defects: vec![defect], injections: 1, ..varied(seed) };
            let (history, truth) = generate(&options);
            let with = perjury_checker::Options { ww_deps: true, ..Default::default() };
            let report = check(&history, &with);
            for (name, least) in truth.must.iter().chain(&truth.must_with_ww) {
                // A circle that needs less hides the ones that it implies.
                let implying = |found: &String| match name.split_once('-') {
                    Some((class, "realtime" | "process")) => {
                        found.starts_with(class) || found.starts_with("G0")
                    }
                    _ => found == name,
                };
                let names = report.anomalies.iter().filter(|(found, _)| implying(found));
                let found: u64 = names.map(|(_, a)| a.count).sum();
                if found < *least {
                    wrong.push(format!("{defect:?}, seed {seed}: {name} × {found}, not {least}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_number_of_threads_does_not_show() {
    for seed in 0..20 {
        let options = Options {
            operations: 2000,
            defects: vec![Defect::LoseAcked, Defect::DuplicateOnRetry],
            ..varied(seed)
        };
        let (history, _) = generate(&options);
        support::judge(&history);
    }
}
