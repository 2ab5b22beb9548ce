//! The stream of operations of one thread: what to do and when, from the seed alone.
//!
//! Nothing here depends on what the cluster answers, so that the same seed asks the same of two clusters.

use crate::plan::WorkerPlan;
use rand::Rng;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// What a thread does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// Assign exactly these partitions.
    Assign(Vec<i32>),
    /// Send this value to this partition.
    Send {
        /// The partition.
        partition: i32,
        /// The value, unique over the whole run.
        value: i64,
    },
    /// Poll.
    Poll,
}

/// One operation in this many is a new assignment, as in Jepsen's kafka workload.
const ASSIGN_ONE_IN: u32 = 64;

/// The operations of one thread, without end.
#[derive(Debug)]
pub struct OpStream {
    rng: ChaCha8Rng,
    partitions: i32,
    poll_ratio: f64,
    mean_gap: Duration,
    stride: i64,
    next_value: i64,
    first: bool,
}

impl OpStream {
    /// The stream of thread `thread`. Threads 0 to `concurrency - 1` work; thread `concurrency` writes and reads at the
    /// end. Values are `thread`, `thread + threads`, …, so no two threads share one.
    pub fn new(plan: &WorkerPlan, thread: u32) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
        rng.set_stream(u64::from(thread) + 1);
        OpStream {
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
    pub fn gap(&mut self) -> Duration {
        self.mean_gap.mul_f64(self.rng.random_range(0.0..2.0))
    }

    /// The next operation. The first one is an assignment.
    pub fn next_op(&mut self) -> Planned {
        if std::mem::take(&mut self.first) || self.rng.random_ratio(1, ASSIGN_ONE_IN) {
            return Planned::Assign(self.subset());
        }
        if self.rng.random_bool(self.poll_ratio) {
            return Planned::Poll;
        }
        let partition = self.rng.random_range(0..self.partitions);
        Planned::Send { partition, value: self.next_value() }
    }

    /// The next value of this thread.
    pub fn next_value(&mut self) -> i64 {
        let value = self.next_value;
        self.next_value += self.stride;
        value
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
