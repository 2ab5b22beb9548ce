//! The run over time: latency points, rates, fault bands, leader changes.

use crate::operation::{Op, client_operations};
use crate::sample::{pick, quotas};
use crate::world::{Band, Leader, Mark, World, world};
use perjury_history::{History, Kind};
use serde::Serialize;
use std::collections::BTreeMap;

/// About how many steps the rate has.
const RATE_STEPS: i64 = 240;

/// One operation of the latency chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// The index of its completion, or of its invocation when it has none.
    i: usize,
    /// When it was invoked, ns.
    t: i64,
    /// How long it took; absent when it never completed.
    ms: Option<f64>,
    f: String,
    #[serde(rename = "type")]
    kind: Kind,
    key: Option<String>,
}

/// How many operations completed within one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// The start of the step, ns.
    t: i64,
    ok: u64,
    fail: u64,
    info: u64,
}

/// The answer of the timeline route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timeline {
    /// The time of the last event, ns.
    duration: i64,
    /// The window that the points and the rate cover, ns.
    from: i64,
    to: i64,
    points: Vec<Point>,
    /// How many operations the window has; more than there are points when `sampled`.
    operations: usize,
    sampled: bool,
    bands: Vec<Band>,
    leaders: Vec<Leader>,
    marks: Vec<Mark>,
    rate: Vec<Rate>,
    /// The length of a step of the rate, ns.
    rate_step: i64,
}

/// Builds the timeline of the window from `from` to `to` (ns, closed) with at most `points` points. Bands, leader changes
/// and marks are those of the whole run: they say where to look.
pub fn timeline(history: &History, from: Option<i64>, to: Option<i64>, points: usize) -> Timeline {
    let duration = (0..history.len()).filter_map(|i| history.time(i)).max().unwrap_or(0).max(0);
    let from = from.unwrap_or(0).clamp(0, duration);
    let to = to.unwrap_or(duration).clamp(from, duration);
    let World { bands, leaders, marks } = world(history, duration);
    let rate_step = rate_step(to - from);
    let mut steps = Steps::new(from, to, rate_step);
    let mut classes: BTreeMap<(&str, Kind), Vec<(Op, f64)>> = BTreeMap::new();
    let mut operations = 0;
    for op in client_operations(history) {
        if let Some(t) = op.complete.and_then(|c| history.time(c)) {
            steps.count(t, op.outcome(history));
        }
        let Some(start) = op.start(history) else { continue };
        if start < from || start > to {
            continue;
        }
        operations += 1;
        let weight = op.latency_ms(history).unwrap_or(f64::MAX);
        let class = (history.f(op.first()).as_str(), op.outcome(history));
        classes.entry(class).or_default().push((op, weight));
    }
    let points = sampled(history, &classes, points);
    Timeline {
        duration,
        from,
        to,
        sampled: points.len() < operations,
        points,
        operations,
        bands,
        leaders,
        marks,
        rate: steps.rates,
        rate_step,
    }
}

fn sampled(
    history: &History,
    classes: &BTreeMap<(&str, Kind), Vec<(Op, f64)>>,
    total: usize,
) -> Vec<Point> {
    let counts: Vec<usize> = classes.values().map(Vec::len).collect();
    let mut points = Vec::with_capacity(total.min(counts.iter().sum()));
    for (((f, kind), ops), quota) in classes.iter().zip(quotas(&counts, total)) {
        let weights: Vec<f64> = ops.iter().map(|(_, w)| *w).collect();
        for at in pick(&weights, quota) {
            let op = ops[at].0;
            points.push(Point {
                i: op.row(),
                t: op.start(history).unwrap_or(0),
                ms: op.latency_ms(history),
                f: (*f).to_owned(),
                kind: *kind,
                key: op.first_key(history),
            });
        }
    }
    points.sort_by_key(|p| (p.t, p.i));
    points
}

/// A round length of time that cuts `span` into about [`RATE_STEPS`] steps, at least a millisecond.
fn rate_step(span: i64) -> i64 {
    let mut unit = 1_000_000;
    while unit < i64::MAX / 100 {
        for factor in [1, 2, 5] {
            if span / (unit * factor) <= RATE_STEPS {
                return unit * factor;
            }
        }
        unit *= 10;
    }
    unit
}

struct Steps {
    from: i64,
    to: i64,
    step: i64,
    rates: Vec<Rate>,
}

impl Steps {
    fn new(from: i64, to: i64, step: i64) -> Steps {
        let first = from / step;
        let rates = (first..=to / step).map(|s| Rate { t: s * step, ok: 0, fail: 0, info: 0 });
        Steps { from, to, step, rates: rates.collect() }
    }

    fn count(&mut self, t: i64, kind: Kind) {
        if t < self.from || t > self.to {
            return;
        }
        let at = usize::try_from(t / self.step - self.from / self.step).unwrap_or_default();
        let Some(rate) = self.rates.get_mut(at) else { return };
        match kind {
            Kind::Ok => rate.ok += 1,
            Kind::Fail => rate.fail += 1,
            Kind::Info | Kind::Invoke => rate.info += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_not_too_many() {
        assert_eq!(rate_step(0), 1_000_000);
        assert_eq!(rate_step(30_000_000_000), 200_000_000);
        assert_eq!(rate_step(3_600_000_000_000), 20_000_000_000);
        for span in [1, 999_999_999, 7_777_777_777, i64::MAX / 2] {
            assert!(span / rate_step(span) <= RATE_STEPS, "{span}");
        }
    }
}
