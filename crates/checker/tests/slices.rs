//! Slices of a history, merged in any grouping, give the report of the whole.

mod support;

use perjury_checker::slices::{SliceError, Summary};
use perjury_checker::{Contract, Options, check};
use perjury_history::History;
use perjury_sim::{Defect, generate};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn simulated(seed: u64) -> History {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let defect = Defect::ALL[rng.random_range(0..Defect::ALL.len())];
    let options = perjury_sim::Options {
        operations: rng.random_range(5..250),
        defects: if rng.random_bool(0.7) { vec![defect] } else { Vec::new() },
        info_rate: rng.random_range(0.0..0.4),
        fail_rate: rng.random_range(0.0..0.2),
        transactional: rng.random_bool(0.5),
        native: rng.random_bool(0.5),
        ..perjury_sim::Options::seeded(seed)
    };
    generate(&options).0
}

/// Merges neighbours in a random order until one is left.
fn merged(mut slices: Vec<Summary>, rng: &mut ChaCha8Rng) -> Summary {
    while slices.len() > 1 {
        let at = rng.random_range(0..slices.len() - 1);
        let next = slices.remove(at + 1);
        let first = slices.remove(at);
        slices.insert(at, first.merge(next).expect("neighbours"));
    }
    slices.pop().expect("one slice")
}

fn cut(history: &History, points: usize, rng: &mut ChaCha8Rng) -> Vec<Summary> {
    let mut cuts: Vec<usize> = (0..points).map(|_| rng.random_range(0..=history.len())).collect();
    cuts.extend([0, history.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|w| Summary::of(history, w[0]..w[1])).collect()
}

fn same(history: &History, slices: Vec<Summary>, rng: &mut ChaCha8Rng, name: &str) {
    let options = Options { contract: Contract::Kafka, ..Options::default() };
    let report = merged(slices, rng).finish(history, &options).expect("all rows");
    assert_eq!(support::bytes(&report), support::bytes(&check(history, &options)), "{name}");
}

#[test]
fn any_cuts_and_any_grouping_give_the_batch_report() {
    for seed in 0..200 {
        let history = simulated(seed);
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x511ce);
        let points = rng.random_range(0..9);
        let slices = cut(&history, points, &mut rng);
        same(&history, slices, &mut rng, &format!("seed {seed}"));
    }
}

#[test]
fn slices_of_one_event_give_the_batch_report() {
    for seed in 0..12 {
        let history = simulated(seed);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let slices = (0..history.len()).map(|i| Summary::of(&history, i..i + 1)).collect();
        same(&history, slices, &mut rng, &format!("seed {seed}"));
    }
    for case in support::corpus() {
        let history = support::read(&case.path);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut slices: Vec<Summary> =
            (0..history.len()).map(|i| Summary::of(&history, i..i + 1)).collect();
        if slices.is_empty() {
            slices.push(Summary::of(&history, 0..0));
        }
        same(&history, slices, &mut rng, &case.name);
    }
}

#[test]
fn slices_that_are_no_neighbours_are_refused() {
    let history = simulated(1);
    let end = history.len();
    let apart = Summary::of(&history, 0..2).merge(Summary::of(&history, 3..end));
    assert_eq!(apart.expect_err("a gap"), SliceError::Apart(3..end, 0..2));
    let part = Summary::of(&history, 0..2).finish(&history, &Options::default());
    assert_eq!(part.expect_err("a part"), SliceError::Incomplete(0..2, end));
}
