//! The HTTP server: an API under `/api/v1` and the pages that use it.
//!
//! Run directories are the truth; the index makes lists of them quick, and campaigns go through the one queue of
//! `perjury_campaign`. Histories are parsed once, on a thread that may block, and kept for the next request; what is sent
//! is always a window of bounded size. Everything that came from a broker or a client is passed on as JSON text, and the
//! pages never put it into markup.
//!
//! Every route is registered with its description, so that `/openapi.json` names them all; `/docs` shows it.

mod access;
mod assets;
mod error;
mod etag;
mod histories;
mod live;
mod long;
mod routes;
mod security;

use access::Signer;
use access::rate::Rates;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use axum::{Extension, Router};
use histories::Histories;
use perjury_campaign::{Executor, LONG_HISTORY_BYTES, Queue, Shelf, ShelfError, Until};
use perjury_checker::Options;
use perjury_store::{Index, IndexError, Retention, Store, StoreError};
use routes::docs::Description;
use routes::metrics::Metrics;
use routes::retention::Keeping;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use access::{NewToken, Role, TokenError, TokenInfo, Tokens};
pub use error::ApiError;

/// No body but that of an upload is larger: a plan file in JSON.
const BODY_BYTES_MAX: usize = 600 * 1024;
/// Requests beyond this many wait: each may hold a window of a history in memory.
const CONCURRENCY_MAX: usize = 64;
/// How many may watch events at the same time.
const STREAMS_MAX: usize = 64;
/// A request that takes longer is given up. Parsing ten million operations for evidence takes some tens of seconds.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(180);
/// How long a request waits for the index of a long history before it answers how far that is.
const INDEX_PATIENCE: Duration = Duration::from_secs(2);
/// How often every run directory is looked at for files that were changed in place.
const LOOK_AT_ALL_EVERY: Duration = Duration::from_secs(15);

/// What every handler shares.
#[derive(Debug, Clone)]
pub struct AppState {
    store: Arc<Store>,
    index: Arc<Index>,
    queue: Arc<Queue>,
    histories: Arc<Histories>,
    tokens: Arc<Tokens>,
    signer: Signer,
    rates: Arc<Rates>,
    metrics: Arc<Metrics>,
    keeping: Arc<Keeping>,
    uploads: Arc<tokio::sync::Mutex<()>>,
    streams: Arc<Semaphore>,
    stop: CancellationToken,
    /// Whether only this machine reaches the server.
    is_local: bool,
    allowed_hosts: Option<Arc<[String]>>,
}

impl AppState {
    /// State over this store, whose campaigns this executor makes. Requests are answered whatever `Host` they name, and
    /// as long as there is no token everybody may do everything.
    ///
    /// # Errors
    /// [`ServeError`] when the index, the campaigns or the tokens of the store cannot be opened.
    pub fn open(store: Store, executor: Arc<dyn Executor>) -> Result<AppState, ServeError> {
        let store = Arc::new(store);
        let shelf = Shelf::open(Arc::clone(&store))?;
        Ok(AppState {
            index: Arc::new(Index::open(Arc::clone(&store))?),
            queue: Arc::new(Queue::new(shelf, executor, Options::default())),
            histories: Arc::new(Histories::new(LONG_HISTORY_BYTES, INDEX_PATIENCE)),
            tokens: Arc::new(Tokens::open(store.root())?),
            signer: Signer::open(store.root())?,
            rates: Arc::default(),
            metrics: Arc::default(),
            keeping: Arc::default(),
            uploads: Arc::default(),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            stop: CancellationToken::new(),
            is_local: true,
            allowed_hosts: None,
            store,
        })
    }

    /// Answers only requests that name this machine itself, so that no web page elsewhere can have its own name resolve
    /// to loopback and read along (DNS rebinding).
    #[must_use]
    pub fn only_loopback_hosts(mut self) -> AppState {
        let hosts = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        self.allowed_hosts = Some(Arc::from(hosts));
        self
    }

    /// Other machines reach the server: nobody is let in without a token.
    #[must_use]
    pub fn beyond_loopback(mut self) -> AppState {
        self.is_local = false;
        self
    }

    /// Runs that these rules do not keep are deleted now and then: never one with a violation, one that is pinned, under way
    /// or unjudged, or one of a campaign that is not over.
    #[must_use]
    pub fn keeping(mut self, rules: Retention) -> AppState {
        self.keeping = Arc::new(Keeping::new(rules));
        self
    }

