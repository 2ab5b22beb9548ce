//! The operations of a run: by index, by search, and by place in a log.

use crate::AppState;
use crate::error::ApiError;
use crate::histories::Windows;
use crate::routes::params::{Asked, InRun, commas, given};
use axum::Json;
use axum::extract::State;
use perjury_history::{Kind, Process};
use perjury_store::RunDir;
use perjury_view::filter::{Ended, Filter, Found, Who, search};
use perjury_view::log::{LogView, log as build_log};
use perjury_view::operation::{Op, OperationView};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 1000;
const INDICES_MAX: usize = 1000;
/// How many polled records of one operation are sent with a search, and with a request by index.
const RECORDS_IN_SEARCH: usize = 100;
const RECORDS_BY_INDEX: usize = 5000;
/// How many offsets of a log are sent at once.
const LOG_ROWS_MAX: i64 = 2000;

/// Which operations.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OperationsQuery {
    /// Indices of events, separated by commas. With it everything else is ignored.
    index: Option<String>,
    /// A client's number, `nemesis`, `cluster`, or `all`; clients if absent.
    process: Option<String>,
    f: Option<String>,
    /// `ok`, `fail`, `info`, or `open` for operations that never completed.
    #[serde(rename = "type")]
    kind: Option<String>,
    key: Option<String>,
    offset: Option<i64>,
    value: Option<String>,
    error: Option<String>,
    /// Begun within this window, ns since the start of the run.
    since: Option<i64>,
    until: Option<i64>,
    /// The index at which the page begins.
    from: Option<usize>,
    limit: Option<usize>,
}

/// Operations, in the order of their invocations.
#[derive(Debug, Serialize)]
pub(crate) struct OperationsAnswer {
    operations: Vec<OperationView>,
    /// How many match in all.
    total: usize,
    /// How many of them stand before the first one here.
    before: usize,
    /// `from` of the next page, if there is one.
    next: Option<usize>,
}

/// Operations by index or by search.
#[utoipa::path(get, path = "/runs/{name}/{time}/operations", tag = "runs", params(("name", description = "the run's name"), ("time", description = "the run's time"), OperationsQuery),
    responses((status = 200, description = "operations, total, before, next", body = serde_json::Value),
        (status = 202, description = "the index of a long history is being made: preparing, with done_bytes of bytes; ask again")))]
pub(crate) async fn operations(
    State(state): State<AppState>,
    InRun(run): InRun,
    Asked(query): Asked<OperationsQuery>,
) -> Result<Json<Value>, ApiError> {
    if let Some(indices) = given(query.index.clone()) {
        let (dir, wanted) = (run.clone(), indices);
        let kept = tokio::task::spawn_blocking(move || kept(&dir, &wanted)).await??;
        if let Some(answer) = kept {
            return Ok(Json(answer));
        }
    }
    let windows = state.histories.windows(&run).await?;
    let answer = tokio::task::spawn_blocking(move || {
        let answer = match given(query.index.clone()) {
            Some(indices) => by_index(&windows, &indices),
            None => by_search(&windows, query),
        }?;
        serde_json::to_value(answer).map_err(|e| ApiError::internal(e.to_string()))
    });
    Ok(Json(answer.await??))
}

/// The operations of these indices, if all of them were kept for the first screen of a long history.
fn kept(run: &RunDir, indices: &str) -> Result<Option<Value>, ApiError> {
    let Some(mut kept) = run.first_screen()? else { return Ok(None) };
    let Value::Array(all) = kept["operations"].take() else { return Ok(None) };
    let at = |op: &Value, row: &str| op[row]["index"].as_u64();
    let mut found: BTreeMap<usize, Value> = BTreeMap::new();
    for text in commas(Some(indices)).take(INDICES_MAX) {
        let Ok(index) = text.parse::<u64>() else { return Ok(None) };
        let place = all
            .iter()
            .position(|op| at(op, "invoke") == Some(index) || at(op, "complete") == Some(index));
        let Some(place) = place else { return Ok(None) };
        found.insert(place, all[place].clone());
    }
    let operations: Vec<Value> = found.into_values().collect();
    Ok(Some(
        json!({"total": operations.len(), "operations": operations, "before": 0, "next": null}),
    ))
}

impl Windows {
    /// The operation of a row; `None` beyond the last one.
    fn op(&self, row: usize) -> Result<Option<Op>, ApiError> {
        Ok(match self {
            Windows::Whole(history) => (row < history.len()).then(|| Op::of(history, row)),
            Windows::Paged(paged) => paged.op(row)?,
        })
    }

    fn view(&self, op: Op, records_max: usize) -> Result<OperationView, ApiError> {
        Ok(match self {
            Windows::Whole(history) => OperationView::of(history, op, records_max),
            Windows::Paged(paged) => paged.view(op, records_max)?,
        })
    }

