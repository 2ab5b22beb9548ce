//! The report: what a check says, as data. Deterministic to the byte; it holds no timing of the check itself.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The name and version of the report's shape.
pub const SCHEMA: &str = "perjury.report/1";

/// What a check concludes. Invalid beats unknown beats valid.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing that the contract prohibits was found, and enough was seen to say so.
    #[default]
    Valid,
    /// Nothing prohibited was found, but not enough was seen; the report's `reasons` say what is missing.
    Unknown,
    /// At least one anomaly is a violation of the contract.
    Invalid,
}

impl Verdict {
    /// The word used in every format.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Valid => "valid",
            Verdict::Unknown => "unknown",
            Verdict::Invalid => "invalid",
        }
    }

    /// The verdict over both parts.
    #[must_use]
    pub fn and(self, other: Verdict) -> Verdict {
        self.max(other)
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the contract says of an anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Judgement {
    /// The configuration promises that it does not happen.
    Violation,
    /// The configuration is documented to permit it.
    Allowed,
    /// Nothing is promised either way.
    Unspecified,
}

impl Judgement {
    /// The word used in every format.
    pub fn as_str(self) -> &'static str {
        match self {
            Judgement::Violation => "violation",
            Judgement::Allowed => "allowed",
            Judgement::Unspecified => "unspecified",
        }
    }
}

/// Why a verdict is unknown, or would be if nothing were violated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonDetail {
    /// A stable code such as `no-fault-witnessed`.
    pub code: String,
    /// A sentence that says what is missing and what to do.
    pub message: String,
}

/// One numbered sentence of the story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentence {
    /// The sentence.
    pub text: String,
    /// Indices of the events that it speaks of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<u64>,
}

/// One case of an anomaly, with the sentence that proves it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// The proof: one sentence, and for what is not linearizable a second one on the longest linearizable prefix.
    pub sentence: String,
    /// The topic-partition, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The offset, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// The value, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<perjury_history::Scalar>,
    /// Indices of the events that prove it: completions, or invocations where no completion exists.
    pub ops: Vec<u64>,
    /// The number of the fault near which it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<u64>,
    /// What only this anomaly has, for instance `delta`, `offsets`, `steps`.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// All cases of one anomaly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// How many cases there are, exactly.
    pub count: u64,
    /// How many of them the contract prohibits.
    pub violations: u64,
    /// What the contract says of it.
    pub judgement: Judgement,
    /// The rule, with its source.
    pub rule: String,
    /// A name in plain words.
    pub title: String,
    /// The analysis that found it.
    pub analysis: String,
    /// The most telling cases first, at most as many as the options ask for.
    pub examples: Vec<Example>,
}

/// How many operations of one function ended in which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outcomes {
    /// It happened.
    pub ok: u64,
    /// It did not.
    pub fail: u64,
    /// Unknown, operations that never completed included.
    pub info: u64,
}

/// The counts of one topic-partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCounts {
    /// The topic-partition.
    pub key: String,
    /// Distinct acknowledged values.
    pub acknowledged: u64,
    /// Distinct values that an ok operation read.
    pub read: u64,
    /// Acknowledged values that no ok operation read.
    pub unseen: u64,
    /// Values counted as `lost-write` or `lost-tail`.
    pub lost: u64,
    /// The highest offset seen by anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highest_offset: Option<i64>,
}

/// One point of the series of acknowledged values that had not been read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnseenPoint {
    /// Nanoseconds since the start of the run.
    pub time: i64,
    /// Acknowledged and unread values over all keys.
    pub unseen: u64,
}

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Operations that only send.
    pub sends: Outcomes,
    /// Operations that only poll.
    pub polls: Outcomes,
    /// Operations that do both, and transactions of general histories.
    pub txns: Outcomes,
    /// All other client operations.
    pub others: Outcomes,
    /// Distinct acknowledged values over all keys.
    pub acknowledged: u64,
    /// Distinct acknowledged values that an ok operation read.
    pub acknowledged_read: u64,
    /// Acknowledged values that no ok operation read.
    pub unseen: u64,
    /// Records that ok and other completions polled, repeats included.
    pub polled_records: u64,
    /// The busiest 256 topic-partitions at most, those with losses first, then by name.
    pub keys: Vec<KeyCounts>,
    /// How many topic-partitions there are.
    pub keys_total: u64,
    /// Error codes of failed and unknown client operations.
    pub errors: BTreeMap<String, u64>,
    /// Error codes of unknown client operations alone.
    pub info_causes: BTreeMap<String, u64>,
    /// Unread acknowledged values over time, at most 256 points.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen_series: Vec<UnseenPoint>,
}

/// How well the run tested anything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Coverage {
    /// The faults that the run asked for.
    pub faults_asked: Vec<String>,
    /// Faults that were injected, or attempted.
    pub faults_injected: u64,
    /// Faults of which an independent observation proves that they bit.
    pub faults_witnessed: u64,
    /// Witnessed kills of a node that led a topic-partition.
    pub leader_kills: u64,
    /// Ok operations with a send that completed inside a fault's band.
    pub ok_sends_during_faults: u64,
    /// Ok operations with a poll that completed inside a fault's band.
    pub ok_polls_during_faults: u64,
    /// `completed`, `incomplete` or `absent`.
    pub final_read: String,
}

/// What clients felt of one fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultReport {
    /// The fault's number.
    pub fault: u64,
    /// What was done: `kill`, `pause`, ….
    pub f: String,
    /// Whom it was aimed at: `leader`, `follower`, `all`, `random`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The nodes it hit.
    pub nodes: Vec<u64>,
    /// The topic-partition whose leader or follower was meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When it began, in nanoseconds since the start of the run.
    pub start: Option<i64>,
    /// When it was healed, or the end of the history.
    pub end: Option<i64>,
    /// Whether an independent observation proves that it bit.
    pub witnessed: bool,
    /// Why that is believed, or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How long the longest election that it caused took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub election_ms: Option<u64>,
    /// From its start to the completion of the first ok send that was invoked after it, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_ok_send_after_ms: Option<u64>,
    /// The longest time without an ok send that overlaps the fault, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_gap_ms: Option<u64>,
}

