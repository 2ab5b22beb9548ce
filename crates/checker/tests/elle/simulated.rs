//! The simulator's transactional stores: what was put on stage is found, and nothing else but what may come with it.

use perjury_checker::elle::{GeneralReport, GeneralVerdict, Options, check};
use perjury_checker::linear::Unlimited;
use perjury_sim::general::{
    Isolation, Phenomenon, StoreOptions, StoreTruth, Workload, transactions,
};

fn report(options: &StoreOptions, model: &str) -> (GeneralReport, StoreTruth) {
    let (history, truth) = transactions(options);
    let options = Options { consistency_models: vec![model.to_owned()], ..Options::default() };
    (check(&history, &options, &mut Unlimited), truth)
}

/// What is required is there, and what is there is required or permitted.
fn compare(options: &StoreOptions, report: &GeneralReport, truth: &StoreTruth) {
    for (name, least) in &truth.must {
        let found = report.anomalies.get(*name).map_or(0, |a| a.count);
        assert!(found >= *least, "{options:?}: {name} {found} of {least}");
    }
    for name in report.anomalies.keys() {
        let base = name.trim_end_matches("-realtime").trim_end_matches("-process");
        let known = truth.must.contains_key(name.as_str()) || truth.may.contains(base);
        assert!(known, "{options:?}: {name} was not caused: {:#?}", report.anomalies[name]);
    }
}

#[test]
fn clean_stores_are_valid() {
    for workload in [Workload::ListAppend, Workload::RwRegister] {
        for seed in 0..150 {
            let options = StoreOptions { workload, ..StoreOptions::seeded(seed) };
            let (report, truth) = report(&options, "strict-serializable");
            compare(&options, &report, &truth);
            assert_eq!(report.verdict, GeneralVerdict::Valid, "{options:?}");
        }
    }
}

#[test]
fn what_is_put_on_stage_is_found() {
    for workload in [Workload::ListAppend, Workload::RwRegister] {
        for phenomenon in Phenomenon::ALL.into_iter().filter(|p| p.fits(workload)) {
            for seed in 0..25 {
                let options = StoreOptions {
                    workload,
                    phenomena: vec![phenomenon],
                    ..StoreOptions::seeded(1000 + seed)
                };
                let (report, truth) = report(&options, "strict-serializable");
                compare(&options, &report, &truth);
                assert_eq!(report.verdict, GeneralVerdict::Invalid, "{options:?}");
            }
        }
    }
}

#[test]
fn weaker_stores_keep_what_they_promise() {
    let cases =
        [(Isolation::Snapshot, "snapshot-isolation"), (Isolation::ReadCommitted, "read-committed")];
    for (isolation, model) in cases {
        for seed in 0..100 {
            let options = StoreOptions { isolation, ..StoreOptions::seeded(2000 + seed) };
            let (kept, _) = report(&options, model);
            assert_ne!(kept.verdict, GeneralVerdict::Invalid, "{options:?}: {:#?}", kept.anomalies);
            let (all, truth) = report(&options, "strict-serializable");
            compare(&options, &all, &truth);
        }
    }
}
