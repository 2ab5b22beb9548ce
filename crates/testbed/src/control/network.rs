//! Raft's messages over TCP, and the proof that a quorum still follows this leader.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openraft::BasicNode;
use openraft::error::{InstallSnapshotError, NetworkError, RPCError, RaftError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};

use super::raft::{NodeId, TypeConfig};
use super::rpc::{Client, Reply, Request};
use crate::config::NodeConfig;

/// How long a vote request may take; openraft cancels the others itself.
const CONNECT_PATIENCE: Duration = Duration::from_millis(500);

/// Pause before a peer that could not be reached is tried again.
const BACKOFF: Duration = Duration::from_millis(100);

/// For each peer, when the last append request that it accepted was sent, and in which term.
///
/// A follower that accepted an append grants no vote for the leader's lease after it, so as long as
/// a majority did so recently no other leader can exist. Taking the time of sending is the careful
/// choice.
#[derive(Debug, Default)]
pub(crate) struct QuorumProof {
    accepted: Mutex<BTreeMap<NodeId, (u64, Instant)>>,
}

impl QuorumProof {
    fn record(&self, peer: NodeId, term: u64, sent: Instant) {
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        accepted.insert(peer, (term, sent));
    }

    /// Whether a majority of `members` nodes, this one included, accepted this leader's term within
    /// `lease`.
    pub(crate) fn holds(&self, members: usize, term: u64, lease: Duration) -> bool {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let recent =
            accepted.values().filter(|(at, sent)| *at == term && sent.elapsed() < lease).count();
        recent >= members / 2
    }
}

/// Makes one connection for each peer.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    config: Arc<NodeConfig>,
    proof: Arc<QuorumProof>,
}

impl Network {
    pub(crate) fn new(config: Arc<NodeConfig>, proof: Arc<QuorumProof>) -> Self {
        Self { config, proof }
    }
}

/// The connection to one peer.
#[derive(Debug)]
pub(crate) struct Connection {
    target: NodeId,
    client: Option<Client>,
    proof: Arc<QuorumProof>,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Connection;

    /// Uses the configured address, not the one in the membership: a restarted cluster may have
    /// other ports.
    async fn new_client(&mut self, target: NodeId, _node: &BasicNode) -> Connection {
        let peer = self.config.peers.iter().find(|peer| NodeId::from(peer.id) == target);
        let client = peer.map(|peer| {
            Client::new(&self.config.cluster_id, self.config.node_id, peer.raft.clone())
        });
        Connection { target, client, proof: Arc::clone(&self.proof) }
    }
}

type Failure<E> = RPCError<NodeId, BasicNode, RaftError<NodeId, E>>;

#[derive(Debug, thiserror::Error)]
#[error("peer answered: {0}")]
struct PeerError(String);

impl Connection {
    async fn call<E: std::error::Error>(
        &mut self,
        request: Request,
        timeout: Duration,
    ) -> Result<Reply, Failure<E>> {
        let Some(client) = &mut self.client else {
            let error = io::Error::other(format!("node {} is not configured", self.target));
            return Err(RPCError::Unreachable(Unreachable::new(&error)));
        };
        client.call(request, timeout).await.map_err(|error| {
            if error.kind() == io::ErrorKind::ConnectionRefused {
                RPCError::Unreachable(Unreachable::new(&error))
            } else {
                RPCError::Network(NetworkError::new(&error))
            }
        })
    }
}

fn peer_error<E: std::error::Error>(error: impl fmt::Display) -> Failure<E> {
    RPCError::Network(NetworkError::new(&PeerError(error.to_string())))
}

impl RaftNetwork<TypeConfig> for Connection {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, Failure<openraft::error::Infallible>> {
        let (sent, term) = (Instant::now(), rpc.vote.leader_id().term);
        match self.call(Request::Append(rpc), option.hard_ttl()).await? {
            Reply::Append(Ok(answer)) => {
                if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
                    self.proof.record(self.target, term, sent);
                }
                Ok(answer)
            }
            Reply::Append(Err(error)) => Err(peer_error(error)),
            _ => Err(peer_error("an answer of another kind")),
        }
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<NodeId>, Failure<InstallSnapshotError>> {
        match self.call(Request::Snapshot(rpc), option.hard_ttl()).await? {
            Reply::Snapshot(Ok(vote)) => Ok(InstallSnapshotResponse { vote }),
            Reply::Snapshot(Err(error)) => Err(peer_error(error)),
            _ => Err(peer_error("an answer of another kind")),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<NodeId>,
        option: RPCOption,
    ) -> Result<VoteResponse<NodeId>, Failure<openraft::error::Infallible>> {
        let timeout = option.hard_ttl().min(CONNECT_PATIENCE);
        match self.call(Request::Vote(rpc), timeout).await? {
            Reply::Vote(Ok(answer)) => Ok(answer),
            Reply::Vote(Err(error)) => Err(peer_error(error)),
            _ => Err(peer_error("an answer of another kind")),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}