/// What clients felt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Availability {
    /// How long the cluster took to form, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formation_ms: Option<u64>,
    /// The faults in order of their beginning.
    pub faults: Vec<FaultReport>,
    /// The longest time between two ok sends, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_gap_ms: Option<u64>,
    /// When that gap began, in nanoseconds since the start of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_gap_at: Option<i64>,
    /// Recorded changes of a topic-partition's leader.
    pub leader_changes: u64,
}

/// One rule of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleReport {
    /// The anomaly.
    pub anomaly: String,
    /// What the contract says of it.
    pub judgement: Judgement,
    /// Why, with the source.
    pub rule: String,
}

/// The contract that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ContractReport {
    /// `kafka`, `jepsen`, or `consistency` for histories that are not Kafka's.
    pub name: String,
    /// The configuration from which it follows.
    pub config: perjury_history::Configuration,
    /// The consistency models that were asked for; empty for histories of Kafka.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// One rule for each anomaly of the catalogue, by name.
    pub rules: Vec<RuleReport>,
}

/// What the run's size proves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Confidence {
    /// Distinct acknowledged values.
    pub acknowledged: u64,
    /// Witnessed kills of leaders.
    pub leader_kills: u64,
    /// Acknowledged values that were lost.
    pub lost: u64,
    /// Witnessed faults to which acknowledged writes belong: each write to the first that ended after it.
    #[serde(default)]
    pub faults: u64,
    /// How many of them lost any.
    #[serde(default)]
    pub faults_that_lost: u64,
    /// The interval of the chance that an acknowledged write is lost, 0 to 1, at 95 % with faults as trials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_lost: Option<[f64; 2]>,
    /// Upper bound of the chance to lose a write at 95 % confidence, if none was lost and writes were independent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_write: Option<f64>,
    /// Upper bound of the chance that a leader kill loses writes at 95 % confidence, if none was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_kill: Option<f64>,
    /// The same in one sentence.
    pub statement: String,
}

/// What calibration runs with known bugs say of a run's plan. A checker of histories knows nothing of it: whoever has a
/// calibration adds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibrated {
    /// The calibration.
    pub calibration: String,
    /// How many classes of bugs are known.
    pub known: u64,
    /// How many of them a run of this plan finds with a probability of at least 0.95.
    pub sure: u64,
    /// The probability for each class that the plan can find at all, 0 to 1, from the lower end of the measured recall's
    /// interval and with faults as trials.
    pub chances: BTreeMap<String, f64>,
    /// The same in one sentence.
    pub statement: String,
}

/// The longest time for which the newest record that a consumer had polled of a key was at least not the newest
/// (Jepsen `worst-realtime-lag`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealtimeLag {
    /// When the poll was invoked, in nanoseconds since the start of the run.
    pub time: i64,
    /// Who polled.
    pub process: u32,
    /// The topic-partition.
    pub key: String,
    /// The lag in nanoseconds.
    pub lag_ns: i64,
}

/// A goal of a named plan and what was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    /// What it is about: `formation`, `election`, `loss`, `consumed`, ….
    pub name: String,
    /// What was aimed at; empty for a figure without a goal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub aim: String,
    /// What was measured, with its unit.
    pub measured: String,
    /// Whether the goal was met; absent for a figure without a goal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met: Option<bool>,
}

/// The result of checking one history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The conclusion.
    pub verdict: Verdict,
    /// Codes of what is missing for a verdict; empty when nothing is.
    pub reasons: Vec<String>,
    /// The same with sentences.
    pub reason_details: Vec<ReasonDetail>,
    /// What a reader should know beside.
    pub notes: Vec<String>,
    /// What kind of history it is: `kafka`, `list-append`, `register`, ….
    pub model: String,
    /// Client operations, counted by their invocations.
    pub operations: u64,
    /// Rows of the history.
    pub events: u64,
    /// The verdict in one line.
    pub headline: String,
    /// The verdict in three to eight sentences.
    pub story: Vec<Sentence>,
    /// What was found, by name; nothing with count 0.
    pub anomalies: BTreeMap<String, Anomaly>,
    /// The verdict of each analysis that ran.
    pub analyses: BTreeMap<String, Verdict>,
    /// What was counted.
    pub counts: Counts,
    /// How well the run tested anything.
    pub coverage: Coverage,
    /// What clients felt.
    pub availability: Availability,
    /// What was promised.
    pub contract: ContractReport,
    /// What the run's size proves; absent when nothing was acknowledged.
    pub confidence: Option<Confidence>,
    /// What calibration runs say of the plan; absent where there is no calibration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibrated>,
    /// The longest lag of a consumer; absent when it cannot be told.
    pub worst_realtime_lag: Option<RealtimeLag>,
    /// The goals of the named plan that was run, with what was measured. They do not count for the verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub goals: Vec<Goal>,
}

impl Report {
    /// The names of the anomalies that the contract prohibits, in order.
    pub fn violations(&self) -> impl Iterator<Item = (&str, &Anomaly)> {
        let all = self.anomalies.iter().map(|(name, a)| (name.as_str(), a));
        all.filter(|(_, a)| a.judgement == Judgement::Violation)
    }

    /// Jepsen's exit codes: 0 valid, 1 invalid, 2 unknown.
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Valid => 0,
            Verdict::Invalid => 1,
            Verdict::Unknown => 2,
        }
    }
}
