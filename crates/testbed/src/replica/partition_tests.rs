use std::collections::BTreeSet;

use tempfile::TempDir;

use super::*;
use crate::bugs::Bug;
use crate::log::batch::check;
use crate::log::records::{encode, records};
use crate::replica::types::{Fetched, Isolation};

/// A replica on node 1 of brokers 1, 2 and 3, and the directory of its log.
fn replica(bugs: &[Bug]) -> (TempDir, Partition) {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = PartitionLog::open(dir.path(), 1 << 20).unwrap();
    let bugs: BTreeSet<Bug> = bugs.iter().copied().collect();
    let identity = Identity { topic: "t".to_owned(), topic_id: Uuid::nil(), index: 0, node: 1 };
    let partition = Partition::new(identity, log, 0, Arc::new(Switches::new(&bugs)));
    (dir, partition)
}

fn state(leader: u32, leader_epoch: i32) -> PartitionState {
    PartitionState {
        replicas: vec![1, 2, 3],
        isr: vec![1, 2, 3],
        leader: Some(leader),
        leader_epoch,
        partition_epoch: leader_epoch,
    }
}

fn batch_of(value: &str, transaction: Option<(i64, i16)>) -> (Bytes, BatchHeader) {
    let record = (b"key".to_vec(), Some(value.as_bytes().to_vec()));
    let bytes = encode(&[record], 7, transaction);
    let header = check(&bytes).unwrap();
    (bytes, header)
}

fn produce(partition: &Partition, value: &str, transaction: Option<(i64, i16)>) -> i64 {
    let (bytes, header) = batch_of(value, transaction);
    let appended = partition.produce(&bytes, &header, Conditions::default()).unwrap();
    partition.count_as_synced();
    appended.last_offset
}

/// Both followers have everything up to an offset.
fn followers_at(partition: &Partition, epoch: i32, offset: i64) {
    for follower in [2, 3] {
        partition.read_as_follower(follower, (0, offset), epoch, 0).unwrap();
    }
}

fn end(partition: &Partition, commit: bool, ordinal: i64) {
    let marker = Marker { commit, coordinator_epoch: 0, ordinal };
    partition.end_transaction((9, 0), marker, 7, None).unwrap();
    partition.count_as_synced();
}

fn read(partition: &Partition, isolation: Isolation) -> Fetched {
    partition.read(0, -1, 1 << 20, isolation).unwrap()
}

/// A leader with a committed record and an open transaction of one, both on all replicas.
fn open_transaction(bugs: &[Bug]) -> (TempDir, Partition) {
    let (dir, partition) = replica(bugs);
    partition.apply(&state(1, 0), 1).unwrap();
    produce(&partition, "plain", None);
    produce(&partition, "open", Some((9, 0)));
    followers_at(&partition, 0, 2);
    (dir, partition)
}

#[test]
fn the_stable_offset_waits_for_the_marker_on_all_replicas() {
    let (_dir, partition) = open_transaction(&[]);
    let fetched = read(&partition, Isolation::ReadCommitted);
    assert_eq!((fetched.watermark, fetched.stable), (2, 1));
    assert_eq!(partition.latest_offset(-1, Isolation::ReadCommitted).unwrap(), (0, 1));
    end(&partition, false, 1);
    assert_eq!(read(&partition, Isolation::ReadCommitted).stable, 1);
    followers_at(&partition, 0, 3);
    let fetched = read(&partition, Isolation::ReadCommitted);
    assert_eq!((fetched.stable, fetched.aborted.len()), (3, 1));
    assert_eq!(fetched.aborted[0].first_offset, 1);
    // The same marker again changes nothing.
    end(&partition, false, 1);
    assert_eq!(partition.last_offset(0).unwrap(), 2);
}

#[test]
fn lso_too_far_serves_open_transactions() {
    let (_dir, partition) = open_transaction(&[Bug::LsoTooFar]);
    assert_eq!(read(&partition, Isolation::ReadCommitted).stable, 2);
}

#[test]
fn a_batch_that_comes_after_its_transaction_is_refused() {
    let (_dir, partition) = open_transaction(&[]);
    let (open, last_ended) = partition.transaction_of(9);
    assert_eq!((open, last_ended), (true, -1));
    end(&partition, true, 1);
    let (bytes, header) = batch_of("late", Some((9, 0)));
    let conditions = Conditions { last_ended: Some(-1), ..Conditions::default() };
    let refused = partition.produce(&bytes, &header, conditions);
    assert!(matches!(refused, Err(ReplicaError::Kafka(ResponseError::InvalidTxnState))));
}

