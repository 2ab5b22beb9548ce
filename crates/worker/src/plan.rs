//! The plan of a run: everything that its operations and faults follow from.

pub use crate::faults::{FaultKind, Target};
use crate::script;
pub use crate::script::PlannedFault;
pub use crate::workloads::Workload;
use perjury_cluster::FaultSettings;
use perjury_history::{Acks, Configuration, IsolationLevel};
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the clients are told. Durations in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSettings {
    /// The producers' `acks`.
    pub acks: Acks,
    /// The producers' `enable.idempotence`.
    pub idempotence: bool,
    /// The consumers' `isolation.level`.
    pub isolation_level: IsolationLevel,
    /// How long a send may take before its outcome is unknown (`message.timeout.ms`).
    pub send_timeout_ms: u64,
    /// How long a poll waits for its first record.
    pub poll_ms: u64,
    /// How many records a poll returns at most.
    pub poll_records_max: usize,
    /// Further librdkafka properties; they win over ours.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        ClientSettings {
            acks: Acks::All,
            idempotence: true,
            isolation_level: IsolationLevel::ReadUncommitted,
            send_timeout_ms: 10_000,
            poll_ms: 100,
            poll_records_max: 500,
            properties: BTreeMap::new(),
        }
    }
}

/// The topic under test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSettings {
    /// Its name.
    pub topic: String,
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas each has.
    pub replication_factor: i32,
    /// `min.insync.replicas`.
    pub min_insync_replicas: i32,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
    /// Further configuration of the topic, by Kafka's names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub configs: BTreeMap<String, String>,
}

impl Default for TopicSettings {
    fn default() -> Self {
        TopicSettings {
            topic: "perjury-queue".into(),
            partitions: 4,
            replication_factor: 3,
            min_insync_replicas: 2,
            unclean_leader_election: false,
            configs: BTreeMap::new(),
        }
    }
}

impl TopicSettings {
    /// The history key of a partition: Kafka's own way to write a topic-partition.
    pub fn key(&self, partition: i32) -> String {
        format!("{}-{partition}", self.topic)
    }
}

/// Everything that a run's operations and faults follow from. Durations in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerPlan {
    /// Every random choice comes from it.
    pub seed: u64,
    /// What clients do.
    pub workload: Workload,
    /// How many clients work at a time.
    pub concurrency: u32,
    /// Operations per second over all clients that are aimed at.
    pub rate: f64,
    /// The share of polls among operations, 0 to 1.
    pub poll_ratio: f64,
    /// How long the main phase lasts.
    pub time_limit_ms: u64,
    /// How long the cluster has after the last heal to come back.
    pub recovery_limit_ms: u64,
    /// How long the final reads may take.
    pub final_time_limit_ms: u64,
    /// How long a transaction may stay open (`transaction.timeout.ms`).
    #[serde(default = "transaction_timeout_ms")]
    pub transaction_timeout_ms: u64,
    /// The topic under test.
    pub topic: TopicSettings,
    /// What the clients are told.
    pub client: ClientSettings,
    /// The faults that were asked for. Empty: none.
    pub nemesis: Vec<FaultKind>,
    /// The roles that faults aim at.
    pub targets: Vec<Target>,
    /// The mean time from a heal to the next fault.
    pub nemesis_interval_ms: u64,
    /// How long a fault lasts.
    pub fault_duration_ms: u64,
    /// How strong faults are.
    #[serde(default)]
    pub fault_settings: FaultSettings,
    /// Every fault is replaced by one that does nothing.
    #[serde(default)]
    pub disarmed: bool,
    /// The schedule. It follows from all of the above, unless it was written by hand: then faults may overlap, and in a
    /// file each can be a sentence such as `pause followers at 5s for 2s` ([`PlannedFault`]).
    #[serde(deserialize_with = "script::read_schedule")]
    pub schedule: Vec<PlannedFault>,
}

/// The timeout of transactions where a plan names none: longer than it takes a cluster to come back from a fault, short
/// enough that a run can wait for one that hangs. Milliseconds.
pub const fn transaction_timeout_ms() -> u64 {
    15_000
}

impl WorkerPlan {
    /// Computes the schedule of faults from seed and settings.
    ///
    /// The first fault comes after one interval, so that there is something to lose; the last one is healed inside the
    /// main phase. Kinds and targets take turns from a shuffled start, so that a short run has each of them.
    pub fn schedule_faults(&mut self) {
        self.schedule.clear();
        if self.nemesis.is_empty() || self.targets.is_empty() {
            return;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ 0x6e65_6d65_7369_7321);
        let (first_kind, first_target) =
            (rng.random_range(0..self.nemesis.len()), rng.random_range(0..self.targets.len()));
        let interval = self.nemesis_interval_ms.max(100);
        let mut at = interval.min(self.time_limit_ms / 4);
        for fault in 0u32.. {
            let duration_ms = self.fault_duration_ms;
            if at + duration_ms > self.time_limit_ms {
                break;
            }
            let turn = fault as usize;
            let f = self.nemesis[(first_kind + turn) % self.nemesis.len()];
            let target =
                self.targets[(first_target + turn / self.nemesis.len()) % self.targets.len()];
            self.schedule.push(PlannedFault {
                fault,
                at_ms: at,
                duration_ms,
                f,
                target: f.aim(target),
                partition: rng.random_range(0..self.topic.partitions.max(1)),
                pick: rng.random(),
                with: BTreeMap::new(),
            });
            at += duration_ms + rng.random_range(interval / 2..=interval * 3 / 2);
        }
    }

