//! Under what each bug is tried, and what is expected of it: the one table that the calibration is made from.
//!
//! Workloads and faults come from what the testbed says that a bug needs. This table adds how the run has to look so that
//! the bug's moment comes within a few seconds, and under which names it should appear.

use perjury_testbed::Bug;
use serde_json::{Value, json};

/// How a run of a cell looks. Times are milliseconds of the main phase.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// When each fault begins, and how long it lasts.
    pub faults: &'static [(u64, u64)],
    /// How long clients work.
    pub time_limit_ms: u64,
    /// How many clients work at a time.
    pub clients: u32,
    /// Operations per second over all clients that are aimed at.
    pub rate: f64,
    /// The share of polls among operations.
    pub polls: f64,
    /// How many partitions the topic has. With one, all clients see what happens to its leader.
    pub partitions: i32,
}

/// Enough for what needs no fault.
const BRIEF: Shape = Shape {
    faults: &[(900, 900)],
    time_limit_ms: 2_600,
    clients: 12,
    rate: 1_500.0,
    polls: 0.35,
    partitions: 4,
};

/// A failover that all clients sit through. The testbed fences a dead leader after 0.8 s, and a run in which next to
/// nothing succeeded during its fault says nothing, so that the fault lasts longer than that by more than a second.
const FAILOVER: Shape = Shape {
    faults: &[(700, 2_200)],
    time_limit_ms: 3_400,
    clients: 16,
    rate: 2_000.0,
    polls: 0.4,
    partitions: 1,
};

/// Three failovers of one partition, each after the last leader came back and is in sync again: for what shows only when a
/// leader dies in the middle of something.
const FAILOVERS: Shape = Shape {
    faults: &[(700, 2_000), (4_600, 2_000), (8_500, 2_000)],
    time_limit_ms: 10_800,
    ..FAILOVER
};

/// Four failovers of one partition, so that a replica which was deposed leads again. The dead leader stays away until clients
/// have found the next one and written past its tail: it gives way to a log that is shorter than its own.
const FAILOVERS_IN_TURN: Shape = Shape {
    faults: &[(600, 2_300), (4_300, 2_300), (8_000, 2_300), (11_700, 2_300)],
    time_limit_ms: 14_300,
    clients: 24,
    rate: 3_000.0,
    polls: 0.1,
    ..FAILOVER
};

/// Time for some hundred transactions, or for requests that are made four times a second.
const STEPS: Shape = Shape { faults: &[(700, 2_200)], time_limit_ms: 3_800, ..BRIEF };

/// Time for six members of a group to go one after the other, and for late commits of the first two.
const GROUP: Shape = Shape { faults: &[(3_600, 2_400)], time_limit_ms: 9_000, ..BRIEF };

/// The same for what needs no fault. Late commits come before it, since the node that is hit may be the group's coordinator.
const GROUP_AT_REST: Shape = Shape { faults: &[(6_300, 2_400)], ..GROUP };

/// A correct cluster under a fault. Whoever sends to a leader that is paused waits until it goes on: with many polls among
/// the operations, and several partitions, enough is done before everybody waits.
const CLEAN: Shape = Shape {
    faults: &[(400, 2_200)],
    time_limit_ms: 2_900,
    clients: 12,
    rate: 800.0,
    polls: 0.6,
    partitions: 6,
};

/// One cell of the matrix: what clients do, what is done to the cluster, and to whom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// The workload's name.
    pub workload: &'static str,
    /// The fault's name.
    pub fault: &'static str,
    /// The role that it hits.
    pub target: &'static str,
    /// Whether the bug shows without any fault. The fault is injected all the same: a run without one proves nothing.
    pub at_rest: bool,
    /// How the run looks.
    pub shape: Shape,
    /// How long its times are, in percent of the shape's.
    pub percent: u32,
}

