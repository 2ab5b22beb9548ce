//! Records inside batches: what the coordinators write and read, transaction markers, and the
//! rewriting that compaction does.
//!
//! A record is: length, attributes (one byte), timestamp delta, offset delta, key length (-1: none),
//! key, value length (-1: none), value, header count and headers; all numbers are zig-zag varints
//! (Kafka protocol, "Record").

use bytes::Bytes;

use super::batch::{
    self, BatchHeader, CONTROL, HEADER_BYTES, Marker, TRANSACTIONAL, parse_header, read_varint,
};

/// One record of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordView<'a> {
    pub(crate) offset: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    /// The whole record, its length included.
    raw: &'a [u8],
}

/// A key and a value to write; no value is a tombstone.
pub(crate) type KeyValue = (Vec<u8>, Option<Vec<u8>>);

/// Appends a zig-zag varint.
pub(crate) fn push_varint(bytes: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    loop {
        let low = rest.to_le_bytes()[0] & 0x7f;
        rest >>= 7;
        if rest == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn push_bytes(bytes: &mut Vec<u8>, field: Option<&[u8]>) {
    let length = field.map_or(-1, |field| i64::try_from(field.len()).unwrap_or(i64::MAX));
    push_varint(bytes, length);
    bytes.extend_from_slice(field.unwrap_or_default());
}

fn take_bytes(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = read_varint(bytes)?;
    if length < 0 {
        return Some((None, rest));
    }
    let (field, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((Some(field), rest))
}

fn take_record(bytes: &[u8], base_offset: i64) -> Option<(RecordView<'_>, &[u8])> {
    let (length, behind) = read_varint(bytes)?;
    let (record, rest) = behind.split_at_checked(usize::try_from(length).ok()?)?;
    let (_, fields) = read_varint(record.get(1..)?)?;
    let (offset_delta, fields) = read_varint(fields)?;
    let (key, fields) = take_bytes(fields)?;
    let (value, _) = take_bytes(fields)?;
    let raw = &bytes[..bytes.len() - rest.len()];
    Some((RecordView { offset: base_offset + offset_delta, key, value, raw }, rest))
}

/// The records of one whole batch. Compressed ones are not opened: the list is empty then.
pub(crate) fn records(batch: &[u8]) -> Vec<RecordView<'_>> {
    let mut found = Vec::new();
    let Ok(header) = parse_header(batch) else { return found };
    if header.is_compressed() {
        return found;
    }
    let mut rest = batch.get(HEADER_BYTES..header.size).unwrap_or_default();
    while let Some((record, behind)) = take_record(rest, header.base_offset) {
        found.push(record);
        rest = behind;
    }
    found
}

/// Splits what a log read returned into batches.
pub(crate) fn batches(mut bytes: &[u8]) -> Vec<(BatchHeader, &[u8])> {
    let mut found = Vec::new();
    while let Ok(header) = parse_header(bytes) {
        let Some((batch, rest)) = bytes.split_at_checked(header.size) else { break };
        found.push((header, batch));
        bytes = rest;
    }
    found
}

/// A whole batch around encoded records, at offset 0, to be stamped by the log.
fn assemble(
    attributes: i16,
    timestamp: i64,
    (producer_id, producer_epoch): (i64, i16),
    count: usize,
    records: &[u8],
) -> Vec<u8> {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let mut bytes = vec![0; HEADER_BYTES];
    let length = i32::try_from(HEADER_BYTES + records.len() - 12).unwrap_or(i32::MAX);
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = 2;
    bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
    bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    bytes[27..35].copy_from_slice(&timestamp.to_be_bytes());
    bytes[35..43].copy_from_slice(&timestamp.to_be_bytes());
    bytes[43..51].copy_from_slice(&producer_id.to_be_bytes());
    bytes[51..53].copy_from_slice(&producer_epoch.to_be_bytes());
    bytes[53..57].copy_from_slice(&(-1_i32).to_be_bytes());
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(records);
    batch::seal(&mut bytes);
    bytes
}

fn push_record(bytes: &mut Vec<u8>, delta: usize, key: &[u8], value: Option<&[u8]>) {
    let mut record = vec![0];
    push_varint(&mut record, 0);
    push_varint(&mut record, i64::try_from(delta).unwrap_or(i64::MAX));
    push_bytes(&mut record, Some(key));
    push_bytes(&mut record, value);
    push_varint(&mut record, 0);
    push_varint(bytes, i64::try_from(record.len()).unwrap_or(i64::MAX));
    bytes.extend_from_slice(&record);
}

/// One batch of at least one record. With a producer (id and epoch) it belongs to that producer's
/// transaction and has no sequence numbers, as Kafka's transactional offset commits have none.
pub(crate) fn encode(
    records: &[KeyValue],
    timestamp: i64,
    transaction: Option<(i64, i16)>,
) -> Bytes {
    let mut bytes = Vec::new();
    for (delta, (key, value)) in records.iter().enumerate() {
        push_record(&mut bytes, delta, key, value.as_deref());
    }
    let attributes = if transaction.is_some() { TRANSACTIONAL } else { 0 };
    let producer = transaction.unwrap_or((-1, -1));
    assemble(attributes, timestamp, producer, records.len(), &bytes).into()
}

/// A batch with one transaction marker.
pub(crate) fn marker(
    producer_id: i64,
    producer_epoch: i16,
    marker: Marker,
    timestamp: i64,
) -> Bytes {
    let kind = i16::from(marker.commit);
    let key = [0_i16.to_be_bytes(), kind.to_be_bytes()].concat();
    let mut value = 0_i16.to_be_bytes().to_vec();
    value.extend_from_slice(&marker.coordinator_epoch.to_be_bytes());
    value.extend_from_slice(&marker.ordinal.to_be_bytes());
    let mut bytes = Vec::new();
    push_record(&mut bytes, 0, &key, Some(&value));
    let attributes = TRANSACTIONAL | CONTROL;
    assemble(attributes, timestamp, (producer_id, producer_epoch), 1, &bytes).into()
}

/// The batch without the records that are not to be kept. It keeps its offsets, its producer and its
/// sequence numbers, also when no record is left, so that nothing derived from headers changes.
pub(crate) fn retain(batch: &[u8], keep: impl Fn(&RecordView<'_>) -> bool) -> Vec<u8> {
    let kept: Vec<RecordView<'_>> = records(batch).into_iter().filter(keep).collect();
    let mut bytes = batch[..HEADER_BYTES].to_vec();
    for record in &kept {
        bytes.extend_from_slice(record.raw);
    }
    let length = i32::try_from(bytes.len() - 12).unwrap_or(i32::MAX);
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let count = i32::try_from(kept.len()).unwrap_or(i32::MAX);
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    batch::seal(&mut bytes);
    bytes
}

/// Flips a bit of the last record's value and makes the checksum fit again, which is what
/// [`Bug::CorruptRecord`](crate::Bug::CorruptRecord) does. A batch whose last record has no value or
/// has headers stays as it is.
pub(crate) fn corrupt(batch: &mut [u8]) {
    let plain = records(batch).last().is_some_and(|record| {
        let value = record.value.unwrap_or_default();
        !value.is_empty() && record.raw.ends_with(&[value, &[0]].concat())
    });
    if plain && let Some(at) = batch.len().checked_sub(2) {
        batch[at] ^= 1;
        batch::seal(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::{MARKER_BYTES, check, stamp};
    use super::*;

    fn sample() -> Bytes {
        let pair = |key: &str, value: Option<&str>| (key.into(), value.map(Into::into));
        encode(&[pair("a", Some("1")), pair("b", None), pair("a", Some("2"))], 77, Some((9, 3)))
    }

    #[test]
    fn what_is_encoded_is_read_back() {
        let mut bytes = sample().to_vec();
        stamp(&mut bytes, 10, 4);
        let header = check(&bytes).unwrap();
        assert_eq!((header.last_offset(), header.max_timestamp), (12, 77));
        assert!(header.is_transactional() && !header.is_control());
        let found: Vec<_> = records(&bytes).iter().map(|r| (r.offset, r.key, r.value)).collect();
        let (a, b) = (Some(&b"a"[..]), Some(&b"b"[..]));
        let (one, two) = (Some(&b"1"[..]), Some(&b"2"[..]));
        assert_eq!(found, [(10, a, one), (11, b, None), (12, a, two)]);
    }

    #[test]
    fn a_marker_is_seen_in_the_header() {
        let ended = Marker { commit: true, coordinator_epoch: 5, ordinal: 1 << 40 };
        let bytes = marker(9, 3, ended, 77);
        assert_eq!(bytes.len(), MARKER_BYTES);
        let header = check(&bytes).unwrap();
        assert!(header.is_transactional() && header.is_control());
        assert_eq!(header.marker, Some(ended));
        let aborted = Marker { commit: false, ..ended };
        assert_eq!(check(&marker(9, 3, aborted, 77)).unwrap().marker, Some(aborted));
    }

    #[test]
    fn retaining_keeps_offsets_also_of_an_empty_batch() {
        let mut bytes = sample().to_vec();
        stamp(&mut bytes, 10, 4);
        let some = retain(&bytes, |record| record.offset == 12);
        assert_eq!(check(&some).unwrap().last_offset(), 12);
        assert_eq!(records(&some).len(), 1);
        assert_eq!(records(&some)[0].offset, 12);
        let none = retain(&bytes, |_| false);
        assert_eq!(none.len(), HEADER_BYTES);
        assert_eq!(check(&none).unwrap().next_offset(), 13);
    }

    #[test]
    fn a_corrupted_record_passes_the_checksum() {
        let mut bytes = sample().to_vec();
        corrupt(&mut bytes);
        check(&bytes).unwrap();
        assert_eq!(records(&bytes)[2].value, Some(&b"3"[..]));
    }
}
