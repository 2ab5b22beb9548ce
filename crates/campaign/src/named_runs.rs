//! Runs that have a name: `perjury run --plan NAME`, and `named_plan` in a plan file.
//!
//! Beside `raft-failover`, whose steps wait for each other, these are schedules of overlapping faults: sequences that make
//! Apache Kafka lose acknowledged records where its configuration allows that.

use crate::plan::{RunPlan, Scenario};
use perjury_history::Acks;
use perjury_worker::plan::{FaultKind, Target};
use perjury_worker::script;

/// A run that has a name.
#[derive(Clone, Copy)]
pub struct NamedRun {
    /// Its name.
    pub name: &'static str,
    /// What it does, for people.
    pub summary: &'static str,
    /// The options that it decides itself.
    decides: &'static [&'static str],
    settle: fn(&mut RunPlan),
}

impl std::fmt::Debug for NamedRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NamedRun").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What every schedule of ours decides: what is promised to whom, and what breaks when.
const SCHEDULED: &[&str] = &[
    "acks",
    "fault_duration",
    "idempotence",
    "min_insync_replicas",
    "nemesis",
    "nemesis_interval",
    "partitions",
    "replication_factor",
    "schedule",
    "target",
    "time_limit",
    "unclean",
    "unclean_leader_election",
];

/// All of them.
pub const NAMED_RUNS: [NamedRun; 5] = [
    NamedRun {
        name: "raft-failover",
        summary: "form and measure, 100 messages read back, 1,000 messages with a leader kill in the middle",
        decides: &[],
        settle: raft_failover,
    },
    NamedRun {
        name: "acks1-lost-leader",
        summary: "acks=1: the followers are paused, and before they go on their leader is killed",
        decides: SCHEDULED,
        settle: acks1_lost_leader,
    },
    NamedRun {
        name: "unclean-election",
        summary: "unclean elections, two replicas, min.insync.replicas=1: the follower falls out of sync, the leader is \
                  killed, and the follower comes back alone",
        decides: SCHEDULED,
        settle: unclean_election,
    },
    NamedRun {
        name: "retry-duplicates",
        summary: "acks=all, not idempotent, requests that give up after a second: both followers are paused for longer, twice",
        decides: SCHEDULED,
        settle: retry_duplicates,
    },
    NamedRun {
        name: "power-loss",
        summary: "acks=all, min.insync.replicas=2: all nodes lose power at once, and with it the end of each log that was \
                  not forced to the disk",
        decides: SCHEDULED,
        settle: power_loss,
    },
];

impl NamedRun {
    /// The run of this name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static NamedRun> {
        NAMED_RUNS.iter().find(|run| run.name == name)
    }

    /// The names of all, for messages.
    #[must_use]
    pub fn names() -> String {
        NAMED_RUNS.map(|run| run.name).join(", ")
    }

    /// Makes a plan that was resolved from options into this run. `given` says whether an option was given, by its name
    /// with underscores; what was not given and is no promise, such as the rate, is chosen to suit the run.
    ///
    /// # Errors
    /// When an option was given that this run decides itself.
    pub fn settle(
        &self,
        mut plan: RunPlan,
        given: &dyn Fn(&str) -> bool,
    ) -> Result<RunPlan, String> {
        if let Some(option) = self.decides.iter().find(|option| given(option)) {
            let option = option.replace('_', "-");
            return Err(format!(
                "{option} cannot be given with the plan {}, which decides it",
                self.name
            ));
        }
        if !given("name") {
            plan.name = format!("{}-{}", plan.cluster.driver, self.name);
        }
        if self.decides == SCHEDULED {
            let worker = &mut plan.worker;
            // What is lost is what a leader takes on alone within a few seconds: few records at a slow pace.
            let rate = if given("rate") { worker.rate } else { 2_000.0 };
            let concurrency = if given("concurrency") { worker.concurrency } else { 32 };
            (worker.rate, worker.concurrency) = (rate, concurrency);
            // What somebody has read before it is gone does not count as lost; the final reads read everything.
            worker.poll_ratio = if given("poll_ratio") { worker.poll_ratio } else { 0.0 };
            worker.topic.partitions = 1;
            worker.topic.unclean_leader_election = false;
            (worker.topic.replication_factor, worker.topic.min_insync_replicas) = (3, 2);
            (worker.client.acks, worker.client.idempotence) = (Acks::All, false);
        }
        (self.settle)(&mut plan);
        Ok(plan)
    }
}

/// How long the plan `raft-failover` lets a cluster be without an acknowledged write, in milliseconds.
const FAILOVER_GAP_MS: u64 = 10_000;
/// How long it leaves the killed leader dead, in milliseconds: a cluster that waits for it exceeds the budget.
const FAILOVER_DEAD_MS: u64 = 12_000;
/// How much longer a send may take, in milliseconds: the producer that wrote before the kill meets the leader again, as it
/// is when it comes back.
const FAILOVER_PATIENCE_MS: u64 = 10_000;
/// Settings of Apache Kafka under which a dead leader is noticed and replaced within the plan's goal of two seconds. Kafka's
/// own defaults are 9 s for the session and 2 s for the quorum's fetches.
const FAILOVER_KAFKA: [(&str, &str); 5] = [
    ("broker.session.timeout.ms", "1200"),
    ("broker.heartbeat.interval.ms", "200"),
    ("controller.quorum.fetch.timeout.ms", "800"),
    ("controller.quorum.election.timeout.ms", "400"),
    ("controller.quorum.election.backoff.max.ms", "200"),
];

