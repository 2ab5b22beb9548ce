//! `perjury serve`: the runs of a store as pages.

use crate::exit::usage;
use crate::stores;
use anyhow::Result;
use perjury_campaign::ProcessExecutor;
use perjury_server::Server;
use perjury_store::Retention;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Arguments of `perjury serve`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder that holds the runs.
    #[arg(long, default_value = "store", env = "PERJURY_STORE")]
    pub(super) store: PathBuf,
    /// Where to listen; port 0 chooses a free one. Anything but loopback is visible to others.
    #[arg(long, default_value = "127.0.0.1:8080", value_parser = address)]
    pub(super) bind: SocketAddr,
    /// Delete runs that are older than so many days and broke no promise. A plan's own [keep] goes before.
    #[arg(long, env = "PERJURY_KEEP_DAYS")]
    pub(super) keep_days: Option<u32>,
    /// Delete all but the newest so many runs of each name that broke no promise.
    #[arg(long, env = "PERJURY_KEEP_NEWEST")]
    pub(super) keep_newest: Option<usize>,
}

/// An address to listen on.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.replacen("localhost:", "127.0.0.1:", 1).parse().map_err(|_| {
        "give ADDRESS:PORT in numbers: 127.0.0.1:8080 for this machine alone, 0.0.0.0:8080 for others, too".to_owned()
    })
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    stores::made(&args.store)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let executor = ProcessExecutor { program: std::env::current_exe()?, store: args.store.clone() };
        let server = Server::bind(&args.store, args.bind, Arc::new(executor))
            .await
            .map_err(|e| usage(e.to_string()))?
            .keeping(Retention { days: args.keep_days, newest: args.keep_newest });
        let address = server.local_addr();
        println!("serving {} on http://{address}/ (Ctrl-C ends it)", args.store.display());
        if server.is_open() {
            eprintln!("no token exists: whoever reaches this address may do everything; `perjury token create` changes that");
        }
        let stop = async {
            let mut terminated = signal(SignalKind::terminate()).ok();
            let terminated = async {
                match &mut terminated {
                    Some(signal) => signal.recv().await,
                    None => std::future::pending().await,
                }
            };
            // Without a signal handler a signal ends the process all the same, only less gently.
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated => {}
            }
        };
        server.run(stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}
