//! A run from its plan to its report: plan → cluster → worker → check → store.
//!
//! Whatever fails on the way, the cluster is shut down, the history that is on disk is checked, and the run directory
//! says what happened.

mod drivers;
mod execute;
mod failover;
mod forming;
mod judge;
mod plan;

pub use drivers::{driver, options};
pub use execute::{CampaignError, Finished, Say, run};
pub use forming::{form, line};
pub use judge::{JudgeError, judge_file, with_reason};
pub use plan::{ClusterPlan, DRIVERS, RunPlan, Scenario};
