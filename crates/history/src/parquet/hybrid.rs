//! The encoding of levels and of places in a dictionary: runs of one number, and stretches of numbers of a few bits each.

use super::bits::{damaged, packed, varint};
use ::parquet::errors::Result;

/// Numbers in this encoding, read bit by bit.
#[derive(Debug, Default)]
pub(super) struct Hybrid {
    width: u32,
    at: usize,
    end: usize,
    /// How many numbers of the run or stretch under way are left.
    left: u64,
    /// The number of the run under way, or the bit at which a stretch goes on.
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Run(u32),
    Stretch(usize),
}

impl Default for Kind {
    fn default() -> Self {
        Kind::Run(0)
    }
}

/// Some numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// The number.
    pub(super) number: u32,
    /// How often it comes.
    pub(super) count: u64,
}

impl Hybrid {
    /// The numbers of `width` bits, at most 32, in these bytes of a page.
    pub(super) fn new(width: u32, at: usize, end: usize) -> Result<Self> {
        if width > 32 {
            return Err(damaged("numbers that name others have more than 32 bits"));
        }
        Ok(Hybrid { width, at, end, ..Hybrid::default() })
    }

    /// The next numbers that are equal, at most `most` of them. `page` are the bytes of the whole page.
    pub(super) fn next(&mut self, page: &[u8], most: u64) -> Result<Run> {
        let page = page.get(..self.end).unwrap_or(page);
        while self.left == 0 {
            self.begin(page)?;
        }
        match self.kind {
            Kind::Run(number) => {
                let count = self.left.min(most);
                self.left -= count;
                Ok(Run { number, count })
            }
            Kind::Stretch(bit) => {
                let width = self.width as usize;
                let number = packed(page, bit, self.width);
                let most = self.left.min(most);
                let mut count = 1;
                // Where all are equal, as levels often are, they are one run.
                while count < most
                    && packed(page, bit + usize::try_from(count).unwrap_or(0) * width, self.width)
                        == number
                {
                    count += 1;
                }
                self.left -= count;
                self.kind = Kind::Stretch(bit + usize::try_from(count).unwrap_or(0) * width);
                Ok(Run { number: u32::try_from(number).unwrap_or(u32::MAX), count })
            }
        }
    }

    /// Reads what the next numbers are.
    fn begin(&mut self, page: &[u8]) -> Result<()> {
        let head = varint(page, &mut self.at)?;
        let bytes = self.width.div_ceil(8) as usize;
        if head & 1 == 0 {
            self.left = head >> 1;
            let end = self.at + bytes;
            if end > page.len() {
                return Err(damaged("it ends within a run"));
            }
            let number = packed(&page[..end], self.at * 8, self.width.next_multiple_of(8));
            self.kind = Kind::Run(u32::try_from(number).unwrap_or(u32::MAX));
            self.at = end;
        } else {
            // Stretches come in groups of eight numbers, the last of which may be cut by the end of the page.
            let groups = head >> 1;
            self.left = groups.saturating_mul(8);
            self.kind = Kind::Stretch(self.at * 8);
            let there = (page.len() - self.at) as u64;
            let taken = groups.saturating_mul(u64::from(self.width));
            if taken > there && there == 0 {
                return Err(damaged("it ends within numbers of a few bits"));
            }
            self.at += usize::try_from(taken.min(there)).unwrap_or(0);
            if let (true, Some(fit)) =
                (taken > there, (there * 8).checked_div(u64::from(self.width)))
            {
                self.left = fit;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(page: &[u8], width: u32, count: usize) -> Result<Vec<u32>> {
        let mut hybrid = Hybrid::new(width, 0, page.len())?;
        let mut numbers = Vec::new();
        while numbers.len() < count {
            let run = hybrid.next(page, (count - numbers.len()) as u64)?;
            numbers.extend((0..run.count).map(|_| run.number));
        }
        Ok(numbers)
    }

    #[test]
    fn runs_and_stretches_follow_each_other() {
        // Three times 2, then eight numbers of two bits: 0, 1, 2, 3, 3, 2, 1, 0.
        let page = [3 << 1, 2, 1 << 1 | 1, 0b1110_0100, 0b0001_1011];
        let expected = vec![2, 2, 2, 0, 1, 2, 3, 3, 2, 1, 0];
        assert_eq!(all(&page, 2, 11).ok(), Some(expected));
        assert!(all(&page, 2, 12).is_err(), "there is no twelfth");
        // A dictionary with one entry needs no bits at all.
        assert_eq!(all(&[5 << 1], 0, 5).ok(), Some(vec![0; 5]));
        assert!(Hybrid::new(33, 0, 0).is_err());
    }
}
