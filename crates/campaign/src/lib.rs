//! A run from its plan to its report: plan → cluster → worker → check → store.
//!
//! Whatever fails on the way, the cluster is shut down, the history that is on disk is checked, and the run directory
//! says what happened.

mod execute;
mod judge;
mod plan;
mod preflight;

pub use execute::{CampaignError, Finished, Say, run};
pub use judge::{JudgeError, judge_file, with_reason};
pub use plan::{ClusterPlan, RunPlan};
