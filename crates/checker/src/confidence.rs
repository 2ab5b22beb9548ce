//! What the size of a run proves.
//!
//! Writes under one fault share one cause: whether the fault loses any of them, and how many. Their fates are not
//! independent of each other, however many they are. So the trials are *faults*: each acknowledged write belongs to the
//! first witnessed fault that ended after it, and the rest to the last one ([`clusters`]).
//!
//! - If no write was lost in `n` faults, the chance that a fault loses any is at most `3 / n` at 95 % confidence (the rule
//!   of three). The same bound with writes as trials is stated as what it is: one for writes that were independent.
//! - The chance that a write is lost is given by the interval of Clopper and Pearson (1934) in which each fault is one
//!   trial that succeeds by the share of its writes that were lost. That is the interval of Korn and Graubard (1998) for
//!   clustered samples with the largest design effect there can be: it holds however closely the fates of writes under one
//!   fault hang together, and needs no more than that faults are independent.
//!
//! Only acknowledged writes that an ok operation read count as trials of their own: of the others nobody knows.

use crate::anomalies;
use crate::context::Context;
use crate::report::Confidence;
use crate::words;
use perjury_history::Kind;
use statrs::distribution::{Beta, ContinuousCDF};

/// The rule of three says something from here on, and an interval does not reach nearly from 0 to 1.
const TRIALS_MIN: u64 = 4;
/// What both ends of an interval at 95 % leave out.
const TAIL: f64 = 0.025;

/// The acknowledged writes that belong to one fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cluster {
    /// How many were acknowledged.
    pub(crate) acknowledged: u64,
    /// How many of them are lost.
    pub(crate) lost: u64,
}

/// The acknowledged writes by witnessed fault, in the order of the faults' ends. Without a witnessed fault that ended
/// there are none.
pub(crate) fn clusters(ctx: &Context<'_>) -> Vec<Cluster> {
    let around = ctx.around;
    let witnessed = around.faults.iter().filter(|f| f.witnessed);
    let mut ends: Vec<i64> = witnessed.filter_map(|f| around.end_of(f)).collect();
    ends.sort_unstable();
    let mut all = vec![Cluster::default(); ends.len()];
    let Some(last) = ends.len().checked_sub(1) else { return all };
    let of_row = |row: usize| {
        let time = ctx.history.time(row)?;
        Some(ends.partition_point(|end| *end < time).min(last))
    };
    for (_, key) in ctx.index.keys() {
        for slot in key.slots().filter(|slot| key.was_sent(*slot, Kind::Ok)) {
            if let Some(at) = key.writer(slot).and_then(of_row) {
                all[at].acknowledged += 1;
            }
        }
    }
    let tails = anomalies::lost_tails(ctx)
        .into_iter()
        .filter_map(|(id, slot, ..)| ctx.index.key(id).writer(slot));
    for row in ctx.lost().iter().map(|lost| lost.writer).chain(tails) {
        if let Some(at) = of_row(row) {
            all[at].lost += 1;
        }
    }
    all.retain(|cluster| cluster.acknowledged > 0);
    all
}

/// The interval, at 95 %, of the chance that an acknowledged write is lost; nothing without a fault.
#[expect(clippy::cast_precision_loss, reason = "counts of writes are far below 2^53")]
fn share_lost(clusters: &[Cluster]) -> Option<[f64; 2]> {
    let trials = clusters.len() as f64;
    let acknowledged: u64 = clusters.iter().map(|c| c.acknowledged).sum();
    let lost: u64 = clusters.iter().map(|c| c.lost.min(c.acknowledged)).sum();
    if acknowledged == 0 {
        return None;
    }
    // So many faults would have lost all of their writes.
    let successes = trials * lost as f64 / acknowledged as f64;
    let quantile = |a: f64, b: f64, p: f64| Some(Beta::new(a, b).ok()?.inverse_cdf(p));
    let low = if lost == 0 { 0.0 } else { quantile(successes, trials - successes + 1.0, TAIL)? };
    let high = if lost == acknowledged {
        1.0
    } else {
        quantile(successes + 1.0, trials - successes, 1.0 - TAIL)?
    };
    Some([low, high])
}

