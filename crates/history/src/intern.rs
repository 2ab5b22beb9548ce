//! Keys and values as small integers.

use crate::event::Scalar;
use rustc_hash::FxHashMap;

/// A key of one history: an index into its key table, dense from 0 in order of first appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub u32);

impl KeyId {
    /// The position in tables that have one entry a key.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A value of one history. Integers stand for themselves; other scalars are numbered upwards from `i64::MIN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub i64);

/// Integers below this bound are interned as text, so that the codes under it are free for interned scalars.
const FIRST_PLAIN: i64 = i64::MIN + (1 << 32);

/// A table from scalars to dense numbers and back.
#[derive(Debug, Clone, Default)]
pub struct Interner {
    // Two maps, so that text is looked up by `&str` without building a scalar.
    ints: FxHashMap<i64, u32>,
    strs: FxHashMap<Box<str>, u32>,
    scalars: Vec<Scalar>,
}

impl Interner {
    /// The number of this scalar, new if it was not seen before. More than 2³² scalars are a broken invariant.
    pub fn intern(&mut self, scalar: &Scalar) -> u32 {
        match scalar {
            Scalar::Int(i) => self.intern_int(*i),
            Scalar::Str(s) => self.intern_str(s),
        }
    }

    /// The number of this integer; allocates only when it is new.
    pub fn intern_int(&mut self, int: i64) -> u32 {
        if let Some(id) = self.ints.get(&int) {
            return *id;
        }
        let id = self.next_id();
        self.ints.insert(int, id);
        self.scalars.push(Scalar::Int(int));
        id
    }

    /// The number of this text; allocates only when it is new.
    pub fn intern_str(&mut self, text: &str) -> u32 {
        if let Some(id) = self.strs.get(text) {
            return *id;
        }
        let id = self.next_id();
        self.strs.insert(text.into(), id);
        self.scalars.push(Scalar::Str(text.into()));
        id
    }

    /// Forgets every scalar from this number on.
    pub(crate) fn truncate(&mut self, len: usize) {
        while self.scalars.len() > len {
            match self.scalars.pop() {
                Some(Scalar::Int(i)) => self.ints.remove(&i),
                Some(Scalar::Str(s)) => self.strs.remove(&s),
                None => None,
            };
        }
    }

    fn next_id(&self) -> u32 {
        #[expect(clippy::expect_used, reason = "memory ends before 2^32 distinct scalars")]
        let id = u32::try_from(self.scalars.len()).expect("fewer than 2^32 scalars");
        id
    }

    /// The number of this scalar, if it was seen.
    pub fn get(&self, scalar: &Scalar) -> Option<u32> {
        match scalar {
            Scalar::Int(i) => self.ints.get(i).copied(),
            Scalar::Str(s) => self.strs.get(s).copied(),
        }
    }

    /// The scalar of this number. Panics on a number that this table did not give.
    pub fn resolve(&self, id: u32) -> &Scalar {
        &self.scalars[id as usize]
    }

    /// How many scalars there are.
    pub fn len(&self) -> usize {
        self.scalars.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.scalars.is_empty()
    }
}

/// A table of values in which integers cost nothing.
#[derive(Debug, Clone, Default)]
pub struct ValueTable {
    others: Interner,
}

impl ValueTable {
    /// The code of this value.
    pub fn intern(&mut self, value: &Scalar) -> ValueId {
        match value {
            Scalar::Int(i) if *i >= FIRST_PLAIN => ValueId(*i),
            other => ValueId(i64::MIN + i64::from(self.others.intern(other))),
        }
    }

    /// Whether this integer stands for itself.
    pub(crate) fn is_plain(int: i64) -> bool {
        int >= FIRST_PLAIN
    }

    /// The code of this integer.
    pub fn intern_int(&mut self, int: i64) -> ValueId {
        if Self::is_plain(int) {
            return ValueId(int);
        }
        ValueId(i64::MIN + i64::from(self.others.intern_int(int)))
    }

    /// The code of this text.
    pub fn intern_str(&mut self, text: &str) -> ValueId {
        ValueId(i64::MIN + i64::from(self.others.intern_str(text)))
    }

    /// How many values are numbered, that is, do not stand for themselves.
    pub(crate) fn len(&self) -> usize {
        self.others.len()
    }

    /// Forgets every numbered value from this number on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.others.truncate(len);
    }

    /// The value of this code. Panics on a code that this table did not give.
    pub fn resolve(&self, id: ValueId) -> Scalar {
        if id.0 >= FIRST_PLAIN {
            return Scalar::Int(id.0);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "codes under FIRST_PLAIN are u32 + i64::MIN"
        )]
        self.others.resolve((id.0 - i64::MIN) as u32).clone()
    }
}
