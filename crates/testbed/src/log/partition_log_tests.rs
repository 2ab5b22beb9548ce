use super::super::batch::check_produced;
use super::super::batch::tests::{NO_PRODUCER, batch};
use super::*;

/// Appends one client batch and returns what became of it.
fn produce(
    log: &mut PartitionLog,
    epoch: i32,
    producer: (i64, i16, i32),
    values: &[&str],
) -> Produced {
    let bytes = Bytes::from(batch(0, -1, producer, values));
    let header = check_produced(&bytes).unwrap();
    log.produce(&bytes, &header, epoch, &Switches::default()).unwrap()
}

fn open(dir: &Path) -> (PartitionLog, u64) {
    PartitionLog::open(dir, 300).unwrap()
}

/// A log over several segments: offsets 0..20 in epoch 0 and 20..30 in epoch 3, in pairs.
fn filled(dir: &Path) -> PartitionLog {
    let (mut log, _) = open(dir);
    for index in 0..15 {
        let epoch = if index < 10 { 0 } else { 3 };
        produce(&mut log, epoch, (9, 0, 2 * index), &["left", "right"]);
    }
    assert!(log.segments.len() > 3);
    log
}

#[test]
fn reopening_derives_the_same_state() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    let (again, dropped) = open(dir.path());
    assert_eq!(dropped, 0);
    assert_eq!(again.end_offset(), 30);
    assert_eq!(again.epochs, log.epochs);
    assert_eq!(again.producers, log.producers);
    for from in 0..30 {
        assert_eq!(again.read(from, 30, 4096).unwrap(), log.read(from, 30, 4096).unwrap());
    }
}

#[test]
fn a_torn_tail_is_cut_and_appending_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    let last = log.segments.last().unwrap().path.clone();
    let size = fs::metadata(&last).unwrap().len();
    drop(log);
    File::options().write(true).open(&last).unwrap().set_len(size - 3).unwrap();
    let (mut log, dropped) = open(dir.path());
    assert!(dropped > 0);
    assert_eq!(log.end_offset(), 28);
    // The lost batch is new again, not a duplicate.
    let expected = Produced::Appended { base_offset: 28, last_offset: 29 };
    assert_eq!(produce(&mut log, 3, (9, 0, 28), &["left", "right"]), expected);
}

#[test]
fn a_flipped_bit_cuts_everything_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    let second = log.segments[1].path.clone();
    let end = log.segments[1].base_offset;
    drop(log);
    let mut bytes = fs::read(&second).unwrap();
    bytes[70] ^= 4;
    fs::write(&second, bytes).unwrap();
    let (log, dropped) = open(dir.path());
    assert!(dropped > 0);
    assert_eq!(log.end_offset(), end);
    assert_eq!(segment_files(dir.path()).unwrap().len(), 2);
}

#[test]
fn truncation_rolls_back_epochs_and_producers() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = filled(dir.path());
    assert_eq!(log.epochs.end_offset_for(0, 30), Some((0, 20)));
    let before = log.generation();
    log.truncate(20).unwrap();
    assert_ne!(log.generation(), before);
    assert_eq!(log.end_offset(), 20);
    assert_eq!(log.epochs.latest(), Some(0));
    assert_eq!(produce(&mut log, 4, (9, 0, 22), &["x"]), Produced::OutOfOrder);
    let expected = Produced::Appended { base_offset: 20, last_offset: 20 };
    assert_eq!(produce(&mut log, 4, (9, 0, 20), &["x"]), expected);
    let (again, dropped) = open(dir.path());
    assert_eq!((again.end_offset(), dropped), (21, 0));
    // An offset inside a batch takes the whole batch.
    log.truncate(5).unwrap();
    assert_eq!(log.end_offset(), 4);
    log.truncate(0).unwrap();
    assert_eq!((log.end_offset(), log.epochs.latest()), (0, None));
}

