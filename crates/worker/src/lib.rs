//! The worker: workloads against a real cluster, recorded as a history.
//!
//! This is the only crate that links rdkafka and reads a clock for operations. It never depends on the checker: a
//! recorder must not know how it is judged.
//!
//! Flow: a [`plan::WorkerPlan`] gives each thread of its workload ([`workloads`]) a seeded stream of operations ([`generator`]); a [`session`] turns
//! them into invocations and completions of librdkafka calls ([`client`], [`outcome`]); the [`recorder`] puts each
//! event on disk before anything else happens; the [`nemesis`] breaks the cluster on the plan's schedule.

pub mod attempt;
pub mod client;
pub mod client_probe;
pub mod ends;
pub mod faults;
pub mod generator;
pub mod member;
pub mod nemesis;
pub mod observe;
pub mod outcome;
pub mod payload;
pub mod plan;
pub mod progress;
pub mod properties;
pub mod reader;
pub mod recorder;
pub mod script;
pub mod session;
pub mod transactions;
pub mod turn;
pub mod workloads;

/// librdkafka's version, as a number and as text.
pub fn librdkafka_version() -> (i32, String) {
    rdkafka::util::get_rdkafka_version()
}
