//! The Kafka port: connections, and one file for each group of requests.
//!
//! Requests of one connection take effect in the order in which they arrive, and are answered in
//! that order; those that wait do not hold up the ones behind them from taking effect. That is what
//! a pipelining client needs to keep its producer's order.

mod admin;
mod dispatch;
mod fetch;
mod groups;
mod metadata;
mod offsets;
mod produce;
mod topics;
mod transactions;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::bugs::Switches;
use crate::control::plane::Plane;
use crate::coordinator::Coordinators;
use crate::events;
use crate::replica::manager::ReplicaManager;
use crate::wire::read_frame;

/// How many requests of one connection may wait for their answers.
const PIPELINE: usize = 64;

/// Pause after a failed accept, which happens when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What every request handler uses.
#[derive(Debug)]
pub(crate) struct Context {
    plane: Arc<Plane>,
    replicas: Arc<ReplicaManager>,
    switches: Arc<Switches>,
    coordinators: Arc<Coordinators>,
    /// Counts produce requests, for the bug that swallows some of their answers.
    produce_requests: AtomicU64,
    /// Counts EndTxn requests, for the bug that delays some of them.
    end_requests: AtomicU64,
}

/// What becomes of a request.
#[derive(Debug)]
enum Reply {
    /// A whole frame.
    Send(Bytes),
    /// The request has no answer.
    Silent,
    /// The connection is closed.
    Close,
}

/// A reply that may have to be waited for.
type Pending = BoxFuture<'static, Reply>;

/// Accepts clients until the task is aborted.
pub(crate) async fn serve(
    plane: Arc<Plane>,
    replicas: Arc<ReplicaManager>,
    switches: Arc<Switches>,
    listener: std::net::TcpListener,
) {
    let addr = plane.config.kafka_addr;
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(source) => return replicas.storage_failed("kafka listener", &source),
    };
    let coordinators =
        Coordinators::start(Arc::clone(&plane), Arc::clone(&replicas), Arc::clone(&switches));
    let context = Arc::new(Context {
        plane,
        replicas,
        switches,
        coordinators,
        produce_requests: AtomicU64::new(0),
        end_requests: AtomicU64::new(0),
    });
    let connections = AtomicU64::new(0);
    tracing::info!(%addr, "{}", events::KAFKA_LISTENER_READY);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let context = Arc::clone(&context);
                let connection = connections.fetch_add(1, Ordering::Relaxed) + 1;
                tokio::spawn(async move {
                    if let Err(error) = converse(context, stream, connection).await {
                        tracing::debug!(%error, "client connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept on the kafka port");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(context: Arc<Context>, stream: TcpStream, connection: u64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    let (pending, replies) = mpsc::channel(PIPELINE);
    let reading = async {
        let mut reader = BufReader::new(reader);
        while let Some(frame) = read_frame(&mut reader).await? {
            let Some(reply) = dispatch::dispatch(&context, frame, connection).await? else {
                break;
            };
            if pending.send(reply).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    // Whichever ends first ends the other: a client that is gone reads no answers.
    tokio::select! {
        result = reading => result,
        result = answer(replies, writer) => result,
    }
}

async fn answer(
    mut replies: mpsc::Receiver<Pending>,
    mut writer: OwnedWriteHalf,
) -> io::Result<()> {
    while let Some(pending) = replies.recv().await {
        match pending.await {
            Reply::Send(frame) => writer.write_all(&frame).await?,
            Reply::Silent => {}
            Reply::Close => return Ok(()),
        }
    }
    Ok(())
}
