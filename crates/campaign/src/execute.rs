//! Executes one plan.

use crate::calibrate::{Calibration, Calibrations, power};
use crate::drivers;
use crate::failover;
use crate::first_screen::{LONG_HISTORY_BYTES, keep_first_screen};
use crate::forming;
use crate::judge::{JudgeError, judge_file, with_reason};
use crate::plan::{RunPlan, Scenario};
use crate::watch::{self, First};
use chrono::{SecondsFormat, Utc};
use perjury_checker::{Options, Report};
use perjury_cluster::doctor::Severity;
use perjury_cluster::probe::NewTopic;
use perjury_cluster::{Cluster, Driver, FormationError, GuardCommand, RunContext, TopicError};
use perjury_history::{Header, Process};
use perjury_store::{RunDir, RunId, Store, StoreError};
use perjury_worker::observe::{self, CurrentFault};
use perjury_worker::plan::TopicSettings;
use perjury_worker::recorder::{Draft, Recorder, RecorderError};
use perjury_worker::session::{SessionError, Shared};
use perjury_worker::{nemesis, workloads};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Whom a run tells what goes on. Lines are for people and have no fixed form.
pub trait Say: Sync {
    /// Tells one line.
    fn say(&self, text: &str);
}

/// Why a run gave no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CampaignError {
    /// The plan makes no sense.
    #[error("{0}")]
    Plan(String),
    /// Something that the run needs is missing.
    #[error("{0}")]
    Preflight(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The recorder failed before anything could be recorded.
    #[error(transparent)]
    Recorder(#[from] RecorderError),
    /// The recorded history could not be judged.
    #[error(transparent)]
    Judge(#[from] JudgeError),
    /// A task of the run panicked.
    #[error("a part of the run panicked: {0}")]
    Panic(#[from] tokio::task::JoinError),
}

/// A run that has its report.
#[derive(Debug)]
pub struct Finished {
    /// Where everything is.
    pub dir: RunDir,
    /// The report, as `report.json` holds it.
    pub report: Report,
    /// How long each part took, in milliseconds.
    pub timings: Value,
}

/// Why the recording ended before its plan did.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    #[error("{0}")]
    Formation(Box<FormationError>),
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Recorder(#[from] RecorderError),
    #[error("the run was interrupted")]
    Interrupted,
}

impl Cut {
    fn code(&self) -> &'static str {
        match self {
            Cut::Formation(_) => "cluster-did-not-form",
            Cut::Topic(_) => "topic-not-created",
            Cut::Session(SessionError::Recorder(_)) | Cut::Recorder(_) => "recorder-error",
            Cut::Session(_) => "client-error",
            Cut::Interrupted => "interrupted",
        }
    }
}

/// Runs a plan: forms the cluster, records, shuts down, checks and stores.
///
/// `this` is the running `perjury`, which is also the testbed's node and the guard. When `stop` is cancelled the run
/// ends early, and what was recorded is checked. `into` is a directory that was made for this run and holds its plan;
/// without it a new one is made.
///
/// # Errors
/// Only when there is nothing to report: a bad plan, a store that cannot be written, a history that cannot be read. A
/// cluster that does not form and a run that is cut short end in a report with the verdict *unknown*.
pub async fn run(
    plan: &RunPlan,
    store: &Store,
    into: Option<&RunId>,
    this: &Path,
    options: &Options,
    stop: &CancellationToken,
    say: &dyn Say,
) -> Result<Finished, CampaignError> {
    plan.validate().map_err(CampaignError::Plan)?;
    // Read together: the header's wall-clock start is the moment at which the history's time is zero.
    let (origin, started) = (Instant::now(), Utc::now());
    let dir = match into {
        Some(id) => store.claim(id, started)?,
        None => store.create_run(&plan.name, started)?,
    };
    dir.write_plan(plan)?;
    say.say(&format!("run     {}", dir.path().display()));
    say.say(&format!("seed    {}", plan.worker.seed));
    if let Some(note) = crate::preflight::never_injected(plan) {
        say.say(&format!("note    {note}"));
    }
    let context = RunContext::new(dir.path().into(), origin)
        .with_guard(GuardCommand { program: this.into(), args: vec!["guard".into()] })
        .with_placement(plan.cluster.placement);
    let driver = match drivers::driver(&plan.cluster, &plan.worker.client, this, context, say).await
    {
        Ok(driver) => driver,
        Err(error) => {
            dir.mark_interrupted(Utc::now(), &error.to_string())?;
            return Err(error);
        }
    };
    let problems: Vec<String> = driver
        .preflight()
        .await
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| format!("{}; to fix: {}", finding.what, finding.fix))
        .chain(crate::preflight::refused_faults(plan, driver.as_ref()))
        .collect();
    if !problems.is_empty() {
        dir.mark_interrupted(Utc::now(), &problems.join("; "))?;
        return Err(CampaignError::Preflight(problems.join("\n")));
    }
    let header = header(plan, started, driver.as_ref());
    let recorder = Recorder::create(&dir.history_path(), &header, origin)?;
    let recorder = Arc::new(recorder.with_threads(plan.worker.concurrency));
    let cluster =
        Arc::new(Cluster::new(driver, drivers::options(&plan.cluster, &plan.worker.client)));
    let first = First { ends_the_run: plan.fail_fast, ..First::default() };
    let history = dir.history_path();
    let cut = tokio::select! {
        outcome = record(plan, &cluster, &recorder, &first, stop, say) => outcome.err(),
        () = watch::along(&history, options, &recorder, &first, say) => None,
    };
    say.say("ending the cluster");
    cluster.shutdown().await;
    if let Some(cut) = &cut {
        note_cut(&recorder, cut, say);
    }
    recorder.sync()?;
    let recorded_ms = origin.elapsed().as_millis();
    let calibration = Calibrations::of(store).latest();
    finish(plan, dir, (cut, calibration), options.clone(), recorded_ms, say).await
}

async fn finish(
    plan: &RunPlan,
    dir: RunDir,
    (cut, calibration): (Option<Cut>, Option<Calibration>),
    options: Options,
    recorded_ms: u128,
    say: &dyn Say,
) -> Result<Finished, CampaignError> {
    say.say("checking the history");
    let checking = Instant::now();
    let path = dir.history_path();
    let place = dir.clone();
    let judged = tokio::task::spawn_blocking(move || {
        let (history, report) = judge_file(&path, &options)?;
        keep_first_screen(&place, &history, &report, LONG_HISTORY_BYTES);
        Ok::<_, JudgeError>(report)
    });
    let mut report = judged.await??;
    if let Some(cut) = &cut {
        report = with_reason(report, cut.code(), &cut.to_string());
    }
    report.calibration =
        calibration.map(|known| power(&known, &plan.worker, Some(&report.coverage)));
    dir.write_report(&report)?;
    match cut {
        None => dir.mark_complete(Utc::now())?,
        Some(cut) => dir.mark_interrupted(Utc::now(), &cut.to_string())?,
    }
    let timings = json!({
        "recorded_ms": recorded_ms,
        "planned_ms": plan.worker.time_limit_ms,
        "check_ms": checking.elapsed().as_millis(),
    });
    Ok(Finished { dir, report, timings })
}

fn header(plan: &RunPlan, started: chrono::DateTime<Utc>, driver: &dyn Driver) -> Header {
    let mut cluster = driver.describe();
    // The nodes' addresses are not chosen yet; they follow in the history once the cluster stands.
    if let Some(cluster) = cluster.as_object_mut() {
        cluster.remove("nodes");
        cluster.insert("size".into(), json!(plan.cluster.nodes));
    }
    let mut written = json!(plan);
    let least: BTreeMap<&str, u64> =
        plan.worker.workload.describe().coverage_min.iter().copied().collect();
    if !least.is_empty() {
        written["coverage_min"] = json!(least);
    }
    let (_, librdkafka) = perjury_worker::librdkafka_version();
    let versions = [
        ("perjury", json!(env!("CARGO_PKG_VERSION"))),
        ("librdkafka", json!(librdkafka)),
        (driver.name(), json!(driver.version())),
    ];
    Header {
        name: Some(plan.name.clone()),
        started: Some(started.to_rfc3339_opts(SecondsFormat::Millis, true)),
        seed: Some(plan.worker.seed),
        workload: Some(plan.worker.workload.as_str().into()),
        nemesis: plan.worker.nemesis.iter().map(|n| n.as_str().into()).collect(),
        config: plan.worker.configuration(plan.cluster.fsync_before_ack()),
        plan: written,
        cluster,
        versions: versions.into_iter().map(|(name, version)| (name.to_owned(), version)).collect(),
        ..Header::default()
    }
}

fn note_cut(recorder: &Recorder, cut: &Cut, say: &dyn Say) {
    let (f, value) = match cut {
        Cut::Recorder(_) | Cut::Session(SessionError::Recorder(_)) => {
            ("recorder-error", json!({"message": cut.to_string()}))
        }
        _ => ("interrupted", json!({"reason": cut.to_string()})),
    };
    say.say(&format!("cut short: {cut}"));
    if let Cut::Formation(error) = cut {
        for line in &error.log_tail {
            say.say(&format!("    {line}"));
        }
    }
    // If the recorder itself is the trouble this fails too; the report then carries the reason.
    if let Err(error) = recorder.record(Draft::note(Process::Nemesis, f, value)) {
        tracing::warn!(%error, "the history does not say why it ends here");
    }
}

/// Forms the cluster and runs all phases.
async fn record(
    plan: &RunPlan,
    cluster: &Arc<Cluster>,
    recorder: &Arc<Recorder>,
    first: &First,
    stop: &CancellationToken,
    say: &dyn Say,
) -> Result<(), Cut> {
    let current = Arc::new(CurrentFault::default());
    let mut events = cluster.events();
    let observing = {
        let (recorder, current) = (recorder.clone(), current.clone());
        tokio::spawn(async move { observe::record(&recorder, &current, &mut events).await })
    };
    let phases = phases(plan, cluster, recorder, &current, first, stop, say);
    let outcome = tokio::select! {
        outcome = phases => outcome,
        () = flushing(recorder) => Ok(()),
    };
    // Bounded: what the observer has not recorded within a second is not part of this history.
    tokio::time::sleep(Duration::from_millis(200)).await;
    observing.abort();
    outcome
}

/// Flushes the history to the disk every second, for ever.
async fn flushing(recorder: &Arc<Recorder>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let recorder = recorder.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || recorder.sync()).await {
            tracing::warn!(%error, "the history is not flushed");
        }
    }
}

