//! The handle through which the node uses its control plane.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openraft::error::{ClientWriteError, InitializeError, RaftError};
use openraft::{BasicNode, ServerState, SnapshotPolicy};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use uuid::Uuid;

use super::commands::{Command, Outcome};
use super::heartbeat::Lease;
use super::image::Image;
use super::journal::Journal;
use super::machine::Machine;
use super::network::{Network, QuorumProof};
use super::raft::{NodeId, Raft};
use super::rpc::{Client, Envelope, Heartbeat, HeartbeatReply, ProposeError, Reply, Request};
use crate::config::NodeConfig;
use crate::error::NodeError;

/// How long one attempt to reach the controller may take.
const PROPOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Pause between attempts while no controller is known.
const PROPOSE_PAUSE: Duration = Duration::from_millis(50);

/// The control plane of one node.
#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) config: Arc<NodeConfig>,
    /// Names this run of the process.
    pub(crate) incarnation: Uuid,
    /// Whether the controller confirms this broker.
    pub(crate) lease: Lease,
    raft: RaftHandle,
    images: watch::Receiver<Arc<Image>>,
    proof: Arc<QuorumProof>,
    /// For each broker, when its last heartbeat came and what it said.
    heard: Mutex<BTreeMap<u32, (Instant, Heartbeat)>>,
    /// When a Raft leader last wrote to this node.
    leader_heard: Mutex<Instant>,
}

/// [`Raft`] has no `Debug`.
struct RaftHandle(Raft);

impl std::fmt::Debug for RaftHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Raft")
    }
}

fn raft_error(error: impl std::fmt::Display) -> NodeError {
    NodeError::Raft(error.to_string())
}

impl Plane {
    /// Starts Raft, the Raft port, heartbeats and the controller's loop as tasks of `runtime`, which
    /// should not be the one that serves clients: a disk that keeps those threads busy must not
    /// delay heartbeats.
    ///
    /// # Errors
    /// The metadata on disk cannot be read, or Raft does not start.
    pub(crate) async fn start(
        config: Arc<NodeConfig>,
        listener: std::net::TcpListener,
        runtime: &Handle,
    ) -> Result<Arc<Self>, NodeError> {
        let starting = runtime.spawn(async move {
            let listener = TcpListener::from_std(listener)
                .map_err(|source| storage_error("raft listener", source))?;
            let plane = Arc::new(Self::open(config).await?);
            tokio::spawn(super::server::serve(Arc::clone(&plane), listener));
            plane.initialize().await?;
            super::heartbeat::start(&plane);
            tokio::spawn(super::controller::run(Arc::clone(&plane)));
            tokio::spawn(super::elections::run(Arc::clone(&plane)));
            Ok(plane)
        });
        starting.await.map_err(raft_error)?
    }

    async fn open(config: Arc<NodeConfig>) -> Result<Self, NodeError> {
        let dir = config.data_dir.join("metadata");
        let journal = Journal::open(&dir).map_err(|source| storage_error("metadata", source))?;
        let (machine, images) =
            Machine::open(&dir).map_err(|source| storage_error("metadata snapshot", source))?;
        let timings = &config.timings;
        let raft_config = openraft::Config {
            cluster_name: config.cluster_id.clone(),
            heartbeat_interval: timings.raft_heartbeat_ms,
            election_timeout_min: timings.raft_election_min_ms,
            election_timeout_max: timings.raft_election_max_ms,
            install_snapshot_timeout: 2_000,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(config.metadata_snapshot_entries),
            max_in_snapshot_log_to_keep: config.metadata_snapshot_entries / 4,
            ..openraft::Config::default()
        };
        let raft_config = Arc::new(raft_config.validate().map_err(raft_error)?);
        let proof = Arc::new(QuorumProof::default());
        let network = Network::new(Arc::clone(&config), Arc::clone(&proof));
        let id = NodeId::from(config.node_id);
        let raft =
            Raft::new(id, raft_config, network, journal, machine).await.map_err(raft_error)?;
        Ok(Self {
            config,
            incarnation: Uuid::new_v4(),
            lease: Lease::new(),
            raft: RaftHandle(raft),
            images,
            proof,
            heard: Mutex::new(BTreeMap::new()),
            leader_heard: Mutex::new(Instant::now()),
        })
    }

    /// Every fresh node writes the same first membership, which openraft allows.
    async fn initialize(&self) -> Result<(), NodeError> {
        let members: BTreeMap<NodeId, BasicNode> = self
            .config
            .peers
            .iter()
            .map(|peer| (NodeId::from(peer.id), BasicNode::new(peer.raft.to_string())))
            .collect();
        let wanted: BTreeSet<NodeId> = members.keys().copied().collect();
        match self.raft.0.initialize(members).await {
            Ok(()) => Ok(()),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {
                let metrics = self.raft.0.metrics().borrow().clone();
                let known: BTreeSet<NodeId> = metrics.membership_config.voter_ids().collect();
                if !known.is_empty() && known != wanted {
                    let message = format!("data was written by a cluster of nodes {known:?}");
                    return Err(NodeError::Raft(message));
                }
                Ok(())
            }
            Err(error) => Err(raft_error(error)),
        }
    }

    /// The metadata as this node knows it.
    pub(crate) fn image(&self) -> Arc<Image> {
        Arc::clone(&self.images.borrow())
    }

    /// A channel on which every new image appears.
    pub(crate) fn images(&self) -> watch::Receiver<Arc<Image>> {
        self.images.clone()
    }

    /// The controller as this node knows it.
    pub(crate) fn controller_id(&self) -> Option<u32> {
        self.raft.0.metrics().borrow().current_leader.and_then(|id| u32::try_from(id).ok())
    }