    /// Histories of at least so many bytes are read a block at a time, and not taken into memory for a window. A request that
    /// would wait longer than `patience` for the index of one is answered with how far it is (202).
    #[must_use]
    pub fn paged_from(mut self, bytes: u64, patience: Duration) -> AppState {
        self.histories = Arc::new(Histories::new(bytes, patience));
        self
    }

    /// The queue of campaigns. [`Server::run`] works it off.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    fn stream_permit(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let permit = Arc::clone(&self.streams).try_acquire_owned();
        permit.map_err(|_| ApiError::busy(format!("{STREAMS_MAX} pages watch already")))
    }
}

/// Why the server cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index cannot be opened.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The campaigns cannot be opened or went wrong.
    #[error(transparent)]
    Campaigns(#[from] ShelfError),
    /// The tokens cannot be read.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// The address cannot be listened on.
    #[error("cannot listen on {bind}: {source}; {}", advice(source))]
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

/// What to change when an address cannot be listened on.
fn advice(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    match error.kind() {
        AddrInUse => "choose another port or end the process that holds it",
        AddrNotAvailable => {
            "this machine has no such address: choose 127.0.0.1, or 0.0.0.0 for all that it has"
        }
        PermissionDenied => "ports below 1024 are for root: choose another port",
        _ => "choose another address or port",
    }
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local: SocketAddr,
    state: AppState,
}

impl Server {
    /// Opens the store and listens on the address; port 0 takes a free one. Campaigns are made by the executor. On a
    /// loopback address only requests that name this machine are answered; on any other a token is needed.
    ///
    /// # Errors
    /// [`ServeError`] when the store cannot be opened or the address not be listened on.
    pub async fn bind(
        store_root: impl Into<PathBuf>,
        bind: SocketAddr,
        executor: Arc<dyn Executor>,
    ) -> Result<Server, ServeError> {
        let state = AppState::open(Store::open(store_root)?, executor)?;
        let state = if bind.ip().is_loopback() {
            state.only_loopback_hosts()
        } else {
            state.beyond_loopback()
        };
        let refused = |source| ServeError::Bind { bind, source };
        let listener = TcpListener::bind(bind).await.map_err(refused)?;
        let local = listener.local_addr().map_err(refused)?;
        Ok(Server { listener, local, state })
    }

    /// As [`AppState::keeping`].
    #[must_use]
    pub fn keeping(mut self, rules: Retention) -> Server {
        self.state = self.state.keeping(rules);
        self
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Whether anybody who reaches it may do everything, since no token exists.
    pub fn is_open(&self) -> bool {
        self.state.is_open()
    }

    /// Answers and works off campaigns until `shutdown` completes; then cuts the run under way short, has it checked, and
    /// finishes the requests under way.
    ///
    /// # Errors
    /// [`ServeError::Serve`] when the listener breaks, [`ServeError::Campaigns`] when campaigns cannot be written.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        tracing::info!(address = %self.local, "serving");
        let state = self.state;
        let stop = state.stop.clone();
        let working = {
            let (queue, stop) = (Arc::clone(&state.queue), stop.clone());
            tokio::spawn(async move {
                let worked = queue.work(&stop, &Until::Stopped).await;
                if let Err(error) = &worked {
                    tracing::error!(%error, "campaigns are no longer worked off");
                }
                worked
            })
        };
        let looking = tokio::spawn(look_at_all(Arc::clone(&state.index)));
        let keeping = tokio::spawn(routes::retention::keep(state.clone(), stop.clone()));
        let halt = stop.clone();
        let served = axum::serve(
            self.listener,
            router(state).into_make_service_with_connect_info::<SocketAddr>(),
        )
        .with_graceful_shutdown(async move {
            shutdown.await;
            halt.cancel();
        })
        .await;
        stop.cancel();
        looking.abort();
        keeping.abort();
        if let Ok(worked) = working.await {
            worked?;
        }
        served.map_err(ServeError::Serve)
    }
}

/// Looks at every run directory now and then, for ever.
async fn look_at_all(index: Arc<Index>) {
    loop {
        let index = Arc::clone(&index);
        let looked = tokio::task::spawn_blocking(move || index.refresh_all()).await;
        if let Ok(Err(error)) = looked {
            tracing::warn!(%error, "the run directories cannot be looked at");
        }
        tokio::time::sleep(LOOK_AT_ALL_EVERY).await;
    }
}

/// The routes under `/api/v1`, each with its description.
fn api() -> OpenApiRouter<AppState> {
    let limited = OpenApiRouter::new()
        .routes(routes!(routes::runs::list))
        .routes(routes!(routes::runs::trend))
        .routes(routes!(routes::runs::compare))
        .routes(routes!(routes::run::detail, routes::runs::remove))
        .routes(routes!(routes::retention::outlook, routes::retention::round))
        .routes(routes!(routes::retention::pin, routes::retention::unpin))
        .routes(routes!(routes::run::timeline))
        .routes(routes!(routes::operations::operations))
        .routes(routes!(routes::operations::log))
        .routes(routes!(routes::logs::logs))
        .routes(routes!(routes::files::file))
        .routes(routes!(routes::events::of_run))
        .routes(routes!(routes::events::of_all))
        .routes(routes!(routes::evidence::evidence))
        .routes(routes!(routes::evidence::report))
        .routes(routes!(routes::evidence::markdown))
        .routes(routes!(routes::campaigns::replay))
        .routes(routes!(routes::campaigns::list, routes::campaigns::create))
        .routes(routes!(routes::campaigns::show))
        .routes(routes!(routes::campaigns::pause))
        .routes(routes!(routes::campaigns::resume))
        .routes(routes!(routes::campaigns::cancel))
        .routes(routes!(routes::calibrations::list))
        .routes(routes!(routes::calibrations::show))
        .routes(routes!(routes::plans::schema))
        .routes(routes!(routes::plans::named))
        .routes(routes!(routes::plans::validate))
        .routes(routes!(routes::glossary::glossary))
        .routes(routes!(routes::session::session, routes::session::login, routes::session::logout))
        .routes(routes!(routes::session::share))
        .routes(routes!(routes::docs::openapi))
        .layer(RequestBodyLimitLayer::new(BODY_BYTES_MAX));
    OpenApiRouter::new()
        .routes(routes!(routes::upload::upload))
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(routes::upload::UPLOAD_BYTES_MAX))
        .merge(limited)
}