/// A leader in epoch 0 with offsets 0 and 1 committed and 2 not, which then leads in epoch 2.
fn re_elected(bugs: &[Bug]) -> (TempDir, Partition) {
    let (dir, partition) = replica(bugs);
    partition.apply(&state(1, 0), 1).unwrap();
    for value in ["a", "b"] {
        produce(&partition, value, None);
    }
    followers_at(&partition, 0, 2);
    produce(&partition, "c", None);
    partition.apply(&state(2, 1), 1).unwrap();
    partition.apply(&state(1, 2), 1).unwrap();
    (dir, partition)
}

#[test]
fn a_new_leader_keeps_its_log_and_waits_with_its_end() {
    let (_dir, partition) = re_elected(&[]);
    assert_eq!(partition.last_offset(2).unwrap(), 2);
    let early = partition.latest_offset(-1, Isolation::ReadUncommitted);
    assert!(matches!(early, Err(ReplicaError::Kafka(ResponseError::OffsetNotAvailable))));
    followers_at(&partition, 2, 3);
    assert_eq!(partition.latest_offset(-1, Isolation::ReadUncommitted).unwrap(), (2, 3));
}

#[test]
fn offset_reuse_drops_what_is_above_the_watermark() {
    let (_dir, partition) = re_elected(&[Bug::OffsetReuse]);
    assert_eq!(partition.last_offset(2).unwrap(), 1);
    assert_eq!(produce(&partition, "other", None), 2);
}

#[test]
fn list_offsets_regression_tells_less_than_its_predecessor_may_have_told() {
    let (_dir, partition) = re_elected(&[Bug::ListOffsetsRegression]);
    let (_, end) = partition.latest_offset(-1, Isolation::ReadUncommitted).unwrap();
    assert!(end < 3);
}

#[test]
fn sequence_table_lost_takes_a_retry_again_after_an_election() {
    for (bugs, expected) in [(vec![], 0), (vec![Bug::SequenceTableLost], 1)] {
        let (_dir, partition) = replica(&bugs);
        let bytes = Bytes::from(crate::log::batch::tests::batch(0, -1, (5, 0, 0), &["x"]));
        let header = check(&bytes).unwrap();
        partition.apply(&state(1, 0), 1).unwrap();
        partition.produce(&bytes, &header, Conditions::default()).unwrap();
        partition.apply(&state(2, 1), 1).unwrap();
        partition.apply(&state(1, 2), 1).unwrap();
        let again = partition.produce(&bytes, &header, Conditions::default()).unwrap();
        assert_eq!(again.base_offset, expected, "{bugs:?}");
    }
}

#[test]
fn divergent_logs_keeps_what_the_leader_does_not_have() {
    for (bugs, expected) in [(vec![], 2), (vec![Bug::DivergentLogs], 3)] {
        let (_dir, partition) = replica(&bugs);
        partition.apply(&state(1, 0), 1).unwrap();
        for value in ["a", "b", "c"] {
            produce(&partition, value, None);
        }
        partition.apply(&state(2, 1), 1).unwrap();
        assert!(partition.truncate_to_leader(1, (0, 2)).unwrap());
        assert_eq!(partition.fetch_position(1), Some(expected), "{bugs:?}");
    }
}

#[test]
fn divergent_logs_gives_way_when_the_leaders_log_is_the_shorter_one() {
    let (_dir, partition) = replica(&[Bug::DivergentLogs]);
    partition.apply(&state(1, 0), 1).unwrap();
    for value in ["a", "b", "c"] {
        produce(&partition, value, None);
    }
    partition.apply(&state(2, 1), 1).unwrap();
    partition.note_overlong();
    assert!(partition.truncate_to_leader(1, (0, 2)).unwrap());
    assert_eq!(partition.fetch_position(1), Some(2));
}

