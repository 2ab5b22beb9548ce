//! What a plan file says of a run, in the words of `perjury run`, and the resolved plan that follows from it.

use crate::named_runs::NamedRun;
use crate::pace::{Pace, placement};
use crate::plan::{ClusterPlan, RunPlan};
use perjury_worker::script;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A length of time: a bare number is seconds; `"500ms"`, `"90s"` and `"5m"` work too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Span {
    /// Seconds.
    Seconds(f64),
    /// With a unit.
    Text(String),
}

impl Span {
    fn millis(&self) -> Result<u64, String> {
        let duration = match self {
            Span::Seconds(s) => Duration::try_from_secs_f64(*s)
                .map_err(|_| format!("{s} is not a duration: give seconds, such as 30"))?,
            Span::Text(text) => match text.parse::<f64>() {
                Ok(seconds) => return Span::Seconds(seconds).millis(),
                Err(_) => humantime::parse_duration(text).map_err(|e| {
                    format!(
                        "{text:?} is not a duration ({e}): give 30, \"30s\", \"500ms\" or \"5m\""
                    )
                })?,
            },
        };
        Ok(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

/// How many clients: a number, or `"3n"` for three a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Clients {
    /// So many.
    Number(u32),
    /// A number, or a multiple of the nodes.
    Text(String),
}

impl Clients {
    fn count(&self, nodes: u32) -> Result<u32, String> {
        let text = match self {
            Clients::Number(n) => return Ok(*n),
            Clients::Text(text) => text,
        };
        let parsed = match text.strip_suffix('n') {
            Some("") => Some(nodes),
            Some(factor) => factor.parse::<u32>().ok().and_then(|f| f.checked_mul(nodes)),
            None => text.parse().ok(),
        };
        parsed.ok_or_else(|| {
            format!("concurrency {text:?} is neither a number nor a multiple of the nodes such as \"3n\"")
        })
    }
}

/// Settings of a run, as far as they are given. The names are those of the options of `perjury run`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Settings {
    /// What this entry of a matrix is called in names of runs; follows from its content when absent.
    pub label: Option<String>,
    /// The cluster's driver, such as `testbed`.
    pub cluster: Option<String>,
    /// The cluster's version, for drivers that can start several.
    pub cluster_version: Option<String>,
    /// How many nodes.
    pub nodes: Option<u32>,
    /// The program of a node.
    pub binary: Option<PathBuf>,
    /// Bugs of the testbed to switch on.
    pub bugs: Option<Vec<String>>,
    /// How long the cluster may take to form.
    pub formation_time_limit: Option<Span>,
    /// What clients do.
    pub workload: Option<String>,
    /// Faults; empty for none.
    pub nemesis: Option<Vec<String>>,
    /// The roles that faults aim at in turn.
    pub target: Option<Vec<String>>,
    /// The mean time from a heal to the next fault.
    pub nemesis_interval: Option<Span>,
    /// How long a fault lasts.
    pub fault_duration: Option<Span>,
    /// How long clients work.
    pub time_limit: Option<Span>,
    /// Whether clients and faults end with the first violation.
    pub fail_fast: Option<bool>,
    /// How long the cluster has to come back after the last fault.
    pub recovery_time_limit: Option<Span>,
    /// How long the final reads may take.
    pub final_time_limit: Option<Span>,
    /// Operations per second over all clients that are aimed at.
    pub rate: Option<f64>,
    /// Clients at a time.
    pub concurrency: Option<Clients>,
    /// The share of polls among operations, 0 to 1.
    pub poll_ratio: Option<f64>,
    /// How many partitions the topic has.
    pub partitions: Option<i32>,
    /// How many replicas each partition has.
    pub replication_factor: Option<i32>,
    /// `min.insync.replicas` of the topic.
    pub min_insync_replicas: Option<i32>,
    /// `unclean.leader.election.enable` of the topic.
    pub unclean_leader_election: Option<bool>,
    /// The producers' acks: 0, 1 or all.
    pub acks: Option<String>,
    /// The producers' `enable.idempotence`.
    pub idempotence: Option<bool>,
    /// The consumers' `isolation.level`: `read_uncommitted` or `read_committed`.
    pub isolation_level: Option<String>,
    /// How long a send may take before its outcome is unknown.
    pub send_timeout: Option<Span>,
    /// librdkafka properties. Secrets do not belong here.
    pub properties: Option<BTreeMap<String, String>>,
    /// Faults at given times, which may overlap, instead of `nemesis` and `target`: each a sentence such as
    /// `"pause followers at 5s for 2s"`.
    pub schedule: Option<Vec<String>>,
    /// A run that has a name, such as `acks1-lost-leader`: it decides promises and faults.
    pub named_plan: Option<String>,
    /// Any other field of a run's `plan.json`, in its shape.
    pub plan: Option<Map<String, Value>>,
}

impl Settings {
    /// These settings, with those of `over` in their place where both say something. Properties and plan fields are
    /// joined.
    #[must_use]
    pub fn with(&self, over: &Settings) -> Settings {
        let (mut base, over) = (as_map(self), as_map(over));
        merge_maps(&mut base, over);
        serde_json::from_value(Value::Object(base)).unwrap_or_default()
    }

