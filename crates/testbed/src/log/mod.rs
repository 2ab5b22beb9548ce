//! Partition logs on disk: segments of record batches, what is derived from them, and the small
//! files beside them.

pub(crate) mod batch;
pub(crate) mod compact;
pub(crate) mod epochs;
pub(crate) mod partition_log;
pub(crate) mod producers;
pub(crate) mod records;
pub(crate) mod segment;
pub(crate) mod transactions;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Replaces a file so that after a crash it holds either the old or the new bytes.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// A sync that takes longer than this is worth a line in the log: leases are not much longer.
const SLOW_SYNC: Duration = Duration::from_millis(250);

/// `fdatasync`, with a warning if the disk was slow.
pub(crate) fn sync_data(file: &File, what: &str) -> io::Result<()> {
    let begun = Instant::now();
    file.sync_data()?;
    let took = begun.elapsed();
    if took > SLOW_SYNC {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(what, ms, "{}", crate::events::SLOW_DISK);
    }
    Ok(())
}

/// Milliseconds since the epoch, as Kafka's timestamps have it.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
