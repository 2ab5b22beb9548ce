//! Child processes of the developer's commands.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_path_buf()
}

/// The directory that holds this profile's binaries.
pub(crate) fn target(profile: &str) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join(profile)
}

/// A step: its command is shown, then run in the root of the workspace.
pub(crate) fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

/// Runs a command to its end and gives its exit code.
pub(crate) fn code(command: &mut Command) -> Result<i32> {
    println!("→ {}", shown(command));
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    Ok(status.code().unwrap_or(-1))
}

/// Runs a command to its end; anything but success is an error that names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    match code(command)? {
        0 => Ok(()),
        code => bail!("{} ended with exit code {code}", shown(command)),
    }
}

/// Runs `program` with `args` in the root of the workspace.
pub(crate) fn sh(program: &str, args: &[&str]) -> Result<()> {
    run(&mut command(program, args))
}

/// The cargo that runs this.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// Whether a program answers to `--version`.
pub(crate) fn exists(program: &str) -> bool {
    exists_as(program, "--version")
}

/// Whether a program answers to this argument.
pub(crate) fn exists_as(program: &str, argument: &str) -> bool {
    let quiet = std::process::Stdio::null;
    Command::new(program)
        .arg(argument)
        .stdout(quiet())
        .stderr(quiet())
        .status()
        .is_ok_and(|s| s.success())
}

/// A child that is ended when this is dropped, so that nothing is left running after a failure.
pub(crate) struct Ended(pub(crate) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
    words.join(" ")
}
