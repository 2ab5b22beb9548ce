//! What goes on, as server-sent events: `progress` of runs under way each second, `state` when a run begins or ends,
//! `campaign` when a campaign comes further.

use crate::AppState;
use crate::error::ApiError;
use crate::live::{Tail, state_of};
use crate::routes::campaigns::summary;
use crate::routes::params::InRun;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use futures::stream::unfold;
use perjury_campaign::Change;
use perjury_store::{RunDir, RunId, RunQuery};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often progress is told.
const EVERY: Duration = Duration::from_secs(1);
/// How many runs under way are told of to those who watch everything.
const RUNS_WATCHED: usize = 8;

type Events = Sse<
    axum::response::sse::KeepAliveStream<
        std::pin::Pin<Box<dyn Stream<Item = Result<Event, Infallible>> + Send>>,
    >,
>;

fn event(name: &str, data: &Value) -> Event {
    // JSON has no line breaks of its own.
    Event::default().event(name).data(data.to_string())
}

fn answer(stream: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Events {
    let boxed: std::pin::Pin<Box<dyn Stream<Item = _> + Send>> = Box::pin(stream);
    Sse::new(boxed).keep_alive(KeepAlive::default())
}

fn ticks() -> Interval {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

struct Watched {
    dir: RunDir,
    tail: Tail,
}

impl Watched {
    /// Reads on and tells of it.
    async fn progress(mut self) -> (Watched, Option<Event>) {
        let dir = self.dir.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let looked = self.tail.look();
            (self, looked)
        });
        let Ok((watched, looked)) = looked.await else {
            return (Watched { tail: Tail::of(&dir), dir }, None);
        };
        if let Err(error) = looked {
            tracing::debug!(%error, run = %dir.id(), "the history cannot be followed");
            return (watched, None);
        }
        let told = watched.tail.progress(&watched.dir.id().to_string());
        (watched, Some(event("progress", &told)))
    }
}

struct OneRun {
    state: AppState,
    watched: Option<Watched>,
    ticks: Interval,
    pending: VecDeque<Event>,
    _permit: OwnedSemaphorePermit,
}

/// Progress of one run until it is over, then its state.
#[utoipa::path(get, path = "/runs/{name}/{time}/events", tag = "campaigns", params(("name", description = "the run's name"), ("time", description = "the run's time")),
    responses((status = 200, description = "events progress and state", content_type = "text/event-stream")))]
pub(crate) async fn of_run(
    State(state): State<AppState>,
    InRun(run): InRun,
) -> Result<Events, ApiError> {
    let permit = state.stream_permit()?;
    let watched = Some(Watched { tail: Tail::of(&run), dir: run });
    let first =
        OneRun { state, watched, ticks: ticks(), pending: VecDeque::new(), _permit: permit };
    Ok(answer(unfold(first, |mut one| async move {
        loop {
            if let Some(event) = one.pending.pop_front() {
                return Some((Ok(event), one));
            }
            let watched = one.watched.take()?;
            let stop = one.state.stop.clone();
            tokio::select! {
                () = stop.cancelled() => return None,
                _ = one.ticks.tick() => {}
            }
            // The state is looked at first: what was written before the end is then told, too.
            let (store, dir) = (one.state.store.clone(), watched.dir.clone());
            let (told, over) =
                tokio::task::spawn_blocking(move || state_of(&store, &dir)).await.ok()?;
            let (watched, progress) = watched.progress().await;
            one.pending.extend(progress);
            if over {
                one.pending.push_back(event("state", &told));
            } else {
                one.watched = Some(watched);
            }
        }
    })))
}

struct Everything {
    state: AppState,
    runs: BTreeMap<String, Watched>,
    changes: Receiver<Change>,
    ticks: Interval,
    pending: VecDeque<Event>,
    _permit: OwnedSemaphorePermit,
}

/// What goes on in the whole store.
#[utoipa::path(get, path = "/events", tag = "campaigns",
    responses((status = 200, description = "events progress, state and campaign", content_type = "text/event-stream")))]
pub(crate) async fn of_all(State(state): State<AppState>) -> Result<Events, ApiError> {
    let permit = state.stream_permit()?;
    let first = Everything {
        changes: state.queue.changes(),
        state,
        runs: BTreeMap::new(),
        ticks: ticks(),
        pending: VecDeque::new(),
        _permit: permit,
    };
    Ok(answer(unfold(first, |mut all| async move {
        loop {
            if let Some(event) = all.pending.pop_front() {
                return Some((Ok(event), all));
            }
            let stop = all.state.stop.clone();
            tokio::select! {
                () = stop.cancelled() => return None,
                change = all.changes.recv() => match change {
                    Ok(change) => all.changed(change).await,
                    // Whoever fell behind sees the newest state with the next tick.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
                _ = all.ticks.tick() => all.tick().await,
            }
        }
    })))
}

impl Everything {
    async fn changed(&mut self, change: Change) {
        let (shelf, store) = (self.state.queue.shelf().clone(), self.state.store.clone());
        let told = tokio::task::spawn_blocking(move || match change {
            Change::Campaign(id) => Some(("campaign", summary(&shelf.load(&id).ok()?))),
            Change::Run(id) => {
                let dir = store.run_dir(&id.parse::<RunId>().ok()?).ok()?;
                Some(("state", state_of(&store, &dir).0))
            }
        });
        if let Ok(Some((name, data))) = told.await {
            self.pending.push_back(event(name, &data));
        }
    }

    async fn tick(&mut self) {
        let (index, store) = (self.state.index.clone(), self.state.store.clone());
        let running = tokio::task::spawn_blocking(move || {
            index.refresh().ok()?;
            let query = RunQuery {
                status: vec!["running".into()],
                limit: RUNS_WATCHED,
                ..RunQuery::default()
            };
            let runs = index.list(&query).ok()?.runs;
            let dir = |id: &str| store.run_dir(&id.parse::<RunId>().ok()?).ok();
            Some(runs.iter().filter_map(|r| dir(&r.id)).collect::<Vec<RunDir>>())
        });
        let running = running.await.ok().flatten().unwrap_or_default();
        let mut before = std::mem::take(&mut self.runs);
        for dir in running {
            let id = dir.id().to_string();
            let watched =
                before.remove(&id).unwrap_or_else(|| Watched { tail: Tail::of(&dir), dir });
            let (watched, told) = watched.progress().await;
            self.pending.extend(told);
            self.runs.insert(id, watched);
        }
        for over in before.into_values() {
            self.changed(Change::Run(over.dir.id().to_string())).await;
        }
    }
}
