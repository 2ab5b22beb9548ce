//! The streams of operations of the transactional workloads: what a thread does and when, from the seed alone.

use crate::attempt::{Consumed, End, Request, Step};
use crate::plan::WorkerPlan;
use rand::Rng;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// One operation in this many is a new assignment, as in Jepsen's kafka workload.
const ASSIGN_ONE_IN: u32 = 64;

/// One operation in this many tears the client down and starts it again.
const CRASH_ONE_IN: u32 = 150;

/// One transaction in this many is aborted on purpose, as in Jepsen's clients.
const ABORT_ONE_IN: u32 = 10;

/// One transaction in this many loses its client before its commit.
const TORN_DOWN_ONE_IN: u32 = 60;

/// The most steps of a transaction, as in Jepsen's kafka workload.
const STEPS_MAX: usize = 4;

/// How many sends a partition gets at most before another one takes its turn.
const TURN_MAX: u32 = 256;

/// Which partitions a thread sends to: some of them at a time, and each gives its place to the next one when it was sent
/// to often enough. The first is drawn twice as often as the second, and so on.
#[derive(Debug)]
struct Rotation {
    partitions: i32,
    active: Vec<(i32, u32)>,
    next: i32,
}

impl Rotation {
    fn new(partitions: i32, rng: &mut ChaCha8Rng) -> Self {
        let first = rng.random_range(0..partitions);
        let mut rotation = Rotation { partitions, active: Vec::new(), next: first };
        for _ in 0..(partitions + 1) / 2 {
            let fresh = rotation.fresh(rng);
            rotation.active.push(fresh);
        }
        rotation
    }

    fn fresh(&mut self, rng: &mut ChaCha8Rng) -> (i32, u32) {
        let partition = self.next;
        self.next = (self.next + 1) % self.partitions;
        (partition, rng.random_range(1..=TURN_MAX))
    }

    fn draw(&mut self, rng: &mut ChaCha8Rng) -> i32 {
        let last = self.active.len() - 1;
        let place = (0..last).find(|_| rng.random_bool(0.5)).unwrap_or(last);
        let (partition, left) = self.active[place];
        self.active[place].1 = left - 1;
        if left == 1 {
            self.active[place] = self.fresh(rng);
        }
        partition
    }
}

/// What a thread does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Planned {
    /// Assign exactly these partitions.
    Assign(Vec<i32>),
    /// Tear the client down and start a new one.
    Crash,
    /// Run a transaction.
    Txn(Request),
}

/// The operations of one thread, without end.
#[derive(Debug)]
pub(super) struct Stream {
    rng: ChaCha8Rng,
    rotation: Rotation,
    partitions: i32,
    poll_ratio: f64,
    mean_gap: Duration,
    stride: i64,
    next_value: i64,
    first: bool,
}

impl Stream {
    /// The stream of thread `thread`; the thread numbered `concurrency` writes and reads at the end. Values are `thread`,
    /// `thread + threads`, …, so no two threads share one.
    pub(super) fn new(plan: &WorkerPlan, thread: u32) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
        rng.set_stream(u64::from(thread) + 1);
        Stream {
            rotation: Rotation::new(plan.topic.partitions, &mut rng),
            rng,
            partitions: plan.topic.partitions,
            poll_ratio: plan.poll_ratio,
            mean_gap: Duration::from_secs_f64(f64::from(plan.concurrency) / plan.rate),
            stride: i64::from(plan.concurrency) + 1,
            next_value: i64::from(thread),
            first: true,
        }
    }

    /// How long after the operation before it this one is due: uniform between nothing and twice the mean.
    pub(super) fn gap(&mut self) -> Duration {
        self.mean_gap.mul_f64(self.rng.random_range(0.0..2.0))
    }

    /// The next value of this thread.
    pub(super) fn next_value(&mut self) -> i64 {
        let value = self.next_value;
        self.next_value += self.stride;
        value
    }

    /// Whether something happens that happens once in `times`.
    pub(super) fn once_in(&mut self, times: u32) -> bool {
        self.rng.random_ratio(1, times)
    }

    /// A time between nothing and twice the mean.
    pub(super) fn about(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(self.rng.random_range(0.0..2.0))
    }

    /// The next operation of a thread that sends and polls within transactions. The first one is an assignment.
    pub(super) fn mixed(&mut self, topic: &str) -> Planned {
        if std::mem::take(&mut self.first) || self.once_in(ASSIGN_ONE_IN) {
            return Planned::Assign(self.subset());
        }
        if self.once_in(CRASH_ONE_IN) {
            return Planned::Crash;
        }
        let steps = (0..self.rng.random_range(1..=STEPS_MAX)).map(|_| {
            if self.rng.random_bool(self.poll_ratio) {
                return Step::Poll;
            }
            self.send()
        });
        let steps = steps.collect();
        Planned::Txn(self.request(topic, steps))
    }

    /// The next operation of a thread that only sends, in transactions of up to `most` records.
    pub(super) fn sends(&mut self, topic: &str, most: usize) -> Planned {
        if self.once_in(CRASH_ONE_IN) {
            return Planned::Crash;
        }
        let count = self.rng.random_range(1..=most);
        let steps = (0..count).map(|_| self.send()).collect();
        Planned::Txn(self.request(topic, steps))
    }

    /// How the next transaction is meant to end.
    pub(super) fn end(&mut self) -> End {
        if self.once_in(ABORT_ONE_IN) {
            End::Abort
        } else if self.once_in(TORN_DOWN_ONE_IN) {
            End::Crash
        } else {
            End::Commit
        }
    }

    fn send(&mut self) -> Step {
        let partition = self.rotation.draw(&mut self.rng);
        Step::Send { partition, value: self.next_value() }
    }

    fn request(&mut self, topic: &str, steps: Vec<Step>) -> Request {
        Request { topic: topic.to_owned(), steps, end: self.end(), consumed: Consumed::default() }
    }

    fn subset(&mut self) -> Vec<i32> {
        let mut all: Vec<i32> = (0..self.partitions).collect();
        all.shuffle(&mut self.rng);
        let most = all.len().div_ceil(2);
        all.truncate(self.rng.random_range(1..=most));
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_turn_and_the_first_place_is_drawn_most_often() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut rotation = Rotation::new(4, &mut rng);
        let mut drawn = [0; 4];
        for _ in 0..4_000 {
            assert_eq!(rotation.active.len(), 2);
            drawn[usize::try_from(rotation.draw(&mut rng)).unwrap()] += 1;
        }
        assert!(drawn.iter().all(|n| *n > 100), "{drawn:?}");
        let mut alone = Rotation::new(1, &mut rng);
        assert!((0..600).all(|_| alone.draw(&mut rng) == 0));
    }
}
