//! Numbers as the differences of each from the one before, in blocks whose least difference is said once.

use super::bits::{damaged, packed, signed, varint};
use ::parquet::errors::Result;

/// A block larger than this saves nothing.
const BLOCK_MAX: u64 = 1 << 20;

/// Numbers in this encoding.
#[derive(Debug, Default)]
pub(super) struct Delta {
    at: usize,
    /// How many numbers are left, the first included.
    left: u64,
    /// The number before the next one, or the first.
    last: i64,
    begun: bool,
    /// How many numbers a part of a block has, and how many parts a block.
    part: u64,
    parts: usize,
    /// The least difference of the block under way, the widths of its parts, and which of them comes next.
    least: i64,
    widths: (usize, usize),
    /// The width of the part under way, the bit at which it goes on, and how many numbers of it are left.
    width: u32,
    bit: usize,
    in_part: u64,
}

impl Delta {
    /// The numbers that begin at this byte of a page.
    pub(super) fn new(page: &[u8], mut at: usize) -> Result<Self> {
        let block = varint(page, &mut at)?;
        let parts = varint(page, &mut at)?;
        let left = varint(page, &mut at)?;
        let last = signed(page, &mut at)?;
        let even = parts > 0 && block.is_multiple_of(parts) && (block / parts).is_multiple_of(8);
        if !even || block == 0 || block > BLOCK_MAX {
            return Err(damaged("its blocks have an impossible size"));
        }
        let (part, parts) = (block / parts, usize::try_from(parts).unwrap_or(usize::MAX));
        Ok(Delta { at, left, last, part, parts, widths: (0, parts), ..Delta::default() })
    }

    /// Gives the next `count` numbers to `to`.
    pub(super) fn take(
        &mut self,
        page: &[u8],
        count: usize,
        mut to: impl FnMut(i64) -> Result<()>,
    ) -> Result<()> {
        let mut count = count as u64;
        if count > self.left {
            return Err(damaged("it has fewer numbers than it promises"));
        }
        self.left -= count;
        if count > 0 && !self.begun {
            self.begun = true;
            count -= 1;
            to(self.last)?;
        }
        while count > 0 {
            if self.in_part == 0 {
                self.next_part(page)?;
            }
            let now = self.in_part.min(count);
            (self.in_part, count) = (self.in_part - now, count - now);
            for _ in 0..now {
                let more = packed(page, self.bit, self.width).cast_signed();
                self.bit += self.width as usize;
                self.last = self.last.wrapping_add(self.least).wrapping_add(more);
                to(self.last)?;
            }
        }
        Ok(())
    }

    /// Goes on to the next part, and to the next block behind the last one.
    fn next_part(&mut self, page: &[u8]) -> Result<()> {
        if self.widths.1 == self.parts {
            self.least = signed(page, &mut self.at)?;
            self.widths = (self.at, 0);
            self.at += self.parts;
        }
        let (widths, next) = self.widths;
        let width = page.get(widths + next).ok_or_else(|| damaged("it ends within a block"))?;
        self.widths.1 += 1;
        self.width = u32::from(*width);
        self.bit = self.at * 8;
        self.in_part = self.part;
        let bytes = usize::try_from(self.part / 8).unwrap_or(usize::MAX) * usize::from(*width);
        self.at += bytes;
        if self.width > 64 || self.at > page.len() {
            return Err(damaged("a block is larger than the page"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(page: &[u8], count: usize) -> Result<Vec<i64>> {
        let mut numbers = Vec::new();
        let mut delta = Delta::new(page, 0)?;
        // In two steps, so that a part is interrupted.
        for count in [count / 2, count - count / 2] {
            delta.take(page, count, |n| {
                numbers.push(n);
                Ok(())
            })?;
        }
        Ok(numbers)
    }

    #[test]
    fn differences_add_up() {
        // Blocks of 8 in one part; 5 numbers from 7 on; the least difference is -1, and two bits say how much more.
        let page = [8, 1, 5, 14, 1, 2, 0b1110_0100, 0];
        assert_eq!(all(&page, 5).ok(), Some(vec![7, 6, 6, 7, 9]));
        assert!(all(&page, 6).is_err(), "there is no sixth");
        assert!(all(&page[..7], 5).is_err(), "the block is cut");
        for impossible in [[0, 1, 5, 14], [8, 0, 5, 14], [9, 1, 5, 14], [8, 3, 5, 14]] {
            assert!(Delta::new(&impossible, 0).is_err(), "{impossible:?}");
        }
    }
}
