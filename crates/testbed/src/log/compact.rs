//! Compaction (`cleanup.policy=compact`): of each key only the last value stays, and tombstones go
//! after a while.
//!
//! Simpler than Apache Kafka's cleaner: closed segments are rewritten in place, and batches keep
//! their headers when all their records go, so offsets, producers and transactions stay as they are.
//! Compressed batches are left alone.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use super::batch::{self, BatchHeader};
use super::records::{RecordView, batches, records, retain};
use super::segment::Segment;
use super::transactions::TransactionIndex;

/// How one compaction decides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// Tombstones in batches that are older (milliseconds since the epoch) go.
    pub(crate) tombstones_before: i64,
    /// See [`Bug::CompactionKeepsWrong`](crate::Bug::CompactionKeepsWrong): of each key the first
    /// value stays.
    pub(crate) keep_first: bool,
}

/// Whether a record carries a value or tombstone of its key: not in a marker, not aborted.
fn counts(header: &BatchHeader, record: &RecordView<'_>, transactions: &TransactionIndex) -> bool {
    let aborted =
        header.is_transactional() && transactions.is_aborted(header.producer_id, record.offset);
    !header.is_control() && !aborted
}

/// Rewrites segments that nothing is appended to any more and that are wholly decided. Returns
/// whether any record went.
///
/// # Errors
/// A segment cannot be read or written. The files hold the old or the new contents, each whole.
pub(crate) fn compact(
    segments: &mut [Segment],
    transactions: &TransactionIndex,
    policy: Policy,
) -> io::Result<bool> {
    let mut kept: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    for segment in segments.iter() {
        let bytes = fs::read(&segment.path)?;
        for (header, batch) in batches(&bytes) {
            for record in records(batch) {
                let Some(key) = record.key.filter(|_| counts(&header, &record, transactions))
                else {
                    continue;
                };
                // The one switch of Bug::CompactionKeepsWrong.
                if !(policy.keep_first && kept.contains_key(key)) {
                    kept.insert(key.to_owned(), record.offset);
                }
            }
        }
    }
    let mut changed = false;
    for segment in segments {
        changed |= rewrite(segment, transactions, &kept, policy)?;
    }
    Ok(changed)
}

fn rewrite(
    segment: &mut Segment,
    transactions: &TransactionIndex,
    kept: &BTreeMap<Vec<u8>, i64>,
    policy: Policy,
) -> io::Result<bool> {
    let bytes = fs::read(&segment.path)?;
    let mut rewritten = Vec::with_capacity(bytes.len());
    for (header, batch) in batches(&bytes) {
        if header.is_control() || header.is_compressed() {
            rewritten.extend_from_slice(batch);
            continue;
        }
        let expired = header.max_timestamp < policy.tombstones_before;
        rewritten.extend(retain(batch, |record| {
            let last = record.key.is_none_or(|key| kept.get(key) == Some(&record.offset));
            let gone = record.key.is_some() && record.value.is_none() && expired;
            counts(&header, record, transactions) && last && !gone
        }));
    }
    if rewritten.len() == bytes.len() {
        return Ok(false);
    }
    debug_assert!(batch::check(&rewritten).is_ok());
    super::replace_file(&segment.path, &rewritten)?;
    *segment = Segment::recover(segment.path.clone(), segment.base_offset, |_| {})?.0;
    Ok(true)
}
