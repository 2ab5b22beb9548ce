//! Free ports that stay one cluster's own, also while its nodes are down.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::net::TcpSocket;

/// Where the search begins; ports below are more likely to belong to a service.
const LOWEST: u16 = 15_000;
/// The range of ephemeral ports where the kernel does not tell its own.
const DEFAULT_EPHEMERAL_LOW: u16 = 32_768;
/// Ports come in blocks of this many. The first of a block is its lock.
const BLOCK: u16 = 16;

/// Counts the searches of this process, so that two at the same time begin at different places.
static SEARCHES: AtomicU32 = AtomicU32::new(0);

/// A loopback port that is bound, and so kept from others, but not listened on: whoever connects is
/// refused, as if nobody held it. Dropping it lets it go.
#[derive(Debug)]
pub(super) struct HeldPort {
    _socket: TcpSocket,
    pub(super) address: SocketAddr,
}

/// Ports for one cluster.
#[derive(Debug, Default)]
pub(super) struct Reservation {
    /// The ports, held until their node is started.
    pub(super) ports: Vec<HeldPort>,
    /// Kept for the life of the cluster: no other cluster takes a port of a block whose lock it
    /// cannot bind. So a port is not lost between letting it go and the node's binding it, nor while
    /// its node is down.
    pub(super) locks: Vec<HeldPort>,
}

/// Reserves `count` free ports on 127.0.0.1.
///
/// They lie below the range of ephemeral ports where possible: while a node is down, the kernel
/// could give a port of that range to any outgoing connection, and the node could not come back; a
/// client that keeps trying to reach the node could even get connected to itself.
pub(super) fn reserve(count: usize) -> io::Result<Reservation> {
    let mut reservation = Reservation::default();
    let blocks = ephemeral_low().saturating_sub(LOWEST) / BLOCK;
    let first = scattered(std::process::id(), SEARCHES.fetch_add(1, Ordering::Relaxed));
    for step in 0..blocks {
        if reservation.ports.len() >= count {
            break;
        }
        let block = u16::try_from((first + u64::from(step)) % u64::from(blocks)).unwrap_or(step);
        let lock = LOWEST + block * BLOCK;
        let Ok(held) = bind(lock) else { continue };
        reservation.locks.push(held);
        reservation.ports.extend((lock + 1..lock + BLOCK).filter_map(|port| bind(port).ok()));
    }
    reservation.ports.truncate(count);
    while reservation.ports.len() < count {
        reservation.ports.push(bind(0)?);
    }
    Ok(reservation)
}

/// A number that differs widely between neighbouring processes and searches (Fibonacci hashing).
fn scattered(process: u32, search: u32) -> u64 {
    let key = (u64::from(process) << 32) | u64::from(search);
    key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33
}

fn bind(port: u16) -> io::Result<HeldPort> {
    let socket = TcpSocket::new_v4()?;
    // With address reuse two sockets that do not listen could share the port.
    socket.set_reuseaddr(false)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(HeldPort { address: socket.local_addr()?, _socket: socket })
}

fn ephemeral_low() -> u16 {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(DEFAULT_EPHEMERAL_LOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[tokio::test]
    async fn reserved_ports_are_distinct_kept_from_others_and_refuse() {
        let all: Vec<_> = (0..4).map(|_| reserve(20).unwrap()).collect();
        let ports: BTreeSet<_> =
            all.iter().flat_map(|r| &r.ports).map(|port| port.address.port()).collect();
        assert_eq!(ports.len(), 80);
        for port in all.iter().flat_map(|r| &r.ports) {
            assert!(std::net::TcpListener::bind(port.address).is_err());
            let refused = std::net::TcpStream::connect(port.address).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        }
    }

    #[tokio::test]
    async fn a_port_that_was_let_go_for_its_node_is_no_other_clusters() {
        let mut first = reserve(6).unwrap();
        assert!(!first.locks.is_empty());
        let ports: Vec<_> = first.ports.drain(..).map(|port| port.address).collect();
        let locks: Vec<_> = first.locks.iter().map(|lock| lock.address.port()).collect();
        // Another search that comes by the same block finds it locked.
        assert!(locks.iter().all(|lock| bind(*lock).is_err()));
        assert!(ports.iter().all(|port| std::net::TcpListener::bind(port).is_ok()));
    }
}
