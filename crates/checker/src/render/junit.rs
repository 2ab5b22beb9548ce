//! The report for continuous integration: one test suite, one test case for each analysis.
//!
//! A violation is a *failure*. What is not known is *skipped* with the reason, and if nothing failed the case `coverage`
//! says so: tools show it, and the exit code of the command decides.

use super::plain;
use crate::report::{Judgement, Report, Verdict};
use std::fmt::Write;

/// The report as JUnit XML.
pub fn junit(report: &Report) -> String {
    let failed = |name: &str| {
        let mut found =
            report.anomalies.iter().filter(|(_, a)| a.judgement == Judgement::Violation);
        found.any(|(anomaly, a)| anomaly == name || a.analysis == name)
    };
    let failures = report.analyses.keys().filter(|name| failed(name)).count();
    let unknown = report.analyses.values().filter(|v| **v == Verdict::Unknown).count();
    let skipped = unknown + usize::from(!report.reasons.is_empty());
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuite name=\"perjury\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\">",
        report.analyses.len() + 1,
    );
    let _ = writeln!(
        out,
        "  <properties><property name=\"verdict\" value=\"{}\"/><property name=\"contract\" \
         value=\"{}\"/><property name=\"operations\" value=\"{}\"/></properties>",
        report.verdict,
        escape(&report.contract.name),
        report.operations
    );
    for (name, verdict) in &report.analyses {
        case(&mut out, report, name, *verdict);
    }
    coverage(&mut out, report);
    out.push_str("</testsuite>\n");
    out
}

fn case(out: &mut String, report: &Report, name: &str, verdict: Verdict) {
    let head =
        format!("  <testcase classname=\"{}\" name=\"{}\"", escape(&report.model), escape(name));
    match verdict {
        Verdict::Valid => {
            let _ = writeln!(out, "{head}/>");
        }
        Verdict::Unknown => {
            let _ = writeln!(
                out,
                "{head}><skipped message=\"unknown: the analysis gave no answer\"/></testcase>"
            );
        }
        Verdict::Invalid => {
            let _ = writeln!(out, "{head}>");
            let mine = report.anomalies.iter().filter(|(anomaly, a)| {
                (*anomaly == name || a.analysis == name) && a.judgement == Judgement::Violation
            });
            for (anomaly, found) in mine {
                let sentences: Vec<&str> =
                    found.examples.iter().take(8).map(|e| e.sentence.as_str()).collect();
                let _ = writeln!(
                    out,
                    "    <failure type=\"{}\" message=\"{} × {}\">{}\n{}</failure>",
                    escape(anomaly),
                    escape(&found.title),
                    found.count,
                    escape(&sentences.join(" | ")),
                    escape(&found.rule),
                );
            }
            out.push_str("  </testcase>\n");
        }
    }
}

fn coverage(out: &mut String, report: &Report) {
    let head = format!("  <testcase classname=\"{}\" name=\"coverage\"", escape(&report.model));
    if report.reasons.is_empty() {
        let _ = writeln!(out, "{head}/>");
        return;
    }
    let why: Vec<&str> = report.reason_details.iter().map(|r| r.message.as_str()).collect();
    let _ = writeln!(
        out,
        "{head}><skipped message=\"unknown: {}\"/></testcase>",
        escape(&why.join(" "))
    );
}

/// Escapes text for an XML attribute or element.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // XML 1.0 has no way to write these two.
            '\u{FFFE}' | '\u{FFFF}' => out.push('\u{FFFD}'),
            other => out.push(other),
        }
    }
    out
}
