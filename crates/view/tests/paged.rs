//! What is read block by block answers as the whole history in memory does, and reads no more than it needs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use perjury_history::{History, Kind, Process, jsonl};
use perjury_sim::{Defect, Options};
use perjury_view::filter::{Ended, Filter, Who, search};
use perjury_view::log::log;
use perjury_view::operation::{Op, OperationView};
use perjury_view::paged::{Paged, PagedError, Settings, build, build_from};
use perjury_view::timeline::timeline;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::Cursor;

const SEED: u64 = 20_261_123;

fn json(of: &impl Serialize) -> Value {
    serde_json::to_value(of).unwrap()
}

fn text_of(history: &History) -> Vec<u8> {
    let mut text = Vec::new();
    jsonl::write(history, &mut text).unwrap();
    text
}

fn index_of(text: &[u8], block_bytes: usize) -> Result<Vec<u8>, PagedError> {
    let mut index = Cursor::new(Vec::new());
    build(text, "h", &mut index, &Settings { block_bytes })?;
    Ok(index.into_inner())
}

fn paged(text: &[u8], block_bytes: usize) -> Paged {
    let index = index_of(text, block_bytes).unwrap();
    Paged::open(Box::new(text.to_vec()), Box::new(index), "h").unwrap().unwrap()
}

fn whole(text: &[u8]) -> History {
    jsonl::read(text, "h", &jsonl::ReadOptions::default()).unwrap()
}

fn simulated(operations: u64, seed: u64) -> Vec<u8> {
    let defects = vec!["lose-acked".parse::<Defect>().unwrap()];
    let options = Options { defects, ..Options::sized(operations, seed) };
    text_of(&perjury_sim::generate(&options).0)
}

/// Numbers that look drawn, the same each time.
fn drawn(state: &mut u64, below: i64) -> i64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    i64::try_from(*state >> 33).unwrap() % below.max(1)
}

/// Making it a second time from the file is what a run that was just checked is spared.
#[test]
fn an_index_from_memory_is_that_from_the_file_to_the_byte() {
    let simulated = simulated(3000, SEED + 1);
    let torn = [&simulated[..], b"{\"index\":999999,\"ti"].concat();
    let unended = simulated[..simulated.len() - 1].to_vec();
    let blank = String::from_utf8(simulated.clone()).unwrap().replace('\n', "\n \n").into_bytes();
    for (what, text) in
        [("whole", &simulated), ("torn", &torn), ("unended", &unended), ("blank", &blank)]
    {
        let history = whole(text);
        for block_bytes in [700, 40_000, 1 << 20] {
            let mut index = Cursor::new(Vec::new());
            build_from(&history, &**text, "h", &mut index, &Settings { block_bytes }).unwrap();
            let same = index.into_inner() == index_of(text, block_bytes).unwrap();
            assert!(same, "{what}, blocks of {block_bytes}");
        }
    }
    let shorter = &simulated[..simulated.len() / 2];
    let mut index = Cursor::new(Vec::new());
    let wrong = build_from(&whole(&simulated), shorter, "h", &mut index, &Settings::default());
    assert!(matches!(wrong, Err(PagedError::Damaged(_))), "{wrong:?}");
}

#[test]
fn windows_are_those_of_the_whole_history() {
    let text = simulated(4000, SEED);
    let history = whole(&text);
    let mut state = SEED;
    for block_bytes in [3000, 40_000, 1 << 20] {
        let paged = paged(&text, block_bytes);
        assert_eq!(paged.len(), history.len() as u64);
        let Ok(all) = timeline(&history, None, None, 300);
        assert_eq!(json(&timeline(&paged, None, None, 300).unwrap()), json(&all));
        let duration = json(&all)["duration"].as_i64().unwrap();
        for _ in 0..20 {
            let from = drawn(&mut state, duration);
            let to = from + drawn(&mut state, duration / 5);
            let points = usize::try_from(drawn(&mut state, 400)).unwrap();
            let Ok(wanted) = timeline(&history, Some(from), Some(to), points);
            let found = timeline(&paged, Some(from), Some(to), points).unwrap();
            assert_eq!(json(&found), json(&wanted), "{block_bytes} {from} {to} {points}");
        }
        for key in ["0", "1", "orders-0", "none"] {
            let from = drawn(&mut state, 300);
            let to = from + drawn(&mut state, 200);
            let found = paged.log(key, from, to).unwrap();
            assert_eq!(json(&found), json(&log(&history, key, from, to)), "{key} {from} {to}");
        }
        for _ in 0..60 {
            let row = usize::try_from(drawn(&mut state, 7000)).unwrap() % history.len();
            let op = paged.op(row).unwrap().unwrap();
            assert_eq!(op, Op::of(&history, row), "{block_bytes} {row}");
            let wanted = OperationView::of(&history, op, 50);
            assert_eq!(json(&paged.view(op, 50).unwrap()), json(&wanted));
        }
        assert_eq!(paged.op(history.len()).unwrap(), None);
    }
}

