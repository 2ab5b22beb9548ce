//! Columns in memory, as they are written and read: levels beside the values that are there.
//!
//! Definition levels count what is there on the way to a value: for a column of `item` 0 is a row without items, 1 an
//! item without this field, 2 an item with it. A repetition level of 0 begins a row.

/// One column of a row group or of a batch.
#[derive(Debug, Default)]
pub(super) struct Column<T> {
    pub(super) values: Vec<T>,
    pub(super) def: Vec<i16>,
    pub(super) rep: Vec<i16>,
}

impl<T> Column<T> {
    /// Appends a field of a row that may be absent.
    pub(super) fn optional(&mut self, value: Option<T>) {
        self.def.push(i16::from(value.is_some()));
        self.values.extend(value);
    }

    /// Appends a required field of a row.
    pub(super) fn required(&mut self, value: T) {
        self.values.push(value);
    }

    /// Appends a field of an item.
    pub(super) fn item(&mut self, rep: i16, value: Option<T>) {
        self.rep.push(rep);
        self.def.push(1 + i16::from(value.is_some()));
        self.values.extend(value);
    }

    /// Appends a row without items.
    pub(super) fn no_item(&mut self) {
        self.rep.push(0);
        self.def.push(0);
    }

    /// Forgets everything, keeping the memory.
    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.def.clear();
        self.rep.clear();
    }
}

/// Levels, as runs of equal ones.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Runs {
    runs: Vec<(u8, u64)>,
    len: u64,
}

impl Runs {
    /// Appends a level this many times.
    pub(super) fn push(&mut self, level: u8, count: u64) {
        self.len += count;
        match self.runs.last_mut() {
            Some((last, run)) if *last == level => *run += count,
            _ => self.runs.push((level, count)),
        }
    }

    /// How many levels there are.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The runs; two that follow each other have different levels.
    pub(super) fn as_slice(&self) -> &[(u8, u64)] {
        &self.runs
    }

    fn clear(&mut self) {
        self.runs.clear();
        self.len = 0;
    }
}

/// Some rows of one column as they are read.
#[derive(Debug, Default)]
pub(super) struct Decoded<T> {
    pub(super) values: Vec<T>,
    pub(super) def: Runs,
    pub(super) rep: Runs,
}

impl<T> Decoded<T> {
    /// Forgets everything, keeping the memory.
    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.def.clear();
        self.rep.clear();
    }
}
