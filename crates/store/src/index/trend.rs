//! How often the runs of one plan break a promise.

use crate::index::{Index, IndexError};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Whether the run's directory is no longer there.
    pub is_gone: bool,
}

/// What is known of a run whose directory is no longer there: enough to count it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneRun {
    /// `<name>/<time>`.
    pub id: String,
    /// Milliseconds since 1970.
    pub started_ms: i64,
    /// `valid`, `invalid` or `unknown`; absent when there was no report.
    pub verdict: Option<String>,
    /// Driver and version, where they are known.
    pub cluster: Option<String>,
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
    /// The trend of the runs of one name, with those of `gone` that are of this name and not in the index: a rule that deletes
    /// valid runs and keeps violations must not make violations look more likely. Without points when there are none.
    ///
    /// # Errors
    /// [`IndexError::Sqlite`].
    pub fn trend(&self, name: &str, gone: &[GoneRun]) -> Result<Trend, IndexError> {
        let mut lines = lines(&self.locked(), name)?;
        let there: BTreeSet<String> = lines.iter().map(|l| l.point.id.clone()).collect();
        let of_name = |id: &str| id.split_once('/').is_some_and(|(n, _)| n == name);
        let counted = gone.iter().filter(|g| of_name(&g.id) && !there.contains(&g.id));
        lines.extend(counted.map(Line::from));
        lines.sort_by(|a, b| {
            (a.point.started_ms, &a.point.id).cmp(&(b.point.started_ms, &b.point.id))
        });
        Ok(trend(name, lines))
    }
}

/// A run as a trend counts it.
struct Line {
    point: TrendPoint,
    running: bool,
    version: Option<String>,
}

impl From<&GoneRun> for Line {
    fn from(gone: &GoneRun) -> Line {
        let point = TrendPoint {
            id: gone.id.clone(),
            started_ms: gone.started_ms,
            verdict: gone.verdict.clone().unwrap_or_else(|| "none".into()),
            is_gone: true,
        };
        Line { point, running: false, version: gone.cluster.clone() }
    }
}

fn lines(db: &Connection, name: &str) -> Result<Vec<Line>, IndexError> {
    let mut statement = db.prepare_cached(
        "SELECT id, started_ms, verdict, status = 'running', cluster FROM runs WHERE name = ?1",
    )?;
    let rows = statement.query_map([name], |row| {
        let point = TrendPoint {
            id: row.get(0)?,
            started_ms: row.get(1)?,
            verdict: row.get(2)?,
            is_gone: false,
        };
        Ok(Line { point, running: row.get(3)?, version: row.get(4)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn trend(name: &str, lines: Vec<Line>) -> Trend {
    let mut all = Counts::default();
    let mut versions: BTreeMap<Option<String>, Counts> = BTreeMap::new();
    let skipped = lines.len().saturating_sub(POINTS_MAX);
    let mut points = Vec::new();
    for (at, Line { point, running, version }) in lines.into_iter().enumerate() {
        all.add(&point.verdict, running);
        versions.entry(version).or_default().add(&point.verdict, running);
        if at >= skipped {
            points.push(point);
        }
    }
    let by_version = versions.into_iter().map(|(version, counts)| VersionTrend {
        version,
        judged: Judged::of(counts.violations, counts.judged),
    });
    Trend {
        name: name.to_owned(),
        points,
        judged: Judged::of(all.violations, all.judged),
        flakes: all.flakes,
        by_version: by_version.collect(),
    }
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
