//! What is claimed of a history, and whether checking it again says the same.

use perjury_checker::{Options, Report, check};
use perjury_history::History;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// How a history was judged: what a stranger must choose to get the same report.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Judged {
    /// The contract: `kafka` or `jepsen`; `consistency` for histories that are not Kafka's.
    pub contract: String,
    /// The consistency models that were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}

impl Judged {
    /// As the report says that it was made.
    pub(crate) fn of(report: &Value) -> Judged {
        let contract = &report["contract"];
        let models = contract["models"].as_array().into_iter().flatten();
        Judged {
            contract: contract["name"].as_str().unwrap_or("kafka").to_owned(),
            models: models.filter_map(|m| m.as_str().map(str::to_owned)).collect(),
        }
    }

    /// The options that judge so.
    pub(crate) fn options(&self) -> Options {
        let mut options = Options { threads: 2, ..Options::default() };
        if let Ok(contract) = self.contract.parse() {
            options.contract = contract;
        }
        if !self.models.is_empty() {
            options.consistency_models.clone_from(&self.models);
        }
        options
    }

    /// Checks the history so.
    pub(crate) fn check(&self, history: &History) -> Report {
        check(history, &self.options())
    }
}

/// What two checks must agree on: the verdict, why it is unknown, and how often each anomaly occurs and is a violation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// `valid`, `invalid` or `unknown`.
    pub verdict: String,
    /// Reason codes of an unknown verdict.
    pub reasons: Vec<String>,
    /// Each anomaly with its cases and how many of them are violations.
    pub anomalies: BTreeMap<String, (u64, u64)>,
}

impl Outcome {
    /// What this report says.
    pub fn of(report: &Report) -> Outcome {
        let count = |a: &perjury_checker::report::Anomaly| (a.count, a.violations);
        Outcome {
            verdict: report.verdict.to_string(),
            reasons: report.reasons.clone(),
            anomalies: report.anomalies.iter().map(|(n, a)| (n.clone(), count(a))).collect(),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.verdict)?;
        let anomalies: Vec<String> =
            self.anomalies.iter().map(|(name, (count, _))| format!("{name} × {count}")).collect();
        let all: Vec<&str> = self
            .reasons
            .iter()
            .map(String::as_str)
            .chain(anomalies.iter().map(String::as_str))
            .collect();
        if all.is_empty() { Ok(()) } else { write!(f, " ({})", all.join(", ")) }
    }
}