impl Cell {
    /// The cells in which this bug can show, the ones that say most first.
    #[must_use]
    pub fn of(bug: Bug) -> Vec<Cell> {
        let needs = bug.needs();
        let at_rest = needs.faults.is_empty();
        let faults: &[&'static str] = if at_rest { &["pause"] } else { needs.faults };
        let cell = |workload: &&'static str, fault: &&'static str| Cell {
            workload,
            fault,
            target: target(bug, fault, at_rest),
            at_rest,
            shape: shape(bug, workload, at_rest),
            percent: 100,
        };
        needs.workloads.iter().flat_map(|w| faults.iter().map(move |f| cell(w, f))).collect()
    }

    /// The cells in which the correct testbed is tried under this workload. Faults that leave no node to answer are not
    /// among them: such a run cannot be judged by itself.
    #[must_use]
    pub fn clean(workload: &'static str) -> Vec<Cell> {
        let faults = [
            ("kill", "leader"),
            ("pause", "leader"),
            ("rolling-restart", "all"),
            ("kill", "follower"),
            ("pause", "follower"),
            ("restart", "leader"),
        ];
        let shape = match workload {
            "queue" | "list-offsets" => CLEAN,
            "group" => Shape {
                faults: &[(2_600, 2_400)],
                time_limit_ms: 8_000,
                partitions: 4,
                polls: 0.35,
                ..CLEAN
            },
            // A transaction that meets a leader which is away waits for it. With more partitions more do not meet it.
            "txn" | "exactly-once" | "fencing" => {
                Shape { clients: 14, partitions: 8, polls: 0.5, ..STEPS }
            }
            // A topic is made, used and deleted before the fault.
            "admin" => Shape { faults: &[(1_700, 2_200)], time_limit_ms: 4_400, ..CLEAN },
            _ => Shape { clients: 10, ..STEPS },
        };
        let cell =
            |(fault, target)| Cell { workload, fault, target, at_rest: false, shape, percent: 100 };
        faults.map(cell).to_vec()
    }

    /// The same with all times so many percent as long, for machines that are slow or busy.
    #[must_use]
    pub fn at_pace(self, percent: u32) -> Cell {
        Cell { percent, ..self }
    }

    /// How long clients work, in milliseconds.
    #[must_use]
    pub fn time_limit_ms(&self) -> u64 {
        self.stretched(self.shape.time_limit_ms)
    }

    fn stretched(&self, ms: u64) -> u64 {
        ms * u64::from(self.percent) / 100
    }

    /// The settings of its runs as fields of `plan.json`: the schedule of `seed`, which moves each fault by up to 200 ms.
    #[must_use]
    pub fn schedule(&self, seed: u64) -> Vec<Value> {
        let partitions = u64::try_from(self.shape.partitions).unwrap_or(1).max(1);
        let moved = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let fault = |(n, (at, duration)): (usize, &(u64, u64))| {
            json!({
                "fault": n,
                "at_ms": self.stretched(at + (moved >> (8 * (n % 4))) % 200),
                "duration_ms": self.stretched(*duration),
                "f": self.fault,
                "target": self.target,
                "partition": moved % partitions,
                "pick": moved & 0xffff,
            })
        };
        self.shape.faults.iter().enumerate().map(fault).collect()
    }
}

/// Whom a fault has to hit for this bug.
fn target(bug: Bug, fault: &str, at_rest: bool) -> &'static str {
    match (bug, fault) {
        (_, "kill-all") => "all",
        // The replica that lags is the one with the highest id, so that it does not lead what node 1 leads.
        (Bug::UncleanFailover, _) => "node:1",
        (Bug::CommitLost, _) => "coordinator",
        _ if at_rest => "follower",
        _ => "leader",
    }
}

/// How a run looks in which this bug's moment comes.
fn shape(bug: Bug, workload: &str, at_rest: bool) -> Shape {
    match bug {
        // Sequence numbers are counted for each producer and partition: few producers, one partition, many sends.
        Bug::SequenceWrap => {
            Shape { clients: 6, polls: 0.1, partitions: 1, time_limit_ms: 8_000, ..BRIEF }
        }
        // One record in about two hundred.
        Bug::CorruptRecord => {
            Shape { clients: 16, polls: 0.15, partitions: 1, time_limit_ms: 3_500, ..BRIEF }
        }
        Bug::DuplicateOnRetry => Shape { clients: 16, polls: 0.2, ..BRIEF },
        // Consumers have to read what was not replicated yet.
        Bug::ExposeUncommitted => Shape { polls: 0.5, ..FAILOVERS },
        // Records have to be under way to the followers when the leader dies.
        Bug::AckBeforeReplication | Bug::OffsetReuse | Bug::ListOffsetsRegression => FAILOVERS,
        // The lagging replica leaves the in-sync set after 1.5 s.
        Bug::UncleanFailover => {
            Shape { faults: &[(2_400, 1_600)], time_limit_ms: 4_400, partitions: 3, ..FAILOVER }
        }
        Bug::ForgetUnsynced => {
            Shape { faults: &[(1_700, 600)], time_limit_ms: 3_200, polls: 0.3, ..FAILOVER }
        }
        // What a follower kept is seen once it leads again.
        Bug::DivergentLogs => FAILOVERS_IN_TURN,
        // A leader that comes back is asked by somebody who asked its successor, for 1.5 s.
        Bug::StaleLeader => Shape { faults: &[(700, 1_600)], time_limit_ms: 4_400, ..FAILOVER },
        // Transactions have to be aborted, and their consumers to start again from what was committed.
        Bug::OffsetsOutsideTxn => Shape { time_limit_ms: 9_000, ..STEPS },
        Bug::SequenceTableLost => Shape { polls: 0.2, ..FAILOVER },
        _ => match workload {
            "group" if at_rest => GROUP_AT_REST,
            "group" => GROUP,
            "queue" if at_rest => BRIEF,
            "queue" | "list-offsets" => FAILOVER,
            _ => STEPS,
        },
    }
}

