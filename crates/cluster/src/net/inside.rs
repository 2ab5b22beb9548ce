//! Looking at the network from within a namespace.

use crate::witness::PortState;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Runs `f` on a thread of its own within a named network namespace.
fn within<T: Send + 'static>(
    namespace: &str,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let path = format!("/run/netns/{namespace}");
    // Only the thread changes its namespace, and it ends with `f`.
    let thread = std::thread::Builder::new().name("perjury-inside".into()).spawn(move || {
        let file = File::open(path)?;
        setns(file, CloneFlags::CLONE_NEWNET)?;
        Ok(f())
    })?;
    thread.join().map_err(|_| io::Error::other("the look into the namespace panicked"))?
}

/// Tries a TCP connection from within a namespace, or from the host without one, for at most
/// `bound`. Blocks.
pub(super) fn connect(namespace: Option<&str>, to: SocketAddr, bound: Duration) -> PortState {
    let attempt = move || TcpStream::connect_timeout(&to, bound);
    let outcome = match namespace {
        Some(namespace) => within(namespace, attempt).and_then(|outcome| outcome),
        None => attempt(),
    };
    match outcome {
        Ok(_) => PortState::Accepted,
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => PortState::Refused,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => PortState::TimedOut,
            _ => PortState::Failed,
        },
    }
}

/// How many TCP segments a namespace's kernel sent again so far (`RetransSegs`, RFC 4022).
pub(super) fn retransmissions(namespace: &str) -> Option<u64> {
    // A thread's own view: `/proc/self` would show the namespace of the main thread.
    let table = within(namespace, || std::fs::read_to_string("/proc/thread-self/net/snmp")).ok()?;
    retransmitted(&table.ok()?)
}

fn retransmitted(table: &str) -> Option<u64> {
    let mut lines = table.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split(' ').position(|name| name == "RetransSegs")?;
    values.split(' ').nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retransmissions_are_found_by_their_name() {
        let table = "Ip: A\nIp: 1\nTcp: InSegs OutSegs RetransSegs InErrs\nTcp: 10 11 12 13\n";
        assert_eq!(retransmitted(table), Some(12));
        assert_eq!(retransmitted("Udp: A\nUdp: 1\n"), None);
    }
}
