//! How often the runs of one plan break a promise.

use crate::index::{Index, IndexError};
use rusqlite::Connection;
use serde::Serialize;
use std::collections::BTreeMap;

/// The quantile of the normal distribution that leaves 2.5 % above it.
const Z_95: f64 = 1.959_963_984_540_054;
/// A chart does not draw more; older runs still count.
const POINTS_MAX: usize = 2000;

/// A closed interval of a probability, 0 to 1.
pub type Interval = [f64; 2];

/// The Wilson score interval at 95 % for `k` of `n` (Wilson 1927): unlike the textbook interval it stays inside 0 to 1
/// and says something for 0 of `n`. Without any trial it is 0 to 1.
pub fn wilson(k: u64, n: u64) -> Interval {
    if n == 0 {
        return [0.0, 1.0];
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of runs are far below 2^53")]
    let (k, n) = (k as f64, n as f64);
    let (p, z2) = (k / n, Z_95 * Z_95);
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z_95 / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let low = if k == 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if k >= n { 1.0 } else { (centre + half).min(1.0) };
    [low, high]
}

/// How many of the judged runs broke a promise, and how likely that makes it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Judged {
    /// Runs with the verdict *invalid*.
    pub violations: u64,
    /// Runs with the verdict *invalid* or *valid*.
    pub judged: u64,
    /// The probability of a violation at 95 %.
    pub interval: Interval,
}

impl Judged {
    /// The interval of these counts.
    pub fn of(violations: u64, judged: u64) -> Judged {
        Judged { violations, judged, interval: wilson(violations, judged) }
    }
}

/// One run of a trend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrendPoint {
    /// `<name>/<time>`.
    pub id: String,
    /// Milliseconds since 1970.
    pub started_ms: i64,
    /// `valid`, `invalid`, `unknown`, or `none` without a report.
    pub verdict: String,
}

/// The runs of one cluster driver and version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VersionTrend {
    /// Driver and version; absent when the runs do not say.
    pub version: Option<String>,
    /// Its runs.
    #[serde(flatten)]
    pub judged: Judged,
}

/// The runs of one name over time. Flakes are no violations and no proofs: they stand apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trend {
    /// The name.
    pub name: String,
    /// The newest 2,000 runs, oldest first.
    pub points: Vec<TrendPoint>,
    /// All runs together.
    #[serde(flatten)]
    pub judged: Judged,
    /// Runs that ended without a verdict or with *unknown*. Runs under way do not count.
    pub flakes: u64,
    /// By cluster driver and version.
    pub by_version: Vec<VersionTrend>,
}

#[derive(Default)]
struct Counts {
    violations: u64,
    judged: u64,
    flakes: u64,
}

impl Counts {
    fn add(&mut self, verdict: &str, running: bool) {
        match verdict {
            "invalid" => {
                self.violations += 1;
                self.judged += 1;
            }
            "valid" => self.judged += 1,
            _ if running => {}
            _ => self.flakes += 1,
        }
    }
}

impl Index {
    /// The trend of the runs of one name; without points when there are none.
    ///
    /// # Errors
    /// [`IndexError::Sqlite`].
    pub fn trend(&self, name: &str) -> Result<Trend, IndexError> {
        trend(&self.locked(), name)
    }
}

fn trend(db: &Connection, name: &str) -> Result<Trend, IndexError> {
    let mut statement = db.prepare_cached(
        "SELECT id, started_ms, verdict, status = 'running', cluster FROM runs WHERE name = ?1 ORDER BY started_ms, id",
    )?;
    let mut rows = statement.query([name])?;
    let (mut points, mut all) = (Vec::new(), Counts::default());
    let mut versions: BTreeMap<Option<String>, Counts> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let verdict: String = row.get(2)?;
        let running: bool = row.get(3)?;
        all.add(&verdict, running);
        versions.entry(row.get(4)?).or_default().add(&verdict, running);
        points.push(TrendPoint { id: row.get(0)?, started_ms: row.get(1)?, verdict });
    }
    let skipped = points.len().saturating_sub(POINTS_MAX);
    points.drain(..skipped);
    let by_version = versions.into_iter().map(|(version, counts)| VersionTrend {
        version,
        judged: Judged::of(counts.violations, counts.judged),
    });
    Ok(Trend {
        name: name.to_owned(),
        points,
        judged: Judged::of(all.violations, all.judged),
        flakes: all.flakes,
        by_version: by_version.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from the closed form, computed by hand to four digits.
    #[test]
    fn intervals_are_wilsons() {
        let close =
            |a: Interval, b: Interval| (a[0] - b[0]).abs() < 5e-4 && (a[1] - b[1]).abs() < 5e-4;
        assert!(close(wilson(0, 10), [0.0, 0.2775]), "{:?}", wilson(0, 10));
        assert!(close(wilson(5, 10), [0.2366, 0.7634]), "{:?}", wilson(5, 10));
        assert!(close(wilson(10, 10), [0.7225, 1.0]), "{:?}", wilson(10, 10));
        assert_eq!(wilson(0, 0), [0.0, 1.0]);
    }
}
