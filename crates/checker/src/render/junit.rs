//! The report for continuous integration: one test suite, one test case for each analysis.
//!
//! The suite is the campaign, a case is a check. A violation is a *failure*. What is not known is *skipped* with the reason,
//! and if nothing failed the case `coverage` says so: tools show it, and the exit code of the command decides. Where the
//! harness itself failed, `coverage` is an *error*: nothing was tested.

use super::origin::Origin;
use super::plain;
use crate::report::{Judgement, Report, Verdict};
use std::fmt::Write;

/// Reasons that lie in the harness, not in what was tested.
const HARNESS: [&str; 5] =
    ["client-error", "cluster-did-not-form", "interrupted", "recorder-error", "topic-not-created"];

/// The report as JUnit XML.
pub fn junit(report: &Report) -> String {
    junit_from(report, &Origin::default())
}

/// The same with what is known of the run: suite, seed, versions, evidence.
pub fn junit_from(report: &Report, origin: &Origin) -> String {
    let failed = |name: &str| {
        let mut found =
            report.anomalies.iter().filter(|(_, a)| a.judgement == Judgement::Violation);
        found.any(|(anomaly, a)| anomaly == name || a.analysis == name)
    };
    let failures = report.analyses.keys().filter(|name| failed(name)).count();
    let unknown = report.analyses.values().filter(|v| **v == Verdict::Unknown).count();
    let errors = usize::from(harness_failed(report));
    let skipped = unknown + usize::from(!report.reasons.is_empty()) - errors;
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\">",
        escape(origin.suite.as_deref().unwrap_or("perjury")),
        report.analyses.len() + 1,
    );
    properties(&mut out, report, origin);
    for (name, verdict) in &report.analyses {
        case(&mut out, report, name, *verdict);
    }
    coverage(&mut out, report);
    out.push_str("</testsuite>\n");
    out
}

fn properties(out: &mut String, report: &Report, origin: &Origin) {
    let mut all = vec![
        ("verdict".to_owned(), report.verdict.to_string()),
        ("contract".to_owned(), report.contract.name.clone()),
        ("operations".to_owned(), report.operations.to_string()),
    ];
    let told = [
        ("run", origin.run.clone()),
        ("cluster", origin.cluster.clone()),
        ("seed", origin.seed.map(|seed| seed.to_string())),
        ("bundle", origin.bundle.clone()),
    ];
    all.extend(told.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    all.extend(origin.versions.iter().map(|(n, v)| (format!("version.{n}"), v.clone())));
    out.push_str("  <properties>");
    for (name, value) in all {
        let _ = write!(out, "<property name=\"{}\" value=\"{}\"/>", escape(&name), escape(&value));
    }
    out.push_str("</properties>\n");
}

/// Whether the run failed before it could test anything to its end.
fn harness_failed(report: &Report) -> bool {
    report.reasons.iter().any(|reason| HARNESS.contains(&reason.as_str()))
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
                "{head}><skipped message=\"inconclusive: the analysis gave no answer\"/></testcase>"
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
    let why = escape(&why.join(" "));
    let _ = if harness_failed(report) {
        let kind = escape(&report.reasons.join(" "));
        writeln!(out, "{head}><error type=\"{kind}\" message=\"{why}\"/></testcase>")
    } else {
        writeln!(out, "{head}><skipped message=\"inconclusive: {why}\"/></testcase>")
    };
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
