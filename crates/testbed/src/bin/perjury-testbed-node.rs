//! One node of the embedded cluster as a process: `perjury-testbed-node --config FILE`.
//!
//! Exit status: 0 after SIGTERM, SIGINT or the end of standard input; 1 with one line on stderr if
//! the node cannot start or go on; 2 for a wrong command line.

use std::path::PathBuf;
use std::process::ExitCode;

use perjury_testbed::{DEFAULT_LOG_FILTER, NodeConfig, NodeError, run_node};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

fn config_path() -> Option<PathBuf> {
    let mut args = std::env::args_os().skip(1);
    let (flag, path) = (args.next()?, args.next()?);
    (flag == "--config" && args.next().is_none()).then(|| path.into())
}

async fn run(path: PathBuf) -> Result<(), NodeError> {
    let config = NodeConfig::load(&path)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(NodeError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(NodeError::Runtime)?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    run_node(config, shutdown).await
}

#[expect(clippy::print_stderr, reason = "the one place where the process speaks to its user")]
#[tokio::main]
async fn main() -> ExitCode {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG_FILTER));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    subscriber.with_writer(std::io::stderr).init();
    let Some(path) = config_path() else {
        eprintln!("usage: perjury-testbed-node --config FILE");
        return ExitCode::from(2);
    };
    match run(path).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
