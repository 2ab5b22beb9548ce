//! Simulated histories against the definitions: clean ones are clean, defects show under their names.

mod oracle;

use perjury_history::{SubVia, jsonl, wellformed};
use perjury_sim::{Defect, KeyNames, Mix, Options, generate};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Options of every kind that follow from a seed.
fn varied(seed: u64) -> Options {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
    let transactional = rng.random_bool(0.5);
    let mixed = transactional || rng.random_bool(0.3);
    Options {
        operations: rng.random_range(0..300),
        processes: rng.random_range(1..8),
        keys: rng.random_range(1..6),
        writes_per_key: if rng.random_bool(0.3) { rng.random_range(1..40) } else { 0 },
        key_names: if rng.random_bool(0.5) {
            KeyNames::Integers
        } else {
            KeyNames::Partitions { topic: "orders".into() }
        },
        mix: Mix {
            send: 1.0,
            poll: rng.random_range(0.3..2.0),
            txn: if mixed { 0.7 } else { 0.0 },
        },
        mops_max: rng.random_range(1..5),
        records_per_poll: rng.random_range(1..30),
        final_readers: rng.random_range(1..4),
        final_records_per_poll: rng.random_range(1..60),
        info_rate: rng.random_range(0.0..0.3),
        fail_rate: rng.random_range(0.0..0.3),
        lost_rate: rng.random_range(0.0..0.05),
        transactional,
        sub_via: if rng.random_bool(0.3) { SubVia::Subscribe } else { SubVia::Assign },
        resubscribe_rate: rng.random_range(0.0..0.1),
        faults: rng.random_range(0..4),
        native: rng.random_bool(0.7),
        record_details: rng.random_bool(0.2),
        ..Options::seeded(seed)
    }
}

#[test]
fn clean_histories_are_clean() {
    for seed in 0..600 {
        let options = varied(seed);
        let (history, truth) = generate(&options);
        assert_eq!(wellformed::check(&history), [], "seed {seed}");
        for ww in [false, true] {
            let mut found = oracle::check(&history, ww);
            found.retain(|name, _| !truth.permits(name));
            assert!(found.is_empty(), "seed {seed}, ww {ww}: {found:?} in {options:?}");
        }
        assert!(truth.must.is_empty() && truth.injections.is_empty());
        let moves = options.sub_via == SubVia::Subscribe;
        assert_eq!(truth.may.len(), if moves { 2 } else { 0 });
        assert!(truth.final_read_completed);
    }
}

#[test]
fn without_final_reads_only_unseen_writes_remain() {
    for seed in 0..200 {
        let options = Options { final_readers: 0, ..varied(seed) };
        let (history, truth) = generate(&options);
        let mut found = oracle::check(&history, true);
        found.retain(|name, _| !truth.permits(name));
        assert!(found.is_empty(), "seed {seed}: {found:?}");
    }
}

#[test]
fn each_defect_shows_under_its_names_and_no_other() {
    for defect in Defect::ALL {
        let mut injected = 0;
        for seed in 0..30 {
            let mut options = varied(1000 * seed + 7);
            options.operations += 60;
            options.keys += 1;
            options.processes += 1;
            options.transactional |= defect == Defect::TornTransaction;
            options.defects = vec![defect];
            options.injections = 1 + u32::try_from(seed % 3).unwrap();
            let (history, truth) = generate(&options);
            injected += truth.injections.len();
            assert_eq!(wellformed::check(&history), [], "{defect}, seed {seed}");
            for ww in [false, true] {
                let found = oracle::check(&history, ww);
                for (name, least) in &truth.must {
                    // Cycles are told once in a history by this oracle, and worse ones hide others.
                    let least = if name.starts_with("G1c") { 1 } else { *least };
                    let n = found.get(name).copied().unwrap_or(0);
                    let hidden = ww && name.starts_with("G1c") && found.contains_key("G0");
                    assert!(
                        n >= least || hidden,
                        "{defect}, seed {seed}, ww {ww}: {name} {n} of {least} in {truth:#?} {options:#?}"
                    );
                }
                if ww {
                    for name in truth.must_with_ww.keys() {
                        assert!(found.contains_key(name), "{defect}, seed {seed}: {name}");
                    }
                }
                for name in found.keys() {
                    let known = truth.permits(name)
                        || (*name == "no-writer" && defect == Defect::PhantomRead);
                    assert!(
                        known,
                        "{defect}, seed {seed}, ww {ww}: {name} in {found:?}, {truth:#?} {options:#?}"
                    );
                }
            }
        }
        assert!(injected >= 25, "{defect} took place {injected} times only");
    }
}

#[test]
fn several_defects_show_together() {
    for seed in 0..150 {
        let mut options = varied(seed + 90_000);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        options.operations += 200;
        options.keys += 3;
        options.processes += 2;
        options.injections = 1;
        options.defects =
            (0..3).map(|_| Defect::ALL[rng.random_range(0..Defect::ALL.len())]).collect();
        let (history, truth) = generate(&options);
        let found = oracle::check(&history, false);
        for name in truth.must.keys().filter(|name| !name.starts_with("G1c")) {
            assert!(found.contains_key(name), "seed {seed}: {name} not in {found:?}, {truth:#?}");
        }
        for name in found.keys() {
            let known = truth.permits(name)
                || (*name == "no-writer" && options.defects.contains(&Defect::PhantomRead));
            assert!(known, "seed {seed}: {name} in {found:?}, {truth:#?} {options:#?}");
        }
    }
}

#[test]
fn a_seed_gives_the_same_bytes() {
    for seed in 0..20 {
        let options = Options { defects: Defect::ALL.to_vec(), ..varied(seed) };
        let text = |options: &Options| {
            let mut text = Vec::new();
            jsonl::write(&generate(options).0, &mut text).unwrap();
            text
        };
        assert!(text(&options) == text(&options));
        let other = Options { seed: seed + 1, ..options.clone() };
        assert!(options.operations == 0 || text(&options) != text(&other));
    }
}

#[test]
fn defects_have_distinct_names_that_parse() {
    for defect in Defect::ALL {
        assert_eq!(defect.as_str().parse(), Ok(defect));
        assert_eq!(serde_json::to_value(defect).unwrap(), defect.as_str());
    }
}

#[test]
fn faults_are_witnessed_and_operations_succeed_meanwhile() {
    let (history, _) = generate(&Options::seeded(1));
    let kills: Vec<usize> =
        (0..history.len()).filter(|i| history.f(*i).as_str() == "kill").collect();
    assert_eq!(kills.len(), 8, "two faults of four events");
    for window in kills.chunks(4) {
        let phases: Vec<&str> =
            window.iter().map(|i| history.json(*i).unwrap()["phase"].as_str().unwrap()).collect();
        assert_eq!(phases, ["inject", "injected", "heal", "healed"]);
        assert_eq!(history.json(window[1]).unwrap()["witnessed"], true);
        let ok = (window[0]..window[3]).filter(|i| history.kind(*i) == perjury_history::Kind::Ok);
        assert!(ok.count() >= 10);
    }
}
