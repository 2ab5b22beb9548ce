//! The workload `compacted`: keys of a compacted topic are written again and again, deleted, and read back.
//!
//! Each record key has its partition. A part of the keys is in use at a time, and which one moves on, so that keys fall
//! silent and their last values must stay; some of the records are tombstones. Consumers read from the beginning now and
//! then, as whoever restores a table does.

use super::{Description, threads};
use crate::client::StartAt;
use crate::generator::{OpStream, Planned};
use crate::payload;
use crate::plan::{TopicSettings, WorkerPlan};
use crate::session::{Session, SessionError, Shared};
use crate::turn::Turn;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(super) const DESCRIPTION: Description = Description {
    name: "compacted",
    what: "keys of a compacted topic are written again and again, deleted by tombstones, and read back from the beginning",
    finds: &[
        "lost-last-value",
        "lost-write",
        "lost-tail",
        "duplicate",
        "inconsistent-offsets",
        "nonmonotonic-poll",
        "corrupt-record",
        "truncated-log",
        "stale-read",
    ],
    needs: "cleanup.policy=compact",
    coverage_min: &[("ok send", 50), ("ok assign", 3)],
};

/// How many record keys are in use at a time.
const IN_USE: i64 = 6;
/// After so many sends of a thread one key falls silent and another comes into use.
const MOVES_ON_AFTER: i64 = 24;
/// One send in this many is a tombstone.
const TOMBSTONE_ONE_IN: u32 = 12;
/// One poll in this many restarts its consumer at the beginning of the log.
const RESTORE_ONE_IN: u32 = 40;

/// The topic: compacted soon and often, as far as the cluster can be told so by the topic's configuration.
pub(super) fn topic(plan: &WorkerPlan) -> TopicSettings {
    let mut topic = plan.topic.clone();
    let settings = [
        ("cleanup.policy", "compact"),
        ("delete.retention.ms", "5000"),
        ("max.compaction.lag.ms", "1000"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("segment.ms", "1000"),
    ];
    for (name, value) in settings {
        topic.configs.entry(name.into()).or_insert_with(|| value.into());
    }
    topic
}

/// The partition of a value's record key.
fn partition_of(value: i64, partitions: i32) -> i32 {
    let number = value.rem_euclid(payload::RECORD_KEYS);
    i32::try_from(number % i64::from(partitions)).unwrap_or(0)
}

/// A value whose key is in use, after `sent` sends of the thread; nothing if the thread has none among its next ones.
fn next_in_use(stream: &mut OpStream, sent: i64) -> Option<i64> {
    let first = sent / MOVES_ON_AFTER;
    let in_use = |value: &i64| (value - first).rem_euclid(payload::RECORD_KEYS) < IN_USE;
    (0..payload::RECORD_KEYS).map(|_| stream.next_value()).find(in_use)
}

/// Runs all threads until their time is over or `stop` is cancelled.
pub(super) async fn main_phase(
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Result<(), SessionError> {
    threads(&shared, &stop, |turn| run_thread(shared.clone(), turn)).await
}

async fn run_thread(shared: Arc<Shared>, mut turn: Turn) -> Result<(), SessionError> {
    let mut stream = OpStream::new(&shared.plan, turn.thread);
    let mut rng = ChaCha8Rng::seed_from_u64(shared.plan.seed ^ 0x636f_6d70_6163);
    rng.set_stream(u64::from(turn.thread) + 1);
    let mut session = Session::new(shared.clone(), turn.thread)?;
    let wait = Duration::from_millis(shared.plan.client.poll_ms);
    let partitions = shared.plan.topic.partitions;
    let (mut sent, mut assigned) = (0, Vec::new());
    while turn.is_due(&shared, stream.gap()).await {
        match stream.next_op() {
            Planned::Assign(partitions) => {
                session.assign(&partitions, StartAt::Recent).await?;
                assigned = partitions;
            }
            Planned::Send { .. } => {
                let tombstone = rng.random_ratio(1, TOMBSTONE_ONE_IN);
                sent += 1;
                if let Some(value) = next_in_use(&mut stream, sent) {
                    session.send_as(partition_of(value, partitions), value, tombstone).await?;
                }
            }
            Planned::Poll if rng.random_ratio(1, RESTORE_ONE_IN) => {
                // A consumer of the same client would go on where it is.
                session.crash().await?;
                session.assign_whole(&assigned).await?;
            }
            Planned::Poll => {
                session.poll(wait, shared.plan.client.poll_records_max).await?;
            }
        }
    }
    session.close().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_come_into_use_and_fall_silent() {
        let plan = crate::plan::tests::plan(3);
        let mut stream = OpStream::new(&plan, 1);
        let keys = |stream: &mut OpStream, from: i64| -> BTreeSet<String> {
            let values = (from..from + 20).filter_map(|sent| next_in_use(stream, sent));
            values.map(payload::record_key).collect()
        };
        let (early, late) = (keys(&mut stream, 0), keys(&mut stream, 240));
        assert!(!early.is_empty() && early.len() <= 7, "{early:?}");
        assert!(early.is_disjoint(&late), "{early:?} {late:?}");
    }

    #[tokio::test]
    async fn whoever_reads_from_the_beginning_needs_no_answer_that_could_come_late() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        let recorder = crate::recorder::Recorder::create(
            &path,
            &perjury_history::Header::default(),
            std::time::Instant::now(),
        );
        let (plan, recorder) = (crate::plan::tests::plan(3), Arc::new(recorder.unwrap()));
        let shared = Shared::new(plan, "127.0.0.1:1".into(), recorder, Arc::default());
        let mut session = Session::new(Arc::new(shared), 0).unwrap();
        session.assign_whole(&[0, 1]).await.unwrap();
        assert_eq!(session.client().assigned_offsets().await, [(0, Some(0)), (1, Some(0))]);
        session.close().await;
    }

    #[test]
    fn a_key_has_one_partition() {
        assert!((0..200).all(|value| partition_of(value, 4) == partition_of(value + 16, 4)));
        assert_eq!((0..16).map(|value| partition_of(value, 4)).collect::<BTreeSet<_>>().len(), 4);
    }
}
