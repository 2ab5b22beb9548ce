//! `perjury shrink`: the few operations of an invalid history that show why.

use crate::commands::check::{self, Judging};
use crate::exit::usage;
use crate::output;
use anyhow::{Context, Result};
use perjury_checker::{Options, Progress, Shrunk, check as judge, render, shrink};
use perjury_history::formats::Format;
use perjury_history::{History, jsonl};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Arguments of `perjury shrink`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A history, a run directory (or a link to one, such as store/latest), a Jepsen store directory, or - for stdin.
    path: PathBuf,
    /// The anomaly to keep; the worst violation when absent.
    #[arg(long)]
    anomaly: Option<String>,
    /// Where to write the small history; without it, it is a part of the output.
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: Option<PathBuf>,
    /// How to print what was done.
    #[arg(long, default_value = "text")]
    output: Form,
    /// The format; recognised from the content when absent.
    #[arg(long)]
    format: Option<Format>,
    #[command(flatten)]
    judging: Judging,
}

/// The forms of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// The story of the small history, and without --out the history itself.
    Text,
    /// One object.
    Json,
}

const QUIET_FOR: Duration = Duration::from_secs(2);

pub(crate) fn run(args: &Args, quiet: bool) -> Result<ExitCode> {
    let options = args.judging.options()?;
    let (history, path) = check::read(&args.path, args.format)?;
    let began = Instant::now();
    let deadline = began + args.judging.search_time;
    let mut said = began;
    let mut go_on = |progress: Progress| {
        let now = Instant::now();
        if !quiet && now - said >= QUIET_FOR {
            said = now;
            eprintln!("{} left after {} checks", progress.left, progress.checks);
        }
        now < deadline
    };
    let small = shrink(&history, &options, args.anomaly.as_deref(), &mut go_on);
    let mut small = small.map_err(|e| usage(format!("{}: {e}", path.display())))?;
    if let Some(Value::Object(note)) = small.history.header.other.get_mut("shrunk_from") {
        note.insert("path".into(), path.display().to_string().into());
    }
    if let Some(out) = &args.out {
        save(&small.history, out)?;
    }
    let text = match args.output {
        Form::Text => text(&small, &history, &options, args.out.as_deref())?,
        Form::Json => json(&small, &history, args.out.as_deref())?,
    };
    output::write(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the history whole or not at all.
fn save(history: &History, out: &Path) -> Result<()> {
    let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = || format!("cannot write {}", out.display());
    let mut beside = tempfile::NamedTempFile::new_in(folder).with_context(cannot)?;
    jsonl::write(history, std::io::BufWriter::new(beside.as_file_mut())).with_context(cannot)?;
    beside.as_file().sync_all().with_context(cannot)?;
    beside.persist(out).with_context(cannot)?;
    Ok(())
}

fn summary(small: &Shrunk, whole: &History) -> String {
    let how = match small.minimal {
        true => "none of them can be left out",
        false => "the time was up before it was certain that none of them can be left out",
    };
    format!(
        "{} of {} operations show {}; {how} ({} checks).",
        small.operations,
        whole.operations(),
        small.anomaly,
        small.checks
    )
}

fn text(small: &Shrunk, whole: &History, options: &Options, out: Option<&Path>) -> Result<String> {
    let report = judge(&small.history, options);
    let mut text = format!("{}\n\n", summary(small, whole));
    text.push_str(&render::explain(&report, &small.history));
    match out {
        Some(out) => text.push_str(&format!("\nThe small history is in {}.\n", out.display())),
        None => text.push_str(&format!("\n{}", rows(&small.history)?)),
    }
    Ok(text)
}

fn rows(history: &History) -> Result<String> {
    let mut bytes = Vec::new();
    jsonl::write(history, &mut bytes)?;
    Ok(String::from_utf8(bytes)?)
}

fn json(small: &Shrunk, whole: &History, out: Option<&Path>) -> Result<String> {
    let lines = rows(&small.history)?;
    let lines: Result<Vec<Value>, _> = lines.lines().map(serde_json::from_str).collect();
    let value = json!({
        "schema": "perjury.shrunk/1",
        "anomaly": small.anomaly,
        "minimal": small.minimal,
        "operations": small.operations,
        "operations_before": whole.operations(),
        "rows": small.rows,
        "checks": small.checks,
        "out": out.map(|p| p.display().to_string()),
        "history": if out.is_none() { Value::Array(lines?) } else { Value::Null },
    });
    Ok(serde_json::to_string_pretty(&value)?)
}
