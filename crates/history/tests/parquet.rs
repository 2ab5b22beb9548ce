//! The Parquet twin: nothing is lost either way, and damage is an error.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod common;

use bytes::Bytes;
use common::events;
use perjury_history::formats::{self, Format};
use perjury_history::{
    Configuration, Event, Header, History, HistoryBuilder, ReadError, ReadErrorKind, ReadOptions,
    jsonl, parquet,
};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn history(events: &[Event], header: Header) -> History {
    let mut builder = HistoryBuilder::new(header);
    events.iter().for_each(|e| builder.push(e));
    builder.finish()
}

fn written(history: &History) -> Vec<u8> {
    let mut bytes = Vec::new();
    parquet::write(history, &mut bytes).unwrap();
    bytes
}

fn read(bytes: Vec<u8>) -> Result<History, ReadError> {
    parquet::read(Bytes::from(bytes), "test.parquet", &ReadOptions::default())
}

fn native(history: &History) -> String {
    let mut text = Vec::new();
    jsonl::write(history, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// A plain history of this many operations, each a send and a poll of what was sent.
fn plain(operations: u64) -> History {
    let mut text = String::from("{\"perjury\":\"history\",\"format\":\"1.0\",\"config\":{}}\n");
    for i in 0..operations {
        let (row, process) = (4 * i, i % 7);
        text += &format!(
            "{{\"index\":{row},\"time\":{row},\"process\":{process},\"type\":\"invoke\",\"f\":\"send\",\"value\":[[\"send\",\"a-0\",{i}]]}}\n\
             {{\"index\":{},\"time\":{row},\"process\":{process},\"type\":\"ok\",\"f\":\"send\",\"value\":[[\"send\",\"a-0\",[{i},{i}]]]}}\n\
             {{\"index\":{},\"time\":{row},\"process\":9,\"type\":\"invoke\",\"f\":\"poll\",\"value\":[[\"poll\"]]}}\n\
             {{\"index\":{},\"time\":{row},\"process\":9,\"type\":\"ok\",\"f\":\"poll\",\"value\":[[\"poll\",{{\"a-0\":[[{i},{i}]]}}]]}}\n",
            row + 1,
            row + 2,
            row + 3
        );
    }
    jsonl::read(text.as_bytes(), "plain", &ReadOptions::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost(events in events(), seed in any::<u64>()) {
        let config = Configuration { idempotence: Some(true), ..Configuration::default() };
        let header = Header { seed: Some(seed), config, nemesis: vec!["kill".into()], ..Header::default() };
        let before = history(&events, header);
        let after = read(written(&before)).unwrap();
        prop_assert_eq!(&before.header, &after.header);
        prop_assert!(before.events().eq(after.events()));
        prop_assert_eq!(native(&before), native(&after));
        prop_assert_eq!(written(&before), written(&after));
        let pairs = |h: &History| (0..h.len()).map(|i| h.pair(i)).collect::<Vec<_>>();
        prop_assert_eq!(pairs(&before), pairs(&after));
    }
}

#[test]
fn several_row_groups_and_batches_are_one_history() {
    let before = plain(40_000);
    let bytes = written(&before);
    let text = native(&before);
    assert!(bytes.len() * 4 < text.len(), "{} bytes for {}", bytes.len(), text.len());
    let after = read(bytes).unwrap();
    assert_eq!(text, native(&after));
}

#[test]
fn a_torn_end_and_an_empty_history_are_kept() {
    let text = "{\"perjury\":\"history\",\"format\":\"1.0\",\"config\":{}}\n{\"index\":0,\"ti";
    let before = jsonl::read(text.as_bytes(), "torn", &ReadOptions::default()).unwrap();
    assert!(before.torn && before.is_empty());
    let after = read(written(&before)).unwrap();
    assert!(after.torn && after.is_empty());
    assert_eq!(before.torn_bytes, after.torn_bytes);
}

#[test]
fn the_format_is_recognised() {
    let before = plain(10);
    let bytes = written(&before);
    assert_eq!(formats::detect(&bytes, "x"), Some(Format::Parquet));
    let after = formats::read_any(bytes.as_slice(), "x", None).unwrap();
    assert_eq!(native(&before), native(&after));
}

#[test]
fn limits_hold() {
    let bytes = written(&plain(10));
    let options = ReadOptions { events_max: 39, ..ReadOptions::default() };
    let error = parquet::read(Bytes::from(bytes), "x", &options).unwrap_err();
    assert!(matches!(error.kind, ReadErrorKind::TooMany { limit: 39 }), "{error}");
    assert_eq!(error.line, 40);
}

#[test]
fn what_is_no_parquet_is_refused() {
    for bytes in [&b""[..], b"PAR1", b"PAR1PAR1", b"PAR1\0\0\0\0PAR1", b"PAR1\xff\xff\xff\x7fPAR1"]
    {
        let error = read(bytes.to_vec()).unwrap_err();
        assert!(matches!(error.kind, ReadErrorKind::Parquet(_)), "{error}");
        assert!(error.to_string().contains("the whole file"), "{error}");
    }
}

#[test]
fn damage_is_an_error_or_shows_nowhere() {
    let sound = [written(&plain(3)), written(&plain(50))];
    let cases = cases::cases(1_000_000) / 5;
    let (mut read_all, mut refused) = (0u64, 0u64);
    for case in 0..cases {
        let mut rng = ChaCha8Rng::seed_from_u64(case);
        let mut bytes = sound[usize::try_from(case % 2).unwrap()].clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            match rng.random_range(0..5) {
                0 => bytes.truncate(at.max(1)),
                1 => drop(bytes.drain(at..(at + rng.random_range(1..9)).min(bytes.len()))),
                2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.random_range(0..5)],
                3 => bytes[at] ^= 1 << rng.random_range(0..8),
                _ => bytes[at] = rng.random(),
            }
            if bytes.is_empty() {
                break;
            }
        }
        let size = bytes.len() as u64;
        match read(bytes) {
            Ok(history) => {
                read_all += 1;
                let numbered = history.len() + history.mops_len() + history.records_len();
                assert!(numbered as u64 <= (1 << 20) + 64 * size, "case {case}");
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty(), "case {case}");
            }
        }
    }
    assert!(read_all > 0 && refused > 0, "{read_all} read, {refused} refused");
}
