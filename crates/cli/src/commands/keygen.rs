//! `perjury keygen`: a key that signs evidence.

use crate::commands::evidence::mended;
use crate::exit::{self, usage};
use anyhow::Result;
use perjury_evidence::Signing;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `perjury keygen`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to write the secret key, readable by its owner alone. An existing file is never overwritten.
    #[arg(default_value = "perjury.key")]
    file: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let key = Signing::generate().map_err(mended)?;
    let path = args.file.display();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&args.file)
        .map_err(|e| usage(format!("cannot create {path}: {e}")))?;
    writeln!(file, "{}", key.secret_text())?;
    file.sync_all()?;
    println!("{}", key.public());
    eprintln!(
        "the secret key is in {path}; above is the public one, which perjury verify --key takes"
    );
    Ok(ExitCode::from(exit::VALID))
}
