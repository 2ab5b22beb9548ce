//! One topic-partition.

use perjury_history::Scalar;

/// An offset that holds no record: a transaction marker, or what became of a lost or aborted record.
pub(super) const HOLE: i64 = i64::MIN;

/// One topic-partition: the slot at each offset, and how far it is served and read.
#[derive(Debug)]
pub(super) struct Log {
    /// Its number in the history.
    pub(super) name: Scalar,
    /// The value at each offset.
    pub(super) slots: Vec<i64>,
    /// Every offset below was returned to some ok poll or is a hole.
    pub(super) ok_read: usize,
    /// Where the group's consumers go on (subscribe only).
    pub(super) committed: usize,
    /// Which client owns it (subscribe only).
    pub(super) owner: Option<usize>,
    /// Consumers are served nothing from here on.
    pub(super) hold: Option<usize>,
    /// This one offset is passed over when serving.
    pub(super) hidden: Option<usize>,
    /// Acknowledged records that are gone; the injection is complete when another record follows.
    pub(super) awaiting: Vec<Gone>,
    /// The next record takes the offset of one that is gone, so no hole may.
    pub(super) vacant: bool,
    /// An injection that takes several steps is under way here.
    pub(super) busy: bool,
    /// Writes that are left before it is replaced.
    pub(super) writes_left: u64,
    next_value: i64,
}

/// An acknowledged record that is gone from a log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gone {
    pub(super) offset: i64,
    pub(super) value: i64,
    pub(super) defect: super::Defect,
}

impl Log {
    pub(super) fn new(name: Scalar, writes: u64) -> Log {
        Log {
            name,
            slots: Vec::new(),
            ok_read: 0,
            committed: 0,
            owner: None,
            hold: None,
            hidden: None,
            awaiting: Vec::new(),
            vacant: false,
            busy: false,
            writes_left: if writes == 0 { u64::MAX } else { writes },
            next_value: 1,
        }
    }

    /// A value that nobody sent before.
    pub(super) fn fresh_value(&mut self) -> i64 {
        let value = self.next_value;
        self.next_value += 1;
        value
    }

    /// Appends a record or a hole and gives its offset.
    pub(super) fn append(&mut self, value: i64) -> usize {
        self.slots.push(value);
        self.slots.len() - 1
    }

    /// Appends a hole, except where the next offset is to be taken by a record.
    pub(super) fn append_hole(&mut self) -> usize {
        if self.vacant { self.slots.len() } else { self.append(HOLE) }
    }

    /// Where serving ends.
    pub(super) fn end(&self) -> usize {
        self.hold.unwrap_or(self.slots.len())
    }

    /// Whether there is a record at this offset.
    pub(super) fn is_record(&self, offset: usize) -> bool {
        self.slots.get(offset).is_some_and(|v| *v != HOLE)
    }

    /// How many records are served from here on, counted up to a limit.
    pub(super) fn lag(&self, from: usize, limit: usize) -> usize {
        (from..self.end()).filter(|o| self.is_record(*o)).take(limit).count()
    }

    /// The extent of at most `limit` records from here on, and how many they are. It ends right behind a record.
    pub(super) fn batch(&self, from: usize, limit: usize) -> (usize, usize) {
        let (mut to, mut count) = (from, 0);
        for offset in from..self.end() {
            if count == limit {
                break;
            }
            if self.slots[offset] != HOLE && self.hidden != Some(offset) {
                count += 1;
                to = offset + 1;
            }
        }
        (to, count)
    }

    /// The last record before this offset.
    pub(super) fn record_before(&self, offset: usize) -> Option<usize> {
        (0..offset).rev().find(|o| self.is_record(*o))
    }
}

/// An offset as histories hold it.
pub(super) fn offset(at: usize) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}
