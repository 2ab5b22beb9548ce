//! Against the simulator, whose truth is known: clean histories hold nothing against the cluster, every injected defect is
//! found under its names, and nothing is found that was not caused; and a report depends on nothing but what happened.
//!
//! `PERJURY_SIM_CASES` sets the number of histories, and `PERJURY_SIM_FIRST` the first seed. What is judged wrongly is
//! written to the folder that `PERJURY_SIM_KEEP` names, if it is set.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the seeds of a run are printed")]

mod coverage;
mod forms;
mod general;
mod names;
mod shapes;

use perjury_checker::{Contract, Judgement, Options as Checking, Report, check};
use perjury_history::History;
use perjury_sim::{Defect, Options, Truth, generate};
use shapes::varied;
use std::ops::Range;

/// A number from the environment.
fn set(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |n| n.parse().unwrap_or_else(|e| panic!("{name}: {e}")))
}

/// The seeds of a test that takes this share of a hundred of all histories.
fn seeds(what: &str, share: u64) -> Range<u64> {
    let (first, cases) = (set("PERJURY_SIM_FIRST", 0), set("PERJURY_SIM_CASES", 10_000));
    let seeds = first..first + (cases * share).div_ceil(100);
    println!("{what}: seeds {seeds:?}");
    seeds
}

/// Tries every seed on all cores and names everything that is wrong.
fn for_each(seeds: Range<u64>, one: impl Fn(u64) -> Vec<String> + Sync) {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let parts = std::thread::scope(|scope| {
        let work = |part: usize| {
            let (seeds, one) = (seeds.clone(), &one);
            move || seeds.skip(part).step_by(threads).flat_map(one).collect::<Vec<String>>()
        };
        let parts: Vec<_> = (0..threads).map(|part| scope.spawn(work(part))).collect();
        parts.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let wrong: Vec<String> = parts.into_iter().flat_map(|part| part.unwrap()).collect();
    let shown = wrong.len().min(40);
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong[..shown].join("\n"));
}

/// What Jepsen says of a run in which hardly anything happened.
const EMPTY: &str = "empty-transaction-graph";

/// Everything that is wrong with a history, which is kept for a closer look.
fn told(what: &str, history: &History, wrong: Vec<String>) -> Vec<String> {
    if let Some(folder) = std::env::var_os("PERJURY_SIM_KEEP").filter(|_| !wrong.is_empty()) {
        let name = what.replace(|c: char| !c.is_ascii_alphanumeric(), "-") + ".jsonl";
        let file = std::fs::File::create(std::path::Path::new(&folder).join(name)).unwrap();
        perjury_history::jsonl::write(history, std::io::BufWriter::new(file)).unwrap();
    }
    wrong.into_iter().map(|w| format!("{what}: {w}")).collect()
}

/// Cases that the contracts list and excuse: a consumer that subscribes may be moved, and a seek moves it.
fn excused(name: &str) -> bool {
    matches!(name, "poll-skip" | "nonmonotonic-poll" | "int-send-skip" | "unseen" | EMPTY)
        || name.starts_with("G0")
        || name.ends_with("-cycle-exists")
}

fn judge(history: &History, contract: Contract) -> Report {
    check(history, &Checking { contract, ..Checking::default() })
}

fn bytes(report: &Report) -> String {
    serde_json::to_string(report).unwrap()
}

/// Everything of a report in which no name occurs.
fn outline(report: &Report) -> String {
    let judged = |(name, a): (&String, &perjury_checker::report::Anomaly)| {
        let judgement = match a.judgement {
            Judgement::Violation => "violation",
            Judgement::Allowed => "allowed",
            Judgement::Unspecified => "unspecified",
        };
        format!("{name} {} {} {judgement}", a.count, a.violations)
    };
    let anomalies: Vec<String> = report.anomalies.iter().map(judged).collect();
    let (reasons, coverage) = (&report.reasons, &report.coverage);
    let mut counts = report.counts.clone();
    counts.keys.iter_mut().for_each(|k| k.key.clear());
    counts.keys.sort_by_key(|k| (k.acknowledged, k.read, k.unseen, k.lost, k.highest_offset));
    format!("{} {anomalies:?} {reasons:?} {coverage:?} {counts:?}", report.verdict)
}

/// A report depends on nothing but what happened: one way after the other, by seed, in which it could be otherwise.
fn unmoved(seed: u64, history: &History, report: &Report) -> Option<String> {
    let way = usize::try_from(seed % 9).unwrap();
    if way < 3 {
        let format = forms::WRITTEN[way];
        let other = judge(&forms::again(history, format), Contract::Kafka);
        return (bytes(report) != bytes(&other))
            .then(|| format!("as {format} it is judged otherwise"));
    }
    if way < 5 {
        let threads = [2, 8][way - 3];
        let other = check(history, &Checking { threads, ..Checking::default() });
        return (bytes(report) != bytes(&other))
            .then(|| format!("{threads} threads judge otherwise"));
    }
    let (what, other) = match way {
        5 => ("processes", names::processes(history)),
        6 => ("topic-partitions", names::keys(history)),
        7 => ("values as text", names::values(history, true)),
        _ => ("values in another order", names::values(history, false)),
    };
    let (one, other) = (outline(report), outline(&judge(&other, Contract::Kafka)));
    (one != other).then(|| format!("other names of {what}:\n  {one:.300}\n  {other:.300}"))
}

#[test]
fn clean_histories_are_not_invalid() {
    for_each(seeds("clean histories", 40), |seed| {
        let mut options = varied(seed);
        if seed % 10 == 9 {
            options.final_readers = 0;
        }
        let (history, truth) = generate(&options);
        let mut wrong = Vec::new();
        for contract in [Contract::Kafka, Contract::Jepsen] {
            let report = judge(&history, contract);
            let held = report.violations().map(|(name, _)| name);
            let held = held.filter(|n| *n != EMPTY && !truth.permits(n));
            let found = report.anomalies.keys().map(String::as_str).filter(|n| !excused(n));
            let names: Vec<&str> = held.chain(found).collect();
            if !names.is_empty() {
                wrong.push(format!("{contract:?}: {names:?} in {options:?}"));
            }
            if contract == Contract::Kafka {
                wrong.extend(unmoved(seed, &history, &report));
            }
        }
        told(&format!("seed {seed}"), &history, wrong)
    });
}

/// What is missing in a report, and what is in it without a cause.
fn compared(truth: &Truth, report: &Report) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, least) in &truth.must {
        let found = report.anomalies.get(*name).map_or(0, |a| a.count);
        if found < *least {
            wrong.push(format!("{name} × {found}, not {least}"));
        }
    }
    let uncaused = report.anomalies.keys().filter(|n| !truth.permits(n) && !excused(n));
    wrong.extend(uncaused.map(|name| format!("{name} was not caused")));
    wrong
}

