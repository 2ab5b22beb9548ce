//! Run directories: what a run leaves on disk, written so that a crash leaves nothing half done, and read so that no
//! broken directory hides the others.
//!
//! ```text
//! store/
//!   latest -> <name>/<time>            the newest run of all
//!   <name>/
//!     latest -> <time>                 the newest run of this name
//!     <YYYYMMDDTHHMMSS.mmmZ>/
//!       status.json                    who writes here, since when, and how it ended
//!       plan.json                      the resolved plan
//!       history.jsonl                  header and events, appended while the run lasts
//!       report.json                    what the checker says of it
//!       nodes/<n>/stdout.log …         what each node printed, each line after its RFC 3339 time
//! ```
//!
//! The directories are the truth: a directory that is copied in appears, and one that is removed is gone. The
//! [`Index`] beside them only makes lists and searches of many runs quick, and can be made anew from them at any time. Everything read from a run directory is treated as a stranger's: identifiers cannot leave the store,
//! symbolic links inside a run are not followed, sizes are bounded.

mod atomic;
mod error;
mod id;
mod index;
mod logs;
mod retention;
mod run_dir;
mod status;
mod store;
mod summary;

pub use atomic::write as write_whole;
pub use error::StoreError;
pub use id::{BadId, RunId};
pub use index::{
    GoneRun, Group, Index, IndexError, Interval, Judged, Refreshed, RunPage, RunQuery, Sort,
    SortKey, Trend, TrendPoint, VerdictCounts, VersionTrend, wilson,
};
pub use logs::{LogLine, LogQuery, Stream, read_logs};
pub use retention::{Policy, Retention, is_dispensable};
pub use run_dir::{FileEntry, RunDir};
pub use status::{StatusFile, WriterState};
pub use store::{Run, Store};
pub use summary::{AnomalyView, ReportView, RunStatus, RunSummary};
