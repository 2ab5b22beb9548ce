//! The group commit: one task for each replica that syncs whatever was appended since last time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::partition::Partition;
use crate::error::NodeError;
use crate::log::partition_log::Unsynced;

/// Syncs a replica until it is cancelled. A failed sync is reported once and never tried again: the
/// kernel may have dropped the pages, so a later success would prove nothing.
pub(crate) async fn run(
    partition: Arc<Partition>,
    cancel: CancellationToken,
    fatal: mpsc::UnboundedSender<NodeError>,
) {
    let work = async {
        // The one switch of Bug::ForgetUnsynced.
        match partition.switches.lazy_sync_period() {
            Some(period) => sync_lazily(&partition, period).await,
            None => sync_before_counting(&partition).await,
        }
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        Err(source) = work => {
            let what = format!("partition {}-{}", partition.topic, partition.index);
            let _ = fatal.send(NodeError::Storage { what, source });
        }
    }
}

async fn sync(unsynced: Unsynced) -> io::Result<Unsynced> {
    let syncing = tokio::task::spawn_blocking(move || unsynced.sync().map(|()| unsynced));
    syncing.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

async fn sync_before_counting(partition: &Partition) -> io::Result<()> {
    loop {
        partition.unsynced.notified().await;
        while let Some(unsynced) = partition.take_unsynced() {
            let done = sync(unsynced).await?;
            partition.synced(&done);
        }
    }
}

/// Counts everything as synced at once; syncs now and then and notes how far in the marker.
async fn sync_lazily(partition: &Partition, period: Duration) -> io::Result<()> {
    let mut ticker = tokio::time::interval(period);
    let mut marked = None;
    loop {
        tokio::select! {
            () = partition.unsynced.notified() => {
                let progress = *partition.progress().borrow();
                if progress.end_offset > progress.synced {
                    partition.count_as_synced();
                }
            }
            _ = ticker.tick() => {
                let done = sync(partition.take_written()).await?;
                if marked != Some(done.end_offset) {
                    marked = Some(done.end_offset);
                    let path = partition.marker_path();
                    let text = done.end_offset.to_string();
                    crate::log::replace_file(&path, text.as_bytes())?;
                }
            }
        }
    }
}
