//! How reports are printed.

use anyhow::{Context, Result};
use perjury_checker::render::Origin;
use perjury_checker::{Report, render};
use perjury_history::jsonl::{self, ReadOptions};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Write};
use std::path::Path;

/// The forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// One object with the schema `perjury.report/1`, plus `path` and `timings`.
    Json,
    /// For a ticket of GitHub or Gitea, at most 60 lines.
    Markdown,
    /// The same in Jira's wiki markup.
    Jira,
    /// JUnit XML: one case an analysis.
    Junit,
    /// SARIF.
    Sarif,
    /// For GitHub Actions: annotations, and the Markdown in the step summary.
    Github,
}

/// Prints a report to stdout.
pub(crate) fn print(output: Output, report: &Report, path: &Path, timings: Value) -> Result<()> {
    let text = match output {
        Output::Text => render::text(report),
        Output::Markdown => render::markdown_from(report, &origin(path)),
        Output::Jira => render::jira(report, &origin(path)),
        Output::Junit => render::junit_from(report, &origin(path)),
        Output::Sarif => render::sarif_from(report, &origin(path)),
        Output::Github => {
            summarise(&render::markdown_from(report, &origin(path)))?;
            render::annotations(report)
        }
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

/// What the history at this path says of its run; nothing for one from elsewhere.
fn origin(path: &Path) -> Origin {
    let header = File::open(path).ok().and_then(|file| {
        let name = path.display().to_string();
        jsonl::read_header(BufReader::new(file), &name, &ReadOptions::default()).ok()
    });
    let Some(header) = header else { return Origin::default() };
    let folder = path.canonicalize().ok().and_then(|p| Some(p.parent()?.to_owned()));
    let part = |p: Option<&Path>| p?.file_name()?.to_str().map(str::to_owned);
    let run = part(folder.as_deref().and_then(Path::parent)).zip(part(folder.as_deref()));
    // Only a history inside a store belongs to a run.
    let run = run.filter(|_| path.file_name().is_some_and(|name| name == "history.jsonl"));
    Origin { run: run.map(|(name, time)| format!("{name}/{time}")), ..Origin::of(&header) }
}

/// Appends to the step summary of GitHub Actions, which names its file in the environment; elsewhere there is none.
fn summarise(markdown: &str) -> Result<()> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|p| !p.is_empty()) else {
        return Ok(());
    };
    let path = Path::new(&path);
    let cannot = || format!("cannot append to the step summary {}", path.display());
    let mut file = OpenOptions::new().append(true).create(true).open(path).with_context(cannot)?;
    file.write_all(markdown.as_bytes()).with_context(cannot)
}

/// Tells people on stderr what goes on. Whoever read it may be gone, such as a service that was killed: the run that
/// talks to it still has to end its cluster and to judge what it recorded, so that nothing follows from a failure here.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
