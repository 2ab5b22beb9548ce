//! The exit codes, all of them. The numbers are Jepsen's.

use perjury_checker::Verdict;
use std::process::ExitCode;

/// The history is valid.
pub(crate) const VALID: u8 = 0;
/// A promise was broken.
pub(crate) const INVALID: u8 = 1;
/// Nothing can be said, and the reason is named.
pub(crate) const UNKNOWN: u8 = 2;
/// Bad arguments or bad input.
pub(crate) const USAGE: u8 = 254;
/// Perjury itself failed, without a verdict.
pub(crate) const CRASH: u8 = 255;

/// The code of a verdict.
pub(crate) fn of(verdict: Verdict) -> ExitCode {
    ExitCode::from(match verdict {
        Verdict::Valid => VALID,
        Verdict::Invalid => INVALID,
        Verdict::Unknown => UNKNOWN,
    })
}

/// An error that is the user's to mend: bad arguments, bad input. Ends with code 254.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Shorthand for an error with [`Usage`].
pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Usage(message.into()))
}
