//! `perjury`: one binary, all subcommands. Data goes to stdout, logs and progress to stderr.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line speaks through its two streams"
)]

mod commands;
mod duration;
mod exit;
mod output;
mod stores;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// glibc's allocator keeps a pool for each of the many threads that librdkafka starts with every client, and gives little of
/// it back: a run of hours grows. jemalloc gives back what is free; `.cargo/config.toml` says how soon.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Records what a Kafka-compatible cluster promised its clients while it was being broken on purpose, and finds every
/// promise that it did not keep.
///
/// Exit codes: 0 valid or verified, 1 invalid or not verified, 2 unknown, 254 bad arguments or input, 255 crash.
#[derive(Parser)]
#[command(name = "perjury", version)]
struct Args {
    /// More logs on stderr; twice for those of librdkafka too.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    /// No progress on stderr.
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure how many known bugs the runs find, and how often they accuse a correct cluster.
    Calibrate(commands::calibrate::Args),
    /// Form a cluster, break it while clients write and read, and judge what it promised.
    Run(Box<commands::run::Args>),
    /// List the workloads: what their clients do, need, and can find.
    Workloads(commands::workloads::Args),
    /// Judge a recorded history: a file, a run directory, or - for standard input.
    Check(commands::check::Args),
    /// Cut an invalid history down to the few operations that show why.
    Shrink(commands::shrink::Args),
    /// Write a history in another form: JSONL, Jepsen's EDN, Parquet.
    Convert(commands::convert::Args),
    /// The main job twice, on a correct cluster and on one with a bug, then the pages.
    Demo(commands::demo::Args),
    /// Say what would keep a cluster from forming and what to change; or compare two configurations.
    Doctor(Box<commands::doctor::Args>),
    /// Make an evidence bundle of a run: one file that a stranger opens, believes and checks again.
    Evidence(commands::evidence::Args),
    /// Make a key that signs evidence.
    Keygen(commands::keygen::Args),
    /// Post the report of a run to a bug tracker, with its evidence attached where the tracker takes it.
    Ticket(commands::ticket::Args),
    /// Check an evidence bundle or a one-file report from the file alone: hashes, signature, verdict.
    Verify(commands::verify::Args),
    /// Make a simulated history whose truth is known, right or with chosen defects.
    Generate(commands::generate::Args),
    /// Many runs from one plan file: queued, paused, resumed, cancelled.
    Campaign(commands::campaign::Args),
    /// Run exactly the plan of a run again.
    Replay(commands::store::Replay),
    /// Make the index of a store anew from its run directories.
    Reindex(commands::store::Reindex),
    /// Delete old runs; never one that broke a promise.
    Prune(commands::store::Prune),
    /// Make, list and revoke tokens for the server.
    Token(commands::token::Args),
    /// Serve the runs of a store as pages, and make the runs of its campaigns.
    Serve(commands::serve::Args),
    /// The embedded Kafka-compatible cluster.
    Testbed(commands::testbed::Args),
    /// Ends the processes of a cluster when the perjury that started them dies.
    #[command(hide = true)]
    Guard,
}

fn main() -> ExitCode {
    let args = match parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::VALID });
        }
    };
    start_logs(&args);
    let result = match args.command {
        Command::Calibrate(calibrate) => commands::calibrate::run(&calibrate, args.quiet),
        Command::Run(run) => commands::run::run(*run, args.quiet),
        Command::Workloads(workloads) => commands::workloads::run(&workloads),
        Command::Check(check) => commands::check::run(&check, args.quiet),
        Command::Shrink(shrink) => commands::shrink::run(&shrink, args.quiet),
        Command::Convert(convert) => commands::convert::run(&convert),
        Command::Demo(demo) => commands::demo::run(&demo, args.quiet),
        Command::Doctor(doctor) => commands::doctor::run(&doctor, args.quiet),
        Command::Evidence(evidence) => commands::evidence::run(&evidence, args.quiet),
        Command::Keygen(keygen) => commands::keygen::run(&keygen),
        Command::Ticket(ticket) => commands::ticket::run(&ticket, args.quiet),
        Command::Verify(verify) => commands::verify::run(&verify),
        Command::Generate(generate) => commands::generate::run(&generate),
        Command::Serve(serve) => commands::serve::run(&serve),
        Command::Campaign(campaign) => commands::campaign::run(campaign, args.quiet),
        Command::Replay(replay) => commands::store::replay(&replay, args.quiet),
        Command::Reindex(reindex) => commands::store::reindex(&reindex),
        Command::Prune(prune) => commands::store::prune(&prune),
        Command::Token(token) => commands::token::run(&token),
        Command::Testbed(testbed) => commands::testbed::run(testbed),
        Command::Guard => commands::guard(),
    };
    match result {
        Ok(code) => code,
        Err(error) if error.is::<exit::Usage>() => {
            output::tell(&format!("perjury: {error:#}"));
            ExitCode::from(exit::USAGE)
        }
        Err(error) => {
            output::tell(&format!("perjury: {error:#}"));
            ExitCode::from(exit::CRASH)
        }
    }
}

/// Reads the command line. A run is also told which options are the command line's, as opposed to defaults.
fn parse() -> Result<Args, clap::Error> {
    let matches = Args::command().try_get_matches()?;
    let mut args = Args::from_arg_matches(&matches)?;
    if let (Command::Run(run), Some(("run", matches))) = (&mut args.command, matches.subcommand()) {
        let given = |id: &&clap::Id| {
            matches.value_source(id.as_str()) == Some(clap::parser::ValueSource::CommandLine)
        };
        run.given = matches.ids().filter(given).map(ToString::to_string).collect();
    }
    Ok(args)
}

fn start_logs(args: &Args) {
    let default = match (args.verbose, &args.command) {
        // A node's log is data: the driver keeps it, and the report shows it.
        (_, Command::Testbed(_)) => perjury_testbed::DEFAULT_LOG_FILTER,
        (0, _) => "warn",
        (1, _) => "info,librdkafka=off",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("PERJURY_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_writer(std::io::stderr)
        .init();
}
