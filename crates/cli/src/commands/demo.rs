//! `perjury demo`: the main job on the embedded cluster, once correct and once with a bug, then the pages.

use super::{run, serve};
use crate::exit::usage;
use anyhow::{Context, Result, bail};
use clap::{Args as _, FromArgMatches};
use perjury_checker::Verdict;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `perjury demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// End after both runs instead of serving them.
    #[arg(long)]
    no_serve: bool,
    /// The seed of both runs.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// The folder that holds the runs.
    #[arg(long, default_value = "store", env = "PERJURY_STORE")]
    store: PathBuf,
    /// Where the server listens.
    #[arg(long, default_value = "127.0.0.1:8080", value_parser = serve::address)]
    bind: SocketAddr,
}

/// What both runs are told: leaders are killed for a minute while 32 clients write and read.
const LOAD: [&str; 10] = [
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
];

pub(crate) fn run(args: &Args, quiet: bool) -> Result<ExitCode> {
    let say = |text: &str| {
        if !quiet {
            crate::output::tell(text);
        }
    };
    if !args.no_serve {
        // Who has to change it learns so before two runs and not after them.
        std::net::TcpListener::bind(args.bind).map_err(|e| {
            usage(format!("cannot listen on {}: {e}; choose another port with --bind", args.bind))
        })?;
    }
    say("1 of 2: a correct cluster of three nodes; its leaders are killed while clients write");
    let correct = campaign(args, quiet, &["--name", "demo-correct"])?;
    say("\n2 of 2: the same seed on a cluster that acknowledges before it replicates");
    let bug = ["--name", "demo-ack-before-replication", "--bug", "ack-before-replication"];
    let broken = campaign(args, quiet, &bug)?;
    say(&format!("\nthe correct cluster: {correct}; ack-before-replication: {broken}"));
    if (correct, broken) != (Verdict::Valid, Verdict::Invalid) {
        bail!("the demo expects valid and invalid: read the reports above");
    }
    if args.no_serve {
        return Ok(ExitCode::SUCCESS);
    }
    serve::run(&serve::Args {
        store: args.store.clone(),
        bind: args.bind,
        keep_days: None,
        keep_newest: None,
    })
}

/// One run, with these words as on the command line of `perjury run`.
fn campaign(args: &Args, quiet: bool, words: &[&str]) -> Result<Verdict> {
    let seed = args.seed.to_string();
    let store = args.store.to_str().context("the store's path is not UTF-8")?;
    let all = ["run", "--seed", &seed, "--store", store]
        .into_iter()
        .chain(LOAD)
        .chain(words.iter().copied());
    let command = run::Args::augment_args(clap::Command::new("run"));
    let matches = command.try_get_matches_from(all)?;
    run::execute(run::Args::from_arg_matches(&matches)?, quiet)
}
