//! `perjury convert`: the same history in another form.

use crate::commands::check;
use crate::exit::usage;
use anyhow::{Context, Result};
use perjury_history::{Format, History, edn, jsonl, parquet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `perjury convert`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A history, a run directory, a Jepsen store directory, or - for stdin.
    from: PathBuf,
    /// Where to write it, or - for stdout.
    into: PathBuf,
    /// The format that is read; recognised from the content when absent.
    #[arg(long)]
    format: Option<Format>,
    /// The form that is written; follows from the name's ending when absent.
    #[arg(long)]
    to: Option<Form>,
}

/// The forms in which histories are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// Our own JSONL. Nothing is lost.
    Jsonl,
    /// Jepsen's history.edn; the header stands in a comment.
    JepsenEdn,
    /// The Parquet twin of our own form. Nothing is lost.
    Parquet,
}

impl Form {
    /// The form that a file of this name has.
    fn of(path: &Path) -> Option<Form> {
        match path.extension()?.to_str()? {
            "jsonl" | "ndjson" => Some(Form::Jsonl),
            "edn" => Some(Form::JepsenEdn),
            "parquet" => Some(Form::Parquet),
            _ => None,
        }
    }

    /// Writes a history in this form.
    pub(crate) fn write(self, history: &History, mut out: impl Write + Send) -> io::Result<()> {
        match self {
            Form::Jsonl => jsonl::write(history, &mut out)?,
            Form::JepsenEdn => edn::write_edn(history, &mut out)?,
            Form::Parquet => parquet::write(history, &mut out)?,
        }
        out.flush()
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let to = args.to.or_else(|| Form::of(&args.into)).ok_or_else(|| {
        usage(format!(
            "the name {} does not say which form to write: give --to jsonl, jepsen-edn or parquet",
            args.into.display()
        ))
    })?;
    let (history, from) = check::read(&args.from, args.format)?;
    write(&history, to, (args.into != Path::new("-")).then_some(&args.into), &from)?;
    Ok(ExitCode::SUCCESS)
}

fn write(history: &History, to: Form, into: Option<&PathBuf>, from: &Path) -> Result<()> {
    let Some(into) = into else {
        return match to.write(history, BufWriter::new(io::stdout())) {
            // The reader of a pipe has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.context("cannot write the history"),
        };
    };
    let same = |a: &Path, b: &Path| a.canonicalize().ok().zip(b.canonicalize().ok());
    if same(from, into).is_some_and(|(a, b)| a == b) {
        return Err(usage(format!("{} would overwrite itself: name another file", from.display())));
    }
    let file =
        File::create(into).map_err(|e| usage(format!("cannot write {}: {e}", into.display())))?;
    let written = to.write(history, BufWriter::with_capacity(1 << 20, file));
    if written.is_err() {
        // Half a history would be taken for a whole one.
        let _ = std::fs::remove_file(into);
    }
    written.with_context(|| format!("cannot write {}", into.display()))
}
