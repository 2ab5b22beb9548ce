//! One column of a row group: its pages, decoded some levels at a time.
//!
//! The levels stay runs. In a history most fields are there, or are not, for hundreds of items in a row; so a column that
//! holds nothing costs next to nothing, and the records of a poll can be taken together.

use super::bits::damaged;
use super::columns::{Decoded, Runs};
use super::delta::Delta;
use super::guard::Guarded;
use super::hybrid::{Hybrid, Run};
use ::parquet::basic::Encoding;
use ::parquet::column::page::Page;
use ::parquet::data_type::ByteArray;
use ::parquet::errors::{ParquetError, Result};

/// A value of a column.
pub(super) trait Plain: Clone {
    /// The value that stands at this byte of a page, which is moved behind it.
    fn plain(page: &ByteArray, at: &mut usize) -> Option<Self>;

    /// The value that a difference gives; nothing for what has no differences.
    fn number(number: i64) -> Option<Self>;
}

fn next<const N: usize>(page: &[u8], at: &mut usize) -> Option<[u8; N]> {
    let end = at.checked_add(N)?;
    let bytes = page.get(*at..end)?.try_into().ok()?;
    *at = end;
    Some(bytes)
}

impl Plain for i64 {
    fn plain(page: &ByteArray, at: &mut usize) -> Option<Self> {
        next(page.data(), at).map(i64::from_le_bytes)
    }

    fn number(number: i64) -> Option<Self> {
        Some(number)
    }
}

impl Plain for i32 {
    fn plain(page: &ByteArray, at: &mut usize) -> Option<Self> {
        next(page.data(), at).map(i32::from_le_bytes)
    }

    fn number(number: i64) -> Option<Self> {
        i32::try_from(number).ok()
    }
}

impl Plain for ByteArray {
    fn plain(page: &ByteArray, at: &mut usize) -> Option<Self> {
        let len = usize::try_from(u32::from_le_bytes(next(page.data(), at)?)).ok()?;
        let end = at.checked_add(len).filter(|end| *end <= page.len())?;
        let text = page.slice(*at, len);
        *at = end;
        Some(text)
    }

    fn number(_: i64) -> Option<Self> {
        None
    }
}

/// How the values of a page are encoded, and where they go on.
enum Values {
    Plain(usize),
    Places(Hybrid),
    Differences(Delta),
}

/// Levels of a page, of which the next run can be looked at.
struct Ahead {
    hybrid: Hybrid,
    run: Run,
    /// The greatest level.
    most: u8,
}

impl Ahead {
    /// The next run of equal levels, of which the page has at most `left`.
    fn peek(&mut self, page: &[u8], left: u64) -> Result<(u8, u64)> {
        if self.run.count == 0 {
            self.run = self.hybrid.next(page, left)?;
        }
        match u8::try_from(self.run.number).ok().filter(|level| *level <= self.most) {
            Some(level) => Ok((level, self.run.count)),
            None => Err(damaged("a level is too high")),
        }
    }

    /// Passes this many levels, all of the run that was looked at, and notes them.
    fn pass(&mut self, level: u8, count: u64, into: &mut Runs) {
        self.run.count -= count;
        into.push(level, count);
    }
}

/// The page under way.
struct Current {
    bytes: ByteArray,
    /// How many levels are left.
    left: u64,
    /// Repetition levels, of a column that rows repeat.
    rep: Option<Ahead>,
    /// Definition levels, of a column whose values may be absent.
    def: Option<Ahead>,
    values: Values,
}

impl Current {
    /// Appends the repetition levels of the next `count` levels, if rows repeat the column.
    fn repetitions<T>(&mut self, count: u64, into: &mut Decoded<T>) -> Result<()> {
        let Some(rep) = &mut self.rep else { return Ok(()) };
        let mut passed = 0;
        while passed < count {
            let (level, run) = rep.peek(self.bytes.data(), self.left - passed)?;
            let now = run.min(count - passed);
            rep.pass(level, now, &mut into.rep);
            passed += now;
        }
        Ok(())
    }

    /// Appends the repetition levels from here to where row `rows` ends, of which `begun` have begun, and counts on. Gives how
    /// many levels that are, and whether the rows are known to end before the page does.
    fn rows<T>(
        &mut self,
        rows: u64,
        begun: &mut u64,
        into: &mut Decoded<T>,
    ) -> Result<(u64, bool)> {
        let Some(rep) = &mut self.rep else { return Err(damaged("rows cannot be told apart")) };
        let mut passed = 0;
        while passed < self.left {
            let (level, run) = rep.peek(self.bytes.data(), self.left - passed)?;
            if *begun == 0 && level > 0 {
                return Err(damaged("a column begins within a row"));
            }
            let now = if level == 0 { run.min(rows - *begun) } else { run };
            if now == 0 {
                return Ok((passed, true));
            }
            *begun += if level == 0 { now } else { 0 };
            rep.pass(level, now, &mut into.rep);
            passed += now;
        }
        Ok((passed, false))
    }

    /// Appends the definition levels of the next `count` levels, and counts how many of them have a value.
    fn definitions<T>(&mut self, count: u64, into: &mut Decoded<T>) -> Result<u64> {
        let Some(def) = &mut self.def else { return Ok(count) };
        let (mut left, mut there) = (count, 0);
        while left > 0 {
            let (level, run) = def.peek(self.bytes.data(), self.left - (count - left))?;
            let now = run.min(left);
            def.pass(level, now, &mut into.def);
            there += if level == def.most { now } else { 0 };
            left -= now;
        }
        Ok(there)
    }
}

/// What the levels of a column mean.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// The definition level of a value that is there; 0 where every row has one.
    pub(super) full: u8,
    /// Whether rows repeat it.
    pub(super) repeated: bool,
}

