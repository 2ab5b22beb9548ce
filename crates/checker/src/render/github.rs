//! The report as annotations of a GitHub Actions workflow.

use super::{plain, ranked};
use crate::report::{Judgement, Report};
use crate::words;
use std::fmt::Write;

/// One workflow command for each anomaly and for each reason of an unknown verdict: violations are errors, what nothing is
/// promised about and what is not known are warnings, what is allowed is a notice.
pub fn annotations(report: &Report) -> String {
    let mut out = String::new();
    for (name, anomaly) in ranked(report) {
        let level = match anomaly.judgement {
            Judgement::Violation => "error",
            Judgement::Unspecified => "warning",
            Judgement::Allowed => "notice",
        };
        let sentence =
            anomaly.examples.first().map_or(anomaly.title.as_str(), |e| e.sentence.as_str());
        let title = property(&format!("{name} × {}", words::count(anomaly.count)));
        let _ = writeln!(out, "::{level} title={title}::{}", message(sentence));
    }
    for reason in &report.reason_details {
        let title = property(&format!("unknown: {}", reason.code));
        let _ = writeln!(out, "::warning title={title}::{}", message(&reason.message));
    }
    if out.is_empty() {
        let _ = writeln!(out, "::notice title=perjury::{}", message(&report.headline));
    }
    out
}

/// The text of a command: a line break would end it.
fn message(text: &str) -> String {
    plain(text).replace('%', "%25")
}

/// A property of a command: a comma or colon would end it.
fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_no_command() {
        assert_eq!(message("a\n::set-output name=x::y 5%"), "a ::set-output name=x::y 5%25");
        assert_eq!(property("a,b:c"), "a%2Cb%3Ac");
    }
}
