//! The workloads: what clients do, what each can find, and what a run must have done to count.
//!
//! One file a workload. A workload is a main phase, in which all threads work and the nemesis breaks the cluster, and a
//! final phase after everything was healed, in which what the main phase was promised is read back.

mod admin;
mod compacted;
mod exactly_once;
mod fencing;
mod final_reads;
mod group;
mod list_offsets;
mod observers;
mod queue;
mod stream;
mod transactional;
mod txn;
mod txn_final;

pub use final_reads::FinalPhase;

use crate::plan::{TopicSettings, WorkerPlan};
use crate::session::{SessionError, Shared};
use crate::turn::{self, Turn};
use perjury_history::{Configuration, SubVia};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What there is to say of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Its name, as in `--workload`.
    pub name: &'static str,
    /// What its clients do, as a part of a sentence.
    pub what: &'static str,
    /// The anomalies that it can show, by the checker's names.
    pub finds: &'static [&'static str],
    /// What a cluster must know for it.
    pub needs: &'static str,
    /// What clients must have done at least, beside what the checker demands of every run: `("ok txn", 10)` demands ten
    /// operations with the function `txn` that ended in ok. Less than that, and the verdict is unknown.
    pub coverage_min: &'static [(&'static str, u64)],
}

/// The workloads that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Unique values are sent to the partitions of one topic and polled by consumers with assigned partitions.
    Queue,
    /// Transactions send to and poll from the partitions of one topic.
    Txn,
    /// Processors consume from one topic, produce to another, and commit offsets with their outputs.
    ExactlyOnce,
    /// Pairs of producers take one transactional id from each other.
    Fencing,
    /// A consumer group reads what others send, while members come and go.
    Group,
    /// Keys of a compacted topic are written again and again, deleted, and read back.
    Compacted,
    /// Several clients ask for the ends of logs that grow.
    ListOffsets,
    /// Topics are made, extended and deleted, and records deleted, under load.
    Admin,
}

impl Workload {
    /// All of them.
    pub const ALL: [Workload; 8] = [
        Workload::Queue,
        Workload::Txn,
        Workload::Group,
        Workload::ExactlyOnce,
        Workload::Fencing,
        Workload::Compacted,
        Workload::ListOffsets,
        Workload::Admin,
    ];

    /// What there is to say of it.
    pub fn describe(self) -> &'static Description {
        match self {
            Workload::Queue => &queue::DESCRIPTION,
            Workload::Txn => &txn::DESCRIPTION,
            Workload::ExactlyOnce => &exactly_once::DESCRIPTION,
            Workload::Fencing => &fencing::DESCRIPTION,
            Workload::Group => &group::DESCRIPTION,
            Workload::Compacted => &compacted::DESCRIPTION,
            Workload::ListOffsets => &list_offsets::DESCRIPTION,
            Workload::Admin => &admin::DESCRIPTION,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        self.describe().name
    }

    /// The topics that it needs, the one of the plan first.
    pub fn topics(self, plan: &WorkerPlan) -> Vec<TopicSettings> {
        match self {
            Workload::Compacted => vec![compacted::topic(plan)],
            Workload::ExactlyOnce => vec![plan.topic.clone(), exactly_once::outputs(plan)],
            Workload::Queue
            | Workload::Txn
            | Workload::Fencing
            | Workload::Group
            | Workload::ListOffsets
            | Workload::Admin => vec![plan.topic.clone()],
        }
    }

    /// What its clients add to the configuration by which a run is judged.
    pub(crate) fn configure(self, configuration: &mut Configuration) {
        match self {
            Workload::Queue | Workload::Compacted | Workload::ListOffsets | Workload::Admin => {
                configuration.transactional = Some(false);
                configuration.sub_via = vec![SubVia::Assign];
                configuration.compacted = (self == Workload::Compacted).then_some(true);
            }
            Workload::Group => {
                configuration.transactional = Some(false);
                // The final reads are by assignment.
                configuration.sub_via = vec![SubVia::Subscribe, SubVia::Assign];
            }
            Workload::Txn | Workload::ExactlyOnce | Workload::Fencing => {
                transactional::configure(configuration);
            }
        }
    }

    /// The consumer group that it is about, if it is about one.
    pub(crate) fn group(self, plan: &WorkerPlan) -> Option<String> {
        match self {
            Workload::Group => Some(group::GROUP.into()),
            Workload::ExactlyOnce => Some(exactly_once::group(plan)),
            _ => None,
        }
    }

    /// Whether its producers are transactional.
    pub fn is_transactional(self) -> bool {
        matches!(self, Workload::Txn | Workload::ExactlyOnce | Workload::Fencing)
    }
}

impl std::str::FromStr for Workload {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Workload::ALL.into_iter().find(|w| w.as_str() == s).ok_or_else(|| {
            let names: Vec<&str> = Workload::ALL.iter().map(|w| w.as_str()).collect();
            format!("there is no workload {s:?}; the workloads are: {}", names.join(", "))
        })
    }
}

/// Runs the main phase of the plan's workload until its time is over or `stop` is cancelled.
///
/// # Errors
/// When an event cannot be recorded or librdkafka refuses the settings; all threads are ended first.
pub async fn main_phase(shared: Arc<Shared>, stop: CancellationToken) -> Result<(), SessionError> {
    match shared.plan.workload {
        Workload::Queue => queue::main_phase(shared, stop).await,
        Workload::Txn => txn::main_phase(shared, stop).await,
        Workload::ExactlyOnce => exactly_once::main_phase(shared, stop).await,
        Workload::Fencing => fencing::main_phase(shared, stop).await,
        Workload::Group => group::main_phase(shared, stop).await,
        Workload::Compacted => compacted::main_phase(shared, stop).await,
        Workload::ListOffsets => list_offsets::main_phase(shared, stop).await,
        Workload::Admin => admin::main_phase(shared, stop).await,
    }
}

/// Runs the final phase of the plan's workload. All faults are healed.
///
/// # Errors
/// When an event cannot be recorded or librdkafka refuses the settings.
pub async fn final_phase(
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Result<FinalPhase, SessionError> {
    match shared.plan.workload {
        Workload::Txn | Workload::ExactlyOnce | Workload::Fencing => {
            txn_final::final_phase(shared, stop).await
        }
        Workload::Group => group::final_phase(shared, stop).await,
        Workload::ListOffsets => list_offsets::final_phase(shared, stop).await,
        Workload::Queue | Workload::Compacted | Workload::Admin => {
            final_reads::final_phase(shared, stop).await
        }
    }
}

/// Runs one task for each thread of the plan, and begins the time of the main phase once they have got going. The first
/// that fails stops the others, and its error is given when all have ended.
async fn threads<T>(
    shared: &Shared,
    stop: &CancellationToken,
    mut run: impl FnMut(Turn) -> T,
) -> Result<(), SessionError>
where
    T: Future<Output = Result<(), SessionError>> + Send + 'static,
{
    let mut threads = tokio::task::JoinSet::new();
    for thread in 0..shared.plan.concurrency {
        threads.spawn(run(Turn::new(thread, stop.child_token())));
    }
    let ended = async {
        let mut result = Ok(());
        while let Some(joined) = threads.join_next().await {
            let outcome =
                joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
            if outcome.is_err() && result.is_ok() {
                stop.cancel();
                result = outcome;
            }
        }
        result
    };
    tokio::join!(turn::warm_up(shared, stop), ended).1
}