    /// What clients and cluster are configured to promise, for the contract.
    pub fn configuration(&self, fsync_before_ack: Option<bool>) -> Configuration {
        let mut configuration = Configuration {
            acks: Some(self.client.acks),
            idempotence: Some(self.client.idempotence),
            transactional: None,
            isolation_level: Some(self.client.isolation_level),
            sub_via: Vec::new(),
            replication_factor: u32::try_from(self.topic.replication_factor).ok(),
            min_insync_replicas: u32::try_from(self.topic.min_insync_replicas).ok(),
            unclean_leader_election: Some(self.topic.unclean_leader_election),
            fsync_before_ack,
            compacted: None,
        };
        self.workload.configure(&mut configuration);
        configuration
    }

    /// Names what is wrong with the plan, if anything is.
    ///
    /// # Errors
    /// One sentence that names the setting and its range.
    pub fn validate(&self) -> Result<(), String> {
        let checks = [
            (self.concurrency == 0, "--concurrency must be at least 1"),
            (self.concurrency > 1000, "--concurrency is at most 1000 on one machine"),
            (
                !(self.rate > 0.0 && self.rate <= 1e6),
                "--rate is between 0 (exclusive) and 1000000 operations per second",
            ),
            (!(0.0..=1.0).contains(&self.poll_ratio), "the share of polls is between 0 and 1"),
            (self.time_limit_ms < 1000, "--time-limit must be at least 1s"),
            (self.topic.partitions < 1, "a topic has at least one partition"),
            (self.topic.replication_factor < 1, "the replication factor is at least 1"),
            (
                self.topic.min_insync_replicas > self.topic.replication_factor,
                "min.insync.replicas cannot exceed the replication factor",
            ),
            (
                self.client.idempotence && self.client.acks != Acks::All,
                "idempotence needs acks=all: give --acks all or --idempotence false",
            ),
            (
                self.workload.is_transactional()
                    && !(self.client.idempotence && self.client.acks == Acks::All),
                "transactions need acks=all and idempotence: leave --acks and --idempotence out, or choose another \
                 --workload",
            ),
            (
                !(6_000..=900_000).contains(&self.transaction_timeout_ms),
                "transaction_timeout_ms is between 6000, since a request may take 5 s, and 900000, the most that \
                 brokers allow",
            ),
        ];
        match checks.iter().find(|(bad, _)| *bad) {
            Some((_, message)) => Err((*message).into()),
            None => script::validate(self),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn plan(seed: u64) -> WorkerPlan {
        let mut plan = WorkerPlan {
            seed,
            workload: Workload::Queue,
            concurrency: 4,
            rate: 100.0,
            poll_ratio: 0.5,
            time_limit_ms: 30_000,
            recovery_limit_ms: 10_000,
            final_time_limit_ms: 10_000,
            transaction_timeout_ms: transaction_timeout_ms(),
            topic: TopicSettings::default(),
            client: ClientSettings::default(),
            nemesis: vec![FaultKind::Kill, FaultKind::Pause],
            targets: vec![Target::Leader, Target::Follower, Target::All],
            nemesis_interval_ms: 3_000,
            fault_duration_ms: 2_000,
            fault_settings: FaultSettings::default(),
            disarmed: false,
            schedule: Vec::new(),
        };
        plan.schedule_faults();
        plan
    }

    #[test]
    fn the_schedule_follows_from_the_seed_and_stays_inside_the_main_phase() {
        assert_eq!(plan(7).schedule, plan(7).schedule);
        assert_ne!(plan(7).schedule, plan(8).schedule);
        for seed in 0..200 {
            let plan = plan(seed);
            assert!(plan.schedule.len() >= 3, "seed {seed}");
            assert!(plan.schedule.iter().all(|f| f.at_ms + f.duration_ms <= plan.time_limit_ms));
            assert!(plan.schedule.windows(2).all(|w| w[0].at_ms + w[0].duration_ms < w[1].at_ms));
            assert!(
                plan.schedule.iter().any(|f| f.f == FaultKind::Kill)
                    && plan.schedule.iter().any(|f| f.f == FaultKind::Pause)
            );
        }
    }

    #[test]
    fn a_plan_survives_its_json_form() {
        let plan = plan(3);
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<WorkerPlan>(&text).unwrap(), plan);
    }

    #[test]
    fn bad_settings_are_named() {
        let mut bad = plan(1);
        bad.client.acks = Acks::Leader;
        assert!(bad.validate().unwrap_err().contains("idempotence"));
        bad = plan(1);
        bad.topic.min_insync_replicas = 4;
        assert!(bad.validate().unwrap_err().contains("min.insync.replicas"));
    }
}
