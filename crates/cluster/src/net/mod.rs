//! The network plane as root: each node in a network namespace of its own.
//!
//! ```text
//!  host: clients, observer ── bridge pjT (10.x.y.254) ──┬── pjTn1 ═ eth0 (10.x.y.1) in namespace pjTn1
//!                                                       ├── pjTn2 ═ eth0 (10.x.y.2) in namespace pjTn2
//!                                                       └── …
//! ```
//!
//! `T` is a tag that no other run shares. Splits and loss are packet rules within the namespaces
//! (nftables), bandwidth is a token bucket on both ends of the pair. Each thing is written to the
//! undo journal before it is made.

mod inside;
mod rules;
mod split;

pub(crate) use rules::TABLE;
pub use split::{Cut, Member, cuts};

use crate::deed::{Deed, Ledger};
use crate::node::NodeId;
use crate::process::ProcessSpec;
use crate::procfs::ProcessIdentity;
use crate::sync::locked;
use crate::tool::{self, ToolError};
use crate::undo::{UndoError, UndoJournal};
use crate::witness::PortState;
use rules::RuleSet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The first of the networks 10.208.0.0/24 to 10.223.255.0/24 that runs choose from.
const FIRST_NETWORK: u32 = 0x0AD0_0000;
/// How many there are.
const NETWORKS: u32 = 4096;
/// The host part of the bridge's address, beside which nodes have theirs.
const BRIDGE_HOST: u8 = 254;
/// How long a connection from within a namespace is tried.
const CONNECT_BOUND: Duration = Duration::from_millis(400);
/// Counts the networks of this process, so that each has another tag.
static MADE: AtomicU32 = AtomicU32::new(0);

/// The network of a run could not be made or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// A tool of the system failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The undo journal cannot be written.
    #[error(transparent)]
    Undo(#[from] UndoError),
    /// No network is free.
    #[error("none of the networks 10.208.0.0/24 to 10.223.255.0/24 is free")]
    NoNetwork,
    /// A node has a number that fits into no address.
    #[error("node {0} cannot have an address: in namespaces nodes are numbered 1 to 253")]
    NodeNumber(NodeId),
}

/// One node's place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    namespace: String,
    address: Ipv4Addr,
}

/// The namespaces of one run. Dropping it removes them.
#[derive(Debug)]
pub struct Namespaces {
    bridge: String,
    clients: Ipv4Addr,
    places: BTreeMap<NodeId, Place>,
    ledger: Ledger,
    rules: Mutex<BTreeMap<NodeId, RuleSet>>,
    /// Held for the life of the run: no other run takes this network.
    _network: UnixListener,
}

impl Namespaces {
    /// Makes a bridge, and a namespace for each node that is connected to it. Blocks.
    ///
    /// # Errors
    /// [`NetError`]; what was made until then is removed.
    pub fn create(nodes: &[NodeId], journal: Arc<UndoJournal>) -> Result<Self, NetError> {
        let tag = tag();
        let (network, lock) = free_network()?;
        let mut places = BTreeMap::new();
        for node in nodes {
            let host = u8::try_from(node.0).ok().filter(|host| (1..BRIDGE_HOST).contains(host));
            let host = host.ok_or(NetError::NodeNumber(*node))?;
            let address = Ipv4Addr::from(network | u32::from(host));
            places.insert(*node, Place { namespace: format!("pj{tag}n{node}"), address });
        }
        let made = Self {
            bridge: format!("pj{tag}"),
            clients: Ipv4Addr::from(network | u32::from(BRIDGE_HOST)),
            places,
            ledger: Ledger::new(journal),
            rules: Mutex::default(),
            _network: lock,
        };
        made.build()?;
        Ok(made)
    }

    fn build(&self) -> Result<(), NetError> {
        self.ledger.note(Deed::Device { name: self.bridge.clone() }, None)?;
        let (bridge, clients) = (&self.bridge, self.clients);
        let batch = format!(
            "link add {bridge} type bridge\naddress add {clients}/24 dev {bridge}\nlink set {bridge} up\n"
        );
        tool::run("ip", &["-batch", "-"], &batch)?;
        for (node, Place { namespace, address }) in &self.places {
            self.ledger.note(Deed::Namespace { name: namespace.clone() }, Some(*node))?;
            // The host's end has the name of the namespace. It goes with it, but a namespace outlives its name for as long as
            // the kernel has data of a closed connection to deliver there.
            self.ledger.note(Deed::Device { name: namespace.clone() }, Some(*node))?;
            let outside = format!(
                "netns add {namespace}\nlink add {namespace} type veth peer name eth0 netns {namespace}\nlink set {namespace} master {bridge} up\n"
            );
            tool::run("ip", &["-batch", "-"], &outside)?;
            let within = format!(
                "link set lo up\naddress add {address}/24 dev eth0\nlink set eth0 up\nroute add default via {clients}\n"
            );
            tool::run("ip", &["-n", namespace, "-batch", "-"], &within)?;
        }
        Ok(())
    }

