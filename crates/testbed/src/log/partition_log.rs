//! The log of one partition: segments, leader epochs and producers, kept in step.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::batch::{self, BatchError, BatchHeader, Marker};
use super::compact::{self, Policy};
use super::epochs::EpochCache;
use super::producers::{MarkerCheck, ProducerTable, SequenceCheck};
use super::records;
use super::segment::Segment;
use super::transactions::TransactionIndex;
use crate::bugs::Switches;

/// The offset of the first record of a log from which nothing was deleted.
pub(crate) const LOG_START: i64 = 0;

/// The file that holds the offset below which records were deleted.
const START_MARKER: &str = "log-start";

/// How many batches of a segment are opened in search of a timestamp.
const TIMESTAMP_CANDIDATES: usize = 64;

/// Every batch that reaches over a multiple of this is corrupted under
/// [`Bug::CorruptRecord`](crate::Bug::CorruptRecord).
const CORRUPTED_OFFSETS: i64 = 211;

/// The file that holds the end offset of the last lazy sync, see
/// [`Bug::ForgetUnsynced`](crate::Bug::ForgetUnsynced).
const SYNCED_MARKER: &str = "synced-end";

/// A partition log. All methods block on the disk's cache, none but `truncate` and those that create
/// files wait for the disk itself.
#[derive(Debug)]
pub(crate) struct PartitionLog {
    dir: PathBuf,
    segment_bytes: u64,
    /// Never empty; the last one is written.
    segments: Vec<Segment>,
    pub(crate) epochs: EpochCache,
    producers: ProducerTable,
    pub(crate) transactions: TransactionIndex,
    /// Records below were deleted on request. They stay in the files, because what is known of
    /// producers is derived from them.
    start_offset: i64,
    /// Segments closed and not compacted yet.
    closed_since_compaction: bool,
    /// Counts truncations, so that a sync that began before one is not believed after it.
    generation: u64,
}

/// What must reach the disk, and what is then synced.
#[derive(Debug)]
pub(crate) struct Unsynced {
    files: Vec<Arc<File>>,
    pub(crate) end_offset: i64,
    pub(crate) generation: u64,
}

impl Unsynced {
    /// Waits for the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.files.iter().try_for_each(|file| super::sync_data(file, "partition log"))
    }
}

/// What a client's batch led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Produced {
    /// Appended here.
    Appended { base_offset: i64, last_offset: i64 },
    /// Was here before.
    Duplicate { base_offset: i64, last_offset: i64 },
    /// Not appended.
    OutOfOrder,
    /// Not appended.
    StaleEpoch,
}

