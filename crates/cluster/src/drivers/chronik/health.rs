//! One question to a node's admin endpoint, `GET /admin/health`.

use serde::Deserialize;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the exchange may take.
const LIMIT: Duration = Duration::from_millis(500);
/// An answer is not longer than this.
const MOST_BYTES: u64 = 64 * 1024;

/// What a node says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Health {
    /// Its number.
    pub(super) node_id: u64,
    /// Whether it leads the Raft group.
    pub(super) is_leader: bool,
}

/// Asks the node whose admin endpoint is here.
pub(super) async fn ask(endpoint: SocketAddr) -> Option<Health> {
    tokio::time::timeout(LIMIT, exchange(endpoint)).await.ok()?.ok().flatten()
}

async fn exchange(endpoint: SocketAddr) -> io::Result<Option<Health>> {
    let mut stream = TcpStream::connect(endpoint).await?;
    // The older protocol version: its answer has no chunks, and the connection ends with it.
    stream.write_all(b"GET /admin/health HTTP/1.0\r\nHost: node\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer).await?;
    Ok(parse(&String::from_utf8_lossy(&answer)))
}

fn parse(answer: &str) -> Option<Health> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_ascii_whitespace().nth(1)?;
    (status == "200").then(|| serde_json::from_str(body.trim()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_leader_is_read_from_the_answer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 512];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /admin/health "));
            let body = r#"{"status":"ok","node_id":2,"is_leader":true,"cluster_nodes":[1,2,3]}"#;
            let answer = format!("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        assert_eq!(ask(endpoint).await, Some(Health { node_id: 2, is_leader: true }));
        serving.await.unwrap();
        assert_eq!(ask(endpoint).await, None, "nobody listens any more");
        assert_eq!(parse("HTTP/1.1 503 Unavailable\r\n\r\n{}"), None);
    }
}
