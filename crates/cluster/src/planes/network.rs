//! Splits, loss and bandwidth, through namespaces or the proxy.

use super::inject::{Outcomes, unsupported};
use super::{PlaneError, Split, Stage, beside, sight};
use crate::driver::DriverError;
use crate::fault::{FaultKind, FaultSpec, Sight};
use crate::local::LocalProcesses;
use crate::net::{Cut, Member, cuts};
use crate::node::NodeId;
use crate::proxy::Proxy;
use crate::sync::locked;
use crate::witness::{FaultWitness, PortState, answer_state};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long packets are counted to see that some are lost or wait.
const COUNTING: Duration = Duration::from_millis(1_500);
/// How long a link is given to answer a request that it must not carry.
const SILENCE: Duration = Duration::from_millis(400);
/// How long a link is given to answer a request that it must carry, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// What each cut's connection said.
type Connections = BTreeMap<Cut, String>;

impl LocalProcesses {
    pub(super) async fn apply_network(&self, fault: &FaultSpec, nodes: &[NodeId]) -> Outcomes {
        let begun: Vec<_> =
            nodes.iter().map(|node| FaultWitness::new(fault.kind, *node, self.now_ns())).collect();
        let outcome = self.disturb(fault, nodes).await;
        each_victim(begun, outcome)
    }

    /// Changes the network and gives what was seen, with the members that each sight is about.
    async fn disturb(
        &self,
        fault: &FaultSpec,
        nodes: &[NodeId],
    ) -> Result<Vec<(Vec<NodeId>, Sight)>, DriverError> {
        self.supports(fault.kind).map_err(|why| unsupported(fault.kind, why))?;
        let stage = self.stage()?;
        match fault.kind {
            FaultKind::Loss => self.lose(&stage, nodes, fault.settings.loss_percent).await,
            FaultKind::Bandwidth => self.narrow(&stage, nodes, fault.settings.bandwidth_kbit).await,
            _ => {
                let cuts = cuts(fault.kind, nodes, &self.nodes());
                if cuts.is_empty() {
                    let why =
                        "the victims are all nodes, so that nobody is left to be cut off from";
                    return Err(unsupported(fault.kind, why.to_owned()));
                }
                self.split(&stage, Split { kind: fault.kind, victims: nodes.to_vec(), cuts }).await
            }
        }
    }

    async fn split(
        &self,
        stage: &Arc<Stage>,
        split: Split,
    ) -> Result<Vec<(Vec<NodeId>, Sight)>, DriverError> {
        // What another split cuts already shows nothing of this one.
        let cuts = open_without(&split.cuts, &stage.cuts());
        let before = self.connections(stage, &cuts, PATIENCE).await?;
        locked(&stage.splits).push(split);
        self.enforce(stage).await?;
        let after = self.connections(stage, &cuts, SILENCE).await?;
        let dropped = self.stopped_packets(stage).await?;
        let at_ns = self.now_ns();
        let mut sights = Vec::new();
        for cut in &cuts {
            let involved = members(*cut);
            if let (Some(before), Some(after)) = (before.get(cut), after.get(cut)) {
                let shows = reaches(before) && !reaches(after);
                let what = format!("a connection from {cut}");
                sights.push((involved.clone(), sight(what, before, after, at_ns, shows)));
            }
            // Nobody tries to send from a node to its clients, so that nothing need be dropped there.
            let tried = matches!(cut.to, Member::Node(_));
            if let Some(count) = dropped.get(&cut.to_string()).filter(|_| tried) {
                let what = format!("packets that the kernel dropped from {cut}");
                let seen = sight(what, "0", count.to_string(), at_ns, *count > 0);
                sights.push((involved, seen));
            }
        }
        Ok(sights)
    }

    /// Lets exactly the cuts of the present splits be in force, on whichever plane there is.
    async fn enforce(&self, stage: &Arc<Stage>) -> Result<(), DriverError> {
        let cuts = stage.cuts();
        if let Some(namespaces) = stage.namespaces.clone() {
            beside(move || namespaces.cut(&cuts)).await?.map_err(PlaneError::Net)?;
        } else if let Some(proxy) = &stage.proxy {
            proxy.cut(&cuts);
        }
        Ok(())
    }

    /// Tries a connection in the direction of each cut to a node. A link has `bound` to answer.
    async fn connections(
        &self,
        stage: &Arc<Stage>,
        cuts: &BTreeSet<Cut>,
        bound: Duration,
    ) -> Result<Connections, DriverError> {
        let mut asked = Vec::new();
        for cut in cuts {
            let Member::Node(to) = cut.to else { continue };
            let Some(address) = self.direct_address(to).and_then(|at| at.parse().ok()) else {
                continue;
            };
            asked.push(
                async move { (*cut, self.connection(stage, *cut, (to, address), bound).await) },
            );
        }
        let answers = futures::future::join_all(asked).await;
        answers
            .into_iter()
            .filter_map(|(cut, said)| Some(said.transpose()?.map(|s| (cut, s))))
            .collect()
    }

