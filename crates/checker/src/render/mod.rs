//! A report for people and for tools: terminal text, Markdown and Jira markup for tickets, JUnit XML, SARIF, annotations
//! of GitHub, commands for kcat.
//!
//! All but [`explain()`], which quotes the history, work on the report alone: one that was read back from a store renders to
//! the same bytes. Text that came from a cluster or a history is escaped where the format asks for it.

mod explain;
mod github;
mod jira;
mod junit;
mod kcat;
mod markdown;
mod origin;
mod sarif;
mod text;
mod ticket;

pub use explain::explain;
pub use github::annotations;
pub use jira::jira;
pub use junit::{junit, junit_from};
pub use kcat::kcat;
pub use markdown::{markdown, markdown_from};
pub use origin::Origin;
pub use sarif::{sarif, sarif_from};
pub use text::text;

use crate::report::{Anomaly, Judgement, Report};

/// The anomalies, violations first, then by number of cases, then by name.
fn ranked(report: &Report) -> Vec<(&str, &Anomaly)> {
    let mut all: Vec<(&str, &Anomaly)> =
        report.anomalies.iter().map(|(name, a)| (name.as_str(), a)).collect();
    let worst = |name: &str| crate::anomalies::all().position(|e| e.name == name);
    all.sort_by_key(|(name, a)| (a.judgement, worst(name).unwrap_or(usize::MAX)));
    all
}

/// How a judgement is said to a reader.
fn judged(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Violation => "violation",
        Judgement::Allowed => "allowed here",
        Judgement::Unspecified => "unspecified",
    }
}

/// Control characters taken out, so that no text from outside can move a cursor or break a line.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
