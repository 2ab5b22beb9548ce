//! `cargo xtask bench`: throughput and peak memory of checking, by size of history.

use crate::process::{cargo, command, run as step};
use anyhow::Result;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Sizes in operations; 10 thousand, 100 thousand and a million when absent.
    sizes: Vec<String>,
}

/// Builds the benchmark with optimisations and prints its table.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut bench = command(
        &cargo(),
        &["bench", "--quiet", "--package", "perjury-checker", "--bench", "scale", "--"],
    );
    step(bench.args(&args.sizes))
}