async fn phases(
    plan: &RunPlan,
    cluster: &Arc<Cluster>,
    recorder: &Arc<Recorder>,
    current: &Arc<CurrentFault>,
    first: &First,
    stop: &CancellationToken,
    say: &dyn Say,
) -> Result<(), Cut> {
    say.say(&format!("forming {} nodes of {}", plan.cluster.nodes, cluster.driver().name()));
    let limit = Duration::from_millis(plan.cluster.formation_limit_ms);
    let formation = tokio::select! {
        formed = forming::form(cluster, limit, say) => formed.map_err(Cut::Formation)?,
        () = stop.cancelled() => return Err(Cut::Interrupted),
    };
    say.say(&format!(
        "formed  in {} ms: {}",
        formation.formation_ms,
        cluster.driver().bootstrap_servers()
    ));
    recorder.record(Draft::note(Process::Cluster, "configuration", cluster.driver().describe()))?;
    for topic in plan.worker.workload.topics(&plan.worker) {
        cluster.create_topic(&new_topic(&topic), Duration::from_secs(30)).await?;
    }
    let (bootstrap, progress) = (cluster.driver().bootstrap_servers(), Arc::default());
    let shared = Arc::new(Shared::new(plan.worker.clone(), bootstrap, recorder.clone(), progress));
    recorder.record(Draft::note(Process::Nemesis, "phase", json!({"phase": "main"})))?;
    let early = stop.child_token();
    let main = async {
        match plan.scenario {
            None => main_phase(cluster, &shared, current, &early, say).await,
            Some(Scenario::RaftFailover) => {
                failover::run(cluster, &shared, current, &early, say).await
            }
        }
    };
    tokio::pin!(main);
    tokio::select! {
        outcome = &mut main => outcome?,
        () = first.ends() => {
            say.say("the first violation ends clients and faults");
            early.cancel();
            main.await?;
        }
    }
    if stop.is_cancelled() {
        return Err(Cut::Interrupted);
    }
    say.say("faults are healed; writing to and reading back every partition");
    let last = async {
        workloads::final_phase(shared.clone(), stop.child_token()).await.map_err(Cut::Session)
    };
    let ended = with_progress(last, &shared, say, "final").await?;
    recorder.record(Draft::note(Process::Nemesis, "phase", json!({"phase": "done"})))?;
    if let Some(reason) = ended.reason {
        say.say(&format!("the final reads did not complete: {reason}"));
    }
    if stop.is_cancelled() { Err(Cut::Interrupted) } else { Ok(()) }
}

