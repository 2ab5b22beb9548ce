//! `perjury testbed`: one node of the embedded cluster, and what bugs it can have.

use crate::exit::usage;
use anyhow::Result;
use clap::Subcommand;
use perjury_testbed::{Bug, NodeConfig};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `perjury testbed`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one node in the foreground until it is ended.
    Node {
        /// The node's configuration, JSON.
        #[arg(long)]
        config: PathBuf,
    },
    /// List the switchable bugs.
    Bugs,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    match args.command {
        Command::Bugs => {
            for bug in Bug::ALL {
                println!("{bug}\t{}", bug.summary());
                println!("\timitates: {}", bug.imitates());
                println!("\tshown by: {}", bug.needs());
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Node { config } => {
            let config = NodeConfig::load(&config).map_err(|e| usage(e.to_string()))?;
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            runtime.block_on(perjury_testbed::run_node(config, std::future::pending()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
