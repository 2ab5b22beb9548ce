//! Campaigns and runs.
//!
//! A campaign is a plan file that expands into runs ([`CampaignPlan`]), a folder in the store ([`Shelf`]) and a place in
//! the one queue ([`Queue`]), whose executor makes each run as a child process ([`ProcessExecutor`]).
//!
//! A run goes from its plan to its report: plan → cluster → worker → check → store.
//!
//! Whatever fails on the way, the cluster is shut down, the history that is on disk is checked, and the run directory
//! says what happened.

pub mod calibrate;
mod drivers;
mod execute;
mod executor;
mod failover;
mod first_screen;
mod follow;
mod forming;
mod gone;
mod judge;
mod matrix;
mod named;
mod named_runs;
mod pace;
mod plan;
mod preflight;
mod queue;
mod retention;
mod salvage;
mod settings;
mod shelf;
mod watch;
mod windows;

pub use drivers::{driver, options};
pub use execute::{CampaignError, Finished, Say, run};
pub use executor::{Executor, ProcessExecutor};
pub use first_screen::{FIRST_SCREEN_SCHEMA, LONG_HISTORY_BYTES, keep_first_screen};
pub use follow::Follower;
pub use forming::{form, line};
pub use gone::trend;
pub use judge::{JudgeError, judge_file, with_reason};
pub use matrix::{
    CampaignPlan, Earlier, Keep, Matrix, PLAN_BYTES_MAX, PlanError, RUNS_MAX, Resolved, Seeds,
    parse as parse_plan, plan_schema,
};
pub use named::{NAMED_PLANS, NamedPlan};
pub use named_runs::{NAMED_RUNS, NamedRun};
pub use pace::{Pace, placement};
pub use plan::{ClusterPlan, DRIVERS, RunPlan, Scenario};
pub use preflight::never_injected;
pub use queue::{Change, Queue, Until};
pub use retention::{expired, policy, prune};
pub use salvage::{Ending, SalvageError, salvage};
pub use settings::{Clients, Settings, Span};
pub use shelf::{
    Campaign, CampaignRun, CampaignState, Counts, ExecutorLock, QUEUED_RUNS_MAX, RunState, Shelf,
    ShelfError, UNFINISHED_MAX, Wanted,
};
pub use windows::{windows, windows_so_far};
