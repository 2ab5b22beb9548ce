//! From a history on disk to a report.

use perjury_checker::{Options, Report, Verdict, check};
use perjury_history::History;
use perjury_history::jsonl::{self, ReadOptions};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Why a recorded history could not be judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// The file could not be opened.
    #[error("cannot open the history {path}: {source}")]
    Open {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a history.
    #[error(transparent)]
    Read(#[from] perjury_history::ReadError),
}

/// Reads a native history from disk and checks it.
///
/// # Errors
/// When the file cannot be opened or read.
pub fn judge_file(path: &Path, options: &Options) -> Result<(History, Report), JudgeError> {
    let file = File::open(path).map_err(|source| JudgeError::Open { path: path.into(), source })?;
    let name = path.display().to_string();
    let history =
        jsonl::read(BufReader::with_capacity(1 << 20, file), &name, &ReadOptions::default())?;
    let report = check(&history, options);
    Ok((history, report))
}

/// The same report with one more reason for which it cannot be *valid*.
#[must_use]
pub fn with_reason(mut report: Report, code: &str, message: &str) -> Report {
    report.verdict = report.verdict.and(Verdict::Unknown);
    if !report.reasons.iter().any(|r| r == code) {
        report.reasons.insert(0, code.into());
        let detail = perjury_checker::ReasonDetail { code: code.into(), message: message.into() };
        report.reason_details.insert(0, detail);
    }
    if report.verdict == Verdict::Unknown {
        report.headline = format!("UNKNOWN · {message}");
    }
    report
}