/// Clients work, and once they have got going the nemesis follows its schedule.
async fn main_phase(
    cluster: &Arc<Cluster>,
    shared: &Arc<Shared>,
    current: &Arc<CurrentFault>,
    stop: &CancellationToken,
    say: &dyn Say,
) -> Result<(), Cut> {
    let halt = stop.child_token();
    let main = workloads::main_phase(shared.clone(), halt.clone());
    let faults = async {
        tokio::select! {
            () = shared.time.begun() => {}
            () = halt.cancelled() => return Ok(()),
        }
        let warm = shared.recorder.answered();
        let value = json!({"phase": "under-way", "threads_answered": warm});
        shared.recorder.record(Draft::note(Process::Nemesis, "phase", value))?;
        nemesis::run(cluster, shared, current, &halt).await
    };
    let both = async {
        let (main, faults) = tokio::join!(
            async {
                let outcome = main.await;
                // The schedule ends inside the main phase; if clients ended early, so do faults.
                halt.cancel();
                outcome
            },
            faults
        );
        main.map_err(Cut::Session).and(faults.map_err(Cut::Recorder))
    };
    with_progress(both, shared, say, "main").await?;
    Ok(())
}

fn new_topic(topic: &TopicSettings) -> NewTopic {
    let mut configs = BTreeMap::from([
        ("min.insync.replicas".to_owned(), topic.min_insync_replicas.to_string()),
        ("unclean.leader.election.enable".to_owned(), topic.unclean_leader_election.to_string()),
    ]);
    configs.extend(topic.configs.clone());
    NewTopic {
        name: topic.topic.clone(),
        partitions: topic.partitions,
        replication_factor: i16::try_from(topic.replication_factor).unwrap_or(i16::MAX),
        configs,
    }
}

/// Runs a phase and tells its counters every two seconds.
async fn with_progress<T>(
    phase: impl Future<Output = T>,
    shared: &Shared,
    say: &dyn Say,
    name: &str,
) -> T {
    tokio::pin!(phase);
    let mut ticks = tokio::time::interval(Duration::from_secs(2));
    ticks.tick().await;
    loop {
        tokio::select! {
            outcome = &mut phase => {
                say.say(&format!("{name:<7} done: {}", shared.progress.line()));
                return outcome;
            }
            _ = ticks.tick() => {
                let seconds = shared.recorder.now() / 1_000_000_000;
                say.say(&format!("{name:<7} {seconds:>3} s: {}", shared.progress.line()));
            }
        }
    }
}
