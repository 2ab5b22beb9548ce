//! The report for a ticket: at most 60 lines, readable without attachments.

use super::{judged, plain, ranked};
use crate::report::Report;
use crate::words;

/// A ticket's summary stays on one screen.
const LINES_MAX: usize = 60;
const EXAMPLES_MAX: usize = 3;
const ANOMALIES_MAX: usize = 6;

/// The report as Markdown, at most 60 lines, ending with a newline.
pub fn markdown(report: &Report) -> String {
    let mut lines = vec![format!("## {}", escape(&report.headline)), String::new()];
    for (i, sentence) in report.story.iter().enumerate() {
        lines.push(format!("{}. {}", i + 1, escape(&sentence.text)));
    }
    anomalies(report, &mut lines);
    table(report, &mut lines);
    if !report.reasons.is_empty() {
        lines.push(String::new());
        lines.push(format!("**Not known:** {}", report.reasons.join(", ")));
    }
    lines.truncate(LINES_MAX);
    let mut out = lines.join("\n");
    out.push('\n');
    out
}

fn anomalies(report: &Report, lines: &mut Vec<String>) {
    let all = ranked(report);
    if all.is_empty() {
        return;
    }
    lines.push(String::new());
    for (name, anomaly) in all.iter().take(ANOMALIES_MAX) {
        lines.push(format!(
            "- **{name}** × {} ({}): {}",
            words::count(anomaly.count),
            judged(anomaly.judgement),
            anomaly.title
        ));
        for example in anomaly.examples.iter().take(EXAMPLES_MAX) {
            lines.push(format!("  - {}", escape(&example.sentence)));
        }
    }
    if all.len() > ANOMALIES_MAX {
        let more: Vec<&str> = all[ANOMALIES_MAX..].iter().map(|(name, _)| *name).collect();
        lines.push(format!("- also {}", words::list(&more)));
    }
}

fn table(report: &Report, lines: &mut Vec<String>) {
    let (counts, coverage) = (&report.counts, &report.coverage);
    let rows = [
        ("verdict", report.verdict.to_string()),
        ("operations", words::count(report.operations)),
        ("acknowledged records", words::count(counts.acknowledged)),
        ("not read by anybody", words::count(counts.unseen)),
        (
            "faults witnessed",
            format!("{} of {}", coverage.faults_witnessed, coverage.faults_injected),
        ),
        ("leader kills", words::count(coverage.leader_kills)),
        ("final read", coverage.final_read.clone()),
        ("contract", report.contract.name.clone()),
    ];
    lines.extend([String::new(), "| | |".to_owned(), "|---|---|".to_owned()]);
    lines.extend(rows.iter().map(|(name, value)| format!("| {name} | {} |", escape(value))));
}

/// Escapes what Markdown or HTML would read as markup.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn text_from_outside_is_no_markup() {
        assert_eq!(escape("<b>|x_y\n"), "&lt;b&gt;\\|x\\_y ");
    }
}
