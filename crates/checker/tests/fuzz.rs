//! Damaged histories that can still be read: what is ill-formed is unknown with a reason, or invalid, and never valid; and no
//! analysis panics. `PERJURY_CHECK_FUZZ_CASES` sets their number.

mod support;

use perjury_checker::{Contract, Options, Report, Verdict, check};
use perjury_history::{
    Event, F, History, Kind, Mop, Payload, Problem, Process, Scalar, wellformed,
};
use perjury_sim::general::{Model, ObjectOptions, StoreOptions, Workload, objects, transactions};
use perjury_sim::generate;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Sound histories of every kind, and the corpus.
fn seeds() -> Vec<History> {
    let mut seeds: Vec<History> =
        support::corpus().iter().map(|c| support::read(&c.path)).collect();
    for seed in 0..6 {
        let small = perjury_sim::Options { operations: 30, ..perjury_sim::Options::seeded(seed) };
        let jepsen = perjury_sim::Options { operations: 30, ..perjury_sim::Options::jepsen(seed) };
        seeds.extend([generate(&small).0, generate(&jepsen).0]);
    }
    for model in Model::ALL {
        let base = ObjectOptions::seeded(model, 3);
        seeds.push(objects(&ObjectOptions { operations: 20, ..base }));
    }
    for workload in [Workload::ListAppend, Workload::RwRegister] {
        let base = StoreOptions::seeded(4);
        seeds.push(transactions(&StoreOptions { workload, operations: 20, ..base }).0);
    }
    seeds
}

/// Numbers that overflow what is not careful.
const NUMBERS: [i64; 7] = [i64::MIN + 1, -1, 0, 1, 1 << 31, 1 << 62, i64::MAX];

fn number(rng: &mut ChaCha8Rng) -> i64 {
    if rng.random_bool(0.5) { rng.random_range(0..6) } else { *NUMBERS.choose(rng).expect("some") }
}

fn bend_value(rng: &mut ChaCha8Rng, event: &mut Event) {
    let Payload::Mops(mops) = &mut event.value else {
        event.value = Payload::None;
        return;
    };
    match mops.get_mut(rng.random_range(0..4)) {
        Some(Mop::Send { key, value, offset }) => match rng.random_range(0..4) {
            0 => *key = Scalar::Int(number(rng)),
            1 => *value = Scalar::Int(number(rng)),
            2 => *offset = None,
            _ => *offset = Some(Some(number(rng))),
        },
        Some(Mop::Poll(Some(groups))) => {
            let Some((key, records)) = groups.first_mut() else { return };
            match records.first_mut() {
                Some(record) if rng.random_bool(0.4) => record.offset = Some(number(rng)),
                Some(record) if rng.random_bool(0.5) => record.value = Scalar::Int(number(rng)),
                Some(_) => records.reverse(),
                None => *key = Scalar::Int(number(rng)),
            }
        }
        Some(Mop::Poll(None)) | None => drop(mops.pop()),
    }
}

fn bend(rng: &mut ChaCha8Rng, events: &mut Vec<Event>) {
    if events.is_empty() {
        return;
    }
    let at = rng.random_range(0..events.len());
    let other = rng.random_range(0..events.len());
    match rng.random_range(0..9) {
        0 => drop(events.remove(at)),
        1 => events.insert(at, events[other].clone()),
        2 => events.swap(at, other),
        3 => events[at].process = Some(Process::Client(rng.random_range(0..4))),
        4 => {
            let kinds = [Kind::Invoke, Kind::Ok, Kind::Fail, Kind::Info];
            events[at].kind = *kinds.choose(rng).expect("four kinds");
        }
        5 => {
            let fs = [F::Send, F::Poll, F::Txn, F::Assign, F::Crash, F::Other("commit".into())];
            events[at].f = fs.choose(rng).expect("some").clone();
        }
        6 => events[at].time = Some(number(rng)),
        7 => events.truncate(at),
        _ => bend_value(rng, &mut events[at]),
    }
}

/// The first problem.
fn problem(history: &History) -> Option<Problem> {
    wellformed::check(history).into_iter().next()
}

/// What must hold whatever the history.
fn sensible(history: &History, report: &Report) -> Result<(), String> {
    if report.reasons.iter().any(|r| r == "checker-panic") {
        return Err(format!("an analysis panicked: {:?}", report.reason_details));
    }
    if report.verdict == Verdict::Unknown && report.reasons.is_empty() {
        return Err("unknown without a reason".into());
    }
    match problem(history) {
        Some(problem) if report.verdict == Verdict::Valid => {
            Err(format!("ill-formed and valid: {}", problem.message))
        }
        Some(_) if report.reasons.is_empty() => Err("ill-formed and nothing said of it".into()),
        _ => Ok(()),
    }
}

#[test]
fn no_damaged_history_is_valid_and_no_analysis_panics() {
    let set = std::env::var("PERJURY_CHECK_FUZZ_CASES").ok();
    let cases: u64 = set.map_or(20_000, |n| n.parse().expect("a number of cases"));
    let seeds = seeds();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let one = |case: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(case);
        let like = seeds.choose(&mut rng).expect("seeds");
        let mut events: Vec<Event> = like.events().collect();
        (0..rng.random_range(1..6)).for_each(|_| bend(&mut rng, &mut events));
        let history = support::rebuild(like, &events);
        let contract = if rng.random_bool(0.2) { Contract::Jepsen } else { Contract::Kafka };
        let options = Options { contract, search_steps: 100_000, ..Options::default() };
        let report = check(&history, &options);
        let ill = problem(&history).is_some();
        sensible(&history, &report).map(|()| ill).map_err(|e| format!("case {case}: {e}"))
    };
    let done: Vec<Result<bool, String>> = std::thread::scope(|scope| {
        let work = |part: u64| {
            let one = &one;
            move || (part..cases).step_by(usize::try_from(threads).expect("few")).map(one).collect()
        };
        let parts: Vec<_> = (0..threads).map(|part| scope.spawn::<_, Vec<_>>(work(part))).collect();
        parts.into_iter().flat_map(|p| p.join().expect("a check panicked")).collect()
    });
    let ill = done.iter().filter(|d| matches!(d, Ok(true))).count();
    let wrong: Vec<String> = done.into_iter().filter_map(Result::err).collect();
    println!("{cases} damaged histories, {ill} of them ill-formed");
    let shown = wrong.len().min(20);
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong[..shown].join("\n"));
    assert!(ill > 0, "none was ill-formed");
}