#[test]
fn every_defect_is_found_and_nothing_else() {
    let injected = Defect::ALL.map(|_| std::sync::atomic::AtomicUsize::new(0));
    for_each(seeds("histories with a defect", 60), |seed| {
        let at = usize::try_from(seed).unwrap() % Defect::ALL.len();
        let defect = Defect::ALL[at];
        let options = Options { defects: vec![defect], injections: 1, ..varied(seed) };
        let (history, truth) = generate(&options);
        injected[at].fetch_add(truth.injections.len(), std::sync::atomic::Ordering::Relaxed);
        let report = judge(&history, Contract::Kafka);
        let mut wrong = compared(&truth, &report);
        wrong.extend(unmoved(seed, &history, &report));
        told(&format!("{defect}, seed {seed}"), &history, wrong)
    });
    for (defect, injected) in Defect::ALL.iter().zip(injected) {
        assert!(injected.into_inner() > 0, "{defect} was never injected");
    }
}

#[test]
fn several_defects_at_once_are_all_found() {
    for_each(seeds("histories with several defects", 3), |seed| {
        let count = Defect::ALL.len();
        let first = usize::try_from(seed).unwrap() % count;
        let defects = vec![Defect::ALL[first], Defect::ALL[(first * 7 + 3) % count]];
        let options = Options { defects, injections: 2, ..varied(seed) };
        let (history, truth) = generate(&options);
        let report = judge(&history, Contract::Kafka);
        // Two defects in one place may hide each other's cases, but never cause what neither does.
        let uncaused = report.anomalies.keys().filter(|n| !truth.permits(n) && !excused(n));
        uncaused
            .map(|n| format!("{:?}, seed {seed}: {n} was not caused", options.defects))
            .collect()
    });
}

#[test]
fn with_write_write_edges_the_circles_of_writes_are_found() {
    for_each(seeds("histories with write-write edges", 4), |seed| {
        let defect = Defect::ALL[usize::try_from(seed).unwrap() % Defect::ALL.len()];
        let options = Options { defects: vec![defect], injections: 1, ..varied(seed) };
        let (history, truth) = generate(&options);
        let report = check(&history, &Checking { ww_deps: true, ..Checking::default() });
        let mut wrong = Vec::new();
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
                wrong.push(format!("{defect}, seed {seed}: {name} × {found}, not {least}"));
            }
        }
        wrong
    });
}

#[test]
fn long_histories_are_judged_alike_by_any_number_of_threads() {
    for seed in 0..8 {
        let defects = vec![Defect::LoseAcked, Defect::DuplicateOnRetry];
        let options = Options { operations: 3000, defects, ..varied(seed) };
        let (history, _) = generate(&options);
        let reports = [1, 2, 8]
            .map(|threads| bytes(&check(&history, &Checking { threads, ..Checking::default() })));
        assert!(reports.iter().all(|r| *r == reports[0]), "seed {seed}");
    }
}