    /// The resolved plan of a run of this name and seed. What is not given is as in `perjury run`.
    ///
    /// # Errors
    /// One sentence that names the setting.
    pub fn resolve(&self, name: &str, seed: u64) -> Result<RunPlan, String> {
        let mut plan = self.base(name, seed)?;
        let mut extra = self.plan.clone().unwrap_or_default();
        merge(&mut plan, Value::Object(self.of_driver()));
        merge(&mut plan, Value::Object(extra.clone()));
        let mut resolved: RunPlan =
            serde_json::from_value(plan).map_err(|e| format!("the settings make no plan: {e}"))?;
        if let Some(sentences) = &self.schedule {
            if self.nemesis.is_some() || self.target.is_some() {
                return Err("schedule stands in the place of nemesis and target".to_owned());
            }
            resolved.worker.follow(script::parse(sentences)?);
        }
        if let Some(named) = &self.named_plan {
            let run = NamedRun::named(named).ok_or_else(|| {
                format!("there is no run {named:?}; the runs are: {}", NamedRun::names())
            })?;
            let given = as_map(self);
            let kept = name.to_owned();
            resolved = run.settle(resolved, &|option| given.contains_key(option))?;
            resolved.name = kept;
        }
        if extra.get("cluster").is_none_or(|cluster| cluster.get("placement").is_none()) {
            resolved.cluster.placement =
                placement(&resolved.cluster.driver, &resolved.worker.nemesis);
        }
        let by_hand = self.schedule.is_some() || self.named_plan.is_some();
        if !by_hand && !extra.contains_key("schedule") {
            resolved.worker.schedule_faults();
        }
        merge_maps(&mut extra, self.of_driver());
        let read = serde_json::to_value(&resolved).map_err(|e| e.to_string())?;
        if let Some(path) = unread(&Value::Object(extra), &read, String::new()) {
            return Err(format!(
                "a run's plan has no field {path:?}; the fields are those of plan.json"
            ));
        }
        resolved.validate()?;
        Ok(resolved)
    }

    /// What every driver and workload knows, in the shape of `plan.json`.
    fn base(&self, name: &str, seed: u64) -> Result<Value, String> {
        let nodes = self.nodes.unwrap_or(3);
        let factor = self.replication_factor.unwrap_or(i32::try_from(nodes.min(3)).unwrap_or(3));
        let acks = self.acks.clone().unwrap_or_else(|| "all".into());
        let idempotence = self.idempotence.unwrap_or(acks == "all");
        let ms =
            |span: &Option<Span>, default: u64| span.as_ref().map_or(Ok(default), Span::millis);
        let concurrency = self.concurrency.as_ref().map_or(Ok(16), |c| c.count(nodes))?;
        let workload = self.workload.as_deref().unwrap_or("queue");
        let driver = self.cluster.as_deref().unwrap_or("testbed");
        let pace = Pace::of(driver);
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let targets = ["leader", "all", "leader", "follower"].map(str::to_owned).to_vec();
        Ok(json!({
            "name": name,
            "cluster": {
                "driver": driver,
                "nodes": nodes,
                "formation_limit_ms": ms(&self.formation_time_limit, ClusterPlan::formation_limit_ms(driver))?,
            },
            "fail_fast": self.fail_fast.unwrap_or(false),
            "seed": seed,
            "workload": workload,
            "concurrency": concurrency,
            "rate": self.rate.unwrap_or(800.0),
            "poll_ratio": self.poll_ratio.unwrap_or(0.35),
            "time_limit_ms": ms(&self.time_limit, 30_000)?,
            "recovery_limit_ms": ms(&self.recovery_time_limit, millis(pace.recovery))?,
            "final_time_limit_ms": ms(&self.final_time_limit, 60_000)?,
            "topic": {
                "topic": format!("perjury-{workload}"),
                "partitions": self.partitions.unwrap_or(4),
                "replication_factor": factor,
                "min_insync_replicas": self.min_insync_replicas.unwrap_or(factor / 2 + 1),
                "unclean_leader_election": self.unclean_leader_election.unwrap_or(false),
            },
            "client": {
                "acks": acks,
                "idempotence": idempotence,
                "isolation_level": self.isolation_level.as_deref().unwrap_or("read_uncommitted"),
                "send_timeout_ms": ms(&self.send_timeout, 10_000)?,
                "poll_ms": 100,
                "poll_records_max": 500,
                "properties": self.properties.clone().unwrap_or_default(),
            },
            "nemesis": self.nemesis.clone().unwrap_or_else(|| vec!["kill".into()]),
            "targets": self.target.clone().unwrap_or(targets),
            "nemesis_interval_ms": ms(&self.nemesis_interval, millis(pace.interval))?,
            "fault_duration_ms": ms(&self.fault_duration, millis(pace.fault))?,
            "schedule": [],
        }))
    }

