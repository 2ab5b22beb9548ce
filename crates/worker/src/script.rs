//! Schedules that are written by hand: faults that overlap, each with its own beginning, length, role and strength.
//!
//! A fault is one sentence, `KIND [ROLE] [of PARTITION] at TIME for TIME [with KEY=VALUE,…]`, such as
//! `pause followers at 5s for 2s` or `lose-tail all at 10s for 3s with tail-percent=40`.

use crate::faults::{FaultKind, Target};
use crate::plan::WorkerPlan;
use perjury_cluster::{FaultKind as Kind, FaultSettings, FaultSpec};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// What a sentence looks like, for error messages.
const FORM: &str = "a fault of a schedule is KIND [ROLE] [of PARTITION] at TIME for TIME [with KEY=VALUE,…], such as \
                    \"pause followers at 5s for 2s\"";

/// One fault of the schedule. Which node has the role is decided when its time has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedFault {
    /// Its number, from 0.
    pub fault: u32,
    /// When it is injected: milliseconds since the main phase began.
    pub at_ms: u64,
    /// How long until it is healed, in milliseconds.
    pub duration_ms: u64,
    /// What is done.
    pub f: FaultKind,
    /// To whom.
    pub target: Target,
    /// The partition whose roles count.
    #[serde(default)]
    pub partition: i32,
    /// Chooses among several nodes of that role.
    #[serde(default)]
    pub pick: u32,
    /// How strong it is where that differs from the plan's `fault_settings`, by the names of [`FaultSettings`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub with: BTreeMap<String, Value>,
}

impl PlannedFault {
    /// When it is healed: milliseconds since the main phase began.
    #[must_use]
    pub fn end_ms(&self) -> u64 {
        self.at_ms.saturating_add(self.duration_ms)
    }

    /// The fault as the cluster takes it, as strong as the plan says where the fault itself says nothing; nothing for a
    /// fault that does nothing.
    ///
    /// # Errors
    /// A sentence that names a setting that does not exist, or whose value makes no sense.
    pub fn spec(&self, plan: &FaultSettings) -> Result<Option<FaultSpec>, String> {
        let Some(kind) = self.f.kind() else { return Ok(None) };
        let settings = strengthen(plan, self.with.clone())?;
        let settings = FaultSettings { pick: u64::from(self.pick), ..settings };
        Ok(Some(FaultSpec { kind, settings }))
    }
}

/// The settings `base` with those of `with` in their place.
///
/// # Errors
/// A sentence that names a setting that does not exist, or whose value makes no sense.
pub fn strengthen(
    base: &FaultSettings,
    with: impl IntoIterator<Item = (String, Value)>,
) -> Result<FaultSettings, String> {
    let mut all = serde_json::to_value(base).map_err(|error| error.to_string())?;
    for (key, value) in with {
        all[key] = value;
    }
    serde_json::from_value(all).map_err(|error| error.to_string())
}

/// Reads `key=value` of a fault's strength. Numbers are numbers; everything else is text.
///
/// # Errors
/// When there is no `=`.
pub fn strength(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not key=value"))?;
    let value = value.parse::<i64>().map_or_else(|_| value.into(), Value::from);
    Ok((key.to_owned(), value))
}

impl FromStr for PlannedFault {
    type Err = String;

    /// Reads a sentence. The fault has the number 0.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("{text:?}: {what}; {FORM}");
        let mut words = text.split_whitespace().peekable();
        let f: FaultKind = words
            .next()
            .ok_or_else(|| wrong("it is empty"))?
            .parse()
            .map_err(|why: String| wrong(&why))?;
        let mut target = Target::Leader;
        if let Some(role) = words.next_if(|word| !["of", "at"].contains(word)) {
            target = role.parse().map_err(|why: String| wrong(&why))?;
        }
        let mut partition = 0;
        if words.next_if_eq(&"of").is_some() {
            let number = words.next().unwrap_or_default();
            partition = number
                .parse()
                .map_err(|_| wrong(&format!("{number:?} is no number of a partition")))?;
        }
        let mut time = |word: &str| {
            words.next_if_eq(&word).ok_or_else(|| wrong(&format!("{word:?} TIME is missing")))?;
            let time = words.next().unwrap_or_default();
            millis(time)
                .ok_or_else(|| wrong(&format!("{time:?} is not a time such as 5s, 500ms or 2m")))
        };
        let (at_ms, duration_ms) = (time("at")?, time("for")?);
        let mut with = BTreeMap::new();
        if words.next_if_eq(&"with").is_some() {
            let pairs = words.next().unwrap_or_default();
            with =
                pairs.split(',').map(strength).collect::<Result<_, _>>().map_err(|w| wrong(&w))?;
        }
        if let Some(more) = words.next() {
            return Err(wrong(&format!("{more:?} is not understood")));
        }
        let (target, pick) = (f.aim(target), 0);
        let fault = Self { fault: 0, at_ms, duration_ms, f, target, partition, pick, with };
        fault.spec(&FaultSettings::default()).map_err(|why| wrong(&why))?;
        Ok(fault)
    }
}

/// Milliseconds of a time with a unit, or of bare seconds.
fn millis(text: &str) -> Option<u64> {
    let time = match text.parse::<f64>() {
        Ok(seconds) => std::time::Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => humantime::parse_duration(text).ok()?,
    };
    u64::try_from(time.as_millis()).ok()
}

/// The faults of these sentences, numbered from 0.
///
/// # Errors
/// A sentence that names what is wrong and what a fault looks like.
pub fn parse<S: AsRef<str>>(sentences: &[S]) -> Result<Vec<PlannedFault>, String> {
    let numbered = (0..).zip(sentences);
    numbered.map(|(fault, text)| Ok(PlannedFault { fault, ..text.as_ref().parse()? })).collect()
}

