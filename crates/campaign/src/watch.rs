//! The verdict that runs along with a run: each violation is told when it is definite, and ends the run if that is wanted.

use crate::execute::Say;
use crate::follow::Follower;
use perjury_checker::{LiveViolation, Options};
use perjury_worker::recorder::{Draft, Recorder};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the history is looked at.
const EVERY: Duration = Duration::from_millis(250);
/// How many violations are told one by one.
const TOLD_MAX: usize = 5;

/// The first definite violation of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct First {
    /// Whether it ends clients and faults.
    pub(crate) ends_the_run: bool,
    /// Cancelled when there is one.
    pub(crate) seen: CancellationToken,
}

impl First {
    /// Waits for the first violation, for ever if it is not to end the run.
    pub(crate) async fn ends(&self) {
        if self.ends_the_run {
            self.seen.cancelled().await;
        } else {
            std::future::pending::<()>().await;
        }
    }
}

/// Follows the history until it is dropped; never ends by itself.
pub(crate) async fn along(
    path: &Path,
    options: &Options,
    recorder: &Arc<Recorder>,
    first: &First,
    say: &dyn Say,
) {
    let mut follower = Follower::new(path, options.clone());
    let mut told = 0;
    loop {
        tokio::time::sleep(EVERY).await;
        let looked = tokio::task::spawn_blocking(move || {
            let outcome = follower.look(|_| ());
            (follower, outcome)
        });
        let Ok((again, outcome)) = looked.await else {
            tracing::error!("the running verdict panicked; the run goes on without it");
            return std::future::pending().await;
        };
        follower = again;
        if let Err(error) = outcome {
            tracing::warn!(%error, "the history cannot be followed");
            continue;
        }
        let violations = follower.live().map_or(&[][..], |live| live.violations());
        if let Some(violation) = violations.first().filter(|_| !first.seen.is_cancelled()) {
            if first.ends_the_run {
                note(recorder, violation);
            }
            first.seen.cancel();
        }
        for violation in violations.iter().skip(told).take(TOLD_MAX.saturating_sub(told)) {
            say.say(&format!("found   {}: {}", violation.anomaly, violation.sentence));
        }
        if told < TOLD_MAX && violations.len() > TOLD_MAX {
            say.say("found   more; the report lists them");
        }
        told = told.max(violations.len().min(TOLD_MAX + 1));
    }
}

fn note(recorder: &Recorder, violation: &LiveViolation) {
    let value = json!({"anomaly": violation.anomaly, "event": violation.event});
    let draft = Draft::note(perjury_history::Process::Nemesis, "fail-fast", value);
    if let Err(error) = recorder.record(draft) {
        tracing::warn!(%error, "the history does not say that the first violation ended the run");
    }
}
