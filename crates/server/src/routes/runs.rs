//! The list of runs, and what is asked of several at once.

use crate::AppState;
use crate::error::ApiError;
use crate::routes::params::{Asked, InRun, commas, given};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use perjury_store::{
    Group, Interval, Run, RunId, RunPage, RunQuery, RunSummary, Trend, VersionTrend, is_dispensable,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use utoipa::IntoParams;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;
/// Two plans differ in no more settings that anybody reads.
const SETTINGS_MAX: usize = 500;

/// What part of the list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Words that must all occur, in any column.
    q: Option<String>,
    /// Verdicts (invalid, unknown, valid, none) or statuses, separated by commas; any of them.
    verdict: Option<String>,
    /// Statuses (complete, running, interrupted, unchecked, unreadable), separated by commas; any of them.
    status: Option<String>,
    /// The run's name.
    name: Option<String>,
    /// The workload's name.
    workload: Option<String>,
    /// A part of the cluster driver and version.
    cluster: Option<String>,
    /// A fault that was asked for.
    nemesis: Option<String>,
    /// An anomaly that was found.
    anomaly: Option<String>,
    /// Started not before: a date, or date and time (RFC 3339).
    since: Option<String>,
    /// Started not after: a date, which counts whole, or date and time.
    until: Option<String>,
    /// started, name, verdict, operations, violations, cluster or workload; a minus before it for falling order.
    sort: Option<String>,
    /// How many runs to pass over.
    offset: Option<usize>,
    /// How many runs at most, up to 1,000.
    limit: Option<usize>,
    /// `name` to have the runs that match counted by name, too.
    group: Option<String>,
}

/// A part of the list.
#[derive(Debug, Serialize)]
pub(crate) struct ListAnswer {
    #[serde(flatten)]
    page: RunPage,
    offset: usize,
    limit: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<Group>>,
}

/// Runs that match, newest first unless sorted otherwise.
#[utoipa::path(get, path = "/runs", tag = "runs", params(ListQuery),
    responses((status = 200, description = "runs, total, stored, verdicts, and groups when asked for", body = Value)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<ListAnswer>, ApiError> {
    let grouped = match given(query.group.clone()).as_deref() {
        None => false,
        Some("name") => true,
        Some(other) => {
            let message = format!("runs are not grouped by {other:?}");
            return Err(ApiError::bad_request(message, "group is name."));
        }
    };
    let wanted = wanted(query)?;
    let index = Arc::clone(&state.index);
    let answer = tokio::task::spawn_blocking(move || -> Result<ListAnswer, ApiError> {
        index.refresh()?;
        let groups = if grouped { Some(index.groups(&wanted)?) } else { None };
        let (offset, limit) = (wanted.offset, wanted.limit);
        Ok(ListAnswer { page: index.list(&wanted)?, offset, limit, groups })
    });
    Ok(Json(answer.await??))
}

fn wanted(query: ListQuery) -> Result<RunQuery, ApiError> {
    let list = |text: Option<&str>| commas(text).map(str::to_owned).collect::<Vec<_>>();
    let words = query.q.unwrap_or_default();
    let sort = match given(query.sort) {
        None => perjury_store::Sort::default(),
        Some(text) => text.parse().map_err(|e: String| {
            ApiError::bad_request(e, "Leave sort out to have the newest first.")
        })?,
    };
    Ok(RunQuery {
        q: words.split_whitespace().map(str::to_owned).take(32).collect(),
        verdict: list(query.verdict.as_deref()),
        status: list(query.status.as_deref()),
        name: given(query.name),
        workload: given(query.workload),
        cluster: given(query.cluster),
        nemesis: given(query.nemesis),
        anomaly: given(query.anomaly),
        since_ms: moment(given(query.since), "since", false)?,
        until_ms: moment(given(query.until), "until", true)?,
        sort,
        offset: query.offset.unwrap_or(0),
        limit: query.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX),
    })
}

/// Milliseconds since 1970 of a date or of a date and time; of the date's last one when `last`.
fn moment(text: Option<String>, name: &str, last: bool) -> Result<Option<i64>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    if let Ok(at) = DateTime::parse_from_rfc3339(&text) {
        return Ok(Some(at.timestamp_millis()));
    }
    let day = text.parse::<NaiveDate>().ok().and_then(|d| d.and_hms_opt(0, 0, 0));
    let Some(day) = day else {
        return Err(ApiError::bad_request(
            format!("{name}={text:?} is neither a date nor a date and time"),
            "Give 2026-11-23 or 2026-11-23T12:00:00Z.",
        ));
    };
    let ms = day.and_utc().timestamp_millis();
    Ok(Some(if last { ms + 86_400_000 - 1 } else { ms }))
}

