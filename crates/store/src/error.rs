//! What can go wrong with a store.

use crate::id::BadId;
use std::path::PathBuf;

/// Why an operation on a store failed. Every variant names the path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: a verb such as "read" or "create".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The file system's answer.
        source: std::io::Error,
    },
    /// A JSON file does not hold what it should.
    #[error("{} is not readable as JSON: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why reading stopped.
        source: serde_json::Error,
    },
    /// A file is larger than anything that a run writes there.
    #[error("{} has {bytes} bytes; at most {max} are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
        /// The bound in bytes.
        max: u64,
    },
    /// An identifier that cannot name a run.
    #[error(transparent)]
    BadId(#[from] BadId),
    /// No such run.
    #[error("there is no run {id} in {}", root.display())]
    NoSuchRun {
        /// What was asked for.
        id: String,
        /// The store.
        root: PathBuf,
    },
    /// The run is being written.
    #[error("the run {id} is under way; stop it first")]
    Running {
        /// Which run.
        id: String,
    },
    /// There is a directory already.
    #[error("there is a run {id} already")]
    Taken {
        /// Which run.
        id: String,
    },
    /// No directory was free within the bounded number of attempts.
    #[error("no free directory for a run of {name} in {} after {attempts} attempts", root.display())]
    NoFreeDirectory {
        /// The run's name.
        name: String,
        /// The store.
        root: PathBuf,
        /// How many names were tried.
        attempts: u32,
    },
}

impl StoreError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> StoreError {
        let path = path.into();
        move |source| StoreError::Io { action, path, source }
    }
}
