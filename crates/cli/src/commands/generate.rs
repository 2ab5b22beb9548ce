//! `perjury generate`: simulated histories whose truth is known.

use crate::commands::convert::Form;
use crate::exit::usage;
use anyhow::{Context, Result};
use perjury_history::SubVia;
use perjury_sim::{Defect, Mix, Options, Truth};
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
    #[command(flatten)]
    load: Load,
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

/// What differs from the shape. Rates are probabilities for each operation.
#[derive(clap::Args)]
struct Load {
    /// How many clients work at the same time.
    #[arg(long)]
    concurrency: Option<u32>,
    /// How many topic-partitions are in use at the same time.
    #[arg(long)]
    keys: Option<u32>,
    /// Operations of unknown outcome, from 0 to 1.
    #[arg(long, value_parser = rate)]
    info_rate: Option<f64>,
    /// Operations that fail, from 0 to 1.
    #[arg(long, value_parser = rate)]
    fail_rate: Option<f64>,
    /// Operations whose client crashes before they complete, from 0 to 1.
    #[arg(long, value_parser = rate)]
    crash_rate: Option<f64>,
    /// Whether operations are transactions that mix sends and polls.
    #[arg(long)]
    transactions: Option<bool>,
    /// How consumers come by their topic-partitions: assign, or subscribe in a group.
    #[arg(long)]
    sub_via: Option<SubVia>,
    /// How many leader kills are spread over the run.
    #[arg(long)]
    faults: Option<u32>,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if (0.0..=1.0).contains(&rate) { Ok(rate) } else { Err("a rate is from 0 to 1".into()) }
}

impl Load {
    fn apply(&self, base: Options) -> Options {
        let transactional = self.transactions.unwrap_or(base.transactional);
        let (mix, mops_max) = match (transactional, base.transactional) {
            (true, false) => (Mix { txn: 1.0, ..base.mix }, base.mops_max.max(4)),
            (false, true) => (Mix { txn: 0.0, ..base.mix }, 1),
            _ => (base.mix, base.mops_max),
        };
        Options {
            processes: self.concurrency.unwrap_or(base.processes),
            keys: self.keys.unwrap_or(base.keys),
            info_rate: self.info_rate.unwrap_or(base.info_rate),
            fail_rate: self.fail_rate.unwrap_or(base.fail_rate),
            lost_rate: self.crash_rate.unwrap_or(base.lost_rate),
            sub_via: self.sub_via.unwrap_or(base.sub_via),
            faults: self.faults.unwrap_or(base.faults),
            transactional,
            mix,
            mops_max,
            ..base
        }
    }
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
    let base = args.load.apply(base);
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