/// A column of a row group.
pub(super) struct Chunk<T> {
    pages: Guarded,
    shape: Shape,
    dictionary: Vec<T>,
    current: Option<Current>,
}

impl<T: Plain> Chunk<T> {
    pub(super) fn new(pages: Guarded, shape: Shape) -> Self {
        Chunk { pages, shape, dictionary: Vec::new(), current: None }
    }

    /// Appends all levels of the next rows, of a column that rows repeat. A row ends where the next one begins.
    pub(super) fn rows(&mut self, rows: u64, into: &mut Decoded<T>) -> Result<()> {
        let mut begun = 0;
        while let Some(page) = self.page()? {
            let (count, ended) = page.rows(rows, &mut begun, into)?;
            self.values(count, into)?;
            if ended {
                break;
            }
        }
        if begun < rows { Err(short()) } else { Ok(()) }
    }

    /// Appends the next `count` levels.
    pub(super) fn levels(&mut self, count: u64, into: &mut Decoded<T>) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let page = self.page()?.ok_or_else(short)?;
            let now = page.left.min(left);
            page.repetitions(now, into)?;
            left -= now;
            self.values(now, into)?;
        }
        Ok(())
    }

    /// Appends the definition levels and values of the next `count` levels of the page under way.
    fn values(&mut self, count: u64, into: &mut Decoded<T>) -> Result<()> {
        let Some(page) = &mut self.current else { return Err(short()) };
        let there = page.definitions(count, into)?;
        page.left -= count;
        let few = || damaged("it has fewer values than it promises");
        let there = usize::try_from(there).map_err(|_| few())?;
        match &mut page.values {
            Values::Plain(at) => {
                for _ in 0..there {
                    into.values.push(T::plain(&page.bytes, at).ok_or_else(few)?);
                }
            }
            Values::Places(hybrid) => {
                let mut left = there as u64;
                while left > 0 {
                    let Run { number, count } = hybrid.next(page.bytes.data(), left)?;
                    left -= count;
                    let value = self.dictionary.get(number as usize);
                    let value = value.ok_or_else(|| damaged("a value is not in its dictionary"))?;
                    into.values.extend((0..count).map(|_| value.clone()));
                }
            }
            Values::Differences(delta) => {
                let other = || damaged("differences stand where no numbers do");
                delta.take(page.bytes.data(), there, |number| {
                    into.values.push(T::number(number).ok_or_else(other)?);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// The page under way, or the next one that has levels. Nothing at the end of the column.
    fn page(&mut self) -> Result<Option<&mut Current>> {
        while self.current.as_ref().is_none_or(|page| page.left == 0) {
            match self.pages.next_page()? {
                None => return Ok(None),
                Some(Page::DictionaryPage { buf, num_values, .. }) => {
                    let (page, mut at) = (ByteArray::from(buf), 0);
                    let entry = |_| {
                        T::plain(&page, &mut at).ok_or_else(|| damaged("its dictionary is cut"))
                    };
                    self.dictionary = (0..num_values).map(entry).collect::<Result<_>>()?;
                }
                Some(page) => self.current = Some(self.begin(page)?),
            }
        }
        Ok(self.current.as_mut())
    }

    /// Takes a page of data apart: repetition levels, definition levels, values.
    fn begin(&self, page: Page) -> Result<Current> {
        let encoding = page.encoding();
        let left = u64::from(page.num_values());
        // Pages of the second version say beside their bytes how many the levels take, others in front of them.
        let (buf, lengths) = match page {
            Page::DataPageV2 { buf, rep_levels_byte_len, def_levels_byte_len, .. } => {
                (buf, Some([rep_levels_byte_len, def_levels_byte_len]))
            }
            Page::DataPage { rep_level_encoding, def_level_encoding, .. }
                if (self.shape.repeated && rep_level_encoding != Encoding::RLE)
                    || (self.shape.full > 0 && def_level_encoding != Encoding::RLE) =>
            {
                return Err(damaged("its levels are in an encoding that is not read"));
            }
            Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => (buf, None),
        };
        let bytes = ByteArray::from(buf);
        let mut at = 0;
        let mut ahead = |which: usize, most: u8| -> Result<Option<Ahead>> {
            let told = lengths.map(|lengths| lengths[which].to_le_bytes());
            if most == 0 {
                at += told.map_or(0, |told| u32::from_le_bytes(told) as usize);
                return Ok(None);
            }
            let told = told.or_else(|| next(bytes.data(), &mut at));
            let cut = || damaged("its levels are cut");
            let len = u32::from_le_bytes(told.ok_or_else(cut)?) as usize;
            let end = at.checked_add(len).filter(|end| *end <= bytes.len()).ok_or_else(cut)?;
            let hybrid = Hybrid::new(8 - most.leading_zeros(), at, end)?;
            at = end;
            Ok(Some(Ahead { hybrid, run: Run { number: 0, count: 0 }, most }))
        };
        let rep = ahead(0, u8::from(self.shape.repeated))?;
        let def = ahead(1, self.shape.full)?;
        let values = match encoding {
            Encoding::PLAIN => Values::Plain(at),
            // A page without values may end here.
            _ if at >= bytes.len() => Values::Plain(at),
            Encoding::RLE_DICTIONARY => {
                let width = bytes.data()[at];
                Values::Places(Hybrid::new(u32::from(width), at + 1, bytes.len())?)
            }
            Encoding::DELTA_BINARY_PACKED => Values::Differences(Delta::new(bytes.data(), at)?),
            other => {
                let message = format!("a page is encoded as {other}, which is not read");
                return Err(ParquetError::General(message));
            }
        };
        Ok(Current { bytes, left, rep, def, values })
    }
}

fn short() -> ParquetError {
    damaged("a column ends before the others")
}
