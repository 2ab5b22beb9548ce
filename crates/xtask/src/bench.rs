//! `cargo xtask bench`: throughput and peak memory of reading and checking, by size and form of the history; how long
//! the list of runs takes; what recording costs; whether memory grows.

use crate::process::{cargo, command, run as step};
use crate::soak;
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
    /// Instead: what recording costs, in sends a second against librdkafka alone, on this cluster.
    #[arg(long, value_name = "CLUSTER", num_args = 0..=1, default_missing_value = "testbed", conflicts_with_all = ["sizes", "quick", "index"])]
    recorder: Option<String>,
    /// Instead: whether the memory of a run grows over so many minutes.
    #[arg(long, value_name = "MINUTES", num_args = 0..=1, default_missing_value = "10", value_parser = clap::value_parser!(u32).range(2..), conflicts_with_all = ["sizes", "quick", "index", "recorder"])]
    soak: Option<u32>,
}

/// Builds the benchmark with optimisations and prints its table.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(runs) = args.index {
        return measure("perjury-server", "list", &[runs.to_string()]);
    }
    if let Some(cluster) = &args.recorder {
        return measure("perjury", "recorder", std::slice::from_ref(cluster));
    }
    if let Some(minutes) = args.soak {
        return soak::run(minutes);
    }
    let sizes = match (args.quick, args.sizes.as_slice()) {
        (true, _) => vec![10_000, 100_000],
        (false, []) => vec![10_000, 100_000, 1_000_000, 10_000_000],
        (false, sizes) => sizes.to_vec(),
    };
    let sizes: Vec<String> = sizes.iter().map(u64::to_string).collect();
    measure("perjury-checker", "scale", &sizes)
}

fn measure(package: &str, name: &str, args: &[String]) -> Result<()> {
    let mut bench =
        command(&cargo(), &["bench", "--quiet", "--package", package, "--bench", name, "--"]);
    step(bench.args(args))
}
