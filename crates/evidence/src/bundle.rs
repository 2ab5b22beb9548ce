//! Bundles: everything that a stranger needs to believe a report, in one zip file.

use crate::container::{extend, members, pack};
use crate::data::{self, Page};
use crate::error::EvidenceError;
use crate::hash::sha256;
use crate::judged::{Judged, Outcome};
use crate::prepared::{Prepared, Wanted};
use crate::sign::Signing;
use crate::source::Source;
use crate::texts::{self, texts};
use perjury_checker::Report;
use perjury_checker::render::Origin;
use serde::{Deserialize, Serialize};

/// Name and version of a bundle's shape.
pub(crate) const SCHEMA: &str = "perjury.bundle/1";
/// The members that prove the others.
pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const SIGNATURE: &str = "manifest.sig.json";
/// The members that are judged again.
pub(crate) const HISTORY: &str = "history.jsonl";
pub(crate) const SHRUNK: &str = "shrunk.jsonl";
pub(crate) const REPORT: &str = "report.json";
pub(crate) const PAGE: &str = "report.html";

/// What a bundle says of one of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Its name inside the bundle.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The SHA-256 of its content.
    pub sha256: String,
    /// The SHA-256 of its header and compressed content as they stand in the zip file.
    pub packed_sha256: String,
}

/// `manifest.json` of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name and version of the bundle's shape.
    pub schema: String,
    /// The program that made it.
    pub tool: String,
    /// The run.
    pub run: String,
    /// The anomaly that it is about.
    pub anomaly: Option<String>,
    /// What was redacted.
    pub redacted: Vec<String>,
    /// How the history was judged.
    pub judged: Judged,
    /// What came out.
    pub outcome: Outcome,
    /// The SHA-256 of the data inside `report.html`.
    pub html_data_sha256: String,
    /// All files but this one and its signature, in the order of the zip file.
    pub members: Vec<Listed>,
}

/// A bundle that was made.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The zip file.
    pub bytes: Vec<u8>,
    /// Its manifest.
    pub manifest: Manifest,
    /// The report inside, as it was made of the redacted history.
    pub report: Report,
    /// What the texts inside say of the run.
    pub origin: Origin,
    /// A file name that says what it is: `<name>-<time>-<anomaly>.zip`.
    pub file_name: String,
}

/// Makes the evidence bundle of a run or history: the same bytes whenever it is made of the same files.
///
/// Secrets are removed in any case. What else `wanted` redacts keeps verdict and anomalies, or the bundle is not made.
///
/// # Errors
/// When the anomaly is not there, redaction would change the verdict, a part is too large, or a file cannot be read.
pub fn bundle(
    source: Source,
    wanted: &Wanted,
    key: Option<&Signing>,
) -> Result<Bundle, EvidenceError> {
    let prepared = Prepared::new(source, wanted)?;
    let Page { html, data_sha256 } = data::page(&prepared, key)?;
    let mut files = texts(&prepared);
    let report = serde_json::to_string_pretty(&prepared.report)
        .map_err(EvidenceError::json("the report"))?;
    files.insert(1, (PAGE.into(), html.into_bytes()));
    files.insert(2, (REPORT.into(), format!("{report}\n").into_bytes()));
    if let Some(shrunk) = &prepared.shrunk {
        files.push((SHRUNK.into(), shrunk.text.clone()));
    }
    files.extend(prepared.configs.iter().cloned());
    let mut manifest = Manifest {
        schema: SCHEMA.into(),
        tool: texts::tool(),
        run: prepared.id.clone(),
        anomaly: prepared.focus.as_ref().map(|f| f.anomaly.clone()),
        redacted: prepared.redaction.names().into_iter().map(str::to_owned).collect(),
        judged: prepared.judged.clone(),
        outcome: Outcome::of(&prepared.report),
        html_data_sha256: data_sha256,
        members: Vec::new(),
    };
    let origin = texts::origin(&prepared);
    files.push((HISTORY.into(), prepared.text));
    let packed = pack(&files)?;
    let unexpected = |why: crate::container::Flaw| EvidenceError::not(why.member, why.what);
    for (member, (path, content)) in members(&packed).map_err(unexpected)?.iter().zip(&files) {
        manifest.members.push(Listed {
            path: path.clone(),
            bytes: content.len() as u64,
            sha256: sha256(&[content]),
            packed_sha256: sha256(&[member.packed(&packed)]),
        });
    }
    let text = manifest.text()?;
    let mut last = vec![(MANIFEST.to_owned(), text.clone())];
    if let Some(key) = key {
        let signed = serde_json::to_vec_pretty(&key.sign(&text));
        last.push((SIGNATURE.to_owned(), signed.map_err(EvidenceError::json("the signature"))?));
    }
    let file_name = file_name(&manifest, "zip");
    let bytes = extend(packed, &last)?;
    Ok(Bundle { bytes, manifest, report: prepared.report, origin, file_name })
}

/// The one-file report of a run or history alone, at most five megabytes, and a name for it.
///
/// # Errors
/// As [`bundle`].
pub fn report_page(
    source: Source,
    wanted: &Wanted,
    key: Option<&Signing>,
) -> Result<(String, String), EvidenceError> {
    let prepared = Prepared::new(source, wanted)?;
    let page = data::page(&prepared, key)?;
    let anomaly = prepared.focus.as_ref().map(|f| f.anomaly.as_str());
    Ok((page.html, named(&prepared.id, anomaly, "html")))
}

impl Manifest {
    /// The manifest as it stands in a bundle.
    pub(crate) fn text(&self) -> Result<Vec<u8>, EvidenceError> {
        let mut text =
            serde_json::to_vec_pretty(self).map_err(EvidenceError::json("the manifest"))?;
        text.push(b'\n');
        Ok(text)
    }
}

fn file_name(manifest: &Manifest, extension: &str) -> String {
    named(&manifest.run, manifest.anomaly.as_deref(), extension)
}

/// A file name of plain characters.
fn named(run: &str, anomaly: Option<&str>, extension: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
    let what = [run, anomaly.unwrap_or("evidence")].join("-");
    let name: String = what.chars().map(plain).collect();
    format!("{}.{extension}", name.trim_matches(['.', '-']))
}
