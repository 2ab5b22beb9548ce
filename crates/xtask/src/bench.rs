//! `cargo xtask bench`: throughput and peak memory of reading and checking, by size and form of the history; and how long
//! the list of runs takes.

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
    /// Instead: how long the list of runs takes over a store of so many.
    #[arg(long, value_name = "RUNS", num_args = 0..=1, default_missing_value = "10000", conflicts_with_all = ["sizes", "quick"])]
    index: Option<u64>,
}

/// Builds the benchmark with optimisations and prints its table.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(runs) = args.index {
        return measure("perjury-server", "list", &[runs]);
    }
    let sizes = match (args.quick, args.sizes.as_slice()) {
        (true, _) => vec![10_000, 100_000],
        (false, []) => vec![10_000, 100_000, 1_000_000, 10_000_000],
        (false, sizes) => sizes.to_vec(),
    };
    measure("perjury-checker", "scale", &sizes)
}

fn measure(package: &str, name: &str, numbers: &[u64]) -> Result<()> {
    let mut bench =
        command(&cargo(), &["bench", "--quiet", "--package", package, "--bench", name, "--"]);
    step(bench.args(numbers.iter().map(u64::to_string)))
}