#[test]
fn followers_learn_the_watermark_one_fetch_late_where_a_bug_needs_it() {
    for (bugs, expected) in
        [(vec![], 2), (vec![Bug::OffsetReuse], 0), (vec![Bug::ListOffsetsRegression], 0)]
    {
        let (_dir, partition) = replica(&bugs);
        let in_sync = PartitionState { isr: vec![1, 2], ..state(1, 0) };
        partition.apply(&in_sync, 1).unwrap();
        std::thread::sleep(partition.switches.still_watermark().unwrap_or_default());
        for value in ["a", "b"] {
            produce(&partition, value, None);
        }
        let told = || partition.read_as_follower(2, (0, 2), 0, 0).unwrap().watermark;
        assert_eq!(told(), expected, "{bugs:?}");
        assert_eq!(told(), 2, "{bugs:?}");
    }
}

#[test]
fn a_deposed_leader_that_leads_for_readers_takes_no_writes_and_proposes_nothing() {
    let (_dir, partition) = replica(&[Bug::StaleLeader]);
    partition.apply(&state(1, 0), 1).unwrap();
    produce(&partition, "a", None);
    followers_at(&partition, 0, 1);
    partition.haunt();
    let (bytes, header) = batch_of("b", None);
    let refused = partition.produce(&bytes, &header, Conditions::default());
    assert!(matches!(refused, Err(ReplicaError::Kafka(ResponseError::NotLeaderOrFollower))));
    assert_eq!(read(&partition, Isolation::ReadUncommitted).watermark, 1);
    assert_eq!(partition.progress().borrow().leading, None);
    assert!(partition.isr_proposal(Duration::ZERO, |_| true).is_none());
    partition.apply(&state(2, 1), 1).unwrap();
    assert!(!partition.is_zombie());
    let gone = partition.read(0, -1, 1 << 20, Isolation::ReadUncommitted);
    assert!(matches!(gone, Err(ReplicaError::Kafka(ResponseError::NotLeaderOrFollower))));
}

#[test]
fn deleted_records_are_out_of_range_also_after_a_restart() {
    let (dir, partition) = replica(&[]);
    partition.apply(&PartitionState { isr: vec![1], ..state(1, 0) }, 1).unwrap();
    for value in ["a", "b", "c"] {
        produce(&partition, value, None);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    assert_eq!(runtime.block_on(partition.delete_records(2, deadline)).unwrap(), 2);
    let beyond = runtime.block_on(partition.delete_records(9, deadline));
    assert!(matches!(beyond, Err(ReplicaError::Kafka(ResponseError::OffsetOutOfRange))));
    let early = partition.read(1, -1, 1 << 20, Isolation::ReadUncommitted);
    assert!(matches!(early, Err(ReplicaError::Kafka(ResponseError::OffsetOutOfRange))));
    assert_eq!(partition.earliest(-1).unwrap().1, 2);
    drop(partition);
    let (log, _) = PartitionLog::open(dir.path(), 1 << 20).unwrap();
    assert_eq!((log.start_offset(), log.end_offset()), (2, 3));
}

#[test]
fn index_mixup_skips_records_of_a_reader_in_the_middle() {
    for (bugs, sound) in [(vec![], true), (vec![Bug::IndexMixup], false)] {
        let (_dir, partition) = replica(&bugs);
        partition.apply(&PartitionState { isr: vec![1], ..state(1, 0) }, 1).unwrap();
        let value = "v".repeat(1_000);
        for _ in 0..60 {
            produce(&partition, &value, None);
        }
        let fetched = partition.read(3, -1, 1 << 20, Isolation::ReadUncommitted).unwrap();
        let first = check(&fetched.records).unwrap().base_offset;
        assert_eq!(first == 3, sound, "{bugs:?} began at {first}");
    }
}

#[test]
fn corrupt_record_flips_a_bit_now_and_then() {
    for (bugs, expected) in [(vec![], 0), (vec![Bug::CorruptRecord], 2)] {
        let (_dir, partition) = replica(&bugs);
        partition.apply(&PartitionState { isr: vec![1], ..state(1, 0) }, 1).unwrap();
        for _ in 0..430 {
            produce(&partition, "value", None);
        }
        let fetched = read(&partition, Isolation::ReadUncommitted);
        let batches = crate::log::records::batches(&fetched.records);
        let damaged = batches.iter().filter(|(_, batch)| {
            check(batch).unwrap();
            records(batch)[0].value != Some(b"value")
        });
        assert_eq!(damaged.count(), expected);
    }
}
