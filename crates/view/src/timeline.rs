//! The run over time: latency points, rates, fault bands, leader changes.

use crate::sample::{Picker, quotas};
use crate::source::{Brief, Source};
use crate::world::{Band, Leader, Mark, World};
use perjury_history::Kind;
use serde::Serialize;

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
/// and marks are those of the whole run: they say where to look. The operations are visited twice, and no more of them are
/// held than are drawn.
///
/// # Errors
/// Whatever keeps the source from being read.
pub fn timeline<S: Source>(
    source: &S,
    from: Option<i64>,
    to: Option<i64>,
    points: usize,
) -> Result<Timeline, S::Error> {
    let duration = source.duration();
    let from = from.unwrap_or(0).clamp(0, duration);
    let to = to.unwrap_or(duration).clamp(from, duration);
    let World { bands, leaders, marks } = source.world();
    let rate_step = rate_step(to - from);
    let mut steps = Steps::new(from, to, rate_step);
    let mut classes = Classes::default();
    source.visit(Some(from), Some(to), &mut |op| {
        if op.is_client() {
            op.end.iter().for_each(|t| steps.count(*t, op.kind));
            classes.counts[class(op)] += usize::from(begins_within(op, from, to));
        }
        Ok(())
    })?;
    let operations = classes.counts.iter().sum();
    let mut pickers = classes.pickers(source, points);
    source.visit(Some(from), Some(to), &mut |op| {
        if let Some(picker) = pickers[class(op)].as_mut().filter(|_| op.is_client())
            && begins_within(op, from, to)
        {
            picker.offer(op.latency_ms().unwrap_or(f64::MAX), *op);
        }
        Ok(())
    })?;
    let picked = pickers.into_iter().flatten().flat_map(Picker::finish);
    let mut points: Vec<Point> = picked.map(|op| point(source, &op)).collect();
    points.sort_by_key(|p| (p.t, p.i));
    Ok(Timeline {
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
    })
}

fn begins_within(op: &Brief, from: i64, to: i64) -> bool {
    op.start.is_some_and(|start| start >= from && start <= to)
}

fn point<S: Source>(source: &S, op: &Brief) -> Point {
    Point {
        i: op.op.row(),
        t: op.start.unwrap_or(0),
        ms: op.latency_ms(),
        f: source.f_name(op.f).to_owned(),
        kind: op.kind,
        key: source.first_key(op),
    }
}

/// One for each function and outcome.
const CLASSES: usize = 4 * (u8::MAX as usize + 1);

fn class(op: &Brief) -> usize {
    usize::from(op.f) * 4 + op.kind as usize
}

/// How many operations of the window each class has.
struct Classes {
    counts: Vec<usize>,
}

impl Default for Classes {
    fn default() -> Classes {
        Classes { counts: vec![0; CLASSES] }
    }
}

impl Classes {
    /// What picks the points of each class; none where there is nothing.
    fn pickers<S: Source>(&self, source: &S, points: usize) -> Vec<Option<Picker<Brief>>> {
        let mut there: Vec<usize> = (0..CLASSES).filter(|c| self.counts[*c] > 0).collect();
        // By name, so that the share of each does not hang on which came first.
        let name = |c: usize| u8::try_from(c / 4).map(|f| source.f_name(f)).unwrap_or_default();
        there.sort_by_key(|c| (name(*c), c % 4));
        let counts: Vec<usize> = there.iter().map(|c| self.counts[*c]).collect();
        let mut pickers: Vec<Option<Picker<Brief>>> = (0..CLASSES).map(|_| None).collect();
        for (class, quota) in there.into_iter().zip(quotas(&counts, points)) {
            pickers[class] = Some(Picker::new(self.counts[class], quota));
        }
        pickers
    }
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
