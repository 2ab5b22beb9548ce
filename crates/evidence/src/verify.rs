//! Verification from the file alone: hashes, signature, and the verdict drawn again.

use crate::bundle::{HISTORY, MANIFEST, Manifest, PAGE, REPORT, SCHEMA, SHRUNK, SIGNATURE};
use crate::container::{Member, members};
use crate::error::EvidenceError;
use crate::hash::sha256;
use crate::judged::{Judged, Outcome};
use crate::page::looks_like_one;
use crate::sign::{PublicKey, Signed};
use crate::verify_page::verify_page;
use perjury_checker::Report;
use perjury_history::{History, jsonl};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Something that is not as it was when the evidence was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// The file of the bundle, the part of the page, or the operation.
    pub member: String,
    /// What is wrong with it.
    pub what: String,
}

/// What was judged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rechecked {
    /// Nothing: the history is missing or damaged.
    #[default]
    Nothing,
    /// The operations that show the anomaly.
    Shrunk,
    /// All operations.
    Whole,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Verification {
    /// The run, as the evidence names it.
    pub run: String,
    /// The program that made the evidence.
    pub tool: String,
    /// What was redacted.
    pub redacted: Vec<String>,
    /// How many files or parts were checked against their hashes.
    pub checked: usize,
    /// What the evidence claims.
    pub claimed: Option<Outcome>,
    /// What the contained history gives.
    pub found: Option<Outcome>,
    /// Of how much of the history.
    pub rechecked: Rechecked,
    /// The public key of a signature that fits.
    pub signed_by: Option<String>,
    /// Everything that is wrong; empty when the evidence is verified.
    pub breaches: Vec<Breach>,
}

impl Verification {
    /// Whether the evidence is what it was when it was made, and its history gives the verdict that it claims.
    pub fn is_verified(&self) -> bool {
        self.breaches.is_empty() && self.rechecked != Rechecked::Nothing
    }

    pub(crate) fn breach(&mut self, member: impl Into<String>, what: impl Into<String>) {
        self.breaches.push(Breach { member: member.into(), what: what.into() });
    }

    /// Takes over a signature, and holds it against the key that is expected.
    pub(crate) fn signature(
        &mut self,
        signed: Option<Result<Signed, String>>,
        manifest: &[u8],
        pin: Option<PublicKey>,
        member: &str,
    ) {
        let key = match signed {
            None => None,
            Some(signed) => match signed.and_then(|s| s.check(manifest)) {
                Ok(key) => Some(key),
                Err(why) => return self.breach(member, why),
            },
        };
        self.signed_by = key.map(|k| k.to_string());
        match (key, pin) {
            (None, Some(_)) => self.breach(member, "it is not signed, and a key was asked for"),
            (Some(key), Some(pin)) if key != pin => {
                self.breach(member, format!("it is signed with {key}, not with {pin}"));
            }
            _ => {}
        }
    }

    /// Judges the history again and compares.
    pub(crate) fn recheck(
        &mut self,
        text: &[u8],
        judged: &Judged,
        member: &str,
    ) -> Option<History> {
        let history = match jsonl::read(text, member, &jsonl::ReadOptions::default()) {
            Ok(history) => history,
            Err(e) => {
                self.breach(member, format!("it is no history: {e}"));
                return None;
            }
        };
        let outcome = Outcome::of(&judged.check(&history));
        if let Some(claimed) = self.claimed.as_ref().filter(|c| **c != outcome) {
            let what = format!("it gives {outcome}, and the evidence claims {claimed}");
            self.breach(member, what);
        }
        self.found = Some(outcome);
        self.rechecked = Rechecked::Whole;
        Some(history)
    }

    /// Judges the part of a history that is said to show the anomaly.
    pub(crate) fn recheck_part(
        &mut self,
        text: &[u8],
        judged: &Judged,
        anomaly: Option<&str>,
        member: &str,
    ) {
        let history = match jsonl::read(text, member, &jsonl::ReadOptions::default()) {
            Ok(history) => history,
            Err(e) => return self.breach(member, format!("it is no history: {e}")),
        };
        let outcome = Outcome::of(&judged.check(&history));
        let shown = anomaly.filter(|a| !outcome.anomalies.contains_key(*a));
        if let Some(anomaly) = shown {
            self.breach(member, format!("it does not show {anomaly}"));
        }
        if self.rechecked == Rechecked::Nothing {
            self.rechecked = Rechecked::Shrunk;
            self.found = Some(outcome);
        }
    }
}

/// Verifies a bundle or a one-file report; `name` is for messages and helps to tell which of both it is. With `pin` the
/// evidence must be signed with that key.
///
/// # Errors
/// [`EvidenceError::NotEvidence`] when it is neither. Whatever is wrong with evidence is in the result.
pub fn verify(
    file: &[u8],
    name: &str,
    pin: Option<PublicKey>,
) -> Result<Verification, EvidenceError> {
    let lower = name.to_ascii_lowercase();
    let zip = file.starts_with(b"PK") || lower.ends_with(".zip");
    if zip {
        return Ok(verify_bundle(file, pin));
    }
    let page = String::from_utf8_lossy(file);
    if looks_like_one(&page) {
        let mut verification = Verification::default();
        verify_page(&mut verification, file, pin, "");
        return Ok(verification);
    }
    Err(EvidenceError::not(
        name,
        "it is neither a bundle (.zip) nor a one-file report (.html) of perjury; perjury evidence makes both",
    ))
}

/// The contents of a bundle, by name; damaged members are breaches.
type Contents = BTreeMap<String, Vec<u8>>;

