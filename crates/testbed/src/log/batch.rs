//! Record batches of format version 2, as far as a broker looks into them: the header.
//!
//! Layout (Kafka protocol, "Record Batch"): base offset 0..8, length 8..12 (of what follows),
//! partition leader epoch 12..16, magic 16, CRC-32C 17..21 (of everything behind it), attributes
//! 21..23, last offset delta 23..27, base timestamp 27..35, max timestamp 35..43, producer id 43..51,
//! producer epoch 51..53, base sequence 53..57, record count 57..61, records. Base offset and leader
//! epoch lie outside the CRC, so a leader stamps them without touching the contents.

/// Bytes of a batch header.
pub(crate) const HEADER_BYTES: usize = 61;

/// Bytes of a batch that holds one transaction marker as [`super::records::marker`] writes it.
pub(crate) const MARKER_BYTES: usize = 86;

/// Bytes in front of what the length field counts.
const PREFIX_BYTES: usize = 12;

/// Where the part covered by the CRC begins.
const CRC_START: usize = 21;

const COMPRESSION_MASK: i16 = 0x07;
pub(super) const TRANSACTIONAL: i16 = 0x10;
pub(super) const CONTROL: i16 = 0x20;

/// What a control record says: the transaction of its producer on this partition has ended.
///
/// Kafka's value holds a version and the coordinator epoch; the ordinal behind them tells which of
/// the producer's transactions it ends, so that a marker that comes late is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) commit: bool,
    /// The leader epoch of the coordinator's partition of `__transaction_state`.
    pub(crate) coordinator_epoch: i32,
    /// Counts the transactions of one transactional id.
    pub(crate) ordinal: i64,
}

/// The header fields that the broker uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) base_offset: i64,
    /// Size in bytes, header included.
    pub(crate) size: usize,
    pub(crate) leader_epoch: i32,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) records: i32,
    /// For control batches.
    pub(crate) marker: Option<Marker>,
}

impl BatchHeader {
    /// The offset of the last record.
    pub(crate) fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// The offset behind the last record.
    pub(crate) fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }

    /// Whether an idempotent producer wrote it.
    pub(crate) fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }

    /// The sequence number of the last record; sequence numbers wrap to 0 behind `i32::MAX`.
    pub(crate) fn last_sequence(&self) -> i32 {
        advance_sequence(self.base_sequence, self.last_offset_delta)
    }

    /// Whether it belongs to a transaction; markers do too.
    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether it holds markers instead of a client's records.
    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.attributes & COMPRESSION_MASK != 0
    }
}

/// `sequence + delta` in the ring of non-negative 31-bit numbers.
pub(crate) fn advance_sequence(sequence: i32, delta: i32) -> i32 {
    let ring = i64::from(i32::MAX) + 1;
    i32::try_from((i64::from(sequence) + i64::from(delta)).rem_euclid(ring)).unwrap_or(0)
}

/// Why bytes are not a batch that can be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("batch is cut short")]
    Truncated,
    #[error("message format {0} is not supported")]
    Magic(i8),
    #[error("checksum does not match")]
    Crc,
    #[error("header fields contradict each other")]
    Malformed,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// Reads the header at the start of `bytes`, which may end before the batch does.
///
/// # Errors
/// Too few bytes, another format, or impossible lengths.
pub(crate) fn parse_header(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    let i16_at = |at| array(bytes, at).map(i16::from_be_bytes).ok_or(BatchError::Truncated);
    let i32_at = |at| array(bytes, at).map(i32::from_be_bytes).ok_or(BatchError::Truncated);
    let i64_at = |at| array(bytes, at).map(i64::from_be_bytes).ok_or(BatchError::Truncated);
    let magic = array(bytes, 16).map(i8::from_be_bytes).ok_or(BatchError::Truncated)?;
    if magic != 2 {
        return Err(BatchError::Magic(magic));
    }
    let length = usize::try_from(i32_at(8)?).map_err(|_| BatchError::Malformed)?;
    let header = BatchHeader {
        base_offset: i64_at(0)?,
        size: length + PREFIX_BYTES,
        leader_epoch: i32_at(12)?,
        attributes: i16_at(21)?,
        last_offset_delta: i32_at(23)?,
        base_timestamp: i64_at(27)?,
        max_timestamp: i64_at(35)?,
        producer_id: i64_at(43)?,
        producer_epoch: i16_at(51)?,
        base_sequence: i32_at(53)?,
        records: i32_at(57)?,
        marker: None,
    };
    let marker = header.is_control().then(|| parse_marker(bytes)).flatten();
    let header = BatchHeader { marker, ..header };
    if header.size < HEADER_BYTES || header.last_offset_delta < 0 || header.base_offset < 0 {
        return Err(BatchError::Malformed);
    }
    Ok(header)
}

