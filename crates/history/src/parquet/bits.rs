//! Numbers of any width in bytes: the ground of Parquet's encodings. Nothing here trusts what it reads.

use ::parquet::errors::{ParquetError, Result};

/// The error that a page is damaged.
pub(super) fn damaged(what: &str) -> ParquetError {
    ParquetError::General(format!("a page is damaged: {what}"))
}

/// The next byte-wise variable-length number.
pub(super) fn varint(bytes: &[u8], at: &mut usize) -> Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes.get(*at).ok_or_else(|| damaged("it ends within a number"))?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(damaged("a number has more than 64 bits"))
}

/// The next number whose sign stands in its lowest bit.
pub(super) fn signed(bytes: &[u8], at: &mut usize) -> Result<i64> {
    let number = varint(bytes, at)?;
    Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

/// The number of `width` bits, at most 64, that begins at this bit. Bits behind the end are 0.
pub(super) fn packed(bytes: &[u8], bit: usize, width: u32) -> u64 {
    let (at, shift) = (bit / 8, bit % 8);
    // Up to 57 bits lie within eight bytes wherever they begin.
    if width <= 57
        && let Some(eight) = bytes.get(at..at + 8)
    {
        let word = u64::from_le_bytes(eight.try_into().unwrap_or_default());
        return (word >> shift) & mask(width);
    }
    let mut word = [0; 16];
    let there = bytes.get(at..).unwrap_or_default();
    let len = there.len().min(word.len());
    word[..len].copy_from_slice(&there[..len]);
    let [a, b, c, d, e, f, g, h, rest @ ..] = word;
    let low = u64::from_le_bytes([a, b, c, d, e, f, g, h]) >> shift;
    let high = u64::from_le_bytes(rest);
    let high = if shift == 0 { 0 } else { high << (64 - shift) };
    (low | high) & mask(width)
}

fn mask(width: u32) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_width_are_found_at_any_bit() {
        let bytes: Vec<u8> = (0..40u8).map(|b| b.wrapping_mul(73) ^ 0x5a).collect();
        for width in 0..=64u32 {
            for bit in 0..100usize {
                let one = |i: usize| u64::from(bytes[(bit + i) / 8] >> ((bit + i) % 8) & 1);
                let expected = (0..width as usize).fold(0, |n, i| n | one(i) << i);
                assert_eq!(packed(&bytes, bit, width), expected, "{width} bits at {bit}");
            }
        }
        assert_eq!(packed(&[0xff], 4, 20), 0xf, "what lies behind the end is 0");
    }

    #[test]
    fn numbers_of_variable_length_end_where_they_say() {
        let mut at = 0;
        assert_eq!(varint(&[0xac, 0x02, 7], &mut at).ok(), Some(300));
        assert_eq!(varint(&[0xac, 0x02, 7], &mut at).ok(), Some(7));
        assert_eq!(signed(&[3], &mut 0).ok(), Some(-2));
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(signed(&most, &mut 0).ok(), Some(i64::MIN));
        assert!(varint(&[0x80], &mut 0).is_err());
        assert!(varint(&[0x80; 11], &mut 0).is_err());
    }
}
