//! `perjury generate`: simulated histories whose truth is known.

use crate::commands::convert::Form;
use crate::exit::usage;
use anyhow::{Context, Result};
use perjury_sim::{Defect, Options, Truth};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `perjury generate`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many operations, about.
    #[arg(long, default_value_t = 1000)]
    operations: u64,
    /// Every random choice follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A defect to inject; may be repeated. `--list-defects` names them.
    #[arg(long)]
    defect: Vec<String>,
    /// The shape: native (a run of ours), jepsen (transactions, integer keys), sized (long final reads).
    #[arg(long, default_value = "native")]
    shape: Shape,
    /// The form of the history.
    #[arg(long, default_value = "jsonl")]
    format: Form,
    /// Where to write it; stdout when absent.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Where to write what was injected, and the anomalies that a check must and may find, as JSON.
    #[arg(long)]
    truth: Option<PathBuf>,
    /// List the defects with the anomalies that show each, and end.
    #[arg(long)]
    list_defects: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shape {
    Native,
    Jepsen,
    Sized,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.list_defects {
        for defect in Defect::ALL {
            let names: Vec<&str> = defect.must().iter().chain(defect.ours()).copied().collect();
            println!("{defect}\t{}", names.join(", "));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let base = match args.shape {
        Shape::Native => Options { operations: args.operations, ..Options::seeded(args.seed) },
        Shape::Jepsen => Options { operations: args.operations, ..Options::jepsen(args.seed) },
        Shape::Sized => Options::sized(args.operations, args.seed),
    };
    let defects = args.defect.iter().map(|name| name.parse::<Defect>()).collect::<Result<_, _>>();
    let defects =
        defects.map_err(|e| usage(format!("--defect: {e}; --list-defects names them")))?;
    let (history, truth) = perjury_sim::generate(&Options { defects, ..base });
    let out: Box<dyn Write + Send> = match &args.out {
        Some(path) => Box::new(BufWriter::new(
            File::create(path)
                .map_err(|e| usage(format!("cannot write {}: {e}", path.display())))?,
        )),
        None => Box::new(BufWriter::new(std::io::stdout())),
    };
    match args.format.write(&history, out) {
        // The reader of a pipe has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        other => other.context("cannot write the history")?,
    }
    if let Some(path) = &args.truth {
        let text = serde_json::to_string_pretty(&described(&truth))?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn described(truth: &Truth) -> serde_json::Value {
    serde_json::json!({ "must": truth.must, "may": truth.may })
}