/// The marker in a batch of [`MARKER_BYTES`]: record length 61, attributes 62, deltas 63 and 64, key
/// length 65, key version 66..68, type 68..70 (0 abort, 1 commit), value length 70, value version
/// 71..73, coordinator epoch 73..77, ordinal 77..85, header count 85.
fn parse_marker(bytes: &[u8]) -> Option<Marker> {
    Some(Marker {
        commit: array(bytes, 68).map(i16::from_be_bytes)? == 1,
        coordinator_epoch: array(bytes, 73).map(i32::from_be_bytes)?,
        ordinal: array(bytes, 77).map(i64::from_be_bytes)?,
    })
}

/// Makes the checksum fit the contents.
pub(super) fn seal(batch: &mut [u8]) {
    let checksum = crc32c::crc32c(&batch[CRC_START..]);
    batch[17..21].copy_from_slice(&checksum.to_be_bytes());
}

/// Reads and checks the whole batch at the start of `bytes`.
///
/// # Errors
/// As [`parse_header`], or the batch is cut short or its checksum is wrong.
pub(crate) fn check(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = parse_header(bytes)?;
    let batch = bytes.get(..header.size).ok_or(BatchError::Truncated)?;
    let stored = array(batch, 17).map(u32::from_be_bytes).ok_or(BatchError::Truncated)?;
    if crc32c::crc32c(&batch[CRC_START..]) != stored {
        return Err(BatchError::Crc);
    }
    Ok(header)
}

/// Checks what a producer sent for one partition: one batch, nothing behind it.
///
/// # Errors
/// As [`check`], or there is not exactly one batch with at least one record.
pub(crate) fn check_produced(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = check(bytes)?;
    let counted = i64::from(header.records) == i64::from(header.last_offset_delta) + 1;
    if header.size != bytes.len() || !counted {
        return Err(BatchError::Malformed);
    }
    Ok(header)
}