/// Whose trend.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TrendQuery {
    /// The runs' name.
    name: String,
}

#[derive(Debug, Serialize)]
struct Point {
    id: String,
    started: Option<String>,
    verdict: Option<String>,
    /// Whether the run was deleted; a record of it still counts.
    gone: bool,
}

#[derive(Debug, Serialize)]
struct Version {
    version: String,
    violations: u64,
    judged: u64,
    interval: Interval,
}

/// How often the runs of one name broke a promise.
#[derive(Debug, Serialize)]
pub(crate) struct TrendAnswer {
    name: String,
    points: Vec<Point>,
    violations: u64,
    judged: u64,
    interval: Interval,
    flakes: u64,
    by_version: Vec<Version>,
}

impl From<Trend> for TrendAnswer {
    fn from(trend: Trend) -> TrendAnswer {
        let started = |ms: i64| {
            let at = DateTime::<Utc>::from_timestamp_millis(ms).filter(|_| ms > 0)?;
            Some(at.to_rfc3339_opts(SecondsFormat::Millis, true))
        };
        let points = trend.points.into_iter().map(|p| Point {
            id: p.id,
            started: started(p.started_ms),
            verdict: Some(p.verdict).filter(|v| v != "none"),
            gone: p.is_gone,
        });
        let version = |v: VersionTrend| Version {
            version: v.version.unwrap_or_else(|| "not stated".into()),
            violations: v.judged.violations,
            judged: v.judged.judged,
            interval: v.judged.interval,
        };
        TrendAnswer {
            points: points.collect(),
            violations: trend.judged.violations,
            judged: trend.judged.judged,
            interval: trend.judged.interval,
            flakes: trend.flakes,
            by_version: trend.by_version.into_iter().map(version).collect(),
            name: trend.name,
        }
    }
}

/// The runs of one name over time: the probability of a violation with its interval at 95 % (Wilson), flakes apart. Runs that
/// were deleted still count where a campaign or the rules of retention left a record of them.
#[utoipa::path(get, path = "/trends", tag = "runs", params(TrendQuery),
    responses((status = 200, description = "points, violations, judged, interval, flakes, by_version", body = Value)))]
pub(crate) async fn trend(
    State(state): State<AppState>,
    Asked(query): Asked<TrendQuery>,
) -> Result<Json<TrendAnswer>, ApiError> {
    let trend = tokio::task::spawn_blocking(move || {
        state.index.refresh()?;
        perjury_campaign::trend(&state.index, state.queue.shelf(), &query.name)
    });
    Ok(Json(trend.await??.into()))
}

/// Which two runs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CompareQuery {
    /// `<name>/<time>`.
    a: String,
    /// `<name>/<time>`.
    b: String,
}

#[derive(Debug, Serialize)]
struct Setting {
    path: String,
    a: Value,
    b: Value,
}

#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    unit: Option<&'static str>,
    a: Option<f64>,
    b: Option<f64>,
}

#[derive(Debug, Serialize)]
struct AnomalyPair {
    name: String,
    a: u64,
    b: u64,
    judgement: String,
}

/// Two runs side by side.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    a: RunSummary,
    b: RunSummary,
    settings: Vec<Setting>,
    figures: Vec<Figure>,
    anomalies: Vec<AnomalyPair>,
}

/// Two runs side by side: the settings that differ, the figures, the anomalies.
#[utoipa::path(get, path = "/compare", tag = "runs", params(CompareQuery),
    responses((status = 200, description = "a, b, settings, figures, anomalies", body = Value)))]
pub(crate) async fn compare(
    State(state): State<AppState>,
    Asked(query): Asked<CompareQuery>,
) -> Result<Json<Comparison>, ApiError> {
    let ids = (query.a.parse::<RunId>()?, query.b.parse::<RunId>()?);
    let store = Arc::clone(&state.store);
    let both = tokio::task::spawn_blocking(move || {
        Ok::<_, perjury_store::StoreError>((store.load(&ids.0)?, store.load(&ids.1)?))
    });
    let (a, b) = both.await??;
    Ok(Json(side_by_side(a, b)))
}