    /// The address of a node.
    #[must_use]
    pub fn address(&self, node: NodeId) -> Option<IpAddr> {
        self.places.get(&node).map(|place| IpAddr::V4(place.address))
    }

    /// The name of a node's namespace.
    #[must_use]
    pub fn namespace(&self, node: NodeId) -> Option<&str> {
        self.places.get(&node).map(|place| place.namespace.as_str())
    }

    /// How to start a node's process within its namespace. The process keeps its pid on the way.
    #[must_use]
    pub fn enter(&self, node: NodeId, spec: ProcessSpec) -> ProcessSpec {
        let Some(place) = self.places.get(&node) else { return spec };
        let mut args = vec![
            format!("--net=/run/netns/{}", place.namespace),
            "--".to_owned(),
            spec.program.to_string_lossy().into_owned(),
        ];
        args.extend(spec.args);
        ProcessSpec { program: "nsenter".into(), args, ..spec }
    }

    fn place_of(&self, member: Member) -> Option<Ipv4Addr> {
        match member {
            Member::Node(node) => self.places.get(&node).map(|place| place.address),
            Member::Clients => Some(self.clients),
        }
    }

    /// Lets exactly these cuts be in force. Blocks.
    ///
    /// # Errors
    /// [`NetError`]; then some namespaces may have their new rules already.
    pub fn cut(&self, cuts: &BTreeSet<Cut>) -> Result<(), NetError> {
        self.change(|node, rules| {
            let here = |cut: &&Cut| match cut.to {
                Member::Node(to) => to == node,
                Member::Clients => cut.from == Member::Node(node),
            };
            rules.cuts = cuts.iter().filter(here).copied().collect();
        })
    }

