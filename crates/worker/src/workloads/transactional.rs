//! What the transactional workloads have in common: the roles of their clients and the pace of their threads.

use crate::client::Transactional;
use crate::plan::{ClientSettings, TopicSettings, WorkerPlan};
use crate::session::Role;
use perjury_history::{Acks, Configuration, IsolationLevel, SubVia};

/// What all of them add to the configuration by which a run is judged.
pub(super) fn configure(configuration: &mut Configuration) {
    configuration.transactional = Some(true);
    configuration.acks = Some(Acks::All);
    configuration.idempotence = Some(true);
    configuration.isolation_level = Some(IsolationLevel::ReadCommitted);
    configuration.sub_via = vec![SubVia::Assign];
}

fn settings(plan: &WorkerPlan) -> ClientSettings {
    ClientSettings { isolation_level: IsolationLevel::ReadCommitted, ..plan.client.clone() }
}

/// A consumer of a topic that reads committed.
pub(super) fn reader(plan: &WorkerPlan, topic: &TopicSettings) -> Role {
    let (topic, settings) = (topic.clone(), settings(plan));
    Role { topic, settings, transactional: None, resumes: true }
}

/// A producer with a transactional id, with a consumer of a group that reads committed.
pub(super) fn writer(plan: &WorkerPlan, topic: &TopicSettings, id: &str, group: &str) -> Role {
    let transactional = Transactional {
        id: id.to_owned(),
        timeout_ms: plan.transaction_timeout_ms,
        group: group.to_owned(),
    };
    Role { transactional: Some(transactional), ..reader(plan, topic) }
}