/// The routes outside the API, each with its description.
fn others() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(routes::health::healthz))
        .routes(routes!(routes::health::readyz))
        .routes(routes!(routes::metrics::metrics))
        .routes(routes!(routes::docs::openapi))
        .routes(routes!(routes::docs::page))
        .routes(routes!(routes::docs::part))
        .routes(routes!(routes::session::open_share))
        .layer(RequestBodyLimitLayer::new(BODY_BYTES_MAX))
}

/// All routes with their layers, for [`Server`] and for tests.
pub fn router(state: AppState) -> Router {
    let (api, described) = api().split_for_parts();
    let api = api
        .fallback(routes::unknown)
        .method_not_allowed_fallback(routes::method_not_allowed)
        .layer(from_fn(etag::tag));
    let (others, beside) = others().split_for_parts();
    let mut description = Description::openapi().nest("/api/v1", described);
    description.merge(beside);
    others
        .nest("/api/v1", api)
        .route("/api", get(routes::unknown))
        .route("/api/{*rest}", get(routes::unknown))
        .fallback(assets::page)
        .with_state(state.clone())
        .layer(Extension::<routes::docs::Built>(Arc::new(description)))
        .layer(CompressionLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, REQUEST_TIME_MAX))
        .layer(GlobalConcurrencyLimitLayer::new(CONCURRENCY_MAX))
        .layer(from_fn_with_state(state.clone(), access::gate))
        .layer(from_fn(bounded))
        .layer(from_fn_with_state(state, security::guard))
        .layer(CatchPanicLayer::custom(error::on_panic))
}

/// Refuses a body that says of itself that it is too large, before any of it is read.
async fn bounded(request: Request, next: axum::middleware::Next) -> axum::response::Response {
    let most = if request.uri().path() == "/api/v1/histories" {
        routes::upload::UPLOAD_BYTES_MAX
    } else {
        BODY_BYTES_MAX
    };
    let length = request.headers().get(axum::http::header::CONTENT_LENGTH);
    let length = length.and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|n| n > most) {
        let message = format!("the body has more than {most} bytes");
        return axum::response::IntoResponse::into_response(ApiError::too_large(message));
    }
    next.run(request).await
}
