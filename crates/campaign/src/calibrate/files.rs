//! Calibrations on disk: `<store>/.calibrations/<id>/` with `design.json` (what was asked), `outcomes.jsonl` (a line for
//! each run that ended), `calibration.json` (what follows from them) and `runs/` (runs whose outcome was not as expected).

use super::design::{Design, DesignError};
use super::outcome::Outcome;
use super::summary::Calibration;
use chrono::{DateTime, Utc};
use perjury_store::{RunId, Store, StoreError, write_whole};
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

const DESIGN: &str = "design.json";
const OUTCOMES: &str = "outcomes.jsonl";
const CALIBRATION: &str = "calibration.json";

/// Why a calibration cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// The design makes no sense.
    #[error(transparent)]
    Design(#[from] DesignError),
    /// The file system.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file does not hold what it should.
    #[error(
        "{path} is not readable: {source}; remove the folder of the calibration to be rid of it"
    )]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Judging a run panicked.
    #[error("a part of the calibration panicked: {0}")]
    Panic(tokio::task::JoinError),
    /// There is none of this identifier.
    #[error("there is no calibration {0}; `perjury calibrate` makes one")]
    NoSuchCalibration(String),
}

/// The calibrations of a store.
#[derive(Debug, Clone)]
pub struct Calibrations {
    root: PathBuf,
}

impl Calibrations {
    /// Those of this store. Nothing is made on disk before the first one.
    #[must_use]
    pub fn of(store: &Store) -> Self {
        Calibrations { root: store.root().join(".calibrations") }
    }

    /// Makes the folder of a new one and gives its identifier, which says when it began.
    ///
    /// # Errors
    /// [`CalibrationError::Store`] when the file system refuses.
    pub fn create(&self, design: &Design, now: DateTime<Utc>) -> Result<String, CalibrationError> {
        fs::create_dir_all(&self.root).map_err(io("create", &self.root))?;
        for attempt in 0..1000 {
            let at = now + chrono::TimeDelta::milliseconds(attempt);
            let id = at.format("%Y%m%dT%H%M%S%.3fZ").to_string();
            let path = self.root.join(&id);
            match fs::create_dir(&path) {
                Ok(()) => {
                    write_whole(&path.join(DESIGN), &json(design, &path)?)?;
                    return Ok(id);
                }
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(io("create", &path)(e).into()),
            }
        }
        Err(CalibrationError::NoSuchCalibration("of this moment: a thousand were begun".into()))
    }

    /// The identifiers, newest first.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let Ok(read) = fs::read_dir(&self.root) else { return Vec::new() };
        let names = read.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut ids: Vec<String> = names.filter(|name| is_id(name)).collect();
        ids.sort_by(|a, b| b.cmp(a));
        ids
    }

    /// All that have a result, newest first; one that cannot be read is left out.
    #[must_use]
    pub fn list(&self) -> Vec<Calibration> {
        self.ids().iter().filter_map(|id| self.load(id).ok()).collect()
    }

    /// The newest that came to its end.
    #[must_use]
    pub fn latest(&self) -> Option<Calibration> {
        self.ids().iter().filter_map(|id| self.load(id).ok()).find(|c| c.complete)
    }

    /// What follows from the runs of one.
    ///
    /// # Errors
    /// [`CalibrationError::NoSuchCalibration`], or [`CalibrationError::Json`] for a file that is damaged.
    pub fn load(&self, id: &str) -> Result<Calibration, CalibrationError> {
        self.read(id, CALIBRATION)
    }

    /// What was asked of one.
    ///
    /// # Errors
    /// As [`Calibrations::load`].
    pub fn design(&self, id: &str) -> Result<Design, CalibrationError> {
        self.read(id, DESIGN)
    }

    /// Keeps what follows from its runs.
    ///
    /// # Errors
    /// [`CalibrationError::Store`] when the file system refuses.
    pub fn save(&self, calibration: &Calibration) -> Result<(), CalibrationError> {
        let path = self.path(&calibration.id)?.join(CALIBRATION);
        Ok(write_whole(&path, &json(calibration, &path)?)?)
    }

    /// The outcomes so far. A last line that was cut short by a crash is left out.
    ///
    /// # Errors
    /// [`CalibrationError::NoSuchCalibration`], or [`CalibrationError::Json`] for another line that is damaged.
    pub fn outcomes(&self, id: &str) -> Result<Vec<Outcome>, CalibrationError> {
        let path = self.path(id)?.join(OUTCOMES);
        // Without the file no run ended yet.
        let text = fs::read_to_string(&path).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let parse = |line: &str| {
            serde_json::from_str(line)
                .map_err(|source| CalibrationError::Json { path: path.clone(), source })
        };
        whole.lines().map(parse).collect()
    }

    /// Appends an outcome.
    ///
    /// # Errors
    /// [`CalibrationError::Store`] when the file system refuses.
    pub(super) fn append(&self, id: &str, outcome: &Outcome) -> Result<(), CalibrationError> {
        let path = self.path(id)?.join(OUTCOMES);
        let mut line = json(outcome, &path)?;
        line.push(b'\n');
        let append = || {
            let mut file = File::options().create(true).append(true).open(&path)?;
            file.write_all(&line)
        };
        append().map_err(|e| io("append to", &path)(e).into())
    }

    /// Takes a line that a crash cut short off the file, so that the next one does not continue it.
    pub(super) fn mend(&self, id: &str) -> Result<(), CalibrationError> {
        let path = self.path(id)?.join(OUTCOMES);
        let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            write_whole(&path, &text.as_bytes()[..whole])?;
        }
        Ok(())
    }

    /// The folder of one.
    ///
    /// # Errors
    /// [`CalibrationError::NoSuchCalibration`] for what cannot be an identifier.
    pub fn path(&self, id: &str) -> Result<PathBuf, CalibrationError> {
        if is_id(id) {
            Ok(self.root.join(id))
        } else {
            let told = id.chars().take(120).collect();
            Err(CalibrationError::NoSuchCalibration(told))
        }
    }

    fn read<T: DeserializeOwned>(&self, id: &str, file: &str) -> Result<T, CalibrationError> {
        let path = self.path(id)?.join(file);
        let text =
            fs::read(&path).map_err(|_| CalibrationError::NoSuchCalibration(id.to_owned()))?;
        serde_json::from_slice(&text).map_err(|source| CalibrationError::Json { path, source })
    }
}

/// Whether the text can name one: no path leads out of the folder.
fn is_id(text: &str) -> bool {
    RunId::new("calibration", text).is_ok()
}

fn json(value: &impl serde::Serialize, path: &Path) -> Result<Vec<u8>, CalibrationError> {
    serde_json::to_vec(value).map_err(|source| CalibrationError::Json { path: path.into(), source })
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}
