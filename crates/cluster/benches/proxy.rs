//! What the proxy costs: request after request of a size that producers use, straight to a server
//! that answers at once and through a link before it.
//!
//! ```console
//! $ cargo bench -p perjury-cluster --bench proxy
//! ```
//!
//! The goal is less than 1 ms more at the 99th percentile. Both ways take turns, so that what else
//! the machine does hits both, and the round in the middle counts. The exit code says whether the
//! goal is met.

use perjury_cluster::NodeId;
use perjury_cluster::proxy::Proxy;
use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How often both ways are timed.
const ROUNDS: usize = 11;
/// Requests of a round that are timed, after some that are not.
const REQUESTS: usize = 2_000;
const WARM_UP: usize = 200;
/// Bytes of a request behind its head: a Produce request of some records.
const BODY: usize = 1_000;
/// Bytes of an answer behind its number.
const ANSWER: usize = 60;
/// What may be added at the 99th percentile.
const GOAL: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(measure()));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

async fn measure() -> Result<bool, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = serve(stream).await;
            });
        }
    });
    let proxy = Proxy::new();
    let link = proxy.client_link(NodeId(1), server)?;
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let (direct, proxied) = (round_trips(server).await?, round_trips(link).await?);
        let added = percentile(&proxied, 99).saturating_sub(percentile(&direct, 99));
        rounds.push((added, direct, proxied));
    }
    rounds.sort_unstable();
    let (added, direct, proxied) = rounds.swap_remove(ROUNDS / 2);
    let mut out = std::io::stdout();
    for percent in [50, 90, 99] {
        let (one, other) = (percentile(&direct, percent), percentile(&proxied, percent));
        let more = other.saturating_sub(one);
        writeln!(out, "p{percent}: direct {one:?}, through the proxy {other:?}, added {more:?}")?;
    }
    let met = added < GOAL;
    writeln!(out, "goal: less than {GOAL:?} added at p99: {}", if met { "met" } else { "missed" })?;
    Ok(met)
}

/// Answers every frame by its number and some bytes.
async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut answer = vec![0; 4 + 4 + ANSWER];
    let length = u32::try_from(4 + ANSWER).unwrap_or(u32::MAX);
    answer[..4].copy_from_slice(&length.to_be_bytes());
    loop {
        let size = stream.read_u32().await? as usize;
        let mut request = vec![0; size];
        stream.read_exact(&mut request).await?;
        answer[4..8].copy_from_slice(&request[4..8]);
        stream.write_all(&answer).await?;
    }
}

async fn round_trips(address: SocketAddr) -> std::io::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut times = Vec::with_capacity(REQUESTS);
    for number in 0..WARM_UP + REQUESTS {
        let mut request = Vec::with_capacity(BODY + 14);
        let length = u32::try_from(BODY + 10).unwrap_or(u32::MAX);
        request.extend_from_slice(&length.to_be_bytes());
        // Produce, version 9, the request's number, no client id.
        request.extend_from_slice(&[0, 0, 0, 9]);
        request.extend_from_slice(&u32::try_from(number).unwrap_or(0).to_be_bytes());
        request.extend_from_slice(&[0xFF, 0xFF]);
        request.resize(BODY + 14, 1);
        let began = Instant::now();
        stream.write_all(&request).await?;
        let size = stream.read_u32().await? as usize;
        let mut answer = vec![0; size];
        stream.read_exact(&mut answer).await?;
        if number >= WARM_UP {
            times.push(began.elapsed());
        }
    }
    times.sort_unstable();
    Ok(times)
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}
