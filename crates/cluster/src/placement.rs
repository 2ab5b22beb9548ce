//! Where the nodes of a local cluster live, which decides what can be done to them.

use crate::fault::{FaultKind, Plane};
use serde::{Deserialize, Serialize};

/// How much room a node's own disk has unless told otherwise, in MiB.
pub const DISK_MIB: u32 = 512;

/// Where nodes live. By default on the host: one network, one disk, one clock for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Placement {
    /// Each node has a network namespace of its own. Needs root.
    pub namespaces: bool,
    /// Clients, and other nodes where the driver can arrange that, reach each node through a proxy.
    pub proxy: bool,
    /// Each node's data is on a disk of its own with so many MiB. Needs root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_mib: Option<u32>,
    /// Each node's wall clock can be moved. Needs libfaketime.
    pub clock: bool,
}

impl Placement {
    /// The least that these faults need. Splits of the network take namespaces where `root` allows
    /// them, and the proxy elsewhere.
    #[must_use]
    pub fn for_faults(faults: &[FaultKind], root: bool) -> Self {
        let any = |plane: Plane| faults.iter().any(|fault| fault.plane() == plane);
        let network = any(Plane::Network);
        let loss = faults.contains(&FaultKind::Loss);
        let namespaces = network && (root || loss);
        Self {
            namespaces,
            proxy: any(Plane::Frames) || (network && !namespaces),
            disk_mib: any(Plane::Disk).then_some(DISK_MIB),
            clock: any(Plane::Clock),
        }
    }

    /// Whether nodes in this place can have this fault. `peer_links` says whether the driver can
    /// put the proxy between its nodes.
    ///
    /// # Errors
    /// The reason why not, and what to do.
    pub fn supports(&self, fault: FaultKind, peer_links: bool) -> Result<(), String> {
        let when = |possible: bool, why: &str| if possible { Ok(()) } else { Err(why.to_owned()) };
        match fault.plane() {
            Plane::Process | Plane::Files => Ok(()),
            Plane::Network if fault == FaultKind::Loss => when(
                self.namespaces,
                "packets are lost only between network namespaces: run as root with --network namespaces",
            ),
            Plane::Network => when(
                self.namespaces || (self.proxy && peer_links),
                if self.proxy {
                    "its nodes reach each other past the proxy: run as root with --network namespaces"
                } else {
                    "it lives on the host's network: give --network namespaces (as root) or --network proxy"
                },
            ),
            Plane::Frames => when(
                self.proxy,
                "there is no proxy before it that knows Kafka's frames: give --network proxy",
            ),
            Plane::Disk => when(
                self.disk_mib.is_some(),
                "its data is on the host's disk: run as root with --own-disk",
            ),
            Plane::Clock => when(
                self.clock,
                "its clock is the host's: install Debian's package libfaketime and give --own-clock",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_for_faults_supports_them() {
        for fault in FaultKind::BREAKING {
            for root in [true, false] {
                let placement = Placement::for_faults(&[fault], root);
                assert_eq!(placement.supports(fault, true), Ok(()), "{fault}");
            }
        }
        assert_eq!(Placement::for_faults(&[FaultKind::Kill], true), Placement::default());
        assert!(!Placement::for_faults(&[FaultKind::Partition], false).namespaces);
    }

    #[test]
    fn the_host_refuses_what_it_cannot_do_and_says_what_to_do() {
        let host = Placement::default();
        for fault in FaultKind::BREAKING {
            let refused = host.supports(fault, true);
            let possible = matches!(fault.plane(), Plane::Process | Plane::Files);
            assert_eq!(refused.is_ok(), possible, "{fault}");
            assert!(refused.err().is_none_or(|why| why.contains("--")));
        }
        let proxied = Placement { proxy: true, ..host };
        assert!(
            proxied.supports(FaultKind::Partition, false).unwrap_err().contains("past the proxy")
        );
    }
}