/// The anomalies under which this bug should appear: at least one of them.
#[must_use]
pub fn expected(bug: Bug) -> &'static [&'static str] {
    match bug {
        Bug::AckBeforeReplication | Bug::ForgetUnsynced | Bug::UncleanFailover => {
            &["lost-write", "lost-tail", "inconsistent-offsets", "truncated-log"]
        }
        Bug::DuplicateOnRetry | Bug::SequenceTableLost => &["duplicate"],
        Bug::ExposeUncommitted => {
            &["inconsistent-offsets", "truncated-log", "duplicate", "phantom-read"]
        }
        Bug::DivergentLogs | Bug::OffsetReuse => &["inconsistent-offsets", "lost-write"],
        Bug::SequenceWrap => &["lost-write", "lost-tail", "inconsistent-offsets"],
        Bug::StaleLeader | Bug::ListOffsetsRegression => &["stale-read", "offset-regression"],
        Bug::OffsetsOutsideTxn => &["exactly-once-violation"],
        Bug::AbortedVisible => &["G1a"],
        Bug::LsoTooFar => &["G1a", "early-read"],
        Bug::TornEndTxn => &["torn-transaction", "lost-write", "lost-tail", "G1a"],
        Bug::UnorderedEndTxn => &["torn-transaction", "lost-write", "lost-tail", "G1a"],
        Bug::FencingIgnored => &["zombie-write"],
        Bug::CommitLost | Bug::CommitRegression => {
            &["commit-regression", "redelivery-outside-window"]
        }
        // Commits of the members that were left behind are taken, too.
        Bug::DoubleAssignment => &["double-ownership", "zombie-commit"],
        Bug::SkipAfterRebalance => &["skipped-past-commit", "poll-skip", "lost-write"],
        Bug::CorruptRecord => &["corrupt-record"],
        Bug::IndexMixup => &["int-poll-skip", "poll-skip", "stale-read"],
        Bug::CompactionKeepsWrong => &["lost-last-value", "lost-write", "lost-tail"],
        Bug::HangingTransaction => &["hanging-transaction"],
        Bug::ZombieCommit => &["zombie-commit", "commit-regression", "redelivery-outside-window"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn correct_clusters_have_time_to_go_on_while_a_fault_lasts() {
        for workload in crate::calibrate::Design::workloads() {
            for cell in Cell::clean(workload) {
                for (at, duration) in cell.shape.faults {
                    // Fencing takes 0.8 s, and clients look for the new leader then.
                    assert!(*duration >= 2_000, "{cell:?}");
                    assert!(at + 200 + duration <= cell.shape.time_limit_ms, "{cell:?}");
                }
            }
        }
    }

    #[test]
    fn every_bug_has_cells_whose_faults_fit_into_the_run_and_anomalies_of_the_catalogue() {
        let known: BTreeSet<&str> = perjury_checker::glossary().iter().map(|e| e.name).collect();
        for bug in Bug::ALL {
            let cells = Cell::of(bug);
            assert!(!cells.is_empty(), "{bug}");
            for cell in cells {
                let last = cell.shape.faults.last().map_or(0, |(at, duration)| at + 200 + duration);
                assert!(last <= cell.shape.time_limit_ms, "{bug}: {cell:?}");
                assert_eq!(cell.schedule(7), cell.schedule(7));
                assert_eq!(cell.at_pace(250).time_limit_ms(), cell.time_limit_ms() * 5 / 2);
            }
            assert!(!expected(bug).is_empty(), "{bug}");
            for name in expected(bug) {
                assert!(known.contains(name), "{bug}: no anomaly {name}");
            }
        }
    }
}
