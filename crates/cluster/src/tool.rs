//! Running the system's own tools (`ip`, `nft`, `mount`), each bounded in time.

use crate::process::without_forks;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a tool may take on a busy machine.
const BOUND: Duration = Duration::from_secs(30);
/// How often it is looked at.
const POLL: Duration = Duration::from_millis(2);
/// Where administrators' tools are when `PATH` does not say so.
const SYSTEM_PATH: &str = "/usr/sbin:/sbin:/usr/bin:/bin";

/// A tool of the system failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{command}` {problem}")]
pub struct ToolError {
    /// The command line.
    pub command: String,
    /// What it said, or why it could not be started.
    pub problem: String,
}

/// Runs a tool with `input` on its standard input and gives its standard output. Blocks for at
/// most 30 s.
///
/// # Errors
/// [`ToolError`] when it cannot be started, ends in failure or takes too long.
pub(crate) fn run(program: &str, args: &[&str], input: &str) -> Result<String, ToolError> {
    let command =
        std::iter::once(program).chain(args.iter().copied()).collect::<Vec<_>>().join(" ");
    let failed = |problem: String| ToolError { command: command.clone(), problem };
    let path = std::env::var("PATH").unwrap_or_default();
    let mut child = without_forks(|| {
        Command::new(program)
            .args(args)
            .env("PATH", format!("{path}:{SYSTEM_PATH}"))
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    })
    .map_err(|error| failed(format!("cannot be started: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that does not read its input says in its own words what is wrong.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = reader(child.stdout.take());
    let complaint = reader(child.stderr.take());
    let deadline = Instant::now() + BOUND;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("did not end within {} s", BOUND.as_secs())));
            }
            Err(error) => return Err(failed(format!("cannot be waited for: {error}"))),
        }
    };
    let text = |reader: std::thread::JoinHandle<String>| reader.join().unwrap_or_default();
    let (output, complaint) = (text(output), text(complaint));
    if status.success() {
        Ok(output)
    } else {
        Err(failed(format!("failed ({status}): {}", complaint.trim().replace('\n', "; "))))
    }
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_input_and_failure_come_through() {
        assert_eq!(run("cat", &[], "hello").unwrap(), "hello");
        let failure = run("sh", &["-c", "echo because >&2; exit 3"], "").unwrap_err();
        assert!(failure.to_string().contains("because"), "{failure}");
        let missing = run("no-such-tool-anywhere", &["x"], "").unwrap_err();
        assert!(missing.to_string().contains("cannot be started"), "{missing}");
    }
}