fn side_by_side(a: Run, b: Run) -> Comparison {
    let leaves = |parts: &[(&str, Option<&Value>)]| {
        let mut found = BTreeMap::new();
        for (prefix, value) in parts {
            flatten(prefix, value.unwrap_or(&Value::Null), &mut found);
        }
        found.remove("plan.schedule");
        found
    };
    let settings = |run: &Run| {
        let header = run.header.as_ref();
        leaves(&[
            ("plan", run.plan.as_ref()),
            ("config", header.and_then(|h| h.get("config"))),
            ("versions", header.and_then(|h| h.get("versions"))),
        ])
    };
    let figures = |run: &Run| {
        let of = |name: &'static str| (name, run.report.as_ref().and_then(|r| r.get(name)));
        leaves(&[of("operations"), of("counts"), of("availability"), of("coverage"), of("timings")])
    };
    let (mut settings_a, mut settings_b) = (settings(&a), settings(&b));
    let paths: BTreeSet<String> = settings_a.keys().chain(settings_b.keys()).cloned().collect();
    let settings = paths.into_iter().filter_map(|path| {
        let (x, y) = (settings_a.remove(&path), settings_b.remove(&path));
        let pair = (x.unwrap_or(Value::Null), y.unwrap_or(Value::Null));
        (pair.0 != pair.1).then_some(Setting { path, a: pair.0, b: pair.1 })
    });
    let settings = settings.take(SETTINGS_MAX).collect();
    let (figures_a, figures_b) = (figures(&a), figures(&b));
    let names: BTreeSet<&String> = figures_a.keys().chain(figures_b.keys()).collect();
    let number =
        |map: &BTreeMap<String, Value>, name: &String| map.get(name).and_then(Value::as_f64);
    let figures = names.into_iter().filter_map(|name| {
        let (x, y) = (number(&figures_a, name), number(&figures_b, name));
        (x.is_some() || y.is_some()).then(|| Figure {
            unit: unit(name),
            name: name.clone(),
            a: x,
            b: y,
        })
    });
    let figures = figures.take(SETTINGS_MAX).collect();
    let anomalies = anomalies(&a, &b);
    Comparison { a: a.summary, b: b.summary, settings, figures, anomalies }
}

/// The unit that a name ends in.
fn unit(name: &str) -> Option<&'static str> {
    [("_ms", "ms"), ("_ns", "ns"), ("_s", "s"), ("_bytes", "bytes")]
        .into_iter()
        .find(|(ending, _)| name.ends_with(ending))
        .map(|(_, unit)| unit)
}

fn anomalies(a: &Run, b: &Run) -> Vec<AnomalyPair> {
    let judgement = |run: &Run, name: &str| -> Option<String> {
        Some(run.report.as_ref()?["anomalies"][name]["judgement"].as_str()?.to_owned())
    };
    let (of_a, of_b) = (&a.summary.anomalies, &b.summary.anomalies);
    let names: BTreeSet<&String> = of_a.keys().chain(of_b.keys()).collect();
    let pair = |name: &String| AnomalyPair {
        a: of_a.get(name).copied().unwrap_or(0),
        b: of_b.get(name).copied().unwrap_or(0),
        judgement: [judgement(a, name), judgement(b, name)]
            .into_iter()
            .flatten()
            .min_by_key(|j| ["violation", "unspecified", "allowed"].iter().position(|k| k == j))
            .unwrap_or_else(|| "unspecified".into()),
        name: name.clone(),
    };
    names.into_iter().map(pair).collect()
}

/// Every leaf of a value by its path. Lists are leaves.
fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                flatten(&format!("{path}.{key}"), value, into);
            }
        }
        Value::Null => {}
        leaf => {
            into.insert(path.to_owned(), leaf.clone());
        }
    }
}

/// Whether a violation may go, too.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RemoveQuery {
    /// `yes` to delete a run that broke a promise or that nobody judged.
    violation: Option<String>,
}

/// Deletes a run.
#[utoipa::path(delete, path = "/runs/{name}/{time}", tag = "runs", params(("name", description = "the run's name"), ("time", description = "the run's time"), RemoveQuery),
    responses((status = 204, description = "it is gone"), (status = 409, description = "it is under way, or holds a violation and violation=yes is missing")))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    InRun(run): InRun,
    Asked(query): Asked<RemoveQuery>,
) -> Result<StatusCode, ApiError> {
    let (store, index) = (Arc::clone(&state.store), Arc::clone(&state.index));
    let sure = query.violation.as_deref() == Some("yes");
    let removed = tokio::task::spawn_blocking(move || -> Result<(), ApiError> {
        let summary = store.load(run.id())?.summary;
        if !sure && !is_dispensable(&summary) {
            return Err(ApiError::conflict(
                format!("{} holds a violation, or nobody has judged it", run.id()),
                "Ask again with violation=yes to delete it all the same.",
            ));
        }
        store.remove_run(run.id())?;
        index.refresh()?;
        Ok(())
    });
    removed.await??;
    Ok(StatusCode::NO_CONTENT)
}
