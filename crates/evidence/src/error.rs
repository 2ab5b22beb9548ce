//! What can go wrong with evidence.

use std::path::PathBuf;

/// Why a bundle could not be made or read. What a verification finds is no error: see [`crate::Verification`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: a verb such as "read".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The file system's answer.
        source: std::io::Error,
    },
    /// The store cannot give the run.
    #[error(transparent)]
    Store(#[from] perjury_store::StoreError),
    /// The history is not one.
    #[error(transparent)]
    History(#[from] perjury_history::ReadError),
    /// The run has no history.
    #[error("run {0} has no history.jsonl: there is nothing to prove anything with")]
    NoHistory(String),
    /// The anomaly that was asked for was not found in the run.
    #[error("run {run} shows no {anomaly}; it shows {}", if found.is_empty() { "no anomaly".into() } else { found.join(", ") })]
    NoSuchAnomaly {
        /// The run.
        run: String,
        /// What was asked for.
        anomaly: String,
        /// The anomalies that are there.
        found: Vec<String>,
    },
    /// Redaction would change what the history shows.
    #[error(
        "redacting {redaction} would change the verdict from {before} to {after}: this history is judged by what its {redaction} mean, so redact less"
    )]
    VerdictChanged {
        /// What was to be redacted.
        redaction: String,
        /// Verdict and anomalies before.
        before: String,
        /// Verdict and anomalies after.
        after: String,
    },
    /// A file is too large to be read, or a bundle too large to be made.
    #[error("{what} has {bytes} bytes; at most {max} are handled")]
    TooLarge {
        /// What.
        what: String,
        /// Its size.
        bytes: u64,
        /// The bound.
        max: u64,
    },
    /// The file is neither a bundle nor a one-file report.
    #[error("{name} is no evidence: {why}")]
    NotEvidence {
        /// The file.
        name: String,
        /// What is wrong with it, and where.
        why: String,
    },
    /// The page inside this binary has no place for data.
    #[error(
        "the report page inside this binary has no place for data: run cargo xtask web, then build perjury again"
    )]
    PageBroken,
    /// A key is not one.
    #[error("{name} is no ed25519 key: {why}; perjury keygen makes one")]
    BadKey {
        /// Where it came from.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A part cannot be put into JSON.
    #[error("cannot encode {what} as JSON: {source}")]
    Json {
        /// What.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// Packing failed.
    #[error("cannot pack {member}: {source}")]
    Pack {
        /// The member.
        member: String,
        /// Why.
        source: zip::result::ZipError,
    },
}

impl EvidenceError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> EvidenceError {
        let path = path.into();
        move |source| EvidenceError::Io { action, path, source }
    }

    pub(crate) fn json(what: &'static str) -> impl FnOnce(serde_json::Error) -> EvidenceError {
        move |source| EvidenceError::Json { what, source }
    }

    pub(crate) fn not(name: impl Into<String>, why: impl Into<String>) -> EvidenceError {
        EvidenceError::NotEvidence { name: name.into(), why: why.into() }
    }
}
