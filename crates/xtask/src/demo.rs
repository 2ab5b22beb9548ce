//! `cargo xtask demo`: the main job on the embedded cluster, then the reports in the browser.

use crate::process::{cargo, code, command, sh, target};
use crate::web;
use anyhow::{Result, bail};
use std::path::Path;

/// What the demo may be told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// End after both runs instead of serving them.
    #[arg(long)]
    no_serve: bool,
    /// The seed of both runs.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Where the server listens.
    #[arg(long, default_value = "127.0.0.1:8080")]
    bind: String,
}

/// One run of the demo; gives its exit code.
fn campaign(binary: &Path, name: &str, seed: u64, bug: Option<&str>) -> Result<i32> {
    let seed = seed.to_string();
    let mut args = vec![
        "run",
        "--cluster",
        "testbed",
        "--workload",
        "queue",
        "--nemesis",
        "kill",
        "--target",
        "leader",
        "--time-limit",
        "60s",
        "--rate",
        "1600",
        "--concurrency",
        "32",
        "--seed",
        &seed,
        "--store",
        "store",
        "--name",
        name,
    ];
    if let Some(bug) = bug {
        args.extend(["--bug", bug]);
    }
    code(&mut command(&binary.to_string_lossy(), &args))
}

/// Builds everything, runs both and serves the store.
pub(crate) fn run(args: &Args) -> Result<()> {
    println!(
        "building the pages (npm, Vite) and the release binary (cargo); the first time takes some minutes"
    );
    web::build()?;
    sh(&cargo(), &["build", "--release", "--package", "perjury"])?;
    let binary = target("release").join("perjury");

    println!(
        "\n1 of 2: a correct cluster of three nodes; its leaders are killed while clients write"
    );
    let correct = campaign(&binary, "demo-correct", args.seed, None)?;
    println!("\n2 of 2: the same seed on a cluster that acknowledges before it replicates");
    let broken = campaign(
        &binary,
        "demo-ack-before-replication",
        args.seed,
        Some("ack-before-replication"),
    )?;
    println!(
        "\nthe correct cluster: exit code {correct} (0 is valid); ack-before-replication: exit code {broken} (1 is invalid)"
    );
    if (correct, broken) != (0, 1) {
        bail!("the demo expects exit codes 0 and 1: read the reports above");
    }
    if args.no_serve {
        println!("look at both with: {} serve --store store", binary.display());
        return Ok(());
    }
    sh(&binary.to_string_lossy(), &["serve", "--store", "store", "--bind", &args.bind])
}
