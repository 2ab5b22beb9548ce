//! A calibration for people.

use super::summary::{BugResult, Calibration, CellResult, Recall};
use std::collections::BTreeSet;
use std::fmt::Write;

/// The whole result in lines: recall by bug, the confusion table of bugs and anomalies, false positives by fault.
#[must_use]
pub fn text(c: &Calibration) -> String {
    let mut out = String::new();
    let state =
        if c.complete { "" } else { ", not complete: `perjury calibrate --resume` goes on" };
    line(&mut out, &format!("calibration {} (seeds {} to {}{state})", c.id, c.seed, last_seed(c)));
    line(&mut out, &c.statement);
    line(
        &mut out,
        &format!(
            "{} runs, {} at a time, in {}",
            c.runs,
            c.parallel,
            humantime::format_duration(std::time::Duration::from_secs(c.took_ms / 1000))
        ),
    );
    recall(&mut out, c);
    confusion(&mut out, c);
    clean(&mut out, c);
    out
}

fn last_seed(c: &Calibration) -> u64 {
    c.seed.wrapping_add(c.seeds.saturating_sub(1))
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// A table whose columns are as wide as their widest entry; all but the first column may stand right.
fn table(out: &mut String, rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let text: Vec<String> = cells.collect();
        line(out, text.join("  ").trim_end());
    }
}

/// `5/5  0.57–1.00`.
fn share(recall: &Recall) -> [String; 2] {
    let [low, high] = recall.interval;
    [format!("{}/{}", recall.found, recall.runs), format!("{low:.2}–{high:.2}")]
}

fn seconds(ms: Option<u64>) -> String {
    ms.map_or("–".into(), |ms| format!("{}.{} s", ms / 1000, ms % 1000 / 100))
}

fn recall(out: &mut String, c: &Calibration) {
    let heads =
        ["bug", "workload", "fault", "found", "95 %", "median time", "operations", "as expected"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for bug in &c.bugs {
        rows.extend(c.cells.iter().filter(|cell| cell.bug == bug.bug).map(row));
    }
    line(out, "");
    table(out, &rows);
    for left in &c.not_run {
        line(out, &format!("not tried: {}: {}", left.bug, left.why));
    }
    for cell in c.cells.iter().filter(|cell| !cell.missed.is_empty()) {
        let seeds: Vec<String> = cell.missed.iter().map(u64::to_string).collect();
        let noted: Vec<&str> = cell.noted.keys().map(String::as_str).collect();
        let noted = if noted.is_empty() {
            String::new()
        } else {
            format!("; reported without being a violation: {}", noted.join(", "))
        };
        let what = format!("{} under {} and {}", cell.bug, cell.workload, cell.fault);
        line(out, &format!("missed: {what}, seeds {}{noted}", seeds.join(", ")));
    }
}

fn row(cell: &CellResult) -> Vec<String> {
    let [found, interval] = share(&cell.recall);
    let fault =
        if cell.at_rest { "none needed".into() } else { format!("{} {}", cell.fault, cell.target) };
    vec![
        cell.bug.to_string(),
        cell.workload.clone(),
        fault,
        found,
        interval,
        seconds(cell.median_ms),
        cell.median_operations.map_or("–".into(), |n| n.to_string()),
        format!("{}/{}", cell.as_expected, cell.recall.found),
    ]
}

/// Bug by anomaly: in how many runs each was found. What was expected has a star.
fn confusion(out: &mut String, c: &Calibration) {
    let names: BTreeSet<&str> =
        c.cells.iter().flat_map(|cell| cell.anomalies.keys().map(String::as_str)).collect();
    if names.is_empty() {
        return;
    }
    line(out, "");
    line(out, "violations found, by number of runs (* expected of that bug)");
    let mut rows = vec![
        std::iter::once("bug".to_owned()).chain(names.iter().map(|&n| n.to_owned())).collect(),
    ];
    for bug in &c.bugs {
        let mut row = vec![bug.bug.to_string()];
        row.extend(names.iter().map(|name| count(c, bug, name)));
        rows.push(row);
    }
    table(out, &rows);
}

fn count(c: &Calibration, bug: &BugResult, name: &str) -> String {
    let of = c.cells.iter().filter(|cell| cell.bug == bug.bug);
    let runs: u64 = of.filter_map(|cell| cell.anomalies.get(name)).sum();
    match (runs, bug.expected.iter().any(|expected| expected == name)) {
        (0, _) => "·".into(),
        (n, true) => format!("{n}*"),
        (n, false) => n.to_string(),
    }
}

fn clean(out: &mut String, c: &Calibration) {
    let heads = ["correct cluster", "fault", "accused", "95 %", "not judged"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for cell in &c.clean {
        let [accused, interval] = share(&cell.accused);
        let fault = format!("{} {}", cell.fault, cell.target);
        rows.push(vec![cell.workload.clone(), fault, accused, interval, cell.unknown.to_string()]);
    }
    if rows.len() > 1 {
        line(out, "");
        table(out, &rows);
    }
    for wrong in &c.false_positives {
        let kept = wrong.run.as_deref().unwrap_or("not kept");
        let _ =
            writeln!(out, "false positive: {}: {} ({kept})", wrong.key, wrong.anomalies.join(", "));
    }
    for (key, why) in &c.failed {
        let _ = writeln!(out, "failed: {key}: {why}");
    }
}
