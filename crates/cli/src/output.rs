//! How reports are printed.

use anyhow::Result;
use perjury_checker::{Report, render};
use serde_json::Value;
use std::io::Write;
use std::path::Path;

/// The forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// One object with the schema `perjury.report/1`, plus `path` and `timings`.
    Json,
    /// For a ticket, at most 60 lines.
    Markdown,
    /// JUnit XML: one case an analysis.
    Junit,
    /// SARIF.
    Sarif,
}

/// Prints a report to stdout.
pub(crate) fn print(output: Output, report: &Report, path: &Path, timings: Value) -> Result<()> {
    let text = match output {
        Output::Text => render::text(report),
        Output::Markdown => render::markdown(report),
        Output::Junit => render::junit(report),
        Output::Sarif => render::sarif(report),
        Output::Json => {
            let mut value = serde_json::to_value(report)?;
            value["path"] = path.display().to_string().into();
            value["timings"] = timings;
            serde_json::to_string_pretty(&value)?
        }
    };
    write(&text)
}

/// Writes a text to stdout. A closed pipe is not an error: the reader has seen enough.
pub(crate) fn write(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{}", text.trim_end()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
