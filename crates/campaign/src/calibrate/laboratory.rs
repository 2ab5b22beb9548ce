//! Makes the runs of a calibration, several at a time.

use super::design::{Design, Trial};
use super::files::{CalibrationError, Calibrations};
use super::outcome::Outcome;
use crate::execute::Say;
use crate::executor::{Executor, ProcessExecutor};
use chrono::Utc;
use perjury_store::{RunDir, Store};
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A run that takes longer, with everything, is cut short.
const RUN_TIME_MAX: Duration = Duration::from_secs(120);
/// How often people are told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Where runs are made.
#[derive(Debug, Clone)]
pub struct Laboratory {
    /// The program, usually this one.
    pub program: PathBuf,
    /// How many runs are made at a time. They mostly wait, so that several a core do not disturb each other.
    pub parallel: usize,
}

/// An outcome, or why the calibration cannot go on.
type Made = Result<Outcome, CalibrationError>;

/// How far it is.
#[derive(Debug, Default)]
struct Tally {
    done: usize,
    total: usize,
    bug_runs: usize,
    found: usize,
    clean_runs: usize,
    accused: usize,
}

impl Tally {
    fn count(&mut self, outcome: &Outcome) {
        self.done += 1;
        let (runs, found) = match outcome.bug {
            Some(_) => (&mut self.bug_runs, &mut self.found),
            None => (&mut self.clean_runs, &mut self.accused),
        };
        *runs += 1;
        *found += usize::from(outcome.found());
    }

    fn line(&self, began: Instant, before: usize) -> String {
        let (made, left) = (self.done.saturating_sub(before), self.total - self.done);
        let each = began.elapsed().as_secs_f64() / made.max(1) as f64;
        let left = Duration::from_secs_f64((each * left as f64).round());
        format!(
            "{} of {} runs · bug found in {} of {} · correct cluster accused in {} of {} · {} to go",
            self.done,
            self.total,
            self.found,
            self.bug_runs,
            self.accused,
            self.clean_runs,
            humantime::format_duration(left)
        )
    }
}

impl Laboratory {
    /// Makes every run of the calibration that has no outcome yet, and gives all outcomes. When `stop` is cancelled no
    /// further run is started, and those under way are given up; the calibration can go on later.
    ///
    /// # Errors
    /// When the design makes no runs, or an outcome cannot be kept. A run that fails is an outcome, too.
    pub async fn run(
        &self,
        calibrations: &Calibrations,
        id: &str,
        stop: &CancellationToken,
        say: &dyn Say,
    ) -> Result<Vec<Outcome>, CalibrationError> {
        let design: Design = calibrations.design(id)?;
        calibrations.mend(id)?;
        let mut outcomes = calibrations.outcomes(id)?;
        let done: BTreeSet<String> = outcomes.iter().map(|o| o.key.clone()).collect();
        let trials = design.trials()?;
        let mut tally = Tally { total: trials.len(), ..Tally::default() };
        outcomes.iter().for_each(|outcome| tally.count(outcome));
        let left: VecDeque<Trial> =
            trials.into_iter().filter(|trial| !done.contains(&trial.key())).collect();
        let (began, before) = (Instant::now(), tally.done);
        let (tell, mut told) = mpsc::channel(16);
        let halt = stop.child_token();
        let mut lanes = self.lanes(&calibrations.path(id)?, left, &halt, &tell);
        drop(tell);
        let mut last: Option<Instant> = None;
        let mut result = Ok(());
        while let Some(made) = told.recv().await {
            let made = made.and_then(|outcome| calibrations.append(id, &outcome).map(|()| outcome));
            let outcome = match made {
                Ok(outcome) => outcome,
                Err(error) => {
                    halt.cancel();
                    result = result.and(Err(error));
                    continue;
                }
            };
            tally.count(&outcome);
            if outcome.surprises() {
                say.say(&surprise(&outcome));
            }
            outcomes.push(outcome);
            if last.is_none_or(|at| at.elapsed() >= TELL_EVERY) || tally.done == tally.total {
                last = Some(Instant::now());
                say.say(&tally.line(began, before));
            }
        }
        while let Some(joined) = lanes.join_next().await {
            joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        }
        result.map(|()| outcomes)
    }

