//! Identifiers of runs, which can never lead out of the store.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The name of the symbolic links to the newest run; no run may be called so.
pub(crate) const LATEST: &str = "latest";

/// File systems allow 255 bytes a component; the rest is room for suffixes of temporary files.
const COMPONENT_BYTES_MAX: usize = 200;

/// Identifies a run: `<name>/<time>`, the two last components of its directory.
///
/// Each component consists of letters, digits, `.`, `_` and `-` and does not begin with a dot, so that no identifier
/// names a parent, a hidden file or a path elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId {
    name: String,
    time: String,
}

/// An identifier that cannot name a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a run: {why}; a run is <name>/<time>, each of letters, digits, '.', '_' and '-', not beginning with '.'"
)]
pub struct BadId {
    /// What was given.
    pub text: String,
    /// Which rule it breaks.
    pub why: &'static str,
}

impl RunId {
    /// The run of this name and time.
    ///
    /// # Errors
    /// [`BadId`] when a component is empty, too long, begins with a dot, holds another character, or is `latest`.
    pub fn new(name: &str, time: &str) -> Result<RunId, BadId> {
        component(name)?;
        component(time)?;
        Ok(RunId { name: name.to_owned(), time: time.to_owned() })
    }

    /// The campaign's or run's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory's name, by convention the start as [`time_component`] writes it.
    pub fn time(&self) -> &str {
        &self.time
    }

    /// The start that the time component states, if it is one.
    pub fn started(&self) -> Option<DateTime<Utc>> {
        let naive = chrono::NaiveDateTime::parse_from_str(&self.time, "%Y%m%dT%H%M%S%.3fZ").ok()?;
        Some(naive.and_utc())
    }
}

/// Checks one component of an identifier.
pub(crate) fn component(text: &str) -> Result<(), BadId> {
    let bad = |why| Err(BadId { text: text.chars().take(120).collect(), why });
    if text.is_empty() {
        return bad("it is empty");
    }
    if text.len() > COMPONENT_BYTES_MAX {
        return bad("it is longer than 200 bytes");
    }
    if text.starts_with('.') {
        return bad("it begins with a dot");
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return bad("it holds a character that is not allowed");
    }
    if text == LATEST {
        return bad("\"latest\" is the link to the newest run");
    }
    Ok(())
}

/// The directory name of a run that started then: `20261123T120431.207Z`. Sorts as time does and needs no quoting in any
/// shell or file system.
pub(crate) fn time_component(started: DateTime<Utc>) -> String {
    started.format("%Y%m%dT%H%M%S%.3fZ").to_string()
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.time)
    }
}

impl FromStr for RunId {
    type Err = BadId;

    fn from_str(s: &str) -> Result<RunId, BadId> {
        match s.split_once('/') {
            Some((name, time)) => RunId::new(name, time),
            None => Err(BadId {
                text: s.chars().take(120).collect(),
                why: "it has no slash between name and time",
            }),
        }
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    #[test]
    fn identifiers_cannot_leave_the_store() {
        for bad in [
            "",
            "/",
            "a",
            "a/",
            "/b",
            "../etc",
            "a/..",
            "a/.hidden",
            ".a/b",
            "a/b/c",
            "a\\b/c",
            "a/b\0",
            "a/%2e%2e",
            "a/latest",
            "latest/b",
            "a b/c",
            "ä/b",
            "a//b",
        ] {
            assert!(bad.parse::<RunId>().is_err(), "{bad:?} must be refused");
        }
        let long = "x".repeat(201);
        assert!(RunId::new(&long, "t").is_err());
    }

    #[test]
    fn identifiers_round_trip() {
        let id: RunId = "leader-kill_2/20261123T120431.207Z".parse().unwrap();
        assert_eq!(id.name(), "leader-kill_2");
        assert_eq!(id.to_string(), "leader-kill_2/20261123T120431.207Z");
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"leader-kill_2/20261123T120431.207Z\"");
    }

    #[test]
    fn the_time_component_states_the_start() {
        let started = Utc.with_ymd_and_hms(2026, 11, 23, 12, 4, 31).unwrap()
            + chrono::TimeDelta::milliseconds(207);
        let id = RunId::new("a", &time_component(started)).unwrap();
        assert_eq!(id.time(), "20261123T120431.207Z");
        assert_eq!(id.started(), Some(started));
        assert_eq!(RunId::new("a", "by-hand").unwrap().started(), None);
    }
}
