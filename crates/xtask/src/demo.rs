//! `cargo xtask demo`: builds everything, then `perjury demo`.

use crate::process::{cargo, sh, target};
use crate::web;
use anyhow::Result;

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

/// Builds the pages and the release binary, and runs its demo.
pub(crate) fn run(args: &Args) -> Result<()> {
    println!(
        "building the pages (npm, Vite) and the release binary (cargo); the first time takes some minutes"
    );
    web::build()?;
    sh(&cargo(), &["build", "--release", "--package", "perjury"])?;
    let binary = target("release").join("perjury");
    let seed = args.seed.to_string();
    let mut words = vec!["demo", "--store", "store", "--seed", &seed, "--bind", &args.bind];
    if args.no_serve {
        words.push("--no-serve");
    }
    sh(&binary.to_string_lossy(), &words)
}
