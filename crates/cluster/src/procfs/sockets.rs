//! Who listens on which TCP port, from `/proc/net/tcp`, `/proc/net/tcp6` and `/proc/<pid>/fd`.

use super::stat::{ProcessIdentity, all_pids, read_stat};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The kernel's number for a listening TCP socket (`TCP_LISTEN`).
const LISTENING: u8 = 0x0A;
/// The kernel's number for an established TCP connection (`TCP_ESTABLISHED`).
const ESTABLISHED: u8 = 0x01;

/// One line of `/proc/net/tcp` or `/proc/net/tcp6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketEntry {
    /// The local address.
    pub local: SocketAddr,
    /// The address at the other end; port 0 of a listener.
    pub remote: SocketAddr,
    /// The kernel's connection state; 0x0A is a listener.
    pub state: u8,
    /// The socket's inode, which joins it to a file descriptor of its owner.
    pub inode: u64,
}

impl SocketEntry {
    /// Whether the socket listens for connections.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.state == LISTENING
    }
}

/// Parses the text of `/proc/net/tcp` or `/proc/net/tcp6`. The header line and lines of another
/// form are passed over.
#[must_use]
pub fn parse_tcp_table(text: &str) -> Vec<SocketEntry> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<SocketEntry> {
    let mut fields = line.split_ascii_whitespace();
    let local = parse_address(fields.nth(1)?)?;
    let remote = parse_address(fields.next()?)?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    // Queues, timer, retransmits, uid and timeout lie between the state and the inode.
    let inode = fields.nth(5)?.parse().ok()?;
    Some(SocketEntry { local, remote, state, inode })
}

/// The kernel prints each 32-bit word of an address as a number in the host's byte order.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut octets = Vec::with_capacity(16);
    if !address.is_ascii() || !address.len().is_multiple_of(8) {
        return None;
    }
    for start in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(start..start + 8)?, 16).ok()?;
        octets.extend_from_slice(&word.to_ne_bytes());
    }
    let ip = if let Ok(four) = <[u8; 4]>::try_from(octets.as_slice()) {
        IpAddr::V4(Ipv4Addr::from(four))
    } else {
        IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(octets.as_slice()).ok()?))
    };
    Some(SocketAddr::new(ip, port))
}

/// The listening sockets of the network namespace that process `pid` lives in.
fn listeners(pid: &str) -> Vec<SocketEntry> {
    let mut entries = sockets(pid);
    entries.retain(SocketEntry::is_listening);
    entries
}

/// The TCP sockets of the network namespace that process `pid` lives in.
fn sockets(pid: &str) -> Vec<SocketEntry> {
    ["tcp", "tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).ok())
        .flat_map(|text| parse_tcp_table(&text))
        .collect()
}

/// A process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortOwner {
    /// The process.
    pub process: ProcessIdentity,
    /// Its short name from `/proc/<pid>/stat`. The command line is left out: it may hold secrets.
    pub name: String,
    /// The file that it runs, where that can be read.
    pub executable: Option<String>,
}

impl fmt::Display for PortOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} ({})", self.process.pid, self.name)?;
        match &self.executable {
            Some(path) => write!(f, " running {path}"),
            None => Ok(()),
        }
    }
}

/// Whether any socket of this network namespace listens on `port`.
#[must_use]
pub fn port_is_listened_on(port: u16) -> bool {
    listeners("self").iter().any(|entry| entry.local.port() == port)
}

/// The processes that listen on TCP `port` in this network namespace, ordered by pid. A listener
/// whose owner may not be looked at (another user's process, without root) is not in the list.
#[must_use]
pub fn port_owners(port: u16) -> Vec<PortOwner> {
    let inodes: BTreeSet<u64> = listeners("self")
        .iter()
        .filter(|entry| entry.local.port() == port)
        .map(|entry| entry.inode)
        .collect();
    if inodes.is_empty() {
        return Vec::new();
    }
    let mut owners: Vec<_> = all_pids()
        .into_iter()
        .filter(|pid| socket_inodes(*pid).iter().any(|inode| inodes.contains(inode)))
        .filter_map(owner)
        .collect();
    owners.sort();
    owners
}

fn owner(pid: u32) -> Option<PortOwner> {
    let stat = read_stat(pid).ok().flatten()?;
    let executable = std::fs::read_link(format!("/proc/{pid}/exe"))
        .ok()
        .map(|path| path.to_string_lossy().into_owned());
    let process = ProcessIdentity { pid, start_ticks: stat.start_ticks };
    Some(PortOwner { process, name: stat.comm, executable })
}

/// The TCP ports that process `pid` listens on, ascending.
#[must_use]
pub fn listening_ports(pid: u32) -> Vec<u16> {
    let own = socket_inodes(pid);
    let ports: BTreeSet<u16> = listeners(&pid.to_string())
        .iter()
        .filter(|entry| own.contains(&entry.inode))
        .map(|entry| entry.local.port())
        .collect();
    ports.into_iter().collect()
}

/// The ports at the other end of the established TCP connections of process `pid`.
#[must_use]
pub fn connected_ports(pid: u32) -> BTreeSet<u16> {
    let own = socket_inodes(pid);
    let established =
        |entry: &SocketEntry| entry.state == ESTABLISHED && own.contains(&entry.inode);
    let entries = sockets(&pid.to_string());
    entries.iter().filter(|entry| established(entry)).map(|entry| entry.remote.port()).collect()
}

/// The inodes of the sockets that a process holds open; empty when that may not be looked at.
fn socket_inodes(pid: u32) -> BTreeSet<u64> {
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return BTreeSet::new();
    };
    descriptors
        .flatten()
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.path()).ok()?;
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2384 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 48213 1 0 100 0 0 10 0
   1: 0100007F:2384 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 48299 1 0 20 4 30 10 -1
garbage
";
    const TABLE6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:0FA0 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 77 1 0 100 0 0 10 0
";

    #[test]
    #[cfg(target_endian = "little")]
    fn the_tables_of_both_families_are_read() {
        let entries = parse_tcp_table(TABLE);
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].local, "127.0.0.1:9092".parse().unwrap());
        assert_eq!(entries[0].inode, 48213);
        assert!(entries[0].is_listening());
        assert!(!entries[1].is_listening());
        let six = parse_tcp_table(TABLE6);
        assert_eq!(six.len(), 1);
        assert_eq!(six[0].local, "[::1]:4000".parse().unwrap());
        assert_eq!(six[0].inode, 77);
    }

    #[test]
    fn the_owner_of_a_listening_port_is_found_by_pid_and_name() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let owners = port_owners(port);
        assert_eq!(owners.len(), 1, "{owners:?}");
        assert_eq!(owners[0].process, ProcessIdentity::of(std::process::id()).unwrap());
        assert!(owners[0].executable.is_some());
        assert!(port_is_listened_on(port));
        assert!(listening_ports(std::process::id()).contains(&port));
    }

    #[test]
    fn an_ipv6_listener_is_found_as_well() {
        let Ok(listener) = TcpListener::bind("[::1]:0") else {
            return;
        };
        let port = listener.local_addr().unwrap().port();
        assert_eq!(port_owners(port).len(), 1);
    }
}
