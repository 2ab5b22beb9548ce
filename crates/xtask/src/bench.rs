//! `cargo xtask bench`: throughput and peak memory of reading and checking, by size and form of the history.

use crate::process::{cargo, command, run as step};
use anyhow::Result;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Sizes in operations; 10 thousand to 10 million when absent. The largest writes about 6 GiB below the temporary
    /// directory and removes them.
    sizes: Vec<u64>,
    /// Up to 100 thousand operations only.
    #[arg(long, conflicts_with = "sizes")]
    quick: bool,
}

/// Builds the benchmark with optimisations and prints its table.
pub(crate) fn run(args: &Args) -> Result<()> {
    let sizes = match (args.quick, args.sizes.as_slice()) {
        (true, _) => vec![10_000, 100_000],
        (false, []) => vec![10_000, 100_000, 1_000_000, 10_000_000],
        (false, sizes) => sizes.to_vec(),
    };
    let mut bench = command(
        &cargo(),
        &["bench", "--quiet", "--package", "perjury-checker", "--bench", "scale", "--"],
    );
    step(bench.args(sizes.iter().map(u64::to_string)))
}
