//! Free ports that are held until their node is started.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::net::TcpSocket;

/// Where the search begins; ports below are more likely to belong to a service.
const LOWEST: u16 = 15_000;
/// The range of ephemeral ports where the kernel does not tell its own.
const DEFAULT_EPHEMERAL_LOW: u16 = 32_768;
/// How far apart the searches of two processes, or two searches of one, begin.
const STRIDE: u32 = 97;

/// Counts the searches of this process, so that two at the same time begin at different places.
static SEARCHES: AtomicU32 = AtomicU32::new(0);

/// A loopback port that is bound, and so kept from others, but not listened on: whoever connects is
/// refused, as if nobody held it. Dropping it lets it go.
#[derive(Debug)]
pub(super) struct HeldPort {
    _socket: TcpSocket,
    pub(super) address: SocketAddr,
}

/// Holds `count` free ports on 127.0.0.1.
///
/// They lie below the range of ephemeral ports where possible: while a node is down, the kernel
/// could give a port of that range to any outgoing connection, and the node could not come back; a
/// client that keeps trying to reach the node could even get connected to itself.
pub(super) fn hold(count: usize) -> io::Result<Vec<HeldPort>> {
    let search = SEARCHES.fetch_add(1, Ordering::Relaxed);
    let span = u32::from(ephemeral_low().saturating_sub(LOWEST));
    let mut held = Vec::with_capacity(count);
    if span > 0 {
        let first = std::process::id().wrapping_add(search).wrapping_mul(STRIDE);
        for step in 0..span {
            if held.len() == count {
                break;
            }
            let offset = u16::try_from(first.wrapping_add(step) % span).unwrap_or_default();
            held.extend(bind(LOWEST + offset).ok());
        }
    }
    while held.len() < count {
        held.push(bind(0)?);
    }
    Ok(held)
}

/// Holds one given port.
pub(super) fn bind(port: u16) -> io::Result<HeldPort> {
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
    async fn held_ports_are_distinct_kept_from_others_and_refuse() {
        let held: Vec<_> = (0..4).flat_map(|_| hold(6).unwrap()).collect();
        let ports: BTreeSet<_> = held.iter().map(|port| port.address.port()).collect();
        assert_eq!(ports.len(), 24);
        for port in &held {
            assert!(std::net::TcpListener::bind(port.address).is_err());
            let refused = std::net::TcpStream::connect(port.address).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        }
        let address = held[0].address;
        drop(held);
        assert!(std::net::TcpListener::bind(address).is_ok());
    }
}
