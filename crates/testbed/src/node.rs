//! One node: start, run, stop.

use std::fs::{self, File, TryLockError};
use std::future::Future;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

use crate::broker;
use crate::bugs::Switches;
use crate::config::NodeConfig;
use crate::control::plane::Plane;
use crate::error::NodeError;
use crate::events;
use crate::replica::manager::ReplicaManager;

/// Threads of the control plane's own runtime.
const CONTROL_THREADS: usize = 2;

/// Ends a runtime without waiting for its tasks, which may be dropped in an async context.
struct ControlRuntime(Option<Runtime>);

impl Drop for ControlRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs one node until `shutdown` completes, standard input ends (if configured), or the node cannot
/// go on. Must be called within a multi-threaded tokio runtime.
///
/// # Errors
/// The configuration is bad, a port is taken, the data directory is not usable or locked, Raft does
/// not start, or the disk failed. Each message is one line.
pub async fn run_node(
    config: NodeConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<(), NodeError> {
    config.validate()?;
    let config = Arc::new(config);
    let _lock = lock_data_dir(&config.data_dir)?;
    let kafka = listen("kafka_addr", config.kafka_addr)?;
    let raft = listen("raft_addr", config.raft_addr)?;
    announce_start(&config);

    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(NodeError::Runtime)?;
    let control = ControlRuntime(Some(control));
    let handle = control.0.as_ref().map(Runtime::handle).cloned();
    let handle = handle.ok_or_else(|| NodeError::Raft("no runtime".to_owned()))?;
    let plane = Plane::start(Arc::clone(&config), raft, &handle).await?;

    let (fatal, mut failures) = mpsc::unbounded_channel();
    let switches = Arc::new(Switches::new(&config.bugs));
    let replicas = ReplicaManager::start(Arc::clone(&plane), Arc::clone(&switches), fatal)?;
    let serving = tokio::spawn(broker::serve(Arc::clone(&plane), replicas, switches, kafka));

    let node = config.node_id;
    let outcome = tokio::select! {
        () = shutdown => Ok("shutdown requested"),
        () = stdin_closed(config.exit_on_stdin_eof) => Ok("stdin closed"),
        Some(error) = failures.recv() => Err(error),
    };
    serving.abort();
    match outcome {
        Ok(reason) => {
            plane.shutdown().await;
            tracing::info!(node, reason, "{}", events::NODE_STOPPED);
            Ok(())
        }
        Err(error) => {
            tracing::error!(node, reason = %error, "{}", events::NODE_STOPPED);
            Err(error)
        }
    }
}

fn announce_start(config: &NodeConfig) {
    let bugs = config.bugs.iter().map(|bug| bug.name()).collect::<Vec<_>>().join(",");
    tracing::info!(
        node = config.node_id,
        pid = std::process::id(),
        kafka = %config.kafka_addr,
        raft = %config.raft_addr,
        bugs,
        "{}",
        events::NODE_STARTED
    );
    for bug in &config.bugs {
        tracing::warn!(%bug, "{}", events::BUG_ENABLED);
    }
}

/// Creates the directory, proves that it can be written, and locks it for this process. The lock
/// goes with the process, however it ends.
fn lock_data_dir(path: &Path) -> Result<File, NodeError> {
    let unusable = |source| NodeError::DataDir { path: path.to_owned(), source };
    fs::create_dir_all(path).map_err(unusable)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join("lock"))
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(NodeError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

fn listen(what: &'static str, addr: SocketAddr) -> Result<TcpListener, NodeError> {
    let bind = || -> io::Result<TcpListener> {
        let listener = TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|source| NodeError::Listen { what, addr, source })
}

/// Completes when standard input ends; never if that is not watched. A plain thread reads, because a
/// blocking task of the runtime would keep the process from ending.
async fn stdin_closed(watch: bool) {
    if !watch {
        return std::future::pending().await;
    }
    let (sender, receiver) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let mut stdin = io::stdin();
        let mut buffer = [0; 256];
        while !matches!(stdin.read(&mut buffer), Ok(0) | Err(_)) {}
        drop(sender);
    });
    let _ = receiver.await;
}
