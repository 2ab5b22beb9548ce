//! One file a subcommand.

pub(crate) mod check;
pub(crate) mod demo;
mod faults;
pub(crate) mod generate;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod testbed;

use std::process::ExitCode;

/// The guard of a cluster: see `perjury_cluster::guard`.
pub(crate) fn guard() -> anyhow::Result<ExitCode> {
    let report = perjury_cluster::guard::run(std::io::stdin().lock(), std::io::stdout().lock());
    tracing::debug!(?report, "the guard ends");
    Ok(ExitCode::SUCCESS)
}