/// Reads a schedule of which each fault is a sentence or has its fields.
pub(crate) fn read_schedule<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<PlannedFault>, D::Error> {
    let entries = Vec::<Value>::deserialize(deserializer)?;
    let read = |(fault, entry): (u32, Value)| match entry {
        Value::String(text) => {
            text.parse().map(|read| PlannedFault { fault, ..read }).map_err(D::Error::custom)
        }
        fields => serde_json::from_value(fields).map_err(D::Error::custom),
    };
    (0..).zip(entries).map(read).collect()
}

/// Names what is wrong with a plan's schedule, if anything is.
pub(crate) fn validate(plan: &WorkerPlan) -> Result<(), String> {
    let mut numbers = BTreeSet::new();
    for fault in &plan.schedule {
        let named = format!("fault {} of the schedule ({})", fault.fault, fault.f.as_str());
        if !numbers.insert(fault.fault) {
            return Err(format!("{named}: another fault has the same number"));
        }
        if fault.end_ms() > plan.time_limit_ms {
            return Err(format!(
                "{named} is healed after {} ms, and clients work for {} ms: give a longer --time-limit",
                fault.end_ms(),
                plan.time_limit_ms
            ));
        }
        if !(0..plan.topic.partitions).contains(&fault.partition) {
            return Err(format!("{named}: the topic has no partition {}", fault.partition));
        }
        fault.spec(&plan.fault_settings).map_err(|why| format!("{named}: {why}"))?;
    }
    Ok(())
}

impl WorkerPlan {
    /// Takes a schedule that was written by hand in the place of the one that follows from the seed.
    pub fn follow(&mut self, schedule: Vec<PlannedFault>) {
        self.nemesis.clear();
        self.targets.clear();
        for fault in &schedule {
            if !self.nemesis.contains(&fault.f) {
                self.nemesis.push(fault.f);
            }
            if !self.targets.contains(&fault.target) {
                self.targets.push(fault.target);
            }
        }
        self.schedule = schedule;
    }

    /// The kinds of faults that are asked for or in the schedule, each once.
    #[must_use]
    pub fn fault_kinds(&self) -> Vec<Kind> {
        let scheduled = self.schedule.iter().map(|fault| fault.f);
        let all = self.nemesis.iter().copied().chain(scheduled);
        let kinds: BTreeSet<Kind> = all.filter_map(FaultKind::kind).collect();
        kinds.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perjury_cluster::NodeId;
    use serde_json::json;

    #[test]
    fn sentences_are_read_with_all_their_parts() {
        let read = |text: &str| text.parse::<PlannedFault>().unwrap();
        let pause = read("pause followers at 5s for 1500ms");
        assert_eq!((pause.at_ms, pause.end_ms()), (5_000, 6_500));
        assert_eq!((pause.f, pause.target), (FaultKind::Pause, Target::Followers));
        let kill = read("kill at 7 for 2m");
        assert_eq!((kill.target, kill.partition, kill.duration_ms), (Target::Leader, 0, 120_000));
        let tail = read("power-loss node:2 of 3 at 1s for 1s with tail-percent=70,log-suffix=.wal");
        assert_eq!((tail.target, tail.partition), (Target::Node(NodeId(2)), 3));
        let spec = tail.spec(&FaultSettings { flips: 9, ..FaultSettings::default() });
        let spec = spec.unwrap().unwrap();
        assert_eq!((spec.kind, spec.settings.tail_percent), (Kind::LoseTail, 70));
        assert_eq!((spec.settings.flips, spec.settings.log_suffix.as_str()), (9, ".wal"));
        assert_eq!(read("kill-all follower at 1s for 1s").target, Target::All);
        assert_eq!(read("noop at 1s for 1s").spec(&FaultSettings::default()), Ok(None));
    }

    #[test]
    fn what_is_wrong_with_a_sentence_is_named_with_what_it_should_be() {
        for (text, named) in [
            ("", "empty"),
            ("flood at 1s for 1s", "flood"),
            ("kill", "\"at\" TIME"),
            ("kill leader at 5s", "\"for\" TIME"),
            ("kill leader at soon for 5s", "soon"),
            ("kill king at 1s for 5s", "king"),
            ("kill leader of x at 1s for 5s", "partition"),
            ("kill leader at 1s for 5s with speed=3", "speed"),
            ("kill leader at 1s for 5s with speed", "key=value"),
            ("kill leader at 1s for 5s again", "again"),
        ] {
            let complaint = text.parse::<PlannedFault>().unwrap_err();
            assert!(complaint.contains(named), "{text:?}: {complaint}");
            assert!(complaint.contains("pause followers at 5s for 2s"), "{complaint}");
        }
    }

    #[test]
    fn a_schedule_mixes_sentences_and_fields_and_is_kept_as_fields() {
        #[derive(Deserialize)]
        struct File {
            #[serde(deserialize_with = "read_schedule")]
            schedule: Vec<PlannedFault>,
        }
        let fields =
            json!({"fault": 7, "at_ms": 1, "duration_ms": 2, "f": "pause", "target": "all"});
        let file = json!({"schedule": ["kill at 1s for 1s", fields, "pause all at 1s for 2s"]});
        let file: File = serde_json::from_value(file).unwrap();
        let numbers: Vec<u32> = file.schedule.iter().map(|fault| fault.fault).collect();
        assert_eq!(numbers, [0, 7, 2]);
        let kept = serde_json::to_value(&file.schedule).unwrap();
        assert!(kept[0].is_object(), "{kept}");
        assert_eq!(kept[0].get("with"), None);
    }
}
