//! Sets of open operations.

use std::hash::Hash;

/// A set of small numbers.
pub(super) trait Bits: Copy + Eq + Ord + Hash + Default {
    fn has(self, i: usize) -> bool;
    fn with(self, i: usize) -> Self;
    fn without(self, i: usize) -> Self;
    fn union(self, other: Self) -> Self;
    fn intersection(self, other: Self) -> Self;
    fn difference(self, other: Self) -> Self;
    fn first(self) -> Option<usize>;
    fn count(self) -> u32;

    fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// The members in ascending order.
    fn each(mut self, mut f: impl FnMut(usize)) {
        while let Some(i) = self.first() {
            self = self.without(i);
            f(i);
        }
    }
}

macro_rules! word {
    ($t:ty) => {
        impl Bits for $t {
            fn has(self, i: usize) -> bool {
                (self >> i) & 1 == 1
            }
            fn with(self, i: usize) -> Self {
                self | (1 << i)
            }
            fn without(self, i: usize) -> Self {
                self & !(1 << i)
            }
            fn union(self, other: Self) -> Self {
                self | other
            }
            fn intersection(self, other: Self) -> Self {
                self & other
            }
            fn difference(self, other: Self) -> Self {
                self & !other
            }
            fn first(self) -> Option<usize> {
                (self != 0).then(|| self.trailing_zeros() as usize)
            }
            fn count(self) -> u32 {
                self.count_ones()
            }
        }
    };
}

word!(u64);
word!(u128);

/// A thousand numbers, for histories with that many operations open at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Wide([u64; 16]);

impl Bits for Wide {
    fn has(self, i: usize) -> bool {
        self.0[i / 64].has(i % 64)
    }
    fn with(mut self, i: usize) -> Self {
        self.0[i / 64] = self.0[i / 64].with(i % 64);
        self
    }
    fn without(mut self, i: usize) -> Self {
        self.0[i / 64] = self.0[i / 64].without(i % 64);
        self
    }
    fn union(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a |= b);
        self
    }
    fn intersection(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a &= b);
        self
    }
    fn difference(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a &= !b);
        self
    }
    fn first(self) -> Option<usize> {
        self.0.iter().enumerate().find_map(|(w, b)| b.first().map(|i| 64 * w + i))
    }
    fn count(self) -> u32 {
        self.0.iter().map(|w| w.count_ones()).sum()
    }
}
