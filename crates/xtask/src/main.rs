//! Developer habits: `cargo xtask demo | test | web | tidy | bench | compare-porcupine | mutants`.
//!
//! Every command installs or builds what it needs through package managers and says so before it does.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's tool talks to its terminal"
)]

mod bench;
mod demo;
mod mutants;
mod porcupine;
mod process;
mod soak;
mod test;
mod tidy;
mod web;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Developer habits of Perjury.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the main job on the embedded cluster, once correct and once with a bug, and serve both reports.
    Demo(demo::Args),
    /// Pass all tests: Rust, web, and the report page in a real browser.
    Test(test::Args),
    /// Build the pages into web/dist.
    Web,
    /// Check the rules of the house that no compiler checks.
    Tidy,
    /// Measure checking throughput and memory on generated histories.
    Bench(bench::Args),
    /// Decide the same histories with Porcupine and compare answers and times.
    ComparePorcupine,
    /// Remove each rule in turn and see tests go red.
    Mutants(mutants::Args),
}

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Web => web::build(),
        Command::Tidy => tidy::run(),
        Command::Bench(args) => bench::run(&args),
        Command::ComparePorcupine => porcupine::run(),
        Command::Mutants(args) => mutants::run(&args),
    }
}
