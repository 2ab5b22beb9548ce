//! Exact counts with a bounded list of the most telling cases.

/// How many cases there were, how many of them stand under the stricter reading of our own contract, and the most
/// telling ones.
#[derive(Debug, Clone)]
pub(crate) struct Tally<T> {
    /// All cases.
    pub(crate) count: u64,
    /// Those that no legal behaviour explains.
    pub(crate) sound: u64,
    cases: Vec<(Rank, T)>,
    max: usize,
}

/// Smaller is more telling: doubtful, then weight, then row.
type Rank = (bool, i64, u32);

impl<T> Tally<T> {
    /// An empty tally that keeps at most `max` cases.
    pub(crate) fn new(max: usize) -> Self {
        Tally { count: 0, sound: 0, cases: Vec::new(), max: max.max(1) }
    }

    /// Counts one case. Sound cases come first, then those with the smallest weight, then the earliest row.
    pub(crate) fn add(&mut self, sound: bool, weight: i64, row: u32, case: T) {
        self.count += 1;
        self.sound += u64::from(sound);
        self.keep((!sound, weight, row), case);
    }

    fn keep(&mut self, rank: Rank, case: T) {
        self.cases.push((rank, case));
        if self.cases.len() >= self.max.saturating_mul(2).max(64) {
            self.trim();
        }
    }

    fn trim(&mut self) {
        self.cases.sort_by_key(|(rank, _)| *rank);
        self.cases.truncate(self.max);
    }

    /// Counts the cases of another tally as well.
    pub(crate) fn merge(&mut self, other: Tally<T>) {
        self.count += other.count;
        self.sound += other.sound;
        for (rank, case) in other.cases {
            self.keep(rank, case);
        }
    }

    /// The most telling cases, best first.
    pub(crate) fn cases(mut self) -> Vec<T> {
        self.trim();
        self.cases.into_iter().map(|(_, case)| case).collect()
    }
}