fn verify_bundle(file: &[u8], pin: Option<PublicKey>) -> Verification {
    let mut v = Verification::default();
    let found = match members(file) {
        Ok(found) => found,
        Err(flaw) => {
            v.breach(flaw.member, flaw.what);
            return v;
        }
    };
    let mut contents = Contents::new();
    for member in &found {
        match member.content(file) {
            Ok(content) => {
                contents.insert(member.name.clone(), content);
            }
            Err(flaw) => v.breach(flaw.member, flaw.what),
        }
    }
    let Some(manifest) = manifest(&mut v, &contents) else { return v };
    v.run.clone_from(&manifest.run);
    v.tool.clone_from(&manifest.tool);
    v.redacted.clone_from(&manifest.redacted);
    v.claimed = Some(manifest.outcome.clone());
    hashes(&mut v, file, &found, &contents, &manifest);
    let signed = contents.get(SIGNATURE).map(|s| {
        serde_json::from_slice::<Signed>(s).map_err(|e| format!("it is no signature: {e}"))
    });
    let signature_listed = found.iter().any(|m| m.name == SIGNATURE);
    if signed.is_some() || !signature_listed {
        let text = contents.get(MANIFEST).map(Vec::as_slice).unwrap_or_default();
        v.signature(signed, text, pin, SIGNATURE);
    }
    judge(&mut v, &contents, &manifest);
    pages(&mut v, &contents, &manifest);
    v
}

fn manifest(v: &mut Verification, contents: &Contents) -> Option<Manifest> {
    let Some(text) = contents.get(MANIFEST) else {
        if v.breaches.is_empty() {
            v.breach(MANIFEST, "it is missing: without it nothing can be verified");
        }
        return None;
    };
    let manifest: Manifest = match serde_json::from_slice(text) {
        Ok(manifest) => manifest,
        Err(e) => {
            v.breach(MANIFEST, format!("it cannot be read: {e}"));
            return None;
        }
    };
    if manifest.schema != SCHEMA {
        let what =
            format!("its schema is {:?}, and this version reads {SCHEMA:?}", manifest.schema);
        v.breach(MANIFEST, what);
        return None;
    }
    if manifest.text().is_ok_and(|own| own != *text) {
        v.breach(MANIFEST, "it is not written as perjury writes it");
    }
    Some(manifest)
}

/// Holds every file against its hashes, and the list against the files.
fn hashes(
    v: &mut Verification,
    file: &[u8],
    found: &[Member],
    contents: &Contents,
    manifest: &Manifest,
) {
    let by_name: BTreeMap<&str, &Member> = found.iter().map(|m| (m.name.as_str(), m)).collect();
    for listed in &manifest.members {
        let Some(member) = by_name.get(listed.path.as_str()) else {
            v.breach(&listed.path, "it is missing from the bundle");
            continue;
        };
        v.checked += 1;
        // A member that did not unpack was named already.
        let Some(content) = contents.get(&listed.path) else { continue };
        if content.len() as u64 != listed.bytes || sha256(&[content]) != listed.sha256 {
            v.breach(&listed.path, "its content does not match the manifest's SHA-256");
        } else if sha256(&[member.packed(file)]) != listed.packed_sha256 {
            v.breach(&listed.path, "its packed form does not match the manifest's SHA-256");
        }
    }
    let listed: BTreeSet<&str> = manifest.members.iter().map(|l| l.path.as_str()).collect();
    for name in
        by_name.keys().filter(|n| !listed.contains(*n) && ![MANIFEST, SIGNATURE].contains(n))
    {
        v.breach(*name, "the manifest does not name it");
    }
    for name in [HISTORY, REPORT, PAGE] {
        if !listed.contains(name) {
            v.breach(name, "a bundle has one, and this manifest does not name it");
        }
    }
}

/// Judges the histories again and compares them with manifest and report.
fn judge(v: &mut Verification, contents: &Contents, manifest: &Manifest) {
    if let Some(text) = contents.get(HISTORY) {
        v.recheck(text, &manifest.judged, HISTORY);
    }
    if let Some(text) = contents.get(SHRUNK) {
        v.recheck_part(text, &manifest.judged, manifest.anomaly.as_deref(), SHRUNK);
    }
    let Some(text) = contents.get(REPORT) else { return };
    match serde_json::from_slice::<Report>(text) {
        Err(e) => v.breach(REPORT, format!("it is no report: {e}")),
        Ok(report) => {
            let outcome = Outcome::of(&report);
            if outcome != manifest.outcome {
                let what = format!("it says {outcome}, and the manifest {}", manifest.outcome);
                v.breach(REPORT, what);
            }
        }
    }
}

/// Verifies the page inside the bundle, and that both speak of the same.
fn pages(v: &mut Verification, contents: &Contents, manifest: &Manifest) {
    let Some(page) = contents.get(PAGE) else { return };
    let mut inner = Verification::default();
    let own = verify_page(&mut inner, page, None, "report.html, ");
    v.breaches.append(&mut inner.breaches);
    let history = contents.get(HISTORY).map(|text| sha256(&[text]));
    let same = own.is_some_and(|m| {
        m["data_sha256"] == *manifest.html_data_sha256
            && m["run"] == *manifest.run
            && m["tool"] == *manifest.tool
            && m["anomaly"].as_str() == manifest.anomaly.as_deref()
            && m["redacted"] == serde_json::json!(manifest.redacted)
            && m["judged"] == serde_json::json!(manifest.judged)
            && m["outcome"] == serde_json::json!(manifest.outcome)
            && history.is_none_or(|h| m["history_sha256"] == h)
    });
    if !same {
        v.breach(MANIFEST, "it and the page inside the bundle do not say the same");
    }
}
