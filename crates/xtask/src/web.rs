//! The pages: installed through npm, built by Vite into `web/dist`, which the server embeds.

use crate::process::{exists, root, run};
use anyhow::{Result, bail};
use std::process::Command;

/// npm in `web/`.
pub(crate) fn npm(args: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.args(args).current_dir(root().join("web")).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    command
}

/// Installs the locked packages if they are not those of the lock file.
pub(crate) fn install() -> Result<()> {
    if !exists("npm") {
        bail!("npm is missing: install Node.js 20 or newer, then run this again");
    }
    let web = root().join("web");
    let lock = std::fs::read(web.join("package-lock.json"))?;
    let stamp = web.join("node_modules/.perjury-lock");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    println!("installing the pages' npm packages into web/node_modules");
    run(&mut npm(&["ci", "--no-audit", "--no-fund"]))?;
    std::fs::write(stamp, lock)?;
    Ok(())
}

/// Installs and builds.
pub(crate) fn build() -> Result<()> {
    install()?;
    run(&mut npm(&["run", "build"]))
}