    /// Fields of the cluster that only some drivers know.
    fn of_driver(&self) -> Map<String, Value> {
        let mut cluster = Map::new();
        if let Some(version) = &self.cluster_version {
            cluster.insert("version".into(), json!(version));
        }
        if let Some(binary) = &self.binary {
            cluster.insert("binary".into(), json!(binary));
        }
        if let Some(bugs) = self.bugs.as_ref().filter(|b| !b.is_empty()) {
            cluster.insert("bugs".into(), json!(bugs));
        }
        if cluster.is_empty() {
            cluster
        } else {
            Map::from_iter([("cluster".into(), cluster.into())])
        }
    }
}

/// What is given, as JSON.
fn as_map(settings: &Settings) -> Map<String, Value> {
    let Ok(Value::Object(mut map)) = serde_json::to_value(settings) else { return Map::new() };
    map.retain(|_, value| !value.is_null());
    map
}

fn merge_maps(base: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        merge(base.entry(key).or_insert(Value::Null), value);
    }
}

fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => merge_maps(base, over),
        (base, over) => *base = over,
    }
}

/// The path of a field that was given and that the plan as it was read does not have.
fn unread(given: &Value, read: &Value, path: String) -> Option<String> {
    let Value::Object(given) = given else { return None };
    given.iter().find_map(|(key, value)| {
        let here = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match read.get(key) {
            None if value.is_null() => None,
            None => Some(here),
            Some(read) => unread(value, read, here),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn nothing_given_is_the_default_run() {
        let plan = Settings::default().resolve("a", 7).unwrap();
        assert_eq!((plan.cluster.nodes, plan.worker.seed), (3, 7));
        assert_eq!(plan.worker.topic.min_insync_replicas, 2);
        assert!(plan.worker.schedule.len() >= 3);
    }

    #[test]
    fn later_settings_win_and_maps_are_joined() {
        let base = settings("rate = 100\nacks = \"all\"\nproperties = { a = \"1\", b = \"1\" }");
        let both = base.with(&settings("acks = \"1\"\nproperties = { b = \"2\" }"));
        let plan = both.resolve("a", 1).unwrap();
        assert_eq!(plan.worker.client.properties["a"], "1");
        assert_eq!(plan.worker.client.properties["b"], "2");
        assert!(!plan.worker.client.idempotence, "follows from acks");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |text: &str| settings(text).resolve("a", 1).unwrap_err();
        assert!(wrong("nemesis = [\"meteor\"]").contains("meteor"));
        assert!(wrong("time_limit = \"soon\"").contains("soon"));
        assert!(wrong("concurrency = \"many\"").contains("3n"));
        assert!(wrong("plan = { topic = { colour = 1 } }").contains("topic.colour"));
        assert!(wrong("min_insync_replicas = 9").contains("min.insync.replicas"));
        assert!(toml::from_str::<Settings>("speed = 1").is_err());
    }

    #[test]
    fn schedules_and_named_runs_stand_in_the_place_of_the_nemesis() {
        let plan = settings("schedule = [\"pause followers at 5s for 2s\", \"kill at 6s for 9s\"]");
        let worker = plan.resolve("a", 1).unwrap().worker;
        assert_eq!((worker.schedule.len(), worker.nemesis.len()), (2, 2));
        let plan = settings("named_plan = \"power-loss\"").resolve("a", 1).unwrap();
        assert_eq!((plan.name.as_str(), plan.worker.schedule.len()), ("a", 1));
        let wrong = |text: &str| settings(text).resolve("a", 1).unwrap_err();
        assert!(wrong("schedule = [\"kill\"]").contains("pause followers at 5s"));
        assert!(wrong("schedule = []\nnemesis = [\"kill\"]").contains("nemesis"));
        assert!(wrong("named_plan = \"x\"").contains("raft-failover"));
        assert!(wrong("named_plan = \"power-loss\"\nacks = \"1\"").contains("acks"));
    }

    #[test]
    fn other_fields_of_the_plan_can_be_set() {
        let plan = settings("plan = { topic = { topic = \"perjury-other\" } }").resolve("a", 1);
        assert_eq!(plan.unwrap().worker.topic.topic, "perjury-other");
    }
}
