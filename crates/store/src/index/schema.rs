//! The tables of the index and how they came to be: one step a version, applied in order.

use crate::index::IndexError;
use rusqlite::Connection;
use std::time::Duration;

/// Each step leads from the version of its position to the next one; `user_version` of the file counts them.
const STEPS: [&str; 1] = ["
    CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
    INSERT INTO meta VALUES ('revision', 0);
    CREATE TABLE names (name TEXT PRIMARY KEY, mtime_ns INTEGER NOT NULL) STRICT;
    CREATE TABLE runs (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        started_ms INTEGER NOT NULL,
        status TEXT NOT NULL,
        verdict TEXT NOT NULL,
        severity INTEGER NOT NULL,
        workload TEXT,
        cluster TEXT,
        operations INTEGER NOT NULL,
        violations INTEGER NOT NULL,
        words TEXT NOT NULL,
        summary TEXT NOT NULL,
        stamp TEXT NOT NULL,
        settled INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX runs_by_start ON runs (started_ms DESC, id);
    CREATE INDEX runs_by_name ON runs (name, started_ms DESC);
    CREATE INDEX runs_unsettled ON runs (id) WHERE settled = 0;
    CREATE TABLE nemeses (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        nemesis TEXT NOT NULL,
        PRIMARY KEY (run, nemesis)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE anomalies (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        anomaly TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (run, anomaly)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX nemeses_by_name ON nemeses (nemesis);
    CREATE INDEX anomalies_by_name ON anomalies (anomaly);
"];

/// Another process that writes the index needs far less.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether a file of this version can be used: a newer one was written by a newer Perjury and is made anew.
pub(super) enum Fit {
    /// It is ready.
    Ready,
    /// It is of a newer version.
    Newer,
}

/// Sets the connection up and brings the tables to the present version.
pub(super) fn prepare(db: &mut Connection) -> Result<Fit, IndexError> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "journal_mode", "wal")?;
    // The directories are the truth: what a power cut takes from the index is read again.
    db.pragma_update(None, "synchronous", "normal")?;
    db.pragma_update(None, "foreign_keys", true)?;
    let change = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: i64 = change.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > STEPS.len() {
        return Ok(Fit::Newer);
    }
    for step in &STEPS[version..] {
        change.execute_batch(step)?;
    }
    change.pragma_update(None, "user_version", i64::try_from(STEPS.len()).unwrap_or(i64::MAX))?;
    change.commit()?;
    Ok(Fit::Ready)
}
