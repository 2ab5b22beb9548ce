//! What becomes of a run whose writer is gone.

use crate::first_screen::{LONG_HISTORY_BYTES, keep_first_screen};
use crate::judge::{JudgeError, judge_file, with_reason};
use chrono::Utc;
use perjury_checker::Options;
use perjury_store::{ReportView, RunDir, StoreError, WriterState};

/// Why a run directory could not be brought to an end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SalvageError {
    /// It cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Whether it did all that was planned.
    pub complete: bool,
    /// What the report says, when there is one.
    pub verdict: Option<String>,
    /// Why it was cut short, or why there is no report.
    pub problem: Option<String>,
}

/// Brings a run directory to an end whose writer is gone: what it left is checked and marked. A directory that its writer
/// had brought to an end is only read. Doing it twice changes nothing.
///
/// # Errors
/// [`SalvageError::Store`] when the directory cannot be read or written.
pub fn salvage(dir: &RunDir, options: &Options, why: &str) -> Result<Ending, SalvageError> {
    let report: Option<ReportView> = dir.report()?;
    let status = dir.status()?;
    let complete = status.as_ref().is_some_and(|s| s.status == WriterState::Complete);
    let reason = status.as_ref().and_then(|s| s.reason.clone());
    if let Some(report) = report {
        if !complete && reason.is_none() {
            dir.mark_interrupted(Utc::now(), why)?;
        }
        let problem = (!complete).then(|| reason.unwrap_or_else(|| why.to_owned()));
        return Ok(Ending { complete, verdict: Some(report.verdict), problem });
    }
    let why = reason.unwrap_or_else(|| why.to_owned());
    if dir.file("history.jsonl")?.is_none() {
        dir.mark_interrupted(Utc::now(), &why)?;
        return Ok(Ending { complete: false, verdict: None, problem: Some(why) });
    }
    match judge_file(&dir.history_path(), options) {
        Ok((history, report)) => {
            keep_first_screen(dir, &history, &report, LONG_HISTORY_BYTES);
            let report = with_reason(report, "interrupted", &why);
            dir.write_report(&report)?;
            dir.mark_interrupted(Utc::now(), &why)?;
            let verdict = serde_json::to_value(report.verdict).ok();
            let verdict = verdict.and_then(|v| v.as_str().map(str::to_owned));
            Ok(Ending { complete: false, verdict, problem: Some(why) })
        }
        Err(error) => {
            let problem = format!("{why}; {}", told(&error));
            dir.mark_interrupted(Utc::now(), &problem)?;
            Ok(Ending { complete: false, verdict: None, problem: Some(problem) })
        }
    }
}

fn told(error: &JudgeError) -> String {
    format!("what it left cannot be checked: {error}")
}