#[test]
fn reads_are_bounded_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    let one = log.read(3, 30, 1).unwrap();
    let header = batch::check(&one).unwrap();
    assert_eq!((header.base_offset, header.size), (2, one.len()));
    assert!(log.read(4, 4, 4096).unwrap().is_empty());
    assert!(log.read(4, 5, 4096).unwrap().is_empty());
    assert!(log.read(30, 99, 4096).unwrap().is_empty());
}

#[test]
fn a_follower_takes_only_what_continues_its_log() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let leader = filled(from.path());
    let (mut follower, _) = open(to.path());
    while follower.end_offset() < 30 {
        let bytes = leader.read(follower.end_offset(), 30, 200).unwrap();
        follower.replicate(&bytes).unwrap();
    }
    assert_eq!(follower.producers, leader.producers);
    assert_eq!(follower.epochs, leader.epochs);
    let gap = follower.replicate(&leader.read(0, 30, 1).unwrap());
    assert!(matches!(gap, Err(AppendError::Gap { expected: 30, got: 0 })));
}

#[test]
fn timestamps_are_found_below_the_bound() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    for offset in 0..10 {
        log.replicate(&batch(offset, 0, NO_PRODUCER, &["value"])).unwrap();
    }
    assert_eq!(log.find_timestamp(1004, 10).unwrap(), Some((4, 1004)));
    assert_eq!(log.find_timestamp(1004, 4).unwrap(), None);
    assert_eq!(log.find_timestamp(2000, 10).unwrap(), None);
    assert_eq!(log.find_max_timestamp(7).unwrap(), Some((6, 1006)));
    assert_eq!(log.find_max_timestamp(0).unwrap(), None);
}

/// A log of `count` records under two keys in segments of a few, and what compaction left of it.
fn compacted(policy: Policy) -> (tempfile::TempDir, Vec<(i64, Option<String>)>) {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    let mut put = |key: &str, value: Option<&str>, transaction| {
        let record = (key.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec()));
        let bytes = records::encode(&[record], 1_000, transaction);
        let header = batch::check(&bytes).unwrap();
        log.produce(&bytes, &header, 0, &Switches::default()).unwrap();
        header
    };
    for number in 0..6 {
        put("even", Some(&number.to_string()), None);
        put("odd", Some(&number.to_string()), None);
    }
    put("gone", Some("x"), None);
    put("gone", None, None);
    put("even", Some("aborted"), Some((9, 0)));
    let aborted = Marker { commit: false, coordinator_epoch: 0, ordinal: 1 };
    log.end_transaction((9, 0), aborted, 0, 1_000).unwrap();
    let before = log.end_offset();
    assert!(log.compact(before, policy).unwrap());
    assert!(!log.compact(before, policy).unwrap(), "nothing is left to do");
    assert_eq!(log.end_offset(), before);
    let mut found = Vec::new();
    let mut from = 0;
    while from < before {
        let bytes = log.read(from, before, 4096).unwrap();
        for (header, batch) in records::batches(&bytes) {
            from = header.next_offset();
            let data = records::records(batch).into_iter().filter(|_| !header.is_control());
            found.extend(data.map(|record| {
                let value = record.value.map(|value| String::from_utf8(value.to_vec()).unwrap());
                (record.offset, value)
            }));
        }
    }
    let (again, dropped) = open(dir.path());
    assert_eq!((again.end_offset(), dropped), (before, 0));
    assert_eq!(again.transactions, log.transactions);
    (dir, found)
}

#[test]
fn compaction_keeps_the_last_value_of_each_key() {
    let keep = Policy { tombstones_before: 0, keep_first: false };
    let five = Some("5".to_owned());
    let (_dir, found) = compacted(keep);
    assert_eq!(found, [(10, five.clone()), (11, five.clone()), (13, None)]);
    let (_dir, found) = compacted(Policy { tombstones_before: 2_000, ..keep });
    assert_eq!(found, [(10, five.clone()), (11, five)]);
}

#[test]
fn compaction_keeps_wrong_keeps_the_first() {
    let (_dir, found) = compacted(Policy { tombstones_before: 0, keep_first: true });
    let expected = [(0, "0"), (1, "0"), (12, "x")].map(|(at, value)| (at, Some(value.to_owned())));
    assert_eq!(found, expected);
}
