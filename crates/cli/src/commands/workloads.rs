//! `perjury workloads`: what clients can do, and what each workload can find.

use crate::output::write;
use anyhow::Result;
use perjury_worker::workloads::Workload;
use std::fmt::Write as _;
use std::process::ExitCode;

/// The form of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// An array of objects.
    Json,
}

/// Lists the workloads: what their clients do, what they need, what they can find.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The form of the list.
    #[arg(short = 'o', long, value_enum, default_value = "text")]
    output: Form,
}

/// Prints the list.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let all = Workload::ALL.map(Workload::describe);
    let text = match args.output {
        Form::Json => serde_json::to_string_pretty(&all)?,
        Form::Text => {
            let mut text = String::new();
            for workload in all {
                writeln!(text, "{}", workload.name)?;
                writeln!(text, "    does   {}", workload.what)?;
                writeln!(text, "    needs  {}", workload.needs)?;
                writeln!(text, "    finds  {}", workload.finds.join(", "))?;
                let least: Vec<String> = workload
                    .coverage_min
                    .iter()
                    .map(|(what, least)| format!("{least} operations \"{what}\""))
                    .collect();
                if !least.is_empty() {
                    writeln!(text, "    counts from {}", least.join(", "))?;
                }
                writeln!(text)?;
            }
            text
        }
    };
    write(&text)?;
    Ok(ExitCode::SUCCESS)
}