    async fn connection(
        &self,
        stage: &Arc<Stage>,
        cut: Cut,
        (to, address): (NodeId, SocketAddr),
        bound: Duration,
    ) -> Result<Option<String>, DriverError> {
        if let Some(namespaces) = stage.namespaces.clone() {
            let state = beside(move || namespaces.connect(cut.from, address)).await?;
            return Ok(Some(said(state).to_owned()));
        }
        let Some(proxy) = &stage.proxy else { return Ok(None) };
        let link = match cut.from {
            Member::Clients => proxy.client_link(to, address),
            Member::Node(from) => proxy.peer_link(from, to, address),
        };
        let link = link.map_err(PlaneError::Proxy)?;
        let (_, answered) = answer_state(&link.to_string(), bound).await;
        Ok(Some(if answered { ANSWERED } else { SILENT }.to_owned()))
    }

    /// The packets that each rule dropped.
    async fn stopped_packets(
        &self,
        stage: &Arc<Stage>,
    ) -> Result<BTreeMap<String, u64>, DriverError> {
        let Some(namespaces) = stage.namespaces.clone() else { return Ok(BTreeMap::new()) };
        // Between two nodes that have nothing to say to each other the count may stay zero; the
        // connections that were tried in the direction of each cut see to it that it does not.
        Ok(beside(move || namespaces.dropped()).await?)
    }

    async fn lose(
        &self,
        stage: &Stage,
        nodes: &[NodeId],
        percent: u8,
    ) -> Result<Vec<(Vec<NodeId>, Sight)>, DriverError> {
        let namespaces = stage.namespaces.clone().ok_or(DriverError::NotPrepared)?;
        let victims = nodes.to_vec();
        let (lost, again) = beside(move || {
            let before = namespaces.retransmissions();
            namespaces.lose(&victims, percent)?;
            std::thread::sleep(COUNTING);
            Ok::<_, crate::net::NetError>((
                namespaces.lost(),
                namespaces.retransmissions().saturating_sub(before),
            ))
        })
        .await?
        .map_err(PlaneError::Net)?;
        let at_ns = self.now_ns();
        let what = "packets that the kernels of the victims dropped at random";
        let resent = "TCP segments that the nodes' kernels sent again since the fault";
        Ok(vec![
            (nodes.to_vec(), sight(what, "0", lost.to_string(), at_ns, lost > 0)),
            (nodes.to_vec(), sight(resent, "0", again.to_string(), at_ns, again > 0)),
        ])
    }

    async fn narrow(
        &self,
        stage: &Stage,
        nodes: &[NodeId],
        kbit: u32,
    ) -> Result<Vec<(Vec<NodeId>, Sight)>, DriverError> {
        if let Some(namespaces) = stage.namespaces.clone() {
            let victims = nodes.to_vec();
            let counts = beside(move || {
                namespaces.shape(&victims, kbit)?;
                std::thread::sleep(COUNTING);
                let count = |node: &NodeId| (*node, namespaces.over_limit(*node));
                Ok::<_, crate::net::NetError>(victims.iter().map(count).collect::<Vec<_>>())
            })
            .await?
            .map_err(PlaneError::Net)?;
            let at_ns = self.now_ns();
            let seen = counts.into_iter().map(|(node, count)| {
                let what = format!("packets of node {node} that the token bucket made wait");
                (vec![node], sight(what, "0", count.to_string(), at_ns, count > 0))
            });
            return Ok(seen.collect());
        }
        let proxy = stage.proxy.clone().ok_or(DriverError::NotPrepared)?;
        let before = bytes(&proxy, nodes);
        tokio::time::sleep(COUNTING).await;
        let free = bytes(&proxy, nodes).saturating_sub(before);
        proxy.limit(nodes, kbit);
        tokio::time::sleep(COUNTING).await;
        let narrow = bytes(&proxy, nodes).saturating_sub(before + free);
        let what = format!("bytes that the victims' links carried in {} ms", COUNTING.as_millis());
        let shows = narrow < free;
        let seen = sight(what, free.to_string(), narrow.to_string(), self.now_ns(), shows);
        Ok(vec![(nodes.to_vec(), seen)])
    }

    pub(super) async fn heal_network(&self, fault: &FaultSpec, nodes: &[NodeId]) -> Outcomes {
        let begun: Vec<_> =
            nodes.iter().map(|node| FaultWitness::new(fault.kind, *node, self.now_ns())).collect();
        let outcome = self.mend(fault, nodes).await;
        each_victim(begun, outcome)
    }

