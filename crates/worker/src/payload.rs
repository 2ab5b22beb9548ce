//! What a record carries, so that a later reader can tell whether it is what was sent.
//!
//! The payload is text, readable with kcat: `v=17 p=3 s=55 k=orders-2 c=1a2b3c4d`, that is value, process, the
//! process's sequence number, the topic-partition it was meant for, and a CRC-32 of all that stands before it.

use perjury_history::{RecordMeta, Scalar};

/// A record's payload, as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a> {
    /// The unique value.
    pub value: i64,
    /// The process that sends it.
    pub process: u32,
    /// The number of this send among the process's sends, from 0.
    pub sequence: u64,
    /// The topic-partition that it is meant for.
    pub key: &'a str,
}

impl Payload<'_> {
    /// The payload as bytes.
    pub fn encode(&self) -> String {
        let mut text =
            format!("v={} p={} s={} k={}", self.value, self.process, self.sequence, self.key);
        let crc = crc32fast::hash(text.as_bytes());
        text.push_str(&format!(" c={crc:08x}"));
        text
    }
}

/// The header in which a tombstone carries what is otherwise the payload.
pub const HEADER: &str = "perjury";

/// How many record keys there are.
pub const RECORD_KEYS: i64 = 16;

/// The key of a record that carries this value: a few keys repeat, as in real topics.
pub fn record_key(value: i64) -> String {
    format!("k{}", value.rem_euclid(RECORD_KEYS))
}

/// Reads a polled payload: its value, and in `meta.corrupt` what differs from what was sent.
///
/// A payload that cannot be read at all yields a value that holds its first bytes in hexadecimal, so that it is
/// reported and never taken for another value.
pub fn decode(bytes: &[u8], polled_from: &str, meta: &mut RecordMeta) -> Scalar {
    let Some((value, key, intact)) = std::str::from_utf8(bytes).ok().and_then(parse) else {
        meta.corrupt = Some("payload".into());
        let hex: String = bytes.iter().take(24).map(|b| format!("{b:02x}")).collect();
        return Scalar::from(format!("corrupt:{hex}"));
    };
    if !intact {
        meta.corrupt = Some("checksum".into());
    } else if key != polled_from {
        meta.corrupt = Some(format!("partition: sent to {key}"));
    } else if meta.key.as_deref().is_some_and(|k| k != record_key(value)) {
        meta.corrupt = Some("key".into());
    }
    Scalar::Int(value)
}

fn parse(text: &str) -> Option<(i64, &str, bool)> {
    let (body, crc) = text.rsplit_once(" c=")?;
    let intact =
        u32::from_str_radix(crc, 16).is_ok_and(|crc| crc == crc32fast::hash(body.as_bytes()));
    let mut fields = body.split(' ');
    let value = fields.next()?.strip_prefix("v=")?.parse().ok()?;
    let key = fields.nth(2)?.strip_prefix("k=")?;
    Some((value, key, intact))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Payload<'static> = Payload { value: 17, process: 3, sequence: 55, key: "orders-2" };

    #[test]
    fn an_intact_payload_gives_its_value_and_no_complaint() {
        let mut meta = RecordMeta { key: Some(record_key(17)), ..RecordMeta::default() };
        assert_eq!(decode(SENT.encode().as_bytes(), "orders-2", &mut meta), Scalar::Int(17));
        assert_eq!(meta.corrupt, None);
    }

    #[test]
    fn a_flipped_byte_another_partition_and_another_key_are_named() {
        let mut flipped = SENT.encode().into_bytes();
        flipped[2] = b'9';
        let mut meta = RecordMeta::default();
        assert_eq!(decode(&flipped, "orders-2", &mut meta), Scalar::Int(97));
        assert_eq!(meta.corrupt.as_deref(), Some("checksum"));

        let mut meta = RecordMeta::default();
        decode(SENT.encode().as_bytes(), "orders-1", &mut meta);
        assert_eq!(meta.corrupt.as_deref(), Some("partition: sent to orders-2"));

        let mut meta = RecordMeta { key: Some("k9".into()), ..RecordMeta::default() };
        decode(SENT.encode().as_bytes(), "orders-2", &mut meta);
        assert_eq!(meta.corrupt.as_deref(), Some("key"));
    }

    #[test]
    fn garbage_keeps_its_bytes_visible() {
        let mut meta = RecordMeta::default();
        assert_eq!(decode(&[0xff, 0x00], "orders-2", &mut meta), Scalar::from("corrupt:ff00"));
        assert_eq!(meta.corrupt.as_deref(), Some("payload"));
    }
}
