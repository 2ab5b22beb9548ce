//! `perjury token`: who may use the server beyond this machine, and what for.

use crate::exit::usage;
use crate::stores;
use anyhow::Result;
use clap::Subcommand;
use perjury_server::{Role, TokenError, Tokens};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `perjury token`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// The folder that holds the runs, and the tokens' hashes.
    #[arg(long, default_value = "store", env = "PERJURY_STORE", global = true)]
    store: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Make a token and print it: it is shown this once and kept as a hash. From the first one on, the server asks for
    /// one on loopback, too.
    Create {
        /// What people call it.
        name: String,
        /// read sees runs, run starts them too, admin deletes them too.
        #[arg(long, default_value = "run")]
        role: Role,
    },
    /// List the tokens by name and role.
    List,
    /// Revoke a token; sessions that it was exchanged for end with it.
    Revoke {
        /// Its name.
        name: String,
    },
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let store = stores::made(&args.store)?;
    let tokens = Tokens::open(store.root())?;
    match &args.command {
        Command::Create { name, role } => {
            let made = tokens.create(name, *role).map_err(told)?;
            println!("{}", made.secret);
            eprintln!("the token {name} may {}; it is not shown again", role.as_str());
        }
        Command::List => {
            for token in tokens.list()? {
                println!("{}\t{}\t{}", token.name, token.role.as_str(), token.created.to_rfc3339());
            }
        }
        Command::Revoke { name } => {
            tokens.revoke(name).map_err(told)?;
            eprintln!("the token {name} is worth nothing any more");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn told(error: TokenError) -> anyhow::Error {
    match error {
        TokenError::BadName(_) | TokenError::NoSuchToken(_) => usage(error.to_string()),
        other => other.into(),
    }
}