    /// Loses a share of the packets that arrive at these nodes; 0 for none. Blocks.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn lose(&self, nodes: &[NodeId], percent: u8) -> Result<(), NetError> {
        self.change(|node, rules| {
            if nodes.contains(&node) {
                rules.loss_percent = percent;
            }
        })
    }

    fn change(&self, change: impl Fn(NodeId, &mut RuleSet)) -> Result<(), NetError> {
        let before = locked(&self.rules).clone();
        for (node, place) in &self.places {
            let old = before.get(node).cloned().unwrap_or_default();
            let mut new = old.clone();
            change(*node, &mut new);
            if new == old {
                continue;
            }
            let deed = Deed::Rules { namespace: place.namespace.clone() };
            if new.is_empty() {
                self.ledger.take_back(&deed);
            } else {
                if old.is_empty() {
                    self.ledger.note(deed, Some(*node))?;
                }
                let script = new.script(*node, |member| self.place_of(member));
                let args = ["netns", "exec", &place.namespace, "nft", "-f", "-"];
                tool::run("ip", &args, &script)?;
            }
            locked(&self.rules).insert(*node, new);
        }
        Ok(())
    }

    /// How many packets each rule has dropped since it was set: `node 1 to node 2` → packets, and
    /// `loss` → packets. Blocks.
    #[must_use]
    pub fn dropped(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for (node, place) in &self.places {
            if locked(&self.rules).get(node).is_none_or(RuleSet::is_empty) {
                continue;
            }
            let namespace = place.namespace.as_str();
            let args = ["netns", "exec", namespace, "nft", "-j", "list", "table", "inet", TABLE];
            match tool::run("ip", &args, "").and_then(|text| rules::counters(&text)) {
                Ok(counters) => {
                    for (name, packets) in counters {
                        *all.entry(name).or_default() += packets;
                    }
                }
                Err(error) => tracing::warn!(%node, %error, "the counters of rules are not known"),
            }
        }
        all
    }

    /// How many packets the rules that lose at random have dropped. Blocks.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.dropped().get(rules::LOSS).copied().unwrap_or(0)
    }

    /// How many TCP segments the kernels of these namespaces, and of no other, sent again.
    #[must_use]
    pub fn retransmissions(&self) -> u64 {
        self.places.values().filter_map(|place| inside::retransmissions(&place.namespace)).sum()
    }

    /// Limits what these nodes send and receive. Blocks.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn shape(&self, nodes: &[NodeId], kbit: u32) -> Result<(), NetError> {
        for (node, place) in self.places.iter().filter(|(node, _)| nodes.contains(node)) {
            for deed in ends(place) {
                let Deed::Shaped { namespace, device } = &deed else { continue };
                self.ledger.note(deed.clone(), Some(*node))?;
                let rate = format!("{}kbit", kbit.max(8));
                let mut args =
                    namespace.iter().flat_map(|n| ["-n", n.as_str()]).collect::<Vec<_>>();
                args.extend(["qdisc", "replace", "dev", device, "root", "tbf", "rate", &rate]);
                args.extend(["burst", "16kb", "latency", "500ms"]);
                tool::run("tc", &args, "")?;
            }
        }
        Ok(())
    }

    /// Takes the limits away again. Blocks.
    pub fn unshape(&self, nodes: &[NodeId]) {
        for (_, place) in self.places.iter().filter(|(node, _)| nodes.contains(node)) {
            ends(place).iter().for_each(|deed| self.ledger.take_back(deed));
        }
    }

    /// How often the token bucket of a node made a packet wait or dropped it. Blocks.
    #[must_use]
    pub fn over_limit(&self, node: NodeId) -> u64 {
        let Some(place) = self.places.get(&node) else { return 0 };
        let asked = ends(place).into_iter().filter_map(|deed| {
            let Deed::Shaped { namespace, device } = deed else { return None };
            let mut args = namespace.iter().flat_map(|n| ["-n", n.as_str()]).collect::<Vec<_>>();
            args.extend(["-s", "qdisc", "show", "dev", &device]);
            over_limits(&tool::run("tc", &args, "").ok()?)
        });
        asked.sum()
    }

    /// Tries a TCP connection from one member to a node's port. Blocks for at most 0.4 s.
    #[must_use]
    pub fn connect(&self, from: Member, to: SocketAddr) -> PortState {
        let namespace = match from {
            Member::Node(node) => self.namespace(node),
            Member::Clients => None,
        };
        inside::connect(namespace, to, CONNECT_BOUND)
    }

    /// Removes everything. Can be repeated. Blocks.
    pub fn remove(&self) {
        self.ledger.take_back_all();
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The two ends of a node's pair: its own, and the host's.
fn ends(place: &Place) -> [Deed; 2] {
    let Place { namespace, .. } = place;
    [
        Deed::Shaped { namespace: Some(namespace.clone()), device: "eth0".to_owned() },
        Deed::Shaped { namespace: None, device: namespace.clone() },
    ]
}

/// The number before `overlimits` in what `tc -s` prints: ` Sent … (dropped 0, overlimits 12 …)`.
fn over_limits(text: &str) -> Option<u64> {
    let after = text.split_once("overlimits ")?.1;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Six characters that differ between processes, also over time, and between the networks of one
/// process. An interface's name has at most 15 characters.
fn tag() -> String {
    let start = ProcessIdentity::of(std::process::id()).map_or(0, |own| own.start_ticks);
    let made = u64::from(MADE.fetch_add(1, Ordering::Relaxed));
    let key = (start << 24) ^ (u64::from(std::process::id()) << 8) ^ made;
    let mut scattered = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
    let mut tag = String::new();
    for _ in 0..6 {
        let digit = u32::try_from(scattered % 36).unwrap_or(0);
        tag.push(char::from_digit(digit, 36).unwrap_or('0'));
        scattered /= 36;
    }
    tag
}

/// A network that no interface of this host has an address in, and what keeps it this run's own.
fn free_network() -> Result<(u32, UnixListener), NetError> {
    let addresses = tool::run("ip", &["-o", "-4", "address", "show"], "")?;
    let first = std::process::id().wrapping_mul(2_654_435_761) >> 20;
    for step in 0..NETWORKS {
        let number = (first + step) % NETWORKS;
        let network = FIRST_NETWORK + (number << 8);
        let [a, b, c, _] = Ipv4Addr::from(network).octets();
        if addresses.contains(&format!(" {a}.{b}.{c}.")) {
            continue;
        }
        let name = format!("perjury-network-{number}");
        let lock = UnixAddr::from_abstract_name(name).and_then(|at| UnixListener::bind_addr(&at));
        if let Ok(lock) = lock {
            return Ok((network, lock));
        }
    }
    Err(NetError::NoNetwork)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_differ_and_fit_into_an_interface_name() {
        let tags: BTreeSet<String> = (0..100).map(|_| tag()).collect();
        assert_eq!(tags.len(), 100);
        assert!(tags.iter().all(|tag| format!("pj{tag}n253").len() <= 15));
    }

    #[test]
    fn the_bucket_s_counter_is_read() {
        let text =
            "qdisc tbf 1: dev eth0\n Sent 10 bytes 1 pkt (dropped 2, overlimits 37 requeues 0)\n";
        assert_eq!(over_limits(text), Some(37));
        assert_eq!(over_limits("qdisc noqueue"), None);
    }
}