    /// Starts the lanes. Each has a store of its own, so that nothing that a run leaves for the next one, such as deeds to
    /// undo, is ever in the way of a run beside it.
    fn lanes(
        &self,
        path: &Path,
        left: VecDeque<Trial>,
        stop: &CancellationToken,
        tell: &mpsc::Sender<Made>,
    ) -> JoinSet<()> {
        let left = Arc::new(Mutex::new(left));
        let mut lanes = JoinSet::new();
        for n in 0..self.parallel.max(1) {
            let store = path.join("runs").join(format!("lane-{n}"));
            let lane = Lane {
                executor: ProcessExecutor { program: self.program.clone(), store: store.clone() },
                store,
                left: Arc::clone(&left),
                stop: stop.clone(),
            };
            let tell = tell.clone();
            lanes.spawn(async move { lane.work(&tell).await });
        }
        lanes
    }
}

/// What people should know at once.
fn surprise(outcome: &Outcome) -> String {
    let names: Vec<&str> = outcome.anomalies.keys().map(String::as_str).collect();
    let what = match (&outcome.problem, outcome.bug) {
        (Some(problem), _) => format!("failed: {problem}"),
        (None, None) => format!("accused the correct cluster of {}", names.join(", ")),
        (None, Some(_)) => format!("did not find the bug ({})", outcome.verdict),
    };
    let kept = outcome.run.as_deref().map_or_else(String::new, |run| format!(" · kept as {run}"));
    format!("{}: {what}{kept}", outcome.key)
}

/// Makes one run after the other.
struct Lane {
    executor: ProcessExecutor,
    store: PathBuf,
    left: Arc<Mutex<VecDeque<Trial>>>,
    stop: CancellationToken,
}

impl Lane {
    async fn work(&self, tell: &mpsc::Sender<Made>) {
        while !self.stop.is_cancelled() {
            let next = self.left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(trial) = next else { return };
            // Without an outcome it was cut short and says nothing; it is made again when the calibration goes on.
            let Some(made) = self.make(&trial).await.transpose() else { return };
            if tell.send(made).await.is_err() {
                return;
            }
        }
    }

    /// Makes a run; none if it was cut short.
    async fn make(&self, trial: &Trial) -> Result<Option<Outcome>, CalibrationError> {
        let dir = self.prepare(trial)?;
        let (began, limit) = (Instant::now(), self.stop.child_token());
        let executed = self.executor.execute(&dir, &limit);
        tokio::pin!(executed);
        let problem = tokio::select! {
            done = &mut executed => done.err(),
            () = tokio::time::sleep(RUN_TIME_MAX) => {
                limit.cancel();
                let _ = executed.await;
                Some(format!("it took more than {} s", RUN_TIME_MAX.as_secs()))
            }
        };
        if self.stop.is_cancelled() {
            remove(&dir).await;
            return Ok(None);
        }
        let wall_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (judged, place) = (trial.clone(), dir.clone());
        let outcome =
            tokio::task::spawn_blocking(move || Outcome::of(&judged, &place, problem, wall_ms));
        let mut outcome = outcome.await.map_err(CalibrationError::Panic)?;
        if outcome.surprises() {
            let lane = self.store.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            outcome.run = Some(format!("runs/{lane}/{}", dir.id()));
        } else {
            remove(&dir).await;
        }
        Ok(Some(outcome))
    }

    fn prepare(&self, trial: &Trial) -> Result<RunDir, CalibrationError> {
        let plan = trial.plan()?;
        let store = Store::open(&self.store)?;
        let now = Utc::now();
        let dir = store.create_exactly(&store.free_id(&plan.name, now)?, now)?;
        dir.write_plan(&plan)?;
        Ok(dir)
    }
}

/// Removes a run that did what was expected of it. What cannot be removed is in nobody's way.
async fn remove(dir: &RunDir) {
    if let Err(error) = tokio::fs::remove_dir_all(dir.path()).await {
        tracing::warn!(%error, "a run of the calibration is left over");
    }
}