#[test]
fn searches_find_what_a_search_in_memory_finds() {
    let text = simulated(3000, SEED + 1);
    let history = whole(&text);
    let paged = paged(&text, 20_000);
    let key = history.key(perjury_history::KeyId(0)).to_string();
    let sent = (0..history.len()).find_map(|i| {
        let Ok(event) = serde_json::to_value(history.event(i)) else { return None };
        (event["f"] == "send" && event["type"] == "ok").then(|| event["value"][0][2].clone())
    });
    let sent = sent.unwrap();
    let filters = [
        Filter::default(),
        Filter { who: Who::All, ..Filter::default() },
        Filter { who: Who::One(Process::Client(1)), ..Filter::default() },
        Filter { f: Some("poll".into()), since: Some(1_000_000), ..Filter::default() },
        Filter { ended: Some(Ended::Open), ..Filter::default() },
        Filter { ended: Some(Ended::As(Kind::Info)), ..Filter::default() },
        Filter { key: Some(key.clone()), ..Filter::default() },
        Filter { key: Some(key.clone()), offset: Some(17), ..Filter::default() },
        Filter { offset: sent[0].as_i64(), ..Filter::default() },
        Filter { value: Some(sent[1].to_string()), ..Filter::default() },
        Filter { value: Some("never sent".into()), ..Filter::default() },
        Filter { error: Some("TIME".into()), ..Filter::default() },
        Filter { key: Some("no such key".into()), ..Filter::default() },
        Filter { until: Some(5_000_000), f: Some("send".into()), ..Filter::default() },
    ];
    let mut found_any = 0;
    for filter in filters {
        for (from, limit) in [(0, 10), (2000, 50)] {
            let Ok(wanted) = search(&history, &filter, from, limit);
            let found = search(&paged, &filter, from, limit).unwrap();
            assert_eq!(found, wanted, "{filter:?} {from}");
            found_any += usize::from(wanted.total > 0);
        }
    }
    assert!(found_any >= 16, "{found_any}");
}

#[test]
fn a_window_reads_its_own_blocks_and_entries_alone() {
    let text = simulated(20_000, SEED + 2);
    let paged = paged(&text, 32 << 10);
    let blocks = text.len() as u64 / (32 << 10);
    assert!(blocks > 60, "{blocks}");
    let Ok(Some(duration)) =
        timeline(&paged, None, None, 10).map(|t| json(&t)["duration"].as_i64())
    else {
        panic!("the timeline has no duration")
    };
    assert_eq!(paged.reads().blocks, 0, "a timeline comes from the index alone");

    // The final reads take most of the time, so the window is widened until something happens in it.
    let from = json(&paged.view(paged.op(12_345).unwrap().unwrap(), 1).unwrap());
    let from = from["invoke"]["time"].as_i64().unwrap();
    let counted = |to: i64| {
        let before = paged.reads();
        let window = json(&timeline(&paged, Some(from), Some(to), 5000).unwrap());
        (window["operations"].as_u64().unwrap(), paged.reads().entries - before.entries)
    };
    let mut to = from + duration / 100_000 + 1;
    let (mut operations, mut looked) = counted(to);
    for _ in 0..30 {
        if operations > 50 {
            break;
        }
        to += to - from;
        (operations, looked) = counted(to);
    }
    assert!((51..2000).contains(&operations), "{operations}");
    assert!(looked < 10_000, "{looked} entries for {operations} operations, of 20,000 twice");

    let before = paged.reads();
    let op = paged.op(12_345).unwrap().unwrap();
    paged.view(op, 100).unwrap();
    assert!(paged.reads().blocks - before.blocks <= 2);

    let before = paged.reads();
    let since = Filter { since: Some(from), until: Some(to), ..Filter::default() };
    let page = search(&paged, &since, 0, 50).unwrap();
    for op in page.operations {
        paged.view(op, 100).unwrap();
    }
    let read = paged.reads().blocks - before.blocks;
    assert!(read * 4 < blocks, "{read} of {blocks} blocks for a page of operations");

    let before = paged.reads();
    let row = json(&paged.view(paged.op(9_000).unwrap().unwrap(), 1).unwrap());
    let key = row.to_string();
    assert!(!key.is_empty());
    let nowhere = Filter { value: Some("123456789123".into()), ..Filter::default() };
    assert_eq!(search(&paged, &nowhere, 0, 10).unwrap().total, 0);
    assert!(
        paged.reads().blocks - before.blocks <= 2,
        "blocks that do not show a value are not parsed"
    );
}

#[test]
fn an_index_of_another_history_or_half_an_index_is_none() {
    let text = simulated(200, SEED + 3);
    let index = index_of(&text, 4096).unwrap();
    let open = |text: &[u8], index: &[u8]| {
        Paged::open(Box::new(text.to_vec()), Box::new(index.to_vec()), "h").unwrap().is_some()
    };
    assert!(open(&text, &index));
    let mut longer = text.clone();
    longer.extend(b"\n");
    assert!(!open(&longer, &index));
    let mut other = text.clone();
    *other.last_mut().unwrap() = b' ';
    assert!(!open(&other, &index));
    assert!(!open(&text, &index[..index.len() - 1]));
    assert!(!open(&text, b""));
    let mut bent = index.clone();
    let at = bent.len() - 60;
    bent[at] ^= 1;
    assert!(!open(&text, &bent));
}

#[test]
fn torn_flawed_and_empty_histories_are_told_apart() {
    let header = json!({"perjury": "history", "format": "1.0"});
    let row = |i: u64| {
        format!(
            "{{\"index\":{i},\"time\":{i},\"process\":{i},\"type\":\"invoke\",\"f\":\"poll\",\"value\":[[\"poll\"]]}}\n"
        )
    };
    let good = format!("{header}\n{}\n{}", row(0), row(1));
    let torn = paged(format!("{good}{{\"index\":2,\"ti").as_bytes(), 64);
    assert_eq!(torn.len(), 2);
    assert_eq!(search(&torn, &Filter::default(), 0, 9).unwrap().total, 2);
    let none = paged(format!("{header}\n").as_bytes(), 64);
    assert!(none.is_empty());
    let flawed = index_of(format!("{good}{}", row(7)).as_bytes(), 64).unwrap_err();
    assert!(flawed.to_string().contains("line 5"), "{flawed}");
    assert!(flawed.to_string().contains("index 7"), "{flawed}");
    let headless = index_of(row(0).as_bytes(), 64).unwrap_err();
    assert!(headless.to_string().contains("line 1"), "{headless}");
}
