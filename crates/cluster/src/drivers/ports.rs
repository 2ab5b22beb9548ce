//! Free ports that stay one cluster's own, also while its nodes are down.

use crate::process::without_forks;
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

/// Ports for one cluster.
#[derive(Debug, Default)]
pub(crate) struct Reservation {
    /// The addresses. Nothing is bound to them.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Bound for the life of the cluster: no other cluster takes a port of a block whose lock it
    /// cannot bind, neither before the node binds it nor while its node is down. The nodes' own ports
    /// are not held, since a child that is being made would carry the sockets along for a moment.
    pub(crate) locks: Vec<TcpSocket>,
}

/// Reserves `count` free ports on 127.0.0.1.
///
/// They lie below the range of ephemeral ports where possible: while a node is down, the kernel
/// could give a port of that range to any outgoing connection, and the node could not come back; a
/// client that keeps trying to reach the node could even get connected to itself.
pub(crate) fn reserve(count: usize) -> io::Result<Reservation> {
    without_forks(|| {
        let mut reservation = Reservation::default();
        let blocks = ephemeral_low().saturating_sub(LOWEST) / BLOCK;
        let first = scattered(std::process::id(), SEARCHES.fetch_add(1, Ordering::Relaxed));
        for step in 0..blocks {
            if reservation.addresses.len() >= count {
                break;
            }
            let block = (first + u64::from(step)) % u64::from(blocks);
            let lock = LOWEST + u16::try_from(block).unwrap_or(step) * BLOCK;
            let Ok(held) = bind(lock) else { continue };
            reservation.locks.push(held);
            let free =
                (lock + 1..lock + BLOCK).filter_map(|port| bind(port).ok()?.local_addr().ok());
            reservation.addresses.extend(free);
        }
        reservation.addresses.truncate(count);
        // Bound together, so that the kernel gives different ones.
        let missing = count - reservation.addresses.len();
        let others = (0..missing).map(|_| bind(0)).collect::<io::Result<Vec<_>>>()?;
        for other in &others {
            reservation.addresses.push(other.local_addr()?);
        }
        Ok(reservation)
    })
}

/// A number that differs widely between neighbouring processes and searches (Fibonacci hashing).
fn scattered(process: u32, search: u32) -> u64 {
    let key = (u64::from(process) << 32) | u64::from(search);
    key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33
}

/// Binds a loopback port without listening on it: whoever connects is refused.
fn bind(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // With address reuse two sockets that do not listen could share the port.
    socket.set_reuseaddr(false)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
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
    async fn clusters_get_distinct_free_ports_and_keep_their_blocks() {
        let all: Vec<_> = (0..4).map(|_| reserve(20).unwrap()).collect();
        let addresses: BTreeSet<_> = all.iter().flat_map(|r| &r.addresses).collect();
        assert_eq!(addresses.len(), 80);
        for address in addresses {
            assert!(std::net::TcpListener::bind(address).is_ok(), "{address} is held");
        }
        for lock in all.iter().flat_map(|r| &r.locks) {
            assert!(bind(lock.local_addr().unwrap().port()).is_err());
        }
    }
}
