//! `cargo xtask test`: all tests, Rust and web, and the report page in a real Chromium.

use crate::process::{Ended, cargo, code, command, exists, run as step, sh, target};
use crate::web::{self, npm};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// What may be left out while developing. CI leaves out nothing.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out the test of the pages in Chromium.
    #[arg(long)]
    skip_browser: bool,
}

/// Runs everything; the first failure ends it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let chromium = if args.skip_browser { None } else { Some(chromium()?) };
    web::build()?;
    step(&mut npm(&["run", "check"]))?;
    step(&mut npm(&["run", "test"]))?;
    sh(&cargo(), &["test", "--workspace", "--no-fail-fast"])?;
    if let Some(chromium) = chromium {
        browser(&target("debug").join("perjury"), &chromium)?;
    }
    println!(
        "all tests passed: Rust, web, {}",
        if args.skip_browser { "without the browser" } else { "browser" }
    );
    Ok(())
}

/// Finds Chromium, or installs Debian's package.
fn chromium() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMIUM") {
        return Ok(path.into());
    }
    if !exists("chromium") {
        println!("Chromium is missing: installing Debian's package chromium with apt-get");
        let installed = sh("apt-get", &["update", "--quiet=2"]).and_then(|()| {
            sh("apt-get", &["install", "--yes", "--quiet=2", "--no-install-recommends", "chromium"])
        });
        if installed.is_err() {
            bail!(
                "Chromium could not be installed: install it by hand, or name one with CHROMIUM=/path, or give --skip-browser"
            );
        }
    }
    Ok("/usr/bin/chromium".into())
}

/// Makes a store with one valid and one invalid run on real processes, serves it and walks its pages.
fn browser(binary: &Path, chromium: &Path) -> Result<()> {
    let store = tempfile::tempdir()?;
    let root = store.path().to_string_lossy().into_owned();
    let binary_name = binary.to_string_lossy();
    run_until(&binary_name, &root, "e2e-correct", &[], 0)?;
    run_until(&binary_name, &root, "e2e-broken", &["--bug", "ack-before-replication"], 1)?;
    let mut serve = command(&binary_name, &["serve", "--store", &root, "--bind", "127.0.0.1:0"]);
    let mut server =
        Ended(serve.stdout(Stdio::piped()).spawn().context("cannot start perjury serve")?);
    let stdout = server.0.stdout.take().context("the server has no stdout")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let url = line.split_whitespace().find(|word| word.starts_with("http://"));
    let url = url.with_context(|| format!("the server did not print its address but {line:?}"))?;
    step(npm(&["run", "e2e"]).env("PERJURY_URL", url).env("CHROMIUM", chromium))
}

/// A run with this name that ends as expected. One that a busy machine kept from a verdict is made again, twice as long and
/// with another seed, and does not stay in the store.
fn run_until(binary: &str, store: &str, name: &str, more: &[&str], expected: i32) -> Result<()> {
    let mut ended = 0;
    for (seed, limit) in [("7", "16s"), ("8", "32s"), ("9", "64s")] {
        let load = ["--rate", "400", "--concurrency", "12", "--seed", seed, "--time-limit", limit];
        let faults = ["--nemesis", "kill", "--target", "leader"];
        let run = ["run", "--name", name, "--cluster", "testbed", "--store", store];
        ended = code(&mut command(binary, &[&run[..], &load, &faults, more].concat()))?;
        if ended == expected {
            return Ok(());
        }
        println!("the run {name} ended with exit code {ended}, not {expected}");
        std::fs::remove_dir_all(Path::new(store).join(name))?;
    }
    bail!("the run {name} ended with exit code {ended} every time, not {expected}");
}
