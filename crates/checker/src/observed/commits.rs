//! The committed offset of a group in a topic-partition, as a register: what can it have held at some time?

/// One commit that happened, or may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Commit {
    /// The offset of the next record to read.
    pub(crate) offset: i64,
    /// The row of the invocation.
    pub(crate) invoked: usize,
    /// The row of the ok completion; nothing where the outcome is unknown.
    pub(crate) ended: Option<usize>,
    /// The generation in which it was made, if that was said.
    pub(crate) generation: Option<i64>,
    /// The row by which the topic-partition had been given to somebody in a later generation: from then on it is refused.
    pub(crate) closed: Option<usize>,
}

/// All commits of one group to one topic-partition.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    /// Those that are ok, by invocation.
    known: Vec<Commit>,
    /// For each of them the latest end of it and those before.
    ended: Vec<usize>,
    /// For each end, ascending: the position of the one invoked last among those that ended by then.
    latest: Vec<(usize, usize)>,
    unknown: Vec<Commit>,
}

/// What the committed offset can have been while somebody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    /// The lowest.
    pub(crate) low: i64,
    /// The highest.
    pub(crate) high: i64,
    /// The row of the commit that makes all earlier ones void.
    pub(crate) proof: usize,
}

impl Commits {
    pub(super) fn add(&mut self, commit: Commit) {
        match commit.ended {
            Some(_) => self.known.push(commit),
            None => self.unknown.push(commit),
        }
    }

    /// Tells the rows by which the topic-partition was given to somebody, each with its generation, in order.
    pub(super) fn close(&mut self, given: impl Iterator<Item = (usize, i64)>) {
        if self.unknown.is_empty() {
            return;
        }
        let given: Vec<(usize, i64)> = given.collect();
        for commit in &mut self.unknown {
            let later = |(_, generation): &&(usize, i64)| Some(*generation) > commit.generation;
            commit.closed = commit.generation.and(given.iter().find(later)).map(|(row, _)| *row);
        }
    }

    pub(super) fn finish(&mut self) {
        self.known.sort_unstable_by_key(|c| c.invoked);
        let mut latest = 0;
        for commit in &self.known {
            latest = latest.max(commit.ended.unwrap_or_default());
            self.ended.push(latest);
        }
        let mut ends: Vec<(usize, usize)> =
            (0..).zip(&self.known).filter_map(|(at, c)| Some((c.ended?, at))).collect();
        ends.sort_unstable();
        let mut best = 0;
        for (_, at) in &mut ends {
            best = best.max(*at);
            *at = best;
        }
        self.latest = ends;
    }

    /// What was committed for somebody who looked between the rows `from` and `until`. Nothing where no commit had
    /// certainly ended before `from`: then the group may have had no offset at all.
    ///
    /// A commit is void once another that was invoked after its end has ended. One of unknown outcome may take effect at
    /// any later time, but not once the topic-partition is somebody's in a later generation than its own.
    pub(crate) fn between(&self, from: usize, until: usize) -> Option<Range> {
        let ended = self.latest.partition_point(|(end, _)| *end < from);
        let (_, last) = self.latest.get(ended.checked_sub(1)?)?;
        let last = &self.known[*last];
        let proof = last.ended?;
        let mut range = Range { low: last.offset, high: last.offset, proof };
        let mut show = |offset: i64| {
            range.low = range.low.min(offset);
            range.high = range.high.max(offset);
        };
        let begun = self.known.partition_point(|c| c.invoked < until);
        for at in (0..begun).rev() {
            if self.ended[at] < last.invoked {
                break;
            }
            if self.known[at].ended.is_some_and(|end| end >= last.invoked) {
                show(self.known[at].offset);
            }
        }
        let open =
            |c: &&Commit| c.invoked < until && c.closed.is_none_or(|closed| closed >= last.invoked);
        self.unknown.iter().filter(open).for_each(|c| show(c.offset));
        Some(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_void_once_a_later_one_has_ended() {
        let commit = |offset, invoked, ended| Commit {
            offset,
            invoked,
            ended,
            generation: Some(1),
            closed: None,
        };
        let mut commits = Commits::default();
        commits.add(commit(5, 0, Some(1)));
        commits.add(commit(9, 2, Some(3)));
        commits.add(commit(7, 10, Some(20)));
        commits.finish();
        assert_eq!(commits.between(1, 2), None);
        assert_eq!(commits.between(2, 2), Some(Range { low: 5, high: 5, proof: 1 }));
        assert_eq!(commits.between(4, 5), Some(Range { low: 9, high: 9, proof: 3 }));
        assert_eq!(commits.between(4, 11), Some(Range { low: 7, high: 9, proof: 3 }));
        commits = Commits::default();
        commits.add(commit(5, 0, Some(1)));
        commits.add(commit(3, 2, None));
        commits.finish();
        commits.add(commit(8, 20, Some(21)));
        commits.finish();
        assert_eq!(commits.between(90, 91), Some(Range { low: 3, high: 8, proof: 21 }));
        // Once the topic-partition was given to somebody in the next generation, the open commit is refused.
        commits.close([(10, 2)].into_iter());
        assert_eq!(commits.between(90, 91), Some(Range { low: 8, high: 8, proof: 21 }));
    }
}
