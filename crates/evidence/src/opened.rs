//! Bundles as they come in: read within limits, without trusting them.

use crate::bundle::{HISTORY, MANIFEST, Manifest};
use crate::container::{BUNDLE_BYTES_MAX, Member, members};
use crate::error::EvidenceError;

/// A bundle from elsewhere. Opening checks only that it is a zip file as `perjury` writes it: see [`crate::verify`].
#[derive(Debug)]
pub struct Opened {
    name: String,
    file: Vec<u8>,
    members: Vec<Member>,
}

impl Opened {
    /// Opens the bytes of a bundle; `name` is for messages. Archives with paths that lead out of a folder, with members that
    /// unpack to more than a gigabyte, with hidden or doubled members are refused.
    ///
    /// # Errors
    /// [`EvidenceError::NotEvidence`] or [`EvidenceError::TooLarge`].
    pub fn open(file: Vec<u8>, name: &str) -> Result<Opened, EvidenceError> {
        let bytes = file.len() as u64;
        if bytes > BUNDLE_BYTES_MAX {
            let max = BUNDLE_BYTES_MAX;
            return Err(EvidenceError::TooLarge { what: name.to_owned(), bytes, max });
        }
        let refused = |flaw: crate::container::Flaw| {
            EvidenceError::not(name, format!("{}: {}", flaw.member, flaw.what))
        };
        let members = members(&file).map_err(refused)?;
        Ok(Opened { name: name.to_owned(), file, members })
    }

    /// Whether bytes look like a zip file rather than a history.
    pub fn is_zip(first: &[u8]) -> bool {
        first.starts_with(b"PK\x03\x04")
    }

    /// The names of its members.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|m| m.name.as_str())
    }

    /// The content of a member.
    ///
    /// # Errors
    /// [`EvidenceError::NotEvidence`] when it is not there or damaged.
    pub fn content(&self, member: &str) -> Result<Vec<u8>, EvidenceError> {
        let found = self.members.iter().find(|m| m.name == member);
        let found =
            found.ok_or_else(|| EvidenceError::not(&self.name, format!("it has no {member}")))?;
        let damaged = |flaw: crate::container::Flaw| {
            EvidenceError::not(&self.name, format!("{}: {}", flaw.member, flaw.what))
        };
        found.content(&self.file).map_err(damaged)
    }

    /// The recorded history, in its native form.
    ///
    /// # Errors
    /// As [`Opened::content`].
    pub fn history(&self) -> Result<Vec<u8>, EvidenceError> {
        self.content(HISTORY)
    }

    /// The resolved plan, as JSON; null when the history came without one.
    ///
    /// # Errors
    /// As [`Opened::content`].
    pub fn plan(&self) -> Result<serde_json::Value, EvidenceError> {
        let plan = self.content("plan.json")?;
        let bad = |e| EvidenceError::not(&self.name, format!("plan.json is not JSON: {e}"));
        serde_json::from_slice(&plan).map_err(bad)
    }

    /// What the bundle says of itself.
    ///
    /// # Errors
    /// As [`Opened::content`].
    pub fn manifest(&self) -> Result<Manifest, EvidenceError> {
        let manifest = self.content(MANIFEST)?;
        let bad = |e| EvidenceError::not(&self.name, format!("{MANIFEST}: {e}"));
        serde_json::from_slice(&manifest).map_err(bad)
    }
}
