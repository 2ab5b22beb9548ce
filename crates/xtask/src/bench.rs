//! `cargo xtask bench`: throughput and peak memory of checking, by size of history; and how long the list of runs takes.

use crate::process::{cargo, command, run as step};
use anyhow::Result;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Sizes in operations; 10 thousand, 100 thousand and a million when absent. Or `index`, and how many runs the store
    /// has; ten thousand when absent.
    sizes: Vec<String>,
}

/// Builds the benchmark with optimisations and prints its table.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (package, name, rest) = match args.sizes.split_first() {
        Some((first, rest)) if first == "index" => ("perjury-server", "list", rest),
        _ => ("perjury-checker", "scale", args.sizes.as_slice()),
    };
    let mut bench =
        command(&cargo(), &["bench", "--quiet", "--package", package, "--bench", name, "--"]);
    step(bench.args(rest))
}
