//! The HTTP server: an API under `/api/v1` and the pages that use it.
//!
//! The server only reads: run directories are the truth, and nothing here writes into one. Histories are parsed once, on
//! a thread that may block, and kept for the next request; what is sent is always a window of bounded size. Everything
//! that came from a broker or a client is passed on as JSON text, and the pages never put it into markup.
//!
//! | route | answer |
//! |---|---|
//! | `GET /api/v1/runs` | the list, searched and filtered |
//! | `GET /api/v1/runs/{name}/{time}` | summary, report, plan, header, files |
//! | `GET …/timeline` | latency points, rates, fault bands, leader changes |
//! | `GET …/operations` | operations by index, or searched and paged |
//! | `GET …/log` | who wrote and who read each offset of a key |
//! | `GET …/logs` | what the nodes printed |
//! | `GET …/files/{path}` | a file of the run |
//! | `GET /healthz`, `/readyz` | alive; able to answer |
//! | anything else | the pages |

mod assets;
mod error;
mod histories;
mod routes;
mod security;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use histories::Histories;
use perjury_store::{Store, StoreError};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

pub use error::ApiError;

/// No request carries a body that matters.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Requests beyond this many wait: each may hold a window of a history in memory.
const CONCURRENCY_MAX: usize = 64;
/// A request that takes longer is given up. Parsing ten million operations takes some tens of seconds.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(180);

/// What every handler shares.
#[derive(Debug, Clone)]
pub struct AppState {
    store: Arc<Store>,
    histories: Arc<Histories>,
    allowed_hosts: Option<Arc<[String]>>,
}

impl AppState {
    /// State over this store. Requests are answered whatever `Host` they name.
    pub fn new(store: Store) -> AppState {
        AppState {
            store: Arc::new(store),
            histories: Arc::new(Histories::default()),
            allowed_hosts: None,
        }
    }

    /// Answers only requests that name this machine itself, so that no web page elsewhere can have its own name resolve
    /// to loopback and read along (DNS rebinding).
    #[must_use]
    pub fn only_loopback_hosts(mut self) -> AppState {
        let hosts = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        self.allowed_hosts = Some(Arc::from(hosts));
        self
    }
}

/// Why the server cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {bind}: {source}; choose another port or end the process that holds it"
    )]
    Bind {
        /// The address.
        bind: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The listener broke.
    #[error("the server stopped: {0}")]
    Serve(#[source] std::io::Error),
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local: SocketAddr,
    state: AppState,
}

impl Server {
    /// Opens the store and listens on the address; port 0 takes a free one. On a loopback address only requests that
    /// name this machine are answered.
    ///
    /// # Errors
    /// [`ServeError::Store`] or [`ServeError::Bind`].
    pub async fn bind(
        store_root: impl Into<PathBuf>,
        bind: SocketAddr,
    ) -> Result<Server, ServeError> {
        let mut state = AppState::new(Store::open(store_root)?);
        if bind.ip().is_loopback() {
            state = state.only_loopback_hosts();
        }
        let refused = |source| ServeError::Bind { bind, source };
        let listener = TcpListener::bind(bind).await.map_err(refused)?;
        let local = listener.local_addr().map_err(refused)?;
        Ok(Server { listener, local, state })
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Answers until `shutdown` completes, then finishes the requests under way.
    ///
    /// # Errors
    /// [`ServeError::Serve`] when the listener breaks.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        tracing::info!(address = %self.local, "serving");
        axum::serve(self.listener, router(self.state))
            .with_graceful_shutdown(shutdown)
            .await
            .map_err(ServeError::Serve)
    }
}

/// Serves the store on the address until `shutdown` completes: [`Server::bind`] and [`Server::run`] in one.
///
/// # Errors
/// As those two.
pub async fn serve(
    store_root: impl Into<PathBuf>,
    bind: SocketAddr,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    Server::bind(store_root, bind).await?.run(shutdown).await
}

/// All routes with their layers, for [`serve`] and for tests.
pub fn router(state: AppState) -> Router {
    let api = Router::new()
        .route("/runs", get(routes::runs::list))
        .route("/runs/{name}/{time}", get(routes::run::detail))
        .route("/runs/{name}/{time}/timeline", get(routes::run::timeline))
        .route("/runs/{name}/{time}/operations", get(routes::operations::operations))
        .route("/runs/{name}/{time}/log", get(routes::operations::log))
        .route("/runs/{name}/{time}/logs", get(routes::logs::logs))
        .route("/runs/{name}/{time}/files/{*path}", get(routes::files::file))
        .fallback(routes::unknown)
        .method_not_allowed_fallback(routes::method_not_allowed);
    Router::new()
        .route("/healthz", get(routes::health::healthz))
        .route("/readyz", get(routes::health::readyz))
        .nest("/api/v1", api)
        .route("/api", get(routes::unknown))
        .route("/api/{*rest}", get(routes::unknown))
        .fallback(assets::page)
        .with_state(state.clone())
        .layer(CompressionLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, REQUEST_TIME_MAX))
        .layer(RequestBodyLimitLayer::new(BODY_BYTES_MAX))
        .layer(GlobalConcurrencyLimitLayer::new(CONCURRENCY_MAX))
        .layer(axum::middleware::from_fn_with_state(state, security::guard))
        .layer(CatchPanicLayer::custom(error::on_panic))
}
