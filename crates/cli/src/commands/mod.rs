//! One file a subcommand.

pub(crate) mod calibrate;
pub(crate) mod campaign;
pub(crate) mod check;
pub(crate) mod cluster;
pub(crate) mod convert;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod evidence;
pub(crate) mod faults;
pub(crate) mod generate;
pub(crate) mod keygen;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod shrink;
pub(crate) mod store;
pub(crate) mod testbed;
pub(crate) mod ticket;
pub(crate) mod token;
pub(crate) mod verify;
pub(crate) mod workloads;

use std::process::ExitCode;

/// The guard of a cluster: see `perjury_cluster::guard`.
pub(crate) fn guard() -> anyhow::Result<ExitCode> {
    let report = perjury_cluster::guard::run(std::io::stdin().lock(), std::io::stdout().lock());
    tracing::debug!(?report, "the guard ends");
    Ok(ExitCode::SUCCESS)
}
