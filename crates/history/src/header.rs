//! The first line of a native history.

use crate::config::Configuration;
use serde::{Deserialize, Serialize};

/// The native format's version, `major.minor`. Readers refuse a newer major.
pub const FORMAT: &str = "1.0";

/// What a history says about itself: the first line of its JSONL form.
///
/// Unknown fields are kept in [`Header::other`], so that a newer minor version passes through unharmed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Always `"history"`: tells a native history from any other JSONL file.
    pub perjury: String,
    /// The format's version, `major.minor`.
    pub format: String,
    /// The campaign's or run's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Wall-clock start, RFC 3339. For people only: order comes from `index`, distances from `time`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// The seed from which operations and faults follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The workload's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// The faults that were asked for. Empty: none, and none are missed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nemesis: Vec<String>,
    /// What clients and cluster were configured to promise.
    #[serde(default)]
    pub config: Configuration,
    /// The resolved plan.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub plan: serde_json::Value,
    /// The cluster: driver, version, nodes, switched bugs.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub cluster: serde_json::Value,
    /// Versions of everything that took part, name → version.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub versions: serde_json::Map<String, serde_json::Value>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl Default for Header {
    fn default() -> Self {
        Header {
            perjury: "history".into(),
            format: FORMAT.into(),
            name: None,
            started: None,
            seed: None,
            workload: None,
            nemesis: Vec::new(),
            config: Configuration::default(),
            plan: serde_json::Value::Null,
            cluster: serde_json::Value::Null,
            versions: serde_json::Map::new(),
            other: serde_json::Map::new(),
        }
    }
}
