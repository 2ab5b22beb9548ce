//! `cargo xtask mutants`: with any one rule removed or changed, tests go red.

use crate::process::{cargo, command, exists_as, run as step};
use anyhow::Result;

/// How deep to look.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Change the source of every rule with cargo-mutants as well, which takes an hour or two; it is installed if absent.
    #[arg(long)]
    deep: bool,
    /// With --deep: only files below crates/checker/src that match this glob.
    #[arg(long, default_value = "anomalies/*.rs")]
    file: String,
}

/// Leaves out each rule of the catalogue in turn; with `--deep`, mutates the rules' source.
pub(crate) fn run(args: &Args) -> Result<()> {
    let test = ["test", "--quiet", "--package", "perjury-checker", "--test"];
    step(command(&cargo(), &test).args(["rules", "--test", "mutants"]))?;
    if !args.deep {
        return Ok(());
    }
    if !exists_as("cargo-mutants", "--version") {
        println!("cargo-mutants is missing: installing it with cargo install");
        step(&mut command(&cargo(), &["install", "--locked", "cargo-mutants"]))?;
    }
    let file = format!("crates/checker/src/{}", args.file);
    // The corpus and the mutants by hand see a changed rule at once; the simulator would take a minute for each.
    step(&mut command(
        &cargo(),
        &[
            "mutants",
            "--package",
            "perjury-checker",
            "--file",
            &file,
            "--no-shuffle",
            "--",
            "--lib",
            "--test",
            "corpus",
            "--test",
            "mutants",
            "--test",
            "quirks",
            "--test",
            "contract",
        ],
    ))
}
