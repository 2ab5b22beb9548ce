//! The Raft port: answers the requests of other nodes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::plane::Plane;
use super::rpc::{read_frame, write_frame};

/// Pause after a failed accept, which happens when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the runtime ends.
pub(crate) async fn serve(plane: Arc<Plane>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let plane = Arc::clone(&plane);
                tokio::spawn(async move {
                    if let Err(error) = converse(&plane, stream).await {
                        tracing::debug!(%error, "raft connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept on the raft port");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(plane: &Plane, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    while let Some(envelope) = read_frame(&mut stream).await? {
        let reply = plane.handle(envelope).await;
        write_frame(&mut stream, &reply).await?;
    }
    Ok(())
}