    /// The Raft leader and the term, as this node knows them.
    pub(crate) fn raft_leader(&self) -> (Option<NodeId>, u64) {
        let metrics = self.raft.0.metrics();
        let metrics = metrics.borrow();
        (metrics.current_leader, metrics.current_term)
    }

    /// The term in which this node is the controller: it leads, a quorum confirmed that within the
    /// Raft lease, and it applied everything that its predecessors committed.
    pub(crate) fn controller_term(&self) -> Option<u64> {
        let metrics = self.raft.0.metrics();
        let metrics = metrics.borrow();
        let applied_term = metrics.last_applied.map(|id| id.leader_id.term);
        (metrics.state == ServerState::Leader
            && applied_term == Some(metrics.current_term)
            && self.proof.holds(
                self.config.peers.len(),
                metrics.current_term,
                self.config.timings.raft_lease(),
            ))
        .then_some(metrics.current_term)
    }

    /// When a Raft leader last wrote to this node; before the first time, when the node started.
    pub(crate) fn leader_heard(&self) -> Instant {
        *self.leader_heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether openraft may begin an election when its timeout passes.
    pub(crate) fn allow_election(&self, allowed: bool) {
        self.raft.0.runtime_config().elect(allowed);
    }

    /// When a broker was last heard of by this node, and what it said.
    pub(crate) fn heard(&self, id: u32) -> Option<(Instant, Heartbeat)> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Notes a heartbeat and answers it.
    pub(crate) fn on_heartbeat(&self, heartbeat: &Heartbeat) -> HeartbeatReply {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.insert(heartbeat.id, (Instant::now(), heartbeat.clone()));
        drop(heard);
        let image = self.image();
        let active = image
            .brokers
            .get(&heartbeat.id)
            .is_some_and(|broker| !broker.fenced && broker.incarnation == heartbeat.incarnation);
        HeartbeatReply {
            controller: self.controller_term().is_some(),
            active,
            leadership_index: image.leadership_index,
        }
    }

    /// Answers one request of the Raft port.
    pub(crate) async fn handle(&self, envelope: Envelope) -> Reply {
        if envelope.cluster != self.config.cluster_id {
            let ours = &self.config.cluster_id;
            return Reply::Refused(format!("this is cluster {ours:?}"));
        }
        if !self.config.peers.iter().any(|peer| peer.id == envelope.from) {
            return Reply::Refused(format!("node {} is not a peer", envelope.from));
        }
        let raft = &self.raft.0;
        match envelope.request {
            Request::Append(rpc) => {
                *self.leader_heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                Reply::Append(raft.append_entries(rpc).await.map_err(|error| error.to_string()))
            }
            Request::Vote(rpc) => {
                Reply::Vote(raft.vote(rpc).await.map_err(|error| error.to_string()))
            }
            Request::Snapshot(rpc) => {
                let answer = raft.install_snapshot(rpc).await;
                Reply::Snapshot(answer.map(|ok| ok.vote).map_err(|error| error.to_string()))
            }
            Request::Heartbeat(heartbeat) => Reply::Heartbeat(self.on_heartbeat(&heartbeat)),
            Request::Propose(command) => Reply::Propose(self.propose_here(command).await),
        }
    }

    /// Commits a command if this node leads the Raft group.
    pub(crate) async fn propose_here(&self, command: Command) -> Result<Outcome, ProposeError> {
        match tokio::time::timeout(PROPOSE_TIMEOUT, self.raft.0.client_write(command)).await {
            Ok(Ok(response)) => Ok(response.data),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))) => {
                Err(ProposeError::NotController)
            }
            Ok(Err(error)) => Err(ProposeError::Unknown(error.to_string())),
            Err(_) => Err(ProposeError::Unknown("no quorum in time".to_owned())),
        }
    }

    /// Sends a command to the controller, once.
    pub(crate) async fn propose(&self, command: Command) -> Result<Outcome, ProposeError> {
        let controller = self.controller_id().ok_or(ProposeError::NotController)?;
        if controller == self.config.node_id {
            return self.propose_here(command).await;
        }
        let peer = self.config.peers.iter().find(|peer| peer.id == controller);
        let target = peer.map(|peer| peer.raft.clone()).ok_or(ProposeError::NotController)?;
        let mut client = Client::new(&self.config.cluster_id, self.config.node_id, target);
        match client.call(Request::Propose(command), PROPOSE_TIMEOUT).await {
            Ok(Reply::Propose(result)) => result,
            Ok(_) => Err(ProposeError::Unknown("an answer of another kind".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Err(ProposeError::NotController)
            }
            Err(error) => Err(ProposeError::Unknown(error.to_string())),
        }
    }

    /// Sends a command until its outcome is known or the deadline passed. Only for commands that
    /// give the same outcome when applied twice.
    pub(crate) async fn propose_until(
        &self,
        command: &Command,
        deadline: Instant,
    ) -> Result<Outcome, ProposeError> {
        loop {
            let error = match self.propose(command.clone()).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => error,
            };
            if Instant::now() + PROPOSE_PAUSE >= deadline {
                return Err(error);
            }
            tokio::time::sleep(PROPOSE_PAUSE).await;
        }
    }

    /// Stops Raft; its tasks end.
    pub(crate) async fn shutdown(&self) {
        if let Err(error) = self.raft.0.shutdown().await {
            tracing::debug!(%error, "raft did not stop cleanly");
        }
    }
}

fn storage_error(what: &str, source: io::Error) -> NodeError {
    NodeError::Storage { what: what.to_owned(), source }
}
