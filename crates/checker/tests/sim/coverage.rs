//! Do the stated intervals hold? Campaigns on simulated clusters that lose writes with a known probability.
//!
//! # Method
//! A campaign is one history of 12 leader kills. Each kill loses with probability π, and then each write of its stretch of
//! the run with probability q, so that a write is lost with p = π·q and writes of one kill share a cause. The interval of
//! the report takes faults as trials; it must hold p in 95 % of 500 campaigns, with 1.645 standard deviations of the
//! binomial count allowed. For contrast the same losses are given to an interval that takes writes as trials, as if they
//! were independent: where losses come in clusters it states far too much.

use perjury_checker::{Options as Checking, check};
use perjury_sim::{Loss, Options, generate};

const SEED: u64 = 0x6361_6c69_6272;
const CAMPAIGNS: u64 = 500;

/// How losses come: every kill loses a little, every other a third, every tenth nearly all, and hardly anything at all.
const LOSSES: [Loss; 4] = [
    Loss { per_fault: 1.0, per_write: 0.05 },
    Loss { per_fault: 0.5, per_write: 0.3 },
    Loss { per_fault: 0.1, per_write: 0.9 },
    Loss { per_fault: 0.05, per_write: 0.02 },
];

/// Wilson's interval at 95 % with writes as trials.
fn naive(lost: u64, writes: u64) -> [f64; 2] {
    let (k, n, z) = (lost as f64, writes as f64, 1.959_964);
    let (p, z2) = (k / n, z * z);
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    [centre - half, centre + half]
}

/// Of how many campaigns the intervals hold the truth, by kind of loss: with faults and with writes as trials, and the
/// mean width of the former.
#[derive(Default, Clone, Copy)]
struct Held {
    campaigns: u64,
    by_faults: u64,
    by_writes: u64,
    width: f64,
}

/// What is still compatible with an interval that holds in 95 % of so many campaigns.
fn least(campaigns: u64) -> f64 {
    let n = campaigns as f64;
    n * 0.95 - 1.645 * (n * 0.95 * 0.05).sqrt()
}

#[test]
fn the_stated_interval_of_lost_writes_holds_in_95_of_100_campaigns() {
    let mut held = [Held::default(); LOSSES.len()];
    for n in 0..CAMPAIGNS {
        let kind = usize::try_from(n).unwrap() % LOSSES.len();
        let loss = LOSSES[kind];
        let options = Options {
            operations: 900,
            faults: 12,
            final_readers: 1,
            loss: Some(loss),
            ..Options::seeded(SEED + n)
        };
        let (history, _) = generate(&options);
        let confidence = check(&history, &Checking::default()).confidence.unwrap();
        assert_eq!(confidence.faults, 12, "campaign {n} of seed {SEED}: {confidence:?}");
        let [low, high] = confidence.share_lost.unwrap();
        let p = loss.per_fault * loss.per_write;
        let [naive_low, naive_high] = naive(confidence.lost, confidence.acknowledged);
        let of = &mut held[kind];
        of.campaigns += 1;
        of.by_faults += u64::from((low..=high).contains(&p));
        of.by_writes += u64::from((naive_low..=naive_high).contains(&p));
        of.width += high - low;
    }
    for (loss, of) in LOSSES.iter().zip(held) {
        let n = of.campaigns as f64;
        eprintln!(
            "seed {SEED}, {loss:?}: faults as trials hold in {} of {} (mean width {:.2}), writes as trials in {}",
            of.by_faults,
            of.campaigns,
            of.width / n,
            of.by_writes
        );
        assert!(of.by_faults as f64 >= least(of.campaigns), "{loss:?}");
        assert!(of.width / n < 0.7, "an interval that says nothing holds always: {loss:?}");
    }
    let all: u64 = held.iter().map(|of| of.by_faults).sum();
    assert!(all as f64 >= least(CAMPAIGNS), "{all} of {CAMPAIGNS}");
    // Where whole stretches are lost, thousands of writes are still a dozen trials.
    assert!(held[2].by_writes * 2 < held[2].campaigns, "writes as trials hold too often");
}