/// Writes the leader's part into a batch.
pub(crate) fn stamp(batch: &mut [u8], base_offset: i64, leader_epoch: i32) {
    batch[..8].copy_from_slice(&base_offset.to_be_bytes());
    batch[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// The offset and timestamp of the first record at or after `timestamp` (milliseconds). A compressed
/// batch is not opened: its first offset is the answer, which is never too late.
pub(crate) fn first_at_or_after(batch: &[u8], timestamp: i64) -> Option<(i64, i64)> {
    let header = parse_header(batch).ok()?;
    if header.max_timestamp < timestamp {
        return None;
    }
    if header.is_compressed() {
        return Some((header.base_offset, header.max_timestamp));
    }
    let mut rest = batch.get(HEADER_BYTES..header.size)?;
    for _ in 0..header.records {
        let (length, behind) = read_varint(rest)?;
        let record = behind.get(..usize::try_from(length).ok()?)?;
        let (timestamp_delta, fields) = read_varint(record.get(1..)?)?;
        let (offset_delta, _) = read_varint(fields)?;
        let at = header.base_timestamp + timestamp_delta;
        if at >= timestamp {
            return Some((header.base_offset + offset_delta, at));
        }
        rest = behind.get(record.len()..)?;
    }
    None
}

/// A zig-zag varint of up to 64 bits and what follows it.
pub(super) fn read_varint(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut value: u64 = 0;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let decoded = (value >> 1).cast_signed() ^ -((value & 1).cast_signed());
            return Some((decoded, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::records::push_varint;
    use super::*;

    /// A batch of records with the given values, one millisecond apart from `1000 + base_offset`.
    pub(crate) fn batch(
        base_offset: i64,
        epoch: i32,
        producer: (i64, i16, i32),
        values: &[&str],
    ) -> Vec<u8> {
        let mut records = Vec::new();
        for (delta, value) in values.iter().enumerate() {
            let mut record = vec![0];
            push_varint(&mut record, i64::try_from(delta).unwrap());
            push_varint(&mut record, i64::try_from(delta).unwrap());
            push_varint(&mut record, -1);
            push_varint(&mut record, i64::try_from(value.len()).unwrap());
            record.extend_from_slice(value.as_bytes());
            push_varint(&mut record, 0);
            push_varint(&mut records, i64::try_from(record.len()).unwrap());
            records.extend_from_slice(&record);
        }
        let last = i32::try_from(values.len()).unwrap() - 1;
        let timestamp = 1000 + base_offset;
        let mut tail = Vec::new();
        tail.extend_from_slice(&0_i16.to_be_bytes());
        tail.extend_from_slice(&last.to_be_bytes());
        tail.extend_from_slice(&timestamp.to_be_bytes());
        tail.extend_from_slice(&(timestamp + i64::from(last)).to_be_bytes());
        tail.extend_from_slice(&producer.0.to_be_bytes());
        tail.extend_from_slice(&producer.1.to_be_bytes());
        tail.extend_from_slice(&producer.2.to_be_bytes());
        tail.extend_from_slice(&(last + 1).to_be_bytes());
        tail.extend_from_slice(&records);
        let mut bytes = base_offset.to_be_bytes().to_vec();
        bytes.extend_from_slice(&i32::try_from(tail.len() + 9).unwrap().to_be_bytes());
        bytes.extend_from_slice(&epoch.to_be_bytes());
        bytes.push(2);
        bytes.extend_from_slice(&crc32c::crc32c(&tail).to_be_bytes());
        bytes.extend_from_slice(&tail);
        bytes
    }

    pub(crate) const NO_PRODUCER: (i64, i16, i32) = (-1, -1, -1);

    #[test]
    fn stamping_keeps_the_checksum_and_a_flipped_bit_breaks_it() {
        let mut bytes = batch(0, -1, NO_PRODUCER, &["a", "bc"]);
        stamp(&mut bytes, 42, 7);
        let header = check_produced(&bytes).unwrap();
        assert_eq!((header.base_offset, header.last_offset(), header.leader_epoch), (42, 43, 7));
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!(check(&bytes), Err(BatchError::Crc));
        assert_eq!(check(&bytes[..last]), Err(BatchError::Truncated));
    }

    #[test]
    fn old_formats_and_false_counts_are_refused() {
        let mut old = batch(0, -1, NO_PRODUCER, &["a"]);
        old[16] = 1;
        assert_eq!(check(&old), Err(BatchError::Magic(1)));
        let mut two = batch(0, -1, NO_PRODUCER, &["a"]);
        two.extend(batch(1, -1, NO_PRODUCER, &["b"]));
        assert_eq!(check_produced(&two), Err(BatchError::Malformed));
    }

    #[test]
    fn the_first_record_at_a_timestamp_is_found() {
        let bytes = batch(10, 0, NO_PRODUCER, &["a", "b", "c"]);
        assert_eq!(first_at_or_after(&bytes, 0), Some((10, 1010)));
        assert_eq!(first_at_or_after(&bytes, 1011), Some((11, 1011)));
        assert_eq!(first_at_or_after(&bytes, 1013), None);
    }

    #[test]
    fn sequence_numbers_wrap_to_zero() {
        assert_eq!(advance_sequence(i32::MAX, 1), 0);
        assert_eq!(advance_sequence(i32::MAX - 1, 3), 1);
    }
}
