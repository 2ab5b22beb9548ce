//! One segment file: record batches one behind the other, with a sparse index in memory.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::batch::{self, BatchHeader, MARKER_BYTES};

/// Bytes between two entries of the sparse index.
const INDEX_INTERVAL: u64 = 4_096;

/// A segment. Readers use the file by position, so an `Arc` of it can be synced without a lock.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base_offset: i64,
    pub(crate) next_offset: i64,
    pub(crate) size: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    /// Written since the last [`super::partition_log::PartitionLog::take_unsynced`].
    pub(crate) unsynced: bool,
    index: Vec<(i64, u64)>,
}

impl Segment {
    /// The file name of a segment that begins at an offset.
    pub(crate) fn file_name(base_offset: i64) -> String {
        format!("{base_offset:020}.log")
    }

    /// Creates an empty segment and makes its name durable.
    pub(crate) fn create(dir: &Path, base_offset: i64) -> io::Result<Self> {
        let path = dir.join(Self::file_name(base_offset));
        let file =
            OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&path)?;
        super::sync_dir(dir)?;
        Ok(Self::over(path, file, base_offset))
    }

    fn over(path: PathBuf, file: File, base_offset: i64) -> Self {
        Self {
            base_offset,
            next_offset: base_offset,
            size: 0,
            path,
            file: Arc::new(file),
            unsynced: false,
            index: Vec::new(),
        }
    }

    /// Opens a segment, hands every good batch header to `seen`, and cuts the file behind the last
    /// batch that is whole, checks, and continues the offsets. Returns the bytes that were cut.
    pub(crate) fn recover(
        path: PathBuf,
        base_offset: i64,
        mut seen: impl FnMut(&BatchHeader),
    ) -> io::Result<(Self, u64)> {
        let bytes = fs::read(&path)?;
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let mut segment = Self::over(path, file, base_offset);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let Ok(header) = batch::check(rest) else { break };
            if header.base_offset != segment.next_offset {
                break;
            }
            segment.note(&header);
            seen(&header);
            rest = &rest[header.size..];
        }
        let dropped = rest.len() as u64;
        if dropped > 0 {
            segment.file.set_len(segment.size)?;
            segment.file.sync_all()?;
        }
        Ok((segment, dropped))
    }

    /// Takes a batch into the index and the counters.
    fn note(&mut self, header: &BatchHeader) {
        let indexed = self.index.last().map(|(_, position)| *position);
        if indexed.is_none_or(|position| self.size - position >= INDEX_INTERVAL) {
            self.index.push((header.base_offset, self.size));
        }
        self.size += header.size as u64;
        self.next_offset = header.next_offset();
    }

    /// Appends one batch. A failed write leaves the counters as they were.
    pub(crate) fn append(&mut self, bytes: &[u8], header: &BatchHeader) -> io::Result<()> {
        self.unsynced = true;
        self.file.write_all_at(bytes, self.size)?;
        self.note(header);
        Ok(())
    }

    /// The header at a position, or `None` at the end.
    fn header_at(&self, position: u64) -> io::Result<Option<BatchHeader>> {
        if position >= self.size {
            return Ok(None);
        }
        // As much as a marker has, so that it is seen; an empty batch is shorter.
        let mut bytes = [0; MARKER_BYTES];
        let length = bytes.len().min(usize::try_from(self.size - position).unwrap_or(usize::MAX));
        self.file.read_exact_at(&mut bytes[..length], position)?;
        batch::parse_header(&bytes[..length]).map(Some).map_err(io::Error::other)
    }

    /// Calls `visit` with each batch header and its position from an offset's batch on, until it
    /// returns false.
    pub(crate) fn walk(
        &self,
        from: i64,
        visit: impl FnMut(&BatchHeader, u64) -> bool,
    ) -> io::Result<()> {
        let slot = self.index.partition_point(|(offset, _)| *offset <= from);
        self.walk_on(slot.checked_sub(1).map_or(0, |slot| self.index[slot].1), from, visit)
    }

    /// The position in the index at which [`Bug::IndexMixup`](crate::Bug::IndexMixup) begins to
    /// look for an offset: the next entry instead of the last one before it.
    fn mixed_up(&self, from: i64) -> Option<u64> {
        let slot = self.index.partition_point(|(offset, _)| *offset < from);
        self.index.get(slot).map(|(_, position)| *position)
    }

    fn walk_on(
        &self,
        mut position: u64,
        from: i64,
        mut visit: impl FnMut(&BatchHeader, u64) -> bool,
    ) -> io::Result<()> {
        while let Some(header) = self.header_at(position)? {
            if header.last_offset() >= from && !visit(&header, position) {
                return Ok(());
            }
            position += header.size as u64;
        }
        Ok(())
    }

    /// Whole batches from the one that holds `from` on, up to but without offset `bound`, at most
    /// `max_bytes` but at least one batch.
    /// With `mixed_up` the index is asked as under [`Bug::IndexMixup`](crate::Bug::IndexMixup).
    pub(crate) fn read(
        &self,
        from: i64,
        bound: i64,
        max_bytes: usize,
        mixed_up: bool,
    ) -> io::Result<Bytes> {
        let mut start = None;
        let mut length = 0;
        let visit = |header: &BatchHeader, position| {
            let fits = length == 0 || length + header.size <= max_bytes;
            if header.next_offset() > bound || !fits {
                return false;
            }
            start.get_or_insert(position);
            length += header.size;
            true
        };
        match self.mixed_up(from).filter(|_| mixed_up) {
            Some(position) => self.walk_on(position, from, visit)?,
            None => self.walk(from, visit)?,
        }
        self.read_bytes(start.unwrap_or(0), length)
    }

    /// Bytes at a position.
    pub(crate) fn read_bytes(&self, position: u64, length: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, position)?;
        Ok(bytes.into())
    }

    /// Removes every batch that reaches to `offset` or behind it, durably.
    pub(crate) fn truncate(&mut self, offset: i64) -> io::Result<()> {
        let mut cut = None;
        self.walk(offset, |header, position| {
            cut = Some((position, header.base_offset));
            false
        })?;
        let Some((position, next_offset)) = cut else { return Ok(()) };
        self.file.set_len(position)?;
        self.file.sync_all()?;
        self.size = position;
        self.next_offset = next_offset;
        self.index.retain(|(_, at)| *at < position);
        Ok(())
    }
}