    async fn mend(
        &self,
        fault: &FaultSpec,
        nodes: &[NodeId],
    ) -> Result<Vec<(Vec<NodeId>, Sight)>, DriverError> {
        let stage = self.stage()?;
        let victims = nodes.to_vec();
        match (fault.kind, stage.namespaces.clone(), &stage.proxy) {
            (FaultKind::Loss, Some(namespaces), _) => {
                beside(move || namespaces.lose(&victims, 0)).await?.map_err(PlaneError::Net)?;
            }
            (FaultKind::Bandwidth, Some(namespaces), _) => {
                beside(move || namespaces.unshape(&victims)).await?;
            }
            (FaultKind::Bandwidth, None, Some(proxy)) => proxy.limit(nodes, 0),
            (FaultKind::Loss | FaultKind::Bandwidth, ..) => return Err(DriverError::NotPrepared),
            _ => return self.rejoin(&stage, fault.kind, nodes).await,
        }
        let seen = self.connections_of_clients(&stage, nodes).await?;
        Ok(seen)
    }

    /// Takes the cuts of one split back, and tries the connections that no other split cuts.
    async fn rejoin(
        &self,
        stage: &Arc<Stage>,
        kind: FaultKind,
        victims: &[NodeId],
    ) -> Result<Vec<(Vec<NodeId>, Sight)>, DriverError> {
        let were = stage.end_split(kind, victims);
        let were = open_without(&were, &stage.cuts());
        self.enforce(stage).await?;
        let now = self.connections(stage, &were, PATIENCE).await?;
        let at_ns = self.now_ns();
        let seen = now.into_iter().map(|(cut, after)| {
            let (what, shows) = (format!("a connection from {cut}"), reaches(&after));
            (members(cut), Sight { what, before: None, after, at_ns, shows })
        });
        Ok(seen.collect())
    }

    async fn connections_of_clients(
        &self,
        stage: &Arc<Stage>,
        nodes: &[NodeId],
    ) -> Result<Vec<(Vec<NodeId>, Sight)>, DriverError> {
        let to = |node: &NodeId| Cut { from: Member::Clients, to: Member::Node(*node) };
        let now = self.connections(stage, &nodes.iter().map(to).collect(), PATIENCE).await?;
        let at_ns = self.now_ns();
        let seen = now.into_iter().map(|(cut, after)| {
            let (what, shows) = (format!("a connection from {cut}"), reaches(&after));
            (members(cut), Sight { what, before: None, after, at_ns, shows })
        });
        Ok(seen.collect())
    }
}

const ACCEPTED: &str = "accepted";
const ANSWERED: &str = "answered";
const SILENT: &str = "no answer";

/// Those of the cuts `of` over which a connection works unless they cut it: it needs both directions, and `others` may cut
/// one of them.
fn open_without(of: &BTreeSet<Cut>, others: &BTreeSet<Cut>) -> BTreeSet<Cut> {
    let back = |cut: &Cut| Cut { from: cut.to, to: cut.from };
    of.iter().filter(|cut| !others.contains(cut) && !others.contains(&back(cut))).copied().collect()
}

fn said(state: PortState) -> &'static str {
    match state {
        PortState::Accepted => ACCEPTED,
        PortState::Refused => "refused",
        PortState::TimedOut => "timed out",
        PortState::Failed => "failed",
    }
}

fn reaches(said: &str) -> bool {
    [ACCEPTED, ANSWERED].contains(&said)
}

fn members(cut: Cut) -> Vec<NodeId> {
    let node = |member| match member {
        Member::Node(node) => Some(node),
        Member::Clients => None,
    };
    [cut.from, cut.to].into_iter().filter_map(node).collect()
}

fn bytes(proxy: &Proxy, nodes: &[NodeId]) -> u64 {
    let links = nodes.iter().filter_map(|node| proxy.of_clients(*node));
    links.map(|link| link.counts().bytes_out).sum()
}

/// Gives each victim what was seen of it; what concerns none of them, as in a ring, goes to all.
fn each_victim(
    begun: Vec<FaultWitness>,
    seen: Result<Vec<(Vec<NodeId>, Sight)>, DriverError>,
) -> Outcomes {
    let victims: Vec<NodeId> = begun.iter().map(|witness| witness.node).collect();
    match seen {
        Ok(seen) => begun
            .into_iter()
            .map(|mut witness| {
                let about = |involved: &Vec<NodeId>| {
                    involved.contains(&witness.node)
                        || !involved.iter().any(|node| victims.contains(node))
                };
                witness.sights = seen
                    .iter()
                    .filter(|(involved, _)| about(involved))
                    .map(|(_, sight)| sight.clone())
                    .collect();
                (witness.node, Ok(witness.judge()))
            })
            .collect(),
        Err(error) => {
            let why = error.to_string();
            let mut outcomes: Outcomes = Vec::new();
            for witness in begun {
                let fault = witness.fault;
                outcomes.push((witness.node, Err(unsupported(fault, why.clone()))));
            }
            outcomes
        }
    }
}
