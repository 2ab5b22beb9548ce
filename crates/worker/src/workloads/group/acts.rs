//! What members of the group do, and when they go.

use crate::plan::WorkerPlan;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// The mean time between two members of the group that leave or crash, in runs that are long enough for it.
const CHURN: Duration = Duration::from_secs(4);
/// At least so many times that long is a run: in shorter ones members go sooner after each other.
const GOES_MIN: u32 = 6;
/// Of so many members that go, one crashes. The group then stands still until it does not wait for it any more.
const CRASH_ONE_IN: u32 = 4;
/// In one of so many seeds a member waits for a partition. It has nothing to commit, nor anything to say when it left.
const SPARE_ONE_IN: u64 = 4;
/// So many members leave properly before the first may crash: two, since one of them may have nothing to commit.
const PROPER_FIRST: usize = 2;

/// How many threads are members: as many as there are partitions, but two at least, and at most every second thread. Of some
/// seeds there is one more, which waits for a partition.
pub(super) fn members(plan: &WorkerPlan) -> u32 {
    let partitions = u32::try_from(plan.topic.partitions).unwrap_or(1).max(2);
    let spare = u32::from(plan.seed.is_multiple_of(SPARE_ONE_IN));
    partitions.saturating_add(spare).min(plan.concurrency / 2).max(1)
}

/// What a member does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Poll,
    /// Poll, and commit before the records are handed on.
    PollCommitted,
    Commit,
    Committed,
    Leave,
    /// Leave, after something was committed in the present assignment.
    CommitAndLeave,
    Crash,
}

/// The operations of one member, without end, from the seed alone. That it goes has a time, all else an order.
#[derive(Debug)]
pub(super) struct Acts {
    rng: ChaCha8Rng,
    /// Draws when it commits, apart from the rest, whose number depends on time.
    styles: ChaCha8Rng,
    /// When it goes, since the main phase began, and how; the next one last.
    goes: Vec<(Duration, Act)>,
    /// When it commits; drawn anew for each process that follows on one that went.
    style: Style,
}

/// When members go, since the main phase began, which, and how. All threads draw the same, so that they go one at a time:
/// a group comes together again before the next one goes.
fn departures(plan: &WorkerPlan) -> Vec<(Duration, u32, Act)> {
    let mut rng = ChaCha8Rng::seed_from_u64(plan.seed ^ 0x6368_7572_6e21);
    let (limit, members) = (Duration::from_millis(plan.time_limit_ms), members(plan));
    let mean = CHURN.min(limit / GOES_MIN).max(Duration::from_millis(1));
    let (mut all, mut at) = (Vec::new(), Duration::ZERO);
    loop {
        at += mean.mul_f64(rng.random_range(0.7..1.3));
        if at >= limit {
            return all;
        }
        let first = all.len() < PROPER_FIRST;
        let thread = u32::try_from(all.len()).unwrap_or(0);
        let thread = if first { thread % members } else { rng.random_range(0..members) };
        let crashes = rng.random_ratio(1, CRASH_ONE_IN) && !first;
        all.push((at, thread, if crashes { Act::Crash } else { Act::Leave }));
    }
}

/// When a member commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// After it was given records.
    After,
    /// Before it hands them on.
    Before,
    /// After, but so seldom that much is read twice when it goes.
    Seldom,
}

impl Style {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        match rng.random_range(0..6) {
            0..=2 => Style::After,
            3 | 4 => Style::Before,
            _ => Style::Seldom,
        }
    }
}

impl Acts {
    pub(super) fn new(plan: &WorkerPlan, thread: u32) -> Self {
        let stream = |salt: u64| {
            let mut rng = ChaCha8Rng::seed_from_u64(plan.seed ^ salt);
            rng.set_stream(u64::from(thread) + 1);
            rng
        };
        let (rng, mut styles) = (stream(0x6772_6f75_7021), stream(0x6368_7572_6e21));
        // Those that leave first commit often until then, whatever is drawn.
        let drawn = Style::draw(&mut styles);
        let early = usize::try_from(thread).is_ok_and(|thread| thread < PROPER_FIRST);
        let style = if early { Style::After } else { drawn };
        let own = departures(plan).into_iter().rev().filter(|(_, who, _)| *who == thread);
        let goes = own.map(|(at, _, how)| (at, how)).collect();
        Acts { rng, styles, goes, style }
    }

    /// The next operation, so long after the main phase began.
    pub(super) fn next(&mut self, elapsed: Duration) -> Act {
        if let Some((_, how)) = self.goes.pop_if(|(at, _)| elapsed >= *at) {
            let next = Style::draw(&mut self.styles);
            return match (std::mem::replace(&mut self.style, next), how) {
                (Style::After, Act::Leave) => Act::CommitAndLeave,
                _ => how,
            };
        }
        match (self.rng.random_range(0..200), self.style) {
            (0..20, _) => Act::Committed,
            (20..80, Style::After) | (20, _) => Act::Commit,
            (_, Style::Before) => Act::PollCommitted,
            _ => Act::Poll,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_follow_from_the_seed_and_hold_each_kind() {
        let mut plan = crate::plan::tests::plan(7);
        plan.time_limit_ms = 200_000;
        let acts = |thread| {
            let mut acts = Acts::new(&plan, thread);
            (0..2000).map(|ms| acts.next(Duration::from_millis(100 * ms))).collect::<Vec<_>>()
        };
        assert_eq!(acts(1), acts(1));
        assert_ne!(acts(1), acts(2));
        let gone = [Act::Leave, Act::CommitAndLeave, Act::Crash];
        for kind in [Act::Commit, Act::Committed, Act::PollCommitted].into_iter().chain(gone) {
            assert!((0..4).any(|thread| acts(thread).contains(&kind)), "{kind:?}");
        }
        let styles: Vec<Style> = (0..20).map(|thread| Acts::new(&plan, thread).style).collect();
        for style in [Style::After, Style::Before, Style::Seldom] {
            assert!(styles.contains(&style), "{style:?}");
        }
    }

    #[test]
    fn several_members_go_in_a_short_run_one_at_a_time_and_the_first_two_leave_properly() {
        let mut plan = crate::plan::tests::plan(7);
        plan.concurrency = 12;
        for seed in 0..50 {
            plan.seed = seed;
            for (seconds, goes) in [(9, 4..=8), (30, 6..=10), (120, 26..=40)] {
                plan.time_limit_ms = seconds * 1000;
                let all = departures(&plan);
                assert!(goes.contains(&all.len()), "{seconds} s: {}", all.len());
                assert_eq!([all[0].1, all[1].1], [0, 1]);
                assert!(all[..PROPER_FIRST].iter().all(|(.., how)| *how == Act::Leave));
                let gaps = all.windows(2).map(|pair| pair[1].0 - pair[0].0);
                let least = CHURN.min(Duration::from_secs(seconds) / GOES_MIN).mul_f64(0.69);
                assert!(gaps.into_iter().all(|gap| gap >= least));
                let own = |thread| Acts::new(&plan, thread).goes.len();
                assert_eq!((0..members(&plan)).map(own).sum::<usize>(), all.len());
            }
        }
    }

    #[test]
    fn at_most_every_second_thread_is_a_member() {
        let mut plan = crate::plan::tests::plan(7);
        plan.concurrency = 16;
        assert_eq!(members(&plan), 4);
        plan.seed = 8;
        assert_eq!(members(&plan), 5, "one of them waits");
        plan.concurrency = 4;
        assert_eq!(members(&plan), 2);
    }
}