    fn search(&self, filter: &Filter, from: usize, limit: usize) -> Result<Found, ApiError> {
        Ok(match self {
            Windows::Whole(history) => {
                let Ok(found) = search(&**history, filter, from, limit);
                found
            }
            Windows::Paged(paged) => search(&**paged, filter, from, limit)?,
        })
    }

    fn log(&self, key: &str, from: i64, to: i64) -> Result<Option<LogView>, ApiError> {
        Ok(match self {
            Windows::Whole(history) => build_log(history, key, from, to),
            Windows::Paged(paged) => paged.log(key, from, to)?,
        })
    }
}

fn by_index(windows: &Windows, indices: &str) -> Result<OperationsAnswer, ApiError> {
    let mut ops: BTreeMap<usize, Op> = BTreeMap::new();
    for text in commas(Some(indices)).take(INDICES_MAX) {
        let index = text.parse::<usize>().map_err(|_| {
            ApiError::bad_request(
                format!("{text:?} is not the index of an event"),
                "Give non-negative integers, separated by commas: index=4071,5120.",
            )
        })?;
        // An index beyond the end is left out: reports outlive torn histories.
        ops.extend(windows.op(index)?.map(|op| (op.first(), op)));
    }
    let views = ops.into_values().map(|op| windows.view(op, RECORDS_BY_INDEX));
    let operations = views.collect::<Result<Vec<OperationView>, ApiError>>()?;
    Ok(OperationsAnswer { total: operations.len(), operations, before: 0, next: None })
}

fn by_search(windows: &Windows, query: OperationsQuery) -> Result<OperationsAnswer, ApiError> {
    let filter = Filter {
        who: who(query.process.as_deref())?,
        f: given(query.f),
        ended: ended(query.kind.as_deref())?,
        key: given(query.key),
        offset: query.offset,
        value: given(query.value),
        error: given(query.error),
        since: query.since,
        until: query.until,
    };
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
    let found = windows.search(&filter, query.from.unwrap_or(0), limit)?;
    let views = found.operations.iter().map(|op| windows.view(*op, RECORDS_IN_SEARCH));
    Ok(OperationsAnswer {
        operations: views.collect::<Result<_, ApiError>>()?,
        total: found.total,
        before: found.before,
        next: found.next,
    })
}

fn who(process: Option<&str>) -> Result<Who, ApiError> {
    Ok(match process.map(str::trim) {
        None | Some("") => Who::Clients,
        Some("all") => Who::All,
        Some("nemesis") => Who::One(Process::Nemesis),
        Some("cluster") => Who::One(Process::Cluster),
        Some(number) => Who::One(Process::Client(number.parse().map_err(|_| {
            ApiError::bad_request(
                format!("{number:?} is not a process"),
                "A process is a client's number, nemesis, cluster, or all.",
            )
        })?)),
    })
}

fn ended(kind: Option<&str>) -> Result<Option<Ended>, ApiError> {
    Ok(Some(match kind.map(str::trim) {
        None | Some("") => return Ok(None),
        Some("ok") => Ended::As(Kind::Ok),
        Some("fail") => Ended::As(Kind::Fail),
        Some("info") => Ended::As(Kind::Info),
        Some("open" | "invoke") => Ended::Open,
        Some(other) => {
            return Err(ApiError::bad_request(
                format!("{other:?} is not an outcome"),
                "type is ok, fail, info, or open.",
            ));
        }
    }))
}

/// Which window of a key's log.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    key: String,
    from: Option<i64>,
    to: Option<i64>,
}

/// Who wrote and who read each offset of a key.
#[utoipa::path(get, path = "/runs/{name}/{time}/log", tag = "runs", params(("name", description = "the run's name"), ("time", description = "the run's time"), LogQuery),
    responses((status = 200, description = "who wrote and who read each offset of a key", body = serde_json::Value),
        (status = 202, description = "the index of a long history is being made: preparing, with done_bytes of bytes; ask again")))]
pub(crate) async fn log(
    State(state): State<AppState>,
    InRun(run): InRun,
    Asked(query): Asked<LogQuery>,
) -> Result<Json<LogView>, ApiError> {
    let windows = state.histories.windows(&run).await?;
    let from = query.from.unwrap_or(0);
    let most = from.saturating_add(LOG_ROWS_MAX - 1);
    let to = query.to.unwrap_or(most).min(most);
    let key = query.key.clone();
    let view = tokio::task::spawn_blocking(move || windows.log(&key, from, to)).await??;
    view.map(Json).ok_or_else(|| {
        ApiError::not_found(
            format!("no send or poll of the history names the key {:?}", query.key),
            "Keys are topic-partitions such as orders-2; the report lists them.",
        )
    })
}