/// The statement for this many acknowledged values, of which `unread` were read by nobody, witnessed leader kills and lost
/// values, and for the writes of each fault.
pub(crate) fn state(
    acknowledged: u64,
    unread: u64,
    leader_kills: u64,
    lost: u64,
    clusters: &[Cluster],
) -> Option<Confidence> {
    let read = acknowledged.saturating_sub(unread);
    if read == 0 {
        return None;
    }
    let writes = words::counted(acknowledged, "acknowledged write", "acknowledged writes");
    let kills = words::counted(leader_kills, "leader kill", "leader kills");
    let confidence = Confidence {
        acknowledged,
        leader_kills,
        lost,
        faults: clusters.len() as u64,
        faults_that_lost: clusters.iter().filter(|c| c.lost > 0).count() as u64,
        share_lost: share_lost(clusters),
        per_write: None,
        per_kill: None,
        statement: String::new(),
    };
    if lost > 0 {
        let spread = spread(&confidence);
        let statement = format!("{} lost of {writes} over {kills}{spread}", words::count(lost));
        return Some(Confidence { statement, ..confidence });
    }
    let per_write = (read >= TRIALS_MIN).then(|| bound(read));
    let per_kill = (leader_kills > 0).then(|| bound(leader_kills));
    let independent = "were writes independent of each other";
    let of_writes = match (per_write, per_kill) {
        (None, _) => "too few to bound anything".to_owned(),
        (Some(_), Some(kill)) if kill < 1.0 => {
            let one_in = words::count(read / 3);
            format!("{independent}, at most 1 in {one_in} of them")
        }
        (Some(_), _) => {
            let one_in = words::count(read / 3);
            format!("{independent}, at 95 % confidence at most 1 in {one_in} of them")
        }
    };
    let bounds = match per_kill {
        None => {
            format!("{of_writes}; without a witnessed leader kill this says nothing of failovers")
        }
        Some(p) if p < 1.0 => {
            format!("at 95 % confidence at most {:.0} % of kills lose any; {of_writes}", p * 100.0)
        }
        Some(_) => format!("{of_writes}; fewer than four leader kills say little of failovers"),
    };
    let aside = match unread {
        0 => String::new(),
        n => format!(", {} of them read by nobody", words::count(n)),
    };
    let statement = format!("0 lost of {writes}{aside} over {kills}: {bounds}");
    Some(Confidence { per_write, per_kill, statement, ..confidence })
}

/// How the losses are spread over faults, and what follows from that where there are enough of them.
fn spread(confidence: &Confidence) -> String {
    let Some([low, high]) = confidence.share_lost.filter(|_| confidence.faults >= TRIALS_MIN)
    else {
        return String::new();
    };
    let faults = words::counted(confidence.faults, "fault", "faults");
    format!(
        ", by {} of {faults}: with faults as trials, at 95 % confidence {:.1} to {:.1} % of writes",
        confidence.faults_that_lost,
        low * 100.0,
        high * 100.0
    )
}

#[expect(clippy::cast_precision_loss, reason = "a bound with two significant digits")]
fn bound(n: u64) -> f64 {
    (3.0 / n as f64).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lost_bounds_the_chance_by_three_over_n() {
        let stated = state(24_113, 0, 4, 0, &[]).expect("something was acknowledged");
        assert_eq!(
            stated.statement,
            "0 lost of 24,113 acknowledged writes over 4 leader kills: at 95 % confidence at most 75 % of kills lose \
             any; were writes independent of each other, at most 1 in 8,037 of them"
        );
        assert_eq!(stated.per_kill, Some(0.75));
        assert_eq!(state(0, 0, 4, 0, &[]), None);
        assert_eq!(state(10, 2, 1, 2, &[]).and_then(|c| c.per_write), None);
    }

    #[test]
    fn many_writes_of_few_faults_prove_no_more_than_the_faults() {
        let cluster = |acknowledged, lost| Cluster { acknowledged, lost };
        let close = |a: [f64; 2], b: [f64; 2]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3);
        // Clopper and Pearson: 0 of 5, 5 of 5 and 1 of 10.
        let none = share_lost(&[cluster(10_000, 0); 5]).unwrap();
        assert!(close(none, [0.0, 0.5218]), "{none:?}");
        let all = share_lost(&[cluster(3, 3); 5]).unwrap();
        assert!(close(all, [0.4782, 1.0]), "{all:?}");
        let mut ten = [cluster(700, 0); 10];
        ten[4].lost = 700;
        let one = share_lost(&ten).unwrap();
        assert!(close(one, [0.0025, 0.4450]), "{one:?}");
        assert_eq!(share_lost(&[]), None);
        let stated = state(7_000, 0, 3, 700, &ten).unwrap().statement;
        assert!(
            stated.ends_with("by 1 of 10 faults: with faults as trials, at 95 % confidence 0.3 to 44.5 % of writes"),
            "{stated}"
        );
    }
}
