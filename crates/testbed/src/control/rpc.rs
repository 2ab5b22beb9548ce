//! What travels on the Raft port: a four-byte length, then JSON, one answer for each request.

use std::io;
use std::time::Duration;

use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, VoteRequest, VoteResponse,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::commands::{Command, Outcome};
use super::raft::{NodeId, TypeConfig, Vote};
use crate::config::HostPort;

/// Largest frame in bytes; a snapshot chunk of 3 MiB written as JSON numbers fits.
const FRAME_LIMIT: usize = 32 * 1024 * 1024;

/// A request with who sends it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope {
    /// The cluster's name; another one is refused.
    pub(crate) cluster: String,
    pub(crate) from: u32,
    pub(crate) request: Request,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Request {
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<NodeId>),
    Snapshot(InstallSnapshotRequest<TypeConfig>),
    Heartbeat(Heartbeat),
    Propose(Command),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply {
    Append(Result<AppendEntriesResponse<NodeId>, String>),
    Vote(Result<VoteResponse<NodeId>, String>),
    Snapshot(Result<Vote, String>),
    Heartbeat(HeartbeatReply),
    Propose(Result<Outcome, ProposeError>),
    /// The request came from another cluster.
    Refused(String),
}

/// A broker tells a node that it lives (Kafka's BrokerHeartbeat, sent to every node).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heartbeat {
    pub(crate) id: u32,
    pub(crate) incarnation: Uuid,
    pub(crate) applied_index: u64,
}

/// What the receiver of a heartbeat knows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct HeartbeatReply {
    /// The receiver is the controller and a quorum confirmed that lately.
    pub(crate) controller: bool,
    /// This incarnation is registered and not fenced.
    pub(crate) active: bool,
    /// The last change of leaders or fencing; a broker that has not applied it must not serve.
    pub(crate) leadership_index: u64,
}

/// Why a proposal was not applied, as far as its sender can know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProposeError {
    /// The receiver is not the controller; nothing happened.
    #[error("not the controller")]
    NotController,
    /// The controller may or may not commit it.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

/// Writes one frame.
pub(crate) async fn write_frame<T: Serialize>(stream: &mut TcpStream, value: &T) -> io::Result<()> {
    let json = serde_json::to_vec(value)?;
    let length = u32::try_from(json.len()).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(json.len() + 4);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&json);
    stream.write_all(&bytes).await
}

/// Reads one frame; `None` when the other side closed between frames.
pub(crate) async fn read_frame<T: DeserializeOwned>(
    stream: &mut TcpStream,
) -> io::Result<Option<T>> {
    let length = match stream.read_u32().await {
        Ok(length) => length as usize,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > FRAME_LIMIT {
        return Err(io::Error::other(format!("frame of {length} bytes exceeds {FRAME_LIMIT}")));
    }
    let mut json = vec![0; length];
    stream.read_exact(&mut json).await?;
    Ok(Some(serde_json::from_slice(&json)?))
}

/// One connection to one node's Raft port, opened when needed. Not shared: a request that was given
/// up poisons the connection, so it is closed.
#[derive(Debug)]
pub(crate) struct Client {
    cluster: String,
    from: u32,
    target: HostPort,
    stream: Option<TcpStream>,
}

impl Client {
    pub(crate) fn new(cluster: &str, from: u32, target: HostPort) -> Self {
        Self { cluster: cluster.to_owned(), from, target, stream: None }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// No connection, a broken one, a refusal, or no answer in time.
    pub(crate) async fn call(&mut self, request: Request, timeout: Duration) -> io::Result<Reply> {
        // Taken out, so that a caller who drops this future drops the connection with it.
        let stream = self.stream.take();
        let envelope = Envelope { cluster: self.cluster.clone(), from: self.from, request };
        let exchange = async {
            let mut stream = match stream {
                Some(stream) => stream,
                None => {
                    let stream =
                        TcpStream::connect((self.target.host.as_str(), self.target.port)).await?;
                    stream.set_nodelay(true)?;
                    stream
                }
            };
            write_frame(&mut stream, &envelope).await?;
            let reply = read_frame(&mut stream).await?;
            let reply = reply.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionReset))?;
            Ok::<_, io::Error>((stream, reply))
        };
        let (stream, reply) = tokio::time::timeout(timeout, exchange).await??;
        if let Reply::Refused(reason) = reply {
            return Err(io::Error::other(reason));
        }
        self.stream = Some(stream);
        Ok(reply)
    }
}