/// One partition, no schedule of faults: the steps are the scenario's.
fn raft_failover(plan: &mut RunPlan) {
    plan.scenario = Some(Scenario::RaftFailover);
    let worker = &mut plan.worker;
    worker.topic.partitions = 1;
    worker.concurrency = 1;
    worker.schedule.clear();
    worker.nemesis.retain(|fault| *fault == FaultKind::Kill);
    worker.targets = vec![Target::Leader];
    worker.fault_duration_ms = worker.fault_duration_ms.max(FAILOVER_DEAD_MS);
    let patience = worker.fault_duration_ms + FAILOVER_PATIENCE_MS;
    worker.client.send_timeout_ms = worker.client.send_timeout_ms.max(patience);
    plan.budgets.entry("gap_ms".to_owned()).or_insert(FAILOVER_GAP_MS);
    if plan.cluster.driver == "kafka" {
        for (key, value) in FAILOVER_KAFKA {
            plan.cluster.settings.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
}

/// What the leader acknowledges while its followers are paused is on its disk alone. The followers go on only after it is
/// dead, and one of them leads.
fn acks1_lost_leader(plan: &mut RunPlan) {
    plan.worker.client.acks = Acks::Leader;
    follow(plan, 35_000, &["pause followers at 5s for 4s", "kill leader at 8s for 15s"]);
}

/// The follower is away for so long that it leaves the in-sync set; from then on the leader acknowledges alone. When the
/// leader is dead, the follower comes back and leads without what it has missed. The third node, which has no replica,
/// keeps the metadata's quorum.
fn unclean_election(plan: &mut RunPlan) {
    let topic = &mut plan.worker.topic;
    (topic.replication_factor, topic.min_insync_replicas) = (2, 1);
    topic.unclean_leader_election = true;
    follow(plan, 45_000, &["pause follower at 3s for 18s", "kill leader at 20s for 15s"]);
}

/// A Produce that waits for paused followers is sent again, although the leader has written it.
fn retry_duplicates(plan: &mut RunPlan) {
    let properties = &mut plan.worker.client.properties;
    properties.entry("request.timeout.ms".to_owned()).or_insert_with(|| "1000".to_owned());
    let schedule = ["pause followers at 5s for 2500ms", "pause followers at 14s for 2500ms"];
    follow(plan, 25_000, &schedule);
}

fn power_loss(plan: &mut RunPlan) {
    follow(plan, 30_000, &["power-loss all at 12s for 3s"]);
}

fn follow(plan: &mut RunPlan, time_limit_ms: u64, schedule: &[&str]) {
    plan.worker.time_limit_ms = time_limit_ms;
    // The sentences are constants that a test reads.
    plan.worker.follow(script::parse(schedule).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn settled(name: &str, given: &[&str]) -> Result<RunPlan, String> {
        let plan = Settings::default().resolve("a", 1).unwrap();
        NamedRun::named(name).unwrap().settle(plan, &|option| given.contains(&option))
    }

    #[test]
    fn every_named_run_is_a_plan_that_makes_sense() {
        for run in NAMED_RUNS {
            let plan = settled(run.name, &[]).unwrap();
            assert_eq!(plan.validate(), Ok(()), "{}", run.name);
            assert_eq!(plan.name, format!("testbed-{}", run.name));
            let steps = plan.scenario.is_some() || !plan.worker.schedule.is_empty();
            assert!(steps, "{} breaks nothing", run.name);
            assert!(NamedRun::names().contains(run.name));
        }
    }

    #[test]
    fn the_leader_dies_while_its_followers_are_paused() {
        for name in ["acks1-lost-leader", "unclean-election"] {
            let plan = settled(name, &[]).unwrap();
            let [pause, kill] = plan.worker.schedule.as_slice() else { panic!("{name}") };
            assert_eq!((pause.f, kill.f), (FaultKind::Pause, FaultKind::Kill));
            assert!(pause.at_ms < kill.at_ms && kill.at_ms < pause.end_ms(), "{name}");
            assert!(pause.end_ms() < kill.end_ms(), "{name}: the dead leader comes back last");
        }
    }

    #[test]
    fn what_a_run_decides_cannot_be_given() {
        let refused = settled("power-loss", &["acks"]).unwrap_err();
        assert!(refused.contains("acks") && refused.contains("power-loss"), "{refused}");
        let kept = settled("power-loss", &["rate", "name"]).unwrap();
        assert_eq!((kept.worker.rate, kept.name.as_str()), (800.0, "a"));
    }
}
