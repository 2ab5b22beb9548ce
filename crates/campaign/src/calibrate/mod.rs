//! Calibration: how much of what is wrong these runs find, and how often they accuse a correct cluster.
//!
//! Each known bug of the testbed is switched on in clusters of its own, under the workloads and faults that can show it,
//! with several seeds ([`Design`]). A run *finds* the bug when its verdict is *invalid*. The share of runs that find it is
//! the recall of that cell, with its interval; runs of the correct testbed under the same workloads and faults give the
//! false positives. Nothing is assumed of what a bug should look like: the anomalies that are expected of it
//! ([`expected`]) are only compared with those that were found.
//!
//! Runs are made side by side, each as a child process with a store of its own ([`Laboratory`]), and each outcome is
//! appended to a file as it comes, so that a calibration that was cut short goes on where it stood.
//!
//! # What a calibration says of another run
//! [`power`] states for each bug the probability that a run of a given plan finds it. Its trials are *faults*, not writes:
//! what happens to the writes under one fault has one cause. The chance per trial is the lower end of the interval of the
//! measured recall, so that few calibration runs promise little.

mod cells;
mod design;
mod detect;
mod files;
mod laboratory;
mod outcome;
mod power;
mod summary;
mod table;

pub use cells::{Cell, Shape, expected};
pub use design::{Design, DesignError, Scope, Trial};
pub use detect::{Detection, detect};
pub use files::{CalibrationError, Calibrations};
pub use laboratory::Laboratory;
pub use outcome::Outcome;
pub use power::power;
pub use summary::{
    BugResult, Calibration, CellResult, CleanResult, FalsePositive, NotRun, Recall, SCHEMA,
    summarise,
};
pub use table::text;
