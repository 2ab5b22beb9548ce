//! The network plane without root: a TCP proxy per link that knows Kafka's frames.
//!
//! ```text
//!  client ──► link of node n ──► node n          frames, addresses rewritten, rules per API
//!  node a ──► link from a to b ──► node b        bytes, where the driver can tell a another address
//! ```
//!
//! Clients are told the links' addresses instead of the nodes': in Metadata, FindCoordinator and
//! DescribeCluster. The newer versions of Produce and Fetch that name nodes too are not offered.
//! Everything else passes byte for byte. What a cut link is given waits, as segments that TCP sends
//! again do, and goes on when the link heals.

mod frame;
mod link;
mod pump;
mod rewrite;
mod rules;

pub use frame::api_number;
pub use link::{Link, LinkCounts, Weather};
pub use rules::{Direction, FrameAction, FrameRule};

use crate::net::{Cut, Member};
use crate::node::NodeId;
use crate::sync::locked;
use rewrite::Detours;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// Who opens the connections of a link, and to which node. A node has one link for its clients and
/// several for another node, one for each port.
type Ends = (Member, NodeId, SocketAddr);

/// All links of one cluster. Dropping it ends them.
#[derive(Debug, Default)]
pub struct Proxy {
    links: Mutex<BTreeMap<Ends, Arc<Link>>>,
    detours: Arc<RwLock<Arc<Detours>>>,
}

impl Proxy {
    /// A proxy without links.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The address at which clients reach `node`, whose own address is `upstream`. The same link for
    /// the same upstream; a link to an earlier upstream of the node ends. Must be called within a
    /// tokio runtime.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn client_link(&self, node: NodeId, upstream: SocketAddr) -> io::Result<SocketAddr> {
        let ends = (Member::Clients, node, upstream);
        let mut links = locked(&self.links);
        links
            .retain(|(from, to, at), _| *from != Member::Clients || *to != node || *at == upstream);
        if let Some(link) = links.get(&ends) {
            return Ok(link.address());
        }
        let link = Link::open(upstream, false, Arc::clone(&self.detours))?;
        let address = link.address();
        let mut detours = self.detours.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Detours::clone(&detours);
        changed.insert(node.0, address);
        *detours = Arc::new(changed);
        links.insert(ends, Arc::new(link));
        Ok(address)
    }

    /// The address at which node `from` reaches a port of node `to`. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn peer_link(
        &self,
        from: NodeId,
        to: NodeId,
        upstream: SocketAddr,
    ) -> io::Result<SocketAddr> {
        let ends = (Member::Node(from), to, upstream);
        let mut links = locked(&self.links);
        if let Some(link) = links.get(&ends) {
            return Ok(link.address());
        }
        let link = Link::open(upstream, true, Arc::clone(&self.detours))?;
        let address = link.address();
        links.insert(ends, Arc::new(link));
        Ok(address)
    }

    /// The link that clients of a node use.
    #[must_use]
    pub fn of_clients(&self, node: NodeId) -> Option<Arc<Link>> {
        self.each(|from, to| from == Member::Clients && to == node).into_iter().next()
    }

    /// Whether nodes reach each other through links too.
    #[must_use]
    pub fn between_nodes(&self) -> bool {
        !self.each(|from, _| from != Member::Clients).is_empty()
    }

    fn each(&self, wanted: impl Fn(Member, NodeId) -> bool) -> Vec<Arc<Link>> {
        let links = locked(&self.links);
        let found = links.iter().filter(|((from, to, _), _)| wanted(*from, *to));
        found.map(|(_, link)| Arc::clone(link)).collect()
    }

    /// Lets exactly these cuts be in force.
    pub fn cut(&self, cuts: &BTreeSet<Cut>) {
        for ((from, to, _), link) in &*locked(&self.links) {
            let (from, to) = (*from, Member::Node(*to));
            link.change_weather(|weather| {
                weather.hold_up = cuts.contains(&Cut { from, to });
                weather.hold_down = cuts.contains(&Cut { from: to, to: from });
            });
        }
    }

    /// What the links that carry traffic between two members have seen, added up: frames that came
    /// in for `cut.to`, and frames that went out to it.
    #[must_use]
    pub fn passage(&self, cut: Cut) -> (u64, u64) {
        let (mut came, mut went) = (0, 0);
        for ((from, to, _), link) in &*locked(&self.links) {
            let counts = link.counts();
            if (*from, Member::Node(*to)) == (cut.from, cut.to) {
                came += counts.up_in;
                went += counts.up_out;
            } else if (Member::Node(*to), *from) == (cut.from, cut.to) {
                came += counts.down_in;
                went += counts.down_out;
            }
        }
        (came, went)
    }

    /// Delays everything between clients and these nodes; [`Duration::ZERO`] for not at all.
    pub fn delay(&self, nodes: &[NodeId], delay: Duration, uneven: bool) {
        for link in self.each(|from, to| from == Member::Clients && nodes.contains(&to)) {
            link.change_weather(|weather| (weather.delay, weather.uneven) = (delay, uneven));
        }
    }

    /// Limits every connection to these nodes; 0 for not at all.
    pub fn limit(&self, nodes: &[NodeId], kbit: u32) {
        let near = |from: Member, to: NodeId| {
            nodes.contains(&to) || nodes.iter().any(|node| from == Member::Node(*node))
        };
        for link in self.each(near) {
            link.change_weather(|weather| weather.kbit = kbit);
        }
    }
}
