//! Redaction: values, hosts and keys become pseudonyms, the same one for the same original everywhere, so that the redacted
//! history is judged as the original is.
//!
//! Values become numbers or `value-1`, …; hosts, addresses and absolute paths `node-1`, … and `<path>`; topics `topic-a`, …
//! with their partition numbers kept, and record keys `key-1`, …. Numbers are given in the order of first appearance, so
//! that they say nothing of the original. Structured places (records, keys, settings) are replaced exactly; running text
//! (log lines, messages of errors) by whole words of at least three characters.

mod dictionary;
mod events;
mod text;

pub(crate) use dictionary::Dictionary;
pub(crate) use text::Cleaner;

use std::fmt;
use std::str::FromStr;

/// What is redacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Redaction {
    /// Values of records and operations.
    pub values: bool,
    /// Host names, addresses and absolute paths.
    pub hosts: bool,
    /// Topics and keys of records.
    pub keys: bool,
}

impl Redaction {
    /// Whether nothing is redacted.
    pub fn is_none(self) -> bool {
        self == Redaction::default()
    }

    /// The names of what is redacted.
    pub fn names(self) -> Vec<&'static str> {
        let all = [("values", self.values), ("hosts", self.hosts), ("keys", self.keys)];
        all.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
    }
}

impl fmt::Display for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

/// A name that is not one of the three.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot be redacted; give values, hosts, keys, or several of them separated by commas"
)]
pub struct BadRedaction(pub String);

impl FromStr for Redaction {
    type Err = BadRedaction;

    /// Reads a list such as `values,hosts`; an empty one redacts nothing.
    fn from_str(text: &str) -> Result<Redaction, BadRedaction> {
        let mut redaction = Redaction::default();
        for name in text.split(',').map(str::trim).filter(|n| !n.is_empty()) {
            match name {
                "values" => redaction.values = true,
                "hosts" => redaction.hosts = true,
                "keys" => redaction.keys = true,
                other => return Err(BadRedaction(other.to_owned())),
            }
        }
        Ok(redaction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_written() {
        let some: Redaction = " values, keys".parse().unwrap();
        assert_eq!(some, Redaction { values: true, hosts: false, keys: true });
        assert_eq!(some.to_string(), "values,keys");
        assert!("".parse::<Redaction>().unwrap().is_none());
        assert!("value".parse::<Redaction>().unwrap_err().to_string().contains("values"));
    }
}
