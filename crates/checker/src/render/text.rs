//! The report for a terminal.

use super::{judged, plain, ranked};
use crate::report::{Anomaly, FaultReport, Report};
use crate::words;
use std::fmt::Write;

/// How many examples of each anomaly are printed.
const EXAMPLES_MAX: usize = 3;
/// How many faults are printed.
const FAULTS_MAX: usize = 12;

/// The report as plain text, without colours, ending with a newline.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    line(&mut out, &plain(&report.headline));
    line(&mut out, "");
    for (i, sentence) in report.story.iter().enumerate() {
        line(&mut out, &format!("  {}. {}", i + 1, plain(&sentence.text)));
    }
    if !report.anomalies.is_empty() {
        line(&mut out, "");
        line(&mut out, "Anomalies");
    }
    for (name, anomaly) in ranked(report) {
        one(&mut out, name, anomaly);
    }
    goals(&mut out, report);
    faults(&mut out, report);
    figures(&mut out, report);
    for note in &report.notes {
        line(&mut out, &format!("Note: {}", plain(note)));
    }
    if !report.reasons.is_empty() {
        line(&mut out, &format!("Not known: {}", report.reasons.join(", ")));
    }
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}

fn one(out: &mut String, name: &str, anomaly: &Anomaly) {
    let count = words::count(anomaly.count);
    let how = judged(anomaly.judgement);
    line(out, &format!("  {name} × {count} ({how}): {}", anomaly.title));
    for example in anomaly.examples.iter().take(EXAMPLES_MAX) {
        line(out, &format!("    - {}", plain(&example.sentence)));
    }
    // An example of unseen is a whole partition, of all others a single case.
    let listed = anomaly.examples.len() as u64;
    let cases = if name == "unseen" { listed } else { anomaly.count };
    let more = cases.saturating_sub(listed.min(EXAMPLES_MAX as u64));
    if more > 0 {
        line(out, &format!("    - and {} more", words::count(more)));
    }
    line(out, &format!("    Rule: {}", anomaly.rule));
}

fn goals(out: &mut String, report: &Report) {
    if report.goals.is_empty() {
        return;
    }
    line(out, "");
    line(out, "Goals");
    for goal in &report.goals {
        let met = match goal.met {
            Some(true) => "met: ",
            Some(false) => "not met: ",
            None => "",
        };
        let aim =
            if goal.aim.is_empty() { String::new() } else { format!(" (goal: {})", goal.aim) };
        line(out, &format!("  {met}{} {}{aim}", goal.name, plain(&goal.measured)));
    }
}

fn faults(out: &mut String, report: &Report) {
    let all = &report.availability.faults;
    if all.is_empty() {
        return;
    }
    line(out, "");
    line(out, "Faults");
    for fault in all.iter().take(FAULTS_MAX) {
        line(out, &format!("  {}", fault_line(fault)));
    }
    if all.len() > FAULTS_MAX {
        let more = (all.len() - FAULTS_MAX) as u64;
        line(out, &format!("  and {} more", words::count(more)));
    }
}

fn fault_line(fault: &FaultReport) -> String {
    let mut text = format!("{} {}", fault.fault, plain(&fault.f));
    if let Some(target) = &fault.target {
        let _ = write!(text, " of {}", plain(target));
    }
    if !fault.nodes.is_empty() {
        let word = if fault.nodes.len() == 1 { "node" } else { "nodes" };
        let _ = write!(text, " ({word} {})", words::list(&fault.nodes));
    }
    if let Some(start) = fault.start {
        let _ = write!(text, " at {}", words::duration(start));
    }
    text.push_str(if fault.witnessed { ", witnessed" } else { ", not witnessed" });
    let figures = [
        ("election", fault.election_ms),
        ("next ok send after", fault.first_ok_send_after_ms),
        ("longest gap", fault.longest_gap_ms),
    ];
    for (what, ms) in figures {
        if let Some(ms) = ms {
            let _ = write!(text, ", {what} {} ms", words::count(ms));
        }
    }
    text
}

fn figures(out: &mut String, report: &Report) {
    let counts = &report.counts;
    line(out, "");
    line(
        out,
        &format!(
            "{} operations: sends {}/{}/{}, polls {}/{}/{}, transactions {}/{}/{} (ok/fail/info)",
            words::count(report.operations),
            counts.sends.ok,
            counts.sends.fail,
            counts.sends.info,
            counts.polls.ok,
            counts.polls.fail,
            counts.polls.info,
            counts.txns.ok,
            counts.txns.fail,
            counts.txns.info,
        ),
    );
    line(
        out,
        &format!(
            "{} acknowledged, {} of them read, {} not; final read {}",
            words::counted(counts.acknowledged, "record", "records"),
            words::count(counts.acknowledged_read),
            words::count(counts.unseen),
            report.coverage.final_read,
        ),
    );
    if let Some(confidence) = &report.confidence {
        line(out, &words::capital(&confidence.statement));
    }
    if let Some(calibration) = &report.calibration {
        line(out, &words::capital(&calibration.statement));
    }
}