/// Why a follower cannot append what its leader sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error("bad batch: {0}")]
    Batch(#[from] BatchError),
    #[error("batch at offset {got}, log ends at {expected}")]
    Gap { expected: i64, got: i64 },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl PartitionLog {
    /// Opens or creates a log and checks every batch. Behind the first one that is torn, corrupt or
    /// out of line everything is cut; the number of cut bytes is the second result.
    ///
    /// # Errors
    /// The directory or a segment cannot be created, read or cut.
    pub(crate) fn open(dir: &Path, segment_bytes: u64) -> io::Result<(Self, u64)> {
        fs::create_dir_all(dir)?;
        if let Some(parent) = dir.parent() {
            super::sync_dir(parent)?;
        }
        let mut log = Self {
            dir: dir.to_owned(),
            segment_bytes,
            segments: Vec::new(),
            epochs: EpochCache::default(),
            producers: ProducerTable::default(),
            transactions: TransactionIndex::default(),
            start_offset: read_number(&dir.join(START_MARKER))?,
            closed_since_compaction: true,
            generation: 0,
        };
        let mut dropped = 0;
        for (base_offset, path) in segment_files(dir)? {
            let expected = log.segments.last().map_or(LOG_START, |last| last.next_offset);
            if dropped > 0 || base_offset != expected {
                dropped += fs::metadata(&path)?.len();
                fs::remove_file(&path)?;
                continue;
            }
            let (epochs, producers) = (&mut log.epochs, &mut log.producers);
            let transactions = &mut log.transactions;
            let (segment, cut) = Segment::recover(path, base_offset, |header| {
                epochs.assign(header.leader_epoch, header.base_offset);
                producers.record(header);
                transactions.record(header);
            })?;
            log.segments.push(segment);
            dropped += cut;
        }
        if log.segments.is_empty() {
            log.segments.push(Segment::create(dir, LOG_START)?);
        }
        super::sync_dir(dir)?;
        // What a killed process wrote may still be in the page cache only.
        log.segments.iter().try_for_each(|segment| segment.file.sync_data())?;
        Ok((log, dropped))
    }

    /// The offset that the next record gets.
    pub(crate) fn end_offset(&self) -> i64 {
        self.segments.last().map_or(LOG_START, |segment| segment.next_offset)
    }

    /// Appends a client's batch as leader: checks its sequence, stamps offset and epoch. `bytes` and
    /// `header` must come from [`batch::check_produced`].
    ///
    /// # Errors
    /// The write failed.
    pub(crate) fn produce(
        &mut self,
        bytes: &Bytes,
        header: &BatchHeader,
        leader_epoch: i32,
        switches: &Switches,
    ) -> io::Result<Produced> {
        match self.producers.check(header, switches) {
            SequenceCheck::New => {}
            SequenceCheck::Duplicate { base_offset, last_offset } => {
                return Ok(Produced::Duplicate { base_offset, last_offset });
            }
            SequenceCheck::OutOfOrder => return Ok(Produced::OutOfOrder),
            SequenceCheck::StaleEpoch => return Ok(Produced::StaleEpoch),
        }
        let base_offset = self.end_offset();
        let mut stamped = bytes.to_vec();
        batch::stamp(&mut stamped, base_offset, leader_epoch);
        let header = BatchHeader { base_offset, leader_epoch, ..header.clone() };
        let last_offset = header.last_offset();
        // The one switch of Bug::CorruptRecord.
        if switches.corrupt_records()
            && base_offset / CORRUPTED_OFFSETS != (last_offset + 1) / CORRUPTED_OFFSETS
        {
            records::corrupt(&mut stamped);
        }
        self.append(&stamped, &header)?;
        Ok(Produced::Appended { base_offset, last_offset })
    }

    /// Appends a transaction marker as leader, unless it is here already or comes too late.
    ///
    /// # Errors
    /// The write failed.
    pub(crate) fn end_transaction(
        &mut self,
        (producer_id, producer_epoch): (i64, i16),
        marker: Marker,
        leader_epoch: i32,
        timestamp: i64,
    ) -> io::Result<MarkerCheck> {
        let check = self.producers.check_marker(producer_id, producer_epoch, marker);
        if check == MarkerCheck::New {
            let mut bytes =
                records::marker(producer_id, producer_epoch, marker, timestamp).to_vec();
            batch::stamp(&mut bytes, self.end_offset(), leader_epoch);
            let header = batch::check(&bytes).map_err(io::Error::other)?;
            self.append(&bytes, &header)?;
        }
        Ok(check)
    }

    /// See [`ProducerTable::last_ended`].
    pub(crate) fn last_ended(&self, producer_id: i64) -> i64 {
        self.producers.last_ended(producer_id)
    }

    /// Forgets all producers, as [`Bug::SequenceTableLost`](crate::Bug::SequenceTableLost) does.
    pub(crate) fn forget_producers(&mut self) {
        self.producers = ProducerTable::default();
    }

    /// Appends what a leader sent, as follower: whole batches that continue the log.
    ///
    /// # Errors
    /// A batch does not check or continue; those before it are in the log.
    pub(crate) fn replicate(&mut self, bytes: &[u8]) -> Result<(), AppendError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let header = batch::check(rest)?;
            let expected = self.end_offset();
            if header.base_offset != expected {
                return Err(AppendError::Gap { expected, got: header.base_offset });
            }
            let (first, behind) = rest.split_at(header.size);
            self.append(first, &header)?;
            rest = behind;
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8], header: &BatchHeader) -> io::Result<()> {
        let full = self.segments.last().is_none_or(|segment| {
            segment.size > 0 && segment.size + bytes.len() as u64 > self.segment_bytes
        });
        if full {
            self.roll()?;
        }
        if let Some(segment) = self.segments.last_mut() {
            segment.append(bytes, header)?;
        }
        self.epochs.assign(header.leader_epoch, header.base_offset);
        self.producers.record(header);
        self.transactions.record(header);
        Ok(())
    }

    /// Closes the segment that is written and begins the next.
    fn roll(&mut self) -> io::Result<()> {
        self.segments.push(Segment::create(&self.dir, self.end_offset())?);
        self.closed_since_compaction = true;
        Ok(())
    }

    /// Closes the last segment if it is wholly below `decided`, which must not exceed the last
    /// stable offset, and compacts all closed segments that are. Returns whether any record went.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub(crate) fn compact(&mut self, decided: i64, policy: Policy) -> io::Result<bool> {
        let full = |segment: &Segment| segment.size > 0 && segment.next_offset <= decided;
        if self.segments.last().is_some_and(full) {
            self.roll()?;
        }
        if !std::mem::take(&mut self.closed_since_compaction) {
            return Ok(false);
        }
        let closed = self.segments.len() - 1;
        let whole = self.segments[..closed].partition_point(|one| one.next_offset <= decided);
        self.closed_since_compaction = whole < closed;
        compact::compact(&mut self.segments[..whole], &self.transactions, policy)
    }

    /// The offset of the first record that was not deleted.
    pub(crate) fn start_offset(&self) -> i64 {
        self.start_offset
    }

    /// Deletes, durably, the records below an offset; never brings any back.
    ///
    /// # Errors
    /// The marker file cannot be written.
    pub(crate) fn advance_start(&mut self, offset: i64) -> io::Result<()> {
        if offset > self.start_offset {
            let path = self.dir.join(START_MARKER);
            super::replace_file(&path, offset.to_string().as_bytes())?;
            self.start_offset = offset;
        }
        Ok(())
    }

    /// Whole batches from `from` on and below `bound`, of one segment; at most `max_bytes` but at
    /// least one batch if there is one.
    ///
    /// # Errors
    /// The read failed.
    pub(crate) fn read(&self, from: i64, bound: i64, max_bytes: usize) -> io::Result<Bytes> {
        self.read_by_index(from, bound, max_bytes, false)
    }

    /// As [`PartitionLog::read`], with the index used as [`Segment::read`] says.
    ///
    /// # Errors
    /// The read failed.
    pub(crate) fn read_by_index(
        &self,
        from: i64,
        bound: i64,
        max_bytes: usize,
        mixed_up: bool,
    ) -> io::Result<Bytes> {
        if from >= bound.min(self.end_offset()) {
            return Ok(Bytes::new());
        }
        let behind = self.segments.partition_point(|segment| segment.base_offset <= from);
        let segment = behind.checked_sub(1).and_then(|index| self.segments.get(index));
        segment.map_or_else(
            || Ok(Bytes::new()),
            |segment| segment.read(from, bound, max_bytes, mixed_up),
        )
    }

    /// The first record below `bound` at or after a timestamp (milliseconds): offset and timestamp.
    ///
    /// # Errors
    /// A read failed.
    pub(crate) fn find_timestamp(&self, at: i64, bound: i64) -> io::Result<Option<(i64, i64)>> {
        for segment in &self.segments {
            let mut places = Vec::new();
            segment.walk(segment.base_offset, |header, position| {
                let alive = header.last_offset() >= self.start_offset && !header.is_control();
                if header.max_timestamp >= at && alive {
                    places.push((position, header.size));
                }
                places.len() < TIMESTAMP_CANDIDATES && header.next_offset() < bound
            })?;
            // The record that gave a batch its largest timestamp may have been compacted away.
            for (position, size) in places {
                let bytes = segment.read_bytes(position, size)?;
                if let Some(found) = batch::first_at_or_after(&bytes, at) {
                    let found = (found.0.max(self.start_offset), found.1);
                    return Ok(Some(found).filter(|found| found.0 < bound));
                }
            }
        }
        Ok(None)
    }

    /// The record below `bound` with the largest timestamp: offset and timestamp.
    ///
    /// # Errors
    /// A read failed.
    pub(crate) fn find_max_timestamp(&self, bound: i64) -> io::Result<Option<(i64, i64)>> {
        let mut largest: Option<i64> = None;
        for segment in &self.segments {
            segment.walk(segment.base_offset, |header, _| {
                let alive = header.last_offset() >= self.start_offset && !header.is_control();
                if header.next_offset() <= bound && alive {
                    largest = largest.max(Some(header.max_timestamp));
                }
                header.next_offset() < bound
            })?;
        }
        largest.map_or(Ok(None), |timestamp| self.find_timestamp(timestamp, bound))
    }

    /// Removes every batch that reaches to `offset` or behind it, durably, and derives epochs and
    /// producers anew.
    ///
    /// # Errors
    /// A file cannot be cut or read.
    pub(crate) fn truncate(&mut self, offset: i64) -> io::Result<()> {
        if offset >= self.end_offset() {
            return Ok(());
        }
        self.generation += 1;
        while self.segments.len() > 1
            && self.segments.last().is_some_and(|segment| segment.base_offset >= offset)
        {
            if let Some(segment) = self.segments.pop() {
                fs::remove_file(&segment.path)?;
            }
        }
        if let Some(segment) = self.segments.last_mut() {
            segment.truncate(offset)?;
        }
        super::sync_dir(&self.dir)?;
        self.epochs.truncate_from_end(self.end_offset());
        let mut producers = ProducerTable::default();
        let mut transactions = TransactionIndex::default();
        for segment in &self.segments {
            segment.walk(segment.base_offset, |header, _| {
                producers.record(header);
                transactions.record(header);
                true
            })?;
        }
        (self.producers, self.transactions) = (producers, transactions);
        Ok(())
    }

    /// The files written since the last call, with the end offset that syncing them makes durable.
    pub(crate) fn take_unsynced(&mut self) -> Unsynced {
        let mut files = Vec::new();
        for segment in &mut self.segments {
            if std::mem::take(&mut segment.unsynced) {
                files.push(Arc::clone(&segment.file));
            }
        }
        Unsynced { files, end_offset: self.end_offset(), generation: self.generation }
    }

    /// See [`Unsynced::generation`].
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Where the marker of the last lazy sync stands.
    pub(crate) fn marker_path(&self) -> PathBuf {
        self.dir.join(SYNCED_MARKER)
    }

    /// The end offset of the last lazy sync; 0 if there was none.
    ///
    /// # Errors
    /// The marker exists and cannot be read.
    pub(crate) fn read_marker(&self) -> io::Result<i64> {
        read_number(&self.marker_path())
    }
}

/// The number in a small file; 0 if there is none.
fn read_number(path: &Path) -> io::Result<i64> {
    match fs::read_to_string(path) {
        Ok(text) => text.trim().parse().map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(LOG_START),
        Err(error) => Err(error),
    }
}

/// Segment files of a directory by base offset.
fn segment_files(dir: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            if let Some(base_offset) = stem.and_then(|stem| stem.parse().ok()) {
                files.push((base_offset, path));
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
#[path = "partition_log_tests.rs"]
mod tests;
